//! What the engine wants done: effects in order, and each connection's bytes on their way out.

use super::unacked::{Unacked, When};
use super::{ConnId, Effect};
use crate::store::{OfflineKey, Ticket};
use std::collections::VecDeque;

/// Effects in the order in which they were wanted, and spare buffers.
#[derive(Default)]
pub struct Outbox {
    effects: VecDeque<Effect>,
    spare: VecDeque<Vec<u8>>,
    /// What the spare buffers take in memory.
    spare_bytes: usize,
    /// The fewest of them that there were since the last second: so many nobody needed.
    unneeded: usize,
}

/// Spare buffers that an idle server keeps: enough for a burst.
const SPARE_BUFFERS: usize = 32;
/// Bytes of all spare buffers; above it the oldest are freed, large ones already above a quarter of it. A message to a room of a thousand needs a
/// buffer for each at once.
const SPARE_BYTES: usize = 1024 * 1024;
/// A buffer that grew above this many bytes is freed rather than kept.
const SPARE_BUFFER_BYTES: usize = 32 * 1024;
/// Bytes of a buffer that has grown for one or two stanzas.
const SMALL_BYTES: usize = 1024;
/// Bytes of a new buffer: most stanzas fit, so that it does not grow piece by piece.
const FRESH_BYTES: usize = 512;

impl Outbox {
    /// Wants something done, after all that was wanted before.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// The next thing to do.
    pub fn pop(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes back a buffer that was written out.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        // Large ones must not take the place of as many small ones as a message to a large room needs at once.
        let most = match bytes {
            0..=SMALL_BYTES => SPARE_BYTES,
            _ => SPARE_BYTES / 4,
        };
        if bytes == 0 || bytes > SPARE_BUFFER_BYTES || self.spare_bytes > most {
            return;
        }
        buffer.clear();
        self.spare_bytes += bytes;
        self.spare.push_back(buffer);
        while self.spare_bytes > SPARE_BYTES
            && let Some(oldest) = self.spare.pop_front()
        {
            self.spare_bytes -= oldest.capacity();
        }
    }

    /// A buffer that was used before, or a new one.
    pub fn spare(&mut self) -> Vec<u8> {
        let Some(buffer) = self.spare.pop_back() else {
            return Vec::with_capacity(FRESH_BYTES);
        };
        self.spare_bytes -= buffer.capacity();
        self.unneeded = self.unneeded.min(self.spare.len());
        buffer
    }

    /// A second passed: of the buffers that nobody needed meanwhile some are freed, the oldest first.
    pub fn shrink(&mut self) {
        let all = self.spare.len();
        let excess = self.unneeded.min(all).saturating_sub(SPARE_BUFFERS);
        for buffer in self.spare.drain(..excess.div_ceil(4)) {
            self.spare_bytes -= buffer.capacity();
        }
        self.unneeded = self.spare.len();
        if excess > 0 && self.spare.len() <= SPARE_BUFFERS {
            self.spare.shrink_to_fit();
            self.effects.shrink_to(SPARE_BUFFERS);
        }
    }
}

/// The source of bytes that come from several: they wait behind everything that waits, and everything waits behind them.
pub const SEVERAL: u64 = u64::MAX;

/// One session's way out: bytes that may go, what the client has not acknowledged of those that went, and behind them what waits for a commit. It
/// belongs to the stream while there is one, and to the session while that waits for its client.
#[derive(Default)]
pub struct OutQueue {
    /// Bytes that may go now. Without capacity while the connection is idle.
    ready: Vec<u8>,
    /// What waits, in the order of its sending; almost always empty.
    held: VecDeque<Held>,
    /// What went, where the client acknowledges it (XEP-0198).
    unacked: Option<Box<Unacked>>,
}

/// How a stanza joins a queue.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What comes from one source keeps its order; zero for none, [`SEVERAL`] for several.
    pub source: u64,
    /// The commit that it waits for; none where only the order makes it wait.
    pub ticket: Option<Ticket>,
    /// When it was handed over.
    pub when: When,
    /// Where it waits in the store until the client has acknowledged it.
    pub waiting: Option<OfflineKey>,
}

/// A stanza that waits for a commit, or behind one of the same source that does.
struct Held {
    place: Place,
    bytes: Vec<u8>,
    /// Another session of the account has got it, too.
    known: bool,
}

