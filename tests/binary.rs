//! The built binary over real TCP and TLS: what only a process shows.

#[path = "common/client.rs"]
mod client;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

use client::{Client, HEADER, STARTTLS};
use server::{DOMAIN, PATIENCE, Server, command, wait_for};
use snug::limits::RESOURCES_PER_ACCOUNT;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PING: &str = "<iq type='get' id='ping' to='chat.test'><ping xmlns='urn:xmpp:ping'/></iq>";

#[test]
fn two_people_chat_over_starttls_and_direct_tls() {
    let server = Server::start("chat", "");
    server.add_user("anna", "secret");
    server.add_user("ben", "geheim");
    let mut anna = Client::starttls(&server);
    let exporter = anna
        .session()
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .unwrap();
    anna.log_in_scram(
        "SCRAM-SHA-256-PLUS",
        "anna",
        "secret",
        Some(("tls-exporter", &exporter)),
    );
    anna.bind("laptop");
    anna.send("<presence/>");
    let mut ben = Client::direct(&server);
    assert_eq!(ben.session().alpn_protocol(), Some(&b"xmpp-client"[..]));
    let leaf = ring::digest::digest(
        &ring::digest::SHA256,
        &ben.session().peer_certificates().unwrap()[0],
    );
    ben.log_in_scram(
        "SCRAM-SHA-1-PLUS",
        "ben",
        "geheim",
        Some(("tls-server-end-point", leaf.as_ref())),
    );
    ben.bind("phone");
    ben.send("<presence/>");
    ben.expect("<presence");
    anna.send("<message to='ben@chat.test/phone' type='chat' id='m1'><body>hello</body></message>");
    let message = ben.expect("</message>");
    assert!(
        message.contains("anna@chat.test/laptop") && message.contains("<body>hello</body>"),
        "{message}"
    );
    ben.send("</stream:stream>");
    assert!(ben.expect_end(PATIENCE).ends_with("</stream:stream>"));
    // Many stanzas in one write, and one in many.
    anna.send(&PING.repeat(300));
    for _ in 0..300 {
        anna.expect("id='ping'");
    }
    for byte in PING.as_bytes() {
        anna.try_send(&[*byte]).unwrap();
    }
    anna.expect("id='ping'");
}

