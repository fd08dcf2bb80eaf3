//! Fills the archives of 100 accounts: the first writes to the 99 others in turn, so that its own archive holds every message, in the order of their
//! numbers, and theirs a share each.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::accounts::in_parallel;
use crate::archive::Archive;
use crate::chat::{Load, Until};
use crate::client::{Account, Client, Way};
use crate::plan::Plan;
use crate::server::Setup;
use crate::template::Template;

/// Who has an archive.
pub const ACCOUNTS: usize = 100;

/// Messages on the way while it is filled by messages, and how many of them are sent in one write.
const WINDOW: u64 = 2000;
const BURST: u64 = 100;

/// A server that would take longer to fill by messages is left out: mnesia's time grows with the square of what is there.
const FILLED_WITHIN: Duration = Duration::from_secs(240);

/// Fills an archive that is not filled, by SQL where there is some for this server. False, and it says so: it would take too long.
pub fn fill(
    setup: &Setup,
    plan: &Plan,
    accounts: &[Account],
    messages: u64,
) -> Result<bool, String> {
    if setup.filled.load(Ordering::Relaxed) {
        return Ok(true);
    }
    let filled = match &setup.fill {
        Some(sql) => by_sql(setup, plan, accounts, messages, sql)?,
        None => by_messages(setup, plan, accounts, messages)?,
    };
    setup.filled.store(filled, Ordering::Relaxed);
    Ok(filled)
}

/// By messages to all the others, who are online.
fn by_messages(
    setup: &Setup,
    plan: &Plan,
    accounts: &[Account],
    messages: u64,
) -> Result<bool, String> {
    let server = setup.start()?;
    let mut templates = Vec::new();
    for (number, account) in accounts[1..].iter().enumerate() {
        templates.push(Template::new(number, &account.jid(), "chat")?);
    }
    let others = templates.len() as u64;
    let mut sender = Client::session(&server, Way::StartTls, plan.hash, &accounts[0])?;
    let (received, stopped) = (AtomicU64::new(0), AtomicBool::new(false));
    // All are online before the first message: nothing waits for anybody.
    let receivers = in_parallel(4, accounts.len() - 1, |number| {
        Client::session(&server, Way::StartTls, plan.hash, &accounts[1 + number])
    })?;
    let receive = |mut client: Client, share: u64| -> Result<(), String> {
        let mut count = 0;
        while count < share && !stopped.load(Ordering::Relaxed) {
            if client.next()?.starts_with("<message") {
                count += 1;
                received.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    let mut send = || -> Result<bool, String> {
        let start = Instant::now();
        let mut sent = 0;
        while sent < messages {
            let end = (sent + BURST).min(messages);
            let mut burst = String::new();
            for number in sent..end {
                let template = &mut templates[(number % others) as usize];
                burst += &String::from_utf8_lossy(template.number(number));
            }
            sender.send(&burst)?;
            sent = end;
            let patience = Instant::now();
            while sent - received.load(Ordering::Relaxed) > WINDOW {
                if patience.elapsed() > Duration::from_secs(20) {
                    return Err(format!("{} delivers no more", setup.name));
                }
                thread::sleep(Duration::from_millis(1));
            }
            let spent = start.elapsed();
            let all = spent.mul_f64(messages as f64 / sent as f64);
            if spent > Duration::from_secs(10) && all > FILLED_WITHIN {
                let (name, seconds) = (&setup.name, all.as_secs());
                eprintln!("SKIPPED {name}: it would take {seconds} s or more to fill its archive");
                return Ok(false);
            }
        }
        Ok(true)
    };
    thread::scope(|scope| {
        let receivers: Vec<_> = (0..)
            .zip(receivers)
            .map(|(place, client)| {
                let share = (messages + others - 1 - place) / others;
                scope.spawn(move || receive(client, share))
            })
            .collect();
        let filled = send();
        stopped.store(!matches!(filled, Ok(true)), Ordering::Relaxed);
        for receiver in receivers {
            let ended = receiver.join().map_err(|_| "a receiver failed")?;
            if matches!(filled, Ok(true)) {
                ended?;
            }
        }
        filled
    })
}

/// The server writes one message into its archive; with the server stopped, SQL makes all the others of it.
fn by_sql(
    setup: &Setup,
    plan: &Plan,
    accounts: &[Account],
    messages: u64,
    sql: &Path,
) -> Result<bool, String> {
    let server = setup.start()?;
    let (writer, reader) = (&accounts[0], &accounts[1]);
    let sender = Client::session(&server, Way::StartTls, plan.hash, writer)?;
    let receiver = Client::session(&server, Way::StartTls, plan.hash, reader)?;
    let mut load = Load::new()?;
    load.add(sender, receiver, &reader.jid(), false)?;
    load.chat(1, Until::Count(1))?;
    for account in [writer, reader] {
        let mut archive = Archive::open(&server, plan, account)?;
        let start = Instant::now();
        while archive.page("<before/>", 50)?.numbers != [0] {
            if start.elapsed() > Duration::from_secs(10) {
                return Err(format!("{} has not archived a message", setup.name));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
    drop(load);
    drop(server);
    let failed = |why: String| format!("{}: sqlite3: {why}", setup.name);
    let output = Command::new("sqlite3")
        .args(["-cmd", &format!(".param set :count {}", messages)])
        .arg(setup.archive_database())
        .stdin(File::open(sql).map_err(|error| failed(error.to_string()))?)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.is_empty() {
        return Err(failed(said.into_owned()));
    }
    Ok(true)
}
