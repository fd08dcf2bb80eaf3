//! The table of connections: who is waited for, until when, and who may still come in.

use crate::engine::ConnId;
use crate::limits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::task::Waker;

/// Something that a connection's task has to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The engine has bytes for it.
    pub output: bool,
    /// What was paused goes on.
    pub resume: bool,
    /// ... with a stream header.
    pub restart: bool,
    /// The stream is over.
    pub close: bool,
    /// Its deadline is here.
    pub due: bool,
    /// It took too little for too long.
    pub too_slow: bool,
    /// It holds the most memory with a stanza that it does not end, and all together hold too much.
    pub too_long: bool,
}

/// Why a new connection was closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address has as many connections without login as it may.
    AddressFull,
    /// Its address connected too often in this minute.
    AddressTooOften,
    /// There are as many connections without login as there may be.
    StrangersFull,
    /// File descriptors are used up.
    FilesFull,
}

/// All connections.
pub struct Lines {
    lines: Vec<Line>,
    free: Vec<u32>,
    /// Connections whose peer does not take what it is sent.
    stalled: Vec<ConnId>,
    /// Connections without login, by address.
    strangers: HashMap<IpAddr, u32>,
    strangers_in_all: usize,
    /// Connections of this minute, by address.
    arrivals: HashMap<IpAddr, u32>,
    files: usize,
    /// Bytes of all stanzas that have begun and not ended.
    pending: usize,
}

#[derive(Default)]
struct Line {
    generation: u32,
    in_use: bool,
    stranger: bool,
    marks: Marks,
    /// In seconds of the shell's clock; zero for none.
    deadline: u32,
    /// When writing last got anywhere while something waits to be written; zero where nothing waits.
    stalled: u32,
    /// Bytes of a stanza that has begun and not ended.
    pending: u32,
    address: Option<IpAddr>,
    waker: Option<Waker>,
}

impl Lines {
    /// No connection yet, and so many file descriptors.
    pub fn new(files: usize) -> Lines {
        Lines {
            lines: Vec::new(),
            free: Vec::new(),
            stalled: Vec::new(),
            strangers: HashMap::new(),
            strangers_in_all: 0,
            arrivals: HashMap::new(),
            files,
            pending: 0,
        }
    }

