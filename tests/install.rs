//! `snug install` and `snug uninstall` into a directory that stands for a machine, so that no root is needed; and what the units and the package's
//! scripts say, held against the source. What systemd makes of it, the emulated Pi shows (`cross/pi-install`).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A machine that is a directory; it goes with the test.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Machine {
        let path = std::env::temp_dir().join(format!("snug-install-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Machine(path)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// Does a verb; its exit code, and all that it said.
    fn snug(&self, words: &[&str]) -> (i32, String) {
        snug(words, &["--root", &self.0.display().to_string()])
    }

    /// Every file, with its inode: one that was written again has another.
    fn files(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        collect(&self.0, &self.0, &mut found);
        found.sort();
        found
    }

    fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, u64)>) {
    for entry in fs::read_dir(folder).expect("a directory") {
        let path = entry.expect("an entry").path();
        let about = fs::symlink_metadata(&path).expect("it is there");
        if about.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).expect("below the root");
            found.push((name.display().to_string(), about.ino()));
        }
    }
}

fn snug(words: &[&str], more: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_snug"))
        .args(words)
        .args(more)
        .output()
        .expect("the binary starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().expect("an exit code"),
        String::from_utf8(said).expect("text"),
    )
}

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .expect("a file of the project")
}

const BINARY: &str = "usr/local/bin/snug";
const FILES: [&str; 6] = [
    "etc/systemd/system/multi-user.target.wants/snug.service",
    "etc/sysusers.d/snug.conf",
    "etc/tmpfiles.d/snug.conf",
    BINARY,
    "usr/local/lib/systemd/system/snug.service",
    "usr/local/lib/systemd/system/snug.socket",
];

#[test]
fn an_installation_is_six_files_and_says_nothing_twice() {
    let machine = Machine::new("files");
    let (exit, said) = machine.snug(&["install"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("is installed. It starts when"), "{said}");
    assert_eq!(machine.names(), FILES);
    let binary = machine.path(BINARY);
    assert_eq!(
        fs::read(&binary).unwrap(),
        fs::read(env!("CARGO_BIN_EXE_snug")).unwrap()
    );
    assert_eq!(
        fs::metadata(&binary).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    let unit = fs::read_to_string(machine.path(FILES[4])).unwrap();
    assert!(
        unit.contains("\nExecStart=/usr/local/bin/snug run\n"),
        "{unit}"
    );
    assert_eq!(
        fs::read_link(machine.path(FILES[0])).unwrap(),
        Path::new("/usr/local/lib/systemd/system/snug.service")
    );

    // Again: nothing is written.
    let before = machine.files();
    let (exit, said) = machine.snug(&["install"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("is installed, as it was"), "{said}");
    assert_eq!(machine.files(), before);
}

#[test]
fn an_upgrade_replaces_what_differs_and_nothing_else() {
    let machine = Machine::new("upgrade");
    machine.snug(&["install"]);
    let before = machine.files();
    fs::write(machine.path(BINARY), "an older snug").unwrap();
    fs::remove_file(machine.path(FILES[1])).unwrap();
    let (exit, said) = machine.snug(&["install"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("was upgraded to"), "{said}");
    let after = machine.files();
    assert_eq!(machine.names(), FILES, "nothing of the old one is left");
    for at in [0, 2, 4, 5] {
        assert_eq!(before[at], after[at]);
    }
    assert_ne!(before[3], after[3]);
    assert_ne!(fs::read(machine.path(BINARY)).unwrap(), b"an older snug");
}

#[test]
fn a_step_back_is_refused_with_the_command_that_goes_back() {
    let machine = Machine::new("back");
    let data = machine.path("var/lib/snug");
    fs::create_dir_all(data.join("backup")).unwrap();
    fs::write(data.join("schema"), "99\n").unwrap();
    let (exit, said) = machine.snug(&["install"]);
    assert_eq!(exit, 1, "{said}");
    assert!(
        said.contains("written by a newer snug") && said.contains("start that newer snug again"),
        "{said}"
    );
    assert_eq!(machine.names(), ["var/lib/snug/schema"]);
    let dump = data.join("backup/main.schema-1.dump");
    fs::write(&dump, "").unwrap();
    let (exit, said) = machine.snug(&["install"]);
    assert_eq!(exit, 1, "{said}");
    assert!(
        said.contains(&format!("`snug restore {}`", dump.display())),
        "{said}"
    );
    // What is no number says nothing.
    fs::write(data.join("schema"), "?\n").unwrap();
    assert_eq!(machine.snug(&["install"]).0, 0);
}

/// Copies a folder of the project, or a file of it, as `change` makes it; what is the same already is left alone, so that cargo builds it once.
fn copy(from: &Path, to: &Path, change: &dyn Fn(&str, String) -> String) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a directory");
        for entry in fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()), change);
        }
        return;
    }
    let name = from.strip_prefix(env!("CARGO_MANIFEST_DIR"));
    let name = name.expect("a file of the project").display().to_string();
    let text = change(&name, fs::read_to_string(from).expect("text"));
    if fs::read_to_string(to).is_ok_and(|there| there == text) {
        return;
    }
    fs::write(to, text).expect("a copy");
}

