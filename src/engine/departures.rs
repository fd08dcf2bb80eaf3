//! When accounts were here last, and what they said when they left (XEP-0012 §3). It is kept in memory first and written once a minute and at the
//! end: a home's devices come and go all day, and each write costs an SD card some of its life. What a `kill -9` loses is a minute of it.

use super::Engine;
use super::session::SessionId;
use crate::limits;
use crate::store::{Account, Document, DocumentKind, StoreError, UserId};
use crate::xml::{self, written};
use crate::xmpp::ns;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Accounts that left and whose leaving is not written yet, by name; with the id, for a name may be another's by the time it is written.
#[derive(Default)]
pub struct Departures {
    unwritten: BTreeMap<Rc<str>, (UserId, Departure)>,
    written_ms: u64,
}

/// How an account left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The status of its last unavailable presence.
    pub farewell: Option<Box<str>>,
}

impl Engine {
    /// How an account left last; none where it never was here, as far as is known.
    pub fn departure(&self, account: &Account) -> Result<Option<Departure>, StoreError> {
        let unwritten = self.departures.unwritten.get(&*account.name);
        if let Some((_, departure)) = unwritten.filter(|(id, _)| *id == account.id) {
            return Ok(Some(departure.clone()));
        }
        if account.last_seen_ms == 0 {
            return Ok(None);
        }
        let kept = self
            .store
            .document(account.id, DocumentKind::Farewell, "")?;
        let said = kept.and_then(|text| xml::Document::parse(text).ok());
        Ok(Some(Departure {
            at_ms: account.last_seen_ms,
            farewell: said.map(|said| said.root().text().into()),
        }))
    }

    /// A session ends: where it was the account's last one, the account leaves.
    pub fn note_departure(&mut self, session: SessionId) {
        let Some(user) = self.user_of(session) else {
            return;
        };
        if user.sessions.iter().any(|other| *other != session) {
            return;
        }
        let leaving = self.session(session);
        let departure = Departure {
            // Who waited for its client to come back was not here meanwhile.
            at_ms: leaving.and_then(|s| s.lost_ms).unwrap_or(self.now.wall_ms),
            farewell: leaving.and_then(|s| s.farewell.clone()),
        };
        let (name, id) = (user.name.clone(), user.id);
        self.departures.unwritten.insert(name, (id, departure));
    }

    /// Writes what was noted, if a minute has passed since the last time.
    pub fn keep_departures_each_minute(&mut self) {
        if self.now.mono_ms.saturating_sub(self.departures.written_ms) >= limits::DEPARTURES_MS {
            self.keep_departures();
        }
    }

    /// Writes what was noted.
    pub fn keep_departures(&mut self) {
        self.departures.written_ms = self.now.mono_ms;
        for (name, (id, departure)) in std::mem::take(&mut self.departures.unwritten) {
            if let Err(error) = self.keep_departure(&name, id, &departure) {
                log::warn!("when {name:?} left could not be kept: {error}");
            }
        }
    }

    fn keep_departure(
        &mut self,
        name: &str,
        id: UserId,
        departure: &Departure,
    ) -> Result<(), StoreError> {
        let account = self.store.account(name)?;
        let Some(mut account) = account.filter(|account| account.id == id) else {
            return Ok(());
        };
        account.last_seen_ms = departure.at_ms;
        self.store.put_account(&account)?;
        let said = departure.farewell.as_deref().map(|said| {
            written(|out| {
                out.start("query").attr("xmlns", ns::LAST).text(said).end();
            })
        });
        let kept = self
            .store
            .document(account.id, DocumentKind::Farewell, "")?;
        if kept == said {
            return Ok(());
        }
        let document = Document {
            kind: DocumentKind::Farewell,
            name: String::new(),
            xml: said.unwrap_or_default(),
        };
        self.store.put_documents(account.id, &[document])
    }
}
