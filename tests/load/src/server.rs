//! The servers under test: set up by a script of `servers/`, started as a child, stopped by its process id.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;

/// Exit code of a set-up script: the server is not installed here.
const NOT_INSTALLED: i32 = 77;

/// A server that can be started: its directory holds its configuration, its data and its log.
pub struct Setup {
    /// `relay`, `snug`, `prosody`, `ejabberd`: the script's name.
    pub name: String,
    command: Vec<String>,
    directory: PathBuf,
    /// Accounts that its data holds already.
    pub accounts: AtomicUsize,
    /// Whether its archive was filled.
    pub filled: AtomicBool,
    /// Whether its rooms were made.
    pub has_rooms: AtomicBool,
    /// SQL that makes an archive of many messages of one message (`servers/NAME.sql`), for servers that keep it in `archive.sqlite`.
    pub fill: Option<PathBuf>,
    plain: SocketAddr,
    tls: SocketAddr,
}

/// Why a server takes no part.
pub enum Unusable {
    /// Not installed here; the sentence says what to install.
    Missing(String),
    /// Its set-up failed.
    Broken(String),
}

impl Setup {
    /// Runs `servers/NAME.sh` for a fresh directory below `work`; the server keeps archives or not.
    pub fn new(scripts: &Path, name: &str, work: &Path, archive: bool) -> Result<Setup, Unusable> {
        let broken = |error: io::Error| Unusable::Broken(format!("{name}: {error}"));
        let directory = work.join(name);
        fs::create_dir_all(&directory).map_err(broken)?;
        let plain = free_address().map_err(broken)?;
        let tls = free_address().map_err(broken)?;
        let script = scripts.join(format!("{name}.sh"));
        let output = Command::new(&script)
            .arg(&directory)
            .args([plain.port().to_string(), tls.port().to_string()])
            .args([work.join("certificate.pem"), work.join("key.pem")])
            .env("LOAD_ARCHIVE", if archive { "true" } else { "false" })
            .env("SNUG_LOAD", std::env::current_exe().map_err(broken)?)
            .output()
            .map_err(|error| Unusable::Broken(format!("{}: {error}", script.display())))?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => {}
            Some(NOT_INSTALLED) => return Err(Unusable::Missing(said)),
            _ => {
                return Err(Unusable::Broken(format!(
                    "{} failed: {said}",
                    script.display()
                )));
            }
        }
        let command = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect();
        Ok(Setup {
            name: name.to_owned(),
            command,
            directory,
            accounts: AtomicUsize::new(0),
            filled: AtomicBool::new(false),
            has_rooms: AtomicBool::new(false),
            fill: Some(scripts.join(format!("{name}.sql"))).filter(|sql| sql.exists()),
            plain,
            tls,
        })
    }

    /// Where its configuration, its data and its log are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The SQLite database of a server that keeps its archive in one.
    pub fn archive_database(&self) -> PathBuf {
        self.directory.join("archive.sqlite")
    }

    /// The relay speaks TLS but no XMPP.
    pub fn is_relay(&self) -> bool {
        self.name == "relay"
    }

    /// Starts the process and returns at once.
    pub fn spawn(&self) -> Result<Server, String> {
        let failed =
            |error: io::Error| format!("{}: cannot start {:?}: {error}", self.name, self.command);
        let log = self.directory.join("output.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(failed)?;
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or("a set-up script printed no command")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        command
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0);
        // SAFETY: prctl is async-signal-safe and touches no memory of ours. The server ends when this thread does.
        unsafe {
            command.pre_exec(
                || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                },
            );
        }
        let child = command.spawn().map_err(failed)?;
        Ok(Server {
            name: self.name.clone(),
            plain: self.plain,
            tls: self.tls,
            pid: child.id(),
            child,
        })
    }

    /// Starts the process and waits, at most three minutes on a machine with other work, until it answers.
    pub fn start(&self) -> Result<Server, String> {
        let mut server = self.spawn()?;
        let start = Instant::now();
        loop {
            let answer = if self.is_relay() {
                Client::plain(self.plain).map(drop)
            } else {
                Client::plain(self.plain)
                    .and_then(|mut client| client.open_stream())
                    .map(drop)
            };
            match answer {
                Ok(()) => return Ok(server),
                Err(_) if start.elapsed() < Duration::from_secs(180) && server.is_running() => {}
                Err(error) => {
                    return Err(format!(
                        "{} does not answer: {error}; {}",
                        self.name,
                        self.last_words()
                    ));
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The end of what the server wrote to its output.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(self.directory.join("output.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        format!(
            "it wrote last: {:?}",
            lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
        )
    }
}

/// A running server; it is stopped when this is dropped.
pub struct Server {
    pub name: String,
    /// STARTTLS; of the relay: accepts, and waits for the end.
    pub plain: SocketAddr,
    /// Direct TLS; of the relay: joins connections in pairs.
    pub tls: SocketAddr,
    pub pid: u32,
    child: Child,
}

impl Server {
    /// The relay speaks TLS but no XMPP.
    pub fn is_relay(&self) -> bool {
        self.name == "relay"
    }

    /// False once the process has ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        // SAFETY: the child has not been waited for, so its id is still its own.
        unsafe { libc::kill(self.pid as libc::pid_t, libc::SIGTERM) };
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > Duration::from_secs(15) {
                eprintln!(
                    "{} did not stop within 15 s of SIGTERM and was killed",
                    self.name
                );
                // SAFETY: as above; the negative id names the process group that the child was made the leader of.
                unsafe { libc::kill(-(self.pid as libc::pid_t), libc::SIGKILL) };
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A port of 127.0.0.1 that nobody uses now.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
