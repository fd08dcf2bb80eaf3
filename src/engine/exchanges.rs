//! Which messages an account exchanged lately, so that an error can be told to answer one of them: it need not repeat what it answers
//! (RFC 6120 §8.3.1), only its id.

use crate::limits;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The last messages of one account with others, as hashes.
pub struct Exchanges {
    marks: [u64; limits::EXCHANGES],
    next: usize,
}

impl Default for Exchanges {
    fn default() -> Exchanges {
        Exchanges {
            marks: [0; limits::EXCHANGES],
            next: 0,
        }
    }
}

impl Exchanges {
    /// A message with this id went to or came from a bare JID.
    pub fn note(&mut self, other: &str, id: &str) {
        self.marks[self.next] = mark(other, id);
        self.next = (self.next + 1) % self.marks.len();
    }

    /// Whether a message with this id, to or from a bare JID, is among the last ones.
    pub fn has(&self, other: &str, id: &str) -> bool {
        self.marks.contains(&mark(other, id))
    }
}

fn mark(other: &str, id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (other, id).hash(&mut hasher);
    // Zero stands for none.
    hasher.finish() | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known() {
        let mut exchanges = Exchanges::default();
        for number in 0..limits::EXCHANGES + 1 {
            assert!(!exchanges.has("ben@chat.test", &number.to_string()));
            exchanges.note("ben@chat.test", &number.to_string());
        }
        assert!(
            !exchanges.has("ben@chat.test", "0"),
            "the oldest is forgotten"
        );
        for number in 1..limits::EXCHANGES + 1 {
            assert!(exchanges.has("ben@chat.test", &number.to_string()));
        }
        assert!(!exchanges.has("cleo@chat.test", "1"));
        assert!(!exchanges.has("ben@chat.tes", "t1"));
    }
}
