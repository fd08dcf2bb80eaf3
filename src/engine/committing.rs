//! What waits for the disk, and what is forgotten when the disk has not kept it.

use super::{Effect, Engine, Flow, blocklist, contacts, preferences};
use crate::store::{StoreError, Ticket};
use crate::xmpp::StreamError;
use std::rc::Rc;

impl Engine {
    /// The ticket whose commit covers everything written until now. The commit is asked for.
    pub fn ticket(&mut self) -> Ticket {
        let ticket = self.store.ticket();
        if ticket > self.asked {
            self.asked = ticket;
            self.outbox.push(Effect::Commit { ticket });
        }
        ticket
    }

    /// Does `then` once everything written until now is on the disk; `false` says that it could not be put there.
    pub fn when_committed(&mut self, then: impl FnOnce(&mut Engine, bool) + 'static) {
        let ticket = self.ticket();
        if ticket <= self.done {
            then(self, true);
        } else {
            self.committing.push((ticket, Box::new(then)));
        }
    }

    pub(super) fn committed(&mut self, ticket: Ticket, result: Result<(), StoreError>) -> Flow {
        let fine = result.is_ok();
        if let Err(error) = result {
            log::error!("what was written could not be put on the disk: {error}");
        }
        let before = self.done;
        self.done = self.done.max(ticket);
        let (due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.committing)
            .into_iter()
            .partition(|(t, _)| *t <= ticket);
        self.committing = waiting;
        // An acknowledgement of stanzas may overtake anything.
        self.keep_promises(before, ticket, fine);
        // Then what was sent earlier: a continuation may send behind it, or end the stream.
        self.release_held(ticket, fine);
        for (_, then) in due {
            then(self, fine);
        }
        Flow::Continue
    }

    /// The store was opened again, perhaps long after a commit failed, and lost what was not committed: what is kept of it in memory is read again.
    pub(super) fn forget_uncommitted(&mut self) {
        self.pubsub.forget_all();
        self.photos.forget_all();
        self.forget_everyone();
        let Engine { users, store, .. } = self;
        for user in users.values_mut() {
            match contacts::Contacts::load(store, user.id) {
                Ok(contacts) => user.contacts = contacts,
                Err(error) => log::error!(
                    "the contact list of {:?} could not be read: {error}",
                    user.name
                ),
            }
            match blocklist::Blocklist::load(store, user.id) {
                Ok(blocklist) => user.blocklist = blocklist,
                Err(error) => {
                    log::error!(
                        "the block list of {:?} could not be read: {error}",
                        user.name
                    )
                }
            }
            match preferences::Preferences::load(store, user.id) {
                Ok(archiving) => user.archiving = archiving,
                Err(error) => log::error!(
                    "what {:?} wants to have archived could not be read: {error}",
                    user.name
                ),
            }
        }
        // An account whose making was lost has nobody.
        let gone: Vec<Rc<str>> = users
            .values()
            .filter(|user| match store.account(&user.name) {
                Ok(account) => account.is_none_or(|account| account.id != user.id),
                Err(_) => false,
            })
            .map(|user| user.name.clone())
            .collect();
        for name in gone {
            let text = "the account could not be stored";
            self.end_sessions(&name, StreamError::NotAuthorized, text, None);
        }
        self.tell(|row| row.reopened, |engine, hook| hook(engine));
    }
}
