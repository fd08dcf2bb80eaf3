//! `snug install` and `snug uninstall`: a service of systemd, made from nothing but this binary. Both may be said again at any time: they do what is
//! left to do.

use std::path::{Path, PathBuf};

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::control::ask;
use super::{Failure, print};
use crate::config::INSTALLED_DATA;
use crate::net::certificate::fingerprint;
use crate::net::log::visible;

mod files;
mod machine;

use files::{Files, Unchanged};
use machine::Machine;

/// make snug a service of this machine that starts by itself: as root; once more with a newer binary, it is an upgrade
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "install",
    help_triggers("--help", "-h"),
    example = "{command_name}",
    note = "With --root the files are put into a directory, such as a mounted image of a system with the same kind of processor; it starts there at the next boot."
)]
pub(super) struct Install {
    /// a directory that stands for / : nothing outside of it is touched, and nothing is started
    #[argh(option, arg_name = "dir")]
    root: Option<PathBuf>,
}

/// stop the service and remove it, but not what it has stored: as root
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "uninstall",
    help_triggers("--help", "-h"),
    example = "{command_name}",
    example = "{command_name} --purge"
)]
pub(super) struct Uninstall {
    /// remove the accounts, all messages, the configuration and the user snug, too
    #[argh(switch)]
    purge: bool,
    /// a directory that stands for / : nothing outside of it is touched, and nothing is stopped
    #[argh(option, arg_name = "dir")]
    root: Option<PathBuf>,
}

impl Install {
    pub(super) fn run(self) -> Result<(), Failure> {
        let machine = Machine::new(self.root.as_deref())?;
        let data = machine.path(INSTALLED_DATA);
        machine.refuse_package()?;
        crate::store::refuse_newer(&data).map_err(|error| Failure::from(error.to_string()))?;
        let upgrade = machine.path(files::BINARY).exists();
        let mut files = Files::install(&machine)?;
        let started = machine.begin(files.changed()).map_err(|failure| {
            // What ran before runs again; the failure is told in any case.
            match files.put_back() {
                Unchanged::Same => failure,
                Unchanged::Back => {
                    let again = machine.begin(true);
                    let then = match again {
                        Ok(()) => "the snug that was here before runs again",
                        Err(_) => {
                            "the snug that was here before is back, and does not start either"
                        }
                    };
                    Failure::from(format!("{}\n{then}", failure.says))
                }
            }
        });
        started?;
        files.finish();
        print::out(&told(&machine, &data, upgrade, files.changed()));
        Ok(())
    }
}

impl Uninstall {
    pub(super) fn run(self) -> Result<(), Failure> {
        let machine = Machine::new(self.root.as_deref())?;
        machine.refuse_package()?;
        let there = machine.path(files::BINARY).exists();
        machine.end(there)?;
        files::remove(&machine)?;
        machine.forget()?;
        let data = machine.path(INSTALLED_DATA);
        let mut told = if there {
            "snug was removed.\n".to_owned()
        } else {
            "snug was not installed by `snug install`.\n".to_owned()
        };
        if self.purge {
            files::purge(&machine)?;
            machine.remove_user()?;
            told.push_str("Nothing of it is left: no account, no message, no configuration.\n");
        } else if data.exists() {
            told.push_str(&format!(
                "What it has stored is still in {}; `snug install` uses it again, `snug uninstall --purge` removes it.\n",
                data.display()
            ));
        }
        print::out(&told);
        Ok(())
    }
}

/// What to do next.
fn told(machine: &Machine, data: &Path, upgrade: bool, changed: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut told = match (upgrade, changed) {
        (true, false) => format!("snug {version} is installed, as it was."),
        (true, true) => format!("snug was upgraded to {version}."),
        (false, _) => format!("snug {version} is installed."),
    };
    if !machine.is_running() {
        told.push_str(" It starts when that system does.\n");
        return told;
    }
    let status = ask(data, &json!({"verb": "status"})).ok().flatten();
    match status.as_ref().and_then(|answer| answer["domain"].as_str()) {
        Some(domain) => told.push_str(&format!(
            " It serves {} and starts with the machine.\n",
            visible(domain)
        )),
        None => told.push_str(" It runs and starts with the machine.\n"),
    }
    let accounts = status
        .as_ref()
        .and_then(|answer| answer["accounts"].as_u64())
        .unwrap_or(0);
    if accounts == 0 {
        told.push_str("Make accounts, and give every client the certificate authority:\n  sudo snug user add NAME\n  sudo snug cert ca > snug-ca.pem\n");
    }
    let authority = std::fs::read_to_string(data.join("tls/ca.pem"));
    if let Some(fingerprint) = authority.ok().as_deref().and_then(fingerprint) {
        told.push_str(&format!(
            "The authority has the SHA-256 fingerprint\n  {fingerprint}\n"
        ));
    }
    if let Some(trouble) = status.as_ref().map(|answer| &answer["trouble"])
        && let Value::String(trouble) = trouble
    {
        told.push_str(&format!("But: {}\n", visible(trouble)));
    }
    told
}
