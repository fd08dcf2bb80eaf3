//! Scenario: clients log in and go, a few at a time: TCP, TLS (never resumed), SCRAM-SHA-1, resource, roster,
//! presence, end of the stream. Beside it the bare TLS accept: TCP, handshake, end.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::accounts::{self, in_parallel};
use crate::client::{Client, Way};
use crate::plan::{Figure, Plan};
use crate::process;
use crate::server::{Server, Setup};

/// Clients at the same time.
const PARALLEL: usize = 4;

/// Accounts that log in again and again; a multiple of those that do at the same time, so that none meets itself.
const ACCOUNTS: usize = 5 * PARALLEL;

/// CPU time of the server for each login and each bare TLS accept, in µs.
pub fn run(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    let accounts = accounts::prepare(setup, ACCOUNTS, plan.hash)?;
    let server = setup.start()?;
    let address = if server.is_relay() {
        server.plain
    } else {
        server.tls
    };
    let accept = |_: usize, _: u64| {
        Client::tls(address)?.close(false);
        Ok(())
    };
    let mut figures = vec![measure(&server, "tls-accept", plan.logins, &accept)?];
    if !server.is_relay() {
        for (way, key) in [
            (Way::StartTls, "login-starttls"),
            (Way::DirectTls, "login-tls"),
        ] {
            let login = |thread: usize, round: u64| {
                let account = &accounts[(round as usize * PARALLEL + thread) % ACCOUNTS];
                Client::session(&server, way, plan.hash, account)?.close(true);
                Ok(())
            };
            figures.push(measure(&server, key, plan.logins, &login)?);
        }
    }
    Ok(figures)
}

/// Repeats `task` on a few threads for `time`, after one round that warms caches on both sides.
fn measure(
    server: &Server,
    key: &'static str,
    time: Duration,
    task: &(impl Fn(usize, u64) -> Result<(), String> + Sync),
) -> Result<Figure, String> {
    let failed = |error: io::Error| format!("read the CPU time of {}: {error}", server.name);
    let rounds = (ACCOUNTS / PARALLEL) as u64;
    in_parallel(PARALLEL, PARALLEL, |thread| {
        (0..rounds).try_for_each(|round| task(thread, round))
    })?;
    process::settle(server.pid, Duration::from_secs(3)).map_err(failed)?;

    let (server_before, own_before) = (
        process::cpu(server.pid).map_err(failed)?,
        process::own().map_err(failed)?,
    );
    let start = Instant::now();
    let done = AtomicU64::new(0);
    in_parallel(PARALLEL, PARALLEL, |thread| {
        for round in 0.. {
            if start.elapsed() >= time {
                break;
            }
            task(thread, round)?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })?;
    let wall = start.elapsed();
    process::settle(server.pid, Duration::from_secs(3)).map_err(failed)?;
    let server_used = process::cpu(server.pid).map_err(failed)? - server_before;
    let own_used = process::own().map_err(failed)? - own_before;
    let done = done.into_inner() as f64;
    Ok(Figure {
        key,
        value: server_used.as_secs_f64() * 1e6 / done,
        a_second: done / wall.as_secs_f64(),
        generator_us: own_used.as_secs_f64() * 1e6 / done,
    })
}
