//! A bound resource, and the user behind it.

use super::acknowledgement::Managed;
use super::archive::Shown;
use super::blocklist::Blocklist;
use super::caps::SessionCapabilities;
use super::contacts::Contacts;
use super::exchanges::Exchanges;
use super::feature::Feature;
use super::inactivity::Inactivity;
use super::outbox::OutQueue;
use super::preferences::Preferences;
use super::{ConnId, Engine};
use crate::store::{StoreError, UserId};
use crate::xmpp::{BareJid, FullJid};
use std::rc::Rc;

/// A bound resource. It belongs to the engine and may outlive its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    index: u32,
    generation: u32,
}

/// What the server knows of a bound resource.
pub struct Session {
    id: SessionId,
    /// Where its bytes go; none while it waits for its client to come back.
    pub conn: Option<ConnId>,
    /// When its connection was lost, while it waits: by the wall clock, in milliseconds since 1970.
    pub lost_ms: Option<u64>,
    /// What is counted of its stream, where its client wants that.
    pub(super) managed: Option<Box<Managed>>,
    /// Its address.
    pub jid: FullJid,
    /// Local part of its JID: the key of its user.
    pub user: Rc<str>,
    /// Its presence, once it sent one (RFC 6121 §4.2) and until it is unavailable.
    pub presence: Option<Presence>,
    /// Number of what was handed to it last: see [`When`](super::unacked::When).
    pub(super) last_number: u64,
    /// Whether it asked for the roster and so gets pushes (RFC 6121 §2.1.6: an interested resource).
    pub interested: bool,
    /// Whether it asked with a version, and so gets one with every push (RFC 6121 §2.6.3).
    pub versioned: bool,
    /// Whether it asked for the block list and so gets pushes (XEP-0191 §3.3).
    pub knows_blocklist: bool,
    /// Whether it wants copies of what other resources send and receive (XEP-0280).
    pub carbons: bool,
    /// Who got directed presence from it and must hear that it is gone (RFC 6121 §4.6.3), normalised.
    pub directed: Vec<Box<str>>,
    /// Whether more messages wait in the store until this one took its part of them.
    pub messages_wait: bool,
    /// What it has seen of the messages that wait.
    pub shown: Shown,
    /// What waits for its client while nobody looks at it (XEP-0352); `None` while somebody does.
    pub(super) inactive: Option<Box<Inactivity>>,
    /// What is known of what its client can.
    pub(super) capabilities: SessionCapabilities,
    /// What it said when it became unavailable, and is still unavailable.
    pub farewell: Option<Box<str>>,
    /// When it was bound, by the wall clock, in milliseconds since 1970.
    pub since_ms: u64,
}

/// The current presence of a resource.
#[derive(Clone)]
pub struct Presence {
    /// RFC 6121 §4.7.2.3, −128 to 127.
    pub priority: i8,
    /// The stanza as others get it, stamped, without a `to`. Shared by all who get it at once.
    pub xml: Rc<str>,
}

/// A user with sessions.
pub struct User {
    /// The account's id in the store.
    pub id: UserId,
    /// The account's address.
    pub jid: BareJid,
    /// Local part of the address.
    pub name: Rc<str>,
    /// Bound resources, in the order of their binding.
    pub sessions: Vec<SessionId>,
    /// The contact list's states, kept in memory while somebody needs them.
    pub contacts: Contacts,
    /// Whom the user blocks.
    pub blocklist: Blocklist,
    /// What the user wants to have archived, where that was said.
    pub archiving: Option<Box<Preferences>>,
    /// What errors may answer; kept where there are copies (XEP-0280 §6.1).
    pub exchanges: Option<Box<Exchanges>>,
}

/// Where a session that ends leaves its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client closed its stream, or the connection was closed on purpose.
    Closed,
    /// The connection was lost.
    Lost,
}

