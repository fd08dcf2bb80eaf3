//! What is counted of a stream whose client manages it (XEP-0198 §4), in both directions. That a session outlives its connection is `resumption.rs`.
//!
//! `h` is an acknowledgement: `<a/>` does not say it before the disk has what the counted stanzas wrote. Only it may overtake what waits for a commit.

use super::outbox::OutQueue;
use super::resumption::{Kept, Resumptions};
use super::session::SessionId;
use super::unacked::{Count, When};
use super::{ConnId, Engine};
use crate::store::Ticket;
use crate::xml::written;
use crate::xmpp::{Condition, StreamError, ns};
use std::io::Write as _;
use std::rc::Rc;

/// What is known of a session whose client manages its stream.
pub struct Managed {
    /// What the client names it by; none where it shall not outlive its connection.
    pub(super) token: Option<Rc<str>>,
    /// How long it waits for its client.
    pub(super) keep_ms: u64,
    /// Stanzas of the client that were dispatched (modulo 2³², XEP-0198 §4).
    pub(super) handled: u32,
    /// The commit that has what they wrote.
    pub(super) wrote: Option<Ticket>,
    /// Acknowledgements that wait for their commit: the oldest, and the newest, which says what all between them would say.
    pub(super) promised: [Option<Promise>; 2],
    /// A commit failed on which its count relies.
    pub(super) untrue: bool,
    /// What is kept while it has no connection.
    pub(super) kept: Option<Box<Kept>>,
}

/// An `<a/>` that may go when this is on the disk.
type Promise = (Ticket, u32);

/// What is said of a session that may be resumed.
pub struct Terms {
    /// What names it.
    pub token: Rc<str>,
    /// How many seconds it waits.
    pub seconds: u64,
}

/// A stream is managed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedAlready;

impl Engine {
    /// Begins to count the stanzas of a session, once (XEP-0198 §3). With `resume` it waits for its client when its connection is lost: for
    /// so many seconds, or as many as the operator allows. `Err` where it is counted already.
    pub fn manage(
        &mut self,
        session: SessionId,
        conn: ConnId,
        resume: Option<u64>,
    ) -> Result<Option<Terms>, ManagedAlready> {
        let Engine { random, config, .. } = self;
        let most = config.stream.resume_seconds;
        let terms = resume.filter(|_| most > 0).map(|wish| Terms {
            token: random.id().into(),
            seconds: wish.min(most),
        });
        let Some(state) = self.session_mut(session) else {
            return Ok(None);
        };
        if state.managed.is_some() {
            return Err(ManagedAlready);
        }
        state.managed = Some(Box::new(Managed {
            token: terms.as_ref().map(|terms| terms.token.clone()),
            keep_ms: terms.as_ref().map_or(0, |terms| terms.seconds * 1000),
            handled: 0,
            wrote: None,
            promised: [None; 2],
            untrue: false,
            kept: None,
        }));
        if let Some(terms) = &terms {
            self.resumptions.name(terms.token.clone(), session);
        }
        if let Some(stream) = self.stream_mut(conn) {
            stream.out.keep_unacked();
        }
        Ok(terms)
    }

    /// Whether the client of a session acknowledges what it gets.
    pub fn is_managed(&self, session: SessionId) -> bool {
        self.session(session)
            .is_some_and(|session| session.managed.is_some())
    }

    /// A stanza of a managed session is about to be dispatched. What it counts from is handed to [`Engine::note_written`] behind it.
    pub(super) fn count_handled(&mut self, session: SessionId) -> Option<Ticket> {
        let managed = self.session_mut(session)?.managed.as_mut()?;
        managed.handled = managed.handled.wrapping_add(1);
        Some(self.store.ticket())
    }

    /// It was dispatched.
    pub(super) fn note_written(&mut self, session: SessionId, before: Option<Ticket>) {
        let Some(before) = before else { return };
        let ticket = self.store.ticket();
        if before != ticket
            && let Some(session) = self.session_mut(session)
            && let Some(managed) = &mut session.managed
        {
            managed.wrote = Some(ticket);
        }
    }

    /// XEP-0198 §4: the client asks what was handled. It hears it when all that was written until now is on the disk.
    pub fn acknowledge(&mut self, session: SessionId) {
        let ticket = self.ticket();
        let now = ticket <= self.done;
        let Some(managed) = self
            .session_mut(session)
            .and_then(|session| session.managed.as_mut())
        else {
            return;
        };
        let promise = (ticket, managed.handled);
        if now {
            return self.send_handled(session, promise.1);
        }
        let [oldest, newest] = &mut managed.promised;
        match oldest {
            Some((first, _)) if *first != ticket => *newest = Some(promise),
            Some(oldest) => *oldest = promise,
            None => {
                *oldest = Some(promise);
                self.resumptions.promising.push(session);
            }
        }
    }

