//! An XMPP client on a blocking socket: TLS, registration, login, roster, presence. Certificates are not
//! checked (the servers under test make their own) and sessions are never resumed: every login is a whole handshake.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::scram::{Exchange, Hash, KeyCache};
use crate::server::Server;
use crate::splitter::Splitter;

/// The domain that every server under test serves.
pub const DOMAIN: &str = "chat.test";

/// No answer of a server may take longer than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How a client comes to TLS.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Way {
    StartTls,
    DirectTls,
}

/// A user of the server under test; its password is its name.
pub struct Account {
    pub name: String,
    keys: KeyCache,
}

impl Account {
    /// The account with this number; the name is the same in every run.
    pub fn new(number: usize) -> Account {
        Account {
            name: format!("load{number:04}"),
            keys: KeyCache::default(),
        }
    }

    /// The bare JID.
    pub fn jid(&self) -> String {
        format!("{}@{DOMAIN}", self.name)
    }
}

/// A connection to a server under test.
pub struct Client {
    /// Blocking until a scenario decides otherwise.
    pub socket: TcpStream,
    /// None before STARTTLS.
    pub tls: Option<Box<ClientConnection>>,
    splitter: Splitter,
    /// What the server has offered last.
    pub features: String,
}

impl Client {
    /// A TLS connection with nothing in it.
    pub fn tls(address: SocketAddr) -> Result<Client, String> {
        let mut client = Client::plain(address)?;
        client.handshake(&DIRECT_TLS)?;
        Ok(client)
    }

    /// A TCP connection with nothing in it.
    pub fn plain(address: SocketAddr) -> Result<Client, String> {
        let socket = TcpStream::connect(address)
            .map_err(|error| format!("connect to {address}: {error}"))?;
        let prepared = socket
            .set_nodelay(true)
            .and_then(|()| socket.set_read_timeout(Some(ANSWER_WITHIN)))
            .and_then(|()| socket.set_write_timeout(Some(ANSWER_WITHIN)));
        prepared.map_err(|error| format!("set up a socket: {error}"))?;
        Ok(Client {
            socket,
            tls: None,
            splitter: Splitter::default(),
            features: String::new(),
        })
    }

    /// An XMPP stream under TLS, before login; and the features that it offers.
    pub fn stream(server: &Server, way: Way) -> Result<(Client, String), String> {
        match way {
            Way::DirectTls => {
                let mut client = Client::tls(server.tls)?;
                let features = client.open_stream()?;
                Ok((client, features))
            }
            Way::StartTls => {
                let mut client = Client::plain(server.plain)?;
                client.open_stream()?;
                client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
                client.expect("<proceed")?;
                client.splitter.clear();
                client.handshake(&STARTTLS)?;
                let features = client.open_stream()?;
                Ok((client, features))
            }
        }
    }

    /// A session: stream, login, resource, roster, available.
    pub fn session(
        server: &Server,
        way: Way,
        hash: Hash,
        account: &Account,
    ) -> Result<Client, String> {
        Client::session_as(server, way, hash, account, "load")
    }

    /// The same with a resource of one's own.
    pub fn session_as(
        server: &Server,
        way: Way,
        hash: Hash,
        account: &Account,
        resource: &str,
    ) -> Result<Client, String> {
        let (mut client, features) = Client::stream(server, way)?;
        client.login(&features, hash, account, resource)?;
        client.query(
            "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
            "roster",
        )?;
        client.send("<presence/>")?;
        // RFC 6121 §4.2.2: the own presence comes back. What was kept for the account may come before it.
        loop {
            let piece = client.next()?;
            if piece.starts_with("<presence") {
                return Ok(client);
            }
            if piece.starts_with("<stream:error") {
                return Err(format!("the server ended the stream: {piece}"));
            }
        }
    }

    /// XEP-0077: makes the account on a stream before login. An account that is there already is fine.
    pub fn register(&mut self, account: &Account) -> Result<(), String> {
        let name = &account.name;
        let fields = format!("<username>{name}</username><password>{name}</password>");
        self.send(&format!(
            "<iq type='set' id='register'><query xmlns='jabber:iq:register'>{fields}</query></iq>"
        ))?;
        let answer = self.expect("<iq")?;
        if is_result(&answer, "register") || answer.contains("<conflict") {
            return Ok(());
        }
        Err(format!("registration of {name} was refused: {answer}"))
    }

