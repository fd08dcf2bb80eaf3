//! The archive as the engine has it: messages go in, questions go to the reading thread, and what the store needs done from time to time is asked for here.

use super::route::stamped;
use super::session::SessionId;
use super::{Effect, Engine, Flow};
use crate::limits;
use crate::store::archive::{Answer, ArchiveId, Request};
use crate::store::{StoreError, UserId};
use crate::xml::{Document, Element, Splice, splice};
use crate::xmpp::{Jid, Stanza, ns};
use std::collections::VecDeque;

/// What the archive has asked for on its own behalf.
#[derive(Default)]
pub(super) struct Upkeep {
    /// Something was asked for and is not answered yet.
    busy: bool,
    /// After a failure nothing is asked for before this, by the clock that never runs backwards.
    not_before_ms: u64,
    /// When to look next for what is too old or too much.
    retain_ms: u64,
}

/// What a session has been shown of its archive while messages may wait for it: those need not come again from the queue (XEP-0313 §6.1.1).
#[derive(Debug, Default)]
pub struct Shown {
    /// The random part of each id, the latest at the end. Nobody guesses it, so that a message from another server's archive never counts as shown.
    tags: VecDeque<[u8; 8]>,
}

/// The id that a message has in the archive of an account, by the mark that it got on its way in: forged ones are taken off before.
pub fn id_in_archive(message: Element<'_>, account: &str) -> Option<ArchiveId> {
    let mark = message.children().find(|child| {
        child.is(ns::STANZA_ID, "stanza-id") && child.attr("by").as_deref() == Some(account)
    })?;
    ArchiveId::parse(&mark.attr("id")?)
}

/// Milliseconds between two tries of what has failed.
const AGAIN_MS: u64 = 60_000;

impl Engine {
    /// Whether messages are archived here.
    pub fn archive_on(&self) -> bool {
        self.store.is_archive_open()
    }

    /// Archives a message for a local account, as its recipient gets it; `with`: the other side. `None` where that cannot be: the message goes on all the
    /// same, and the log has one line until it can be again.
    pub fn archive_message(
        &mut self,
        owner: UserId,
        with: &Jid<'_>,
        stanza: &Stanza<'_>,
    ) -> Option<ArchiveId> {
        let forged = self.forged(stanza);
        let how = Splice {
            // It will stand inside another element.
            xmlns: Some(ns::CLIENT),
            ..stamped(stanza, &forged, "")
        };
        self.archive_as(owner, with.as_str(), |out| splice(out, stanza.xml, &how))
    }

