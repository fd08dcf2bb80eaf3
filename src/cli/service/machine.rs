//! The machine that snug is installed on, by the tools that systemd brings; or a directory that stands for one, where there is nothing to start.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::files;
use crate::cli::{Exit, Failure};

/// Where to install.
pub(super) struct Machine {
    /// `None`: here.
    root: Option<PathBuf>,
}

/// Units of a Debian package.
const OF_A_PACKAGE: [&str; 2] = [
    "/lib/systemd/system/snug.service",
    "/usr/lib/systemd/system/snug.service",
];

impl Machine {
    /// This machine, or what a directory stands for; refused where it cannot be done.
    pub(super) fn new(root: Option<&Path>) -> Result<Machine, Failure> {
        if let Some(root) = root {
            if !root.is_dir() {
                return Err(Failure {
                    exit: Exit::Usage,
                    says: format!("--root {}: there is no such directory", root.display()),
                });
            }
            return Ok(Machine {
                root: Some(root.to_owned()),
            });
        }
        // sd_booted(3).
        if !Path::new("/run/systemd/system").is_dir() {
            return Err(Failure::from(
                "systemd does not run this machine, and nothing was changed: copy this program to /usr/local/bin, and let your init system start \
                 `snug run --data /var/lib/snug` as a user of its own who owns that directory"
                    .to_owned(),
            ));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::from(
                "only root may do this, and nothing was changed: say it again with sudo".to_owned(),
            ));
        }
        Ok(Machine { root: None })
    }

    /// Where a path of that machine is.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.trim_start_matches('/')),
            None => PathBuf::from(path),
        }
    }

    /// Whether things can be started here.
    pub(super) fn is_running(&self) -> bool {
        self.root.is_none()
    }

    /// Two installations would be in each other's way.
    pub(super) fn refuse_package(&self) -> Result<(), Failure> {
        match OF_A_PACKAGE.iter().find(|unit| self.path(unit).exists()) {
            None => Ok(()),
            Some(_) => Err(Failure::from(
                "a package has installed snug on this machine, and nothing was changed: upgrade or remove it with apt, as in `sudo apt install ./snug.deb` or \
                 `sudo apt remove snug`"
                    .to_owned(),
            )),
        }
    }

    /// Makes the user and the directories, and starts the service; again if it runs and something has changed.
    pub(super) fn begin(&self, changed: bool) -> Result<(), Failure> {
        if self.root.is_some() {
            return Ok(());
        }
        done("systemd-sysusers", &[files::USER])?;
        done("systemd-tmpfiles", &["--create", files::DIRECTORIES])?;
        systemctl(&["daemon-reload"])?;
        let verb = if changed { "restart" } else { "start" };
        // systemd gives up after some failed starts; this one is asked for.
        let _ = systemctl(&["reset-failed", "snug.service"]);
        systemctl(&[verb, "snug.service"]).map_err(|_| {
            let log = Command::new("journalctl")
                .args([
                    "--unit=snug.service",
                    "--lines=5",
                    "--output=cat",
                    "--no-pager",
                ])
                .output();
            let log = log.map_or(String::new(), |output| text(&output.stdout));
            Failure::from(format!(
                "snug does not start; the end of its log (`journalctl -u snug`):\n{log}"
            ))
        })
    }

    /// Stops the service, where it is there.
    pub(super) fn end(&self, there: bool) -> Result<(), Failure> {
        match self.root {
            None if there => {
                systemctl(&["disable", "--now", "--quiet", "snug.socket", "snug.service"])
            }
            _ => Ok(()),
        }
    }

    /// The units are gone.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        match self.root {
            None => systemctl(&["daemon-reload"]),
            Some(_) => Ok(()),
        }
    }

    /// Removes the user, where there is one.
    pub(super) fn remove_user(&self) -> Result<(), Failure> {
        let known = std::fs::read_to_string(self.path("/etc/passwd"))
            .unwrap_or_default()
            .lines()
            .any(|line| line.starts_with("snug:"));
        match self.root {
            None if known => done("userdel", &["snug"]),
            _ => Ok(()),
        }
    }
}

fn systemctl(arguments: &[&str]) -> Result<(), Failure> {
    done("systemctl", arguments)
}

/// Runs a program of the system to its end.
fn done(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let said = |says: String| {
        Failure::from(format!(
            "`{program} {}` failed: {says}",
            arguments.join(" ")
        ))
    };
    match Command::new(program).args(arguments).output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(output) => Err(said(text(&output.stderr))),
        Err(error) => Err(said(error.to_string())),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
