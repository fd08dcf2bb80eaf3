//! What a run does: which scenarios on which servers, how long, how often; and the figures that come of it.

use std::time::Duration;

use crate::scram::Hash;
use crate::server::Setup;
use crate::{archive, chat, login, lone, rooms, sessions, start};

/// How much of everything one repetition does.
pub struct Plan {
    /// Time for each number of messages in flight.
    pub chat: Duration,
    /// The mechanism of every login.
    pub hash: Hash,
    /// Time for each kind of login.
    pub logins: Duration,
    /// Idle sessions.
    pub sessions: usize,
    /// Starts, of which the best counts.
    pub starts: usize,
    /// Time for reading the last page of an archive again and again.
    pub pages: Duration,
    /// The longest walk through an archive.
    pub walk: Duration,
    /// Messages of a large archive.
    pub large: u64,
    /// Rooms in which nobody is.
    pub rooms: usize,
}

impl Plan {
    /// What is reported.
    pub fn full(hash: Hash) -> Plan {
        Plan {
            hash,
            chat: Duration::from_millis(2500),
            logins: Duration::from_secs(3),
            sessions: 1000,
            starts: 3,
            pages: Duration::from_secs(2),
            walk: Duration::from_secs(40),
            large: 1_000_000,
            rooms: 10_000,
        }
    }

    /// One look.
    pub fn quick(hash: Hash) -> Plan {
        Plan {
            hash,
            chat: Duration::from_secs(1),
            logins: Duration::from_millis(1500),
            sessions: 300,
            starts: 2,
            pages: Duration::from_secs(1),
            walk: Duration::from_secs(5),
            large: 20_000,
            rooms: 500,
        }
    }
}

/// One measured value of one server in one repetition. Smaller is better.
#[derive(Clone, Copy)]
pub struct Figure {
    /// Which row of `ROWS`.
    pub key: &'static str,
    pub value: f64,
    /// Operations a second that were reached; 0: not a rate.
    pub a_second: f64,
    /// CPU time of the load generator for each operation, in µs; 0: not measured.
    pub generator_us: f64,
}

impl Figure {
    /// A value alone.
    pub fn of(key: &'static str, value: f64) -> Figure {
        Figure {
            key,
            value,
            a_second: 0.0,
            generator_us: 0.0,
        }
    }
}

/// One scenario.
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&Setup, &Plan) -> Result<Vec<Figure>, String>,
}

/// In the order in which they run.
const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "chat",
        run: chat::run,
    },
    Scenario {
        name: "login",
        run: login::run,
    },
    Scenario {
        name: "sessions",
        run: sessions::run,
    },
    Scenario {
        name: "start",
        run: start::run,
    },
];

/// Scenarios that share their servers' data; each part has servers with directories of their own, so that what fills one archive is not in another's way.
pub struct Part {
    /// The directory's name.
    pub name: &'static str,
    pub scenarios: &'static [Scenario],
    /// Whether its servers keep archives.
    pub archive: bool,
}

/// Without `--archive`.
pub const PARTS: [Part; 1] = [Part {
    name: "all",
    scenarios: &SCENARIOS,
    archive: false,
}];

/// With `--rooms`: all but `idle` twice, for an archive is most of what a room costs.
pub const ROOM_PARTS: [Part; 3] = [
    Part {
        name: "rooms",
        scenarios: &[Scenario {
            name: "rooms",
            run: rooms::run,
        }],
        archive: false,
    },
    Part {
        name: "archived",
        scenarios: &[Scenario {
            name: "rooms-archived",
            run: rooms::archived,
        }],
        archive: true,
    },
    Part {
        name: "idle",
        scenarios: &[Scenario {
            name: "rooms-idle",
            run: rooms::idle,
        }],
        archive: true,
    },
];

/// With `--archive`.
pub const ARCHIVE_PARTS: [Part; 4] = [
    Part {
        name: "chat",
        scenarios: &[Scenario {
            name: "archive-chat",
            run: chat::archived,
        }],
        archive: true,
    },
    Part {
        // A disk of its own, if `tests/load/run` could make one.
        name: "lone",
        scenarios: &[Scenario {
            name: "archive-lone",
            run: lone::run,
        }],
        archive: true,
    },
    Part {
        name: "small",
        scenarios: &[Scenario {
            name: "archive-small",
            run: archive::small,
        }],
        archive: true,
    },
    Part {
        name: "large",
        scenarios: &[Scenario {
            name: "archive-large",
            run: archive::large,
        }],
        archive: true,
    },
];

