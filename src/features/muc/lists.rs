//! Who is something in a room (XEP-0045 §5.2): looked up, read and kept; with what hangs on that: reserved nicknames, hats, the ids of occupants.

use super::occupant;
use super::roles::{Right, has};
use super::room::Room;
use crate::engine::Engine;
use crate::limits;
use crate::store::{Account, Affiliated, Affiliation, Hat, StoreError, UserId};
use crate::xml::written;
use crate::xmpp::{BareJid, Condition, Jid, StanzaError, ns};
use ring::hmac;

impl Room {
    /// Takes over what the store has; who took over the name of a deleted account is somebody else, but stays banned (HOLES 17).
    pub fn read_people(
        &mut self,
        engine: &Engine,
        people: Vec<Affiliated>,
    ) -> Result<(), StoreError> {
        for one in people {
            if one.affiliation != Affiliation::Outcast
                && let Some(id) = one.account
                && account_id(engine, &one.jid)? != Some(id)
            {
                continue;
            }
            self.list(one);
        }
        self.versions.begin(&self.people);
        Ok(())
    }

    /// What somebody is: by their own JID, by a banned domain (§9.2), as one of everybody, or as an administrator of the server where nobody owns the room.
    pub fn affiliation(&self, engine: &Engine, jid: &Jid<'_>) -> Affiliation {
        if let Some(one) = self.people.get(jid.bare())
            && one.affiliation != Affiliation::None
        {
            return one.affiliation;
        }
        let domain = self.people.get(jid.domain());
        if domain.is_some_and(|domain| domain.affiliation == Affiliation::Outcast) {
            return Affiliation::Outcast;
        }
        let Some(name) = jid.local().filter(|_| engine.is_local(jid)) else {
            return Affiliation::None;
        };
        let is_admin = || {
            let account = engine.store.account(name);
            account.is_ok_and(|account| account.is_some_and(|account| account.admin))
        };
        if !self.has_owner() && is_admin() {
            return Affiliation::Owner;
        }
        match self.record.everyone {
            true => Affiliation::Member,
            false => Affiliation::None,
        }
    }

    /// The nickname that somebody must use: the one that they registered, where nicknames are locked down (§7.10).
    pub fn held_to(&self, bare: &str) -> Option<&str> {
        let own = self.people.get(bare)?;
        own.nick
            .as_deref()
            .filter(|_| self.record.config.locked_nicks)
    }

    /// Whether somebody owns it.
    pub fn has_owner(&self) -> bool {
        self.owners > 0
    }

    /// Who has an affiliation: those of the list, of a room of everybody also all accounts that are nothing else in it, and where nobody owns it the
    /// administrators of the server.
    pub fn listed(
        &self,
        engine: &Engine,
        wanted: Affiliation,
    ) -> Result<Vec<Affiliated>, StoreError> {
        let those = self.people.values();
        let mut found: Vec<Affiliated> = those
            .filter(|one| one.affiliation == wanted)
            .cloned()
            .collect();
        let is_implied = match wanted {
            Affiliation::Member => self.record.everyone,
            Affiliation::Owner => !self.has_owner(),
            _ => false,
        };
        if !is_implied {
            return Ok(found);
        }
        for account in engine.store.accounts_from("")? {
            let account = account?;
            if found.len() >= limits::ROOM_PEOPLE {
                break;
            }
            let jid = engine.bare_jid(&account.name);
            if self.implied(jid.as_str(), &account) == Some(wanted) {
                found.push(Affiliated::new(jid.as_str(), wanted));
            }
        }
        Ok(found)
    }

    /// What an account is that nobody has made anything in the room, without a look at the store; `None` where somebody has.
    pub fn implied(&self, jid: &str, account: &Account) -> Option<Affiliation> {
        let listed = self.people.get(jid);
        if listed.is_some_and(|one| one.affiliation != Affiliation::None) {
            return None;
        }
        let owns = account.admin && !self.has_owner();
        match self.record.everyone {
            _ if owns => Some(Affiliation::Owner),
            true => Some(Affiliation::Member),
            false => Some(Affiliation::None),
        }
    }

