//! What went to a client that acknowledges (XEP-0198 §4) and was not acknowledged yet: the stanzas' bytes in the order of the wire, in one piece, and
//! beside them where each one ends. While messages are acknowledged as they come, nothing is allocated for them: the buffer is a spare one of the
//! outbox and goes back there with the last acknowledgement.

use super::outbox::Outbox;
use crate::limits;
use crate::store::OfflineKey;
use std::collections::VecDeque;

/// Asks for an acknowledgement (XEP-0198 §4).
pub const REQUEST: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";

/// When a stanza was handed over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Number of the engine's entry that it came with: all that one message becomes for the sessions of an account has the same.
    pub number: u64,
    /// Milliseconds of the clock that never runs backwards.
    pub mono_ms: u64,
}

/// Stanzas on their way to one client.
#[derive(Default)]
pub struct Unacked {
    /// From `start` on, the stanzas one behind the other.
    bytes: Vec<u8>,
    start: usize,
    stanzas: VecDeque<Sent>,
    /// How many were sent in all (modulo 2³², XEP-0198 §4).
    sent: u32,
    /// Whether an answer to a request is owed.
    asked: bool,
    /// When the last request was made.
    asked_ms: u64,
}

struct Sent {
    bytes: u32,
    when: When,
    waiting: Option<OfflineKey>,
    /// Another session of the account has got it, too.
    known: bool,
}

/// What an `h` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// It acknowledges so many stanzas that were not acknowledged before.
    Takes(usize),
    /// It is less than what was acknowledged before.
    Older,
    /// More were never sent than so many.
    TooHigh { sent: u32 },
}

/// What a client owes at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Nothing, or not yet.
    Nothing,
    /// It was not asked for what it has not acknowledged.
    Asking,
    /// It was asked, and did not answer in time.
    Late,
}

/// A capacity of `stanzas` above this is given back when nothing is left in it.
const KEPT_PLACES: usize = 64;

impl Unacked {
    /// Appends a stanza that goes out.
    pub fn add(
        &mut self,
        outbox: &mut Outbox,
        stanza: &[u8],
        when: When,
        waiting: Option<OfflineKey>,
    ) {
        if self.bytes.capacity() == 0 {
            self.bytes = outbox.spare();
        }
        self.bytes.extend_from_slice(stanza);
        self.stanzas.push_back(Sent {
            bytes: u32::try_from(stanza.len()).expect("a stanza is much shorter than 4 GiB"),
            when,
            waiting,
            known: false,
        });
        self.sent = self.sent.wrapping_add(1);
    }

    /// What this `h` would acknowledge.
    pub fn count(&self, h: u32) -> Count {
        let acked = self.sent.wrapping_sub(self.stanzas.len() as u32);
        let ahead = h.wrapping_sub(acked);
        if ahead as usize <= self.stanzas.len() {
            Count::Takes(ahead as usize)
        } else if ahead > u32::MAX / 2 {
            Count::Older
        } else {
            Count::TooHigh { sent: self.sent }
        }
    }

