//! What the time brings: late logins end, silent peers are asked, the paused go on, sessions without a client end, and what was held back is done.

use super::delivery::{Delivery, Worth};
use super::session::{Ending, SessionId};
use super::stream::{Paused, Stage, Stream};
use super::unacked::Owed;
use super::{ConnId, Continuation, Effect, Engine, Flow};
use crate::limits;
use crate::xml::written;
use crate::xmpp::{StreamError, ns};
use std::rc::Rc;

impl Engine {
    /// What a second brings.
    pub(super) fn tick(&mut self) -> Flow {
        let now = self.now.mono_ms;
        self.throttle.tick(now);
        self.outbox.shrink();
        let rate = u64::from(self.config.limits.stanza_rate);
        let mut due = Vec::new();
        let (mut unacked, mut most) = (0, (0, None));
        for stream in self.streams.iter_mut().flatten() {
            let weight = stream.out.unacked().map_or(0, |unacked| unacked.weight());
            unacked += weight;
            if weight > most.0 {
                most = (weight, Some(stream.conn));
            }
            if let Some(chore) = stream.chore(now, rate) {
                due.push((stream.conn, chore));
            }
        }
        for (conn, chore) in due {
            match chore {
                Chore::Resume => self.resume(conn, false),
                Chore::Due(then) => then(self, ()),
                Chore::Ping(session) => self.ping(conn, session),
                Chore::PingComponent(host) => self.ping_component(conn, &host),
                Chore::Ask => self.ask(conn),
                Chore::Late(text) => {
                    self.end_stream(conn, StreamError::ConnectionTimeout, Some(text));
                }
            }
        }
        if unacked > limits::UNACKED_TOTAL_BYTES
            && let (_, Some(conn)) = most
        {
            let text = "you did not acknowledge what you were sent";
            self.close_with(
                conn,
                StreamError::ResourceConstraint,
                Some(text),
                Ending::Lost,
            );
        }
        self.end_expired();
        self.end_questions(None);
        self.tend_archive();
        self.tell(|row| row.tick, |engine, hook| hook(engine));
        if self.stop_ms.take_if(|due| *due <= now).is_some() {
            self.outbox.push(Effect::Stop);
        }
        Flow::Continue
    }

    /// Goes on reading a connection that was paused.
    pub(super) fn resume(&mut self, conn: ConnId, restart: bool) {
        let now_ms = self.now.mono_ms;
        if let Some(stream) = self.stream_mut(conn) {
            stream.paused = None;
            // Its answer may stand behind what was not read.
            if let Some(unacked) = stream.out.unacked_mut() {
                unacked.be_patient(now_ms);
            }
            self.outbox.push(Effect::Resume { conn, restart });
        }
    }

    /// Does `then` in so many milliseconds, rounded up to the next tick; until then the connection is not read. Without a wait it is done at once.
    pub fn after(
        &mut self,
        conn: ConnId,
        wait_ms: u64,
        then: impl FnOnce(&mut Engine) -> Flow + 'static,
    ) -> Flow {
        if wait_ms == 0 {
            return then(self);
        }
        let due = self.now.mono_ms + wait_ms;
        let Some(stream) = self.stream_mut(conn) else {
            return Flow::Close;
        };
        stream.paused = Some(Paused::Waits);
        stream.delayed = Some((
            due,
            Box::new(move |engine: &mut Engine, ()| {
                let flow = then(engine);
                engine.go_on(conn, flow);
            }),
        ));
        self.trace(|| format!("held back for {wait_ms} ms"));
        Flow::Pause
    }

    /// Goes on with a connection that was paused, as what it waited for decided.
    pub(super) fn go_on(&mut self, conn: ConnId, flow: Flow) {
        if matches!(flow, Flow::Restart | Flow::Continue) {
            self.resume(conn, flow == Flow::Restart);
        }
    }

