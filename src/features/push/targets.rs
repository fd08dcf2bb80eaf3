//! What accounts have enabled. All of it is in memory, read once: whether somebody who is away wants to be woken must cost a message nothing.

use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::store::{PushTarget, StoreError, UserId};
use crate::xmpp::StanzaError;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// All targets, by account.
#[derive(Default)]
pub struct Targets {
    is_read: bool,
    of: HashMap<Box<str>, Vec<Target>>,
    /// Accounts of which something waits to be told.
    pub owing: BTreeSet<Box<str>>,
}

/// A node of an app server, and what it is to be told.
pub struct Target {
    /// Whose it is.
    pub user: UserId,
    /// The resource of its device.
    pub device: Rc<str>,
    /// What is kept of it.
    pub kept: PushTarget,
    /// What it missed last, by its number.
    pub noted: u64,
    /// Messages since its device was there last.
    pub count: u32,
    /// Who wrote last, where that may be told.
    pub sender: String,
    /// What they wrote, where that may be told.
    pub body: String,
    /// Something happened that it was not told yet.
    pub owed: bool,
    /// A notification is on its way.
    pub in_flight: bool,
    /// When the next may go, by the clock that never runs backwards.
    pub next_ms: u64,
    /// Errors in a row.
    pub errors: u32,
}

impl Target {
    /// Whether it is this node of this app server.
    pub fn is_at(&self, jid: &str, node: &str) -> bool {
        self.kept.jid == jid && self.kept.node == node
    }

    /// Its device is there, and sees what there is to see.
    pub fn settle(&mut self) {
        self.count = 0;
        self.sender = String::new();
        self.body = String::new();
        self.owed = false;
    }
}

impl Targets {
    /// Those of an account; few have any.
    pub fn of(&self, account: &str) -> &[Target] {
        self.of.get(account).map_or(&[], Vec::as_slice)
    }

    /// The same, to change.
    pub fn of_mut(&mut self, account: &str) -> &mut [Target] {
        self.of.get_mut(account).map_or(&mut [], Vec::as_mut_slice)
    }

    /// One by what it is called.
    pub fn find(&mut self, account: &str, jid: &str, node: &str) -> Option<&mut Target> {
        let mut all = self.of_mut(account).iter_mut();
        all.find(|target| target.is_at(jid, node))
    }

    fn put(&mut self, user: UserId, kept: PushTarget) {
        let all = self.of.entry(kept.account.as_str().into()).or_default();
        all.retain(|target| !target.is_at(&kept.jid, &kept.node));
        all.push(Target {
            user,
            device: kept.resource.as_str().into(),
            kept,
            noted: 0,
            count: 0,
            sender: String::new(),
            body: String::new(),
            owed: false,
            in_flight: false,
            next_ms: 0,
            errors: 0,
        });
    }

    fn take(&mut self, account: &str, which: impl Fn(&Target) -> bool) -> Vec<Target> {
        let Some(all) = self.of.get_mut(account) else {
            return Vec::new();
        };
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(all).into_iter().partition(which);
        match left.is_empty() {
            true => drop(self.of.remove(account)),
            false => *all = left,
        }
        taken
    }
}

/// All of them, read from the store where they are not in memory.
pub fn all(engine: &mut Engine) -> &mut Targets {
    if !engine.memory::<Targets>().is_read {
        let read = engine.store.push_targets();
        engine.memory::<Targets>().is_read = true;
        match read {
            Ok(read) => {
                for (user, target) in read {
                    put(engine, user, target);
                }
            }
            Err(error) => log::error!("nobody is woken: what they enabled is lost: {error}"),
        }
    }
    engine.memory()
}

/// The store was opened again and may have lost some.
pub fn read_again(engine: &mut Engine) {
    let accounts: Vec<Box<str>> = all(engine).of.keys().cloned().collect();
    for account in accounts {
        engine.set_sleeper(&account, false);
    }
    *engine.memory() = Targets::default();
    all(engine);
}

/// Takes over one that was just written, in the place of what was there (§5).
pub fn put(engine: &mut Engine, user: UserId, kept: PushTarget) {
    engine.set_sleeper(&kept.account, true);
    all(engine).put(user, kept);
}

/// Removes a node, or all of an app server.
pub fn remove(
    engine: &mut Engine,
    account: &str,
    jid: &str,
    node: Option<&str>,
) -> Result<(), StanzaError> {
    let is_it = |target: &Target| {
        target.kept.jid == jid && node.is_none_or(|node| target.kept.node == node)
    };
    Ok(remove_those(engine, account, is_it)?)
}

/// An account is about to be deleted, with what it has in the store.
pub fn forget_account(engine: &mut Engine, account: &str) {
    take(engine, account, |_| true);
}

/// Who knew the old password is out (HOLES 36), and hears nothing any more; the device that changed it stays.
pub fn password_changed(engine: &mut Engine, account: &str, but: Option<SessionId>) {
    let session = but.and_then(|but| engine.session(but));
    let stays = session.map(|session| session.jid.resource().to_owned());
    let is_out = |target: &Target| Some(&target.kept.resource) != stays.as_ref();
    if let Err(error) = remove_those(engine, account, is_out) {
        log::error!("what {account:?} enabled with its old password could not be removed: {error}");
    }
}

fn take(engine: &mut Engine, account: &str, which: impl Fn(&Target) -> bool) -> Vec<Target> {
    let taken = all(engine).take(account, which);
    let wants = !all(engine).of(account).is_empty();
    engine.set_sleeper(account, wants);
    taken
}

fn remove_those(
    engine: &mut Engine,
    account: &str,
    which: impl Fn(&Target) -> bool,
) -> Result<(), StoreError> {
    for target in take(engine, account, which) {
        let PushTarget { jid, node, .. } = &target.kept;
        engine.store.remove_push_target(target.user, jid, node)?;
    }
    Ok(())
}