/// A stanza of a queue that nobody takes from any more.
pub struct Stranded {
    /// The stanza.
    pub bytes: Vec<u8>,
    /// When it was handed over first.
    pub when: When,
    /// Where it waits in the store.
    pub waiting: Option<OfflineKey>,
}

impl Held {
    /// Whether what comes from `source` later has to stay behind this.
    fn precedes(&self, source: u64) -> bool {
        self.place.source == source || self.place.source == SEVERAL || source == SEVERAL
    }
}

impl OutQueue {
    /// Bytes that may go now, and those that wait.
    pub fn len(&self) -> usize {
        self.ready.len() + self.held.iter().map(|held| held.bytes.len()).sum::<usize>()
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty()
    }

    /// Whether something waits for a commit: only then does [`OutQueue::append`] need a source.
    pub fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether bytes are there that nobody took.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What the client has not acknowledged, where it acknowledges at all.
    pub fn unacked(&self) -> Option<&Unacked> {
        self.unacked.as_deref()
    }

    /// The same, to change.
    pub fn unacked_mut(&mut self) -> Option<&mut Unacked> {
        self.unacked.as_deref_mut()
    }

    /// From now on stanzas are kept until they are acknowledged.
    pub fn keep_unacked(&mut self) {
        self.unacked.get_or_insert_default();
    }

    /// Bytes that are kept for a client that may come back.
    pub fn weight(&self) -> usize {
        let held = self.held.iter().map(|held| held.bytes.len());
        self.unacked().map_or(0, Unacked::weight) + held.sum::<usize>()
    }

    /// Lets `write` append what is no stanza: it waits for nothing.
    pub fn say(&mut self, outbox: &mut Outbox, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        if self.ready.is_empty() {
            if self.ready.capacity() == 0 {
                self.ready = outbox.spare();
            }
            outbox.push(Effect::Output(conn));
        }
        write(&mut self.ready);
    }

    /// Asks for an acknowledgement of what went, unless one is owed already.
    pub fn ask(&mut self, outbox: &mut Outbox, conn: ConnId, now_ms: u64) {
        if let Some(mut unacked) = self.unacked.take_if(|unacked| !unacked.is_asked()) {
            self.say(outbox, conn, |out| unacked.ask(out, now_ms));
            self.unacked = Some(unacked);
        }
    }

    /// Lets `write` append a stanza. With a ticket it waits for its commit; without one it waits only behind what waits from the
    /// same source: what a peer sees of one room or one account keeps its order, what others send does not wait. Without a connection it is kept for
    /// the next one.
    pub fn append(
        &mut self,
        outbox: &mut Outbox,
        conn: Option<ConnId>,
        place: Place,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if place.ticket.is_some() || self.held.iter().any(|held| held.precedes(place.source)) {
            let mut bytes = Vec::new();
            write(&mut bytes);
            self.held.push_back(Held {
                place,
                bytes,
                known: false,
            });
        } else {
            self.put(outbox, conn, place, write);
        }
    }

    fn put(
        &mut self,
        outbox: &mut Outbox,
        conn: Option<ConnId>,
        place: Place,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.ready.capacity() == 0 {
            self.ready = outbox.spare();
        }
        let from = self.ready.len();
        write(&mut self.ready);
        if self.ready.len() == from {
            return;
        }
        if let Some(conn) = conn.filter(|_| from == 0) {
            outbox.push(Effect::Output(conn));
        }
        let Some(unacked) = &mut self.unacked else {
            return;
        };
        unacked.add(outbox, &self.ready[from..], place.when, place.waiting);
        match conn {
            Some(_) => unacked.ask(&mut self.ready, place.when.mono_ms),
            None => outbox.recycle(std::mem::take(&mut self.ready)),
        }
    }

    /// Lets go what waited for commits up to `ticket`, and what waited only behind it; `gone` hears the number of each. Where the commit failed, what waited
    /// for it is dropped and the answer is `false`: an acknowledgement that is not true must not be sent.
    pub fn release(
        &mut self,
        outbox: &mut Outbox,
        conn: Option<ConnId>,
        ticket: Ticket,
        fine: bool,
        mut gone: impl FnMut(u64),
    ) -> bool {
        let mut truthful = true;
        let mut still = VecDeque::new();
        for held in std::mem::take(&mut self.held) {
            let waits_behind = still
                .iter()
                .any(|earlier: &Held| earlier.precedes(held.place.source));
            if held.place.ticket > Some(ticket) || waits_behind {
                still.push_back(held);
            } else if held.place.ticket.is_some() && !fine {
                truthful = false;
            } else {
                gone(held.place.when.number);
                self.put(outbox, conn, held.place, |out| {
                    out.extend_from_slice(&held.bytes)
                });
                if held.known {
                    self.is_known(held.place.when.number);
                }
            }
        }
        self.held = still;
        truthful
    }

