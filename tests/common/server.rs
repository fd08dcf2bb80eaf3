//! The built binary on a data directory and ports of its own, for tests that need a real process.
#![allow(dead_code)] // each test binary uses a part of it

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Every wait of a test ends here.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The domain that the server under test serves.
pub const DOMAIN: &str = "chat.test";

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Its data directory.
    pub data: PathBuf,
    /// Its STARTTLS port.
    pub starttls: SocketAddr,
    /// Its direct TLS port.
    pub direct: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    /// Whether the data directory goes with it.
    keep: bool,
}

impl Server {
    /// A server on an empty data directory; `config` is appended to a `snug.toml` without limits on rates.
    pub fn start(name: &str, config: &str) -> Server {
        Server::start_with(scratch(name), config)
    }

    /// A server on this directory, which may be there, with a `snug.toml` as [`Server::start`] makes it.
    pub fn start_with(data: PathBuf, config: &str) -> Server {
        configure(&data, config);
        Server::start_on(data)
    }

    /// A server that tells each stanza's way.
    pub fn start_traced(name: &str) -> Server {
        let data = scratch(name);
        configure(&data, "");
        Server::launch(data, &[], &["--trace"])
    }

    /// A server on what another one left.
    pub fn start_on(data: PathBuf) -> Server {
        Server::start_in(data, &[])
    }

    /// A server with these variables in its environment.
    pub fn start_in(data: PathBuf, environment: &[(&str, &str)]) -> Server {
        Server::launch(data, environment, &[])
    }

    fn launch(data: PathBuf, environment: &[(&str, &str)], flags: &[&str]) -> Server {
        let mut child = Command::new(program())
            .args(["run", "--data"])
            .arg(&data)
            .args(flags)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().expect("the log").push(line);
            }
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server {
            child,
            data,
            starttls: unknown,
            direct: unknown,
            log,
            keep: false,
        };
        let ports = wait_for(|| {
            let ports: Vec<SocketAddr> = server
                .log()
                .iter()
                .filter_map(|line| {
                    line.split_once("listening on ")?
                        .1
                        .split(' ')
                        .next()?
                        .parse()
                        .ok()
                })
                .collect();
            (ports.len() == 2).then_some(ports)
        });
        let Some(ports) = ports else {
            panic!("the server does not listen: {:?}", server.log())
        };
        (server.starttls, server.direct) = (ports[0], ports[1]);
        server
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    /// Waits until a line of the log contains this.
    pub fn wait_for_log(&self, text: &str) {
        assert!(
            wait_for(|| self
                .log()
                .iter()
                .any(|line| line.contains(text))
                .then_some(()))
            .is_some(),
            "no {text:?} in {:#?}",
            self.log()
        );
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kilobytes of its memory that are in RAM.
    pub fn rss_kb(&self) -> u64 {
        self.status_kb("VmRSS:")
    }

    /// Kilobytes of them that are not the program itself.
    pub fn anonymous_kb(&self) -> u64 {
        self.status_kb("RssAnon:")
    }

    fn status_kb(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the process lives");
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .expect("Linux says how much memory");
        line.split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("a number of kilobytes")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status()
            .expect("kill is there");
        assert!(sent.success());
    }

    /// Waits for its end, and keeps the data directory.
    pub fn wait(mut self) -> (ExitStatus, PathBuf, Vec<String>) {
        self.keep = true;
        let status = wait_for(|| {
            self.child
                .try_wait()
                .expect("the process can be waited for")
        });
        let status = status.unwrap_or_else(|| panic!("the server does not end: {:#?}", self.log()));
        (status, self.data.clone(), self.log())
    }

    /// Does a verb of the command line on its data directory, with this on stdin.
    pub fn command(&self, words: &[&str], stdin: &str) -> Output {
        command(&self.data, words, stdin)
    }

    /// Makes an account.
    pub fn add_user(&self, name: &str, password: &str) {
        let made = self.command(&["user", "add", name, "--stdin"], &format!("{password}\n"));
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.data);
        }
    }
}

/// The binary under test: the built one, or what `cross/test` names, which is one for another processor.
pub fn program() -> PathBuf {
    std::env::var_os("SNUG_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_snug").into(), PathBuf::from)
}

/// A path for the data of one test, where nothing is.
pub fn scratch(name: &str) -> PathBuf {
    let data = std::env::temp_dir().join(format!("snug-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    data
}

/// Makes the directory and a `snug.toml` in it, without limits on rates; `config` is appended.
pub fn configure(data: &Path, config: &str) {
    std::fs::create_dir_all(data).expect("a data directory");
    let limits = if config.contains("[limits]") {
        ""
    } else {
        "[limits]\nstanza_rate = 0\nconnection_rate = 0\nlogin_rate = 0\nconnections_per_address = 0\n"
    };
    // As in the scripts: contact lists hold what a test put there.
    let roster = if config.contains("[roster]") {
        ""
    } else {
        "[roster]\neveryone = false\n"
    };
    let text = format!(
        "domain = \"{DOMAIN}\"\n[listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\ncomponents = [\"127.0.0.1:0\"]\n{limits}{roster}{config}\n"
    );
    std::fs::write(data.join("snug.toml"), text).expect("a configuration");
}

/// Starts a server on this data directory and kills it so soon that it may still be opening it.
pub fn start_and_kill(data: &Path, after: Duration, environment: &[(&str, &str)]) {
    let mut child = Command::new(program())
        .args(["run", "--data"])
        .arg(data)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    std::thread::sleep(after);
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
}

/// Does a verb of the command line on this data directory.
pub fn command(data: &Path, words: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(program())
        .args(words)
        .arg("--data")
        .arg(data)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(stdin.as_bytes())
        .expect("it reads its stdin");
    child.wait_with_output().expect("it ends")
}

/// Asks until there is an answer, or until the patience ends.
pub fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask() {
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            answer => return answer,
        }
    }
}
