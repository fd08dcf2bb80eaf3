//! Accounts as the engine changes them: made, given another password, deleted. What registration and `administration.rs` share.

use super::session::SessionId;
use super::stream::{Paused, Stage};
use super::{ConnId, Engine};
use crate::auth::ScramKeys;
use crate::store::{Account, StoreError};
use crate::xmpp::StreamError;

impl Engine {
    /// Makes an account from derived keys, SHA-1 first. `Exists` where the name is taken.
    pub fn create_account(&mut self, name: &str, keys: Vec<ScramKeys>) -> Result<(), StoreError> {
        let (sha1, sha256) = pair(keys)?;
        self.store
            .create_account(name, sha1, sha256, self.now.wall_ms)?;
        self.keys_changed();
        self.tell_everyone(name, true);
        self.tell(|row| row.account_made, |engine, hook| hook(engine, name));
        Ok(())
    }

    /// Takes over an account that has arrived from another server, with all that it has. `Exists` where the name was taken meanwhile.
    pub fn account_arrived(&mut self, account: &Account) -> Result<(), StoreError> {
        self.store.finish_arrival(account)?;
        self.tell_everyone(&account.name, true);
        let name = &account.name;
        self.tell(|row| row.account_made, |engine, hook| hook(engine, name));
        self.ticket();
        Ok(())
    }

    /// Gives an account another password. Every other session ends: who knew the old one is out (HOLES 36).
    pub fn set_password(
        &mut self,
        name: &str,
        keys: Vec<ScramKeys>,
        but: Option<SessionId>,
    ) -> Result<(), StoreError> {
        let (sha1, sha256) = pair(keys)?;
        self.store.set_keys(name, sha1, sha256)?;
        self.keys_changed();
        self.tell(
            |row| row.password_changed,
            |engine, hook| hook(engine, name, but),
        );
        self.end_sessions(name, StreamError::Reset, "the password was changed", but);
        Ok(())
    }

    /// Deletes an account and all that it had. Contacts see it unsubscribe and go (RFC 6121 §2.5.2 for each). Its sessions still stand: end
    /// them once the deletion is on the disk.
    pub fn delete_account(&mut self, name: &str) -> Result<(), StoreError> {
        let Some(user) = self.user(name)? else {
            return Err(StoreError::NoSuchAccount);
        };
        let contacts: Vec<_> = user
            .contacts
            .iter()
            .map(|contact| contact.jid.clone())
            .collect();
        self.tell(|row| row.account_deleted, |engine, hook| hook(engine, name));
        for contact in contacts {
            if !self.shares(name, &contact)? {
                self.remove_contact(name, &contact)?;
            }
        }
        self.store.delete_account(name)?;
        self.keys_changed();
        self.forget_everywhere(name)?;
        log::info!("account {name:?} was deleted");
        Ok(())
    }

    /// Ends the sessions of an account, but for one, and the streams that have logged in to it and not bound a resource yet.
    pub fn end_sessions(
        &mut self,
        name: &str,
        error: StreamError,
        text: &str,
        but: Option<SessionId>,
    ) {
        for session in self.sessions_of(name) {
            if Some(session) == but {
                continue;
            }
            self.dismiss(session, error, text);
        }
        let unbound: Vec<ConnId> = self
            .streams()
            .filter(|stream| matches!(&stream.stage, Stage::Negotiating(login) if login.account.as_deref() == Some(name)))
            .map(|stream| stream.conn)
            .collect();
        for conn in unbound {
            self.end_stream(conn, error, Some(text));
        }
    }

    /// Counts a try to register a name, and says for how many milliseconds to hold it back: see [`Engine::after`].
    pub fn count_registration(&mut self, conn: ConnId) -> u64 {
        let free = self.config.limits.login_rate;
        let peer = self.stream(conn).map(|stream| stream.peer);
        peer.map_or(0, |peer| {
            self.throttle.registers(self.now.mono_ms, peer, free)
        })
    }

    /// Reads no more of a connection until [`Engine::unpause`]: what it sent next waits for what it asked for.
    pub fn pause(&mut self, conn: ConnId) {
        if let Some(stream) = self.stream_mut(conn) {
            stream.paused = Some(Paused::Waits);
        }
    }

    /// Reads a connection again.
    pub fn unpause(&mut self, conn: ConnId) {
        if self
            .stream(conn)
            .is_some_and(|stream| !matches!(stream.stage, Stage::Closed))
        {
            self.resume(conn, false);
        }
    }
}

pub(super) fn pair(keys: Vec<ScramKeys>) -> Result<(ScramKeys, ScramKeys), StoreError> {
    match <[ScramKeys; 2]>::try_from(keys) {
        Ok([sha1, sha256]) => Ok((sha1, sha256)),
        Err(_) => Err(StoreError::Broken(
            "the keys of a password could not be derived".into(),
        )),
    }
}
