//! The server as a value: state and decisions.
//!
//! Never waits: no socket, no clock, no randomness of its own and no `await` in here. The time comes in with every input, random
//! bytes come from the source that was handed in, and what the engine wants done comes out as [`Effect`]s. It is entered in one
//! function, [`Engine::enter`], and its effects are drained before the next input, so a whole server runs in a test without a
//! socket, under a virtual clock and a seed.

pub mod account;
pub mod acknowledgement;
pub mod administration;
pub mod announce;
pub mod archive;
pub mod archive_pages;
pub mod blocklist;
pub mod caps;
pub mod census;
mod chores;
pub mod command;
pub mod contacts;
pub mod content;
pub mod delivery;
pub mod departures;
pub mod directory;
pub mod disco;
pub mod dispatch;
pub mod documents;
pub mod everyone;
pub mod exchanges;
pub mod feature;
pub mod inactivity;
pub mod login;
pub mod memory;
pub mod outbox;
pub mod photo;
pub mod preferences;
pub mod pubsub;
pub mod resumption;
mod returned;
pub mod route;
pub mod service;
pub mod session;
pub mod stream;
pub mod subscription;
pub mod throttle;
pub mod unacked;
pub mod visibility;

use crate::auth::{ChannelBinding, Hash, ScramKeys, Secret, keys};
use crate::config::Config;
use crate::store::archive::{Answer, Request};
use crate::store::{Store, StoreError, Ticket};
use crate::xml::Bounds;
use crate::xml::{Checked, Header, XmlError};
use crate::xmpp::{Condition, StanzaError, StreamError};
use feature::Feature;
use outbox::Outbox;
use session::{Session, SessionId, User};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use stream::{Stage, Stream};

/// One connection, named by the shell. An index is used again, with another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Place in the shell's table; small, so that the engine can use it as an index too.
    pub index: u32,
    /// Distinguishes those who had the same place.
    pub generation: u32,
}

/// What the clocks say when the engine is entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970 by the wall clock, which may jump.
    pub wall_ms: u64,
    /// Milliseconds of a clock that never runs backwards; its zero means nothing.
    pub mono_ms: u64,
}

/// What TLS tells about a connection, once its handshake is done.
pub struct Tls {
    /// Channel bindings of this connection (RFC 9266, RFC 5929).
    pub binding: ChannelBinding,
    /// Protocol and cipher suite, for the log and for `snug online`.
    pub version: &'static str,
}

