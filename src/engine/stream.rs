//! An XML stream (RFC 6120 §4): opened, restarted, closed, timed, and the bytes that go out on it.

use super::component::{self, Opened};
use super::login::Login;
use super::outbox::OutQueue;
use super::session::{Ending, SessionId};
use super::{ConnId, Continuation, Effect, Engine, Flow, Tls};
use crate::limits;
use crate::xml::Writer;
use crate::xml::{Checked, Header, XmlError};
use crate::xmpp::{Jid, StreamError, ns};
use std::net::IpAddr;
use std::rc::Rc;

/// One connection's stream.
pub struct Stream {
    /// The connection.
    pub conn: ConnId,
    /// Where it comes from.
    pub peer: IpAddr,
    /// What TLS told, once it is up.
    pub tls: Option<Box<Tls>>,
    /// Whether TLS came before everything else (XEP-0368).
    pub direct_tls: bool,
    /// How far it is.
    pub stage: Stage,
    /// The language of its stanzas where they name none (RFC 6120 §4.7.4), unless it is the one of our own header.
    pub lang: Option<Rc<str>>,
    pub(super) out: OutQueue,
    /// Whether our header of the present stream is out; an error needs one before it (RFC 6120 §4.9.1.2).
    header_sent: bool,
    pub(super) accepted_ms: u64,
    pub(super) heard_ms: u64,
    /// Whether a ping is out that nothing answered yet.
    pub(super) pinged: bool,
    /// Bytes that it may still send now; below zero it is not read.
    pub(super) credit: i64,
    pub(super) credit_ms: u64,
    /// What is held back until this time: see [`Engine::after`].
    pub(super) delayed: Option<(u64, Continuation<()>)>,
    /// Whether [`Flow::Pause`] was said and [`Effect::Resume`] is owed.
    pub(super) paused: Option<Paused>,
}

/// Why a connection is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// It sent more than its rate.
    Rate,
    /// What it asked for comes first: a key, a commit, or its time.
    Waits,
}

/// The language of our headers and errors.
const LANG: &str = "en";

/// How far a stream is.
pub enum Stage {
    /// A header is expected.
    Opening,
    /// TLS, login and binding.
    Negotiating(Box<Login>),
    /// A resource is bound.
    Bound(SessionId),
    /// A component (XEP-0114) that has not shown who it is; without a header at first.
    Linking(Option<Box<Opened>>),
    /// A component, by its host.
    Linked(Rc<str>),
    /// Its end was sent; nothing more is taken.
    Closed,
}

impl Engine {
    /// A connection's stream.
    pub fn stream(&self, conn: ConnId) -> Option<&Stream> {
        self.streams
            .get(conn.index as usize)?
            .as_ref()
            .filter(|stream| stream.conn == conn)
    }

    /// A connection's stream, to change.
    pub fn stream_mut(&mut self, conn: ConnId) -> Option<&mut Stream> {
        self.streams
            .get_mut(conn.index as usize)?
            .as_mut()
            .filter(|stream| stream.conn == conn)
    }

