//! What the accounts' keys are like. Accounts that came from another server may have keys for one hash only, and salts and rounds of their own.
//!
//! What is offered must not depend on who asks, so a hash that some account lacks is offered to nobody: a client would choose it and be refused with the
//! right password. An account gets the missing keys when its password is seen: at a login with PLAIN, or when it is changed.

use super::Engine;
use crate::auth::fake::Look;
use crate::auth::{Hash, Secret};
use crate::store::{Store, StoreError};

/// What all accounts have in common, and what strangers see of the differences.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Accounts that have keys for the other hash and none for this one.
    lack_sha1: usize,
    lack_sha256: usize,
    looks_sha1: Vec<Look>,
    looks_sha256: Vec<Look>,
}

impl Census {
    /// Looks at all accounts: one scan.
    fn take(store: &Store) -> Result<Census, StoreError> {
        let mut census = Census::default();
        for account in store.accounts()? {
            match (&account.sha1, &account.sha256) {
                (None, Some(_)) => census.lack_sha1 += 1,
                (Some(_), None) => census.lack_sha256 += 1,
                // Nobody can log in there, whatever is offered.
                (None, None) | (Some(_), Some(_)) => {}
            }
            census
                .looks_sha1
                .extend(account.sha1.as_ref().map(Look::of));
            census
                .looks_sha256
                .extend(account.sha256.as_ref().map(Look::of));
            // Two thousand accounts have few looks.
            for looks in [&mut census.looks_sha1, &mut census.looks_sha256] {
                looks.sort_unstable();
                looks.dedup();
            }
        }
        Ok(census)
    }

    /// The hash that is not offered; none while everybody has both, and none where one or the other is missing everywhere: then who chooses
    /// the right one gets in.
    pub fn withheld(&self) -> Option<Hash> {
        match (self.lack_sha1, self.lack_sha256) {
            (1.., 0) => Some(Hash::Sha1),
            (0, 1..) => Some(Hash::Sha256),
            _ => None,
        }
    }

    /// Whether a password has to be tried with both hashes, for everybody, so that the time tells nothing.
    pub(super) fn needs_both(&self) -> bool {
        self.lack_sha1 + self.lack_sha256 > 0
    }

    /// What challenges look like.
    pub(super) fn looks(&self, hash: Hash) -> &[Look] {
        match hash {
            Hash::Sha1 => &self.looks_sha1,
            Hash::Sha256 => &self.looks_sha256,
        }
    }

    fn is_plain(&self) -> bool {
        let own = |looks: &[Look]| looks.iter().all(|look| *look == Look::OWN);
        !self.needs_both() && own(&self.looks_sha1) && own(&self.looks_sha256)
    }
}

impl Engine {
    /// Counts anew: at the start, and after accounts have arrived.
    pub fn take_census(&mut self) {
        match Census::take(&self.store) {
            Ok(census) => self.census = census,
            Err(error) => log::error!("the accounts could not be counted: {error}"),
        }
        for (hash, lacking) in [
            ("SCRAM-SHA-1", self.census.lack_sha1),
            ("SCRAM-SHA-256", self.census.lack_sha256),
        ] {
            if lacking > 0 {
                log::info!(
                    "{lacking} accounts have no keys for {hash} from where they came: it is offered again when each has logged in with PLAIN once, or has a new password"
                );
            }
        }
    }

    /// Counts anew after keys have changed, if that can make a difference.
    pub(super) fn keys_changed(&mut self) {
        if !self.census.is_plain() {
            self.take_census();
        }
    }

    /// Gives an account the keys it lacks, now that its password is known.
    pub(super) fn complete_keys(
        &mut self,
        name: &str,
        proven: super::login::Proof,
        password: Secret,
    ) {
        let lacks = match self.store.account(name) {
            Ok(known) => known.is_some_and(|known| known.sha1.is_none() || known.sha256.is_none()),
            Err(error) => {
                return log::error!("the keys of {name:?} could not be looked at: {error}");
            }
        };
        if !lacks {
            return;
        }
        let name = name.to_owned();
        self.derive_new(password, move |engine, keys| {
            let result = engine.account_with(&name, &proven).and_then(|still| {
                // The password was changed meanwhile.
                if still.is_none() {
                    return Ok(());
                }
                let (sha1, sha256) = super::account::pair(keys)?;
                engine.store.set_keys(&name, sha1, sha256)
            });
            match result {
                Ok(()) => log::info!("{name:?} has keys for both hashes now"),
                Err(error) => log::error!("{name:?} could not be given new keys: {error}"),
            }
            engine.keys_changed();
            // Nobody waits for it, but it shall be kept.
            engine.ticket();
        });
    }
}
