//! Who may know that an account is there: the one rule for whatever an account answers to others (XEP-0030 §8, XEP-0012 §3, XEP-0054 §3.3;
//! HOLES 19).

use super::Engine;
use super::feature::Iq;
use crate::store::StoreError;
use crate::xmpp::{Condition, StanzaError};

impl Engine {
    /// Whether an account lets a bare JID see its presence: itself always, others by subscription or because everyone may. An account that is not
    /// there lets nobody. Whom it blocks does not come this far: the gate of XEP-0191 answers those.
    pub fn is_visible_to(&mut self, account: &str, who: &str) -> Result<bool, StoreError> {
        if self.user(account)?.is_none() {
            return Ok(false);
        }
        let user = self.loaded(account);
        Ok(user.is_some_and(|user| user.jid.as_str() == who || self.lets_see(user, who)))
    }

    /// Refuses who may not know of the account that is asked, with the answer that RFC 6121 §8.5.1 gives where there is no such account: a
    /// stranger cannot tell the two apart.
    pub fn check_visible(&mut self, iq: &Iq<'_, '_>) -> Result<(), StanzaError> {
        match self.is_visible_to(iq.account, iq.stanza.from.bare())? {
            true => Ok(()),
            false => Err(Condition::ServiceUnavailable.into()),
        }
    }
}
