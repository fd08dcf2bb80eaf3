//! What the server tells its users itself (XEP-0133 §4.23 to §4.28): announcements, the message of the day, the welcome. They come from the
//! server's domain. To who is there they are headlines, which nobody answers; what waits for somebody, and the welcome, is a normal message.

use super::Engine;
use super::administration::{Refusal, Then};
use super::delivery::Delivery;
use super::session::SessionId;
use crate::limits;
use crate::store::{Account, StoreError, UserId};
use crate::xml::written;
use crate::xmpp::{ns, time};
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

impl Engine {
    /// Tells something to everybody who is there, and where `all` to everybody else when they come.
    pub fn announce(&mut self, by: &str, text: &str, all: bool, then: Then<Announced>) {
        let outcome = check(text).and_then(|text| {
            let told = match all {
                false => self.tell_online(ANNOUNCEMENT, text, |_, _| Ok(()))?,
                true => self.tell_all(text)?,
            };
            log::info!("{by} announced {:?}: {told}", beginning(text));
            Ok(told)
        });
        self.once_kept(outcome, then);
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
            self.say(session, None, WELCOME, &text);
        }
        if let Some(motd) = motd {
            account.motd = motd.number;
            self.say(session, Some("headline"), MOTD, &motd.text);
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
            if self.tell_account(&name, subject, text)
                && let Some(account) = self.store.account(&name)?
            {
                announced.online += 1;
                told(self, account)?;
            }
        }
        Ok(announced)
    }

    fn tell_all(&mut self, text: &str) -> Result<Announced, StoreError> {
        let mut announced = Announced::default();
        for account in self.store.accounts()? {
            if self.tell_account(&account.name, ANNOUNCEMENT, text) {
                announced.online += 1;
                continue;
            }
            match self.keep(account.id, &account.name, text) {
                Ok(()) => announced.waiting += 1,
                Err(StoreError::QueueFull | StoreError::Full) => announced.missed += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(announced)
    }

    /// Whether an account was there to be told.
    fn tell_account(&mut self, name: &str, subject: &str, text: &str) -> bool {
        let mut sessions = self.sessions_of(name);
        sessions.retain(|session| self.is_messageable(*session));
        for session in &sessions {
            self.say(*session, Some("headline"), subject, text);
        }
        !sessions.is_empty()
    }

    /// Leaves an announcement for who is away (XEP-0160).
    fn keep(&mut self, id: UserId, name: &str, text: &str) -> Result<(), StoreError> {
        let to = self.bare_jid(name);
        let delay = written(|out| {
            out.start("delay")
                .attr("xmlns", ns::DELAY)
                .attr("from", &self.config.domain)
                .attr("stamp", &time::format(self.now.wall_ms))
                .end();
        });
        let xml = self.message_of_ours(to.as_str(), None, ANNOUNCEMENT, text, &delay);
        let now_ms = self.now.wall_ms;
        self.store.push_offline(id, now_ms, &xml).map(drop)
    }

    fn say(&mut self, to: SessionId, kind: Option<&str>, subject: &str, text: &str) {
        let Some(jid) = self.session(to).map(|session| session.jid.clone()) else {
            return;
        };
        let xml = self.message_of_ours(jid.bare(), kind, subject, text, "");
        let domain = self.config.domain.clone();
        self.deliver(to, Delivery::of(&domain), |out| {
            out.extend_from_slice(xml.as_bytes())
        });
    }

    fn message_of_ours(
        &mut self,
        to: &str,
        kind: Option<&str>,
        subject: &str,
        text: &str,
        append: &str,
    ) -> String {
        let id = self.random.id();
        written(|out| {
            out.start("message")
                .attr("from", &self.config.domain)
                .attr("to", to)
                .attr("id", &id)
                .attr_opt("type", kind)
                .leaf("subject", subject)
                .leaf("body", text)
                .raw(append)
                .end();
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
