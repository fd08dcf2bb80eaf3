//! What waits for a client that nobody looks at (XEP-0352).
//!
//! The rule: such a client gets what it would have got anyway, in the same order, with some of it left out. Of the presence of one full JID only the last
//! is left, and of who came and went meanwhile nothing; of typing nothing. Whatever else there is goes at once, and what waits goes before it, in the
//! same write: so whoever writes is shown as available before the message, and the radio is woken once.
//!
//! Who came and went: the first presence that waits tells whether the client was shown this full JID as available. Where it says that it comes
//! ([`Change::Comes`]), the client was not, and a going that follows says nothing new. In any other case the going is sent, also of who came
//! back in between. The client's own going is what matters: presence of others ends with it.

use super::Engine;
use super::delivery::{Change, Delivery, Worth};
use super::session::SessionId;
use crate::limits;

/// What waits for one client.
#[derive(Default)]
pub struct Inactivity {
    /// In the order in which it goes; each full JID once.
    waiting: Vec<Waiting>,
    /// What all that costs in memory.
    bytes: usize,
}

/// The last presence of a full JID.
struct Waiting {
    of: Box<str>,
    /// Whether the client was not shown this full JID before.
    came: bool,
    xml: Vec<u8>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        size_of::<Waiting>() + self.of.len() + self.xml.capacity()
    }

    /// The bare JID that it comes from.
    fn source(&self) -> &str {
        self.of.split('/').next().unwrap_or_default()
    }
}

impl Engine {
    /// Nobody looks at a client any more (XEP-0352 §4.2).
    pub fn set_inactive(&mut self, id: SessionId) {
        if let Some(session) = self.session_mut(id) {
            session.inactive.get_or_insert_default();
        }
    }

    /// Somebody looks at a client again, or its stream was resumed (XEP-0352 §4.2, §5.2): what waits goes now, before whatever follows (§5.1).
    pub fn set_active(&mut self, id: SessionId) {
        self.send_waiting(id);
        self.forget_waiting(id);
    }

    /// Drops what waits for a client; from now on it is active.
    pub fn forget_waiting(&mut self, id: SessionId) {
        let inactive = self.session_mut(id).and_then(|s| s.inactive.take());
        self.waiting_bytes -= inactive.map_or(0, |inactive| inactive.bytes);
    }

    /// Decides whether a stanza goes now: gives its `write` back then, and else keeps what it writes, or drops it.
    pub(super) fn put_off<W: FnOnce(&mut Vec<u8>)>(
        &mut self,
        to: SessionId,
        delivery: &Delivery<'_>,
        write: W,
    ) -> Option<W> {
        let Some(there) = self.session(to).filter(|to| to.inactive.is_some()) else {
            return Some(write);
        };
        // From here on nobody tells it of others: what waits would be out of date when it is available again.
        let leaves = delivery.worth == Worth::Presence(there.jid.as_str(), Change::Goes);
        let wanted = &self.config.inactive;
        // What waits for a commit does so in the queue, where the commit finds it.
        let committed = delivery.ticket.is_none_or(|ticket| ticket <= self.done);
        match delivery.worth {
            Worth::Probe => return Some(write),
            Worth::Passing if wanted.drop_typing => {
                self.trace(|| "client state: dropped, for nobody looks".to_owned());
                return None;
            }
            Worth::Presence(of, change) if wanted.collapse_presence && committed && !leaves => {
                self.keep_waiting(to, of, change, write);
                return None;
            }
            _ => {}
        }
        self.send_waiting(to);
        Some(write)
    }

    fn keep_waiting(
        &mut self,
        to: SessionId,
        of: &str,
        change: Change,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let all = self.waiting_bytes;
        let Some(inactive) = self.session_mut(to).and_then(|s| s.inactive.as_deref_mut()) else {
            return;
        };
        let before = inactive.bytes;
        let place = inactive.waiting.iter().position(|known| *known.of == *of);
        let mut last = match place {
            Some(place) => inactive.waiting.remove(place),
            None => Waiting {
                of: of.into(),
                came: change == Change::Comes,
                xml: Vec::new(),
            },
        };
        if place.is_some() {
            inactive.bytes -= last.bytes();
        }
        let came_and_went = last.came && change == Change::Goes;
        if !came_and_went {
            last.xml.clear();
            write(&mut last.xml);
            inactive.bytes += last.bytes();
            inactive.waiting.push(last);
        }
        let bytes = inactive.bytes;
        let all = all - before + bytes;
        self.waiting_bytes = all;
        self.trace(|| format!("client state: presence of {of} waits, {bytes} bytes do"));
        if bytes > limits::INACTIVE_BYTES || all > limits::INACTIVE_TOTAL_BYTES {
            self.send_waiting(to);
        }
    }

    fn send_waiting(&mut self, to: SessionId) {
        let Some(inactive) = self.session_mut(to).and_then(|s| s.inactive.as_deref_mut()) else {
            return;
        };
        let Inactivity { waiting, bytes } = std::mem::take(inactive);
        self.waiting_bytes -= bytes;
        for last in waiting {
            self.deliver(to, Delivery::of(last.source()), |out| {
                out.extend_from_slice(&last.xml)
            });
        }
    }
}
