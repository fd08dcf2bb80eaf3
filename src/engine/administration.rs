//! What an administrator does to accounts, through whichever door: the control socket's verbs and the ad-hoc commands of XEP-0133 both end here, so
//! that a thing is checked, done and logged in one way. `by` is who does it, for the log.

use super::Engine;
use super::announce::Announced;
use super::session::SessionId;
use crate::auth::{self, Secret};
use crate::store::{Account, StoreError};
use crate::xml::Document;
use crate::xmpp::{BareJid, Condition, Form, FormType, Jid, StanzaError, StreamError, ns};
use std::fmt;

/// Why an administrator's wish was not done. `Display` says it in a sentence, without what to do at which door.
#[derive(Debug)]
pub enum Refusal {
    /// No name, or one that cannot be, and why.
    BadName(String, String),
    /// An address of somewhere else.
    NotHere(String, String),
    /// There is no such account.
    NoAccount(String),
    /// There is such an account already.
    Taken(String),
    /// Not a password, and why.
    BadPassword(String),
    /// Nobody is connected with this address.
    NotConnected(String),
    /// There is no such room.
    NoRoom(String),
    /// There is such a room already.
    RoomTaken(String),
    /// Rooms are switched off.
    NoRooms,
    /// It was refused as it would have been to a user, and why.
    Refused(String),
    /// Nothing to say.
    NoText,
    /// A text of more than so many bytes.
    TooLong(usize),
    /// The store could not.
    Store(StoreError),
    /// It was written, and the disk did not keep it.
    NotKept,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::BadName(name, why) => write!(out, "{name:?} cannot be a name: {why}"),
            Refusal::NotHere(jid, domain) => {
                write!(out, "{jid} is not on this server, which serves {domain}")
            }
            Refusal::NoAccount(name) => write!(out, "there is no account {name:?}"),
            Refusal::Taken(name) => write!(out, "there is an account {name:?} already"),
            Refusal::BadPassword(why) => write!(out, "that cannot be a password: {why}"),
            Refusal::NotConnected(jid) => write!(out, "{jid} is not connected"),
            Refusal::NoRoom(name) => write!(out, "there is no room {name:?}"),
            Refusal::RoomTaken(name) => write!(out, "there is a room {name:?} already"),
            Refusal::NoRooms => write!(out, "there are no rooms here: rooms.enabled is false"),
            Refusal::Refused(why) => out.write_str(why),
            Refusal::NoText => write!(out, "the text is empty"),
            Refusal::TooLong(bytes) => write!(out, "the text is longer than {bytes} bytes"),
            Refusal::Store(error) => error.fmt(out),
            Refusal::NotKept => write!(out, "it could not be written to the disk"),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

impl From<Refusal> for StanzaError {
    /// XEP-0133 §5.
    fn from(refusal: Refusal) -> StanzaError {
        let text = refusal.to_string();
        let condition = match refusal {
            Refusal::Store(error) => return error.into(),
            Refusal::BadName(..) => Condition::JidMalformed,
            Refusal::NotHere(..)
            | Refusal::NoAccount(_)
            | Refusal::NotConnected(_)
            | Refusal::NoRoom(_)
            | Refusal::NoRooms => Condition::ItemNotFound,
            Refusal::Taken(_) | Refusal::RoomTaken(_) => Condition::Conflict,
            Refusal::Refused(_) => Condition::NotAllowed,
            Refusal::BadPassword(_) | Refusal::NoText | Refusal::TooLong(_) => {
                Condition::NotAcceptable
            }
            Refusal::NotKept => Condition::ResourceConstraint,
        };
        StanzaError::text(condition, text)
    }
}

/// What somebody who is connected does (XEP-0133 §4.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A resource is available, and not away.
    Active,
    /// All are away, or say nothing of themselves.
    Idle,
}

/// What a change does when it is on the disk, or was not done.
pub type Then<T> = Box<dyn FnOnce(&mut Engine, Result<T, Refusal>)>;

