//! Scenario: a start: from exec to the first `<stream:features/>` on a plain connection. The data of earlier
//! scenarios is there, as it is when a server is started again.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::plan::{Figure, Plan};
use crate::process;
use crate::server::{Server, Setup};

/// No start may take longer.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// The shortest of several starts, in ms, and the least CPU time in ms.
pub fn run(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    if setup.is_relay() {
        return Ok(Vec::new());
    }
    // One start before: keys are made at the first, and the files come into the page cache.
    drop(setup.start()?);
    let (mut wall, mut cpu) = (Duration::MAX, Duration::MAX);
    for _ in 0..plan.starts {
        let start = Instant::now();
        let mut server = setup.spawn()?;
        until_features(&mut server, start)
            .map_err(|error| format!("{error}; {}", setup.last_words()))?;
        wall = wall.min(start.elapsed());
        let used = process::cpu(server.pid)
            .map_err(|error: io::Error| format!("read the CPU time: {error}"))?;
        cpu = cpu.min(used);
    }
    let figure = |key, value: Duration| Figure::of(key, value.as_secs_f64() * 1e3);
    Ok(vec![figure("start", wall), figure("start-cpu", cpu)])
}

fn until_features(server: &mut Server, start: Instant) -> Result<(), String> {
    loop {
        let opened = Client::plain(server.plain).and_then(|mut client| client.open_stream());
        let Err(error) = opened else { return Ok(()) };
        if !server.is_running() {
            return Err(format!("{} ended before it served", server.name));
        }
        if start.elapsed() > STARTED_WITHIN {
            return Err(format!(
                "{} does not serve within {STARTED_WITHIN:?}: {error}",
                server.name
            ));
        }
        thread::sleep(Duration::from_micros(500));
    }
}
