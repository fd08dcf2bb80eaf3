//! What failed logins and registrations cost: time, per address and per account, and never a locked account.

use std::collections::HashMap;
use std::net::IpAddr;

/// A failure is forgotten after this many milliseconds.
const MEMORY_MS: u64 = 60_000;
/// The longest that an answer to a login is held back, in milliseconds. It stays below the 30 s that a login may take in all.
const LONGEST_MS: u64 = 8_000;
/// Addresses and accounts that are remembered at once; above it the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// Who failed how often lately.
#[derive(Default)]
pub struct Throttle {
    failures: HashMap<Key, Failures>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Account(Box<str>),
    Registration(IpAddr),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: u64,
}

impl Throttle {
    /// Notes a failed login and says for how many milliseconds its answer is held back. Up to `free` failures a minute cost
    /// nothing, each one above doubles the wait: a person who mistypes does not notice, one who guesses does.
    pub fn failed(&mut self, now_ms: u64, peer: IpAddr, account: &str, free: u32) -> u64 {
        let address = self.note(now_ms, Key::Address(network(peer)));
        let account = self.note(now_ms, Key::Account(account.into()));
        cost(address.max(account), free)
    }

    /// For how many milliseconds the answer to a login that succeeded is held back: as long as this address's next failure, or who guesses
    /// would only have to look at what comes at once. What others did to the account costs its owner nothing.
    pub fn succeeded(&self, now_ms: u64, peer: IpAddr, free: u32) -> u64 {
        cost(self.count(now_ms, &Key::Address(network(peer))), free)
    }

    /// Notes a try to register a name and says for how many milliseconds it is held back, like a failed login: the answer says whether
    /// the name is taken (HOLES 20).
    pub fn registers(&mut self, now_ms: u64, peer: IpAddr, free: u32) -> u64 {
        let count = self.note(now_ms, Key::Registration(network(peer)));
        cost(count, free)
    }

    /// Forgets what happened long ago.
    pub fn tick(&mut self, now_ms: u64) {
        if !self.failures.is_empty() {
            self.forget(now_ms, MEMORY_MS);
        }
    }

    fn count(&self, now_ms: u64, key: &Key) -> u32 {
        match self.failures.get(key) {
            Some(failures) if now_ms.saturating_sub(failures.last_ms) <= MEMORY_MS => {
                failures.count
            }
            _ => 0,
        }
    }

    fn note(&mut self, now_ms: u64, key: Key) -> u32 {
        if self.failures.len() >= REMEMBERED {
            self.forget(now_ms, MEMORY_MS);
        }
        if self.failures.len() >= REMEMBERED {
            self.failures.clear();
        }
        let count = self.count(now_ms, &key) + 1;
        self.failures.insert(
            key,
            Failures {
                count,
                last_ms: now_ms,
            },
        );
        count
    }

    fn forget(&mut self, now_ms: u64, older_than_ms: u64) {
        self.failures
            .retain(|_, failures| now_ms.saturating_sub(failures.last_ms) <= older_than_ms);
    }
}

/// What the worst count costs, in milliseconds; with `free` 0 nothing does.
fn cost(worst: u32, free: u32) -> u64 {
    match worst.saturating_sub(free) {
        _ if free == 0 => 0,
        0 => 0,
        above => (500u64 << above.min(8)).min(LONGEST_MS),
    }
}

/// One household has a whole /64 of IPv6 addresses: they count as one.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::V6(octets.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 2));

    #[test]
    fn few_failures_are_free_and_many_cost_more_and_more() {
        let mut throttle = Throttle::default();
        let waits: Vec<u64> = (0..10)
            .map(|_| throttle.failed(0, HOME, "anna", 5))
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1000, 2000, 4000, 8000, 8000]);
    }

    #[test]
    fn an_account_is_guarded_against_many_addresses() {
        let mut throttle = Throttle::default();
        let mut last = 0;
        for n in 0..10 {
            last = throttle.failed(0, IpAddr::from([10, 0, 0, n]), "anna", 5);
        }
        assert_eq!(last, 8000);
    }

    #[test]
    fn a_guess_that_is_right_waits_like_a_wrong_one_and_the_owner_does_not() {
        let mut throttle = Throttle::default();
        for _ in 0..8 {
            throttle.failed(0, HOME, "anna", 5);
        }
        assert_eq!(throttle.succeeded(1000, HOME, 5), 4000);
        assert_eq!(throttle.succeeded(1000, IpAddr::from([10, 0, 0, 1]), 5), 0);
        assert_eq!(throttle.succeeded(61_000, HOME, 5), 0);
    }

    #[test]
    fn registrations_count_for_themselves() {
        let mut throttle = Throttle::default();
        let waits: Vec<u64> = (0..3).map(|_| throttle.registers(0, HOME, 2)).collect();
        assert_eq!(waits, [0, 0, 1000]);
        assert_eq!(throttle.succeeded(0, HOME, 2), 0);
        assert_eq!(throttle.registers(0, HOME, 0), 0);
    }

    #[test]
    fn a_minute_forgives() {
        let mut throttle = Throttle::default();
        for _ in 0..10 {
            throttle.failed(0, HOME, "anna", 5);
        }
        throttle.tick(61_000);
        assert!(throttle.failures.is_empty());
        assert_eq!(throttle.failed(61_000, HOME, "anna", 5), 0);
    }

    #[test]
    fn a_v6_household_is_one_address() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::2".parse().unwrap();
        assert_eq!(network(a), network(b));
        assert_eq!(network("::ffff:192.168.1.2".parse().unwrap()), HOME);
    }
}