impl Engine {
    /// Whether a session's account may administer the server. Asked anew each time: the right may be taken away meanwhile.
    pub fn is_admin(&self, session: SessionId) -> bool {
        let Some(session) = self.session(session) else {
            return false;
        };
        self.store
            .account(&session.user)
            .is_ok_and(|account| account.is_some_and(|account| account.admin && !account.locked))
    }

    /// The name of an account on this server, prepared, out of `anna` or `anna@domain`. It may not exist.
    pub fn account_name(&self, text: &str) -> Result<String, Refusal> {
        let text = text.trim();
        let local = match text.split_once('@') {
            None => text,
            Some((local, domain)) => match Jid::parse(domain) {
                Ok(jid) if self.is_local(&jid) && jid.is_domain() => local,
                Ok(jid) if self.is_local(&jid) => {
                    let why = "it is the address of a device, not of an account";
                    return Err(Refusal::BadName(text.to_owned(), why.to_owned()));
                }
                _ => return Err(self.not_here(text)),
            },
        };
        auth::account_name(local)
            .map_err(|error| Refusal::BadName(local.to_owned(), error.to_string()))
    }

    /// The account that `anna` or `anna@domain` names.
    pub fn account_called(&self, text: &str) -> Result<Account, Refusal> {
        let name = self.account_name(text)?;
        self.store.account(&name)?.ok_or(Refusal::NoAccount(name))
    }

    /// Makes an account; where `admin`, one that may administer the server.
    pub fn add_account(
        &mut self,
        by: &str,
        name: &str,
        password: &str,
        admin: bool,
        then: Then<BareJid>,
    ) {
        let wanted = self.account_name(name).and_then(|name| {
            let taken = self.store.account(&name)?.is_some();
            match taken {
                true => Err(Refusal::Taken(name)),
                false => Ok((name, checked(password)?)),
            }
        });
        let (name, password) = match wanted {
            Ok(wanted) => wanted,
            Err(refusal) => return then(self, Err(refusal)),
        };
        let by = by.to_owned();
        self.derive_new(password, move |engine, keys| {
            let made = match engine.create_account(&name, keys) {
                Ok(()) => {
                    log::info!("{by} made the account {name:?}");
                    match admin {
                        true => engine.change(&by, &name, Change::Admin(true)),
                        false => Ok(()),
                    }
                }
                Err(StoreError::Exists) => Err(Refusal::Taken(name.clone())),
                Err(error) => Err(error.into()),
            };
            let jid = engine.bare_jid(&name);
            engine.once_kept(made.map(|()| jid), then);
        });
    }

    /// Gives an account another password, and where `admin` the right to administer; sessions that know the old one end.
    pub fn change_password(
        &mut self,
        by: &str,
        name: &str,
        password: &str,
        admin: bool,
        then: Then<BareJid>,
    ) {
        let wanted = self
            .account_called(name)
            .and_then(|account| Ok((account.name, checked(password)?)));
        let (name, password) = match wanted {
            Ok(wanted) => wanted,
            Err(refusal) => return then(self, Err(refusal)),
        };
        let by = by.to_owned();
        self.derive_new(password, move |engine, keys| {
            let outcome = match engine.set_password(&name, keys, None) {
                Ok(()) => {
                    log::info!("{by} gave {name:?} another password");
                    match admin {
                        true => engine.change(&by, &name, Change::Admin(true)),
                        false => Ok(()),
                    }
                }
                Err(StoreError::NoSuchAccount) => Err(Refusal::NoAccount(name.clone())),
                Err(error) => Err(error.into()),
            };
            let jid = engine.bare_jid(&name);
            engine.once_kept(outcome.map(|()| jid), then);
        });
    }

    /// Removes accounts and all that they have; none of them where one is not there. Their sessions end once it is on the disk.
    pub fn remove_accounts(&mut self, by: &str, names: &[&str], then: Then<Vec<BareJid>>) {
        let outcome = self.all_called(names).and_then(|accounts| {
            for account in &accounts {
                self.delete_account(&account.name)?;
                log::info!("{by} removed the account {:?}", account.name);
            }
            Ok(accounts.into_iter().map(|account| account.name).collect())
        });
        self.and_end(outcome, "the account was removed", then);
    }

