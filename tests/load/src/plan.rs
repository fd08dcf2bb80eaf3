//! What a run does: which scenarios on which servers, how long, how often; and the figures that come of it.

use std::time::Duration;

use crate::scram::Hash;
use crate::server::Setup;
use crate::{chat, login, sessions, start};

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

/// One scenario.
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&Setup, &Plan) -> Result<Vec<Figure>, String>,
}

/// In the order in which they run.
pub const SCENARIOS: [Scenario; 4] = [
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

/// How a figure is reported.
pub struct Row {
    pub key: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    /// The relay's figure that it is compared with.
    pub limit: Option<&'static str>,
}

/// In the order of the table.
pub static ROWS: [Row; 10] = [
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
];
