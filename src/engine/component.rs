//! XEP-0114: programs that bring a host of their own to this server, over a stream that they open. They are trusted to speak for everybody at their host,
//! and for nobody else. What their stanzas may do here is `engine/beyond.rs`.
//!
//! Their content namespace is `jabber:component:accept`: what comes in is read as `jabber:client`, and what goes out is written so that it reads as theirs.

use super::dispatch::{check_head, head};
use super::session::SessionId;
use super::stream::Stage;
use super::{ConnId, Engine, Flow};
use crate::auth::same_in_constant_time;
use crate::xml::{Checked, Document, Header, Scope, escape, written};
use crate::xmpp::stanza::StanzaType;
use crate::xmpp::{
    Condition, IqType, Jid, Kind, PresenceType, Stanza, StanzaError, StreamError, ns,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::rc::Rc;

/// Components that are connected: host and connection. An operator has a few.
pub(super) type Components = Vec<(Rc<str>, ConnId)>;

/// A component that has opened its stream and not shown yet that it knows its secret.
pub struct Opened {
    host: String,
    /// Of our header, which the handshake is made of.
    id: String,
}

impl Engine {
    /// Whether a component of this host is configured, connected or not.
    pub fn is_component(&self, host: &str) -> bool {
        let mut all = self.config.components.iter();
        all.any(|component| component.host == host)
    }

    /// The hosts of components that are connected.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.components.iter().map(|(host, _)| &**host)
    }

    /// Appends a stanza to a component's queue. `write` writes it as for a client.
    pub(super) fn send_to_component(
        &mut self,
        host: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StanzaError> {
        let linked = self.components.iter().find(|(known, _)| **known == *host);
        let Some((_, conn)) = linked else {
            let text = "that service is not connected to this server at the moment";
            return Err(StanzaError::text(Condition::RemoteServerTimeout, text));
        };
        let conn = *conn;
        self.send_with(conn, |out| {
            let from = out.len();
            write(out);
            // Almost nobody names the namespace of a stanza's own children.
            if let Some(renamed) = as_component(&out[from..]) {
                out.truncate(from);
                out.extend_from_slice(renamed.as_bytes());
            }
        });
        Ok(())
    }

    /// §3: a component opens its stream.
    pub(super) fn component_header(&mut self, conn: ConnId, header: &Header<'_>) -> Flow {
        let to = header.to().map(|to| to.into_owned());
        let host = to
            .as_deref()
            .and_then(|to| Jid::parse(to).ok())
            .filter(Jid::is_domain)
            .map(|to| to.domain().to_owned());
        let id = self.random.id();
        let lang = header.lang();
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        stream.open(lang.as_deref());
        let mut text = String::with_capacity(256);
        open_stream(&mut text, &id, host.as_deref());
        self.send(conn, &text);
        if header.ns() != ns::STREAMS || header.default_ns() != ns::COMPONENT {
            return self.end_stream(conn, StreamError::InvalidNamespace, None);
        }
        if header.name() != "stream" {
            return self.end_stream(conn, StreamError::BadFormat, None);
        }
        let Some(host) = host.filter(|host| self.is_component(host)) else {
            let peer = self.stream(conn).map(|stream| stream.peer.to_string());
            log::warn!(
                "a component from {} says that it is {:?}, which is no [[component]] of snug.toml",
                peer.unwrap_or_default(),
                to.unwrap_or_default()
            );
            return self.end_stream(conn, StreamError::HostUnknown, None);
        };
        if let Some(stream) = self.stream_mut(conn) {
            stream.stage = Stage::Linking(Some(Box::new(Opened { host, id })));
        }
        Flow::Continue
    }

    /// §3: it shows that it knows its secret.
    pub(super) fn handshake(&mut self, conn: ConnId, xml: Checked<'_>) -> Flow {
        let root = xml.root();
        if !root.is(ns::COMPONENT, "handshake") {
            return self.end_stream(conn, StreamError::NotAuthorized, None);
        }
        let Some(stream) = self.stream(conn) else {
            return Flow::Close;
        };
        let Stage::Linking(Some(opened)) = &stream.stage else {
            return Flow::Close;
        };
        let (host, peer) = (opened.host.clone(), stream.peer);
        let configured = self.config.components.iter().find(|c| c.host == host);
        let expected = configured.map(|component| hash(&opened.id, component.secret()));
        let shown = root.text();
        let fits = expected.is_some_and(|expected| {
            same_in_constant_time(expected.as_bytes(), shown.trim().as_bytes())
        });
        if !fits {
            log::warn!(
                "a component from {peer} says that it is {host} and does not know the secret; compare its configuration with snug.toml"
            );
            let free = self.config.limits.login_rate;
            let who = format!("component {host}");
            let wait_ms = self.throttle.failed(self.now.mono_ms, peer, &who, free);
            return self.after(conn, wait_ms, move |engine| {
                engine.end_stream(conn, StreamError::NotAuthorized, None)
            });
        }
        // Its older connection may be dead without anybody having heard of it.
        let known = |(known, _): &&(Rc<str>, ConnId)| **known == *host;
        if let Some(older) = self.components.iter().find(known).map(|(_, conn)| *conn) {
            let text = "the component has connected again";
            self.end_stream(older, StreamError::Conflict, Some(text));
        }
        let host: Rc<str> = host.into();
        log::info!("component {host} is connected, from {peer}");
        self.trace(|| format!("component: {host} is who it says"));
        if let Some(stream) = self.stream_mut(conn) {
            stream.stage = Stage::Linked(host.clone());
        }
        self.components.push((host, conn));
        self.send(conn, "<handshake/>");
        // It may send longer stanzas from here on.
        self.pause(conn);
        self.go_on(conn, Flow::Continue);
        Flow::Pause
    }

    /// A component's connection is no more.
    pub(super) fn unlink(&mut self, host: &str, conn: ConnId) {
        self.components.retain(|(_, other)| *other != conn);
        log::info!("component {host} is gone");
        self.end_questions(Some(host));
    }

    /// Components that the configuration does not name any more are ended.
    pub(super) fn end_unknown_components(&mut self) {
        let unknown: Vec<ConnId> = self
            .components
            .iter()
            .filter(|(host, _)| !self.is_component(host))
            .map(|(_, conn)| *conn)
            .collect();
        for conn in unknown {
            self.end_stream(conn, StreamError::HostUnknown, None);
        }
    }

    /// Takes one element of a component's stream.
    pub(super) fn component_element(&mut self, conn: ConnId, host: &str, xml: Checked<'_>) -> Flow {
        let kind = match xml.root().name() {
            "message" => Kind::Message,
            "presence" => Kind::Presence,
            "iq" => Kind::Iq,
            _ => return self.end_stream(conn, StreamError::UnsupportedStanzaType, None),
        };
        if !xml.root().is_in(ns::COMPONENT) {
            return self.end_stream(conn, StreamError::UnsupportedStanzaType, None);
        }
        let Some(document) = as_client(xml) else {
            return self.end_stream(conn, StreamError::BadFormat, None);
        };
        let root = document.root();
        // §3: both addresses must be there, and the sender is somebody at the component's host.
        let (Some(from), Some(to)) = (root.attr("from"), root.attr("to")) else {
            let text = "a component's stanza needs a 'from' and a 'to'";
            return self.end_stream(conn, StreamError::ImproperAddressing, Some(text));
        };
        let Some(from) = Jid::parse(&from).ok().filter(|from| from.domain() == host) else {
            return self.end_stream(conn, StreamError::InvalidFrom, None);
        };
        let to = Jid::parse(&to);
        let malformed = to.is_err();
        let type_value = root.attr("type");
        let stanza_type = StanzaType::parse(kind, type_value.as_deref());
        let stanza = Stanza {
            kind,
            stanza_type: stanza_type.unwrap_or(match kind {
                Kind::Presence => StanzaType::Presence(PresenceType::Available),
                _ => StanzaType::Iq(IqType::Get),
            }),
            from,
            to: to.ok(),
            id: root.attr("id"),
            lang: self.stream(conn).and_then(|stream| stream.lang.clone()),
            xml: document.checked(),
        };
        self.trace(|| head(&stanza, type_value.as_deref()));
        match check_head(&stanza, stanza_type, malformed) {
            Ok(()) => self.take_from_beyond(&stanza),
            Err(error) => self.refuse(SessionId::NOBODY, &stanza, error),
        }
        Flow::Continue
    }

    /// XEP-0199 §4.1: is the program still there?
    pub(super) fn ping_component(&mut self, conn: ConnId, host: &str) {
        let id = self.random.id();
        let text = written(|out| {
            out.start("iq")
                .attr("from", &self.config.domain)
                .attr("to", host)
                .attr("id", &id)
                .attr("type", "get");
            out.start("ping").attr("xmlns", ns::PING).end().end();
        });
        if let Some(stream) = self.stream_mut(conn) {
            stream.pinged = true;
        }
        self.send(conn, &text);
    }
}

/// §3: our header; it says the component's name and no version.
pub(super) fn open_stream(out: &mut String, id: &str, host: Option<&str>) {
    out.push_str("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'");
    for (name, value) in [("id", Some(id)), ("from", host)] {
        if let Some(value) = value {
            out.push(' ');
            out.push_str(name);
            out.push_str("='");
            escape(out, value);
            out.push('\'');
        }
    }
    out.push('>');
}

/// §3: what the handshake says: the hash of the stream's id and the secret behind it, in lower case.
fn hash(id: &str, secret: &str) -> String {
    let mut text = String::with_capacity(id.len() + secret.len());
    text.push_str(id);
    text.push_str(secret);
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// A component's stanza as a client would have sent it.
fn as_client(xml: Checked<'_>) -> Option<Document> {
    let text = xml.root().renamed(ns::COMPONENT, ns::CLIENT);
    Document::parse_within(text, Scope::of_default(ns::CLIENT)).ok()
}

/// A stanza for clients as a component reads it, where that is another text.
fn as_component(xml: &[u8]) -> Option<String> {
    memchr::memmem::find(xml, ns::CLIENT.as_bytes())?;
    let text = std::str::from_utf8(xml).ok()?.to_owned();
    let document = Document::parse_within(text, Scope::of_default(ns::CLIENT)).ok()?;
    let renamed = Document::parse(document.root().renamed(ns::CLIENT, ns::COMPONENT));
    // Two attributes that only their namespaces told apart may be one now, which no parser takes (HOLES 5): then it stays as it was.
    renamed.ok().map(|renamed| renamed.text().to_owned())
}
