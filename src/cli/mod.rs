//! The command line: argh's structs, one file for each group of verbs. It never opens the store and never decides: a verb asks the running
//! server over its control socket, or [`crate::admin`] where there is none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};

use crate::config::{self, Config, Flags, INSTALLED_DATA};
use crate::net::log::visible;

pub mod control;

mod announce;
mod ask;
mod cert;
mod commands;
mod moving;
mod owner;
mod password;
mod print;
mod restore;
mod room;
mod run;
mod service;
mod session;
mod user;

pub use commands::{Command, command_list, commands};

/// What a verb's end means to the shell. Success is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was not done; the sentence says why and what to do.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// It needs a running server, and there is none.
    NotRunning = 3,
}

/// Why a verb was not done.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// One sentence a line, for the operator.
    pub says: String,
}

impl From<String> for Failure {
    fn from(says: String) -> Failure {
        Failure {
            exit: Exit::Failed,
            says,
        }
    }
}

impl From<config::ConfigError> for Failure {
    fn from(error: config::ConfigError) -> Failure {
        Failure::from(error.to_string())
    }
}

/// An XMPP server in one small binary.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(name = "snug", help_triggers("--help", "-h", "help"))]
struct Arguments {
    #[argh(subcommand)]
    verb: Verb,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum Verb {
    Run(run::Run),
    User(user::User),
    Room(room::Room),
    Online(session::Online),
    Kick(session::Kick),
    Announce(announce::Announce),
    Motd(announce::Motd),
    Welcome(announce::Welcome),
    Status(session::Status),
    Export(moving::Export),
    Import(moving::Import),
    Restore(restore::Restore),
    Check(run::Check),
    Cert(cert::Cert),
    Install(service::Install),
    Uninstall(service::Uninstall),
    Version(run::Version),
}

/// Runs one command line, without the program's name, and says how it ended.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let ended = parse(arguments).and_then(|parsed| match parsed {
        Parsed::Text(text) => {
            print::out(&text);
            Ok(())
        }
        Parsed::Verb(verb) => verb.run(),
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let lines: Vec<_> = failure.says.lines().map(visible).collect();
            print::err(&format!("snug: {}\n", lines.join("\n")));
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Help or version to print, or something to do.
enum Parsed {
    Text(String),
    Verb(Verb),
}

impl Verb {
    fn run(self) -> Result<(), Failure> {
        match self {
            Verb::Run(run) => run.run(),
            Verb::User(user) => user.run(),
            Verb::Room(room) => room.run(),
            Verb::Online(online) => online.run(),
            Verb::Kick(kick) => kick.run(),
            Verb::Announce(announce) => announce.run(),
            Verb::Motd(motd) => motd.run(),
            Verb::Welcome(welcome) => welcome.run(),
            Verb::Status(status) => status.run(),
            Verb::Export(export) => export.run(),
            Verb::Import(import) => import.run(),
            Verb::Restore(restore) => restore.run(),
            Verb::Check(check) => check.run(),
            Verb::Cert(cert) => cert.run(),
            Verb::Install(install) => install.run(),
            Verb::Uninstall(uninstall) => uninstall.run(),
            Verb::Version(version) => version.run(),
        }
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Parsed, Failure> {
    let usage = |says: String| Failure {
        exit: Exit::Usage,
        says,
    };
    let mut words = Vec::new();
    for word in arguments {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => return Err(usage(format!("{word:?} is not UTF-8; write it in UTF-8"))),
        }
    }
    match words.first().map(String::as_str) {
        None => {
            let list = command_list();
            return Err(usage(format!(
                "there is no command; these are the commands\n\n{list}"
            )));
        }
        Some("--help" | "-h" | "help") if words.len() == 1 => {
            return Ok(Parsed::Text(commands::overview()));
        }
        Some("--version" | "-V") => return Ok(Parsed::Text(run::version())),
        Some(_) => {}
    }
    let words = commands::arrange(words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Arguments::from_args(&["snug"], &words) {
        Ok(arguments) => Ok(Parsed::Verb(arguments.verb)),
        Err(exit) if exit.status.is_ok() => Ok(Parsed::Text(exit.output)),
        Err(exit) => Err(usage(format!(
            "{}\n`{}` shows how it is written",
            exit.output.trim_end(),
            commands::help_for(&words)
        ))),
    }
}

/// `--data` and the environment: where the store and the control socket are.
fn data_directory(data: &Option<PathBuf>) -> Result<PathBuf, Failure> {
    let data = config::data_directory(data.as_deref(), Path::new(INSTALLED_DATA), |name| {
        std::env::var_os(name)
    })?;
    owner::become_owner(&data)?;
    Ok(data)
}

fn load(
    data: &Option<PathBuf>,
    config: &Option<PathBuf>,
    domain: &Option<String>,
) -> Result<Config, Failure> {
    data_directory(data)?;
    Ok(Config::load(&Flags {
        data: data.clone(),
        config: config.clone(),
        domain: domain.clone(),
    })?)
}
