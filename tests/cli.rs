//! The built binary's command line: exit codes, sentences, secrets, JSON. A stand-in behind the control socket plays the running server.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

/// A data directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("snug-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }

    /// Answers one request with `answer`, and gives back the request.
    fn server(&self, answer: Value) -> JoinHandle<Value> {
        let listener = UnixListener::bind(self.0.join("control.sock")).expect("the control socket");
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            let mut line = String::new();
            BufReader::new(&stream)
                .read_line(&mut line)
                .expect("a request");
            writeln!(&stream, "{answer}").expect("the answer is taken");
            serde_json::from_str(&line).expect("a request is one line of JSON")
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn command(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snug"));
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Nothing of the tester's own snug can be touched.
    command
        .env_clear()
        .env("HOME", data)
        .env("STATE_DIRECTORY", data);
    command
}

fn snug(data: &Path, words: &[&str]) -> (i32, String, String) {
    ended(command(data, words).output().expect("the binary starts"))
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
    (
        output.status.code().expect("it exits"),
        text(output.stdout),
        text(output.stderr),
    )
}

fn feed(mut child: Child, input: &str) -> Child {
    child
        .stdin
        .take()
        .expect("stdin is ours")
        .write_all(input.as_bytes())
        .expect("the password is read");
    child
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    let scratch = Scratch::new("usage");
    let lines: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["run", "--bogus"],
        &["run", "extra"],
        &["run", "--data"],
        &["user"],
        &["user", "ad", "anna"],
        &["user", "add"],
        &["user", "add", "anna", "secret"],
        &["user", "add", "anna", "--password", "secret"],
        &["user", "add", "anna", "--stdin", "--generate"],
        &["user", "admin", "anna"],
        &["user", "admin", "anna", "maybe"],
        &["user", "lock"],
        &["announce"],
        &["announce", "hello", "--stdin"],
        &["motd"],
        &["motd", "set"],
        &["welcome", "set", "hello", "--stdin"],
        &["kick"],
        &["cert"],
        &["online", "--json=yes"],
    ];
    for words in lines {
        let (exit, out, err) = snug(&scratch.0, words);
        assert_eq!(exit, 2, "{words:?}: {err}");
        assert_eq!(out, "", "{words:?}");
        assert!(
            err.starts_with("snug: ") && err.ends_with('\n'),
            "{words:?}: {err}"
        );
    }
    let (_, _, err) = snug(&scratch.0, &["user", "add"]);
    assert!(err.contains("`snug user add --help`"), "{err}");
    use std::os::unix::ffi::OsStrExt;
    let output = command(&scratch.0, &["kick"])
        .arg(std::ffi::OsStr::from_bytes(b"\xff"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_and_version_are_exit_0() {
    let scratch = Scratch::new("help");
    for words in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["user", "--help"],
        &["user", "help"],
        &["run", "-h"],
        &["cert", "ca", "--help"],
    ] {
        let (exit, out, err) = snug(&scratch.0, words);
        assert_eq!((exit, err.as_str()), (0, ""), "{words:?}");
        assert!(out.contains("snug"), "{words:?}: {out}");
    }
    for words in [&["--version"][..], &["-V"], &["version"]] {
        assert_eq!(
            snug(&scratch.0, words),
            (
                0,
                format!("snug {}\n", env!("CARGO_PKG_VERSION")),
                String::new()
            )
        );
    }
}

#[test]
fn every_verb_has_help_with_its_options_and_an_example() {
    let scratch = Scratch::new("verbs");
    let (_, overview, _) = snug(&scratch.0, &["--help"]);
    for command in snug::cli::commands() {
        assert!(
            overview.contains(&format!("{}\n    {}\n", command.usage, command.does)),
            "{overview}"
        );
        let mut words: Vec<&str> = command.verb.split(' ').collect();
        words.push("--help");
        let (exit, help, _) = snug(&scratch.0, &words);
        assert_eq!(exit, 0, "{help}");
        for flag in command
            .usage
            .split(['[', ']', ' '])
            .filter(|word| word.starts_with("--"))
        {
            assert!(
                help.contains(&format!("\n  {flag} ")),
                "{}: {flag} is missing in\n{help}",
                command.verb
            );
        }
        assert!(
            command.verb == "version" || help.contains("\nExamples:\n"),
            "{help}"
        );
        assert!(
            !command.usage.to_lowercase().contains("password"),
            "{}: no secret in an argument",
            command.usage
        );
    }
}

// The section's first fenced block is `snug --help`'s list of commands.
#[test]
fn the_readme_lists_the_same_commands() {
    let Ok(readme) = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
    else {
        return;
    };
    let Some((_, section)) = readme.split_once("\n## Commands\n") else {
        return;
    };
    let section = section.split("\n## ").next().unwrap_or(section);
    let block = section
        .split("```")
        .nth(1)
        .expect("a fenced block in `## Commands`");
    let block = block.split_once('\n').map_or("", |(_, lines)| lines);
    assert_eq!(
        block.trim(),
        snug::cli::command_list().trim(),
        "put the second text into README's `## Commands`"
    );
}

#[test]
fn without_a_server_it_is_exit_3() {
    let scratch = Scratch::new("absent");
    let says = format!(
        "snug: snug is not running on {}: start it with `snug run`, or name its directory with --data\n",
        scratch.0.display()
    );
    let verbs: &[&[&str]] = &[
        &["online"],
        &["online", "--json"],
        &["status"],
        &["kick", "anna"],
        &["announce", "hello"],
    ];
    for words in verbs {
        assert_eq!(
            snug(&scratch.0, words),
            (3, String::new(), says.clone()),
            "{words:?}"
        );
    }
    // What kill -9 leaves: a socket that nobody listens on.
    drop(UnixListener::bind(scratch.0.join("control.sock")).expect("the control socket"));
    assert_eq!(snug(&scratch.0, &["status"]), (3, String::new(), says));
}

#[test]
fn the_data_directory_may_be_named_anywhere() {
    let (here, there) = (Scratch::new("here"), Scratch::new("there"));
    let path = there.0.to_str().expect("a UTF-8 path");
    let equals = format!("--data={path}");
    for words in [
        &["status", "--data", path][..],
        &["--data", path, "status"],
        &[&equals, "status"],
        &["status", &equals],
    ] {
        let (exit, _, err) = snug(&here.0, words);
        assert!(exit == 3 && err.contains(path), "{words:?}: {err}");
    }
}

#[test]
fn a_refusal_is_the_servers_sentence_and_exit() {
    let scratch = Scratch::new("refusal");
    let server = scratch.server(json!({"ok": false, "error": "there is no account e\u{1b}[2Jve: see `snug user list`", "exit": 1}));
    let (exit, out, err) = snug(&scratch.0, &["user", "del", "eve"]);
    assert_eq!((exit, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "snug: there is no account e\\u{1b}[2Jve: see `snug user list`\n"
    );
    assert_eq!(
        server.join().unwrap(),
        json!({"verb": "user.del", "name": "eve"})
    );
}

#[test]
fn a_server_that_hangs_up_is_exit_1() {
    let scratch = Scratch::new("hangup");
    let listener = UnixListener::bind(scratch.0.join("control.sock")).expect("the control socket");
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        BufReader::new(&stream)
            .read_line(&mut String::new())
            .expect("a request");
    });
    let (exit, _, err) = snug(&scratch.0, &["status"]);
    assert!(
        exit == 1 && err.contains("closed the connection without an answer"),
        "{err}"
    );
    server.join().unwrap();
}

#[test]
fn lists_are_tables_or_json() {
    let scratch = Scratch::new("lists");
    let users = json!([{"name": "anna", "created_ms": 1_000_000_000_000_u64}, {"name": "b\u{9b}ob", "created_ms": 0}]);
    let answer = json!({"ok": true, "users": users});
    let table =
        "NAME       CREATED\nanna       2001-09-09T01:46:40Z\nb\\u{9b}ob  1970-01-01T00:00:00Z\n";
    for (words, expected) in [
        (&["user", "list"][..], Some(table)),
        (&["user", "list", "--json"], None),
    ] {
        let server = scratch.server(answer.clone());
        let (exit, out, err) = snug(&scratch.0, words);
        assert_eq!((exit, err.as_str()), (0, ""));
        match expected {
            Some(table) => assert_eq!(out, table),
            None => {
                assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON"), users);
                assert!(!out.contains('\u{9b}'), "{out:?}");
            }
        }
        assert_eq!(server.join().unwrap(), json!({"verb": "user.list"}));
        std::fs::remove_file(scratch.0.join("control.sock")).unwrap();
    }
    let server = scratch.server(json!({"ok": true, "sessions": []}));
    assert_eq!(
        snug(&scratch.0, &["online", "--json"]),
        (0, "[]\n".to_owned(), String::new())
    );
    assert_eq!(server.join().unwrap(), json!({"verb": "online"}));
}

#[test]
fn rights_and_locks_are_sent_as_they_are_typed() {
    let scratch = Scratch::new("rights");
    let lines: &[(&[&str], Value, &str)] = &[
        (
            &["user", "admin", "anna", "on"],
            json!({"verb": "user.admin", "name": "anna", "admin": true}),
            "anna is an administrator.\n",
        ),
        (
            &["user", "admin", "anna", "off"],
            json!({"verb": "user.admin", "name": "anna", "admin": false}),
            "anna is no administrator.\n",
        ),
        (
            &["user", "lock", "anna"],
            json!({"verb": "user.lock", "name": "anna"}),
            "anna is locked.\n",
        ),
        (
            &["user", "unlock", "anna"],
            json!({"verb": "user.unlock", "name": "anna"}),
            "anna can log in.\n",
        ),
    ];
    for (words, request, says) in lines {
        let server = scratch.server(json!({"ok": true}));
        assert_eq!(
            snug(&scratch.0, words),
            (0, says.to_string(), String::new()),
            "{words:?}"
        );
        assert_eq!(server.join().unwrap(), *request);
        std::fs::remove_file(scratch.0.join("control.sock")).unwrap();
    }
    let server = scratch.server(json!({"ok": true}));
    snug(
        &scratch.0,
        &["user", "add", "anna", "--generate", "--admin"],
    );
    assert_eq!(server.join().unwrap()["admin"], true);
}

#[test]
fn what_is_told_comes_from_the_line_or_from_stdin() {
    let scratch = Scratch::new("announce");
    let socket = scratch.0.join("control.sock");
    let server = scratch.server(json!({"ok": true, "message": "1 account was told\u{1b}[2J."}));
    assert_eq!(
        snug(&scratch.0, &["announce", "Update at noon"]),
        (
            0,
            "1 account was told\\u{1b}[2J.\n".to_owned(),
            String::new()
        )
    );
    assert_eq!(
        server.join().unwrap(),
        json!({"verb": "announce", "text": "Update at noon", "all": false})
    );
    std::fs::remove_file(&socket).unwrap();
    let lines: &[(&[&str], Value)] = &[
        (
            &["announce", "--all", "--stdin"],
            json!({"verb": "announce", "text": "one\ntwo\n", "all": true}),
        ),
        (
            &["motd", "set", "--stdin"],
            json!({"verb": "motd.set", "text": "one\ntwo\n"}),
        ),
        (
            &["welcome", "set", "--stdin"],
            json!({"verb": "welcome.set", "text": "one\ntwo\n"}),
        ),
    ];
    for (words, request) in lines {
        let server = scratch.server(json!({"ok": true, "message": "done"}));
        let mut command = command(&scratch.0, words);
        let child = command.stdin(Stdio::piped()).spawn();
        let child = feed(child.expect("the binary starts"), "one\ntwo\n");
        let (exit, out, err) = ended(child.wait_with_output().expect("it ends"));
        assert_eq!((exit, out.as_str(), err.as_str()), (0, "done\n", ""));
        assert_eq!(server.join().unwrap(), *request);
        std::fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn the_message_of_the_day_is_set_without_a_server() {
    let scratch = Scratch::new("motd");
    for verb in ["motd", "welcome"] {
        let run = |words: &[&str]| snug(&scratch.0, &[&[verb], words].concat());
        let (exit, out, err) = run(&["show"]);
        assert!(exit == 1 && out.is_empty(), "{err}");
        assert!(err.contains(&format!("`snug {verb} set`")), "{err}");
        assert_eq!(run(&["set", "Hello\nyou"]).0, 0);
        assert_eq!(run(&["show"]).1, "Hello\nyou\n");
        assert_eq!(run(&["set", " "]).0, 1);
        assert_eq!(run(&["delete"]).0, 0);
        assert_eq!(run(&["delete"]).0, 1);
    }
}

#[test]
fn accounts_are_locked_without_a_server() {
    let scratch = Scratch::new("lock-offline");
    let done = |words: &[&str]| snug(&scratch.0, words).0;
    assert_eq!(done(&["user", "add", "anna", "--generate", "--admin"]), 0);
    assert_eq!(done(&["user", "lock", "anna"]), 0);
    let (_, out, _) = snug(&scratch.0, &["user", "list", "--json"]);
    let users: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&users[0]["admin"], &users[0]["locked"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(done(&["user", "unlock", "anna"]), 0);
    assert_eq!(done(&["user", "admin", "anna", "off"]), 0);
    let (_, out, _) = snug(&scratch.0, &["user", "show", "anna"]);
    assert!(out.contains("admin:") && !out.contains("yes"), "{out}");
    assert_eq!(done(&["user", "lock", "ben"]), 1);
}

#[test]
fn status_is_an_object() {
    let scratch = Scratch::new("status");
    let server = scratch
        .server(json!({"ok": true, "domain": "pi.local", "online": 3, "uptime_seconds": 90}));
    let (exit, out, _) = snug(&scratch.0, &["status", "--json"]);
    assert_eq!(exit, 0);
    let status: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        status,
        json!({"domain": "pi.local", "online": 3, "uptime_seconds": 90})
    );
    assert_eq!(server.join().unwrap(), json!({"verb": "status"}));
}

#[test]
fn kick_takes_a_reason() {
    let scratch = Scratch::new("kick");
    let server = scratch.server(json!({"ok": true, "kicked": 2}));
    let (exit, out, _) = snug(
        &scratch.0,
        &["kick", "anna@pi.local/phone", "--reason", "Update at noon"],
    );
    assert_eq!((exit, out.as_str()), (0, "2 sessions were ended.\n"));
    let request = server.join().unwrap();
    assert_eq!(
        request,
        json!({"verb": "kick", "jid": "anna@pi.local/phone", "reason": "Update at noon"})
    );
}

/// What everybody on the machine can read of a process, and what only its user can.
fn shown_by_the_system(pid: u32) -> String {
    let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let mut all = read("cmdline");
    assert!(!all.is_empty(), "the process is still there");
    all.extend(read("environ"));
    all.extend(read("comm"));
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_password_from_stdin_is_seen_nowhere() {
    let scratch = Scratch::new("stdin");
    for verb in ["add", "passwd"] {
        let listener =
            UnixListener::bind(scratch.0.join("control.sock")).expect("the control socket");
        let mut command = command(&scratch.0, &["user", verb, "anna", "--stdin"]);
        let child = feed(
            command
                .stdin(Stdio::piped())
                .spawn()
                .expect("the binary starts"),
            "korrekt horse\nsecond line\n",
        );
        let (stream, _) = listener.accept().expect("a connection");
        let mut line = String::new();
        BufReader::new(&stream)
            .read_line(&mut line)
            .expect("a request");
        let request: Value = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!(
            request,
            json!({"verb": format!("user.{verb}"), "name": "anna", "password": "korrekt horse"})
        );
        // It waits for the answer: the moment when `ps` would show it.
        let shown = shown_by_the_system(child.id());
        assert!(
            shown.contains("anna") && !shown.contains("korrekt"),
            "{shown}"
        );
        writeln!(&stream, "{}", json!({"ok": true, "jid": "anna@pi.local"}))
            .expect("the answer is taken");
        let (exit, out, err) = ended(child.wait_with_output().expect("it ends"));
        assert_eq!((exit, err.as_str()), (0, ""));
        let happened = if verb == "add" {
            "was added"
        } else {
            "has a new password"
        };
        assert_eq!(out, format!("anna@pi.local {happened}.\n"));
        std::fs::remove_file(scratch.0.join("control.sock")).unwrap();
    }
}

#[test]
fn a_made_password_is_printed_once_and_only_when_it_holds() {
    let scratch = Scratch::new("made");
    // Without --generate too, as nobody can be asked here.
    for words in [
        &["user", "add", "anna", "--generate"][..],
        &["user", "add", "anna"],
    ] {
        let server = scratch.server(json!({"ok": true}));
        let (exit, out, err) = snug(&scratch.0, words);
        let request = server.join().unwrap();
        let password = request["password"].as_str().expect("a password");
        assert_eq!(password.len(), 19, "{password}");
        assert_eq!((exit, err.as_str()), (0, ""));
        assert_eq!(out, format!("anna was added.\nPassword: {password}\n"));
        std::fs::remove_file(scratch.0.join("control.sock")).unwrap();
    }
    let server = scratch.server(json!({"ok": false, "error": "there is an account anna already"}));
    let (exit, out, err) = snug(&scratch.0, &["user", "add", "anna", "--generate"]);
    let request = server.join().unwrap();
    assert_eq!(
        (exit, out.as_str(), err.as_str()),
        (1, "", "snug: there is an account anna already\n")
    );
    assert!(!err.contains(request["password"].as_str().expect("a password")));
}

#[test]
fn a_bad_password_never_reaches_the_server() {
    let scratch = Scratch::new("bad");
    let listener = UnixListener::bind(scratch.0.join("control.sock")).expect("the control socket");
    listener.set_nonblocking(true).unwrap();
    for (input, says) in [
        ("", "empty"),
        ("\n", "empty"),
        (&*"x".repeat(4000), "longer"),
    ] {
        let mut command = command(&scratch.0, &["user", "add", "anna", "--stdin"]);
        let child = feed(
            command
                .stdin(Stdio::piped())
                .spawn()
                .expect("the binary starts"),
            input,
        );
        let (exit, out, err) = ended(child.wait_with_output().expect("it ends"));
        assert!(exit == 1 && out.is_empty() && err.contains(says), "{err}");
        assert!(!err.contains("xxxx"), "{err}");
    }
    assert!(listener.accept().is_err(), "nobody connected");
}

/// Reads until `wanted` was shown; `shown` keeps everything.
fn wait_for(stdout: &mut impl Read, shown: &mut String, wanted: &str) {
    while !shown.contains(wanted) {
        let mut part = [0; 256];
        let length = stdout.read(&mut part).expect("more from the terminal");
        assert_ne!(length, 0, "{shown}");
        shown.push_str(&String::from_utf8_lossy(&part[..length]));
    }
}

/// Waits until the terminal shows no input: rpassword prompts first and turns the echo off then.
fn wait_for_echo_off(terminal: &str) {
    for _ in 0..500 {
        let state = Command::new("stty")
            .args(["-F", terminal, "-a"])
            .output()
            .expect("stty(1) starts");
        if String::from_utf8_lossy(&state.stdout)
            .split_whitespace()
            .any(|word| word == "-echo")
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{terminal} still shows what is typed");
}

// script(1) of util-linux gives the binary a terminal.
#[test]
fn a_terminal_is_asked_twice_and_shows_nothing() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("script(1) is not there: the prompt is not tested");
        return;
    }
    for (second, stays) in [("korrekt horse", true), ("korrekt house", false)] {
        let scratch = Scratch::new(if stays { "prompt" } else { "prompt-differs" });
        let listener =
            UnixListener::bind(scratch.0.join("control.sock")).expect("the control socket");
        let line = format!("tty; exec '{}' user add anna", env!("CARGO_BIN_EXE_snug"));
        let mut child = Command::new("script")
            .args(["-qefc", &line, "/dev/null"])
            .env("STATE_DIRECTORY", &scratch.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) starts");
        let mut stdin = child.stdin.take().expect("stdin is ours");
        let mut stdout = child.stdout.take().expect("stdout is ours");
        let mut shown = String::new();
        wait_for(&mut stdout, &mut shown, "\n");
        let terminal = shown
            .trim()
            .lines()
            .next()
            .expect("tty(1)'s line")
            .to_owned();
        for (prompt, answer) in [
            ("New password for anna: ", "korrekt horse"),
            ("The same again: ", second),
        ] {
            wait_for(&mut stdout, &mut shown, prompt);
            wait_for_echo_off(&terminal);
            writeln!(stdin, "{answer}").expect("the password is read");
        }
        if stays {
            let (stream, _) = listener.accept().expect("a connection");
            let mut line = String::new();
            BufReader::new(&stream)
                .read_line(&mut line)
                .expect("a request");
            assert!(line.contains("\"password\":\"korrekt horse\""), "{line}");
            writeln!(&stream, "{}", json!({"ok": true})).expect("the answer is taken");
        }
        stdout.read_to_string(&mut shown).expect("the rest");
        let exit = child.wait().expect("it ends").code();
        assert_eq!(exit, Some(if stays { 0 } else { 1 }), "{shown}");
        let says = if stays {
            "anna was added."
        } else {
            "the two passwords differ"
        };
        assert!(
            shown.contains(says) && !shown.contains("korrekt"),
            "{shown}"
        );
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody connected, or not again");
    }
}

#[test]
fn the_authority_is_printed_or_its_absence_explained() {
    let scratch = Scratch::new("ca");
    let (exit, out, err) = snug(&scratch.0, &["cert", "ca"]);
    assert_eq!((exit, out.as_str()), (1, ""));
    assert!(
        err.contains("tls/ca.pem: the first `snug run` makes it") && err.contains("--data"),
        "{err}"
    );
    std::fs::create_dir(scratch.0.join("tls")).unwrap();
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(scratch.0.join("tls/ca.pem"), pem).unwrap();
    assert_eq!(
        snug(&scratch.0, &["cert", "ca"]),
        (0, pem.to_owned(), String::new())
    );
}

#[test]
fn check_shows_what_is_in_force_or_what_is_wrong() {
    let scratch = Scratch::new("check");
    let file = scratch.0.join("snug.toml");
    std::fs::write(&file, "domain = 'chat.test'\n").unwrap();
    let (exit, out, err) = snug(&scratch.0, &["check"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(
        out.starts_with(&format!("# {} is in order.", file.display())),
        "{out}"
    );
    assert!(
        out.contains("\ndomain = \"chat.test\"\n")
            && out.contains("\nlimits.stanza_rate = 20000\n"),
        "{out}"
    );

    std::fs::write(
        &file,
        "domain = 'chat.test'\n[log]\nlevl = 'info'\n[limits]\nlogin_rate = -1\n",
    )
    .unwrap();
    for words in [&["check"][..], &["run"]] {
        let (exit, out, err) = snug(&scratch.0, words);
        assert_eq!((exit, out.as_str()), (1, ""), "{words:?}");
        let path = file.display();
        assert_eq!(
            err,
            format!(
                "snug: {path}:3: log.levl: there is no such key; did you mean level?\n\
                 {path}:5: limits.login_rate: this must be 0 (no limit) or a whole number from 1 to 1000000\n"
            )
        );
    }
    let (exit, out, _) = snug(&scratch.0, &["check", "--print-defaults"]);
    assert_eq!((exit, out), (0, snug::config::reference()));
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    let scratch = Scratch::new("pipe");
    let mut child = command(&scratch.0, &["check", "--print-defaults"])
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let (exit, _, err) = ended(child.wait_with_output().expect("it ends"));
    assert_eq!((exit, err.as_str()), (0, ""));
}

#[test]
fn rooms_are_made_shown_and_removed_without_a_server() {
    let scratch = Scratch::new("rooms-offline");
    let done = |words: &[&str]| {
        let (exit, out, err) = snug(&scratch.0, words);
        assert_eq!(exit, 0, "{words:?}: {out}{err}");
        out
    };
    let refused = |words: &[&str]| {
        let (exit, out, err) = snug(&scratch.0, words);
        assert_eq!((exit, out.as_str()), (1, ""), "{words:?}");
        err
    };
    // The lobby is there before anybody has made anything.
    let list = done(&["room", "list"]);
    assert!(list.starts_with("JID "), "{list}");
    assert!(
        list.lines()
            .nth(1)
            .is_some_and(|row| row.starts_with("lobby@rooms.")),
        "{list}"
    );
    let lobby = done(&["room", "show", "lobby"]);
    for line in [
        "max users:      no limit\n",
        "everyone:       yes\n",
        "members only:   yes\n",
    ] {
        assert!(lobby.contains(line), "{lobby}");
    }

    done(&["user", "add", "anna", "--generate"]);
    done(&["user", "add", "ben", "--generate"]);
    done(&[
        "room",
        "add",
        "kitchen",
        "--title",
        "The Kitchen",
        "--owner",
        "anna",
        "--members-only",
        "--hidden",
    ]);
    assert!(refused(&["room", "add", "kitchen"]).contains("`snug room show kitchen`"));
    assert!(refused(&["room", "add", "pub", "--owner", "eve"]).contains("`snug user list`"));
    done(&["room", "invite", "kitchen", "ben", "--reason", "dinner"]);
    assert!(refused(&["room", "invite", "garden", "ben"]).contains("`snug room list`"));
    done(&["room", "topic", "kitchen", "Soup on Sundays"]);
    let shown = done(&["room", "show", "kitchen"]);
    for line in [
        "title:          The Kitchen\n",
        "subject:        Soup on Sundays\n",
        "max users:      no limit\n",
        "public:         no\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let json: Value =
        serde_json::from_str(&done(&["room", "show", "kitchen", "--json"])).expect("JSON");
    assert_eq!(json["max_users"], Value::Null);
    for (list, name) in [("owners", "anna@"), ("members", "ben@")] {
        let first = json[list][0].as_str().unwrap_or_default();
        assert!(first.starts_with(name), "{json}");
    }
    let rooms: Value = serde_json::from_str(&done(&["room", "list", "--json"])).expect("JSON");
    assert_eq!(rooms.as_array().map(Vec::len), Some(2), "{rooms}");

    done(&["room", "del", "kitchen", "--reason", "we eat in the garden"]);
    assert!(refused(&["room", "del", "kitchen"]).contains("`snug room list`"));
    assert!(!done(&["room", "list"]).contains("kitchen"));
}

#[test]
fn no_lobby_where_its_name_is_empty() {
    let scratch = Scratch::new("no-lobby");
    let config = scratch.0.join("snug.toml");
    std::fs::write(&config, "[rooms]\nlobby = \"\"\n").expect("a configuration");
    let config = config.to_str().expect("a UTF-8 path");
    let (exit, out, _) = snug(&scratch.0, &["room", "list", "--config", config]);
    assert_eq!(
        (exit, out.as_str()),
        (
            0,
            "There is no room yet: make one with `snug room add NAME`.\n"
        )
    );
}