/// The snug of tomorrow, built from this source with one schema more; `cargo` shares what it has built for this one.
fn next_snug(schema: u32) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_BIN_EXE_snug"))
        .ancestors()
        .nth(2)
        .expect("target/PROFILE/snug");
    let next = target.join("next");
    let replaced = |text: String, old: &str, new: &str| {
        assert_eq!(text.matches(old).count(), 1, "{old} in the source");
        text.replace(old, new)
    };
    let version = env!("CARGO_PKG_VERSION");
    let change = |name: &str, text: String| match name {
        "Cargo.toml" | "Cargo.lock" => {
            let old = format!("name = \"snug\"\nversion = \"{version}\"");
            let text = replaced(text, &old, "name = \"snug\"\nversion = \"99.0.0\"");
            // A name of its own: cargo puts the program beside this one.
            let bin = "[[bin]]\nname = \"snug\"";
            match name {
                "Cargo.toml" => replaced(text, bin, "[[bin]]\nname = \"snug-next\""),
                _ => text,
            }
        }
        "src/store/keys.rs" => {
            let constant = |number| format!("pub const SCHEMA: u32 = {number};");
            replaced(text, &constant(schema), &constant(schema + 1))
        }
        "src/store/upgrade.rs" => {
            let array = "const STEPS: [Step; SCHEMA as usize - 1] = [";
            let (_, rest) = text.split_once(array).expect("the steps");
            let (steps, _) = rest.split_once("];").expect("their end");
            let separator = match steps.trim().trim_end_matches(',') {
                "" => "",
                _ => ", ",
            };
            let more = format!(
                "{array}{}{separator}|_| Ok(())];",
                steps.trim().trim_end_matches(',')
            );
            replaced(text.clone(), &format!("{array}{steps}];"), &more)
        }
        _ => text,
    };
    for part in ["Cargo.toml", "Cargo.lock", "src", "systemd"] {
        fs::create_dir_all(&next).expect("a directory");
        copy(&here.join(part), &next.join(part), &change);
    }
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--bin", "snug-next"])
        .current_dir(&next)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    target.join("debug/snug-next")
}

#[test]
fn an_upgrade_of_the_schema_is_backed_up_and_taken_back_by_the_command_that_is_named() {
    let schema = schema_of(&source("src/store/keys.rs"));
    let next = next_snug(schema);
    let machine = Machine::new("pair");
    let data = machine.path("var/lib/snug");
    fs::create_dir_all(&data).unwrap();
    let (root, at) = (machine.0.display().to_string(), data.display().to_string());
    let does = |program: &Path, words: &[&str]| {
        let output = Command::new(program)
            .args(words)
            .output()
            .expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.code().expect("an exit code"), said)
    };
    let ours = Path::new(env!("CARGO_BIN_EXE_snug"));
    let done = |program: &Path, words: &[&str]| {
        let (exit, said) = does(program, words);
        assert_eq!(exit, 0, "{words:?}: {said}");
        said
    };
    let told = || fs::read_to_string(data.join("schema")).expect("the schema's number");
    done(ours, &["install", "--root", &root]);
    done(ours, &["user", "add", "anna", "--generate", "--data", &at]);
    assert_eq!(told(), format!("{schema}\n"));

    // Upgrade: install again. Its first start makes the backup, and brings the data up.
    let said = done(&next, &["install", "--root", &root]);
    assert!(said.contains("was upgraded to 99.0.0"), "{said}");
    let dump = data.join(format!("backup/main.schema-{schema}.dump"));
    assert!(!dump.exists());
    done(&next, &["user", "add", "ben", "--generate", "--data", &at]);
    assert!(dump.exists(), "there is no backup of before");
    assert_eq!(told(), format!("{}\n", schema + 1));

    // A step back: neither installed nor started, with the command that goes back.
    let command = format!("snug restore {}", dump.display());
    let upgraded = fs::read(machine.path(BINARY)).unwrap();
    for words in [
        &["install", "--root", &root][..],
        &["user", "list", "--data", &at],
        &["run", "--data", &at],
    ] {
        let (exit, said) = does(ours, words);
        assert_eq!(exit, 1, "{words:?}: {said}");
        assert!(
            said.contains("written by a newer snug") && said.contains(&command),
            "{words:?}: {said}"
        );
    }
    assert!(fs::read(machine.path(BINARY)).unwrap() == upgraded);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    done(ours, &[&words[..], &["--data", &at]].concat());
    assert_eq!(told(), format!("{schema}\n"));
    let said = done(ours, &["install", "--root", &root]);
    assert!(said.contains("was upgraded to"), "{said}");
    let list = done(ours, &["user", "list", "--data", &at]);
    assert!(
        list.contains("anna@") && !list.contains("ben@"),
        "as it was before the upgrade: {list}"
    );
}