    /// Locks accounts, so that nobody logs in to them, or unlocks them; none of them where one is not there. What they have stays. Sessions of a
    /// locked account end, and messages to it wait (XEP-0133 §4.3).
    pub fn lock_accounts(
        &mut self,
        by: &str,
        names: &[&str],
        locked: bool,
        then: Then<Vec<BareJid>>,
    ) {
        let outcome = self.all_called(names).and_then(|accounts| {
            for account in &accounts {
                self.change(by, &account.name, Change::Locked(locked))?;
            }
            Ok(accounts.into_iter().map(|account| account.name).collect())
        });
        match locked {
            true => self.and_end(outcome, "the account is disabled", then),
            false => {
                let outcome = outcome.map(|names| self.bare_jids(&names));
                self.once_kept(outcome, then);
            }
        }
    }

    /// Lets an account administer the server, or no more.
    pub fn set_admin(&mut self, by: &str, name: &str, admin: bool, then: Then<BareJid>) {
        let outcome = self.account_called(name).and_then(|account| {
            self.change(by, &account.name, Change::Admin(admin))?;
            Ok(self.bare_jid(&account.name))
        });
        self.once_kept(outcome, then);
    }

    /// The sessions behind addresses: of one device, or of all of an account (XEP-0133 §4.5). Refused where one of them is not connected.
    pub fn sessions_called(&self, addresses: &[&str]) -> Result<Vec<SessionId>, Refusal> {
        let mut sessions = Vec::new();
        for text in addresses {
            sessions.extend(self.sessions_behind(text)?);
        }
        sessions.sort();
        sessions.dedup();
        Ok(sessions)
    }

    /// Ends sessions; their users may come again.
    pub fn end_these(&mut self, by: &str, sessions: Vec<SessionId>, reason: &str) {
        for id in sessions {
            if let Some(session) = self.session(id) {
                log::info!("{by} ended the session {}", session.jid);
            }
            // RFC 6120 §4.9.3.14.
            self.dismiss(id, StreamError::PolicyViolation, reason);
        }
    }

    /// Whether somebody who is connected does something; `None` for who is not.
    pub fn activity(&self, name: &str) -> Option<Activity> {
        let sessions = self.sessions_of(name);
        let active = |session: &SessionId| {
            let presence = self.session(*session)?.presence.as_ref()?;
            let presence = Document::parse(presence.xml.to_string()).ok()?;
            let mut children = presence.root().children();
            let show = children.find(|child| child.name() == "show");
            // RFC 6121 §4.7.2.1: away for a short or a long time.
            let away = show.is_some_and(|show| ["away", "xa"].contains(&show.text().trim()));
            (!away).then_some(())
        };
        match sessions.iter().any(|session| active(session).is_some()) {
            _ if sessions.is_empty() => None,
            true => Some(Activity::Active),
            false => Some(Activity::Idle),
        }
    }

    /// Ends the server in so many seconds, and tells everybody who is there; a second wish takes the place of the first (XEP-0133 §4.31).
    pub fn stop_later(&mut self, by: &str, seconds: u64, text: &str, then: Then<Announced>) {
        let told = move |engine: &mut Engine, by: &str| {
            engine.stop_ms = Some(engine.now.mono_ms + seconds * 1000);
            log::warn!("{by} ends the server in {seconds} seconds");
        };
        if text.trim().is_empty() {
            told(self, by);
            return then(self, Ok(Announced::default()));
        }
        let who = by.to_owned();
        let then: Then<Announced> = Box::new(move |engine, outcome| {
            if outcome.is_ok() {
                told(engine, &who);
            }
            then(engine, outcome);
        });
        self.announce(by, text, false, then);
    }

