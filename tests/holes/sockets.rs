//! What only sockets show of rows 2, 3 and 23; `tests/binary.rs` has 6, 27 and 28.

use crate::host::HEADER;
use crate::server::{self, Server};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn hole_02_strangers_on_sockets() {
    let server = Server::start("hole-02", "");
    let count: usize = std::env::var("SNUG_CONNECTIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(2000);
    let strangers = |count: usize| {
        for number in 0..count {
            let address = if number % 4 == 0 {
                server.direct
            } else {
                server.starttls
            };
            let mut socket = TcpStream::connect(address).expect("the server accepts");
            let garbage: &[u8] = match number % 3 {
                0 => b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n",
                1 => HEADER.as_bytes(),
                _ => b"<?xml version='1.0'?><stream:stream to='",
            };
            // It may have hung up already.
            let _ = socket.write_all(garbage);
        }
    };
    strangers(300);
    let base = settled(&server);
    strangers(count);
    let left = settled(&server).saturating_sub(base);
    println!("{count} strangers left {left} KB");
    assert!(left < 1024, "{count} strangers left {left} KB");
}

#[test]
fn hole_03_half_stanzas_on_sockets() {
    let server = Server::start("hole-03", "");
    let base = settled(&server);
    let count = 200;
    let half = format!(
        "{HEADER}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}",
        "x".repeat(8000)
    );
    let strangers: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut socket = TcpStream::connect(server.starttls).expect("the server accepts");
            socket
                .write_all(half.as_bytes())
                .expect("the server takes it");
            socket
        })
        .collect();
    let each = settled(&server).saturating_sub(base) / count;
    println!("{each} KB for a stranger with half a stanza");
    assert!(each < 24, "{each} KB for a stranger with half a stanza");
    // One byte too many each, and they are gone.
    for mut socket in strangers {
        let _ = socket.write_all(&[b'x'; 200]);
        let mut rest = Vec::new();
        socket
            .set_read_timeout(Some(server::PATIENCE))
            .expect("a TCP socket");
        let _ = socket.read_to_end(&mut rest);
        assert!(
            String::from_utf8_lossy(&rest).contains("<policy-violation "),
            "{}",
            String::from_utf8_lossy(&rest)
        );
    }
}

/// Kilobytes of memory once nothing changes any more.
fn settled(server: &Server) -> u64 {
    let mut last = 0;
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(100));
        let now = server.anonymous_kb();
        if now == last {
            break;
        }
        last = now;
    }
    last
}

#[test]
fn hole_23_old_tls() {
    let server = Server::start("hole-23", "");
    for version in [0u8, 1, 2] {
        // A ClientHello that knows nothing newer than SSL 3.0, TLS 1.0 or 1.1.
        let mut hello = vec![3, version];
        hello.extend([7; 32]);
        hello.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
        let mut record = vec![
            22,
            3,
            version.min(1),
            0,
            (hello.len() + 4) as u8,
            1,
            0,
            0,
            hello.len() as u8,
        ];
        record.extend(&hello);
        let mut socket = TcpStream::connect(server.direct).expect("the server accepts");
        socket
            .set_read_timeout(Some(server::PATIENCE))
            .expect("a TCP socket");
        socket.write_all(&record).expect("the server takes it");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        // At most an alert, never a ServerHello.
        assert!(
            answer.is_empty() || answer[0] == 21,
            "version 3.{version}: {answer:?}"
        );
    }
    // Renegotiation is not in rustls at all; what there is, is 1.2 and 1.3 (`tests/binary.rs`).
}