impl Engine {
    /// The session, while it lives.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions
            .get(id.index as usize)?
            .as_ref()
            .filter(|session| session.id == id)
    }

    /// The session to change, while it lives.
    pub fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions
            .get_mut(id.index as usize)?
            .as_mut()
            .filter(|session| session.id == id)
    }

    /// All sessions that live.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().flatten()
    }

    /// The user of a session: there is one as long as the session lives.
    pub fn user_of(&self, id: SessionId) -> Option<&User> {
        self.users.get(&self.session(id)?.user)
    }

    /// The sessions of a local account, none when it is offline.
    pub fn sessions_of(&self, name: &str) -> Vec<SessionId> {
        self.users
            .get(name)
            .map(|user| user.sessions.clone())
            .unwrap_or_default()
    }

    /// The session of a local account with this resource.
    pub fn session_at(&self, name: &str, resource: &str) -> Option<SessionId> {
        let user = self.users.get(name)?;
        user.sessions.iter().copied().find(|id| {
            self.session(*id)
                .is_some_and(|session| session.jid.resource() == resource)
        })
    }

    /// A local user, from memory or from the store; `None` where there is no such account. One who has no session leaves memory when this
    /// entry of the engine ends.
    pub fn user(&mut self, name: &str) -> Result<Option<&mut User>, StoreError> {
        if !self.users.contains_key(name) {
            let Some(account) = self.store.account(name)? else {
                return Ok(None);
            };
            let name: Rc<str> = Rc::from(name);
            let contacts = Contacts::load(&self.store, account.id)?;
            let blocklist = Blocklist::load(&self.store, account.id)?;
            let archiving = Preferences::load(&self.store, account.id)?;
            let jid = self.bare_jid(&name);
            self.users.insert(
                name.clone(),
                User {
                    id: account.id,
                    jid,
                    name: name.clone(),
                    sessions: Vec::new(),
                    contacts,
                    blocklist,
                    archiving,
                    exchanges: None,
                },
            );
            self.passing.push(name);
        }
        Ok(self.users.get_mut(name))
    }

    /// The address of a local account.
    pub fn bare_jid(&self, name: &str) -> BareJid {
        BareJid::new(Some(name), &self.config.domain)
            .expect("an account's name and the domain were checked when they were made")
    }

    /// Binds a resource: from now on the session exists.
    pub(super) fn bind(
        &mut self,
        conn: ConnId,
        name: &str,
        resource: &str,
    ) -> Result<Option<SessionId>, StoreError> {
        if self.user(name)?.is_none() {
            return Ok(None);
        }
        let jid = FullJid::new(Some(name), &self.config.domain, resource)
            .expect("the parts were checked before they were bound");
        let since_ms = self.now.wall_ms;
        let id = match self.free_sessions.pop() {
            Some(free) => SessionId {
                generation: free.generation + 1,
                ..free
            },
            None => {
                self.sessions.push(None);
                SessionId {
                    index: (self.sessions.len() - 1) as u32,
                    generation: 0,
                }
            }
        };
        let user = self.users.get_mut(name).expect("the user was loaded above");
        user.sessions.push(id);
        let user = user.name.clone();
        self.sessions[id.index as usize] = Some(Session {
            id,
            conn: Some(conn),
            lost_ms: None,
            managed: None,
            jid,
            user,
            presence: None,
            last_number: 0,
            interested: false,
            versioned: false,
            knows_blocklist: false,
            carbons: false,
            directed: Vec::new(),
            messages_wait: false,
            shown: Shown::default(),
            inactive: None,
            capabilities: SessionCapabilities::default(),
            farewell: None,
            since_ms,
        });
        Ok(Some(id))
    }

    /// Ends a session: the features say goodbye for it, then it is gone, and what was on its way to it goes where it should.
    pub(super) fn end_session(&mut self, id: SessionId, ending: Ending, queue: OutQueue) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        // Nothing comes to it any more, not even what its end says.
        session.conn = None;
        self.trace(|| format!("session ends: {ending:?}"));
        self.tell(|row: &Feature| row.ended, |engine, hook| hook(engine, id));
        let Some(session) = self.sessions[id.index as usize].take() else {
            return;
        };
        self.free_sessions.push(id);
        let Some(user) = self.users.get_mut(&session.user) else {
            return;
        };
        let account = user.id;
        user.sessions.retain(|other| *other != id);
        if user.sessions.is_empty() {
            self.passing.push(session.user.clone());
        }
        if let Some(managed) = &session.managed {
            self.retire(managed, account);
        }
        self.return_stranded(&session, account, queue);
    }

    /// A user who has at least one session, by the local part of the JID.
    pub fn online(&self, name: &str) -> Option<&User> {
        self.loaded(name).filter(|user| !user.sessions.is_empty())
    }

    /// The same, to change.
    pub fn online_mut(&mut self, name: &str) -> Option<&mut User> {
        let user = self.users.get_mut(name)?;
        Some(user).filter(|user| !user.sessions.is_empty())
    }

    /// A user who is in memory: with a session, or since [`Engine::user`] asked in this same entry.
    pub fn loaded(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// The user of this server behind an address, where somebody is connected.
    pub fn online_at(&self, jid: &BareJid) -> Option<&User> {
        self.loaded_at(jid).filter(|user| !user.sessions.is_empty())
    }

    /// The user of this server behind an address who is in memory: see [`Engine::loaded`].
    pub fn loaded_at(&self, jid: &BareJid) -> Option<&User> {
        let name = jid
            .local()
            .filter(|_| jid.domain() == &*self.config.domain)?;
        self.loaded(name)
    }

    /// The available resources behind an address, none where it is not of this server.
    pub fn available_at(&self, jid: &BareJid) -> impl Iterator<Item = SessionId> + use<'_> {
        let sessions = self.online_at(jid).into_iter().flat_map(|u| &u.sessions);
        sessions.copied().filter(|id| {
            self.session(*id)
                .is_some_and(|session| session.presence.is_some())
        })
    }

    /// The available resources of an account.
    pub fn available_of(&self, name: &str) -> Vec<SessionId> {
        let mut sessions = self.sessions_of(name);
        sessions.retain(|id| {
            self.session(*id)
                .is_some_and(|session| session.presence.is_some())
        });
        sessions
    }

    /// The resources of an account that asked for its roster (RFC 6121 §2.1.6).
    pub fn interested_of(&self, name: &str) -> Vec<SessionId> {
        let mut sessions = self.sessions_of(name);
        sessions.retain(|id| self.session(*id).is_some_and(|session| session.interested));
        sessions
    }
}

