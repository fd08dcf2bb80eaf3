//! `snug user …`: accounts, with the server running or not.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::ask::{Place, at};
use super::{Failure, password, print};

/// add, change, remove and list accounts, with snug running or not
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "user", help_triggers("--help", "-h", "help"))]
pub(super) struct User {
    #[argh(subcommand)]
    verb: UserVerb,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum UserVerb {
    Add(Add),
    Del(Del),
    Passwd(Passwd),
    Admin(Admin),
    Lock(Lock),
    Unlock(Unlock),
    List(List),
    Show(Show),
}

/// make an account; asks for its password, or makes one and prints it once where nobody can be asked
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "add",
    help_triggers("--help", "-h"),
    example = "{command_name} anna",
    example = "{command_name} anna --generate",
    example = "pass show chat/anna | {command_name} anna --stdin"
)]
struct Add {
    /// the account: anna, or anna@domain
    #[argh(positional)]
    name: String,
    /// read the password from stdin, one line
    #[argh(switch)]
    stdin: bool,
    /// make a password and print it once
    #[argh(switch)]
    generate: bool,
    /// let the account administer the server, from any client with ad-hoc commands
    #[argh(switch)]
    admin: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// remove an account and all that it has; its sessions end
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "del",
    help_triggers("--help", "-h"),
    example = "{command_name} anna"
)]
struct Del {
    /// the account: anna, or anna@domain
    #[argh(positional)]
    name: String,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// give an account a new password; its sessions end
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "passwd",
    help_triggers("--help", "-h"),
    example = "{command_name} anna",
    example = "{command_name} anna --generate"
)]
struct Passwd {
    /// the account: anna, or anna@domain
    #[argh(positional)]
    name: String,
    /// read the password from stdin, one line
    #[argh(switch)]
    stdin: bool,
    /// make a password and print it once
    #[argh(switch)]
    generate: bool,
    /// let the account administer the server, from any client with ad-hoc commands
    #[argh(switch)]
    admin: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// let an account administer the server from its client (ad-hoc commands): on or off
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "admin",
    help_triggers("--help", "-h"),
    example = "{command_name} anna on",
    example = "{command_name} anna off"
)]
struct Admin {
    /// the account: anna, or anna@domain
    #[argh(positional)]
    name: String,
    /// on or off
    #[argh(positional, from_str_fn(on_or_off))]
    right: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// lock an account: nobody logs in to it, its sessions end, messages to it wait, and all that it has stays
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "lock",
    help_triggers("--help", "-h"),
    example = "{command_name} anna"
)]
struct Lock {
    /// the account: anna, or anna@domain
    #[argh(positional)]
    name: String,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// let a locked account log in again
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "unlock",
    help_triggers("--help", "-h"),
    example = "{command_name} anna"
)]
struct Unlock {
    /// the account: anna, or anna@domain
    #[argh(positional)]
    name: String,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// list the accounts
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "list",
    help_triggers("--help", "-h"),
    example = "{command_name}",
    example = "{command_name} --json | jq -r '.[].name'"
)]
struct List {
    /// print JSON: an array of objects
    #[argh(switch)]
    json: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// show what snug knows of an account, without its secrets
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "show",
    help_triggers("--help", "-h"),
    example = "{command_name} anna"
)]
struct Show {
    /// the account: anna, or anna@domain
    #[argh(positional)]
    name: String,
    /// print JSON: an object
    #[argh(switch)]
    json: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

impl User {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.verb {
            UserVerb::Add(add) => set_password(
                at(&add.data, &add.config),
                "user.add",
                &add.name,
                (add.stdin, add.generate, add.admin),
                "was added",
            ),
            UserVerb::Passwd(new) => set_password(
                at(&new.data, &new.config),
                "user.passwd",
                &new.name,
                (new.stdin, new.generate, new.admin),
                "has a new password",
            ),
            UserVerb::Del(del) => {
                let request = json!({"verb": "user.del", "name": del.name});
                at(&del.data, &del.config).change(&request, "was removed")
            }
            UserVerb::Admin(admin) => {
                let request =
                    json!({"verb": "user.admin", "name": admin.name, "admin": admin.right});
                let happened = match admin.right {
                    true => "is an administrator",
                    false => "is no administrator",
                };
                at(&admin.data, &admin.config).change(&request, happened)
            }
            UserVerb::Lock(lock) => {
                let request = json!({"verb": "user.lock", "name": lock.name});
                at(&lock.data, &lock.config).change(&request, "is locked")
            }
            UserVerb::Unlock(unlock) => {
                let request = json!({"verb": "user.unlock", "name": unlock.name});
                at(&unlock.data, &unlock.config).change(&request, "can log in")
            }
            UserVerb::List(list) => at(&list.data, &list.config).list(
                &json!({"verb": "user.list"}),
                list.json,
                &["name", "jid"],
                "There is no account yet: add one with `snug user add NAME`.",
            ),
            UserVerb::Show(show) => at(&show.data, &show.config).show(
                &json!({"verb": "user.show", "name": show.name}),
                show.json,
                &["name", "jid"],
                |_| {},
            ),
        }
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    }
}

fn set_password(
    place: Place<'_>,
    verb: &str,
    name: &str,
    (stdin, generate, admin): (bool, bool, bool),
    happened: &str,
) -> Result<(), Failure> {
    place.directory()?;
    let password = password::obtain(name, stdin, generate)?;
    let mut request = json!({"verb": verb, "name": name, "password": password.text});
    if admin {
        request["admin"] = Value::Bool(true);
    }
    place.change(&request, happened)?;
    if password.made {
        print::out(&format!("Password: {}\n", password.text));
    }
    Ok(())
}
