//! Stanzas on their way to a session: in which order, behind which commit, and what they are worth to a client that sleeps.

use super::Engine;
use super::content;
use super::outbox::SEVERAL;
use super::session::SessionId;
use super::stream::Stage;
use crate::store::Ticket;
use crate::xmpp::{Kind, PresenceType, Stanza, StreamError};

/// How a stanza goes to a session.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The bare JID that it comes from: what one source sends arrives in order, also where a part of it waits for its commit. Empty for several at once.
    pub source: &'a str,
    /// The commit that it waits for.
    pub ticket: Option<Ticket>,
    /// What it is worth to a client that nobody looks at.
    pub worth: Worth<'a>,
}

/// What a stanza is worth to a client that nobody looks at (XEP-0352 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth<'a> {
    /// It is wanted now.
    Now,
    /// How the owner of this full JID is: only the last one matters.
    Presence(&'a str),
    /// Somebody types: soon nobody wants to know.
    Passing,
}

impl<'a> Delivery<'a> {
    /// From this bare JID, at once.
    pub const fn of(source: &'a str) -> Delivery<'a> {
        Delivery {
            source,
            ticket: None,
            worth: Worth::Now,
        }
    }

    /// From several at once: it waits behind everything that waits, and everything waits behind it.
    pub const fn of_several() -> Delivery<'static> {
        Delivery::of("")
    }

    /// Behind this commit, if there is one.
    pub fn behind(self, ticket: Option<Ticket>) -> Delivery<'a> {
        Delivery { ticket, ..self }
    }

    /// It says how the owner of this full JID is.
    pub fn presence(self, of: &'a str) -> Delivery<'a> {
        Delivery {
            worth: Worth::Presence(of),
            ..self
        }
    }
}

impl<'a> Worth<'a> {
    /// What a stanza that somebody sent is worth.
    pub fn of(stanza: &'a Stanza<'_>) -> Worth<'a> {
        match (stanza.kind, stanza.presence_type()) {
            (Kind::Message, _) if content::is_typing(stanza.xml.root()) => Worth::Passing,
            (_, Some(PresenceType::Available | PresenceType::Unavailable)) => {
                Worth::Presence(stanza.from.as_str())
            }
            _ => Worth::Now,
        }
    }
}

impl Engine {
    /// Sends a stanza to a session, which `write` appends to its queue.
    pub fn deliver(
        &mut self,
        to: SessionId,
        delivery: Delivery<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(conn) = self.session(to).map(|session| session.conn) else {
            return;
        };
        let ticket = delivery.ticket.filter(|ticket| *ticket > self.done);
        let Engine {
            streams, outbox, ..
        } = self;
        let Some(stream) = streams
            .get_mut(conn.index as usize)
            .and_then(Option::as_mut)
            .filter(|stream| stream.conn == conn)
        else {
            return;
        };
        if matches!(stream.stage, Stage::Closed) {
            return;
        }
        let source = if delivery.source.is_empty() {
            SEVERAL
        } else if ticket.is_some() || stream.out.waits() {
            hash(delivery.source)
        } else {
            0
        };
        stream.out.append(outbox, conn, source, ticket, write);
    }

    /// A commit is done: what waited for it goes, or, where it failed, the streams end that were to acknowledge what is lost.
    pub(super) fn release_held(&mut self, ticket: Ticket, fine: bool) {
        let Engine {
            streams, outbox, ..
        } = self;
        let mut untrue = Vec::new();
        for stream in streams
            .iter_mut()
            .flatten()
            .filter(|stream| stream.out.waits())
        {
            if !stream.out.release(outbox, stream.conn, ticket, fine) {
                untrue.push(stream.conn);
            }
        }
        for conn in untrue {
            self.end_stream(
                conn,
                StreamError::ResourceConstraint,
                Some("what you sent could not be stored"),
            );
        }
    }
}

fn hash(source: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    // Zero stands for what has no source.
    hasher.finish() | 1
}
