//! snug.toml and the flags: every key good and bad, and the sentences that an operator reads.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use snug::config::{
    Config, Flags, KEYS, Preset, RegistrationMode, data_directory, default_domain, reference,
};

fn parse(text: &str) -> Result<Config, Vec<String>> {
    Config::parse(text, Path::new("snug.toml"), Path::new("/data")).map_err(|error| error.0)
}

/// The only sentence of a file that is wrong in one place.
fn wrong(text: &str) -> String {
    let sentences = parse(text).expect_err(text);
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    sentences[0].clone()
}

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("snug-config-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a scratch file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse("").expect("an empty file");
    assert_eq!(
        config.listen.c2s,
        ["[::]:5222".parse::<SocketAddr>().unwrap()]
    );
    assert_eq!(
        config.listen.c2s_tls,
        ["[::]:5223".parse::<SocketAddr>().unwrap()]
    );
    assert_eq!(config.tls.certificate, None);
    assert_eq!(config.tls.key, None);
    assert_eq!(config.registration.mode, RegistrationMode::Closed);
    assert!(config.roster.everyone);
    assert_eq!(config.roster.group, "Everyone");
    assert!(config.inactive.collapse_presence && config.inactive.drop_typing);
    assert_eq!(config.limits.stanza_rate, 20_000);
    assert_eq!(config.limits.connection_rate, 120);
    assert_eq!(config.limits.login_rate, 10);
    assert_eq!(config.limits.connections_per_address, 50);
    assert_eq!(config.log.level, log::LevelFilter::Info);
    assert_eq!(config.data, Path::new("/data"));
    assert!(
        config.domain == "localhost" || config.domain.ends_with(".local"),
        "{}",
        config.domain
    );
}

#[test]
fn a_harness_can_choose_everything_it_needs() {
    let config = parse(
        r#"
        domain = "chat.test"
        [listen]
        c2s = ["127.0.0.1:15222"]        # STARTTLS
        c2s_tls = ["127.0.0.1:15223"]    # direct TLS
        [registration]
        mode = "open"
        [limits]
        stanza_rate = 0
        connection_rate = 0
        login_rate = 0
        "#,
    )
    .expect("the file of the issue");
    assert_eq!(config.domain, "chat.test");
    assert_eq!(
        config.listen.c2s,
        ["127.0.0.1:15222".parse::<SocketAddr>().unwrap()]
    );
    assert_eq!(
        config.listen.c2s_tls,
        ["127.0.0.1:15223".parse::<SocketAddr>().unwrap()]
    );
    assert_eq!(config.registration.mode, RegistrationMode::Open);
    let limits = &config.limits;
    assert_eq!(
        (
            limits.stanza_rate,
            limits.connection_rate,
            limits.login_rate
        ),
        (0, 0, 0)
    );
}

#[test]
fn the_reference_parses_back_to_the_defaults() {
    let text = reference();
    assert_eq!(
        parse(&text).expect("the reference").values(),
        parse("").expect("nothing").values()
    );
    for key in KEYS {
        let name = key.path.rsplit('.').next().unwrap();
        assert!(
            text.contains(&format!("\n{name} = ")) || text.contains(&format!("\n#{name} = ")),
            "{}",
            key.path
        );
        assert!(
            text.contains(key.doc.lines().next().unwrap()),
            "{}",
            key.path
        );
        assert!(
            key.doc.lines().all(|line| line.chars().count() <= 110),
            "{}: a line is too long",
            key.path
        );
    }
}

#[test]
fn the_values_in_force_parse_back_to_themselves() {
    let scratch = Scratch::new("values");
    scratch.write("a \"quoted\" name.pem", "x");
    let text = "domain = 'chat.test'\nlisten.c2s = ['127.0.0.1:1', '[::1]:2']\nlisten.c2s_tls = []\n\
                registration.mode = 'open'\nlog.level = 'debug'\nlimits.stanza_rate = 0x1_000\n\
                tls.certificate = 'a \"quoted\" name.pem'\ntls.key = 'a \"quoted\" name.pem'\n";
    let config =
        Config::parse(text, &scratch.0.join("snug.toml"), Path::new("/data")).expect("a good file");
    let shown: String = config
        .values()
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    assert_eq!(parse(&shown).expect(&shown).values(), config.values());
    assert!(shown.contains("limits.stanza_rate = 4096\n"), "{shown}");
}

