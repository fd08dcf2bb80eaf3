//! What the engine wants done: effects in order, and each connection's bytes on their way out.

use super::{ConnId, Effect};
use crate::store::Ticket;
use std::collections::VecDeque;

/// Effects in the order in which they were wanted, and spare buffers.
#[derive(Default)]
pub struct Outbox {
    effects: VecDeque<Effect>,
    spare: Vec<Vec<u8>>,
}

/// Spare buffers that are kept: enough for a burst, and a bound for an idle server.
const SPARE_BUFFERS: usize = 32;
/// A buffer that grew above this many bytes is freed rather than kept.
const SPARE_BYTES: usize = 32 * 1024;
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
        if buffer.capacity() > 0
            && buffer.capacity() <= SPARE_BYTES
            && self.spare.len() < SPARE_BUFFERS
        {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    fn spare(&mut self) -> Vec<u8> {
        self.spare
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(FRESH_BYTES))
    }
}

/// The source of bytes that come from several: they wait behind everything that waits, and everything waits behind them.
pub const SEVERAL: u64 = u64::MAX;

/// One connection's way out: bytes that may go, and behind them what waits for a commit.
#[derive(Default)]
pub struct OutQueue {
    /// Bytes that may go now. Without capacity while the connection is idle.
    ready: Vec<u8>,
    /// What waits, in the order of its sending; almost always empty.
    held: VecDeque<Held>,
}

/// Bytes that wait for a commit, or behind bytes of the same source that do.
struct Held {
    /// None where only the order makes it wait.
    ticket: Option<Ticket>,
    source: u64,
    bytes: Vec<u8>,
}

impl Held {
    /// Whether what comes from `source` later has to stay behind this.
    fn precedes(&self, source: u64) -> bool {
        self.source == source || self.source == SEVERAL || source == SEVERAL
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

    /// Lets `write` append bytes. With a ticket they wait for its commit; without one they wait only behind what waits from the
    /// same source: what a peer sees of one room or one account keeps its order, what others send does not wait.
    pub fn append(
        &mut self,
        outbox: &mut Outbox,
        conn: ConnId,
        source: u64,
        ticket: Option<Ticket>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if ticket.is_some() || self.held.iter().any(|held| held.precedes(source)) {
            let mut bytes = Vec::new();
            write(&mut bytes);
            self.held.push_back(Held {
                ticket,
                source,
                bytes,
            });
            return;
        }
        if self.ready.is_empty() {
            if self.ready.capacity() == 0 {
                self.ready = outbox.spare();
            }
            outbox.push(Effect::Output(conn));
        }
        write(&mut self.ready);
    }

    /// Lets go what waited for commits up to `ticket`, and what waited only behind it. Where the commit failed, what waited for it is dropped
    /// and the answer is `false`: an acknowledgement that is not true must not be sent.
    pub fn release(
        &mut self,
        outbox: &mut Outbox,
        conn: ConnId,
        ticket: Ticket,
        fine: bool,
    ) -> bool {
        let mut truthful = true;
        let mut still = VecDeque::new();
        for held in std::mem::take(&mut self.held) {
            let waits_behind = still
                .iter()
                .any(|earlier: &Held| earlier.precedes(held.source));
            if held.ticket > Some(ticket) || waits_behind {
                still.push_back(held);
            } else if held.ticket.is_some() && !fine {
                truthful = false;
            } else {
                self.append(outbox, conn, held.source, None, |out| {
                    out.extend_from_slice(&held.bytes)
                });
            }
        }
        self.held = still;
        truthful
    }

    /// Everything that may go now; the queue is left without a buffer.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// Forgets what waits for a commit: the connection ends without that acknowledgement.
    pub fn forget_held(&mut self) {
        self.held.clear();
    }
}