/// What happened. Whatever enters the engine is one of these.
pub enum Input<'a> {
    /// A TCP connection was accepted; with `tls` where the handshake came first (direct TLS).
    Accepted {
        conn: ConnId,
        peer: IpAddr,
        tls: Option<Tls>,
    },
    /// The handshake that [`Flow::StartTls`] asked for is done.
    Secured { conn: ConnId, tls: Tls },
    /// A stream header arrived.
    Header {
        conn: ConnId,
        header: &'a Header<'a>,
    },
    /// A complete child of the stream arrived.
    Element { conn: ConnId, xml: Checked<'a> },
    /// White space between stanzas: a keepalive.
    Space { conn: ConnId },
    /// The peer closed its stream.
    Footer { conn: ConnId },
    /// The bytes that arrived are not XML that we take.
    Malformed { conn: ConnId, error: XmlError },
    /// The TCP connection is no more, for this reason.
    Gone { conn: ConnId, why: &'a str },
    /// The answer to [`Effect::Derive`]. Keys are in the order of the request.
    Derived { job: u64, keys: Vec<ScramKeys> },
    /// The answer to [`Effect::Commit`]: everything up to this ticket is on the disk, or could not be put there.
    Committed {
        ticket: Ticket,
        result: Result<(), StoreError>,
    },
    /// The answer to [`Effect::Read`].
    Read {
        job: u64,
        answer: Result<Answer, StoreError>,
    },
    /// A second passed.
    Tick,
    /// A request came over the control socket: one line of JSON.
    Control { call: u64, line: &'a str },
    /// The configuration was read anew.
    Reload(Box<Config>),
    /// The server shall end: streams are closed and [`Effect::Exit`] follows when nothing more waits for a commit.
    Shutdown,
}

/// What the shell does next with the connection whose input it just handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Hand in what comes next.
    Continue,
    /// The next thing must be a stream header; ask [`Engine::bounds`] again.
    Restart,
    /// Send what is queued, then do the TLS handshake and say [`Input::Secured`]. Bytes that already arrived behind this input end the connection (RFC 6120 §5.4.3.3).
    StartTls,
    /// Keep what follows unread until [`Effect::Resume`].
    Pause,
    /// Read no more; [`Effect::Close`] was said.
    Close,
}

/// What the engine wants done.
pub enum Effect {
    /// Bytes wait for this connection: [`Engine::take_output`].
    Output(ConnId),
    /// What [`Flow::Pause`] stopped goes on; with `restart`, a stream header comes next and [`Engine::bounds`] changed.
    Resume { conn: ConnId, restart: bool },
    /// Send what is queued, then end TLS and TCP.
    Close(ConnId),
    /// Put everything written so far on the disk and answer with [`Input::Committed`].
    Commit { ticket: Ticket },
    /// Derive SCRAM keys off-thread (PBKDF2 is slow by design) and answer with [`Input::Derived`].
    Derive {
        job: u64,
        password: Secret,
        keys: Vec<(Hash, Vec<u8>, u32)>,
    },
    /// Ask the archive's reading side and answer with [`Input::Read`]. It may wait for the disk, and commits do not wait for it.
    Read { job: u64, request: Request },
    /// One line of JSON answers a control request.
    Reply { call: u64, line: String },
    /// The server shall end, as if a signal had come: answer with [`Input::Shutdown`].
    Stop,
    /// Everything is closed and committed: leave.
    Exit,
}

/// Random bytes, as they are handed in: the system's in the server, a seeded sequence in tests.
pub struct Random(Fill);

/// Fills a buffer with random bytes.
type Fill = Box<dyn FnMut(&mut [u8])>;

impl Random {
    /// Takes the source.
    pub fn new(fill: impl FnMut(&mut [u8]) + 'static) -> Random {
        Random(Box::new(fill))
    }

    /// Fresh random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }

    /// An id that nobody guesses: 128 random bits in 22 characters that need no escape.
    pub fn id(&mut self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.bytes::<16>())
    }
}

/// What goes on when keys are derived, a commit is done or the archive was read.
type Continuation<T> = Box<dyn FnOnce(&mut Engine, T)>;

/// Takes one line about a stanza's way.
pub type Trace = Box<dyn FnMut(&str)>;

/// What handles a control request; `lib.rs` hands it in, because the layer that knows the verbs stands above.
pub type Control = fn(&mut Engine, call: u64, line: &str);

/// What a server is made of.
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The opened store.
    pub store: Store,
    /// The table of features, in hook order.
    pub features: &'static [Feature],
    /// What handles control requests.
    pub control: Control,
    /// Where random bytes come from.
    pub random: Random,
    /// Where one stanza's way is told, stage by stage.
    pub trace: Option<Trace>,
}

