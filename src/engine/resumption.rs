//! Sessions that outlive their connection (XEP-0198): what is counted, what waits, for how long, and how it goes on over another connection.
//!
//! - `h` is an acknowledgement: neither `<a/>`, nor `<resumed/>`, nor `<failed/>` says it before the disk has what the counted stanzas wrote.
//! - A session waits where its connection was lost, not where its client or the server ended it. What is handed to it meanwhile is kept in
//!   the order in which it would have gone out.
//! - What waits is bounded: each session by [`limits::UNACKED_BYTES`], all together by [`limits::WAITING_BYTES`], of which the oldest go first.

use super::acknowledgement::Managed;
use super::outbox::OutQueue;
use super::session::{Ending, SessionId};
use super::stream::Stage;
use super::unacked::{Count, Unacked};
use super::{ConnId, Engine, Flow};
use crate::limits;
use crate::store::{Ticket, UserId};
use crate::xmpp::{Condition, StreamError, ns};
use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::rc::Rc;

/// What is kept of a session while it has no connection.
pub(super) struct Kept {
    pub(super) queue: OutQueue,
    since_ms: u64,
    /// What it counts for, as it was counted last.
    weight: usize,
}

/// All sessions that may be resumed, that wait, or did.
#[derive(Default)]
pub struct Resumptions {
    tokens: HashMap<Rc<str>, SessionId>,
    /// Those that wait, the oldest first.
    waiting: VecDeque<SessionId>,
    /// Bytes that they keep together.
    weight: usize,
    /// Those that ended lately, for the `h` of a refusal.
    ended: VecDeque<Ended>,
    /// Those that keep more than they may: they end with this entry of the engine.
    overfull: Vec<SessionId>,
    /// Those whose clients wait for an acknowledgement.
    pub(super) promising: Vec<SessionId>,
    /// Scratch: the numbers of what was acknowledged.
    pub(super) numbers: Vec<u64>,
}

struct Ended {
    token: Rc<str>,
    user: UserId,
    handled: u32,
    wrote: Option<Ticket>,
}

impl Resumptions {
    /// From now on a session has this name.
    pub(super) fn name(&mut self, token: Rc<str>, session: SessionId) {
        self.tokens.insert(token, session);
    }

    /// What was written since is lost: counts that rely on it are forgotten.
    pub(super) fn forget_untrue(&mut self, before: Ticket) {
        self.ended.retain(|ended| ended.wrote <= Some(before));
    }
}

impl Engine {
    /// The client comes back over another connection, which has logged in and not bound a resource (XEP-0198 §5).
    pub fn resume_session(&mut self, conn: ConnId, token: &str, h: u32) -> Flow {
        let Some(id) = self.resumable(conn, token) else {
            return self.not_resumed(conn, token);
        };
        // The old connection may seem alive for a long time. From here on nothing is counted.
        if let Some(old) = self.session(id).and_then(|session| session.conn) {
            let text = "the session was resumed over another connection";
            self.close_with(old, StreamError::Conflict, Some(text), Ending::Lost);
        }
        let ticket = self.ticket();
        if ticket <= self.done {
            return self.attach(conn, token, h);
        }
        let token = token.to_owned();
        self.when_committed(move |engine, _| {
            let flow = match engine.resumable(conn, &token) {
                // Somebody else was faster.
                Some(id) if engine.session(id).is_some_and(|s| s.conn.is_some()) => {
                    engine.resume_session(conn, &token, h)
                }
                _ => engine.attach(conn, &token, h),
            };
            engine.go_on(conn, flow);
        });
        self.pause(conn);
        Flow::Pause
    }

    /// Ends a session for this reason: with a stream error where it has a connection.
    pub fn dismiss(&mut self, session: SessionId, error: StreamError, text: &str) {
        match self.session(session).map(|session| session.conn) {
            Some(Some(conn)) => drop(self.end_stream(conn, error, Some(text))),
            Some(None) => self.end_waiting(session),
            None => {}
        }
    }

    /// Ends the session of an account that has waited longest for its client; whether there was one.
    pub(super) fn end_oldest_waiting(&mut self, name: &str) -> bool {
        let of = |id: &&SessionId| self.session(**id).is_some_and(|s| *s.user == *name);
        let oldest = self.resumptions.waiting.iter().find(of).copied();
        if let Some(oldest) = oldest {
            self.end_waiting(oldest);
        }
        oldest.is_some()
    }