    /// Archives what `write` writes: a `<message/>` that declares its namespace, for it will stand inside another element. `with`: the address that it is
    /// found by. `None` as above.
    pub fn archive_as(
        &mut self,
        owner: UserId,
        with: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<ArchiveId> {
        let tag = self.random.bytes();
        let kept = self
            .store
            .archive(owner, self.now.wall_ms, tag, with, write);
        let failed = kept.is_err();
        if failed != self.archive_fails {
            match &kept {
                Ok(_) => log::info!("messages are archived again"),
                Err(error) => log::error!("messages go on without being archived: {error}"),
            }
        }
        self.archive_fails = failed;
        kept.ok()
    }

    /// A session is shown a message of its archive.
    pub fn archive_shown(&mut self, session: SessionId, id: &ArchiveId) {
        let takes_all = self.is_messageable(session);
        let Some(state) = self.session_mut(session) else {
            return;
        };
        // Nothing waits for who has what waited.
        if takes_all && !state.messages_wait {
            return;
        }
        if state.shown.tags.len() == limits::ARCHIVE_SHOWN {
            state.shown.tags.pop_front();
        }
        state.shown.tags.push_back(id.tag);
    }

    /// Whether a session has been shown a message that waits for it, by the id that its archive gave. Only where it has been shown any is the message parsed.
    pub fn was_shown(&self, session: SessionId, waiting: &str) -> bool {
        let Some(state) = self.session(session) else {
            return false;
        };
        if state.shown.tags.is_empty() {
            return false;
        }
        let Ok(message) = Document::parse(waiting.to_owned()) else {
            return false;
        };
        id_in_archive(message.root(), state.jid.bare())
            .is_some_and(|id| state.shown.tags.contains(&id.tag))
    }

    /// Asks the reading thread, and goes on with its answer once everything is on the disk that the answer may show: what a power cut could take back is
    /// not shown to anybody.
    pub fn read_archive(
        &mut self,
        request: Request,
        then: impl FnOnce(&mut Engine, Result<Answer, StoreError>) + 'static,
    ) {
        self.next_job += 1;
        self.reads.insert(self.next_job, Box::new(then));
        self.outbox.push(Effect::Read {
            job: self.next_job,
            request,
        });
    }

    /// The same for a session, which is not heard until it has what comes of it: what a client says behind a question is taken behind the answer.
    pub fn read_archive_for(
        &mut self,
        session: SessionId,
        request: Request,
        then: impl FnOnce(&mut Engine, Result<Answer, StoreError>) + 'static,
    ) {
        let conn = self.session(session).and_then(|session| session.conn);
        if let Some(conn) = conn {
            self.pause(conn);
        }
        self.read_archive(request, move |engine, answer| {
            then(engine, answer);
            if let Some(conn) = conn {
                engine.unpause(conn);
            }
        });
    }

    /// Puts another message in the place of one, with its id and time, in whichever volume it lies; `xml` declares its namespace. An error says that it is
    /// still what it was.
    pub fn replace_in_archive(
        &mut self,
        owner: UserId,
        id: ArchiveId,
        xml: Vec<u8>,
        then: impl FnOnce(&mut Engine, Result<(), StoreError>) + 'static,
    ) {
        match self.store.replace_archived(owner, &id, &xml) {
            Ok(true) => {
                self.ticket();
                then(self, Ok(()));
            }
            // It is in an older volume.
            Ok(false) => {
                let replace = Request::Replace { owner, id, xml };
                self.read_archive(replace, |engine, done| then(engine, done.map(|_| ())));
            }
            Err(error) => then(self, Err(error)),
        }
    }

    /// The answer has come. What it shows was written before now.
    pub(super) fn read(&mut self, job: u64, answer: Result<Answer, StoreError>) -> Flow {
        if let Some(then) = self.reads.remove(&job) {
            self.when_committed(move |engine, fine| match fine {
                true => then(engine, answer),
                false => then(engine, Err(StoreError::Full)),
            });
        }
        Flow::Continue
    }

    /// Whether the archive need not be opened yet: the server has just been started, and nobody is here.
    fn archive_may_rest(&self) -> bool {
        self.store.archive_rests()
            && self.now.mono_ms < self.started.mono_ms + limits::ARCHIVE_REST_MS
            && self.sessions.iter().all(Option::is_none)
    }

    /// Somebody is here: the reading thread opens the archive before the first message comes.
    pub(super) fn wake_archive(&mut self) {
        if self.store.archive_rests() {
            self.tend_archive();
        }
    }

    /// A second passed: one thing at a time.
    pub(super) fn tend_archive(&mut self) {
        if self.upkeep.busy
            || self.stopping
            || self.now.mono_ms < self.upkeep.not_before_ms
            || self.archive_may_rest()
        {
            return;
        }
        let request = match self.store.archive_chore(self.now.wall_ms) {
            Some(request) => request,
            None if self.now.mono_ms < self.upkeep.retain_ms => return,
            None => {
                self.upkeep.retain_ms = self.now.mono_ms + limits::ARCHIVE_RETAIN_MS;
                Request::Retain {
                    now_ms: self.now.wall_ms,
                    keep_days: self.config.archive.keep_days,
                    max_bytes: u64::from(self.config.archive.max_mb) << 20,
                }
            }
        };
        self.upkeep.busy = true;
        let forgotten = match &request {
            Request::Forget(user) => Some(*user),
            _ => None,
        };
        self.read_archive(request, move |engine, answer| {
            engine.upkeep.busy = false;
            let done = answer.and_then(|_| match forgotten {
                Some(user) => engine.store.archive_forgot(user),
                None => Ok(()),
            });
            match done {
                Ok(()) => engine.tend_archive(),
                Err(error) => {
                    log::error!("the archive could not be looked after: {error}");
                    engine.upkeep.not_before_ms = engine.now.mono_ms + AGAIN_MS;
                }
            }
        });
    }
}
