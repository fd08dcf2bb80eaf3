//! The built binary under load over real TLS on a disk that forgets what is not synced: the power is cut at a random moment, and the server starts again on
//! what such a disk may then hold. Nothing acknowledged is lost, and it starts every time.
//!
//! How: a library between the server and the kernel (`power/seam.rs`, compiled by rustc here, `LD_PRELOAD`) notes every write, every name and every sync. After
//! `kill -9` the directory is made anew from what is noted: all that was synced, and of the rest what chance leaves (the model: `common/unsynced.rs`). That
//! nothing goes past the seam is seen each time: all that is noted makes the directory that the server has left, byte by byte. The clock goes on by days from round
//! to round, so that databases of the archive begin and end.
//!
//! `cargo test` makes as many rounds as fit in 40 s. All of them: `SNUG_ROUNDS=200 cargo test --release --test power`, as `tests/run` does;
//! `SNUG_SEED` makes the choices of a printed run again (not the timing of threads).

#[path = "common/acknowledged.rs"]
mod acknowledged;
#[path = "common/client.rs"]
mod client;
#[path = "power/entry.rs"]
mod entry;
#[path = "power/journal.rs"]
mod journal;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;
#[path = "common/unsynced.rs"]
mod unsynced;

use acknowledged::{CONFIG, People, Random, Tally, number_in, seed};
use journal::Replay;
use server::{Server, configure, scratch, start_and_kill};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use unsynced::{Disk, Id, Loss};

/// How long an ordinary run goes on with new rounds.
const ORDINARY: Duration = Duration::from_secs(40);
/// The fewest rounds.
const LEAST_ROUNDS: u64 = 8;
/// The clock goes on so far: later the server makes itself a certificate that is not yet valid for clients whose clock has stood still.
const LAST_DAY: u64 = 500;
/// Made by a system call that does not pass the C library, and of no content: a file that is given back when the disk is full.
const UNNOTED: [&str; 1] = ["ballast"];

#[test]
fn what_was_acknowledged_survives_a_power_cut_under_load() {
    let rounds = number_in("SNUG_ROUNDS");
    let seed = seed();
    let mut random = Random(seed);
    let mut power = Power::new("power-load");
    configure(&power.data, CONFIG);
    power.begin();
    let mut server = power.start();
    let mut people = People::new(&server, seed);
    let authority = fs::read(power.data.join("tls/ca.pem")).expect("the server's CA");
    let (began, mut round) = (Instant::now(), 0);
    let (mut total, mut cuts) = (Tally::default(), Cuts::default());
    while rounds.map_or(round < LEAST_ROUNDS || began.elapsed() < ORDINARY, |all| {
        round < all
    }) {
        people.work(&server, round, &mut random);
        let (_, _, log) = server.wait();
        let mut here = power.cut(&mut random);
        // Some are cut while they open what the other left.
        for _ in 0..random.below(3) {
            power.start_and_kill(Duration::from_millis(random.below(60)));
            // Or only killed, and what it did not sync is as the next one finds it.
            if random.below(2) == 0 {
                power.take();
            } else {
                here.add(&power.cut(&mut random));
            }
        }
        power.days = (power.days + random.below(8)).min(LAST_DAY);
        let starting = Instant::now();
        server = power.start();
        let started = starting.elapsed();
        let same = fs::read(power.data.join("tls/ca.pem")).is_ok_and(|now| now == authority);
        assert!(
            same,
            "round {round}: clients do not know this server any more"
        );
        let said = server.log();
        let bad = said
            .iter()
            .find(|line| line.contains("missing") || line.contains("damaged"));
        assert_eq!(bad, None, "round {round}: {said:#?} after {log:#?}");
        let tally = people.check(&server, round);
        println!(
            "round {round}: {tally:?}, {here:?}, started again in {} ms",
            started.as_millis()
        );
        total.add(&tally);
        cuts.add(&here);
        round += 1;
    }
    let accounts = people.count_accounts(&server);
    let volumes = fs::read_dir(power.data.join("archive"));
    let volumes = volumes.expect("an archive").count();
    println!(
        "{round} rounds, {} days, {volumes} databases of the archive and {accounts} accounts at the end: {total:?}, {cuts:?}",
        power.days
    );
    assert!(
        power.days < 62 || volumes > 1,
        "months have passed and no database of the archive has begun"
    );
    assert!(
        round < LEAST_ROUNDS || (total.has_every_kind() && cuts.lost.bytes_lost > 0),
        "something was never acknowledged or nothing was lost, so nothing was tested: {total:?}, {cuts:?}"
    );
}