/// How a figure is reported.
pub struct Row {
    pub key: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    /// The relay's figure that it is compared with.
    pub limit: Option<&'static str>,
}

/// In the order of the table.
pub static ROWS: [Row; 33] = [
    Row {
        key: "chat-20",
        title: "message, 20 in flight",
        unit: "µs CPU",
        limit: Some("chat-20"),
    },
    Row {
        key: "chat-320",
        title: "message, 320 in flight",
        unit: "µs CPU",
        limit: Some("chat-320"),
    },
    Row {
        key: "tls-accept",
        title: "bare TLS accept",
        unit: "µs CPU",
        limit: Some("tls-accept"),
    },
    Row {
        key: "login-starttls",
        title: "login, STARTTLS",
        unit: "µs CPU",
        limit: Some("tls-accept"),
    },
    Row {
        key: "login-tls",
        title: "login, direct TLS",
        unit: "µs CPU",
        limit: Some("tls-accept"),
    },
    Row {
        key: "session-rss",
        title: "idle session, RSS",
        unit: "KiB",
        limit: Some("session-rss"),
    },
    Row {
        key: "session-pss",
        title: "idle session, PSS",
        unit: "KiB",
        limit: Some("session-pss"),
    },
    Row {
        key: "idle-rss",
        title: "no session, RSS",
        unit: "MiB",
        limit: None,
    },
    Row {
        key: "start",
        title: "start to features",
        unit: "ms",
        limit: None,
    },
    Row {
        key: "start-cpu",
        title: "start to features",
        unit: "ms CPU",
        limit: None,
    },
    Row {
        key: "archived-20",
        title: "archived, 20 in flight",
        unit: "µs CPU",
        limit: None,
    },
    Row {
        key: "acked-20",
        title: "  and acknowledged",
        unit: "µs CPU",
        limit: None,
    },
    Row {
        key: "page-small",
        title: "last 50 of 10 000",
        unit: "ms",
        limit: None,
    },
    Row {
        key: "page-small-cpu",
        title: "last 50 of 10 000",
        unit: "ms CPU",
        limit: None,
    },
    Row {
        key: "walk-50-small",
        title: "10 000 in pages of 50",
        unit: "µs CPU each",
        limit: None,
    },
    Row {
        key: "walk-100-small",
        title: "10 000 in pages of 100",
        unit: "µs CPU each",
        limit: None,
    },
    Row {
        key: "lone",
        title: "a lone message",
        unit: "KiB to disk",
        limit: None,
    },
    Row {
        key: "lone-counted",
        title: "  as the kernel counts",
        unit: "KiB",
        limit: None,
    },
    Row {
        key: "page-large",
        title: "last 50 of the large",
        unit: "ms",
        limit: None,
    },
    Row {
        key: "page-large-cpu",
        title: "last 50 of the large",
        unit: "ms CPU",
        limit: None,
    },
    Row {
        key: "walk-50-large",
        title: "large, pages of 50",
        unit: "µs CPU each",
        limit: None,
    },
    Row {
        key: "walk-100-large",
        title: "large, pages of 100",
        unit: "µs CPU each",
        limit: None,
    },
    Row {
        key: "archive-rss",
        title: "large, after a start",
        unit: "MiB RSS",
        limit: None,
    },
    Row {
        key: "room-1",
        title: "copy, room of 100, 1",
        unit: "µs CPU",
        limit: Some("room-1"),
    },
    Row {
        key: "room-20",
        title: "copy, room of 100, 20",
        unit: "µs CPU",
        limit: Some("room-20"),
    },
    Row {
        key: "archived-room-1",
        title: "  with an archive, 1",
        unit: "µs CPU",
        limit: Some("archived-room-1"),
    },
    Row {
        key: "archived-room-20",
        title: "  with an archive, 20",
        unit: "µs CPU",
        limit: Some("archived-room-20"),
    },
    Row {
        key: "join-100",
        title: "joining 100, a presence",
        unit: "µs CPU",
        limit: None,
    },
    Row {
        key: "join-500",
        title: "joining 500, a presence",
        unit: "µs CPU",
        limit: None,
    },
    Row {
        key: "archived-join-100",
        title: "  100, with an archive",
        unit: "µs CPU",
        limit: None,
    },
    Row {
        key: "archived-join-500",
        title: "  500, with an archive",
        unit: "µs CPU",
        limit: None,
    },
    Row {
        key: "rooms-made",
        title: "idle rooms, made",
        unit: "MiB RSS",
        limit: None,
    },
    Row {
        key: "rooms-idle",
        title: "idle rooms, started",
        unit: "MiB RSS",
        limit: None,
    },
];