    /// XEP-0198 §4: the client has handled so many.
    pub fn take_acknowledgement(&mut self, session: SessionId, conn: ConnId, h: u32) {
        let now_ms = self.now.mono_ms;
        let Engine {
            streams,
            outbox,
            resumptions: Resumptions { numbers, .. },
            ..
        } = self;
        let stream = streams.get_mut(conn.index as usize);
        let stream = stream
            .and_then(Option::as_mut)
            .filter(|stream| stream.conn == conn);
        let Some(stream) = stream else { return };
        let Some(unacked) = stream.out.unacked_mut() else {
            return;
        };
        let mut handed_over = Vec::new();
        numbers.clear();
        let ask = match unacked.count(h) {
            Count::Takes(count) => {
                unacked.take(outbox, count, |number, key| match key {
                    Some(key) => handed_over.push(key),
                    None => numbers.push(number),
                });
                unacked.answered();
                // What was sent behind the request is asked for at once, unless the client is not that far: then it has its time.
                count > 0 && !unacked.is_empty()
            }
            Count::Older => false,
            Count::TooHigh { sent } => return self.too_high(conn, h, sent),
        };
        if ask {
            stream.out.ask(outbox, conn, now_ms);
        }
        self.have_reached(session, &handed_over);
    }

    /// Refuses to manage or to resume (XEP-0198 §6); the client may go on otherwise.
    pub fn fail_management(&mut self, conn: ConnId, condition: Condition, h: Option<u32>) {
        self.trace(|| format!("stream management: {}", condition.name()));
        let text = written(|out| {
            out.start("failed")
                .attr("xmlns", ns::STREAM_MANAGEMENT)
                .attr_opt("h", h.map(|h| h.to_string()).as_deref());
            out.start(condition.name())
                .attr("xmlns", ns::STANZA_ERRORS)
                .end();
            out.end();
        });
        self.send(conn, &text);
    }

    /// A commit is done, or failed: acknowledgements that waited for it go. Where it failed, who counts on what is lost is ended, and cannot come
    /// back: its count is not true.
    pub(super) fn keep_promises(&mut self, before: Ticket, ticket: Ticket, fine: bool) {
        if !fine {
            self.resumptions.forget_untrue(before);
            let lost = |managed: &Managed| managed.wrote > Some(before);
            let untrue: Vec<SessionId> = self
                .sessions()
                .filter(|session| session.managed.as_deref().is_some_and(lost))
                .map(|session| session.id())
                .collect();
            for id in untrue {
                if let Some(managed) = self.session_mut(id).and_then(|s| s.managed.as_mut()) {
                    managed.untrue = true;
                }
                let text = "what you sent could not be stored";
                self.dismiss(id, StreamError::ResourceConstraint, text);
            }
        }
        let mut promising = std::mem::take(&mut self.resumptions.promising);
        promising.retain(|id| {
            let Some(managed) = self.session_mut(*id).and_then(|s| s.managed.as_mut()) else {
                return false;
            };
            let mut due = None;
            while let Some((_, handled)) = managed.promised[0].take_if(|(t, _)| *t <= ticket) {
                due = Some(handled);
                managed.promised.swap(0, 1);
            }
            let more = managed.promised[0].is_some();
            if let Some(handled) = due {
                self.send_handled(*id, handled);
            }
            more
        });
        self.resumptions.promising = promising;
    }

    /// The number of this entry, and its time.
    pub(super) fn when(&self) -> When {
        When {
            number: self.entries,
            mono_ms: self.now.mono_ms,
        }
    }

    /// XEP-0198 §6: it acknowledges what it never was sent.
    pub(super) fn too_high(&mut self, conn: ConnId, h: u32, sent: u32) {
        let text = format!("You acknowledged {h} stanzas, but only {sent} were sent so far.");
        self.end_stream(
            conn,
            StreamError::HandledCountTooHigh { h, sent },
            Some(&text),
        );
    }

    fn send_handled(&mut self, session: SessionId, handled: u32) {
        let Some(conn) = self.session(session).and_then(|session| session.conn) else {
            return;
        };
        self.send_with(conn, |out| {
            write!(out, "<a xmlns='{}' h='{handled}'/>", ns::STREAM_MANAGEMENT)
                .expect("a Vec takes everything");
        });
    }
}

impl Managed {
    pub(super) fn kept_queue(&self) -> Option<&OutQueue> {
        self.kept.as_ref().map(|kept| &kept.queue)
    }

    pub(super) fn kept_queue_mut(&mut self) -> Option<&mut OutQueue> {
        self.kept.as_mut().map(|kept| &mut kept.queue)
    }
}