    /// All streams, logged in or not.
    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.iter().flatten()
    }

    /// What may be sent to a connection now. Give the buffer back with [`Engine::recycle`].
    pub fn take_output(&mut self, conn: ConnId) -> Vec<u8> {
        self.stream_mut(conn)
            .map(|stream| stream.out.take())
            .unwrap_or_default()
    }

    /// Takes a written buffer back, so that the next message needs no new one.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.outbox.recycle(buffer);
    }

    /// Bytes on their way to a connection that the shell did not take yet.
    pub fn queued(&self, conn: ConnId) -> usize {
        self.stream(conn)
            .map(|stream| stream.out.len())
            .unwrap_or(0)
    }

    /// Appends to a connection's queue what is no stanza: headers, features, SASL.
    pub fn send(&mut self, conn: ConnId, text: &str) {
        self.send_with(conn, |out| out.extend_from_slice(text.as_bytes()));
    }

    /// The same for bytes that `write` appends.
    pub(super) fn send_with(&mut self, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        let Engine {
            streams, outbox, ..
        } = self;
        if let Some(stream) = streams
            .get_mut(conn.index as usize)
            .and_then(Option::as_mut)
            .filter(|stream| stream.conn == conn && !matches!(stream.stage, Stage::Closed))
        {
            stream.out.say(outbox, conn, write);
        }
    }

    pub(super) fn accepted(
        &mut self,
        conn: ConnId,
        peer: IpAddr,
        tls: Option<Tls>,
        stage: Stage,
    ) -> Flow {
        let place = conn.index as usize;
        if self.streams.len() <= place {
            self.streams.resize_with(place + 1, || None);
        }
        self.streams[place] = Some(Stream {
            conn,
            peer,
            direct_tls: tls.is_some(),
            tls: tls.map(Box::new),
            stage,
            lang: None,
            out: OutQueue::default(),
            header_sent: false,
            accepted_ms: self.now.mono_ms,
            heard_ms: self.now.mono_ms,
            pinged: false,
            credit: limits::STANZA_BURST_BYTES,
            credit_ms: self.now.mono_ms,
            delayed: None,
            paused: None,
        });
        if self.stopping {
            return self.end_stream(conn, StreamError::SystemShutdown, None);
        }
        Flow::Continue
    }

    pub(super) fn secured(&mut self, conn: ConnId, tls: Tls) -> Flow {
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        stream.tls = Some(Box::new(tls));
        stream.stage = Stage::Opening;
        stream.begin_anew();
        Flow::Restart
    }

    /// RFC 6120 §4.2, §4.7: the peer opens a stream, or opens it again after TLS or SASL.
    pub(super) fn stream_header(&mut self, conn: ConnId, header: &Header<'_>) -> Flow {
        match self.stream(conn).map(|stream| &stream.stage) {
            None | Some(Stage::Closed | Stage::Linked(_)) => return Flow::Close,
            Some(Stage::Linking(_)) => return self.component_header(conn, header),
            Some(_) => {}
        }
        let domain = self.config.domain.clone();
        let id = self.random.id();
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        stream.open(header.lang().as_deref());
        // RFC 6120 §4.7.2: the peer's bare JID, where it said one.
        let from = header.from().unwrap_or_default();
        let from = Jid::parse(&from).ok();
        let mut text = String::with_capacity(1024);
        open_stream(&mut text, &domain, &id, from.as_ref().map(Jid::bare));
        self.send(conn, &text);
        if let Err((error, why)) = check_header(header, &domain) {
            return self.end_stream(conn, error, why);
        }
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        if let Stage::Opening = stream.stage {
            stream.stage = Stage::Negotiating(Box::default());
        }
        self.send_stream_features(conn);
        Flow::Continue
    }

    /// Takes one child of a stream.
    pub(super) fn element(&mut self, conn: ConnId, xml: Checked<'_>) -> Flow {
        self.heard(conn);
        enum To {
            Login,
            Session(SessionId),
            Handshake,
            Component(Rc<str>),
        }
        let to = match self.stream(conn).map(|stream| &stream.stage) {
            Some(Stage::Negotiating(_)) => To::Login,
            Some(Stage::Bound(session)) => To::Session(*session),
            Some(Stage::Linking(Some(_))) => To::Handshake,
            Some(Stage::Linked(host)) => To::Component(host.clone()),
            _ => return Flow::Close,
        };
        // RFC 6120 §4.9.1.1: the peer gave up. There is nothing to add.
        if xml.root().is(ns::STREAMS, "error") {
            return self.close_stream(conn, Ending::Closed, "</stream:stream>");
        }
        let flow = match to {
            To::Login => self.negotiate(conn, xml),
            To::Session(session) => self.dispatch(conn, session, xml),
            To::Handshake => self.handshake(conn, xml),
            To::Component(host) => self.component_element(conn, &host, xml),
        };
        if flow == Flow::Continue {
            self.pay(conn, xml);
            if self
                .stream(conn)
                .is_some_and(|stream| stream.paused.is_some())
            {
                return Flow::Pause;
            }
        }
        flow
    }

    /// Something came: the peer lives.
    pub(super) fn heard(&mut self, conn: ConnId) -> Flow {
        let now = self.now.mono_ms;
        if let Some(stream) = self.stream_mut(conn) {
            stream.heard_ms = now;
            stream.pinged = false;
        }
        Flow::Continue
    }

    /// Charges a stanza to its sender, who is paused if it cannot pay. What reaches many costs more than its bytes.
    fn pay(&mut self, conn: ConnId, xml: Checked<'_>) {
        let rate = u64::from(self.config.limits.stanza_rate);
        let now = self.now.mono_ms;
        let Some(stream) = self.stream_mut(conn).filter(|_| rate > 0) else {
            return;
        };
        let root = xml.root();
        let weight = match root.name() {
            "presence" => 4,
            "iq" if root.attr("type").as_deref() == Some("set") => 4,
            _ => 1,
        };
        stream.refill(now, rate);
        stream.credit -= (xml.text().len() as i64 + 64) * weight;
        if stream.credit < 0 && stream.paused.is_none() {
            stream.paused = Some(Paused::Rate);
        }
    }

    /// RFC 6120 §4.4: the peer closes its stream; ours ends too.
    pub(super) fn footer(&mut self, conn: ConnId) -> Flow {
        self.close_stream(conn, Ending::Closed, "</stream:stream>")
    }

    /// RFC 6120 §4.9: what arrived is not what may arrive.
    pub(super) fn malformed(&mut self, conn: ConnId, error: XmlError) -> Flow {
        let error = match error {
            XmlError::NotWellFormed => StreamError::NotWellFormed,
            // RFC 6120 §11.1.
            XmlError::Restricted => StreamError::RestrictedXml,
            XmlError::BadNamespacePrefix => StreamError::BadNamespacePrefix,
            XmlError::BadEncoding => StreamError::UnsupportedEncoding,
            // RFC 6120 §4.9.3.14 and XEP-0478 §3.
            XmlError::TooLong
            | XmlError::TooManyElements
            | XmlError::TooDeep
            | XmlError::TooManyAttributes => StreamError::PolicyViolation,
        };
        self.end_stream(conn, error, None)
    }

    /// The TCP connection is no more.
    pub(super) fn gone(&mut self, conn: ConnId, why: &str) -> Flow {
        let mut stream = self
            .stream(conn)
            .is_some()
            .then(|| self.streams[conn.index as usize].take())
            .flatten();
        if let Some(stream) = &mut stream
            && let Stage::Bound(session) = stream.stage
        {
            let who = self.session(session).map(|session| session.jid.to_string());
            log::info!("{} is gone: {why}", who.unwrap_or_default());
            self.lose(session, stream.out.part());
        } else if let Some(stream) = &mut stream
            && let Stage::Linked(host) = &stream.stage
        {
            self.unlink(host, conn);
        }
        Flow::Close
    }

    /// Ends a stream with an error (RFC 6120 §4.9.1), and the session on it; but one whose client only was not heard in time is lost, as if its
    /// connection were.
    pub fn end_stream(&mut self, conn: ConnId, error: StreamError, text: Option<&str>) -> Flow {
        let ending = match error {
            StreamError::ConnectionTimeout => Ending::Lost,
            _ => Ending::Closed,
        };
        self.close_with(conn, error, text, ending)
    }

    /// Ends a stream with an error, and what becomes of its session.
    pub(super) fn close_with(
        &mut self,
        conn: ConnId,
        error: StreamError,
        text: Option<&str>,
        ending: Ending,
    ) -> Flow {
        let Some(stream) = self.stream(conn) else {
            return Flow::Close;
        };
        let mut bytes = String::new();
        if !stream.header_sent {
            let for_component = matches!(stream.stage, Stage::Linking(_));
            let id = self.random.id();
            match for_component {
                true => component::open_stream(&mut bytes, &id, None),
                false => open_stream(&mut bytes, &self.config.domain, &id, None),
            }
        }
        error.write(text, &mut Writer::new(&mut bytes));
        bytes.push_str("</stream:stream>");
        self.trace(|| format!("stream error {}", error.name()));
        self.close_stream(conn, ending, &bytes)
    }

    fn close_stream(&mut self, conn: ConnId, ending: Ending, farewell: &str) -> Flow {
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        if matches!(stream.stage, Stage::Closed) {
            return Flow::Close;
        }
        let queue = stream.out.part();
        self.send(conn, farewell);
        self.outbox.push(Effect::Close(conn));
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        // From here on nothing goes out any more, not even what the end of the session says.
        let stage = std::mem::replace(&mut stream.stage, Stage::Closed);
        if let Stage::Bound(session) = stage {
            match ending {
                Ending::Closed => self.end_session(session, ending, queue),
                Ending::Lost => self.lose(session, queue),
            }
        } else if let Stage::Linked(host) = stage {
            self.unlink(&host, conn);
        }
        Flow::Close
    }

    /// RFC 6120 §4.9.3.20: everybody is told, then the shell leaves.
    pub(super) fn shutdown(&mut self) -> Flow {
        self.stopping = true;
        self.tell(|row| row.stopping, |engine, hook| hook(engine));
        let all: Vec<ConnId> = self.streams().map(|stream| stream.conn).collect();
        for conn in all {
            self.end_stream(conn, StreamError::SystemShutdown, None);
        }
        self.end_all_waiting();
        self.keep_departures();
        Flow::Continue
    }
}

