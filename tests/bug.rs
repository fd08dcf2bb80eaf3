//! A bug of ours, put in on purpose: it ends the connection that found it, or the request, and nothing else (HOLES row 35).

#[path = "common/client.rs"]
mod client;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

use client::{Client, HEADER};
use server::{PATIENCE, wait_for};
use snug::config::Config;
use snug::engine::feature::Feature;
use snug::engine::{ConnId, Engine, Flow, Moment, Random, Setup, Trace};
use snug::store::Store;
use snug::xml::Checked;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;

/// Panics at `<boom/>`, before and after anything else was done for that element.
static BUGGY: &[Feature] = &[Feature {
    spec: "bug",
    title: "Bug",
    before_login: Some(boom),
    ..Feature::NONE
}];

fn boom(_: &mut Engine, _: ConnId, xml: Checked<'_>) -> Option<Flow> {
    assert!(
        xml.root().name() != "boom",
        "this bug is a part of the test"
    );
    None
}

fn control(engine: &mut Engine, call: u64, line: &str) {
    assert!(line != "boom", "this bug is a part of the test");
    engine.reply(call, format!("heard {line}"));
}

fn build(config: Config, store: Store, now: Moment, trace: Option<Trace>) -> Engine {
    let mut last = 0u8;
    let random = Random::new(move |bytes| {
        bytes.fill_with(|| {
            last = last.wrapping_add(1);
            last
        })
    });
    Engine::new(
        Setup {
            config,
            store,
            features: BUGGY,
            control,
            random,
            trace,
        },
        now,
    )
}

#[test]
fn a_bug_ends_one_connection() {
    snug::net::log::install(log::LevelFilter::Info, false);
    let data = std::env::temp_dir().join(format!("snug-bug-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).unwrap();
    // This server has no log that a test could read its port from.
    let free = || {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (starttls, direct): (SocketAddr, SocketAddr) = (free(), free());
    let text = format!(
        "domain = \"chat.test\"\n[listen]\nc2s = [\"{starttls}\"]\nc2s_tls = [\"{direct}\"]\n"
    );
    let config = Config::parse(&text, &data.join("snug.toml"), &data).unwrap();
    let server = std::thread::spawn(move || {
        snug::net::run(config, snug::net::RunOptions { trace: false }, build)
    });
    wait_for(|| std::net::TcpStream::connect(direct).ok()).expect("the server listens");

    let connect = || {
        let mut client = Client::tcp(direct).secured(&data, rustls::ALL_VERSIONS, &[]);
        client.send(HEADER);
        client.expect("</stream:features>");
        client
    };
    let mut innocent = connect();
    for _ in 0..3 {
        let mut unlucky = connect();
        unlucky.send("<boom xmlns='urn:test'/>");
        assert!(!unlucky.expect_end(PATIENCE).contains("</stream:stream>"));
    }
    innocent.send("</stream:stream>");
    assert!(innocent.expect_end(PATIENCE).contains("</stream:stream>"));

    let ask = |line: &str| -> String {
        let mut stream = UnixStream::connect(data.join("control.sock")).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_millis(500)))
            .unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert_eq!(ask("boom"), "");
    assert_eq!(ask("hello"), "heard hello\n");

    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(server.join().expect("the server did not panic"), Ok(()));
    std::fs::remove_dir_all(&data).unwrap();
}
