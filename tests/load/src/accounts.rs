//! The users of a run: made by in-band registration (XEP-0077), each with a few contacts in its roster.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::client::{Account, Client, DOMAIN, Way};
use crate::scram::Hash;
use crate::server::{Server, Setup};

/// Contacts in the roster of each account. They are known, not subscribed to: so no presence flows among sessions.
pub const CONTACTS: usize = 10;

/// Connections that make accounts at the same time. Many: servers pause within a login (Nagle's algorithm and
/// delayed acknowledgements), and this part is not measured.
const MAKERS: usize = 16;

/// Makes the accounts that `server` does not have yet, so that there are at least `count`; and returns that many.
/// The server is started for it, and stopped: what is measured later starts with a process that has not done this.
pub fn prepare(setup: &Setup, count: usize, hash: Hash) -> Result<Vec<Account>, String> {
    let accounts: Vec<Account> = (0..count).map(Account::new).collect();
    let there = setup.accounts.load(Ordering::Relaxed);
    if there < count && !setup.is_relay() {
        let server = setup.start()?;
        in_parallel(MAKERS, count - there, |number| {
            make(&server, &accounts[there + number], hash)
        })?;
        setup.accounts.store(count, Ordering::Relaxed);
    }
    Ok(accounts)
}

/// Runs `task` for 0..count on so many threads; the results come in order of the numbers. The first error ends it.
pub fn in_parallel<T: Send>(
    threads: usize,
    count: usize,
    task: impl Fn(usize) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(done);
            }
            match task(number) {
                Ok(result) => done.push((number, result)),
                Err(error) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut all = thread::scope(|scope| -> Result<Vec<(usize, T)>, String> {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(count);
        for thread in threads {
            all.extend(
                thread
                    .join()
                    .map_err(|_| "a thread of the load generator failed")??,
            );
        }
        Ok(all)
    })?;
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

fn make(server: &Server, account: &Account, hash: Hash) -> Result<(), String> {
    let (mut client, features) = Client::stream(server, Way::StartTls)?;
    client.register(account)?;
    client.login(&features, hash, account, "load")?;
    for number in 0..CONTACTS {
        let item = format!(
            "<item jid='contact{number}@{DOMAIN}' name='Contact number {number}'><group>Friends</group></item>"
        );
        let id = format!("contact{number}");
        client.query(
            &format!(
                "<iq type='set' id='{id}'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
            ),
            &id,
        )?;
    }
    client.close(true);
    Ok(())
}
