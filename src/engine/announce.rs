//! What the server tells its users itself (XEP-0133 §4.23 to §4.28): announcements, the message of the day, the welcome. They come from the
//! server's domain. To who is there they are headlines, which nobody answers; what waits for somebody, and the welcome, is a normal message. They
//! take the way of all messages, so that archives and queues keep of them what they keep of others.

use super::Engine;
use super::administration::{Refusal, Then};
use super::session::SessionId;
use crate::limits;
use crate::store::{Account, StoreError};
use crate::xmpp::{Jid, MessageType, StanzaError};
use std::fmt;

/// Whom an announcement reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Accounts that were there.
    pub online: usize,
    /// Accounts for which it waits.
    pub waiting: usize,
    /// Accounts for which it could not be kept: too much waits for them already, or the disk is full.
    pub missed: usize,
}

impl fmt::Display for Announced {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.online {
            1 => write!(out, "1 account was told")?,
            online => write!(out, "{online} accounts were told")?,
        }
        if self.waiting > 0 {
            write!(out, ", for {} it waits", self.waiting)?;
        }
        if self.missed > 0 {
            write!(out, ", {} miss it, for too much waits already", self.missed)?;
        }
        Ok(())
    }
}

const ANNOUNCEMENT: &str = "Announcement";
const MOTD: &str = "Message of the day";
const WELCOME: &str = "Welcome";

/// An announcement on its way to all accounts, a part of them at a time: what waits for those who are away is written, and others want to write, too.
pub(super) struct Telling {
    by: String,
    text: String,
    /// Who is still to be told, the next one last.
    names: Vec<String>,
    told: Announced,
    then: Then<Announced>,
}

impl Engine {
    /// Tells something to everybody who is there, and where `all` to everybody else when they come: then it goes on over the next seconds if there are
    /// many.
    pub fn announce(&mut self, by: &str, text: &str, all: bool, then: Then<Announced>) {
        let text = match check(text) {
            Ok(text) => text,
            Err(refusal) => return then(self, Err(refusal)),
        };
        if all {
            return match self.store.accounts() {
                Err(error) => then(self, Err(error.into())),
                Ok(accounts) => self.tell_part(Telling {
                    by: by.to_owned(),
                    text: text.to_owned(),
                    names: accounts
                        .into_iter()
                        .rev()
                        .map(|account| account.name)
                        .collect(),
                    told: Announced::default(),
                    then,
                }),
            };
        }
        let outcome = self.tell_online(ANNOUNCEMENT, text, |_, _| Ok(()));
        if let Ok(told) = outcome {
            log::info!("{by} announced {:?}: {told}", beginning(text));
        }
        self.once_kept(outcome.map_err(Refusal::from), then);
    }

    /// Tells the next part; what is behind it waits until that is on the disk, and for the next tick.
    fn tell_part(&mut self, mut telling: Telling) {
        let mut bytes = 0;
        while bytes < limits::ANNOUNCED_PART_BYTES
            && let Some(name) = telling.names.pop()
        {
            bytes += telling.text.len() + limits::ANNOUNCED_OWN_BYTES;
            let done = match self.tell_account(&name, ANNOUNCEMENT, &telling.text) {
                Ok(false) => self
                    .say(
                        &name,
                        None,
                        MessageType::Normal,
                        ANNOUNCEMENT,
                        &telling.text,
                    )
                    .map(|()| false),
                there => there,
            };
            match done {
                Ok(true) => telling.told.online += 1,
                Ok(false) => telling.told.waiting += 1,
                // It was deleted meanwhile.
                Err(_) if matches!(self.store.account(&name), Ok(None)) => {}
                Err(_) => telling.told.missed += 1,
            }
        }
        self.when_committed(|engine, fine| {
            if !fine {
                (telling.then)(engine, Err(Refusal::NotKept));
            } else if telling.names.is_empty() {
                let (by, text, told) = (&telling.by, beginning(&telling.text), telling.told);
                log::info!("{by} announced {text:?}: {told}");
                (telling.then)(engine, Ok(told));
            } else {
                engine.tellings.push(telling);
            }
        });
    }

    /// Goes on with announcements that have more to tell.
    pub fn tell_on(&mut self) {
        for telling in std::mem::take(&mut self.tellings) {
            self.tell_part(telling);
        }
    }

    /// Sets the message of the day: who is there gets it now, others at their next login; each account once, also over a restart. With `anew` false
    /// the text is only corrected, and who has seen it does not see it again.
    pub fn set_motd(&mut self, by: &str, text: &str, anew: bool, then: Then<()>) {
        let outcome = check(text).and_then(|text| {
            if !anew && self.store.edit_motd(text)? {
                log::info!("{by} changed the message of the day: {:?}", beginning(text));
                return Ok(());
            }
            let number = self.store.set_motd(text)?;
            self.tell_online(MOTD, text, |engine, mut account| {
                account.motd = number;
                engine.store.put_account(&account)
            })?;
            log::info!("{by} set the message of the day: {:?}", beginning(text));
            Ok(())
        });
        self.once_kept(outcome, then);
    }

