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
pub mod beyond;
pub mod blocklist;
pub mod caps;
pub mod census;
mod chores;
pub mod command;
mod committing;
mod component;
pub mod contacts;
pub mod content;
pub mod delivery;
pub mod departures;
pub mod directory;
pub mod disco;
pub mod dispatch;
pub mod documents;
mod door;
pub mod everyone;
pub mod exchanges;
pub mod feature;
pub mod inactivity;
pub mod login;
pub mod memory;
pub mod missed;
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

use crate::auth::{Hash, ScramKeys, Secret, keys};
pub use door::{ConnId, Effect, Flow, Input, Moment, Tls};

use crate::config::Config;
use crate::store::archive::Answer;
use crate::store::{Store, StoreError, Ticket};
use crate::xml::Bounds;
use crate::xmpp::{Condition, StanzaError};
use feature::Feature;
use outbox::Outbox;
use session::{Session, SessionId, User};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use stream::{Stage, Stream};

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
    /// Components that are connected.
    components: component::Components,
    /// Who wants to be woken.
    sleepers: missed::Sleepers,
    /// What the server asked of others.
    questions: beyond::Questions,
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
            components: component::Components::default(),
            sleepers: missed::Sleepers::default(),
            questions: beyond::Questions::default(),
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
            Input::Accepted { conn, peer, tls } => self.accepted(conn, peer, tls, Stage::Opening),
            Input::Component { conn, peer } => {
                self.accepted(conn, peer, None, Stage::Linking(None))
            }
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
                self.end_unknown_components();
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
                self.pubsub.forget(user.id, &name);
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
            && self.questions.is_empty()
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
            Stage::Bound(_) | Stage::Linked(_) => true,
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