/// The whole server but for what waits.
pub struct Engine {
    /// The checked configuration.
    pub config: Config,
    /// What is kept on disk.
    pub store: Store,
    /// Random bytes.
    pub random: Random,
    /// The table of features, in hook order.
    pub features: &'static [Feature],
    /// When the engine was entered.
    pub now: Moment,
    /// When the engine was made, for uptime.
    pub started: Moment,
    /// Ad-hoc commands that somebody began.
    pub commands: command::Commands,
    /// Hosts that rows answer for.
    services: service::Services,
    /// See [`Engine::memory`].
    memory: memory::Memory,
    /// Users with at least one session, by the local part of their JID; others only for the length of one entry.
    users: HashMap<Rc<str>, User>,
    /// Users that were loaded without a session and leave when this entry ends.
    passing: Vec<Rc<str>>,
    /// Who everyone is, while that is known: see `engine/everyone.rs`.
    everyone: Option<Rc<everyone::Everyone>>,
    streams: Vec<Option<Stream>>,
    sessions: Vec<Option<Session>>,
    free_sessions: Vec<SessionId>,
    outbox: Outbox,
    /// Spare buffers: what the next message that leaves, and the next that arrives, get behind their last child.
    appended_out: String,
    appended_in: String,
    /// What waits in memory for all clients that nobody looks at, in bytes.
    waiting_bytes: usize,
    capabilities: caps::Known,
    /// Nodes of publish-subscribe.
    pubsub: pubsub::Known,
    /// Pictures of those who are online, by hash.
    photos: photo::Photos,
    throttle: throttle::Throttle,
    census: census::Census,
    control: Control,
    jobs: HashMap<u64, Continuation<Vec<ScramKeys>>>,
    next_job: u64,
    /// Who waits for the archive.
    reads: HashMap<u64, Continuation<Result<Answer, StoreError>>>,
    upkeep: archive::Upkeep,
    /// Whether the last message could not be archived.
    archive_fails: bool,
    /// Announcements that go on at the next tick.
    tellings: Vec<announce::Telling>,
    /// What waits for a commit besides output.
    committing: Vec<(Ticket, Continuation<bool>)>,
    /// The newest commit that was asked for.
    asked: Ticket,
    /// Everything up to here is on the disk.
    done: Ticket,
    /// Reopenings of the store that memory has followed.
    reopenings: u64,
    /// Sessions that may be resumed.
    resumptions: resumption::Resumptions,
    /// How often the engine was entered.
    entries: u64,
    /// See [`Engine::server_verification`].
    own_verification: OnceCell<String>,
    /// Who left lately: see [`Engine::departure`].
    departures: departures::Departures,
    stopping: bool,
    /// When the server ends, where an administrator said so: see [`Engine::stop_later`].
    stop_ms: Option<u64>,
    trace: Option<Trace>,
}

impl Engine {
    /// A server with nobody on it.
    pub fn new(setup: Setup, now: Moment) -> Engine {
        let done = setup.store.ticket();
        let reopenings = setup.store.reopenings();
        let mut engine = Engine {
            services: service::services(setup.features, &setup.config),
            memory: memory::Memory::default(),
            reopenings,
            throttle: throttle::Throttle::default(),
            census: census::Census::default(),
            config: setup.config,
            store: setup.store,
            random: setup.random,
            features: setup.features,
            now,
            started: now,
            commands: command::Commands::default(),
            stop_ms: None,
            users: HashMap::new(),
            passing: Vec::new(),
            everyone: None,
            streams: Vec::new(),
            sessions: Vec::new(),
            free_sessions: Vec::new(),
            outbox: Outbox::default(),
            appended_out: String::new(),
            appended_in: String::new(),
            waiting_bytes: 0,
            capabilities: caps::Known::default(),
            pubsub: pubsub::Known::default(),
            photos: photo::Photos::default(),
            control: setup.control,
            jobs: HashMap::new(),
            next_job: 0,
            reads: HashMap::new(),
            upkeep: archive::Upkeep::default(),
            archive_fails: false,
            tellings: Vec::new(),
            committing: Vec::new(),
            asked: done,
            done,
            resumptions: resumption::Resumptions::default(),
            entries: 0,
            own_verification: OnceCell::new(),
            departures: departures::Departures::default(),
            stopping: false,
            trace: setup.trace,
        };
        engine.take_census();
        engine
    }