    /// Lets a connection in, or says why not. `per_address` and `a_minute` are the operator's limits; zero is none.
    pub fn admit(
        &mut self,
        peer: IpAddr,
        per_address: u32,
        a_minute: u32,
    ) -> Result<ConnId, Refusal> {
        let address = household(peer);
        if a_minute > 0 {
            let arrivals = self.arrivals.entry(address).or_insert(0);
            *arrivals = arrivals.saturating_add(1);
            if *arrivals > a_minute {
                return Err(Refusal::AddressTooOften);
            }
        }
        if self.len() + limits::RESERVED_FILES >= self.files {
            return Err(Refusal::FilesFull);
        }
        if self.strangers_in_all >= self.files / limits::STRANGERS_SHARE {
            return Err(Refusal::StrangersFull);
        }
        let strangers = self.strangers.entry(address).or_insert(0);
        if per_address > 0 && *strangers >= per_address {
            return Err(Refusal::AddressFull);
        }
        *strangers += 1;
        self.strangers_in_all += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.lines.push(Line::default());
            u32::try_from(self.lines.len() - 1).expect("file descriptors are counted in 32 bits")
        });
        let line = &mut self.lines[index as usize];
        *line = Line {
            generation: line.generation.wrapping_add(1),
            in_use: true,
            stranger: true,
            address: Some(address),
            ..Line::default()
        };
        Ok(ConnId {
            index,
            generation: line.generation,
        })
    }

    /// It logged in: it counts against nobody any more.
    pub fn logged_in(&mut self, conn: ConnId) {
        let Some(line) = self.line(conn) else { return };
        if std::mem::take(&mut line.stranger)
            && let Some(address) = line.address
        {
            self.strangers_in_all -= 1;
            if let Some(strangers) = self.strangers.get_mut(&address) {
                *strangers -= 1;
                if *strangers == 0 {
                    self.strangers.remove(&address);
                }
            }
        }
    }

    /// It is gone; its place is free.
    pub fn remove(&mut self, conn: ConnId) {
        self.logged_in(conn);
        self.hold(conn, 0);
        if let Some(line) = self.line(conn) {
            *line = Line {
                generation: line.generation,
                ..Line::default()
            };
            self.free.push(conn.index);
            self.stalled.retain(|stalled| *stalled != conn);
        }
    }

    /// Marks something for a connection and wakes its task.
    pub fn mark(&mut self, conn: ConnId, mark: impl FnOnce(&mut Marks)) {
        if let Some(line) = self.line(conn) {
            mark(&mut line.marks);
            if let Some(waker) = &line.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Like [`Lines::mark`], for the connection whose task runs now and looks anyway.
    pub fn mark_own(&mut self, conn: ConnId, mark: impl FnOnce(&mut Marks)) {
        if let Some(line) = self.line(conn) {
            mark(&mut line.marks);
        }
    }

    /// What was marked since the last time.
    pub fn take_marks(&mut self, conn: ConnId) -> Marks {
        self.line(conn)
            .map(|line| std::mem::take(&mut line.marks))
            .unwrap_or_default()
    }

    /// Who is woken by marks.
    pub fn attend(&mut self, conn: ConnId, waker: &Waker) {
        if let Some(line) = self.line(conn)
            && !line
                .waker
                .as_ref()
                .is_some_and(|known| known.will_wake(waker))
        {
            line.waker = Some(waker.clone());
        }
    }

    /// Marks it `due` at this second; zero for never.
    pub fn set_deadline(&mut self, conn: ConnId, second: u32) {
        if let Some(line) = self.line(conn) {
            line.deadline = second;
        }
    }

    /// Its peer did not take all that was written. `progress`: it took a part of it.
    pub fn stall(&mut self, conn: ConnId, now: u32, progress: bool) {
        let Some(line) = self.line(conn) else { return };
        if line.stalled == 0 {
            line.stalled = now.max(1);
            self.stalled.push(conn);
        } else if progress {
            line.stalled = now.max(1);
        }
    }

    /// Its peer took everything.
    pub fn flowing(&mut self, conn: ConnId) {
        if let Some(line) = self.line(conn)
            && std::mem::take(&mut line.stalled) != 0
        {
            self.stalled.retain(|stalled| *stalled != conn);
        }
    }

    /// Marks those as too slow who wait for more than they may; `queued` says how many bytes wait for one.
    pub fn judge_stalled(&mut self, mut queued: impl FnMut(ConnId) -> usize) {
        let mut total = 0;
        let mut biggest = (0, None);
        for at in 0..self.stalled.len() {
            let conn = self.stalled[at];
            let bytes = queued(conn);
            if bytes > limits::OUT_BYTES {
                self.mark(conn, |marks| marks.too_slow = true);
                continue;
            }
            total += bytes;
            if bytes > biggest.0 {
                biggest = (bytes, Some(conn));
            }
        }
        if total > limits::OUT_TOTAL_BYTES
            && let Some(conn) = biggest.1
        {
            self.mark(conn, |marks| marks.too_slow = true);
        }
    }

    /// It holds so many bytes of a stanza that has not ended. Where all together hold too much, the one with the most has to go.
    pub fn hold(&mut self, conn: ConnId, bytes: usize) {
        let Some(line) = self.line(conn) else { return };
        let before =
            std::mem::replace(&mut line.pending, u32::try_from(bytes).unwrap_or(u32::MAX)) as usize;
        self.pending = self.pending + bytes - before;
        if self.pending > limits::PENDING_TOTAL_BYTES && bytes > before {
            let biggest = self
                .lines
                .iter_mut()
                .filter(|line| !line.marks.too_long)
                .max_by_key(|line| line.pending);
            if let Some(line) = biggest {
                line.marks.too_long = true;
                if let Some(waker) = &line.waker {
                    waker.wake_by_ref();
                }
            }
        }
    }

    /// A second passed.
    pub fn tick(&mut self, now: u32) {
        if now.is_multiple_of(60) {
            self.arrivals.clear();
        }
        for line in &mut self.lines {
            let due = line.deadline != 0 && line.deadline <= now;
            let stuck = line.stalled != 0 && line.stalled + limits::STALLED_SECONDS <= now;
            if due || stuck {
                line.marks.due |= due;
                line.marks.too_slow |= stuck;
                line.deadline = if due { 0 } else { line.deadline };
                if let Some(waker) = &line.waker {
                    waker.wake_by_ref();
                }
            }
        }
    }

    fn len(&self) -> usize {
        self.lines.len() - self.free.len()
    }

    fn line(&mut self, conn: ConnId) -> Option<&mut Line> {
        self.lines
            .get_mut(conn.index as usize)
            .filter(|line| line.in_use && line.generation == conn.generation)
    }
}

/// One household has a whole /64 of IPv6 addresses: they count as one.
fn household(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 2));
    const BEN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 3));

    #[test]
    fn strangers_of_an_address_are_counted_until_they_log_in_or_leave() {
        let mut lines = Lines::new(1000);
        let first = lines.admit(ANNA, 2, 0).unwrap();
        let second = lines.admit(ANNA, 2, 0).unwrap();
        assert_eq!(lines.admit(ANNA, 2, 0), Err(Refusal::AddressFull));
        assert!(lines.admit(BEN, 2, 0).is_ok());
        lines.logged_in(first);
        lines.logged_in(first);
        let third = lines.admit(ANNA, 2, 0).unwrap();
        assert_eq!(lines.admit(ANNA, 2, 0), Err(Refusal::AddressFull));
        lines.remove(second);
        lines.remove(third);
        assert!(lines.admit(ANNA, 1, 0).is_ok());
        assert_eq!(lines.admit(ANNA, 1, 0), Err(Refusal::AddressFull));
    }

    #[test]
    fn strangers_have_a_quarter_and_reserved_files_are_nobodys() {
        let mut lines = Lines::new(400);
        let all: Vec<_> = std::iter::from_fn(|| lines.admit(ANNA, 0, 0).ok()).collect();
        assert_eq!(all.len(), 100);
        assert_eq!(lines.admit(ANNA, 0, 0), Err(Refusal::StrangersFull));
        for conn in all {
            lines.logged_in(conn);
        }
        let mut refusal = None;
        while refusal.is_none() {
            match lines.admit(BEN, 0, 0) {
                Ok(conn) => lines.logged_in(conn),
                Err(reason) => refusal = Some(reason),
            }
        }
        assert_eq!(
            (refusal, lines.len()),
            (Some(Refusal::FilesFull), 400 - limits::RESERVED_FILES)
        );
    }

    #[test]
    fn arrivals_are_counted_by_the_minute() {
        let mut lines = Lines::new(1000);
        for _ in 0..3 {
            let conn = lines.admit(ANNA, 0, 3).unwrap();
            lines.remove(conn);
        }
        assert_eq!(lines.admit(ANNA, 0, 3), Err(Refusal::AddressTooOften));
        lines.tick(59);
        assert_eq!(lines.admit(ANNA, 0, 3), Err(Refusal::AddressTooOften));
        lines.tick(60);
        assert!(lines.admit(ANNA, 0, 3).is_ok());
    }

    #[test]
    fn a_place_that_is_used_again_has_another_generation() {
        let mut lines = Lines::new(1000);
        let old = lines.admit(ANNA, 0, 0).unwrap();
        lines.remove(old);
        let new = lines.admit(ANNA, 0, 0).unwrap();
        assert_eq!((old.index, new.index), (0, 0));
        lines.mark(old, |marks| marks.close = true);
        assert_eq!(lines.take_marks(new), Marks::default());
        lines.remove(old);
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn who_takes_nothing_is_too_slow_after_a_minute() {
        let mut lines = Lines::new(1000);
        let conn = lines.admit(ANNA, 0, 0).unwrap();
        lines.stall(conn, 10, false);
        lines.stall(conn, 30, true);
        lines.tick(10 + limits::STALLED_SECONDS);
        assert!(!lines.take_marks(conn).too_slow);
        lines.stall(conn, 80, false);
        lines.tick(30 + limits::STALLED_SECONDS);
        assert!(lines.take_marks(conn).too_slow);
        lines.flowing(conn);
        lines.tick(1000);
        assert!(!lines.take_marks(conn).too_slow);
    }

    #[test]
    fn too_long_a_queue_or_the_longest_of_too_many_bytes() {
        let mut lines = Lines::new(1000);
        let all: Vec<_> = (0..80).map(|_| lines.admit(ANNA, 0, 0).unwrap()).collect();
        for conn in &all {
            lines.stall(*conn, 1, false);
        }
        lines.judge_stalled(|conn| {
            if conn == all[3] {
                limits::OUT_BYTES + 1
            } else {
                1000
            }
        });
        let slow: Vec<_> = all
            .iter()
            .filter(|conn| lines.take_marks(**conn).too_slow)
            .collect();
        assert_eq!(slow, [&all[3]]);
        lines.judge_stalled(|conn| {
            if conn == all[7] {
                limits::OUT_BYTES
            } else {
                limits::OUT_BYTES - 1
            }
        });
        let slow: Vec<_> = all
            .iter()
            .filter(|conn| lines.take_marks(**conn).too_slow)
            .collect();
        assert_eq!(slow, [&all[7]]);
    }

    #[test]
    fn the_longest_of_too_many_half_stanzas() {
        let mut lines = Lines::new(1000);
        let all: Vec<_> = (0..100).map(|_| lines.admit(ANNA, 0, 0).unwrap()).collect();
        let share = limits::PENDING_TOTAL_BYTES / 100;
        for conn in &all {
            lines.hold(*conn, share);
        }
        lines.hold(all[5], share + 1000);
        let long: Vec<_> = all
            .iter()
            .filter(|conn| lines.take_marks(**conn).too_long)
            .collect();
        assert_eq!(long, [&all[5]]);
        lines.remove(all[5]);
        lines.hold(all[6], share + 1000);
        assert!(!lines.take_marks(all[6]).too_long);
    }

    #[test]
    fn a_deadline_comes_once() {
        let mut lines = Lines::new(1000);
        let conn = lines.admit(ANNA, 0, 0).unwrap();
        lines.set_deadline(conn, 5);
        lines.tick(4);
        assert!(!lines.take_marks(conn).due);
        lines.tick(5);
        assert!(lines.take_marks(conn).due);
        lines.tick(6);
        assert!(!lines.take_marks(conn).due);
    }

    #[test]
    fn a_v6_household_is_one_address() {
        assert_eq!(
            household("fd00::1:2:3:4".parse().unwrap()),
            household("fd00::5".parse().unwrap())
        );
        assert_ne!(
            household("fd00:0:0:1::1".parse().unwrap()),
            household("fd00::1".parse().unwrap())
        );
        assert_eq!(household("::ffff:192.168.1.2".parse().unwrap()), ANNA);
    }
}