    /// Everything that may go now; the queue is left without a buffer.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// Takes all but what may go now: what is kept where the connection ends.
    pub fn part(&mut self) -> OutQueue {
        OutQueue {
            ready: Vec::new(),
            held: std::mem::take(&mut self.held),
            unacked: self.unacked.take(),
        }
    }

    /// Goes on with what was kept of another connection: `reply` first, then everything that is not acknowledged, again.
    pub fn go_on_with(
        &mut self,
        kept: OutQueue,
        outbox: &mut Outbox,
        conn: ConnId,
        now_ms: u64,
        reply: impl FnOnce(&mut Vec<u8>),
    ) {
        self.held = kept.held;
        self.unacked = kept.unacked;
        let mut unacked = self.unacked.take();
        self.say(outbox, conn, |out| {
            reply(out);
            if let Some(unacked) = &mut unacked {
                out.extend_from_slice(unacked.bytes());
                unacked.answered();
                if !unacked.is_empty() {
                    unacked.ask(out, now_ms);
                }
            }
        });
        self.unacked = unacked;
    }

    /// Everything that did not reach the client for certain, nor another of its account, in the order of its sending.
    pub fn into_stranded(self) -> impl Iterator<Item = Stranded> {
        let sent = self.unacked.into_iter().flat_map(|unacked| {
            let stranded = |(bytes, when, waiting): (&[u8], When, Option<OfflineKey>)| Stranded {
                bytes: bytes.to_vec(),
                when,
                waiting,
            };
            unacked.stanzas().map(stranded).collect::<Vec<_>>()
        });
        let unknown = self.held.into_iter().filter(|held| !held.known);
        let held = unknown.map(|held| Stranded {
            bytes: held.bytes,
            when: held.place.when,
            waiting: held.place.waiting,
        });
        sent.chain(held)
    }

    /// Whether something of this number is on its way: see [`Unacked::holds`].
    pub fn holds(&self, number: u64) -> bool {
        let here = |held: &Held| held.place.when.number == number && held.place.waiting.is_none();
        self.unacked().is_some_and(|unacked| unacked.holds(number)) || self.held.iter().any(here)
    }

    /// Another session of the account has got what has this number.
    pub fn is_known(&mut self, number: u64) {
        if let Some(unacked) = &mut self.unacked {
            unacked.is_known(number);
        }
        for held in &mut self.held {
            let place = &held.place;
            held.known |= place.when.number == number && place.waiting.is_none();
        }
    }

    /// The places in the store of what waits there until the client has acknowledged it.
    pub fn waiting(&self) -> impl Iterator<Item = OfflineKey> {
        let sent = self.unacked().into_iter().flat_map(Unacked::waiting);
        sent.chain(self.held.iter().filter_map(|held| held.place.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_buffers_come_with_a_burst_and_go_when_nobody_needs_them() {
        let mut outbox = Outbox::default();
        let burst = |outbox: &mut Outbox, count: usize| {
            let buffers: Vec<Vec<u8>> = (0..count).map(|_| outbox.spare()).collect();
            for buffer in buffers {
                outbox.recycle(buffer);
            }
        };
        burst(&mut outbox, 1000);
        assert_eq!(outbox.spare.len(), 1000);
        // A room of a hundred goes on.
        for _ in 0..60 {
            burst(&mut outbox, 100);
            outbox.shrink();
        }
        assert!(outbox.spare.len() >= 100 && outbox.spare.len() <= 132);
        for _ in 0..60 {
            outbox.shrink();
        }
        assert_eq!(outbox.spare.len(), SPARE_BUFFERS);
        assert_eq!(outbox.spare_bytes, SPARE_BUFFERS * FRESH_BYTES);
        burst(&mut outbox, 10_000);
        assert_eq!(outbox.spare.len(), SPARE_BYTES / FRESH_BYTES);
    }
}
