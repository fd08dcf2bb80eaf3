//! `snug run`, `snug check` and `snug version`.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use super::{Failure, load, print};
use crate::{config, net};

/// start the server; it runs until SIGTERM or Ctrl-C, and reads its configuration again on SIGHUP
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "run",
    help_triggers("--help", "-h"),
    example = "{command_name}",
    example = "{command_name} --data /srv/chat --domain chat.example.org"
)]
pub(super) struct Run {
    /// the data directory (else $STATE_DIRECTORY, $XDG_DATA_HOME/snug, ~/.local/share/snug)
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file (else snug.toml in the data directory, /etc/snug/snug.toml)
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
    /// the served domain, whatever the file says
    #[argh(option, arg_name = "name")]
    domain: Option<String>,
    /// log each stanza's way, stage by stage
    #[argh(switch)]
    trace: bool,
}

/// check the configuration and show it; --print-defaults shows every key of snug.toml and what it means
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "check",
    help_triggers("--help", "-h"),
    example = "{command_name}",
    example = "{command_name} --print-defaults > snug.toml"
)]
pub(super) struct Check {
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
    /// the served domain, whatever the file says
    #[argh(option, arg_name = "name")]
    domain: Option<String>,
    /// print a commented snug.toml that has every key at its default
    #[argh(switch)]
    print_defaults: bool,
}

/// print the version
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "version", help_triggers("--help", "-h"))]
pub(super) struct Version {}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = load(&self.data, &self.config, &self.domain)?;
        net::log::install(config.log.level, self.trace);
        Ok(crate::run(config, self.trace)?)
    }
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.print_defaults {
            print::out(&config::reference());
            return Ok(());
        }
        let config = load(&self.data, &self.config, &self.domain)?;
        let mut shown = match &config.file {
            Some(file) => format!("# {} is in order. In force:\n", file.display()),
            None => "# There is no snug.toml, and none is needed. In force:\n".to_owned(),
        };
        shown.push_str(&format!("# data directory: {}\n", config.data.display()));
        for (key, value) in config.values() {
            shown.push_str(&format!("{key} = {value}\n"));
        }
        print::out(&shown);
        Ok(())
    }
}

impl Version {
    pub(super) fn run(self) -> Result<(), Failure> {
        print::out(&version());
        Ok(())
    }
}

/// `snug` and the version, one line.
pub(super) fn version() -> String {
    format!("snug {}\n", env!("CARGO_PKG_VERSION"))
}