#[test]
fn a_restore_that_cannot_be_done_changes_nothing() {
    let machine = Machine::new("restore");
    let data = machine.path("data");
    let at = data.display().to_string();
    let account = |name: &str| {
        let (exit, said) = snug(&["user", "add", name, "--generate"], &["--data", &at]);
        assert_eq!(exit, 0, "{said}");
    };
    account("anna");
    let (_, list) = snug(&["user", "list"], &["--data", &at]);
    assert!(list.contains("anna@"), "{list}");
    assert_eq!(fs::read_to_string(data.join("schema")).unwrap(), "1\n");
    let nothing = data.join("backup/main.dump").display().to_string();
    let (exit, said) = snug(&["restore", &nothing], &["--data", &at]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("main.dump"), "{said}");
    fs::write(data.join("no.dump"), "snug backup\nnot at all").unwrap();
    let broken = data.join("no.dump").display().to_string();
    let (exit, said) = snug(&["restore", &broken], &["--data", &at]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("cut short or changed"), "{said}");
    let (_, list) = snug(&["user", "list"], &["--data", &at]);
    assert!(list.contains("anna@"), "{list}");
}

#[test]
fn what_is_removed_leaves_the_data_and_what_is_purged_does_not() {
    let machine = Machine::new("uninstall");
    let (exit, said) = machine.snug(&["uninstall"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("was not installed"), "{said}");
    machine.snug(&["install"]);
    for (file, text) in [
        ("var/lib/snug/main/db", "accounts"),
        ("etc/snug/snug.toml", "domain = 'chat.test'\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
    ] {
        let file = machine.path(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let (exit, said) = machine.snug(&["uninstall"]);
    assert_eq!(exit, 0, "{said}");
    assert!(
        said.contains("is still in") && said.contains("--purge"),
        "{said}"
    );
    assert_eq!(
        machine.names(),
        ["etc/hosts", "etc/snug/snug.toml", "var/lib/snug/main/db"]
    );
    for _ in 0..2 {
        let (exit, said) = machine.snug(&["uninstall", "--purge"]);
        assert_eq!(exit, 0, "{said}");
        assert!(said.contains("Nothing of it is left"), "{said}");
        assert_eq!(machine.names(), ["etc/hosts"]);
    }
}

#[test]
fn two_installations_and_a_machine_without_systemd_are_refused() {
    let machine = Machine::new("package");
    let unit = machine.path("usr/lib/systemd/system/snug.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(&unit, "").unwrap();
    for verb in ["install", "uninstall"] {
        let (exit, said) = machine.snug(&[verb]);
        assert_eq!(exit, 1, "{said}");
        assert!(said.contains("a package has installed snug"), "{said}");
    }
    let (exit, said) = snug(&["install", "--root", "/nowhere/at/all"], &[]);
    assert_eq!(exit, 2, "{said}");
    // Without --root it is this machine: never here where it could be done.
    if !Path::new("/run/systemd/system").exists() {
        let (exit, said) = snug(&["install"], &[]);
        assert_eq!(exit, 1, "{said}");
        assert!(
            said.contains("systemd does not run this machine") && said.contains("snug run --data"),
            "{said}"
        );
    }
}

/// The schema that a source knows.
fn schema_of(keys: &str) -> u32 {
    keys.split("pub const SCHEMA: u32 = ")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .and_then(|number| number.parse().ok())
        .expect("the schema's number")
}

#[test]
fn the_package_knows_the_schema_of_the_source() {
    let number = schema_of(&source("src/store/keys.rs"));
    assert!(
        source("systemd/package/preinst").contains(&format!("\nknows={number}\n")),
        "systemd/package/preinst refuses a step back behind another schema than {number}"
    );
}

#[test]
fn the_ports_of_the_socket_unit_are_the_default_ones() {
    let unit = source("systemd/snug.socket");
    let ports: Vec<u16> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ListenStream="))
        .map(|port| port.parse().expect("a port"))
        .collect();
    let config = snug::config::Config::default();
    let listened: Vec<u16> = [&config.listen.c2s, &config.listen.c2s_tls]
        .into_iter()
        .flatten()
        .map(|address| address.port())
        .collect();
    assert_eq!(ports, listened);
}

// The exposure by systemd's own count, 0 to 10: Prosody's unit has 9.2, ejabberd's 8.4, mox's 3.2.
#[test]
fn the_unit_is_hardened() {
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/snug.service"))
        .output();
    let judged = match judged {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            println!("SKIPPED: the unit's exposure: systemd-analyze: {error}");
            return;
        }
    };
    let Some(exposure) = judged
        .lines()
        .find_map(|line| line.split_once("exposure level for snug.service: "))
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<f32>().ok())
    else {
        println!("SKIPPED: the unit's exposure: this systemd does not judge a file: {judged}");
        return;
    };
    println!("exposure {exposure}");
    assert!(exposure <= 1.5, "{judged}");
}

/// As systemd does it (sd_listen_fds(3)): two ports that listen are handed over as files 3 and 4.
const HAND_OVER: &str = r#"
import os, socket, sys
snug, data, kinds = sys.argv[1:]
ports = []
for number in range(2):
    listening = socket.create_server(("127.0.0.1", 0))
    ports.append(listening.getsockname()[1])
    kept = os.dup(listening.fileno())
    listening.close()
    os.dup2(kept, 10 + number)
for number in range(2):
    os.dup2(10 + number, 3 + number)
    os.set_inheritable(3 + number, True)
    os.close(10 + number)
names = dict(zip(kinds.split(), ports))
with open(f"{data}/snug.toml", "w") as file:
    file.write(f"domain = 'chat.test'\n[listen]\nc2s = ['127.0.0.1:{names.get('c2s', 1)}']\nc2s_tls = ['127.0.0.1:{names.get('c2s_tls', 2)}']\n")
print(*ports, flush=True)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
os.execv(snug, [snug, "run", "--data", data])
"#;

/// A server that was handed two ports; what it says goes to its stderr.
fn handed(machine: &Machine, kinds: &str) -> Option<(std::process::Child, [u16; 2])> {
    use std::io::{BufRead, BufReader};
    let started = Command::new("python3")
        .args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_snug")])
        .arg(&machine.0)
        .arg(kinds)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        println!("SKIPPED: sockets handed over as by systemd: there is no python3");
        return None;
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped"))
        .read_line(&mut line)
        .expect("the ports");
    let mut ports = line
        .split(' ')
        .map(|port| port.trim().parse().expect("a port"));
    let ports = [ports.next().expect("one"), ports.next().expect("another")];
    Some((child, ports))
}

/// What a port answers to a stream header without TLS, up to the first of these ends.
fn answer(port: u16) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("systemd listens");
    let patience = std::time::Duration::from_secs(20);
    socket.set_read_timeout(Some(patience)).expect("a socket");
    let header = "<stream:stream to='chat.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    socket.write_all(header.as_bytes()).expect("it is taken");
    let mut said = Vec::new();
    let mut part = [0; 1024];
    while let Ok(length @ 1..) = socket.read(&mut part) {
        said.extend_from_slice(&part[..length]);
        if said.ends_with(b"</stream:features>") {
            break;
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn ports_from_systemd_are_served_as_the_configuration_names_them() {
    let machine = Machine::new("sockets");
    // The other way round: the number says what it is, not the order.
    let Some((mut child, [tls, starttls])) = handed(&machine, "c2s_tls c2s") else {
        return;
    };
    let plain = answer(starttls);
    let secured = answer(tls);
    let _ = child.kill();
    let _ = child.wait();
    assert!(plain.contains("<starttls"), "{plain:?}");
    assert!(!secured.contains("<stream:features"), "{secured:?}");
}

#[test]
fn a_port_from_systemd_that_nothing_names_is_refused_with_its_number() {
    let machine = Machine::new("unnamed");
    let Some((child, [_, unnamed])) = handed(&machine, "c2s") else {
        return;
    };
    let ended = child.wait_with_output().expect("it ends by itself");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("port {unnamed}")) && said.contains("snug.socket"),
        "{said}"
    );
}