    /// SASL and resource binding.
    pub fn login(
        &mut self,
        features: &str,
        hash: Hash,
        account: &Account,
        resource: &str,
    ) -> Result<(), String> {
        let mechanism = hash.mechanism();
        if !features.contains(&format!(">{mechanism}<")) {
            return Err(format!("the server offers no {mechanism}: {features}"));
        }
        let exchange = Exchange::new(hash, &account.name)?;
        let first = BASE64.encode(exchange.first());
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{first}</auth>"
        ))?;
        let challenge = decode(&self.expect("<challenge")?)?;
        let (last, proof) = exchange.answer(&challenge, &account.name, &account.keys)?;
        let last = BASE64.encode(last);
        self.send(&format!(
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{last}</response>"
        ))?;
        if decode(&self.expect("<success")?)? != proof {
            return Err("the server does not know the password's keys".into());
        }
        self.features = self.open_stream()?;
        let bind = format!(
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>"
        );
        self.query(&format!("<iq type='set' id='bind'>{bind}</iq>"), "bind")?;
        Ok(())
    }

    /// XEP-0198 §3: asks for acknowledgements from here on; false: the server has none.
    pub fn enable_acks(&mut self) -> Result<bool, String> {
        if !self.features.contains("urn:xmpp:sm:3") {
            return Ok(false);
        }
        self.send("<enable xmlns='urn:xmpp:sm:3'/>")?;
        loop {
            let piece = self.next()?;
            if piece.starts_with("<enabled") {
                return Ok(true);
            }
            if piece.starts_with("<failed") || piece.starts_with("<stream:error") {
                return Err(format!("stream management was refused: {piece}"));
            }
        }
    }

    /// Sends an IQ and waits for its result; what comes before it is skipped.
    pub fn query(&mut self, iq: &str, id: &str) -> Result<String, String> {
        self.send(iq)?;
        loop {
            let answer = self.next()?;
            if is_result(&answer, id) {
                return Ok(answer);
            }
            if answer.contains("type='error'")
                || answer.contains("type=\"error\"")
                || answer.starts_with("<stream:error")
            {
                return Err(format!("{iq} was refused: {answer}"));
            }
        }
    }

    /// Ends the stream and the connection, and waits until the server has done so too.
    pub fn close(mut self, is_stream: bool) {
        if is_stream && self.send("</stream:stream>").is_err() {
            return;
        }
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        // A server that is quicker to close than we are to say goodbye is not at fault. The end of TLS alone is not
        // enough for ejabberd: it waits for that of TCP.
        if self.flush().is_ok() && self.socket.shutdown(Shutdown::Write).is_ok() {
            while self.fill().is_ok() {}
        }
    }

    /// Sends a stream header and returns the features.
    pub fn open_stream(&mut self) -> Result<String, String> {
        let namespaces = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' {namespaces}>"
        ))?;
        self.expect("<stream:stream")?;
        self.expect("<stream:features")
    }

    /// Sends text as it is.
    pub fn send(&mut self, text: &str) -> Result<(), String> {
        let sent = match &mut self.tls {
            Some(tls) => tls.writer().write_all(text.as_bytes()),
            None => self.socket.write_all(text.as_bytes()),
        };
        sent.and_then(|()| self.flush())
            .map_err(|error| format!("send: {error}"))
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
    }

    /// The next piece, which must begin with `start`.
    fn expect(&mut self, start: &str) -> Result<String, String> {
        let piece = self.next()?;
        if piece.starts_with(start) {
            return Ok(piece);
        }
        Err(format!("expected {start}…, the server sent {piece}"))
    }

    /// The next piece of the stream.
    pub fn next(&mut self) -> Result<String, String> {
        loop {
            if let Some(piece) = self.splitter.next() {
                return Ok(piece);
            }
            self.fill().map_err(|error| format!("receive: {error}"))?;
        }
    }

    /// Reads at least one byte of the stream into the splitter.
    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 8192];
        loop {
            let Some(tls) = &mut self.tls else {
                let count = self.socket.read(&mut bytes)?;
                self.splitter.push(&bytes[..count]);
                return if count == 0 {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(())
                };
            };
            match tls.reader().read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.splitter.push(&bytes[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            self.flush()?;
        }
    }

    fn handshake(&mut self, config: &Arc<ClientConfig>) -> Result<(), String> {
        let name = ServerName::try_from(DOMAIN).map_err(|error| error.to_string())?;
        let tls = ClientConnection::new(config.clone(), name).map_err(|error| error.to_string())?;
        let mut tls = Box::new(tls);
        while tls.is_handshaking() {
            tls.complete_io(&mut self.socket)
                .map_err(|error| format!("TLS handshake: {error}"))?;
        }
        self.tls = Some(tls);
        self.flush()
            .map_err(|error| format!("TLS handshake: {error}"))
    }
}

/// Whether this is the result of the IQ with this id.
pub fn is_result(answer: &str, id: &str) -> bool {
    let head = answer.split('>').next().unwrap_or("");
    let has = |name: &str, value: &str| {
        head.contains(&format!(" {name}='{value}'"))
            || head.contains(&format!(" {name}=\"{value}\""))
    };
    head.starts_with("<iq") && has("type", "result") && has("id", id)
}

/// The base64 text of a SASL element, decoded.
fn decode(element: &str) -> Result<String, String> {
    let text = element
        .split('>')
        .nth(1)
        .and_then(|rest| rest.split('<').next())
        .unwrap_or("");
    let bytes = BASE64
        .decode(text)
        .map_err(|error| format!("{element}: {error}"))?;
    String::from_utf8(bytes).map_err(|error| format!("{element}: {error}"))
}

/// After STARTTLS: no ALPN.
static STARTTLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| Arc::new(tls_config(Vec::new())));
/// XEP-0368 §4: direct TLS names its protocol.
static DIRECT_TLS: LazyLock<Arc<ClientConfig>> =
    LazyLock::new(|| Arc::new(tls_config(vec![b"xmpp-client".to_vec()])));

fn tls_config(alpn: Vec<Vec<u8>>) -> ClientConfig {
    // One suite and one group, those that OpenSSL and rustls choose by themselves: so all servers do the same work.
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![kx_group::X25519],
        ..rustls::crypto::ring::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a TLS 1.3 suite for TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = alpn;
    config
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