// Every key has a row here: a new key without one fails.
#[test]
fn every_key_has_good_and_bad_values() {
    let pem = Scratch::new("keys");
    let file = pem.write("own.pem", "x");
    let file = format!("'{}'", file.display());
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "domain",
            &[
                "'chat.test'",
                "'localhost'",
                "'BÜCHER.example'",
                "'chat.test.'",
            ],
            &[
                "3",
                "''",
                "'a b'",
                "'anna@chat.test'",
                "'chat.test/x'",
                "'a..b'",
                "'-a'",
                "'a_b'",
                "'[::1]'",
                "'a\u{200e}'",
            ],
        ),
        (
            "component",
            &[
                "[]",
                "[{ host = 'push.chat.test', secret = 's' }]",
                "[{ host = 'A.test', secret = 's' }, { host = 'b.test', secret = 's' }]",
            ],
            &[
                "{}",
                "['a.test']",
                "[{ host = 'a.test' }]",
                "[{ secret = 's' }]",
                "[{ host = 'a.test', secret = '' }]",
                "[{ host = 'a b', secret = 's' }]",
                "[{ host = 'a.test', secret = \"a\\nb\" }]",
                "[{ host = 'a.test', secret = 's', port = 5347 }]",
                "[{ host = 'a.test', secret_file = '/no/such/file' }]",
                "[{ host = 'a.test', secret = 's' }, { host = 'A.test', secret = 's' }]",
            ],
        ),
        (
            "listen.c2s",
            &["['0.0.0.0:5222']", "['[::1]:0', '[::1]:0']"],
            &[
                "'0.0.0.0:1'",
                "['5222']",
                "['localhost:1']",
                "[1]",
                "['[::]:1', '[::]:1']",
            ],
        ),
        (
            "listen.c2s_tls",
            &["[]", "['127.0.0.1:5223']"],
            &["{}", "['127.0.0.1']", "['127.0.0.1:65536']"],
        ),
        (
            "listen.components",
            &["[]", "['127.0.0.1:5347', '[::1]:5347']"],
            &["5347", "['localhost:5347']"],
        ),
        (
            "tls.certificate",
            &[],
            &["true", "'/no/such/file.pem'", "'/'"],
        ),
        ("tls.key", &[], &["['x']", "'/no/such/file.pem'"]),
        (
            "registration.mode",
            &["'open'", "'closed'"],
            &["'invite'", "'Open'", "''", "true"],
        ),
        (
            "contact.abuse",
            &["[]", "['mailto:a@b.test']"],
            &["'mailto:a@b.test'", "true"],
        ),
        (
            "contact.admin",
            &["['mailto:a@b.test', 'xmpp:a@b.test']"],
            &["['a@b.test']", "['']", "[1]"],
        ),
        (
            "contact.feedback",
            &["['https://b.test/?a=1&b=2']"],
            &["['https:b.test']", "['https://a b']"],
        ),
        (
            "contact.sales",
            &["['tel:+49-30-1']"],
            &["['tel:']", "[':x']"],
        ),
        (
            "contact.security",
            &["['http://b.test']"],
            &["['mailto:b.test']", "['1a:b']"],
        ),
        (
            "contact.status",
            &["['https://b.test/']"],
            &["['https://bücher.test/']"],
        ),
        (
            "contact.support",
            &["['xmpp:room@muc.b.test?join']"],
            &["['xmpp:<a>']", "{}"],
        ),
        (
            "directory.enabled",
            &["true", "false"],
            &["'true'", "1", "[]"],
        ),
        ("archive.enabled", &["true", "false"], &["1", "'true'"]),
        (
            "archive.default",
            &["'always'", "'roster'", "'never'"],
            &["'Always'", "''", "true", "['always']"],
        ),
        (
            "archive.keep_days",
            &["0", "1", "3650"],
            &["-1", "100001", "'365'", "1.5"],
        ),
        (
            "archive.max_mb",
            &["0", "64", "100000"],
            &["-1", "63", "'1 GB'"],
        ),
        (
            "login.offer_hash",
            &["true", "false"],
            &["1", "'true'", "'yes'", "[]"],
        ),
        ("roster.everyone", &["true", "false"], &["1", "'all'", "''"]),
        (
            "roster.group",
            &["'Home'", "'Büro'"],
            &["''", "'  '", "3", "\"a\\nb\""],
        ),
        (
            "inactive.collapse_presence",
            &["true", "false"],
            &["1", "'true'"],
        ),
        ("inactive.drop_typing", &["true", "false"], &["0", "''"]),
        (
            "push.contents",
            &["'none'", "'count'", "'sender'", "'body'"],
            &["'Body'", "true", "''"],
        ),
        ("rooms.enabled", &["true", "false"], &["1", "'yes'"]),
        (
            "rooms.host",
            &["''", "'rooms.chat.test'", "'conference.example.org'"],
            &["3", "'a b'", "'room@chat.test'", "'x/y'"],
        ),
        (
            "rooms.lobby",
            &["''", "'lobby'", "'Küche'"],
            &["true", "'a b'", "'a@b'", "'a/b'"],
        ),
        (
            "rooms.create",
            &["'everyone'", "'admins'"],
            &["'nobody'", "''", "true"],
        ),
        (
            "stream.resume_seconds",
            &["0", "10", "86400"],
            &["-1", "9", "86401", "1.5", "'600'"],
        ),
        (
            "limits.stanza_rate",
            &["0", "1000", "1_000_000"],
            &["-1", "999", "1.5", "'20000'", "4294967296", "1000000001"],
        ),
        (
            "limits.connection_rate",
            &["0", "1"],
            &["-1", "1000001", "'x'"],
        ),
        (
            "limits.login_rate",
            &["0", "1000000"],
            &["-1", "99999999999999999999", "[]"],
        ),
        (
            "limits.connections_per_address",
            &["0", "5000"],
            &["-5", "2000000", "inf"],
        ),
        (
            "log.level",
            &["'error'", "'warn'", "'info'", "'debug'", "'trace'"],
            &["'off'", "'INFO'", "'verbose'", "3"],
        ),
    ];
    assert_eq!(
        cases.iter().map(|case| case.0).collect::<Vec<_>>(),
        KEYS.iter().map(|key| key.path).collect::<Vec<_>>()
    );
    for (key, good, bad) in cases {
        for value in *good {
            parse(&format!("{key} = {value}"))
                .unwrap_or_else(|error| panic!("{key} = {value}: {error:?}"));
        }
        for value in *bad {
            let says = wrong(&format!("\n# a comment\n{key} = {value}"));
            assert!(
                says.starts_with(&format!("snug.toml:3: {key}: ")),
                "{key} = {value}: {says}"
            );
            assert!(!says.contains('\n'), "{says:?}");
        }
    }
    let both = parse(&format!("tls.certificate = {file}\ntls.key = {file}")).expect("both files");
    assert!(both.tls.certificate.is_some() && both.tls.key.is_some());
}

