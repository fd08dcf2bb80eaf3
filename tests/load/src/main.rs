//! Measures what XMPP servers spend: CPU time for each message and login, memory for each session, time to start.
//!
//! `plan.rs` lists the scenarios, one file each (`chat.rs`, `login.rs`, `sessions.rs`, `start.rs`; with `--archive` instead `archive.rs`,
//! which `fill.rs` fills, `lone.rs` and again `chat.rs`; with `--rooms` `rooms.rs`); `client.rs` is the
//! XMPP client under them, `process.rs` reads what the server has used, `server.rs` starts what `servers/*.sh` sets
//! up, `relay.rs` is the limit that all are compared with, `report.rs` prints. A new scenario is a file, its line
//! in `SCENARIOS`, `ARCHIVE_PARTS` or `ROOM_PARTS` and its rows in `ROWS`; a new server is a script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use argh::FromArgs;

mod accounts;
mod archive;
mod chat;
mod client;
mod end;
mod fill;
mod login;
mod lone;
mod plan;
mod process;
mod relay;
mod report;
mod rooms;
mod scram;
mod server;
mod sessions;
mod splitter;
mod start;
mod template;

use plan::{ARCHIVE_PARTS, PARTS, Part, Plan, ROOM_PARTS, Scenario};
use report::Outcome;
use scram::Hash;
use server::{Setup, Unusable};