    /// Deletes the message of the day; whether there was one.
    pub fn delete_motd(&mut self, by: &str, then: Then<bool>) {
        let outcome = self.store.delete_motd();
        if let Ok(true) = outcome {
            log::info!("{by} deleted the message of the day");
        }
        self.once_kept(outcome.map_err(Refusal::from), then);
    }

    /// Sets what new accounts are told at their first login.
    pub fn set_welcome(&mut self, by: &str, text: &str, then: Then<()>) {
        let outcome = check(text).and_then(|text| Ok(self.store.set_welcome(text)?));
        if outcome.is_ok() {
            log::info!("{by} set the welcome: {:?}", beginning(text));
        }
        self.once_kept(outcome, then);
    }

    /// Deletes what new accounts are told; whether there was something.
    pub fn delete_welcome(&mut self, by: &str, then: Then<bool>) {
        let outcome = self.store.delete_welcome();
        if let Ok(true) = outcome {
            log::info!("{by} deleted the welcome");
        }
        self.once_kept(outcome.map_err(Refusal::from), then);
    }

    /// A session takes messages: its account gets what it has not seen yet. Where there is nothing to say, as on most servers, this costs two
    /// looks into the store and no write.
    pub fn greet(&mut self, session: SessionId) -> Result<(), StoreError> {
        let (motd, welcome) = (self.store.motd()?, self.store.welcome()?);
        if motd.is_none() && welcome.is_none() {
            return Ok(());
        }
        let Some(name) = self.session(session).map(|session| session.user.clone()) else {
            return Ok(());
        };
        let Some(mut account) = self.store.account(&name)? else {
            return Ok(());
        };
        let motd = motd.filter(|motd| motd.number > account.motd);
        // New is who never was here before: nobody saw this account leave, and no other device of it is here.
        let first = self.sessions_of(&name).len() == 1 && self.departure(&account)?.is_none();
        let welcome = welcome.filter(|_| first && !account.welcomed);
        if motd.is_none() && welcome.is_none() {
            return Ok(());
        }
        if let Some(text) = welcome {
            account.welcomed = true;
            self.say_at(session, MessageType::Normal, WELCOME, &text);
        }
        if let Some(motd) = motd {
            account.motd = motd.number;
            self.say_at(session, MessageType::Headline, MOTD, &motd.text);
        }
        self.store.put_account(&account)
    }

    /// Tells everybody who takes messages now; `told` is called for each of their accounts.
    fn tell_online(
        &mut self,
        subject: &str,
        text: &str,
        mut told: impl FnMut(&mut Engine, Account) -> Result<(), StoreError>,
    ) -> Result<Announced, StoreError> {
        let mut announced = Announced::default();
        for name in self.names_online() {
            if let Ok(true) = self.tell_account(&name, subject, text)
                && let Some(account) = self.store.account(&name)?
            {
                announced.online += 1;
                told(self, account)?;
            }
        }
        Ok(announced)
    }

    /// Whether an account was there to be told.
    fn tell_account(&mut self, name: &str, subject: &str, text: &str) -> Result<bool, StanzaError> {
        let there = self.online(name).is_some_and(|user| {
            let mut sessions = user.sessions.iter();
            sessions.any(|session| self.is_messageable(*session))
        });
        if there {
            self.say(name, None, MessageType::Headline, subject, text)?;
        }
        Ok(there)
    }

    /// Says something to one session.
    fn say_at(&mut self, to: SessionId, kind: MessageType, subject: &str, text: &str) {
        let Some(jid) = self.session(to).map(|session| session.jid.clone()) else {
            return;
        };
        let name = jid.local().unwrap_or_default();
        if let Err(error) = self.say(name, Some(jid.resource()), kind, subject, text) {
            log::error!(
                "{subject:?} could not be said to {jid}: {}",
                error.condition.name()
            );
        }
    }

    fn say(
        &mut self,
        name: &str,
        at: Option<&str>,
        kind: MessageType,
        subject: &str,
        text: &str,
    ) -> Result<(), StanzaError> {
        let domain = self.config.domain.clone();
        let from = Jid::parse(&domain).expect("the domain was checked when it was configured");
        self.say_to_account(&from, name, at, kind, |out| {
            out.leaf("subject", subject).leaf("body", text);
        })
    }
}

/// A text that can be told.
fn check(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        Err(Refusal::NoText)
    } else if text.len() > limits::ANNOUNCEMENT_BYTES {
        Err(Refusal::TooLong(limits::ANNOUNCEMENT_BYTES))
    } else {
        Ok(text)
    }
}

/// As much of a text as a line of the log needs.
fn beginning(text: &str) -> String {
    text.trim().chars().take(60).collect()
}
