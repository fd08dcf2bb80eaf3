//! `snug online`, `snug kick` and `snug status`: what only a running server knows.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::control::ask_running;
use super::{Failure, data_directory, print};
use crate::net::log::visible;

/// list who is connected
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "online",
    help_triggers("--help", "-h"),
    example = "{command_name}",
    example = "{command_name} --json | jq length"
)]
pub(super) struct Online {
    /// print JSON: an array of objects
    #[argh(switch)]
    json: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
}

/// end the sessions of an address: of one device (anna@domain/phone) or of all (anna, anna@domain)
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "kick",
    help_triggers("--help", "-h"),
    example = "{command_name} anna",
    example = "{command_name} anna@pi.local/phone --reason 'Update at noon'"
)]
pub(super) struct Kick {
    /// the address
    #[argh(positional)]
    jid: String,
    /// what the user is told
    #[argh(option, arg_name = "text")]
    reason: Option<String>,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
}

/// say whether snug is running, and how it does
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "status",
    help_triggers("--help", "-h"),
    example = "{command_name}"
)]
pub(super) struct Status {
    /// print JSON: an object
    #[argh(switch)]
    json: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
}

impl Online {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = ask_running(&data_directory(&self.data)?, &json!({"verb": "online"}))?;
        let rows = print::rows(&answer);
        print::out(&match self.json {
            true => print::json(&Value::Array(rows)),
            false => print::table(&rows, &["jid", "state"], "Nobody is connected."),
        });
        Ok(())
    }
}

impl Kick {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut request = json!({"verb": "kick", "jid": self.jid});
        if let Some(reason) = self.reason {
            request["reason"] = Value::String(reason);
        }
        let answer = ask_running(&data_directory(&self.data)?, &request)?;
        print::out(
            &match (answer["message"].as_str(), answer["kicked"].as_u64()) {
                (Some(message), _) => format!("{}\n", visible(message)),
                (None, Some(1)) => "1 session was ended.\n".to_owned(),
                (None, Some(count)) => format!("{count} sessions were ended.\n"),
                (None, None) => format!("{} was disconnected.\n", visible(&self.jid)),
            },
        );
        Ok(())
    }
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = ask_running(&data_directory(&self.data)?, &json!({"verb": "status"}))?;
        let fields = print::fields(&answer);
        print::out(&match self.json {
            true => print::json(&Value::Object(fields)),
            false => print::details(&fields, &["domain", "version", "uptime_seconds"]),
        });
        Ok(())
    }
}