    /// The one door: takes what happened, decides, and leaves what it wants done in [`Engine::effects`]. The [`Flow`] is for the
    /// connection that the input names, and `Continue` where it names none.
    pub fn enter(&mut self, now: Moment, input: Input<'_>) -> Flow {
        self.now = now;
        self.entries += 1;
        if self.store.reopenings() != self.reopenings {
            self.reopenings = self.store.reopenings();
            self.forget_uncommitted();
        }
        let flow = match input {
            Input::Element { conn, xml } => self.element(conn, xml),
            Input::Space { conn } => self.heard(conn),
            Input::Header { conn, header } => self.stream_header(conn, header),
            Input::Accepted { conn, peer, tls } => self.accepted(conn, peer, tls),
            Input::Secured { conn, tls } => self.secured(conn, tls),
            Input::Footer { conn } => self.footer(conn),
            Input::Malformed { conn, error } => self.malformed(conn, error),
            Input::Gone { conn, why } => self.gone(conn, why),
            Input::Derived { job, keys } => {
                if let Some(then) = self.jobs.remove(&job) {
                    then(self, keys);
                }
                Flow::Continue
            }
            Input::Committed { ticket, result } => self.committed(ticket, result),
            Input::Read { job, answer } => self.read(job, answer),
            Input::Tick => self.tick(),
            Input::Control { call, line } => {
                (self.control)(self, call, line);
                Flow::Continue
            }
            Input::Reload(config) => {
                self.config = *config;
                self.services = service::services(self.features, &self.config);
                self.own_verification.take();
                Flow::Continue
            }
            Input::Shutdown => self.shutdown(),
        };
        self.leave();
        flow
    }

    /// What an entry owes before it ends: the end of who keeps too much, a commit for what it wrote, and the users that were only passing by.
    fn leave(&mut self) {
        self.end_overfull();
        self.ticket();
        while let Some(name) = self.passing.pop() {
            if self
                .users
                .get(&name)
                .is_some_and(|user| user.sessions.is_empty())
                && let Some(user) = self.users.remove(&name)
            {
                self.pubsub.forget(user.id);
                self.photos.forget(user.id);
            }
        }
        self.leave_nodes();
        if self.stopping
            && self.done == self.asked
            && self.jobs.is_empty()
            && self.streams.iter().all(Option::is_none)
        {
            self.stopping = false;
            self.outbox.push(Effect::Exit);
        }
    }

    /// What the engine wants done, in order. Called until it is empty before the next input.
    pub fn effects(&mut self) -> Option<Effect> {
        self.outbox.pop()
    }

    /// The ticket whose commit covers everything written until now. The commit is asked for.
    pub fn ticket(&mut self) -> Ticket {
        let ticket = self.store.ticket();
        if ticket > self.asked {
            self.asked = ticket;
            self.outbox.push(Effect::Commit { ticket });
        }
        ticket
    }

    /// Does `then` once everything written until now is on the disk; `false` says that it could not be put there.
    pub fn when_committed(&mut self, then: impl FnOnce(&mut Engine, bool) + 'static) {
        let ticket = self.ticket();
        if ticket <= self.done {
            then(self, true);
        } else {
            self.committing.push((ticket, Box::new(then)));
        }
    }

    fn committed(&mut self, ticket: Ticket, result: Result<(), StoreError>) -> Flow {
        let fine = result.is_ok();
        if let Err(error) = result {
            log::error!("what was written could not be put on the disk: {error}");
        }
        let before = self.done;
        self.done = self.done.max(ticket);
        let (due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.committing)
            .into_iter()
            .partition(|(t, _)| *t <= ticket);
        self.committing = waiting;
        // An acknowledgement of stanzas may overtake anything.
        self.keep_promises(before, ticket, fine);
        // Then what was sent earlier: a continuation may send behind it, or end the stream.
        self.release_held(ticket, fine);
        for (_, then) in due {
            then(self, fine);
        }
        Flow::Continue
    }

    /// The store was opened again, perhaps long after a commit failed, and lost what was not committed: what is kept of it in memory is read again.
    fn forget_uncommitted(&mut self) {
        self.pubsub.forget_all();
        self.photos.forget_all();
        self.forget_everyone();
        let Engine { users, store, .. } = self;
        for user in users.values_mut() {
            match contacts::Contacts::load(store, user.id) {
                Ok(contacts) => user.contacts = contacts,
                Err(error) => log::error!(
                    "the contact list of {:?} could not be read: {error}",
                    user.name
                ),
            }
            match blocklist::Blocklist::load(store, user.id) {
                Ok(blocklist) => user.blocklist = blocklist,
                Err(error) => {
                    log::error!(
                        "the block list of {:?} could not be read: {error}",
                        user.name
                    )
                }
            }
            match preferences::Preferences::load(store, user.id) {
                Ok(archiving) => user.archiving = archiving,
                Err(error) => log::error!(
                    "what {:?} wants to have archived could not be read: {error}",
                    user.name
                ),
            }
        }
        // An account whose making was lost has nobody.
        let gone: Vec<Rc<str>> = users
            .values()
            .filter(|user| match store.account(&user.name) {
                Ok(account) => account.is_none_or(|account| account.id != user.id),
                Err(_) => false,
            })
            .map(|user| user.name.clone())
            .collect();
        for name in gone {
            let text = "the account could not be stored";
            self.end_sessions(&name, StreamError::NotAuthorized, text, None);
        }
        self.tell(|row| row.reopened, |engine, hook| hook(engine));
    }

