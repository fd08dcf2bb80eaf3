//! The control socket's client: one JSON object a line there, one back.
//!
//! A request is `{"verb":"user.add","name":"anna","password":"…"}`. An answer is `{"ok":true,…}` or
//! `{"ok":false,"error":"a sentence","exit":1}`. The socket is `control.sock` in the data directory with mode 0600: whoever may open it is the operator.
//!
//! What the command line makes of an answer depends on names alone: `message` is printed as it is; a list verb's answer has one array of objects;
//! a number called `…_ms` is a time since 1970, `…_seconds` a duration, `…_bytes` a size.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Exit, Failure, load, print};
use crate::net::log::visible;

/// The socket's name in the data directory.
pub const SOCKET: &str = "control.sock";

/// The longest wait for an answer. Making a password's keys takes seconds on the smallest Pi, and several may wait for their turn.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer: a list of some 100 000 accounts.
pub const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The running server's answer to one request, or `None` if no server runs on this data directory.
pub fn ask(data: &Path, request: &Value) -> Result<Option<Value>, Failure> {
    let path = data.join(SOCKET);
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        // A socket without a server behind it is what kill -9 leaves.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(Failure::from(format!(
                "you may not use {}: run this as the user that snug runs as, for example with `sudo -u snug`",
                path.display()
            )));
        }
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return Err(Failure::from(format!(
                "{} is too long a path for a socket: choose a data directory with a shorter path (at most 90 bytes) with --data",
                path.display()
            )));
        }
        Err(error) => {
            return Err(Failure::from(format!(
                "cannot connect to {}: {error}; look at `snug status`",
                path.display()
            )));
        }
    };
    converse(stream, request, PATIENCE)
        .map(Some)
        .map_err(|why| Failure::from(format!("{why} ({})", path.display())))
}

/// Asks the running server; without one it is exit 3.
pub(super) fn ask_running(data: &Path, request: &Value) -> Result<Value, Failure> {
    match ask(data, request)? {
        Some(answer) => done(answer),
        None => Err(Failure {
            exit: Exit::NotRunning,
            says: format!(
                "snug is not running on {}: start it with `snug run`, or name its directory with --data",
                data.display()
            ),
        }),
    }
}

/// Asks the running server, or does it on the store directly where none runs.
pub(super) fn ask_or_open(
    data: &Path,
    config: &Option<PathBuf>,
    request: &Value,
) -> Result<Value, Failure> {
    match ask(data, request)? {
        Some(answer) => done(answer),
        None => {
            let config = load(&Some(data.to_owned()), config, &None)?;
            let answer = done(crate::offline(data, &config, request))?;
            // Who meant a server elsewhere has to see that this was not it.
            let place = data.display().to_string();
            print::err(&format!(
                "(snug is not running on {}: done in its store directly)\n",
                visible(&place)
            ));
            Ok(answer)
        }
    }
}

/// Whom a command with many requests asks: the running server, or the store itself where none runs.
pub(super) enum Partner {
    /// The server on this data directory.
    Running(PathBuf),
    /// The store, held until the end.
    Here(Box<crate::Offline>),
}

impl Partner {
    /// Finds out whether a server runs; without one the store is opened.
    pub(super) fn of(data: &Path, config: &Option<PathBuf>) -> Result<Partner, Failure> {
        if let Some(answer) = ask(data, &serde_json::json!({"verb": "status"}))? {
            done(answer)?;
            return Ok(Partner::Running(data.to_owned()));
        }
        let config = load(&Some(data.to_owned()), config, &None)?;
        let offline = crate::Offline::open(data, &config)?;
        Ok(Partner::Here(Box::new(offline)))
    }

    /// Asks; a refusal is a failure.
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value, Failure> {
        match self {
            Partner::Running(data) => ask_running(data, request),
            Partner::Here(offline) => done(offline.ask(request)),
        }
    }

    /// Whether the store is asked directly.
    pub(super) fn is_here(&self) -> bool {
        matches!(self, Partner::Here(_))
    }
}

fn done(answer: Value) -> Result<Value, Failure> {
    if answer["ok"] == true {
        return Ok(answer);
    }
    let exit = match answer["exit"].as_u64() {
        Some(2) => Exit::Usage,
        Some(3) => Exit::NotRunning,
        _ => Exit::Failed,
    };
    let says = answer["error"]
        .as_str()
        .unwrap_or("the server refused without a reason; its log may have one");
    Err(Failure {
        exit,
        says: says.to_owned(),
    })
}

fn converse(mut stream: UnixStream, request: &Value, patience: Duration) -> Result<Value, String> {
    let late = || {
        format!(
            "snug did not answer within {} seconds: look at its log, or try again",
            patience.as_secs()
        )
    };
    let broken = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => late(),
        _ => format!(
            "the connection to snug broke: {error}; try again, and look at its log if that does not help"
        ),
    };
    let deadline = Instant::now() + patience;
    stream.set_write_timeout(Some(patience)).map_err(broken)?;
    stream
        .write_all(format!("{request}\n").as_bytes())
        .map_err(broken)?;
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    while !answer.ends_with(b"\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        stream.set_read_timeout(Some(left)).map_err(broken)?;
        match stream.read(&mut part) {
            Ok(0) => return Err("snug closed the connection without an answer: it may be stopping; try again, or look at its log".to_owned()),
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
        if answer.len() > ANSWER_BYTES {
            return Err(format!(
                "the answer is longer than {ANSWER_BYTES} bytes: ask for less"
            ));
        }
    }
    serde_json::from_slice(&answer).map_err(|_| {
        "the answer is not from snug's control socket: are both of the same version?".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answered(bytes: &'static [u8], patience: Duration, hold: Duration) -> Result<Value, String> {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let server = std::thread::spawn(move || {
            let mut line = [0; 64];
            let length = theirs.read(&mut line).expect("the request");
            assert_eq!(&line[..length], b"{\"verb\":\"status\"}\n");
            theirs.write_all(bytes).expect("the answer");
            std::thread::sleep(hold);
        });
        let answer = converse(ours, &json!({"verb": "status"}), patience);
        server.join().expect("the server's thread");
        answer
    }

    #[test]
    fn one_line_there_and_one_back() {
        let at_once = |bytes| answered(bytes, PATIENCE, Duration::ZERO);
        assert_eq!(at_once(b"{\"ok\":true}\n"), Ok(json!({"ok": true})));
        assert!(at_once(b"hello\n").unwrap_err().contains("same version"));
        assert!(
            at_once(b"{\"ok\":")
                .unwrap_err()
                .contains("closed the connection")
        );
    }

    #[test]
    fn a_server_that_hangs_is_not_waited_for() {
        let hung = answered(
            b"{\"ok\":",
            Duration::from_millis(100),
            Duration::from_millis(400),
        );
        assert!(hung.unwrap_err().contains("did not answer"));
    }

    #[test]
    fn a_refusal_keeps_its_sentence_and_exit() {
        let refused =
            done(json!({"ok": false, "error": "there is no account eve", "exit": 1})).unwrap_err();
        assert_eq!(
            (refused.exit, refused.says.as_str()),
            (Exit::Failed, "there is no account eve")
        );
        assert_eq!(
            done(json!({"ok": false, "error": "x", "exit": 3}))
                .unwrap_err()
                .exit,
            Exit::NotRunning
        );
        assert_eq!(done(json!([])).unwrap_err().exit, Exit::Failed);
    }
}
