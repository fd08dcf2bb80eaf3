//! `snug room …`: rooms, with the server running or not.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::Failure;
use super::ask::at;

/// make, remove and list rooms, invite to them and say what they are about, with snug running or not
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "room", help_triggers("--help", "-h", "help"))]
pub(super) struct Room {
    #[argh(subcommand)]
    verb: RoomVerb,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum RoomVerb {
    Add(Add),
    Del(Del),
    List(List),
    Show(Show),
    Invite(Invite),
    Topic(Topic),
}

/// make a room that stays; without an owner it is the server's administrators'
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "add",
    help_triggers("--help", "-h"),
    example = "{command_name} kitchen",
    example = "{command_name} kitchen --title 'The Kitchen' --owner anna --members-only"
)]
struct Add {
    /// the room: kitchen, or kitchen@rooms.domain
    #[argh(positional)]
    name: String,
    /// its title
    #[argh(option, arg_name = "text")]
    title: Option<String>,
    /// the account that owns it
    #[argh(option, arg_name = "account")]
    owner: Option<String>,
    /// let only members enter, who see each other's addresses
    #[argh(switch)]
    members_only: bool,
    /// leave it out of lists
    #[argh(switch)]
    hidden: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// destroy a room and what was said in it; who is in it is told
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "del",
    help_triggers("--help", "-h"),
    example = "{command_name} kitchen",
    example = "{command_name} kitchen --reason 'we eat in the garden'"
)]
struct Del {
    /// the room: kitchen, or kitchen@rooms.domain
    #[argh(positional)]
    name: String,
    /// why, for those who are in it
    #[argh(option, arg_name = "text")]
    reason: Option<String>,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// list the rooms, hidden ones too
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "list",
    help_triggers("--help", "-h"),
    example = "{command_name}",
    example = "{command_name} --json | jq -r '.[].jid'"
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

/// show what a room is and who is in it, without its password
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "show",
    help_triggers("--help", "-h"),
    example = "{command_name} kitchen"
)]
struct Show {
    /// the room: kitchen, or kitchen@rooms.domain
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

/// make an account a member of a room and invite it
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "invite",
    help_triggers("--help", "-h"),
    example = "{command_name} kitchen anna",
    example = "{command_name} kitchen anna --reason 'dinner'"
)]
struct Invite {
    /// the room: kitchen, or kitchen@rooms.domain
    #[argh(positional)]
    name: String,
    /// the account: anna, or anna@domain
    #[argh(positional)]
    account: String,
    /// why
    #[argh(option, arg_name = "text")]
    reason: Option<String>,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// say what a room is about; an empty text takes that away
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "topic",
    help_triggers("--help", "-h"),
    example = "{command_name} kitchen 'Soup on Sundays'"
)]
struct Topic {
    /// the room: kitchen, or kitchen@rooms.domain
    #[argh(positional)]
    name: String,
    /// what it is about
    #[argh(positional)]
    text: String,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

impl Room {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.verb {
            RoomVerb::Add(add) => {
                let request = json!({
                    "verb": "room.add",
                    "name": add.name,
                    "title": add.title,
                    "owner": add.owner,
                    "members_only": add.members_only,
                    "hidden": add.hidden,
                });
                at(&add.data, &add.config).change(&request, "was made")
            }
            RoomVerb::Del(del) => {
                let request = json!({"verb": "room.del", "name": del.name, "reason": del.reason});
                at(&del.data, &del.config).change(&request, "was destroyed")
            }
            RoomVerb::Invite(invite) => {
                let request = json!({
                    "verb": "room.invite",
                    "name": invite.name,
                    "account": invite.account,
                    "reason": invite.reason,
                });
                at(&invite.data, &invite.config).change(&request, "was invited")
            }
            RoomVerb::Topic(topic) => {
                let request = json!({"verb": "room.topic", "name": topic.name, "text": topic.text});
                at(&topic.data, &topic.config).change(&request, "has another subject")
            }
            RoomVerb::List(list) => at(&list.data, &list.config).list(
                &json!({"verb": "room.list"}),
                list.json,
                &["jid", "title", "occupants"],
                "There is no room yet: make one with `snug room add NAME`.",
            ),
            RoomVerb::Show(show) => at(&show.data, &show.config).show(
                &json!({"verb": "room.show", "name": show.name}),
                show.json,
                &["jid", "title", "subject"],
                |fields| {
                    if fields.get("max_users").is_some_and(Value::is_null) {
                        fields.insert("max_users".to_owned(), "no limit".into());
                    }
                },
            ),
        }
    }
}
