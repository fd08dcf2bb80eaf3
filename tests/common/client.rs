//! A blocking XMPP client on TCP and rustls that sends and expects text. It trusts only the server's own CA.
#![allow(dead_code)] // each test binary uses a part of it

use super::scram;
use super::server::{DOMAIN, PATIENCE, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Opens a stream.
pub const HEADER: &str = "<?xml version='1.0'?><stream:stream to='chat.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
/// Asks for TLS.
pub const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// One connection.
pub struct Client {
    wire: Wire,
    /// What arrived and was not expected yet.
    pub unread: String,
    /// Its full JID, once it is bound.
    pub jid: String,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// TCP alone.
    pub fn tcp(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).expect("the server accepts");
        Client::on(socket)
    }

    /// On a socket of one's own.
    pub fn on(socket: TcpStream) -> Client {
        socket.set_nodelay(true).expect("a TCP socket");
        Client {
            wire: Wire::Plain(socket),
            unread: String::new(),
            jid: String::new(),
        }
    }

    /// Direct TLS, with ALPN as XEP-0368 wants it.
    pub fn direct(server: &Server) -> Client {
        Client::tcp(server.direct).secured(&server.data, rustls::ALL_VERSIONS, &[b"xmpp-client"])
    }

    /// STARTTLS, with a new stream under it.
    pub fn starttls(server: &Server) -> Client {
        let mut client = Client::tcp(server.starttls);
        client.send(HEADER);
        client.expect("</stream:features>");
        client.send(STARTTLS);
        client.expect("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        client.secured(&server.data, rustls::ALL_VERSIONS, &[])
    }

    /// Does the handshake with a server of this data directory; panics where it fails.
    pub fn secured(
        self,
        data: &Path,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> Client {
        let Wire::Plain(mut socket) = self.wire else {
            panic!("TLS is there already")
        };
        let mut session = session(data, versions, alpn);
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a TCP socket");
        while session.is_handshaking() {
            session.complete_io(&mut socket).expect("a TLS handshake");
        }
        Client {
            wire: Wire::Tls(Box::new(StreamOwned::new(session, socket))),
            unread: String::new(),
            jid: String::new(),
        }
    }

    /// Direct TLS, login, binding and initial presence.
    pub fn online(server: &Server, user: &str, password: &str, resource: &str) -> Client {
        let mut client = Client::direct(server);
        client.log_in_plain(user, password);
        client.bind(resource);
        client.send("<presence/>");
        client.expect("<presence");
        client.expect("/>");
        client
    }

    /// Logs in with PLAIN and opens the next stream.
    pub fn log_in_plain(&mut self, user: &str, password: &str) {
        self.send(HEADER);
        self.expect("</stream:features>");
        self.send_plain(user, password);
        self.expect("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        self.send(HEADER);
        self.expect("</stream:features>");
    }

    fn send_plain(&mut self, user: &str, password: &str) {
        let message = STANDARD.encode(format!("\0{user}\0{password}"));
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>"
        ));
    }

    /// Logs in with SCRAM and opens the next stream. `binding`: the type of channel binding and its data.
    pub fn log_in_scram(
        &mut self,
        mechanism: &str,
        user: &str,
        password: &str,
        binding: Option<(&str, &[u8])>,
    ) {
        self.send(HEADER);
        self.expect("</stream:features>");
        let mut scram = scram::Client::new(mechanism, user, password, "a-nonce-of-the-client");
        if let Some((kind, data)) = binding {
            scram = scram.bound_to(kind, data);
        }
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{}</auth>",
            STANDARD.encode(scram.first())
        ));
        let challenge = self.expect_between(
            "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>",
            "</challenge>",
        );
        let answer = scram.answer(&decoded(&challenge)).expect("a challenge");
        self.send(&format!(
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>",
            STANDARD.encode(answer)
        ));
        let last = self.expect_between(
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>",
            "</success>",
        );
        scram
            .check(&decoded(&last))
            .expect("the server has the keys");
        self.send(HEADER);
        self.expect("</stream:features>");
    }

    /// Binds a resource.
    pub fn bind(&mut self, resource: &str) {
        self.send(&format!("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"));
        self.jid = self.expect_between("<jid>", "</jid>");
        self.expect("</iq>");
    }

    /// The TLS session.
    pub fn session(&self) -> &ClientConnection {
        match &self.wire {
            Wire::Tls(stream) => &stream.conn,
            Wire::Plain(_) => panic!("there is no TLS yet"),
        }
    }

    /// Sends this; panics where the server does not take it.
    pub fn send(&mut self, text: &str) {
        self.try_send(text.as_bytes()).expect("the server takes it");
    }

    /// Sends these bytes.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.wire {
            Wire::Plain(socket) => socket.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Reads until this came, and gives all up to its end; what follows stays unread.
    pub fn expect(&mut self, end: &str) -> String {
        let late = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unread.find(end) {
                let rest = self.unread.split_off(at + end.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            assert!(
                Instant::now() < late,
                "no {end:?} came, but {:?}",
                self.unread
            );
            assert!(
                self.read(PATIENCE),
                "the server hung up before {end:?}; there came {:?}",
                self.unread
            );
        }
    }

    /// Reads until the first of these came, and gives all up to its end.
    pub fn expect_one_of(&mut self, ends: &[&str]) -> String {
        let late = Instant::now() + PATIENCE;
        loop {
            let first = ends
                .iter()
                .filter_map(|end| self.unread.find(end).map(|at| at + end.len()))
                .min();
            if let Some(length) = first {
                let rest = self.unread.split_off(length);
                return std::mem::replace(&mut self.unread, rest);
            }
            assert!(
                Instant::now() < late && self.read(PATIENCE),
                "none of {ends:?} came, but {:?}",
                self.unread
            );
        }
    }

    /// Like [`Client::expect`], but the end of the connection is `None`.
    pub fn try_expect(&mut self, end: &str) -> Option<String> {
        self.expect_end_or(end).then(|| self.expect(end))
    }

    /// Whether PLAIN takes these.
    pub fn can_log_in(&mut self, user: &str, password: &str) -> bool {
        self.send(HEADER);
        self.expect("</stream:features>");
        self.send_plain(user, password);
        self.expect("xmlns='urn:ietf:params:xml:ns:xmpp-sasl'")
            .contains("<success")
    }

    /// Reads until `start` and then `end` came, and gives what is between.
    pub fn expect_between(&mut self, start: &str, end: &str) -> String {
        self.expect(start);
        let mut text = self.expect(end);
        text.truncate(text.len() - end.len());
        text
    }

    /// Reads to the end of the connection and gives everything; panics where it does not end.
    pub fn expect_end(&mut self, patience: Duration) -> String {
        let late = Instant::now() + patience;
        while self.read(
            late.saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1)),
        ) {
            assert!(
                Instant::now() < late,
                "the connection goes on; there came {:?}",
                self.unread
            );
        }
        std::mem::take(&mut self.unread)
    }

    /// Reads until this came, or to the end of the connection: whether it came.
    pub fn expect_end_or(&mut self, text: &str) -> bool {
        let late = Instant::now() + PATIENCE;
        while !self.unread.contains(text) && Instant::now() < late {
            if !self.read(PATIENCE) {
                break;
            }
        }
        self.unread.contains(text)
    }

    /// Whether nothing comes for so long.
    pub fn is_quiet(&mut self, time: Duration) -> bool {
        let before = self.unread.len();
        self.read(time) && self.unread.len() == before
    }

    /// Reads what comes in this time; `false` at the end of the connection.
    fn read(&mut self, patience: Duration) -> bool {
        let mut part = [0; 16 * 1024];
        let read = match &mut self.wire {
            Wire::Plain(socket) => {
                socket
                    .set_read_timeout(Some(patience))
                    .expect("a TCP socket");
                socket.read(&mut part)
            }
            Wire::Tls(stream) => {
                stream
                    .sock
                    .set_read_timeout(Some(patience))
                    .expect("a TCP socket");
                stream.read(&mut part)
            }
        };
        match read {
            Ok(length) => {
                self.unread.push_str(
                    std::str::from_utf8(&part[..length]).expect("these tests send ASCII only"),
                );
                length > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                true
            }
            Err(_) => false,
        }
    }
}

/// A TLS session that trusts only the CA of this data directory.
pub fn session(
    data: &Path,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(data.join("tls/ca.pem")).expect("the server's CA"))
        .expect("the CA is one");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("these versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    ClientConnection::new(
        Arc::new(config),
        ServerName::try_from(DOMAIN).expect("a name"),
    )
    .expect("a session")
}

fn decoded(base64: &str) -> String {
    String::from_utf8(STANDARD.decode(base64).expect("base64")).expect("text")
}