#[test]
fn a_component_connects_and_brings_a_host() {
    // Without one its port is closed: nothing listens there but for clients.
    let server = Server::start("no-component", "");
    assert!(
        !server
            .log()
            .iter()
            .any(|line| line.contains("components connect"))
    );
    drop(server);
    let server = Server::start(
        "component",
        "[[component]]\nhost = 'plays.chat.test'\nsecret = 'secret'\n",
    );
    server.add_user("anna", "secret");
    let mut plays = component(&server);
    let mut anna = Client::online(&server, "anna", "secret", "phone");
    // Longer than what strangers may send.
    let long = "x".repeat(100_000);
    plays.send(&format!(
        "<message from='a@plays.chat.test' to='anna@chat.test/phone' type='chat'><body>{long}</body></message>"
    ));
    assert!(anna.expect("</message>").contains(&long));
    anna.send("<message to='a@plays.chat.test' type='chat'><body>hello</body></message>");
    let heard = plays.expect("</message>");
    assert!(
        heard.contains("from='anna@chat.test/phone'") && !heard.contains("xmlns"),
        "{heard}"
    );
    // What the configuration does not name any more is ended.
    let file = server.data.join("snug.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("plays.chat.test", "films.chat.test")).unwrap();
    server.signal("HUP");
    plays.expect("host-unknown");
    assert!(plays.expect_end(PATIENCE).ends_with("</stream:stream>"));
    server.wait_for_log("component plays.chat.test is gone");
    server.wait_for_log("component changed");
    anna.send("<message to='a@plays.chat.test' type='chat'><body>hello?</body></message>");
    anna.expect("remote-server-not-found");
}

#[test]
fn a_component_that_does_not_read_is_closed() {
    let server = Server::start(
        "deaf-component",
        "[archive]\nenabled = false\n[[component]]\nhost = 'plays.chat.test'\nsecret = 'secret'\n",
    );
    server.add_user("anna", "secret");
    let _plays = component(&server);
    let mut anna = Client::online(&server, "anna", "secret", "phone");
    let body = "x".repeat(60_000);
    let message =
        format!("<message to='a@plays.chat.test' type='chat'><body>{body}</body></message>");
    let before = server.rss_kb();
    let gone = || {
        server
            .log()
            .iter()
            .any(|line| line.contains("component plays.chat.test is gone"))
    };
    for _ in 0..400 {
        anna.send(&message);
        anna.send(PING);
        anna.expect("id='ping'");
        if gone() {
            break;
        }
    }
    assert!(
        gone(),
        "24 MB for a component that does not read: {:#?}",
        server.log()
    );
    let grown = server.rss_kb().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KB");
    anna.send("<message to='a@plays.chat.test' type='chat'><body>hello?</body></message>");
    anna.expect("remote-server-timeout");
}

/// A component of the host `plays.chat.test` that is let in.
fn component(server: &Server) -> Client {
    server.wait_for_log("components connect to ");
    let port = server.log().iter().find_map(|line| {
        let (_, address) = line.split_once("components connect to ")?;
        address.trim().parse::<std::net::SocketAddr>().ok()
    });
    let mut plays = Client::tcp(port.expect("the log names the port"));
    plays.send("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='plays.chat.test'>");
    let header = plays.expect_between("<stream:stream", ">");
    let id = header
        .split(" id='")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    let secret = format!("{}secret", id.expect("the header has an id"));
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    plays.send(&format!("<handshake>{hash}</handshake>"));
    plays.expect("<handshake/>");
    plays
}

#[test]
fn tls_1_2_is_spoken_too_and_binds_to_the_certificate() {
    let server = Server::start("tls12", "");
    server.add_user("anna", "secret");
    let mut anna =
        Client::tcp(server.direct).secured(&server.data, &[&rustls::version::TLS12], &[]);
    let leaf = ring::digest::digest(
        &ring::digest::SHA256,
        &anna.session().peer_certificates().unwrap()[0],
    );
    anna.log_in_scram(
        "SCRAM-SHA-256-PLUS",
        "anna",
        "secret",
        Some(("tls-server-end-point", leaf.as_ref())),
    );
    anna.bind("old");
}

// HOLES row 6.
#[test]
fn what_stands_behind_starttls_ends_the_connection() {
    let server = Server::start("behind", "");
    for smuggled in ["<presence/>", " ", "\u{16}\u{3}"] {
        let mut client = Client::tcp(server.starttls);
        client.send(HEADER);
        client.expect("</stream:features>");
        client.send(&format!("{STARTTLS}{smuggled}"));
        let said = client.expect_end(PATIENCE);
        assert!(!said.contains("<stream:features"), "{said}");
    }
}

#[test]
fn sigterm_says_goodbye_and_keeps_everything() {
    let server = Server::start("sigterm", "");
    server.add_user("anna", "secret");
    server.add_user("ben", "geheim");
    let mut anna = Client::online(&server, "anna", "secret", "laptop");
    let mut stranger = Client::tcp(server.starttls);
    stranger.send(HEADER);
    stranger.expect("</stream:features>");
    anna.send("<message to='ben@chat.test' type='chat' id='m1'><body>for later</body></message>");
    anna.send(PING);
    anna.expect("id='ping'");
    let began = Instant::now();
    server.signal("TERM");
    for client in [&mut anna, &mut stranger] {
        let goodbye = client.expect_end(PATIENCE);
        assert!(
            goodbye.contains("<system-shutdown") && goodbye.ends_with("</stream:stream>"),
            "{goodbye}"
        );
    }
    drop((anna, stranger));
    let (status, data, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert!(!data.join("control.sock").exists());
    let server = Server::start_on(data);
    let mut ben = Client::online(&server, "ben", "geheim", "phone");
    assert!(ben.expect("</message>").contains("<body>for later</body>"));
}

#[test]
fn an_administrator_ends_the_server() {
    let server = Server::start("shutdown", "");
    server.add_user("anna", "secret");
    let admin = server.command(&["user", "admin", "anna", "on"], "");
    assert!(admin.status.success(), "{admin:?}");
    let mut anna = Client::online(&server, "anna", "secret", "phone");
    let node = "http://jabber.org/protocol/admin#shutdown";
    anna.send(&format!(
        "<iq type='set' id='1' to='chat.test'><command xmlns='http://jabber.org/protocol/commands' node='{node}'/></iq>"
    ));
    let form = anna.expect_between("<command ", "</command>");
    let id = form.split("sessionid='").nth(1).expect("a session id");
    let id = id.split('\'').next().unwrap_or_default();
    anna.send(&format!(
        "<iq type='set' id='2' to='chat.test'><command xmlns='http://jabber.org/protocol/commands' node='{node}' sessionid='{id}'>\
         <x xmlns='jabber:x:data' type='submit'><field var='delay'><value>30</value></field></x></command></iq>"
    ));
    anna.expect("status='completed'");
    let begun = Instant::now();
    let end = anna.expect_end(PATIENCE + Duration::from_secs(30));
    assert!(end.contains("<system-shutdown "), "{end}");
    assert!(begun.elapsed() > Duration::from_secs(28));
    let (status, _, log) = server.wait();
    assert!(status.success(), "{status}");
    let told = "anna@chat.test/phone ends the server in 30 seconds";
    assert!(log.iter().any(|line| line.contains(told)), "{log:?}");
}

#[test]
fn a_peer_that_does_not_hang_up_does_not_hold_up_the_end() {
    let server = Server::start("hold", "");
    server.add_user("anna", "secret");
    let _anna = Client::online(&server, "anna", "secret", "laptop");
    let _nobody = TcpStream::connect(server.direct).unwrap();
    server.signal("TERM");
    let began = Instant::now();
    let (status, data, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let mut server = Server::start("kill9", "");
    server.add_user("anna", "secret");
    for round in 0..3 {
        let mut anna = Client::online(&server, "anna", "secret", "laptop");
        for contact in 0..10 {
            let item = format!(
                "<item jid='c{round}-{contact}@chat.test' name='contact {round} {contact}'/>"
            );
            anna.send(&format!("<iq type='set' id='set{contact}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"));
            anna.expect(&format!("id='set{contact}'"));
        }
        server.signal("KILL");
        let (_, data, _) = server.wait();
        server = Server::start_on(data);
    }
    let mut anna = Client::online(&server, "anna", "secret", "laptop");
    anna.send("<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>");
    let roster = anna.expect("</iq>");
    for contact in (0..3)
        .flat_map(|round| (0..10).map(move |contact| format!("jid='c{round}-{contact}@chat.test'")))
    {
        assert!(
            roster.contains(&contact),
            "{contact} is missing in {roster}"
        );
    }
}

// XEP-0313: both sides' archives, pages from both ends, before and after a restart and a kill.
#[test]
fn the_archive_has_what_was_said_before_the_restart() {
    let mut server = Server::start("archived", "");
    server.add_user("anna", "secret");
    server.add_user("ben", "geheim");
    let mut anna = Client::online(&server, "anna", "secret", "laptop");
    let mut ben = Client::online(&server, "ben", "geheim", "phone");
    for number in 0..6 {
        anna.send(&message(&ben.jid, &format!("number {number}")));
        ben.expect("</message>");
    }
    for signal in ["TERM", "KILL"] {
        drop((anna, ben));
        server.signal(signal);
        let (_, data, _) = server.wait();
        server = Server::start_on(data);
        anna = Client::online(&server, "anna", "secret", "laptop");
        ben = Client::online(&server, "ben", "geheim", "phone");
        for client in [&mut anna, &mut ben] {
            for (page, expected) in [("<max>4</max>", 0..4), ("<max>4</max><before/>", 2..6)] {
                client.send(&format!("<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>{page}</set></query></iq>"));
                let rows = client.expect("</fin></iq>");
                let bodies: Vec<&str> = rows.split("<body>").skip(1).collect();
                let bodies: Vec<&str> = bodies
                    .iter()
                    .map(|rest| rest.split('<').next().unwrap())
                    .collect();
                let expected: Vec<String> =
                    expected.map(|number| format!("number {number}")).collect();
                assert_eq!(bodies, expected, "{rows}");
            }
        }
    }
}

// HOLES row 28.
#[test]
fn who_does_not_read_is_closed_and_delays_nobody() {
    // What the archive keeps in memory of 24 MB that go through is another question.
    let server = Server::start("slow", "[archive]\nenabled = false\n");
    for name in ["anna", "ben", "carla"] {
        server.add_user(name, "secret");
    }
    let _anna = Client::online(&server, "anna", "secret", "deaf");
    let mut ben = Client::online(&server, "ben", "secret", "loud");
    let mut carla = Client::online(&server, "carla", "secret", "calm");
    // Loopback sockets hold megabytes; the queue above them has room for one.
    let body = "x".repeat(60_000);
    let message =
        format!("<message to='anna@chat.test/deaf' type='chat'><body>{body}</body></message>");
    let before = server.rss_kb();
    let mut slowest = Duration::ZERO;
    for _ in 0..400 {
        ben.send(&message);
        ben.send(PING);
        ben.expect("id='ping'");
        let asked = Instant::now();
        carla.send(PING);
        carla.expect("id='ping'");
        slowest = slowest.max(asked.elapsed());
        if !is_online(&server, "anna") {
            break;
        }
    }
    assert!(
        !is_online(&server, "anna"),
        "24 MB for somebody who does not read: {:#?}",
        server.log()
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let grown = server.rss_kb().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KB");
    ben.send(PING);
    ben.expect("id='ping'");
}

fn is_online(server: &Server, name: &str) -> bool {
    let online = server.command(&["online", "--json"], "");
    assert!(
        online.status.success(),
        "{}",
        String::from_utf8_lossy(&online.stderr)
    );
    String::from_utf8_lossy(&online.stdout).contains(&format!("{name}@{DOMAIN}"))
}

// HOLES row 27: a storm of reconnects delays only itself.
#[test]
fn who_is_in_is_served_before_who_comes() {
    const STORM: usize = 300;
    let server = Server::start("storm", "");
    server.add_user("anna", "secret");
    let mut anna = Client::online(&server, "anna", "secret", "laptop");
    let mut hello = Vec::new();
    client::session(&server.data, rustls::ALL_VERSIONS, &[])
        .write_tls(&mut hello)
        .unwrap();
    let mut storm: Vec<TcpStream> = (0..STORM)
        .map(|_| TcpStream::connect(server.direct).unwrap())
        .collect();
    for socket in &mut storm {
        socket.write_all(&hello).unwrap();
    }
    for socket in &storm {
        socket.set_nonblocking(true).unwrap();
    }
    let served = || {
        storm
            .iter()
            .filter(|socket| socket.peek(&mut [0]).is_ok())
            .count()
    };
    let before = served();
    anna.send(PING);
    anna.expect("id='ping'");
    let meanwhile = served() - before;
    println!("{before} handshakes before a ping, {meanwhile} until its answer");
    // Without turns about four in five are served first.
    assert!(meanwhile < STORM / 2, "{meanwhile}");
    let all = wait_for(|| {
        storm
            .iter()
            .all(|socket| socket.peek(&mut [0]).is_ok())
            .then_some(())
    });
    assert!(all.is_some(), "every handshake has its turn");
}

// HOLES row 27.
#[test]
fn who_does_not_log_in_is_cut_off() {
    let server = Server::start("halfopen", "");
    let mut silent = Client::tcp(server.starttls);
    let mut halfway = Client::starttls(&server);
    halfway.send(HEADER);
    let mut no_hello = Client::tcp(server.direct);
    let mut half_hello = Client::tcp(server.direct);
    half_hello.try_send(&[0x16, 0x03, 0x01, 0x02]).unwrap();
    let mut no_tls = Client::tcp(server.starttls);
    no_tls.send(HEADER);
    no_tls.expect("</stream:features>");
    no_tls.send(STARTTLS);
    no_tls.expect("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    let began = Instant::now();
    for client in [&mut no_hello, &mut half_hello, &mut no_tls] {
        client.expect_end(Duration::from_secs(14));
    }
    assert!(
        began.elapsed() > Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    for client in [&mut silent, &mut halfway] {
        assert!(
            client
                .expect_end(Duration::from_secs(34))
                .contains("<connection-timeout")
        );
    }
    assert!(
        began.elapsed() > Duration::from_secs(27),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn strangers_of_one_address_are_few_and_friends_do_not_count() {
    let server = Server::start("caps", "[limits]\nconnections_per_address = 3\n");
    server.add_user("anna", "secret");
    let _anna = Client::online(&server, "anna", "secret", "laptop");
    let strangers: Vec<Client> = (0..3)
        .map(|_| {
            let mut stranger = Client::tcp(server.starttls);
            stranger.send(HEADER);
            stranger.expect("</stream:features>");
            stranger
        })
        .collect();
    assert_eq!(Client::tcp(server.starttls).expect_end(PATIENCE), "");
    assert_eq!(Client::tcp(server.direct).expect_end(PATIENCE), "");
    server.wait_for_log("limits.connections_per_address");
    drop(strangers);
    let free = wait_for(|| {
        let mut client = Client::tcp(server.starttls);
        let _ = client.try_send(HEADER.as_bytes());
        client.expect_end_or("</stream:features>").then_some(())
    });
    assert!(free.is_some());
}

#[test]
fn connections_of_one_address_are_counted_by_the_minute() {
    let server = Server::start("rate", "[limits]\nconnection_rate = 5\n");
    let refused = wait_for(|| {
        let mut client = Client::tcp(server.starttls);
        let _ = client.try_send(HEADER.as_bytes());
        (!client.expect_end_or("</stream:features>")).then_some(())
    });
    assert!(refused.is_some());
    server.wait_for_log("limits.connection_rate");
}

#[test]
fn the_control_socket_is_the_operators() {
    let server = Server::start("control", "");
    let path = server.data.join("control.sock");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let ask = |request: &[u8]| -> String {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(request);
        let mut answer = String::new();
        let _ = BufReader::new(stream).read_line(&mut answer);
        answer
    };
    assert!(ask(b"{\"verb\":\"status\"}\n").contains("\"ok\":true"));
    assert!(ask(b"{\"verb\":\"no such\"}\n").contains("\"ok\":false"));
    assert!(ask(b"not json\n").contains("\"ok\":false"));
    assert_eq!(ask(&vec![b'x'; 100_000]), "");
    assert_eq!(ask(b"\xff\xfe\n"), "");
    // Many at a time, some of which never say anything.
    let silent: Vec<_> = (0..10)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    assert!(ask(b"{\"verb\":\"status\"}\n").contains("\"ok\":true"));
    drop(silent);
    // One that a killed server left is not in the way, and a second server on the same data is refused.
    let second = command(&server.data, &["run"], "");
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another snug"));
    assert!(ask(b"{\"verb\":\"status\"}\n").contains("\"ok\":true"));
    server.signal("KILL");
    let (_, data, _) = server.wait();
    assert!(path.exists());
    let server = Server::start_on(data);
    assert!(server.command(&["status"], "").status.success());
}

#[test]
fn sighup_takes_another_certificate_and_keeps_a_good_one() {
    let server = Server::start("reload", "");
    let shown = |data: &Path| {
        Client::tcp(server.direct)
            .secured(data, rustls::ALL_VERSIONS, &[])
            .session()
            .peer_certificates()
            .unwrap()[0]
            .to_vec()
    };
    let first = shown(&server.data);
    let other = server.data.join("other");
    snug::net::certificate::local(&other.join("tls"), DOMAIN, 1_800_000_000).unwrap();
    let config = std::fs::read_to_string(server.data.join("snug.toml")).unwrap();
    let with = |name: &str| {
        format!(
            "{config}[tls]\ncertificate = \"{0}/tls/{name}\"\nkey = \"{0}/tls/key.pem\"\n",
            other.display()
        )
    };
    std::fs::write(server.data.join("snug.toml"), with("cert.pem")).unwrap();
    server.signal("HUP");
    server.wait_for_log("read the configuration again");
    let second = wait_for(|| std::panic::catch_unwind(|| shown(&other)).ok())
        .expect("the new certificate is shown");
    assert_ne!(first, second);
    std::fs::write(server.data.join("snug.toml"), with("ca.pem")).unwrap();
    server.signal("HUP");
    server.wait_for_log("the certificate stays as it was");
    assert_eq!(shown(&other), second);
}

#[test]
fn systemd_hears_how_it_goes() {
    let (status, data, _) = {
        let server = Server::start("systemd", "");
        server.signal("TERM");
        server.wait()
    };
    assert_eq!(status.code(), Some(0));
    let path = data.join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |wanted: &str| {
        let mut part = [0; 1024];
        let late = Instant::now() + PATIENCE;
        while Instant::now() < late {
            let length = systemd.recv(&mut part).expect("systemd hears something");
            if String::from_utf8_lossy(&part[..length]).contains(wanted) {
                return;
            }
        }
        panic!("no {wanted}");
    };
    let server = Server::start_in(
        data,
        &[
            ("NOTIFY_SOCKET", path.to_str().unwrap()),
            ("WATCHDOG_USEC", "4000000"),
        ],
    );
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    server.signal("HUP");
    hear("RELOADING=1\nMONOTONIC_USEC=");
    hear("READY=1");
    server.signal("TERM");
    hear("STOPPING=1");
    let (_, data, _) = server.wait();
    std::fs::remove_dir_all(data).unwrap();
}

#[test]
fn a_first_start_says_what_to_do() {
    let data = std::env::temp_dir().join(format!("snug-first-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(
        data.join("snug.toml"),
        "[listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\n",
    )
    .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_snug"))
        .args(["run", "--domain", DOMAIN, "--data"])
        .arg(&data)
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut said = vec![0; 4096];
    let mut stdout = child.stdout.take().unwrap();
    let mut length = 0;
    while !String::from_utf8_lossy(&said[..length]).contains("snug-ca.pem") {
        match stdout.read(&mut said[length..]).unwrap() {
            0 => break,
            more => length += more,
        }
    }
    let said = String::from_utf8_lossy(&said[..length]).into_owned();
    let authority = std::fs::read_to_string(data.join("tls/ca.pem"))
        .map(|pem| snug::net::certificate::fingerprint(&pem).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    for part in [
        "serves chat.test on 127.0.0.1:",
        &authority.unwrap(),
        "snug user add NAME",
        "snug cert ca",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

#[test]
fn an_idle_server_and_idle_sessions_are_small() {
    const SESSIONS: u64 = 300;
    let server = Server::start("memory", "");
    let idle = server.anonymous_kb();
    let accounts = (20 + SESSIONS).div_ceil(RESOURCES_PER_ACCOUNT as u64);
    for number in 0..accounts {
        server.add_user(&format!("anna{number}"), "secret");
    }
    let session = |number: u64| {
        let mut client = Client::direct(&server);
        client.log_in_plain(&format!("anna{}", number % accounts), "secret");
        client.bind(&format!("r{number}"));
        client
    };
    // The first ones pay for what all use.
    let mut clients: Vec<Client> = (0..20).map(session).collect();
    let before = server.anonymous_kb();
    clients.extend((20..20 + SESSIONS).map(session));
    let each = (server.anonymous_kb() - before) as f64 / SESSIONS as f64;
    println!("idle {idle} KB, {each:.1} KB a session");
    assert!(idle < 4 * 1024, "{idle} KB");
    assert!(each < 13.0, "{each:.1} KB a session");
    // HOLES row 2: garbage before login leaves nothing behind.
    drop(clients);
    let garbage = |bytes: &[u8]| {
        let mut client = Client::tcp(server.starttls);
        let _ = client.try_send(bytes);
    };
    let after = wait_for(|| {
        let gone = (0..accounts).all(|number| !is_online(&server, &format!("anna{number}")));
        gone.then(|| server.anonymous_kb())
    })
    .expect("they are gone");
    for _ in 0..1000 {
        garbage(&[b'<'; 9000]);
        garbage(format!("{HEADER}<a>{}", "<b c='d'>".repeat(900)).as_bytes());
    }
    let grown = server.anonymous_kb().saturating_sub(after);
    assert!(grown < 1024, "{grown} KB");
}

#[test]
fn nothing_is_written_while_nobody_writes() {
    let server = Server::start("still", "");
    server.add_user("anna", "secret");
    let mut anna = Client::online(&server, "anna", "secret", "laptop");
    anna.send(PING);
    anna.expect("id='ping'");
    // The archive's first database is made in the first second.
    wait_for(|| {
        let mut volumes = std::fs::read_dir(server.data.join("archive")).ok()?;
        volumes.next()?.ok()
    })
    .expect("a server with an archive");
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", server.pid())).unwrap();
        io.lines()
            .find(|line| line.starts_with("write_bytes"))
            .map(str::to_owned)
    };
    std::thread::sleep(Duration::from_secs(2));
    let before = written();
    std::thread::sleep(Duration::from_secs(3));
    anna.send(PING);
    anna.expect("id='ping'");
    assert_eq!(written(), before);
}

#[test]
fn a_full_disk_refuses_what_grows_and_gets_well_by_itself() {
    let Some(disk) = Disk::new("low") else { return };
    let server = Server::start_with(disk.data(), OPEN);
    for name in ["anna", "ben", "carla"] {
        server.add_user(name, "secret");
    }
    let mut anna = Client::online(&server, "anna", "secret", "laptop");
    let mut ben = Client::online(&server, "ben", "secret", "phone");
    set_contact(&mut anna, "early");
    anna.send(&message("carla@chat.test", "early"));
    disk.leave(snug::limits::DISK_FREE_BYTES_LOW - 1_000_000);
    // The store looks at the disk when it has written.
    set_contact(&mut anna, "notices");
    server.wait_for_log("free some space there");
    let status = server.command(&["status"], "");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("free some space there"), "{status}");

    anna.send(&contact("late"));
    assert_waits(&anna.expect("</iq>"));
    assert_waits(&register(&server, "dora"));
    anna.send(&message("carla@chat.test", "late"));
    let refused = anna.expect("</message>");
    assert!(
        refused.contains("type='error'") && refused.contains("<service-unavailable"),
        "{refused}"
    );
    chat(&mut anna, &mut ben);
    // What does not make it grow goes on.
    anna.send("<iq type='set' id='remove'><query xmlns='jabber:iq:roster'><item jid='early@chat.test' subscription='remove'/></query></iq>");
    assert!(anna.expect("id='remove'").contains("<iq"));
    assert!(anna.expect("/>").contains("type='result'"));
    ben.send("<iq type='set' id='password'><query xmlns='jabber:iq:register'><username>ben</username><password>other</password></query></iq>");
    ben.expect("id='password'");
    assert!(ben.expect("/>").contains("type='result'"));

    disk.free();
    set_contact(&mut anna, "again");
    anna.send(&message("carla@chat.test", "again"));
    assert!(register(&server, "dora").contains("type='result'"));
    let status = server.command(&["status"], "");
    assert!(!String::from_utf8_lossy(&status.stdout).contains("free some space"));
    // The chat went on without its archive, which is said once, and then that it is there again.
    server.wait_for_log("messages are archived again");
    let log = server.log();
    let lines = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (
            lines("messages go on without being archived"),
            lines("messages are archived again")
        ),
        (1, 1),
        "{log:#?}"
    );
    server.signal("KILL");
    let (_, data, _) = server.wait();
    let server = Server::start_on(data);
    assert!(Client::direct(&server).can_log_in("ben", "other"));
    assert!(Client::direct(&server).can_log_in("dora", "secret"));
    assert_eq!(contacts(&server, "anna"), ["again", "notices"]);
    let mut carla = Client::online(&server, "carla", "secret", "tablet");
    carla.send(PING);
    let waited = carla.expect("id='ping'");
    assert!(
        waited.matches("<message").count() == 2
            && waited.contains(">early<")
            && waited.contains(">again<"),
        "{waited}"
    );
}

/// Somebody else takes every byte between two looks at the disk, and then the ballast too: writing fails, the store cannot even be opened again
/// until there is room.
#[test]
fn a_disk_filled_to_the_last_byte_loses_nothing_acknowledged() {
    for with_ballast in [true, false] {
        let Some(disk) = Disk::new(if with_ballast { "ballast" } else { "nothing" }) else {
            return;
        };
        let server = Server::start_with(disk.data(), OPEN);
        for name in ["anna", "ben", "carla", "dora", "emil"] {
            server.add_user(name, "secret");
        }
        let mut anna = Client::online(&server, "anna", "secret", "laptop");
        let mut ben = Client::online(&server, "ben", "secret", "phone");
        let mut desk = Client::online(&server, "ben", "secret", "desk");
        let mut dora = Client::online(&server, "dora", "secret", "tablet");
        let mut emil = Client::online(&server, "emil", "secret", "phone");
        dora.send("<presence to='ben@chat.test' type='subscribe'/>");
        desk.expect("type='subscribe'");
        desk.send("<presence to='dora@chat.test' type='subscribed'/>");
        dora.expect("from='ben@chat.test/desk'");
        for number in 0..20 {
            set_contact(&mut anna, &format!("early{number:02}"));
            anna.send(&message("carla@chat.test", &format!("early{number:02}")));
        }
        anna.send("<iq type='set' id='last'><query xmlns='jabber:iq:roster'><item jid='last@chat.test'/></query></iq>");
        anna.expect("id='last'");
        anna.expect("/>");
        if !with_ballast {
            std::fs::remove_file(server.data.join("ballast")).unwrap();
        }
        disk.leave(0);
        // The first thing that is written does not fit any more; nobody has looked at the disk before. That dora does not see ben any more is in memory when it is lost.
        let began = Instant::now();
        ben.send(&format!(
            "{}<presence to='dora@chat.test' type='unsubscribed'/>{}",
            message("carla@chat.test", &format!("late{}", "x".repeat(240_000))),
            contact("late")
        ));
        // No acknowledgement that is not true: refused, or the stream ends because what was to be sent does not hold any more.
        let told = ben.expect_one_of(&["id='late'", "</stream:stream>"]);
        if told.ends_with("id='late'") {
            assert_waits(&ben.expect("</iq>"));
        } else {
            assert!(
                told.contains("<resource-constraint") || told.contains("<internal-server-error"),
                "{told}"
            );
        }
        println!(
            "with ballast {with_ballast}: told after {:?}",
            began.elapsed()
        );
        server.wait_for_log("free some space there");
        // Those who only chat notice nothing.
        chat(&mut emil, &mut anna);
        anna.send(&contact("late"));
        assert_waits(&anna.expect("</iq>"));
        let status = server.command(&["status"], "");
        let status = String::from_utf8_lossy(&[status.stdout, status.stderr].concat()).into_owned();
        assert!(status.contains("free some space"), "{status}");

        disk.free();
        let freed = Instant::now();
        let well = wait_for(|| {
            anna.send(&contact("after"));
            anna.expect("id='after'");
            anna.expect(">").contains("type='result'").then_some(())
        });
        assert!(well.is_some(), "{:#?}", server.log());
        println!(
            "with ballast {with_ballast}: well {:?} after there was room",
            freed.elapsed()
        );
        // What was lost is forgotten too.
        let mut dora = Client::online(&server, "dora", "secret", "tablet");
        desk.send("<presence><status>well</status></presence>");
        dora.expect("<status>well</status>");
        chat(&mut emil, &mut anna);
        assert!(register(&server, "eve").contains("type='result'"));
        anna.send(&message("carla@chat.test", "after"));
        set_contact(&mut anna, "behind");
        let check = |server: &Server, what: &str| {
            let there = contacts(server, "anna");
            for name in (0..20)
                .map(|number| format!("early{number:02}"))
                .chain(["after", "behind", "last"].map(str::to_owned))
            {
                assert!(
                    there.contains(&name),
                    "{what}: {name} is missing in {there:?}"
                );
            }
            assert!(
                !there.contains(&"late".to_owned()),
                "{what}: it was refused"
            );
            assert!(Client::direct(server).can_log_in("eve", "secret"), "{what}");
        };
        check(&server, "running");
        server.signal("KILL");
        let (_, data, _) = server.wait();
        let server = Server::start_on(data);
        check(&server, "restarted");
        let mut carla = Client::online(&server, "carla", "secret", "tablet");
        let mut waited = String::new();
        while !waited.contains(">after<") {
            waited += &carla.expect("</message>");
        }
        let bodies: Vec<&str> = waited
            .split("<body>")
            .skip(1)
            .map(|rest| &rest[..rest.find("</body>").unwrap().min(7)])
            .collect();
        let early: Vec<String> = (0..20).map(|number| format!("early{number:02}")).collect();
        assert_eq!(bodies[..20], early);
        assert!(
            bodies[20..bodies.len() - 1]
                .iter()
                .all(|body| body.starts_with("late")),
            "{bodies:?}"
        );
        assert_eq!(bodies.last(), Some(&"after"));
    }
}

const OPEN: &str = "[registration]\nmode = \"open\"\n";

fn contact(name: &str) -> String {
    format!(
        "<iq type='set' id='{name}'><query xmlns='jabber:iq:roster'><item jid='{name}@chat.test'/></query></iq>"
    )
}

fn set_contact(client: &mut Client, name: &str) {
    client.send(&contact(name));
    client.expect(&format!("id='{name}'"));
    let outcome = client.expect(">");
    assert!(outcome.contains("type='result'"), "{name}: {outcome}");
}

/// The local parts of a contact list, in order.
fn contacts(server: &Server, name: &str) -> Vec<String> {
    let mut client = Client::direct(server);
    client.log_in_plain(name, "secret");
    client.bind("contacts");
    client.send("<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>");
    let mut names: Vec<String> = client
        .expect("</iq>")
        .split("jid='")
        .skip(1)
        .map(|rest| rest.split('@').next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn message(to: &str, body: &str) -> String {
    format!("<message to='{to}' type='chat'><body>{body}</body></message>")
}

/// Both hear each other.
fn chat(one: &mut Client, other: &mut Client) {
    let say = |from: &mut Client, to: &mut Client, body: &str| {
        from.send(&message(&to.jid, body));
        assert!(to.expect("</message>").contains(&format!(">{body}<")));
    };
    say(one, other, "there");
    say(other, one, "back");
}

/// What a stranger hears who wants an account.
fn register(server: &Server, name: &str) -> String {
    let mut client = Client::direct(server);
    client.send(HEADER);
    client.expect("</stream:features>");
    client.send(&format!("<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>{name}</username><password>secret</password></query></iq>"));
    client.expect("id='register'");
    let head = client.expect(">");
    match head.ends_with("/>") {
        true => head,
        false => head + &client.expect("</iq>"),
    }
}

/// RFC 6120 §8.3.3.18: it may be tried again.
fn assert_waits(error: &str) {
    assert!(
        error.contains("type='error'")
            && error.contains("type='wait'")
            && error.contains("<resource-constraint"),
        "{error}"
    );
}

/// A small disk of its own, or `None`, said aloud, where that is not allowed.
struct Disk(PathBuf);

impl Disk {
    fn new(name: &str) -> Option<Disk> {
        let path = std::env::temp_dir().join(format!("snug-disk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(&path)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Disk(path)),
            other => {
                println!("SKIPPED: a full disk needs a mount, which needs root: {other:?}");
                let _ = std::fs::remove_dir(&path);
                None
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Fills the disk up to this many free bytes.
    fn leave(&self, bytes: u64) {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        let filler = std::fs::File::create(self.0.join("filler")).unwrap();
        let fill = disk.f_bavail * disk.f_frsize - bytes;
        rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, fill).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

// Part 9 of the issue that this was built from: the file that a harness starts the server with, as it stands there.
#[test]
fn the_harness_file_starts_and_serves() {
    let data = std::env::temp_dir().join(format!("snug-harness-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).unwrap();
    let file = r#"
        domain = "chat.test"
        [listen]
        c2s = ["127.0.0.1:15222"]        # STARTTLS
        c2s_tls = ["127.0.0.1:15223"]    # direct TLS
        [registration]
        mode = "open"                    # closed (default), open; "invite" comes later
        [limits]
        stanza_rate = 0                  # 0: no rate limit
        connection_rate = 0
        login_rate = 0
    "#;
    let free = [15222, 15223]
        .iter()
        .all(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let file = if free {
        file.to_owned()
    } else {
        println!(
            "SKIPPED: ports 15222 and 15223, which somebody else has; others take their place"
        );
        file.replace("15222", "0").replace("15223", "0")
    };
    std::fs::write(data.join("snug.toml"), file).unwrap();
    let server = Server::start_on(data);
    if free {
        assert_eq!(
            (server.starttls.port(), server.direct.port()),
            (15222, 15223)
        );
    }
    assert!(register(&server, "anna").contains("type='result'"));
    assert!(register(&server, "ben").contains("type='result'"));
    let mut anna = Client::starttls(&server);
    anna.log_in_scram("SCRAM-SHA-256", "anna", "secret", None);
    anna.bind("laptop");
    let mut ben = Client::online(&server, "ben", "secret", "phone");
    chat(&mut anna, &mut ben);
}

#[test]
fn the_operator_sees_who_is_there_and_sends_them_away() {
    let server = Server::start("operator", "");
    for name in ["anna", "ben"] {
        server.add_user(name, "secret");
    }
    let mut laptop = Client::online(&server, "anna", "secret", "laptop");
    let mut phone = Client::online(&server, "anna", "secret", "phone");
    let mut ben = Client::online(&server, "ben", "secret", "desk");
    let said = |words: &[&str]| {
        let output = server.command(words, "");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json =
        |words: &[&str]| -> serde_json::Value { serde_json::from_str(&said(words)).unwrap() };
    let online = json(&["online", "--json"]);
    let mut there: Vec<&str> = online
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["jid"].as_str().unwrap())
        .collect();
    there.sort_unstable();
    assert_eq!(
        there,
        [
            "anna@chat.test/laptop",
            "anna@chat.test/phone",
            "ben@chat.test/desk"
        ]
    );
    assert!(
        online
            .as_array()
            .unwrap()
            .iter()
            .all(|session| session["address"] == "127.0.0.1"
                && session["priority"] == 0
                && session["tls"]
                    .as_str()
                    .is_some_and(|tls| tls.starts_with("TLS13_"))),
        "{online}"
    );
    let status = json(&["status", "--json"]);
    assert_eq!(
        (
            &status["accounts"],
            &status["sessions"],
            &status["connections"],
            &status["trouble"]
        ),
        (&2.into(), &3.into(), &3.into(), &serde_json::Value::Null)
    );
    assert_eq!(status["domain"], DOMAIN);
    assert!(said(&["status"]).starts_with("domain:"));

    said(&["kick", "anna@chat.test/phone", "--reason", "Update at noon"]);
    let goodbye = phone.expect_end(PATIENCE);
    assert!(
        goodbye.contains("<policy-violation")
            && goodbye.contains("Update at noon")
            && goodbye.ends_with("</stream:stream>"),
        "{goodbye}"
    );
    laptop.send(PING);
    laptop.expect("id='ping'");
    said(&["kick", "anna"]);
    laptop.expect_end(PATIENCE);
    assert!(!is_online(&server, "anna") && is_online(&server, "ben"));
    ben.send(PING);
    ben.expect("id='ping'");
    let nobody = server.command(&["kick", "anna"], "");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("`snug online` shows who is"));
}

#[test]
fn a_reload_holds_for_who_comes_and_a_wrong_file_changes_nothing() {
    let server = Server::start("sighup", "");
    assert!(register(&server, "anna").contains("type='error'"));
    let path = server.data.join("snug.toml");
    let closed = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{closed}{OPEN}")).unwrap();
    server.signal("HUP");
    server.wait_for_log("registration.mode changed");
    assert!(register(&server, "anna").contains("type='result'"));
    let mut anna = Client::online(&server, "anna", "secret", "laptop");
    std::fs::write(&path, format!("{closed}[registration]\nmode = \"ajar\"\n")).unwrap();
    server.signal("HUP");
    server.wait_for_log("the configuration stays as it was");
    assert!(
        server
            .log()
            .iter()
            .any(|line| line.contains("registration.mode") && line.contains("ajar"))
    );
    assert!(register(&server, "ben").contains("type='result'"));
    anna.send(PING);
    anna.expect("id='ping'");
}

#[test]
fn the_trace_tells_every_stage_and_nothing_that_was_said() {
    let server = Server::start_traced("trace");
    for name in ["anna", "ben"] {
        server.add_user(name, "pass-of-all");
    }
    let mut anna = Client::online(&server, "anna", "pass-of-all", "laptop");
    let mut ben = Client::online(&server, "ben", "pass-of-all", "phone");
    let before = server.log().len();
    anna.send("<message to='ben@chat.test' type='chat' id='m1'><subject>sub-ject</subject><body>bo-dy</body></message>");
    ben.expect("</message>");
    server.wait_for_log("route: 1 resources of ben");
    anna.send("<message to='carla@chat.test' type='chat' id='m2'><body>bo-dy</body></message>");
    anna.expect("</message>");
    server.signal("TERM");
    let (_, data, log) = server.wait();
    std::fs::remove_dir_all(data).unwrap();
    println!("{:#?}", &log[before..]);
    let told = log[before..].join("\n");
    for stage in [
        "anna@chat.test/laptop",
        "m1",
        "route: 1 resources of ben",
        "m2",
        "service-unavailable",
    ] {
        assert!(told.contains(stage), "no {stage} in {told}");
    }
    for secret in ["bo-dy", "sub-ject", "pass-of-all", "AGFubmEA"] {
        assert!(
            !log.iter().any(|line| line.contains(secret)),
            "{secret} in {log:#?}"
        );
    }
}
