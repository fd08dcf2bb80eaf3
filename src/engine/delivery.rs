//! Stanzas on their way to a session: in which order, behind which commit, and what they are worth to a client that sleeps.

use super::Engine;
use super::content;
use super::outbox::{Place, SEVERAL};
use super::session::SessionId;
use super::stream::Stage;
use super::unacked::When;
use crate::limits;
use crate::store::{OfflineKey, Ticket};
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
    /// Where it waits in the store: there it is removed when the client has acknowledged it. Only for a session that does, see
    /// [`Engine::is_managed`].
    pub waiting: Option<OfflineKey>,
    /// When it was handed over first, where that was earlier and to another session.
    pub(super) since: Option<When>,
}

/// What a stanza is worth to a client that nobody looks at (XEP-0352 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth<'a> {
    /// It is wanted now.
    Now,
    /// How the owner of this full JID is: only the last one matters.
    Presence(&'a str, Change),
    /// Somebody types: soon nobody wants to know.
    Passing,
    /// It only asks whether somebody is there: it goes now, and nothing that waits goes with it.
    Probe,
}

/// What a presence says of its owner, seen by who gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is available, and was not shown as available before.
    Comes,
    /// It is available, and perhaps was so before.
    Stays,
    /// It is not available any more.
    Goes,
}

impl<'a> Delivery<'a> {
    /// From this bare JID, at once.
    pub const fn of(source: &'a str) -> Delivery<'a> {
        Delivery {
            source,
            ticket: None,
            worth: Worth::Now,
            waiting: None,
            since: None,
        }
    }

    /// From several at once: it waits behind everything that waits, and everything waits behind it.
    pub const fn of_several() -> Delivery<'static> {
        Delivery::of("")
    }

    /// It is worth this much to a client that nobody looks at.
    pub fn worth(self, worth: Worth<'a>) -> Delivery<'a> {
        Delivery { worth, ..self }
    }

    /// Behind this commit, if there is one.
    pub fn behind(self, ticket: Option<Ticket>) -> Delivery<'a> {
        Delivery { ticket, ..self }
    }

    /// It says how the owner of this full JID is.
    pub fn presence(self, of: &'a str, change: Change) -> Delivery<'a> {
        Delivery {
            worth: Worth::Presence(of, change),
            ..self
        }
    }
}

impl<'a> Worth<'a> {
    /// What a stanza that somebody sent is worth.
    pub fn of(stanza: &'a Stanza<'_>) -> Worth<'a> {
        match (stanza.kind, stanza.presence_type()) {
            (Kind::Message, _) if content::is_typing(stanza.xml.root()) => Worth::Passing,
            // A room says something of the recipient's own stay in it.
            (Kind::Presence, _) if content::is_of_a_stay(stanza.xml.root()) => Worth::Now,
            (_, Some(PresenceType::Available)) => {
                Worth::Presence(stanza.from.as_str(), Change::Stays)
            }
            (_, Some(PresenceType::Unavailable)) => {
                Worth::Presence(stanza.from.as_str(), Change::Goes)
            }
            _ => Worth::Now,
        }
    }
}

impl Engine {
    /// Sends a stanza to a session, which `write` appends to its queue. One that waits for its client gets it when that is back.
    pub fn deliver(
        &mut self,
        to: SessionId,
        delivery: Delivery<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        // XEP-0352: a client that nobody looks at gets some of it later, or never.
        let Some(write) = self.put_off(to, &delivery, write) else {
            return;
        };
        let when = delivery.since.unwrap_or(self.when());
        let ticket = delivery.ticket.filter(|ticket| *ticket > self.done);
        let Engine {
            streams,
            sessions,
            outbox,
            ..
        } = self;
        let session = sessions.get_mut(to.index()).and_then(Option::as_mut);
        let Some(session) = session.filter(|session| session.id() == to) else {
            return;
        };
        session.last_number = when.number;
        let conn = session.conn;
        let queue = match conn {
            Some(conn) => streams
                .get_mut(conn.index as usize)
                .and_then(Option::as_mut)
                .filter(|stream| stream.conn == conn && !matches!(stream.stage, Stage::Closed))
                .map(|stream| &mut stream.out),
            None => session
                .managed
                .as_mut()
                .and_then(|managed| managed.kept_queue_mut()),
        };
        let Some(queue) = queue else { return };
        let source = if delivery.source.is_empty() {
            SEVERAL
        } else if ticket.is_some() || queue.waits() {
            hash(delivery.source)
        } else {
            0
        };
        let place = Place {
            source,
            ticket,
            when,
            waiting: delivery.waiting,
        };
        queue.append(outbox, conn, place, write);
        let full = queue.unacked().map(|unacked| unacked.weight()) > Some(limits::UNACKED_BYTES);
        if full || conn.is_none() {
            self.weigh(to);
        }
    }

    /// A commit is done: what waited for it goes, or, where it failed, the streams end that were to acknowledge what is lost.
    pub(super) fn release_held(&mut self, ticket: Ticket, fine: bool) {
        let (mut untrue, mut grown, mut got) = (Vec::new(), Vec::new(), Vec::new());
        let Engine {
            streams, outbox, ..
        } = self;
        for stream in streams
            .iter_mut()
            .flatten()
            .filter(|stream| stream.out.waits())
        {
            let Stage::Bound(session) = stream.stage else {
                continue;
            };
            grown.push(session);
            // Who does not acknowledge what it gets has got it when it goes.
            let plain = stream.out.unacked().is_none();
            let gone = |number| got.extend(plain.then_some((session, number)));
            let conn = Some(stream.conn);
            if !stream.out.release(outbox, conn, ticket, fine, gone) {
                untrue.push(session);
            }
        }
        for at in 0..self.all_waiting().len() {
            let id = self.all_waiting()[at];
            let Engine {
                sessions, outbox, ..
            } = self;
            let session = sessions.get_mut(id.index()).and_then(Option::as_mut);
            let managed = session.and_then(|session| session.managed.as_mut());
            let queue = managed.and_then(|managed| managed.kept_queue_mut());
            let Some(queue) = queue.filter(|queue| queue.waits()) else {
                continue;
            };
            grown.push(id);
            if !queue.release(outbox, None, ticket, fine, |_| {}) {
                untrue.push(id);
            }
        }
        for (session, number) in got {
            self.tell_others(session, number);
        }
        for id in grown {
            self.weigh(id);
        }
        for id in untrue {
            let text = "what you sent could not be stored";
            self.dismiss(id, StreamError::ResourceConstraint, text);
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