    /// The connection of a session is lost: it waits for its client, where it may.
    pub(super) fn lose(&mut self, id: SessionId, queue: OutQueue) {
        let (now, stopping) = (self.now, self.stopping);
        let weight = queue.weight();
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let may = !stopping && weight <= limits::UNACKED_BYTES;
        let managed = session
            .managed
            .as_mut()
            .filter(|managed| may && managed.token.is_some());
        let Some(managed) = managed else {
            return self.end_session(id, Ending::Lost, queue);
        };
        let weight = weight + limits::WAITING_SESSION_BYTES;
        managed.promised = [None; 2];
        managed.kept = Some(Box::new(Kept {
            queue,
            since_ms: now.mono_ms,
            weight,
        }));
        let seconds = managed.keep_ms / 1000;
        session.conn = None;
        session.lost_ms = Some(now.wall_ms);
        self.resumptions.waiting.push_back(id);
        self.resumptions.weight += weight;
        self.trace(|| format!("the session waits {seconds} s for its client"));
        self.tell(|row| row.lost, |engine, hook| hook(engine, id));
    }

    /// Bytes were added to what is kept for a session, or may have been.
    pub(super) fn weigh(&mut self, id: SessionId) {
        let Engine {
            streams,
            sessions,
            resumptions,
            ..
        } = self;
        let session = sessions.get_mut(id.index()).and_then(Option::as_mut);
        let Some(session) = session.filter(|session| session.id() == id) else {
            return;
        };
        let Some(managed) = &mut session.managed else {
            return;
        };
        let weight = match (&mut managed.kept, session.conn) {
            (Some(kept), _) => {
                let weight = kept.queue.weight();
                let counts = weight + limits::WAITING_SESSION_BYTES;
                resumptions.weight = resumptions.weight - kept.weight + counts;
                kept.weight = counts;
                weight
            }
            (None, Some(conn)) => streams
                .get(conn.index as usize)
                .and_then(Option::as_ref)
                .and_then(|stream| stream.out.unacked())
                .map_or(0, |unacked| unacked.weight()),
            (None, None) => 0,
        };
        if weight > limits::UNACKED_BYTES {
            resumptions.overfull.push(id);
        }
    }

    /// Ends those that keep too much, and the oldest that wait where all together keep too much.
    pub(super) fn end_overfull(&mut self) {
        self.end_each_overfull();
        while self.resumptions.weight > limits::WAITING_BYTES
            && let Some(oldest) = self.resumptions.waiting.front().copied()
        {
            self.trace(|| "too much waits for all sessions together".to_owned());
            self.end_waiting(oldest);
            // What it left may be too much for another.
            self.end_each_overfull();
        }
    }

    /// Ends those whose client did not come back in its time.
    pub(super) fn end_expired(&mut self) {
        let now_ms = self.now.mono_ms;
        let expired = |id: &SessionId| {
            let managed = self.session(*id)?.managed.as_ref()?;
            let since_ms = managed.kept.as_ref()?.since_ms;
            (now_ms.saturating_sub(since_ms) > managed.keep_ms).then_some(*id)
        };
        let expired: Vec<SessionId> = self
            .resumptions
            .waiting
            .iter()
            .filter_map(expired)
            .collect();
        for id in expired {
            let who = self.session(id).map(|session| session.jid.to_string());
            log::info!("{} did not come back", who.unwrap_or_default());
            self.end_waiting(id);
        }
    }

    /// The server ends: so do all that wait.
    pub(super) fn end_all_waiting(&mut self) {
        while let Some(id) = self.resumptions.waiting.front().copied() {
            self.end_waiting(id);
        }
    }

    /// What a session was sent and its client has not acknowledged, oldest first.
    pub fn unacknowledged(&self, session: SessionId) -> Vec<String> {
        let unacked = self.queue(session).and_then(OutQueue::unacked);
        let stanzas = unacked.into_iter().flat_map(Unacked::stanzas);
        stanzas
            .filter_map(|(bytes, ..)| String::from_utf8(bytes.to_vec()).ok())
            .collect()
    }

    /// The queue of a session, in its stream or kept.
    pub(super) fn queue(&self, session: SessionId) -> Option<&OutQueue> {
        let session = self.session(session)?;
        match session.conn {
            Some(conn) => self.stream(conn).map(|stream| &stream.out),
            None => session.managed.as_ref()?.kept_queue(),
        }
    }

    /// Those that wait for their client.
    pub(super) fn all_waiting(&self) -> &VecDeque<SessionId> {
        &self.resumptions.waiting
    }

    /// A session ends: its name means nothing any more, but that it was there.
    pub(super) fn retire(&mut self, managed: &Managed, user: UserId) {
        let Some(token) = &managed.token else { return };
        self.resumptions.tokens.remove(token);
        if managed.untrue {
            return;
        }
        if self.resumptions.ended.len() >= limits::RESUMPTIONS_ENDED {
            self.resumptions.ended.pop_front();
        }
        self.resumptions.ended.push_back(Ended {
            token: token.clone(),
            user,
            handled: managed.handled,
            wrote: managed.wrote,
        });
    }