    /// The first `count` are acknowledged; `taken` hears of each its number, and where it still waits in the store.
    pub fn take(
        &mut self,
        outbox: &mut Outbox,
        count: usize,
        mut taken: impl FnMut(u64, Option<OfflineKey>),
    ) {
        for sent in self.stanzas.drain(..count) {
            self.start += sent.bytes as usize;
            taken(sent.when.number, sent.waiting);
        }
        if self.stanzas.is_empty() {
            self.start = 0;
            outbox.recycle(std::mem::take(&mut self.bytes));
            if self.stanzas.capacity() > KEPT_PLACES {
                self.stanzas = VecDeque::new();
            }
        } else if self.start >= self.bytes.len() / 2 {
            // Each byte is moved at most as often as the rest was halved.
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Whether everything was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.stanzas.is_empty()
    }

    /// Bytes that it takes, with what is noted of each stanza.
    pub fn weight(&self) -> usize {
        self.bytes.len() - self.start + self.stanzas.len() * size_of::<Sent>()
    }

    /// All of it as it goes over the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The places in the store of those that wait there until they are acknowledged.
    pub fn waiting(&self) -> impl Iterator<Item = OfflineKey> {
        self.stanzas.iter().filter_map(|sent| sent.waiting)
    }

    /// Whether something of this number is among them. What waits in the store has no part in this: its place there tells.
    pub fn holds(&self, number: u64) -> bool {
        let mut stanzas = self.stanzas.iter().rev();
        stanzas.any(|sent| sent.when.number == number && sent.waiting.is_none())
    }

    /// Another session of the account has got what has this number.
    pub fn is_known(&mut self, number: u64) {
        for sent in self.stanzas.iter_mut().rev() {
            sent.known |= sent.when.number == number && sent.waiting.is_none();
        }
    }

    /// Stanza by stanza, but for those that another session of the account has got.
    pub fn stanzas(&self) -> impl Iterator<Item = (&[u8], When, Option<OfflineKey>)> {
        let mut rest = self.bytes();
        self.stanzas.iter().filter_map(move |sent| {
            let (stanza, behind) = rest.split_at(sent.bytes as usize);
            rest = behind;
            (!sent.known).then_some((stanza, sent.when, sent.waiting))
        })
    }

    /// Asks for an acknowledgement behind what is in `out`, unless one is owed already.
    pub fn ask(&mut self, out: &mut Vec<u8>, now_ms: u64) {
        if !self.asked {
            out.extend_from_slice(REQUEST);
            self.asked = true;
            self.asked_ms = now_ms;
        }
    }

    /// Whether an answer is owed.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// The client answered: nothing is owed.
    pub fn answered(&mut self) {
        self.asked = false;
    }

    /// The time to answer begins anew: the client cannot have been heard, or cannot have heard.
    pub fn be_patient(&mut self, now_ms: u64) {
        self.asked_ms = now_ms;
    }

    /// What the client owes.
    pub fn owed(&self, now_ms: u64) -> Owed {
        let waited = now_ms.saturating_sub(self.asked_ms) > limits::PING_ANSWER_MS;
        match (self.asked, waited) {
            (true, true) => Owed::Late,
            (false, true) if !self.stanzas.is_empty() => Owed::Asking,
            _ => Owed::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN: When = When {
        number: 1,
        mono_ms: 1,
    };

    fn sent(count: u32) -> (Outbox, Unacked) {
        let mut outbox = Outbox::default();
        let mut unacked = Unacked::default();
        for number in 0..count {
            let stanza = format!("<message id='{number}'/>");
            let waiting = number
                .is_multiple_of(2)
                .then(|| OfflineKey::new(number.into()));
            unacked.add(&mut outbox, stanza.as_bytes(), WHEN, waiting);
        }
        (outbox, unacked)
    }

    fn ids(unacked: &Unacked) -> Vec<String> {
        let text = |(stanza, _, _): (&[u8], When, Option<OfflineKey>)| {
            String::from_utf8(stanza.to_vec()).unwrap()
        };
        unacked.stanzas().map(text).collect()
    }

    #[test]
    fn what_is_acknowledged_goes_from_the_front() {
        let (mut outbox, mut unacked) = sent(5);
        assert_eq!(unacked.count(3), Count::Takes(3));
        let mut keys = Vec::new();
        unacked.take(&mut outbox, 3, |_, key| keys.extend(key));
        assert_eq!(keys, [0, 2].map(OfflineKey::new));
        assert_eq!(ids(&unacked), ["<message id='3'/>", "<message id='4'/>"]);
        assert_eq!(
            unacked.bytes(),
            b"<message id='3'/><message id='4'/>".as_slice()
        );
        assert_eq!(unacked.count(3), Count::Takes(0));
        assert_eq!(unacked.count(2), Count::Older);
        assert_eq!(unacked.count(6), Count::TooHigh { sent: 5 });
        unacked.take(&mut outbox, 2, |_, _| {});
        assert!(unacked.is_empty() && unacked.weight() == 0);
        assert_eq!(unacked.count(5), Count::Takes(0));
    }

    #[test]
    fn the_count_goes_on_behind_its_greatest_number() {
        let (mut outbox, mut unacked) = sent(0);
        unacked.sent = u32::MAX - 1;
        for _ in 0..4 {
            unacked.add(&mut outbox, b"<presence/>", WHEN, None);
        }
        assert_eq!(unacked.count(u32::MAX - 1), Count::Takes(0));
        assert_eq!(unacked.count(u32::MAX), Count::Takes(1));
        assert_eq!(unacked.count(0), Count::Takes(2));
        assert_eq!(unacked.count(2), Count::Takes(4));
        assert_eq!(unacked.count(3), Count::TooHigh { sent: 2 });
        assert_eq!(unacked.count(u32::MAX - 2), Count::Older);
    }

    #[test]
    fn what_others_have_got_is_left_out() {
        let mut outbox = Outbox::default();
        let mut unacked = Unacked::default();
        for number in 1..=3 {
            let when = When { number, ..WHEN };
            let waiting = (number == 3).then(|| OfflineKey::new(7));
            unacked.add(&mut outbox, b"<message/>", when, waiting);
        }
        assert!(unacked.holds(2) && !unacked.holds(3) && !unacked.holds(4));
        unacked.is_known(2);
        unacked.is_known(3);
        let left: Vec<u64> = unacked.stanzas().map(|(_, when, _)| when.number).collect();
        assert_eq!(left, [1, 3]);
        assert_eq!(unacked.count(3), Count::Takes(3));
    }

    #[test]
    fn a_request_is_made_once_and_answered_in_time() {
        let (_, mut unacked) = sent(1);
        let mut out = Vec::new();
        unacked.ask(&mut out, 1000);
        unacked.ask(&mut out, 2000);
        assert_eq!(out, REQUEST);
        assert_eq!(unacked.owed(1000 + limits::PING_ANSWER_MS), Owed::Nothing);
        assert_eq!(unacked.owed(1001 + limits::PING_ANSWER_MS), Owed::Late);
        unacked.be_patient(5000);
        assert_eq!(unacked.owed(1001 + limits::PING_ANSWER_MS), Owed::Nothing);
        unacked.answered();
        assert_eq!(unacked.owed(5001 + limits::PING_ANSWER_MS), Owed::Asking);
    }

    #[test]
    fn bytes_are_moved_together_and_given_back() {
        let (mut outbox, mut unacked) = sent(1000);
        for _ in 0..499 {
            unacked.take(&mut outbox, 2, |_, _| {});
        }
        assert_eq!(ids(&unacked).len(), 2);
        assert!(
            unacked.bytes.len() < 100,
            "{} bytes are kept for two stanzas",
            unacked.bytes.len()
        );
        unacked.take(&mut outbox, 2, |_, _| {});
        assert_eq!(unacked.bytes.capacity(), 0);
        assert_eq!(unacked.stanzas.capacity(), 0);
    }
}