#[test]
fn the_first_start_survives_power_cuts() {
    let seed = seed();
    let mut random = Random(seed);
    let rounds = number_in("SNUG_ROUNDS").map_or(5, |rounds| rounds / 10);
    let mut cuts = Cuts::default();
    for round in 0..rounds {
        let mut power = Power::new("power-first");
        configure(&power.data, CONFIG);
        power.begin();
        let mut lives = random.below(40);
        for _ in 0..3 {
            power.start_and_kill(Duration::from_millis(lives));
            if random.below(2) == 0 {
                power.take();
            } else {
                cuts.add(&power.cut(&mut random));
            }
            lives += random.below(60);
        }
        // What comes after a start that came through is safe, whatever the ones before have left undone.
        let server = power.start();
        server.add_user("anna", "of anna");
        let authority = fs::read(power.data.join("tls/ca.pem")).expect("the server's CA");
        server.signal("KILL");
        server.wait();
        cuts.add(&power.cut(&mut random));
        let server = power.start();
        let now = fs::read(power.data.join("tls/ca.pem")).expect("the server's CA");
        assert!(now == authority, "round {round}: another CA");
        assert!(
            client::Client::direct(&server).can_log_in("anna", "of anna"),
            "round {round}: the account was acknowledged and is gone"
        );
    }
    println!("{rounds} first starts: {cuts:?}");
}

/// How much was cut, and how much of it was there afterwards.
#[derive(Debug, Default)]
struct Cuts {
    cuts: u64,
    syncs: u64,
    lost: Loss,
}

impl Cuts {
    fn add(&mut self, other: &Cuts) {
        self.cuts += other.cuts;
        self.syncs += other.syncs;
        self.lost.add(&other.lost);
    }
}

/// A data directory on a disk whose power can be cut.
struct Power {
    data: PathBuf,
    seam: PathBuf,
    journal: PathBuf,
    /// How many days later it is for the server.
    days: u64,
    /// What the disk had when the server was started, and where.
    disk: Disk,
    inodes: HashMap<u64, Id>,
}

impl Power {
    /// An empty directory.
    fn new(name: &str) -> Power {
        let data = scratch(name);
        let beside = scratch(&format!("{name}-seam"));
        fs::create_dir_all(&beside).expect("a directory beside it");
        let seam = beside.join("seam.so");
        compile(&seam);
        Power {
            data,
            seam,
            journal: beside.join("journal"),
            days: 0,
            disk: Disk::empty(),
            inodes: HashMap::new(),
        }
    }

    /// Takes what is in the directory for synced.
    fn begin(&mut self) {
        self.set(Disk::read(&self.data));
    }

    /// Makes this what the directory holds.
    fn set(&mut self, disk: Disk) {
        fs::remove_dir_all(&self.data).expect("the data directory");
        self.inodes = disk.write_to(&self.data);
        self.disk = disk;
        fs::write(&self.journal, "").expect("room for a journal");
    }

    /// Calls this with the environment of a server on this disk.
    fn with_environment<T>(&self, call: impl FnOnce(&[(&str, &str)]) -> T) -> T {
        let [seam, journal] = [&self.seam, &self.journal].map(|path| path.to_str());
        call(&[
            ("LD_PRELOAD", seam.expect("a path in UTF-8")),
            ("SNUG_POWER_JOURNAL", journal.expect("a path in UTF-8")),
            ("SNUG_POWER_DAYS", &self.days.to_string()),
        ])
    }

    fn start(&self) -> Server {
        self.with_environment(|environment| Server::start_in(self.data.clone(), environment))
    }

    /// Starts a server and kills it so soon that it may still be opening what is there.
    fn start_and_kill(&self, after: Duration) {
        self.with_environment(|environment| start_and_kill(&self.data, after, environment));
    }

    /// The server was killed: takes what it did onto the disk, where what it did not sync is still to be lost. How many of its syncs have returned.
    fn take(&mut self) -> u64 {
        let journal = fs::read(&self.journal).expect("the journal");
        fs::write(&self.journal, "").expect("room for a journal");
        let (disk, inodes) = (self.disk.take(), std::mem::take(&mut self.inodes));
        let mut replay = Replay::new(&journal, &self.data, disk, inodes);
        if let Err(place) = replay.compare(&Disk::read(&self.data), &UNNOTED) {
            panic!("something went past the seam (tests/power/seam.rs): {place}");
        }
        (self.disk, self.inodes) = (replay.disk, replay.inodes);
        replay.syncs
    }

    /// The server was killed: makes the directory into what a disk may hold of what it did.
    fn cut(&mut self, random: &mut Random) -> Cuts {
        let syncs = self.take();
        let (disk, lost) = self.disk.after_cut(&mut |bound| random.below(bound));
        self.set(disk);
        Cuts {
            cuts: 1,
            syncs,
            lost,
        }
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.data);
        let _ = fs::remove_dir_all(self.seam.parent().expect("a directory of its own"));
    }
}

/// Compiles the seam with the compiler that compiles this: a Rust library that needs nothing else.
fn compile(to: &Path) {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/seam.rs");
    let output = Command::new(&compiler)
        .args(["--edition", "2024", "--crate-type", "cdylib"])
        .args(["-O", "-C", "panic=abort", "-D", "warnings", "-o"])
        .arg(to)
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler:?} is not there, set RUSTC to it: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
