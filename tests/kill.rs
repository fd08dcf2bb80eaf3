//! The built binary under load over real TLS, killed with SIGKILL at random moments and started again on the same directory: what was
//! acknowledged is there, and nothing is there that was not sent.
//!
//! `SNUG_ROUNDS=50 cargo test --release --test kill` makes more rounds than the ordinary 8; `SNUG_SEED` makes the choices of a printed run
//! again (not the timing of threads and disk).

#[path = "common/acknowledged.rs"]
mod acknowledged;
#[path = "common/client.rs"]
mod client;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

use acknowledged::{CONFIG, People, Random, Tally, number_in, seed};
use server::{Server, start_and_kill};
use std::time::{Duration, Instant};

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    let rounds: u64 = number_in("SNUG_ROUNDS").unwrap_or(8);
    let seed = seed();
    let mut random = Random(seed);
    let mut server = Server::start("kill-load", CONFIG);
    let mut people = People::new(&server, seed);
    let mut total = Tally::default();
    for round in 0..rounds {
        people.work(&server, round, &mut random);
        let (_, data, _) = server.wait();
        // One that is killed while it opens what the other left.
        for _ in 0..random.below(3) {
            start_and_kill(&data, Duration::from_millis(random.below(60)), &[]);
        }
        let began = Instant::now();
        server = Server::start_on(data);
        let started = began.elapsed();
        let tally = people.check(&server, round);
        println!(
            "round {round}: {tally:?}, started again in {} ms",
            started.as_millis()
        );
        total.add(&tally);
    }
    let accounts = people.count_accounts(&server);
    println!("{rounds} rounds, {accounts} accounts at the end: {total:?}");
    assert!(
        total.has_every_kind() || rounds < 8,
        "something was never acknowledged, so nothing was tested: {total:?}"
    );
}