    /// The accounts that say who belongs to it: its admins and owners, or where nobody owns it the administrators of the server.
    pub fn looked_after_by(&self, engine: &Engine) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = self
            .people
            .values()
            .filter(|one| has(one.affiliation, Right::Members))
            .filter_map(|one| {
                let jid = Jid::parse(&one.jid).ok()?;
                jid.local().map(str::to_owned)
            })
            .collect();
        if !self.has_owner() {
            let accounts = engine.store.accounts()?.into_iter();
            names.extend(accounts.filter(|one| one.admin).map(|one| one.name));
            names.sort();
            names.dedup();
        }
        Ok(names)
    }

    /// Whether somebody has a right.
    pub fn allows(&self, engine: &Engine, jid: &Jid<'_>, right: Right) -> bool {
        has(self.affiliation(engine, jid), right)
    }

    /// The bare JID of who has reserved a nickname, by its key.
    pub fn reserved_by(&self, key: &str) -> Option<&str> {
        self.reserved.get(key).map(Box::as_ref)
    }

    /// The id that others know somebody by (XEP-0421 §3.3): the same as long as the room and the account are the same, and of no use elsewhere.
    pub fn occupant_id(&self, engine: &Engine, bare: &BareJid) -> Box<str> {
        use base64::Engine as _;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &engine.store.secret());
        let mut context = hmac::Context::with_key(&key);
        context.update(b"occupant id");
        context.update(&self.record.salt);
        // Who takes over the name of a deleted account is somebody else.
        let account = account_id(engine, bare.as_str()).ok().flatten();
        context.update(&account.map_or(0, UserId::number).to_be_bytes());
        context.update(bare.as_str().as_bytes());
        let tag = context.sign();
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(&tag.as_ref()[..18])
            .into()
    }

    /// The hats that somebody wears, as XML (XEP-0317 §5).
    pub fn hats_of(&self, bare: &str) -> Box<str> {
        let worn: Vec<&Hat> = match self.people.get(bare) {
            Some(one) => self
                .record
                .hats
                .iter()
                .filter(|hat| one.hats.contains(&hat.uri))
                .collect(),
            None => Vec::new(),
        };
        if worn.is_empty() {
            return Box::default();
        }
        let text = written(|out| {
            out.start("hats").attr("xmlns", ns::HATS);
            for hat in worn {
                out.start("hat")
                    .attr("title", &hat.title)
                    .attr("uri", &hat.uri)
                    .attr_opt("hue", Some(&*hat.hue).filter(|hue| !hue.is_empty()))
                    .end();
            }
            out.end();
        });
        text.into()
    }

    /// Keeps what somebody is from now on; occupants are looked at elsewhere.
    pub fn affiliate(&mut self, engine: &Engine, mut one: Affiliated) -> Result<(), StanzaError> {
        if one.account.is_none() {
            one.account = account_id(engine, &one.jid)?;
        }
        let known = self.people.contains_key(one.jid.as_str());
        if !known && !one.is_nothing() && self.people.len() >= limits::ROOM_PEOPLE {
            return Err(StanzaError::text(
                Condition::ResourceConstraint,
                "the lists of this room are full",
            ));
        }
        if self.kept {
            engine.store.put_affiliation(self.record.id, &one)?;
        }
        let before = self.people.get(one.jid.as_str());
        let before = before.map_or(Affiliation::None, |before| before.affiliation);
        self.versions.change(&one.jid, before, one.affiliation);
        self.unlist(&one.jid);
        if !one.is_nothing() {
            self.list(one);
        }
        Ok(())
    }

    fn list(&mut self, one: Affiliated) {
        self.owners += usize::from(one.affiliation == Affiliation::Owner);
        if let Some(nick) = &one.nick {
            let key = occupant::key(nick);
            self.reserved.insert(key, one.jid.as_str().into());
        }
        self.people.insert(one.jid.as_str().into(), one);
    }

    fn unlist(&mut self, jid: &str) {
        let Some(one) = self.people.remove(jid) else {
            return;
        };
        self.owners -= usize::from(one.affiliation == Affiliation::Owner);
        if let Some(nick) = &one.nick {
            self.reserved.remove(&occupant::key(nick));
        }
    }
}

/// The id of the account that a JID names here.
pub fn account_id(engine: &Engine, jid: &str) -> Result<Option<UserId>, StoreError> {
    let Ok(jid) = Jid::parse(jid) else {
        return Ok(None);
    };
    match jid.local().filter(|_| engine.is_local(&jid)) {
        Some(name) => Ok(engine.store.account(name)?.map(|account| account.id)),
        None => Ok(None),
    }
}