/// measures XMPP servers side by side
#[derive(FromArgs)]
struct Arguments {
    #[argh(subcommand)]
    verb: Verb,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Verb {
    Measure(Measure),
    Relay(relay::Relay),
}

/// run the scenarios on the servers and print what they cost
#[derive(FromArgs)]
#[argh(subcommand, name = "measure")]
struct Measure {
    /// directory with the servers' set-up scripts
    #[argh(option)]
    scripts: PathBuf,
    /// empty directory for the servers' files
    #[argh(option)]
    work: PathBuf,
    /// servers, separated by commas: names of set-up scripts
    #[argh(option)]
    servers: String,
    /// scenarios, separated by commas (default: chat,login,sessions,start; with --archive archive-chat,archive-lone,archive-small,archive-large; with --rooms rooms,rooms-archived,rooms-idle)
    #[argh(option)]
    only: Option<String>,
    /// repetitions, of which the best is reported (default: 3; --quick: 1)
    #[argh(option)]
    repeat: Option<usize>,
    /// log in with SCRAM-SHA-256 instead of SCRAM-SHA-1, on servers that offer it
    #[argh(switch)]
    sha256: bool,
    /// measure archives instead: chat, pages, memory, what goes to the disk
    #[argh(switch)]
    archive: bool,
    /// measure rooms instead: what a copy costs, with and without an archive, what joining costs, and the memory of idle rooms
    #[argh(switch)]
    rooms: bool,
    /// messages of the large archive (default: 1000000; --quick: 20000)
    #[argh(option)]
    large: Option<u64>,
    /// one short repetition
    #[argh(switch)]
    quick: bool,
    /// print JSON on standard output and the table on standard error
    #[argh(switch)]
    json: bool,
}

fn main() -> ExitCode {
    let done = match argh::from_env::<Arguments>().verb {
        Verb::Relay(relay) => relay
            .run()
            .map(|()| true)
            .map_err(|error| error.to_string()),
        Verb::Measure(measure) => measure.run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Measure {
    /// False if a server that is there could not be measured.
    fn run(self) -> Result<bool, String> {
        let hash = if self.sha256 {
            Hash::Sha256
        } else {
            Hash::Sha1
        };
        let mut plan = if self.quick {
            Plan::quick(hash)
        } else {
            Plan::full(hash)
        };
        let repeat = self.repeat.unwrap_or(if self.quick { 1 } else { 3 });
        if let Some(large) = self.large {
            plan.large = large;
        }
        let parts: &[Part] = match (self.archive, self.rooms) {
            (true, _) => &ARCHIVE_PARTS,
            (_, true) => &ROOM_PARTS,
            _ => &PARTS,
        };
        let only: Vec<&str> = self
            .only
            .as_deref()
            .map(|only| only.split(',').collect())
            .unwrap_or_default();
        let names = || {
            let scenarios = parts.iter().flat_map(|part| part.scenarios);
            scenarios.map(|scenario| scenario.name)
        };
        if let Some(unknown) = only.iter().find(|one| names().all(|name| name != **one)) {
            let there: Vec<&str> = names().collect();
            return Err(format!(
                "there is no scenario {unknown}; there are {}",
                there.join(", ")
            ));
        }
        let mut outcomes: Vec<Outcome> = Vec::new();
        let mut good = true;
        for part in parts {
            let wanted = |scenario: &&Scenario| only.is_empty() || only.contains(&scenario.name);
            let scenarios: Vec<&Scenario> = part.scenarios.iter().filter(wanted).collect();
            if !scenarios.is_empty() {
                let work = self.work.join(part.name);
                good &= self.measure(
                    &work,
                    part.archive,
                    &scenarios,
                    &plan,
                    repeat,
                    &mut outcomes,
                )?;
            }
        }
        let table = report::table(&outcomes);
        if self.json {
            eprint!("{table}");
            print!("{}", report::json(&outcomes));
        } else {
            print!("{table}");
        }
        Ok(good)
    }

    /// Runs some scenarios on fresh servers below `work`. False if a server that is there could not be measured.
    fn measure(
        &self,
        work: &Path,
        archive: bool,
        scenarios: &[&Scenario],
        plan: &Plan,
        repeat: usize,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<bool, String> {
        make_certificate(work)?;
        let mut good = true;
        let mut setups = Vec::new();
        for name in self.servers.split(',') {
            match Setup::new(&self.scripts, name, work, archive) {
                Ok(setup) => {
                    if outcomes.iter().all(|outcome| outcome.server != name) {
                        outcomes.push(Outcome {
                            server: name.to_owned(),
                            figures: Vec::new(),
                        });
                    }
                    setups.push(setup);
                }
                Err(Unusable::Missing(what)) => eprintln!("SKIPPED {name}: {what}"),
                Err(Unusable::Broken(why)) => {
                    eprintln!("FAILED {name}: {why}");
                    good = false;
                }
            }
        }
        for repetition in 1..=repeat {
            for scenario in scenarios {
                // Servers take turns within a scenario: what else the machine does meanwhile meets all of them.
                for setup in &setups {
                    eprintln!("{repetition}/{repeat} {} {}", scenario.name, setup.name);
                    match (scenario.run)(setup, plan) {
                        Ok(figures) => {
                            // A run is long, and what is measured is not lost with it.
                            let each = figures.iter();
                            let each: Vec<String> = each
                                .map(|figure| format!("{} {:.2}", figure.key, figure.value))
                                .collect();
                            eprintln!("  {}", each.join(", "));
                            outcomes
                                .iter_mut()
                                .filter(|outcome| outcome.server == setup.name)
                                .for_each(|outcome| outcome.figures.extend(&figures));
                        }
                        Err(error) => {
                            eprintln!("FAILED {} {}: {error}", scenario.name, setup.name);
                            good = false;
                        }
                    }
                }
            }
        }
        Ok(good)
    }
}

/// A throw-away certificate for all servers that do not make their own: ECDSA P-256, self-signed.
fn make_certificate(work: &Path) -> Result<(), String> {
    fs::create_dir_all(work).map_err(|error| format!("{}: {error}", work.display()))?;
    let subject = format!("/CN={}", client::DOMAIN);
    let alternative = format!("subjectAltName=DNS:{}", client::DOMAIN);
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
        ])
        .args(["-subj", &subject, "-addext", &alternative])
        .arg("-keyout")
        .arg(work.join("key.pem"))
        .arg("-out")
        .arg(work.join("certificate.pem"))
        .output()
        .map_err(|error| format!("openssl is needed for the certificate: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "openssl could not make the certificate: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}
