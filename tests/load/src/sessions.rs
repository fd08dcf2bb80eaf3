//! Scenario: idle sessions, each logged in with roster and presence: how much the server's memory grows for each,
//! and what it holds with none.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::{self, in_parallel};
use crate::client::{Client, Way};
use crate::plan::{Figure, Plan};
use crate::process::{self, Memory};
use crate::server::{Server, Setup};

/// Sessions that come and go first, so that code and tables that every server needs once are in no session's account.
const WARM_UP: usize = 20;

/// Clients that connect at the same time.
const PARALLEL: usize = 4;

/// Resident memory: MiB with no session, KiB for each session.
pub fn run(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    let accounts = accounts::prepare(setup, plan.sessions, plan.hash)?;
    let server = setup.start()?;
    let idle = steady_memory(&server)?;

    let connect = |number: usize| match server.is_relay() {
        true => Client::tls(server.plain),
        false => Client::session(&server, Way::StartTls, plan.hash, &accounts[number]),
    };
    for client in in_parallel(PARALLEL, WARM_UP.min(plan.sessions), connect)? {
        client.close(!server.is_relay());
    }
    let before = steady_memory(&server)?;
    let clients = in_parallel(PARALLEL, plan.sessions, connect)?;
    let after = steady_memory(&server)?;
    drop(clients);

    let each = |before: u64, after: u64| (after as f64 - before as f64) / plan.sessions as f64;
    Ok(vec![
        Figure::of("idle-rss", idle.rss as f64 / 1024.0),
        Figure::of("session-rss", each(before.rss, after.rss)),
        Figure::of("session-pss", each(before.pss, after.pss)),
    ])
}

/// The server's memory once it has not changed for a second; at most 8 s later.
pub fn steady_memory(server: &Server) -> Result<Memory, String> {
    let failed = |error: io::Error| format!("read the memory of {}: {error}", server.name);
    let start = Instant::now();
    let mut memory = process::memory(server.pid).map_err(failed)?;
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = process::memory(server.pid).map_err(failed)?;
        if now == memory || start.elapsed() > Duration::from_secs(8) {
            return Ok(now);
        }
        memory = now;
    }
}