impl SessionId {
    /// No session at all: who asks is beyond.
    pub const NOBODY: SessionId = SessionId {
        index: u32::MAX,
        generation: u32::MAX,
    };

    pub(super) fn index(self) -> usize {
        self.index as usize
    }
}

impl Session {
    /// Its name in the engine.
    pub fn id(&self) -> SessionId {
        self.id
    }
}

impl Presence {
    /// The presence as one recipient gets it.
    pub fn write_to(&self, to: &str, out: &mut Vec<u8>) {
        write_presence_to(&self.xml, to, out);
    }
}

/// Writes a presence that has no `to` for one recipient (RFC 6121 §4.2.2: the bare JID of the contact).
pub fn write_presence_to(xml: &str, to: &str, out: &mut Vec<u8>) {
    let (start, rest) = xml.split_at("<presence".len());
    out.extend_from_slice(start.as_bytes());
    out.extend_from_slice(b" to='");
    out.extend_from_slice(crate::xml::escaped(to).as_bytes());
    out.push(b'\'');
    out.extend_from_slice(rest.as_bytes());
}

/// What others get when a resource is gone without a word (RFC 6121 §4.5.2).
pub fn unavailable(from: &FullJid) -> Rc<str> {
    let mut text = String::new();
    crate::xml::Writer::new(&mut text)
        .start("presence")
        .attr("from", from.as_str())
        .attr("type", "unavailable")
        .end();
    text.into()
}