    /// Derives the keys of both hashes from a password off-thread, each with a fresh salt, and goes on with them (SHA-1 first).
    pub fn derive_new(
        &mut self,
        password: Secret,
        then: impl FnOnce(&mut Engine, Vec<ScramKeys>) + 'static,
    ) {
        let keys = [Hash::Sha1, Hash::Sha256].map(|hash| {
            (
                hash,
                self.random.bytes::<{ keys::SALT_BYTES }>().to_vec(),
                keys::ITERATIONS,
            )
        });
        self.derive(password, keys.to_vec(), then);
    }

    /// Derives keys off-thread and goes on with them.
    pub fn derive(
        &mut self,
        password: Secret,
        keys: Vec<(Hash, Vec<u8>, u32)>,
        then: impl FnOnce(&mut Engine, Vec<ScramKeys>) + 'static,
    ) {
        self.next_job += 1;
        self.jobs.insert(self.next_job, Box::new(then));
        self.outbox.push(Effect::Derive {
            job: self.next_job,
            password,
            keys,
        });
    }

    /// Answers a control request, which waits in the shell.
    pub fn reply(&mut self, call: u64, line: String) {
        self.outbox.push(Effect::Reply { call, line });
    }

    /// Whether nothing is held: no stream, no session, no user, no key or commit that somebody waits for. So it is when everybody is gone.
    pub fn is_empty(&self) -> bool {
        self.streams.iter().all(Option::is_none)
            && self.sessions.iter().all(Option::is_none)
            && self.free_sessions.len() == self.sessions.len()
            && self.users.is_empty()
            && self.waiting_bytes == 0
            && self.pubsub.is_empty()
            && self.photos.is_empty()
            && self.tellings.is_empty()
            && self.jobs.is_empty()
            && self.reads.is_empty()
            && self.committing.is_empty()
            && self.nothing_to_resume()
    }

    /// From now on another, or nobody, is told each stanza's way.
    pub fn trace_to(&mut self, trace: Option<Trace>) {
        self.trace = trace;
    }

    /// Tells one step of a stanza's way, when somebody listens.
    pub fn trace(&mut self, step: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace(&step());
        }
    }

    /// The bounds of what this connection may send now: small before login.
    pub fn bounds(&self, conn: ConnId) -> Bounds {
        let known = self.stream(conn).is_some_and(|stream| match &stream.stage {
            Stage::Negotiating(login) => login.account.is_some(),
            Stage::Bound(_) => true,
            _ => false,
        });
        if known {
            Bounds::AFTER_LOGIN
        } else {
            Bounds::BEFORE_LOGIN
        }
    }
}

impl From<StoreError> for StanzaError {
    /// What the store could not do, as its user hears it.
    fn from(error: StoreError) -> StanzaError {
        match error {
            StoreError::Full => {
                StanzaError::text(Condition::ResourceConstraint, "the server's disk is full")
            }
            StoreError::TooMuch => StanzaError::text(
                Condition::ResourceConstraint,
                "you keep too much here already",
            ),
            StoreError::TooLong => {
                StanzaError::text(Condition::NotAcceptable, "that is too long to be kept")
            }
            StoreError::ArchiveOff => Condition::FeatureNotImplemented.into(),
            error => {
                log::error!("the store failed: {error}");
                Condition::InternalServerError.into()
            }
        }
    }
}