    /// Who is connected, by name; each once.
    pub fn names_online(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .sessions()
            .map(|session| session.user.to_string())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn sessions_behind(&self, text: &str) -> Result<Vec<SessionId>, Refusal> {
        let text = text.trim();
        let whole = match text.contains('@') {
            true => text.to_owned(),
            false => format!("{text}@{}", self.config.domain),
        };
        let jid = Jid::parse(&whole)
            .map_err(|error| Refusal::BadName(text.to_owned(), error.to_string()))?;
        let Some(name) = jid.local().filter(|_| self.is_local(&jid)) else {
            return Err(self.not_here(text));
        };
        let sessions: Vec<SessionId> = match jid.resource() {
            Some(resource) => self.session_at(name, resource).into_iter().collect(),
            None => self.sessions_of(name),
        };
        if sessions.is_empty() {
            return Err(Refusal::NotConnected(text.to_owned()));
        }
        Ok(sessions)
    }

    fn not_here(&self, text: &str) -> Refusal {
        Refusal::NotHere(text.to_owned(), self.config.domain.to_string())
    }

    fn all_called(&self, names: &[&str]) -> Result<Vec<Account>, Refusal> {
        let mut accounts = Vec::new();
        for name in names {
            let account = self.account_called(name)?;
            if !accounts
                .iter()
                .any(|other: &Account| other.id == account.id)
            {
                accounts.push(account);
            }
        }
        Ok(accounts)
    }

    fn bare_jids(&self, names: &[String]) -> Vec<BareJid> {
        names.iter().map(|name| self.bare_jid(name)).collect()
    }

    fn change(&mut self, by: &str, name: &str, change: Change) -> Result<(), Refusal> {
        let mut account = self
            .store
            .account(name)?
            .ok_or_else(|| Refusal::NoAccount(name.to_owned()))?;
        let (flag, wanted, did) = match change {
            Change::Admin(true) => (&mut account.admin, true, "made an administrator of"),
            Change::Admin(false) => (&mut account.admin, false, "took administration from"),
            Change::Locked(true) => (&mut account.locked, true, "locked"),
            Change::Locked(false) => (&mut account.locked, false, "unlocked"),
        };
        // What is so already is not written: cards die of writes.
        if *flag != wanted {
            *flag = wanted;
            self.store.put_account(&account)?;
            log::info!("{by} {did} {name:?}");
        }
        Ok(())
    }

    /// Goes on when it is on the disk; then the sessions of these accounts end.
    fn and_end(
        &mut self,
        outcome: Result<Vec<String>, Refusal>,
        text: &'static str,
        then: Then<Vec<BareJid>>,
    ) {
        let names = match outcome {
            Ok(names) => names,
            Err(refusal) => return self.once_kept(Err(refusal), then),
        };
        let jids = self.bare_jids(&names);
        let then: Then<Vec<BareJid>> = Box::new(move |engine, outcome| {
            let kept = outcome.is_ok();
            // The answer first: it may be for one of those.
            then(engine, outcome);
            if kept {
                for name in names {
                    engine.end_sessions(&name, StreamError::NotAuthorized, text, None);
                }
            }
        });
        self.once_kept(Ok(jids), then);
    }

    /// Goes on when what was written is on the disk.
    pub fn once_kept<T: 'static>(&mut self, outcome: Result<T, Refusal>, then: Then<T>) {
        self.when_committed(move |engine, fine| {
            let outcome = match fine {
                true => outcome,
                false => outcome.and(Err(Refusal::NotKept)),
            };
            then(engine, outcome);
        });
    }
}

/// What an administrator changes of an account.
#[derive(Clone, Copy)]
enum Change {
    Admin(bool),
    Locked(bool),
}

/// A form of service administration (XEP-0133 §4), still without fields.
pub fn form(title: &str, instructions: &str) -> Form {
    Form::new(FormType::Form)
        .title(title)
        .instructions(instructions)
        .form_type(ns::ADMIN)
}

fn checked(password: &str) -> Result<Secret, Refusal> {
    match auth::keys::prepare_password(password) {
        Ok(_) => Ok(Secret::new(password)),
        Err(error) => Err(Refusal::BadPassword(error.to_string())),
    }
}