    /// XEP-0198 §4: what did it handle?
    fn ask(&mut self, conn: ConnId) {
        let now_ms = self.now.mono_ms;
        let Engine {
            streams, outbox, ..
        } = self;
        let stream = streams.get_mut(conn.index as usize);
        if let Some(stream) = stream.and_then(Option::as_mut) {
            stream.pinged = true;
            stream.out.ask(outbox, conn, now_ms);
        }
    }

    /// XEP-0199 §4.1: is somebody there?
    fn ping(&mut self, conn: ConnId, session: SessionId) {
        // XEP-0198 §8.2: a client that acknowledges needs no other question.
        if self.is_managed(session) {
            return self.ask(conn);
        }
        let Some(to) = self.session(session).map(|session| session.jid.clone()) else {
            return;
        };
        let id = self.random.id();
        let text = written(|out| {
            out.start("iq")
                .attr("from", &self.config.domain)
                .attr("to", to.as_str())
                .attr("id", &id)
                .attr("type", "get");
            out.start("ping").attr("xmlns", ns::PING).end();
            out.end();
            if let Some(stream) = self.stream_mut(conn) {
                stream.pinged = true;
            }
        });
        let domain = self.config.domain.clone();
        let delivery = Delivery::of(&domain).worth(Worth::Probe);
        self.deliver(session, delivery, |out| {
            out.extend_from_slice(text.as_bytes())
        });
    }
}

/// What a stream needs at a tick.
enum Chore {
    Resume,
    Due(Continuation<()>),
    Ping(SessionId),
    PingComponent(Rc<str>),
    Ask,
    Late(&'static str),
}

impl Stream {
    fn chore(&mut self, now: u64, rate: u64) -> Option<Chore> {
        if let Stage::Closed = self.stage {
            return None;
        }
        if let Some((_, then)) = self.delayed.take_if(|(due, _)| *due <= now) {
            return Some(Chore::Due(then));
        }
        if self.paused == Some(Paused::Rate) {
            self.refill(now, rate);
            return (self.credit >= 0 || rate == 0).then_some(Chore::Resume);
        }
        match &self.stage {
            Stage::Opening | Stage::Negotiating(_) | Stage::Linking(_) => (now - self.accepted_ms
                > limits::LOGIN_MS)
                .then_some(Chore::Late("the login took too long")),
            Stage::Linked(host) => self.silence(now, || Chore::PingComponent(host.clone())),
            Stage::Bound(session) => {
                let session = *session;
                if let Some(owed) = self.owed(now) {
                    return Some(owed);
                }
                self.silence(now, || Chore::Ping(session))
            }
            Stage::Closed => None,
        }
    }

    /// Who has not been heard for long is asked, and then is gone.
    fn silence(&self, now: u64, ask: impl FnOnce() -> Chore) -> Option<Chore> {
        let silent = now - self.heard_ms;
        if silent > limits::SILENT_MS + limits::PING_ANSWER_MS && self.pinged {
            Some(Chore::Late("no answer to a ping"))
        } else {
            (silent > limits::SILENT_MS && !self.pinged).then(ask)
        }
    }

    /// What a client that acknowledges owes.
    fn owed(&mut self, now: u64) -> Option<Chore> {
        // What it was not sent it cannot answer, what is not read cannot be its answer.
        let excused = self.paused.is_some() || self.out.is_ready();
        let unacked = self.out.unacked_mut()?;
        if excused {
            unacked.be_patient(now);
        }
        match unacked.owed(now) {
            Owed::Nothing => None,
            Owed::Asking => Some(Chore::Ask),
            Owed::Late => Some(Chore::Late("no answer to a request for acknowledgement")),
        }
    }

    pub(super) fn refill(&mut self, now: u64, rate: u64) {
        let rate = match self.stage {
            Stage::Linked(_) => rate * limits::COMPONENT_RATE_TIMES,
            _ => rate,
        };
        let earned = now.saturating_sub(self.credit_ms).saturating_mul(rate) / 1000;
        self.credit = self
            .credit
            .saturating_add(earned as i64)
            .min(limits::STANZA_BURST_BYTES);
        self.credit_ms = now;
    }
}
