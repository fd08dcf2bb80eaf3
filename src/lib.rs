//! snug: an XMPP server in one small binary, for the Raspberry Pi under the stairs.
//!
//! # The map
//!
//! A folder is a layer; from `config` down, a layer imports only what stands above it (`tests/tidy.rs` checks that). `main.rs` and this file
//! stand outside of the order: this file alone joins the engine to the table of features and to the verbs of administration.
//!
//! | layer | what it is | what it never does |
//! |---|---|---|
//! | [`config`] | file and flags in, a checked `Config` out | check anything twice |
//! | [`limits`] | every bound, its unit, its reason, what happens there | |
//! | [`xml`] | bytes to elements and back | know XMPP |
//! | [`xmpp`] | names, JIDs, stanza heads, errors, times: values | send, store, decide |
//! | [`auth`] | SCRAM and PLAIN as values: challenge in, response out | wait, or draw randomness |
//! | [`store`] | what is kept on disk, one file per kind of data | know a session |
//! | [`engine`] | the server as a value: state and decisions | wait: no socket, no clock, no `await` |
//! | [`features`] | one file per RFC chapter or XEP, and the table of them | import each other |
//! | [`net`] | the only code that waits: sockets, TLS, timers, threads, signals | know a feature |
//! | [`admin`] | what the control socket's verbs do | |
//! | [`cli`] | the command line, which talks to the control socket | decide what a verb does |
//!
//! # One message's journey
//!
//! 1. `net/connection.rs` reads TLS plaintext into one buffer that all connections share, and hands it to that connection's [`xml::Reader`].
//! 2. [`xml::Framer`] finds where the stanza ends; [`xml::Checker`] makes the strict pass that nobody may skip and leaves a table of spans.
//! 3. [`engine::Engine::enter`] takes it. `engine/dispatch.rs` is the gate: the sender is stamped, the head is checked once, and
//!    what is for others passes the gates of [`features::ALL`] (blocking). Then their hooks are asked in the table's order; each says `Continue` or
//!    `Done` and why. The archives of both sides take their copies here.
//! 4. `engine/route.rs` chooses the sessions by RFC 6121 §8.5, or asks the hooks for what could not be delivered.
//! 5. [`xml::splice`] appends it to each recipient's queue (`engine/outbox.rs`): a new head, then the sender's own bytes. What a client takes
//!    as an acknowledgement is held there until the store has committed.
//! 6. The shell (`net/shell.rs`) drains the engine's effects before the next input: queues into TLS, commits to the storage thread, pages of the
//!    archive to the reading thread, password hashes to others.
//!
//! `snug run --trace` prints these stages for every stanza, and so does a failing script in `tests/scripts`.
//!
//! # What always holds
//!
//! - The engine is entered in one function and never waits; `now` and random bytes come in, effects come out. A whole server runs in a test.
//! - Nothing is forwarded or stored that has not passed the strict check; what passed keeps its bytes.
//! - Nothing is acknowledged that is not on the disk: `flush` and `fdatasync`, grouped. Waiting never changes the order of what one source sends.
//! - A session is not its connection: it waits for its client to come back (`engine/resumption.rs`), and what it had not acknowledged when it ends goes where
//!   RFC 6121 sends what reaches nobody (`engine/returned.rs`): once, and in order.
//! - What an SD card makes wait, waits on a thread: no commit waits for a page of the archive, and nobody's message for either.
//! - A peer's input never panics; a bug of ours does, with the sentence of the broken promise, and ends that connection only.
//! - Where a stanza goes that is for no account and no service here is one question (`engine/beyond.rs`): today to a component (XEP-0114).
//! - Who brings what a device may miss says so (`engine/missed.rs`), and does not know who wakes it.
//! - What an administrator does is done in one place (`engine/administration.rs`, `engine/announce.rs`), whichever of the two doors it came by: a
//!   verb of [`admin`], or an ad-hoc command of a feature's row. The log says who did it.
//! - Two errors, two owners: a [`xmpp::StanzaError`] answers the peer, a [`xmpp::StreamError`] ends the stream; one file turns both into XML.
//!
//! # Adding a XEP
//!
//! Four files: `tests/scripts/NAME.txt` with its examples and refusals, its line in `tests/scripts.rs`, `features/NAME.rs`, and its row in
//! [`features::ALL`]. Disco, stream features and the README's table follow from the row.

pub mod admin;
pub mod auth;
pub mod cli;
pub mod config;
pub mod engine;
pub mod features;
pub mod limits;
pub mod net;
pub mod store;
pub mod xml;
pub mod xmpp;

use config::Config;
use engine::{Engine, Moment, Random, Setup, Trace};
use std::path::Path;
use store::{ArchiveReader, Store};

/// Joins the engine to the table of features and to the verbs of administration: the only place that knows all three.
pub fn engine(
    config: Config,
    store: Store,
    random: Random,
    now: Moment,
    trace: Option<Trace>,
) -> Engine {
    Engine::new(
        Setup {
            config,
            store,
            features: features::ALL,
            control: admin::control,
            random,
            trace,
        },
        now,
    )
}

/// Runs the server until it is told to end.
pub fn run(config: Config, trace: bool) -> Result<(), String> {
    net::run(
        config,
        net::RunOptions { trace },
        |config, store, now, trace| engine(config, store, system_random(), now, trace),
    )
}

/// Does an administrator's request on a data directory where no server runs.
pub fn offline(data: &Path, config: &Config, request: &serde_json::Value) -> serde_json::Value {
    match Offline::open(data, config) {
        Ok(mut offline) => offline.ask(request),
        Err(error) => serde_json::json!({"ok": false, "error": error}),
    }
}

/// Puts a backup in the place of the database of a data directory where no server runs; where what was there has been put.
pub fn restore(data: &Path, dump: &Path) -> Result<Option<std::path::PathBuf>, String> {
    Store::restore(data, dump).map_err(|error| error.to_string())
}

/// A data directory where no server runs, open for an administrator's requests.
pub struct Offline(Engine, ArchiveReader);

impl Offline {
    /// Opens it; an error is a sentence for the operator.
    pub fn open(data: &Path, config: &Config) -> Result<Offline, String> {
        let store = match config.archive.enabled {
            true => Store::open_archive_later(data),
            false => Store::open_without_archive(data),
        }
        .map_err(|error| error.to_string())?;
        let reader = store.archive_reader();
        let wall_ms = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        let now = Moment {
            wall_ms,
            mono_ms: 0,
        };
        let engine = engine(config.clone(), store, system_random(), now, None);
        Ok(Offline(engine, reader))
    }

    /// Does one request.
    pub fn ask(&mut self, request: &serde_json::Value) -> serde_json::Value {
        admin::offline(&mut self.0, &mut self.1, request)
    }
}

/// The system's random bytes.
fn system_random() -> Random {
    use ring::rand::SecureRandom as _;
    let system = ring::rand::SystemRandom::new();
    Random::new(move |bytes| system.fill(bytes).expect("the system has random bytes"))
}