/// What an issue wants of snug's figure.
pub struct Target {
    pub key: &'static str,
    /// The other servers' figure that it is compared with; none: the value itself counts.
    pub peer_key: Option<&'static str>,
    /// How the names of those servers begin; `snug`: its own.
    pub peers: &'static str,
    /// So many times the best of theirs, or the value, at most.
    pub most: f64,
    pub text: &'static str,
}

/// In the order of the table.
pub static TARGETS: [Target; 18] = [
    Target {
        key: "acked-20",
        peer_key: Some("archived-20"),
        peers: "prosody",
        most: 1.0 / 8.0,
        text: "durable archived message, of Prosody's archived one",
    },
    Target {
        key: "page-small",
        peer_key: Some("page-small"),
        peers: "",
        most: 1.0 / 6.0,
        text: "last 50 of 10 000, of the best other's",
    },
    Target {
        key: "page-small-cpu",
        peer_key: Some("page-small-cpu"),
        peers: "",
        most: 1.0 / 6.0,
        text: "  its CPU",
    },
    Target {
        key: "page-large",
        peer_key: Some("page-large"),
        peers: "",
        most: 1.0 / 6.0,
        text: "last 50 of the large, of the best other's",
    },
    Target {
        key: "page-large-cpu",
        peer_key: Some("page-large-cpu"),
        peers: "",
        most: 1.0 / 6.0,
        text: "  its CPU",
    },
    Target {
        key: "page-large",
        peer_key: Some("page-small"),
        peers: "",
        most: 1.0 / 6.0,
        text: "last 50 of the large, of the best other's of 10 000",
    },
    Target {
        key: "archive-rss",
        peer_key: None,
        peers: "",
        most: 60.0,
        text: "MiB after a start, 100 last pages read",
    },
    Target {
        key: "lone",
        peer_key: None,
        peers: "",
        most: 24.0,
        text: "KiB to the disk for a lone message",
    },
    Target {
        key: "room-1",
        peer_key: Some("room-1"),
        peers: "relay",
        most: 1.8,
        text: "a copy, of the relay's message, 1 on the way",
    },
    Target {
        key: "room-20",
        peer_key: Some("room-20"),
        peers: "relay",
        most: 1.8,
        text: "a copy, of the relay's message, 20 on the way",
    },
    Target {
        key: "archived-room-1",
        peer_key: Some("archived-room-1"),
        peers: "relay",
        most: 1.8,
        text: "  with an archive, 1 on the way",
    },
    Target {
        key: "archived-room-20",
        peer_key: Some("archived-room-20"),
        peers: "relay",
        most: 1.8,
        text: "  with an archive, 20 on the way",
    },
    Target {
        key: "join-100",
        peer_key: Some("join-100"),
        peers: "ejabberd",
        most: 0.25,
        text: "a presence of one who joins 100, of ejabberd's",
    },
    Target {
        key: "join-500",
        peer_key: Some("join-500"),
        peers: "ejabberd",
        most: 0.25,
        text: "a presence of one who joins 500, of ejabberd's",
    },
    Target {
        key: "join-500",
        peer_key: Some("join-100"),
        peers: "snug",
        most: 1.0,
        text: "  500, of 100's",
    },
    Target {
        key: "archived-join-100",
        peer_key: Some("archived-join-100"),
        peers: "ejabberd",
        most: 0.25,
        text: "  with an archive, 100",
    },
    Target {
        key: "archived-join-500",
        peer_key: Some("archived-join-100"),
        peers: "snug",
        most: 1.0,
        text: "  with an archive, 500 of 100's",
    },
    Target {
        key: "rooms-idle",
        peer_key: None,
        peers: "",
        most: 20.0,
        text: "MiB with all the idle rooms, after a start",
    },
];