    /// Whether nobody waits and nobody could come back.
    pub(super) fn nothing_to_resume(&self) -> bool {
        let all = &self.resumptions;
        all.tokens.is_empty() && all.waiting.is_empty() && all.weight == 0
    }

    /// The session of this name, if it is of the account that has logged in here: a name alone is worth nothing (HOLES 32).
    fn resumable(&self, conn: ConnId, token: &str) -> Option<SessionId> {
        let account = self.stream(conn)?.account()?;
        let id = *self.resumptions.tokens.get(token)?;
        let session = self.session(id)?;
        (*session.user == *account).then_some(id)
    }

    /// XEP-0198 §5: it is not known, or not any more; then its count is.
    fn not_resumed(&mut self, conn: ConnId, token: &str) -> Flow {
        let Some(account) = self.stream(conn).and_then(|stream| stream.account()) else {
            return Flow::Close;
        };
        let user = match self.store.account(account) {
            Ok(account) => account.map(|account| account.id),
            Err(error) => {
                log::error!("an account could not be read: {error}");
                None
            }
        };
        let mut ended = self.resumptions.ended.iter();
        let ended = ended.find(|ended| *ended.token == *token && Some(ended.user) == user);
        let condition = match ended {
            None if self.config.stream.resume_seconds == 0 => Condition::FeatureNotImplemented,
            _ => Condition::ItemNotFound,
        };
        // What is not on the disk yet is not said.
        let kept = ended.filter(|ended| ended.wrote <= Some(self.done));
        let handled = kept.map(|ended| ended.handled);
        self.fail_management(conn, condition, handled);
        Flow::Continue
    }

    /// The session goes on over this connection.
    fn attach(&mut self, conn: ConnId, token: &str, h: u32) -> Flow {
        let Some(id) = self.resumable(conn, token) else {
            return self.not_resumed(conn, token);
        };
        let count = self.queue(id).and_then(|queue| queue.unacked());
        let count = match count.map(|unacked| unacked.count(h)) {
            Some(Count::Takes(count)) => count,
            Some(Count::TooHigh { sent }) => {
                self.end_waiting(id);
                self.too_high(conn, h, sent);
                return Flow::Close;
            }
            // It takes an acknowledgement back: what it misses now is here no more.
            Some(Count::Older) | None => {
                self.fail_management(conn, Condition::ItemNotFound, None);
                return Flow::Continue;
            }
        };
        let Some(mut kept) = self.stop_waiting(id) else {
            return self.not_resumed(conn, token);
        };
        let mut handed_over = Vec::new();
        if let Some(unacked) = kept.unacked_mut() {
            let numbers = &mut self.resumptions.numbers;
            numbers.clear();
            unacked.take(&mut self.outbox, count, |number, key| match key {
                Some(key) => handed_over.push(key),
                None => numbers.push(number),
            });
        }
        let now_ms = self.now.mono_ms;
        let Engine {
            streams,
            sessions,
            outbox,
            ..
        } = self;
        let stream = streams.get_mut(conn.index as usize);
        let session = sessions.get_mut(id.index()).and_then(Option::as_mut);
        let (Some(Some(stream)), Some(session)) = (stream, session) else {
            return Flow::Close;
        };
        let handled = session
            .managed
            .as_ref()
            .map_or(0, |managed| managed.handled);
        stream.stage = Stage::Bound(id);
        session.conn = Some(conn);
        session.lost_ms = None;
        let who = session.jid.clone();
        stream.out.go_on_with(kept, outbox, conn, now_ms, |out| {
            write!(
                out,
                "<resumed xmlns='{}' previd='{token}' h='{handled}'/>",
                ns::STREAM_MANAGEMENT
            )
            .expect("a Vec takes everything");
        });
        log::info!("{who} is back");
        self.trace(|| format!("resumed {who}"));
        self.have_reached(id, &handed_over);
        self.tell(|row| row.resumed, |engine, hook| hook(engine, id));
        Flow::Continue
    }

    fn end_each_overfull(&mut self) {
        while let Some(id) = self.resumptions.overfull.pop() {
            let text = "you did not acknowledge what you were sent";
            self.dismiss(id, StreamError::ResourceConstraint, text);
        }
    }

    /// Ends a session that waits for its client.
    pub(super) fn end_waiting(&mut self, id: SessionId) {
        if let Some(queue) = self.stop_waiting(id) {
            self.end_session(id, Ending::Lost, queue);
        }
    }

    fn stop_waiting(&mut self, id: SessionId) -> Option<OutQueue> {
        let kept = self.session_mut(id)?.managed.as_mut()?.kept.take()?;
        self.resumptions.waiting.retain(|other| *other != id);
        self.resumptions.weight -= kept.weight;
        Some(kept.queue)
    }
}