impl Stream {
    /// Our header goes out behind the peer's, which names the language of its stanzas.
    pub(super) fn open(&mut self, lang: Option<&str>) {
        self.header_sent = true;
        self.lang = lang.and_then(foreign);
    }

    /// The peer sends a header next, and gets another one of ours.
    pub(super) fn begin_anew(&mut self) {
        self.header_sent = false;
    }

    /// Local part of the account that has logged in, until a resource is bound.
    pub(super) fn account(&self) -> Option<&str> {
        match &self.stage {
            Stage::Negotiating(login) => login.account.as_deref(),
            _ => None,
        }
    }
}

/// What is wrong with a stream header, if anything.
fn check_header(
    header: &Header<'_>,
    domain: &str,
) -> Result<(), (StreamError, Option<&'static str>)> {
    // RFC 6120 §4.8.1, §4.8.2: the content's namespace is the default one, or each stanza names it (the header's own namespace is the
    // default one, or there is none).
    let is_content = matches!(header.default_ns(), ns::CLIENT | ns::STREAMS | "");
    if header.ns() != ns::STREAMS || !is_content {
        return Err((StreamError::InvalidNamespace, None));
    }
    // RFC 6120 §4.9.3.1: the root is called stream.
    if header.name() != "stream" {
        return Err((StreamError::BadFormat, None));
    }
    // RFC 6120 §4.7.5: without a version it is a protocol of before 2004.
    let version = header.version().unwrap_or_default();
    let major = version
        .split_once('.')
        .and_then(|(major, _)| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 1) {
        return Err((StreamError::UnsupportedVersion, None));
    }
    match header.to() {
        None => Err((
            StreamError::ImproperAddressing,
            Some("the stream header needs a 'to'"),
        )),
        Some(to) if Jid::parse(&to).is_ok_and(|to| to.as_str() == domain) => Ok(()),
        Some(_) => Err((StreamError::HostUnknown, None)),
    }
}

/// A language that our own header does not say already. What cannot be one (BCP 47) is left out: it goes into every stanza.
fn foreign(lang: &str) -> Option<Rc<str>> {
    let is_tag = (1..=35).contains(&lang.len())
        && lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_tag && !lang.eq_ignore_ascii_case(LANG)).then(|| lang.into())
}

/// RFC 6120 §4.7: our header.
fn open_stream(out: &mut String, domain: &str, id: &str, to: Option<&str>) {
    out.push_str("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'");
    for (name, value) in [
        ("xml:lang", Some(LANG)),
        ("id", Some(id)),
        ("from", Some(domain)),
        ("to", to),
    ] {
        if let Some(value) = value {
            out.push(' ');
            out.push_str(name);
            out.push_str("='");
            crate::xml::escape(out, value);
            out.push('\'');
        }
    }
    out.push('>');
}
