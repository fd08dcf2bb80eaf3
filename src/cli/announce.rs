//! `snug announce`, `snug motd …` and `snug welcome …`: what the server tells its users itself.

use std::io::Read;
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::control::{ask_or_open, ask_running};
use super::{Exit, Failure, data_directory, print};
use crate::limits::ANNOUNCEMENT_BYTES;
use crate::net::log::visible;

/// tell something to everybody who is online, with --all also to everybody else when they come
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "announce",
    help_triggers("--help", "-h"),
    example = "{command_name} 'The server is updated at noon'",
    example = "{command_name} --all --stdin < letter.txt"
)]
pub(super) struct Announce {
    /// what to say
    #[argh(positional)]
    text: Option<String>,
    /// read what to say from stdin
    #[argh(switch)]
    stdin: bool,
    /// tell also those who are offline, when they come
    #[argh(switch)]
    all: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
}

/// set, show and delete the message of the day, which each account sees once
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "motd", help_triggers("--help", "-h", "help"))]
pub(super) struct Motd {
    #[argh(subcommand)]
    verb: MotdVerb,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum MotdVerb {
    Set(SetMotd),
    Show(ShowMotd),
    Delete(DeleteMotd),
}

/// set a new message of the day: who is online gets it now, others at their next login
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "set",
    help_triggers("--help", "-h"),
    example = "{command_name} 'Backups run on Sundays now'",
    example = "{command_name} --stdin < motd.txt"
)]
struct SetMotd {
    /// what it says
    #[argh(positional)]
    text: Option<String>,
    /// read what it says from stdin
    #[argh(switch)]
    stdin: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// print the message of the day
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "show",
    help_triggers("--help", "-h"),
    example = "{command_name}"
)]
struct ShowMotd {
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// delete the message of the day: who has not seen it never will
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "delete",
    help_triggers("--help", "-h"),
    example = "{command_name}"
)]
struct DeleteMotd {
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// set, show and delete what new accounts are told at their first login
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "welcome", help_triggers("--help", "-h", "help"))]
pub(super) struct Welcome {
    #[argh(subcommand)]
    verb: WelcomeVerb,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum WelcomeVerb {
    Set(SetWelcome),
    Show(ShowWelcome),
    Delete(DeleteWelcome),
}

/// set what new accounts are told at their first login
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "set",
    help_triggers("--help", "-h"),
    example = "{command_name} 'Welcome! Ask anna if something does not work.'"
)]
struct SetWelcome {
    /// what it says
    #[argh(positional)]
    text: Option<String>,
    /// read what it says from stdin
    #[argh(switch)]
    stdin: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// print what new accounts are told
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "show",
    help_triggers("--help", "-h"),
    example = "{command_name}"
)]
struct ShowWelcome {
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// tell new accounts nothing any more
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "delete",
    help_triggers("--help", "-h"),
    example = "{command_name}"
)]
struct DeleteWelcome {
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

impl Announce {
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = read(self.text, self.stdin)?;
        let request = json!({"verb": "announce", "text": text, "all": self.all});
        show(&ask_running(&data_directory(&self.data)?, &request)?);
        Ok(())
    }
}

impl Motd {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.verb {
            MotdVerb::Set(set) => {
                let text = read(set.text, set.stdin)?;
                let request = json!({"verb": "motd.set", "text": text});
                ask(&request, &set.data, &set.config)
            }
            MotdVerb::Show(show) => ask(&json!({"verb": "motd.show"}), &show.data, &show.config),
            MotdVerb::Delete(delete) => ask(
                &json!({"verb": "motd.delete"}),
                &delete.data,
                &delete.config,
            ),
        }
    }
}

impl Welcome {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.verb {
            WelcomeVerb::Set(set) => {
                let text = read(set.text, set.stdin)?;
                let request = json!({"verb": "welcome.set", "text": text});
                ask(&request, &set.data, &set.config)
            }
            WelcomeVerb::Show(show) => {
                ask(&json!({"verb": "welcome.show"}), &show.data, &show.config)
            }
            WelcomeVerb::Delete(delete) => ask(
                &json!({"verb": "welcome.delete"}),
                &delete.data,
                &delete.config,
            ),
        }
    }
}

fn ask(request: &Value, data: &Option<PathBuf>, config: &Option<PathBuf>) -> Result<(), Failure> {
    show(&ask_or_open(&data_directory(data)?, config, request)?);
    Ok(())
}

/// The server's sentence, or the text that was asked for, line by line.
fn show(answer: &Value) {
    let text = answer["message"].as_str().or(answer["text"].as_str());
    for line in text.unwrap_or("It was done.").lines() {
        print::out(&format!("{}\n", visible(line)));
    }
}

/// The text from the command line, or from stdin with `--stdin`.
fn read(given: Option<String>, stdin: bool) -> Result<String, Failure> {
    let usage = |says: &str| Failure {
        exit: Exit::Usage,
        says: says.to_owned(),
    };
    match (given, stdin) {
        (Some(_), true) => Err(usage(
            "a text and --stdin exclude each other: leave one out",
        )),
        (None, false) => Err(usage(
            "there is nothing to say: write a text, or use --stdin",
        )),
        (Some(text), false) => Ok(text),
        (None, true) => {
            let mut text = String::new();
            // More than allowed, so that the server refuses what is too long.
            std::io::stdin()
                .lock()
                .take(2 * ANNOUNCEMENT_BYTES as u64)
                .read_to_string(&mut text)
                .map_err(|error| {
                    Failure::from(format!(
                        "cannot read the text from stdin: {error}; write it in UTF-8"
                    ))
                })?;
            Ok(text)
        }
    }
}