#[test]
fn what_is_wrong_is_said_with_line_and_key_and_what_would_be_right() {
    let cases = [
        (
            "domain = 'a.b'\n[limits]\n# rates\nstanza_rat = 5\n",
            "snug.toml:4: limits.stanza_rat: there is no such key; did you mean stanza_rate?",
        ),
        (
            "[limit]\nstanza_rate = 5\n",
            "snug.toml:1: limit: there is no such section; did you mean [limits]?",
        ),
        (
            "[limits]\ndomain = 'a.b'\n",
            "snug.toml:2: limits.domain: there is no such key here; did you mean domain, above the first section?",
        ),
        (
            "stanza_rate = 5\n",
            "snug.toml:1: stanza_rate: there is no such key here; did you mean limits.stanza_rate, in [limits]?",
        ),
        (
            "stanza_rat = 5\n",
            "snug.toml:1: stanza_rat: there is no such key; did you mean limits.stanza_rate?",
        ),
        (
            "[log]\nfile = 'x'\n",
            "snug.toml:2: log.file: there is no such key; in [log] there is level",
        ),
        (
            "\nhttp.port = 5280\n",
            "snug.toml:2: http: there is no such section; the sections are [listen], [tls], [registration], [contact], [directory], [archive], [login], [roster], [inactive], [push], [rooms], [stream], [limits], [log]",
        ),
        (
            "limits = 5\n",
            "snug.toml:1: limits: this is a section; write [limits] on a line and its keys below it",
        ),
        (
            "[[limits]]\nstanza_rate = 5\n",
            "snug.toml:1: limits: this is a section; write [limits] on a line and its keys below it",
        ),
        (
            "[limits]\nstanza_rate = 5\n",
            "snug.toml:2: limits.stanza_rate: this must be 0 (no limit) or a whole number from 1000 to 1000000000",
        ),
        (
            "[limits.stanza_rate]\nx = 5\n",
            "snug.toml:1: limits.stanza_rate: this must be 0 (no limit) or a whole number from 1000 to 1000000000",
        ),
        (
            "registration.mode = 'invite'",
            "snug.toml:1: registration.mode: \"invite\" comes with a later version; choose \"closed\" or \"open\"",
        ),
        (
            "log.level = 'loud'",
            "snug.toml:1: log.level: \"loud\" is no level; choose \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        ),
        (
            "domain = 5",
            "snug.toml:1: domain: this must be text in double quotes",
        ),
        (
            "domain = 'a b'",
            "snug.toml:1: domain: \"a b\" is not a domain; write a host name such as \"chat.example.org\" or \"raspberrypi.local\"",
        ),
        (
            "[listen]\nc2s = [\n  '127.0.0.1:5222',\n  'localhost:5222',\n]\n",
            "snug.toml:4: listen.c2s: \"localhost:5222\" is not an IP address with a port; write one such as \"[::]:5222\" or \"192.168.1.2:5222\"",
        ),
        (
            "[listen]\nc2s = ['[::]:1',\n'[::]:1']",
            "snug.toml:3: listen.c2s: [::]:1 is there twice; leave one out",
        ),
        (
            "listen.c2s_tls = ['[::]:5222']",
            "snug.toml:1: listen.c2s_tls: [::]:5222 is in listen.c2s too; give each list its own port",
        ),
        (
            "[listen]\nc2s = []\nc2s_tls = []\n",
            "snug.toml:3: listen.c2s_tls: nobody could connect, as listen.c2s is empty too; name an address in one of them",
        ),
        (
            "[tls]\nkey = 'privkey.pem'",
            "snug.toml:2: tls.key: privkey.pem cannot be read: No such file or directory (os error 2); name a PEM file that snug's user may read",
        ),
    ];
    for (text, says) in cases {
        assert_eq!(wrong(text), says, "{text}");
    }
}

#[test]
fn what_is_not_toml_is_said_with_its_line() {
    for text in [
        "domain = 'a.b'\nlisten\n",
        "\ndomain = chat.test\n",
        "[limits\n\n",
        "log.level = 'info'\nlog.level = 'info'\n",
    ] {
        let says = wrong(text);
        let line = if text.starts_with('[') { 1 } else { 2 };
        assert!(
            says.starts_with(&format!("snug.toml:{line}: this is not TOML: ")),
            "{text}: {says}"
        );
        assert!(
            says.ends_with("write one `key = value` a line, text in double quotes"),
            "{says}"
        );
        assert!(!says.contains('\n'), "{says:?}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_lines() {
    let sentences =
        parse("domain = 'a b'\n[listen]\nc2s = 1\n[limits]\nlogin_rate = -1\n[bogus]\n")
            .expect_err("four mistakes");
    let lines: Vec<&str> = sentences
        .iter()
        .filter_map(|says| says.split(':').nth(1))
        .collect();
    assert_eq!(lines, ["1", "3", "5", "6"], "{sentences:?}");
}

#[test]
fn certificate_and_key_come_together_and_start_at_the_file() {
    let scratch = Scratch::new("tls");
    scratch.write("chain.pem", "x");
    scratch.write("key.pem", "x");
    let parse = |text: &str| Config::parse(text, &scratch.0.join("snug.toml"), Path::new("/data"));
    let config = parse("[tls]\ncertificate = 'chain.pem'\nkey = 'key.pem'\n").expect("both files");
    assert_eq!(config.tls.certificate, Some(scratch.0.join("chain.pem")));
    assert_eq!(config.tls.key, Some(scratch.0.join("key.pem")));
    let says = parse("[tls]\n\ncertificate = 'chain.pem'\n")
        .expect_err("no key")
        .to_string();
    assert!(says.ends_with("snug.toml:3: tls.certificate: its private key is missing; set tls.key too, or neither of them"), "{says}");
    let says = parse("[tls]\nkey = 'key.pem'\n")
        .expect_err("no certificate")
        .to_string();
    assert!(says.ends_with("snug.toml:2: tls.key: its certificate is missing; set tls.certificate too, or neither of them"), "{says}");
}

#[test]
fn a_domain_is_normalised_as_in_a_jid() {
    for (text, domain) in [
        ("Chat.TEST.", "chat.test"),
        ("BÜCHER.example", "bücher.example"),
        ("ｐｉ.local", "pi.local"),
        ("192.168.1.2", "192.168.1.2"),
    ] {
        assert_eq!(
            parse(&format!("domain = '{text}'")).expect(text).domain,
            domain
        );
    }
}

#[test]
fn the_host_name_makes_the_default_domain() {
    let cases = [
        (Some("raspberrypi\n"), "raspberrypi.local"),
        (Some("My_Pi 4.lan"), "my-pi-4.local"),
        (Some("büro"), "b-ro.local"),
        (Some("--"), "localhost"),
        (Some("localhost.localdomain"), "localhost"),
        (Some(""), "localhost"),
        (None, "localhost"),
    ];
    for (host, domain) in cases {
        assert_eq!(default_domain(host), domain, "{host:?}");
        assert_eq!(
            parse(&format!("domain = '{domain}'"))
                .expect("our own default")
                .domain,
            domain
        );
    }
    let long = default_domain(Some(&"x".repeat(300)));
    assert_eq!(long, format!("{}.local", "x".repeat(63)));
}

#[test]
fn the_data_directory_is_found_in_this_order() {
    let with = |set: &[(&str, &str)], flag: Option<&str>| {
        let variable = |name: &str| {
            set.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| OsString::from(value))
        };
        data_directory(flag.map(Path::new), Path::new("/nothing/is/here"), variable)
    };
    let all = [
        ("STATE_DIRECTORY", "/var/lib/snug:/var/lib/other"),
        ("XDG_DATA_HOME", "/xdg"),
        ("HOME", "/home/anna"),
    ];
    assert_eq!(with(&all, Some("/flag")), Ok(PathBuf::from("/flag")));
    assert_eq!(
        with(&all, Some("here")),
        Ok(std::env::current_dir().unwrap().join("here"))
    );
    assert_eq!(with(&all, None), Ok(PathBuf::from("/var/lib/snug")));
    assert_eq!(with(&all[1..], None), Ok(PathBuf::from("/xdg/snug")));
    assert_eq!(
        with(&all[2..], None),
        Ok(PathBuf::from("/home/anna/.local/share/snug"))
    );
    // The base directory specification has relative paths ignored.
    assert_eq!(
        with(&[("XDG_DATA_HOME", "xdg"), ("HOME", "/h")], None),
        Ok(PathBuf::from("/h/.local/share/snug"))
    );
    assert_eq!(
        with(&[("STATE_DIRECTORY", ""), ("HOME", "/h")], None),
        Ok(PathBuf::from("/h/.local/share/snug"))
    );
    assert!(
        with(&[], None)
            .expect_err("nothing is set")
            .contains("--data")
    );
}

#[test]
fn an_installed_service_is_what_root_means_and_who_has_no_other() {
    let scratch = Scratch::new("installed");
    let service = scratch.0.join("service");
    std::fs::create_dir(&service).expect("a directory");
    let home = scratch.0.join("home");
    let found = || {
        let variable = |name: &str| (name == "HOME").then(|| OsString::from(&home));
        data_directory(None, &service, variable)
    };
    assert_eq!(found(), Ok(service.clone()));
    let own = home.join(".local/share/snug");
    std::fs::create_dir_all(&own).expect("a directory");
    // Whoever runs this test owns it.
    assert_eq!(found(), Ok(service.clone()));
    std::fs::remove_dir(&service).expect("it is empty");
    assert_eq!(found(), Ok(own));
}

#[test]
fn flags_win_and_the_data_directory_has_the_file() {
    let scratch = Scratch::new("flags");
    scratch.write("snug.toml", "domain = 'in.data'\n");
    let other = scratch.write("other.toml", "domain = 'in.other'\nlog.level = 'warn'\n");
    let flags = Flags {
        data: Some(scratch.0.clone()),
        ..Flags::default()
    };
    let config = Config::load(&flags).expect("the file in the data directory");
    assert_eq!(
        (config.domain.as_str(), config.data.as_path()),
        ("in.data", scratch.0.as_path())
    );
    assert_eq!(config.file, Some(scratch.0.join("snug.toml")));

    let flags = Flags {
        config: Some(other.clone()),
        ..flags
    };
    assert_eq!(
        Config::load(&flags).expect("the named file").domain,
        "in.other"
    );

    let flags = Flags {
        domain: Some("In.Flag".to_owned()),
        ..flags
    };
    let config = Config::load(&flags).expect("with a domain");
    assert_eq!(
        (config.domain.as_str(), config.log.level),
        ("in.flag", log::LevelFilter::Warn)
    );

    let says = Config::load(&Flags {
        domain: Some("a b".to_owned()),
        ..flags.clone()
    })
    .expect_err("a bad domain")
    .to_string();
    assert!(
        says.starts_with("--domain: \"a b\" is not a domain; "),
        "{says}"
    );
    let missing = scratch.0.join("missing.toml");
    let says = Config::load(&Flags {
        config: Some(missing),
        ..flags.clone()
    })
    .expect_err("no file")
    .to_string();
    assert!(
        says.contains("missing.toml: cannot be read: ") && says.contains("--config"),
        "{says}"
    );
    std::fs::write(&other, b"domain = '\xff'").expect("a scratch file");
    let says = Config::load(&flags).expect_err("not UTF-8").to_string();
    assert!(says.contains("other.toml: cannot be read: "), "{says}");
}

#[test]
fn a_reload_takes_what_it_can_and_names_what_waits() {
    let scratch = Scratch::new("reload");
    let file = scratch.write(
        "snug.toml",
        "domain = 'one.test'\n[limits]\nlogin_rate = 5\n",
    );
    let flags = Flags {
        data: Some(scratch.0.clone()),
        ..Flags::default()
    };
    let config = Config::load(&flags).expect("the first file");

    let same = config.reload().expect("the same file");
    assert!(
        same.changed.is_empty() && same.restart.is_empty(),
        "{same:?}"
    );

    std::fs::write(
        &file,
        "domain = 'two.test'\n[listen]\nc2s = ['127.0.0.1:1']\n[log]\nlevel = 'debug'\n",
    )
    .unwrap();
    let reload = config.reload().expect("the second file");
    assert_eq!(reload.changed, ["limits.login_rate", "log.level"]);
    assert_eq!(reload.restart, ["domain", "listen.c2s"]);
    assert_eq!(reload.config.domain, "one.test");
    assert_eq!(reload.config.listen.c2s, config.listen.c2s);
    assert_eq!(reload.config.limits.login_rate, 10);
    assert_eq!(reload.config.log.level, log::LevelFilter::Debug);
    // What waits is still named by the next reload.
    assert_eq!(
        reload
            .config
            .reload()
            .expect("the second file again")
            .restart,
        ["domain", "listen.c2s"]
    );

    std::fs::write(&file, "log.level = 'loud'\n").unwrap();
    assert!(
        config
            .reload()
            .expect_err("a bad file")
            .to_string()
            .contains("snug.toml:1: log.level: ")
    );
    std::fs::remove_file(&file).unwrap();
    assert!(
        config
            .reload()
            .expect_err("the file is gone")
            .to_string()
            .contains("snug.toml: cannot be read: ")
    );
}

#[test]
fn a_domain_from_the_flags_is_not_changed_by_a_reload() {
    let scratch = Scratch::new("reload-flag");
    let file = scratch.write("snug.toml", "domain = 'one.test'\n");
    let flags = Flags {
        data: Some(scratch.0.clone()),
        config: None,
        domain: Some("flag.test".to_owned()),
    };
    let config = Config::load(&flags).expect("the first file");
    std::fs::write(&file, "domain = 'two.test'\n").unwrap();
    let reload = config.reload().expect("the second file");
    assert!(
        reload.changed.is_empty() && reload.restart.is_empty(),
        "{reload:?}"
    );
    assert_eq!(reload.config.domain, "flag.test");
}

#[test]
fn keys_without_a_default_are_those_found_at_start_or_left_out() {
    let unset: Vec<&str> = KEYS
        .iter()
        .filter(|key| matches!(key.preset, Preset::Unset { .. }))
        .map(|key| key.path)
        .collect();
    assert_eq!(unset, ["domain", "component", "tls.certificate", "tls.key"]);
    assert_eq!(Config::default().domain, "localhost");
}

#[test]
fn a_component_has_a_host_and_a_secret_that_is_never_shown() {
    let scratch = Scratch::new("components");
    let file = scratch.write("bridge.secret", "of the bridge\n");
    let text = format!(
        "[[component]]\nhost = 'push.chat.test'\nsecret = 'of the app server'\n\
         [[component]]\nhost = 'irc.chat.test'\nsecret_file = '{}'\n",
        file.display()
    );
    let config = parse(&text).expect("two components");
    let hosts: Vec<(&str, &str)> = config
        .components
        .iter()
        .map(|component| (&*component.host, component.secret()))
        .collect();
    assert_eq!(
        hosts,
        [
            ("push.chat.test", "of the app server"),
            ("irc.chat.test", "of the bridge")
        ]
    );
    let shown = format!("{:?}{config:?}", config.values());
    assert!(
        shown.contains("irc.chat.test") && !shown.contains("of the"),
        "{shown}"
    );
    let says = wrong("[[component]]\nhost = 'a.test'\nsecret = 's'\nsecet = 't'\n");
    assert!(
        says.starts_with("snug.toml:4: component: secet: "),
        "{says}"
    );
    let says = wrong("domain = 'a.test'\n[[component]]\nhost = 'a.test'\nsecret = 's'\n");
    assert!(
        says.contains("a.test is the domain of the accounts"),
        "{says}"
    );
    let says = wrong("domain = 'a.test'\n[[component]]\nhost = 'rooms.a.test'\nsecret = 's'\n");
    assert!(
        says.contains("rooms.a.test is where the rooms are"),
        "{says}"
    );
    let says = wrong("listen.components = ['127.0.0.1:1']\nlisten.c2s = ['127.0.0.1:1']\n");
    assert!(
        says.starts_with("snug.toml:1: listen.components: "),
        "{says}"
    );

    // Another secret alone is a change.
    let toml = scratch.write(
        "snug.toml",
        "[[component]]\nhost = 'a.test'\nsecret = 's'\n",
    );
    let flags = Flags {
        data: Some(scratch.0.clone()),
        ..Flags::default()
    };
    let config = Config::load(&flags).expect("the first file");
    assert!(config.reload().expect("the same").changed.is_empty());
    std::fs::write(&toml, "[[component]]\nhost = 'a.test'\nsecret = 't'\n").unwrap();
    assert_eq!(
        config.reload().expect("another secret").changed,
        ["component"]
    );
}
