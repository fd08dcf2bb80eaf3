//! One row of the table of features: what a specification adds to the server, as plain functions.
//!
//! The table's order is the order of the hooks. Stream features, disco, the gate and the README's table all come from the rows.

use super::caps::Capabilities;
use super::command::Command;
use super::disco::{Item, Node};
use super::missed::Missed;
use super::pubsub::{Change, Owner};
use super::service::Service;
use super::session::SessionId;
use super::stream::Stream;
use super::{ConnId, Engine, Flow};
use crate::config::Config;
use crate::store::{Document, RosterItem};
use crate::xml::Checked;
use crate::xml::Element;
use crate::xml::Writer;
use crate::xmpp::{BareJid, Form, IqType, Jid, Stanza, StanzaError};

/// One row. Start from [`Feature::NONE`] and fill in what the feature has.
pub struct Feature {
    /// The specification: `RFC 6121 §2`, `XEP-0199`.
    pub spec: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What is left out, for the README's table; empty where nothing is.
    pub leaves_out: &'static str,
    /// Features of the server in its disco#info (XEP-0030).
    pub server_features: &'static [&'static str],
    /// Features of an account in its disco#info.
    pub account_features: &'static [&'static str],
    /// What the server is beside a server, in its disco#info: category and type.
    pub server_identities: &'static [(&'static str, &'static str)],
    /// What an account is beside an account, in its disco#info: category and type.
    pub account_identities: &'static [(&'static str, &'static str)],
    /// Answers disco for a node of an account to who may see the account, as [`Feature::disco_node`] does for the server's.
    pub account_node: Option<DiscoNodeOf>,
    /// What an account contains, for who asks and may see the account (XEP-0030 §4.1).
    pub account_items: Option<ItemsOf>,
    /// Answers disco for a node of the server (XEP-0030 §3.2); `None` where the node is not its own. Without it a node is not there.
    pub disco_node: Option<DiscoNodeOf>,
    /// Ad-hoc commands of the server (XEP-0050).
    pub commands: &'static [Command],
    /// A host below the server's domain that it answers for.
    pub service: Option<Service>,
    /// Whether the operator wants it; `None` where there is no choice. Without it, it is not announced and answers nothing.
    pub wanted: Option<fn(&Config) -> bool>,
    /// A form in the server's disco#info (XEP-0128).
    pub server_form: Option<fn(&Config) -> Option<Form>>,
    /// Requests it answers.
    pub iq: &'static [IqRoute],
    /// Children of a bound stream that are not stanzas.
    pub elements: &'static [ElementRoute],
    /// Takes an element of a stream that has TLS and no login yet; `None` leaves it to others.
    pub before_login: Option<BeforeLogin>,
    /// Writes what it offers into `<stream:features/>`.
    pub stream_features: Option<fn(&Engine, &Stream, &mut Writer<'_>)>,
    /// Says whether a stanza may go where it names somebody else than the sender's own account. Asked first of all, by what came and by nothing else.
    pub gate: Option<fn(&mut Engine, SessionId, &Stanza<'_>) -> Gate>,
    /// A message leaves its sender, before it is known who receives it.
    pub message_out: Option<MessageOut>,
    /// A message reaches a local account, before its sessions are chosen.
    pub message_in: Option<MessageIn>,
    /// A message to a local account found no session: the first who takes it says `Done`.
    pub undelivered: Option<MessageIn>,
    /// A message to a local account has been handed to these of its sessions; where that is nobody, what could not be delivered comes after.
    pub message_delivered: Option<fn(&mut Engine, &Incoming<'_, '_>, Reached)>,
    /// An account may have missed something that it would want to hear of at once.
    pub missed: Option<fn(&mut Engine, &Missed<'_>)>,
    /// A message that has left its sender could not be delivered, and the sender hears this error.
    pub refused: Option<fn(&mut Engine, SessionId, &Stanza<'_>, &StanzaError)>,
    /// Whether two sessions are one occupant of the room that has this address, or in which it is an occupant's; `None` where the first is not there.
    pub one_occupant: Option<OneOccupant>,
    /// A presence leaves its sender.
    pub presence_out: Option<fn(&mut Engine, SessionId, &Stanza<'_>) -> Step>,
    /// A client answers a request of the server: an iq of type `result` or `error` for the server or for its own account.
    pub answered: Option<fn(&mut Engine, SessionId, &Stanza<'_>) -> Step>,
    /// A resource was bound.
    pub bound: Option<fn(&mut Engine, SessionId)>,
    /// A resource that was not available became available (RFC 6121 §4.2).
    pub available: Option<fn(&mut Engine, SessionId)>,
    /// A resource shows itself to an address that does not hear its broadcasts (RFC 6121 §4.6).
    pub directed: Option<fn(&mut Engine, SessionId, &Jid<'_>)>,
    /// A resource begins to take messages for the bare JID: it became available, or rose from a negative priority (RFC 6121 §8.5.2.1.1).
    pub messageable: Option<fn(&mut Engine, SessionId)>,
    /// A second passed.
    pub tick: Option<fn(&mut Engine)>,
    /// A session has lost its connection and waits for its client (XEP-0198 §5).
    pub lost: Option<fn(&mut Engine, SessionId)>,
    /// A session goes on over another connection (XEP-0198 §5).
    pub resumed: Option<fn(&mut Engine, SessionId)>,
    /// A session is about to end; it can still be asked, nothing can be sent to it any more.
    pub ended: Option<fn(&mut Engine, SessionId)>,
    /// The store was opened again and lost what was not committed: what is kept of it in memory is put right.
    pub reopened: Option<fn(&mut Engine)>,
    /// The server is about to end: a last word can be said to those who are there.
    pub stopping: Option<fn(&mut Engine)>,
    /// An account was made, or has arrived with all that it has. It was not there before.
    pub account_made: Option<fn(&mut Engine, &str)>,
    /// An account has another password. Who knew the old one is out, but for the session that changed it.
    pub password_changed: Option<fn(&mut Engine, &str, Option<SessionId>)>,
    /// An account is about to be deleted.
    pub account_deleted: Option<fn(&mut Engine, &str)>,
    /// It is known what a client can, perhaps in place of what it could before. It need not be available yet.
    pub capabilities_known: Option<fn(&mut Engine, SessionId, Option<&Capabilities>)>,
    /// A contact of an account begins to see how the account is, or sees it no more (RFC 6121 §3.1.5, §3.2.2).
    pub presence_shown: Option<fn(&mut Engine, &str, &BareJid, bool)>,
    /// What an account keeps of a contact has changed, from one to the other: subscriptions, groups.
    pub contact_changed: Option<fn(&mut Engine, &str, &RosterItem, &RosterItem)>,
    /// Something happened at a node of an account.
    pub published: Option<fn(&mut Engine, &Owner, &Change<'_>)>,
    /// A client has changed documents of its account: a vCard, private XML.
    pub documents_kept: Option<fn(&mut Engine, &Owner, &[Document])>,
    /// Somebody who may see an account asks for a node that is not there: who has what belongs there may publish it now.
    pub node_missing: Option<fn(&mut Engine, &Owner, &str)>,
    /// A session's user has blocked a JID (XEP-0191): the item as the client sent it.
    pub blocked: Option<fn(&mut Engine, SessionId, &Jid<'_>, Element<'_>)>,
}

impl Feature {
    /// A row without anything.
    pub const NONE: Feature = Feature {
        spec: "",
        title: "",
        leaves_out: "",
        server_features: &[],
        account_features: &[],
        server_identities: &[],
        account_identities: &[],
        account_node: None,
        account_items: None,
        disco_node: None,
        commands: &[],
        service: None,
        wanted: None,
        server_form: None,
        iq: &[],
        elements: &[],
        before_login: None,
        stream_features: None,
        gate: None,
        message_out: None,
        message_in: None,
        undelivered: None,
        message_delivered: None,
        missed: None,
        refused: None,
        one_occupant: None,
        presence_out: None,
        answered: None,
        bound: None,
        available: None,
        directed: None,
        messageable: None,
        tick: None,
        lost: None,
        resumed: None,
        ended: None,
        reopened: None,
        stopping: None,
        account_made: None,
        password_changed: None,
        account_deleted: None,
        capabilities_known: None,
        presence_shown: None,
        contact_changed: None,
        published: None,
        documents_kept: None,
        node_missing: None,
        blocked: None,
    };
}

/// What a hook decided, with the reason that the trace prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next hook is asked.
    Continue,
    /// The stanza needs nothing more.
    Done(&'static str),
}

/// Whether a stanza goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The next gate is asked.
    Pass,
    /// It is dropped without an answer, for this reason.
    Drop(&'static str),
    /// Its sender gets this error, unless the stanza must not be answered (RFC 6120 §8.3.1).
    Refuse(StanzaError),
}

/// A hook on an element of a stream that has not logged in.
pub type BeforeLogin = fn(&mut Engine, ConnId, Checked<'_>) -> Option<Flow>;
/// A hook on a message that leaves.
pub type MessageOut = fn(&mut Engine, &mut Outgoing<'_, '_>) -> Step;
/// A hook on a message that reaches an account.
pub type MessageIn = fn(&mut Engine, &mut Incoming<'_, '_>) -> Step;

/// Tells of two sessions whether they share a nick in a room.
pub type OneOccupant = fn(&mut Engine, SessionId, SessionId, &Jid<'_>) -> Option<bool>;

/// A message that leaves its sender.
pub struct Outgoing<'s, 'a> {
    /// The message.
    pub stanza: &'s Stanza<'a>,
    /// Who sends it.
    pub session: SessionId,
    /// Whether the sender's archive has it.
    pub archived: bool,
    /// Finished XML that the sender's own resources get behind the message's last child, where they get a copy: never its recipients.
    pub append: String,
}

/// A message at the door of a local account.
pub struct Incoming<'s, 'a> {
    /// The message.
    pub stanza: &'s Stanza<'a>,
    /// Local part of the account's JID.
    pub account: &'s str,
    /// The account's id.
    pub id: crate::store::UserId,
    /// Whether the account's archive has it.
    pub archived: bool,
    /// Finished XML that every resource of this account gets behind the message's last child.
    pub append: String,
    /// It was handed to a session that ended before it acknowledged it. It was stamped then, so that what it says in this server's name is true.
    pub returned: bool,
}

/// Which sessions of an account a message was handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The one that it was addressed to (RFC 6121 §8.5.3.1).
    One(SessionId),
    /// All that take messages for the bare JID: see [`Engine::is_messageable`].
    Messageable,
    /// None of them.
    Nobody,
}

/// What a row says of a node, if it is its own.
pub type DiscoNodeOf =
    fn(&mut Engine, &Iq<'_, '_>, node: &str) -> Option<Result<Node, StanzaError>>;

/// What a row says that an account contains.
pub type ItemsOf = fn(&mut Engine, &Iq<'_, '_>) -> Result<Vec<Item>, StanzaError>;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The server itself: `to` is its domain.
    Server,
    /// The sender's own account: `to` is missing or its bare JID. Others get `service-unavailable`, as if there were nobody.
    OwnAccount,
    /// Any account: the handler decides what a stranger may see.
    AnyAccount,
}

/// Which requests a handler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Only `get`.
    Get,
    /// Only `set`.
    Set,
    /// Both.
    Both,
}

/// A request that a feature answers, by its payload.
pub struct IqRoute {
    /// Namespace of the payload.
    pub ns: &'static str,
    /// Local name of the payload.
    pub name: &'static str,
    /// Whom it is for.
    pub at: At,
    /// Which types.
    pub takes: Takes,
    /// Answers it.
    pub handle: Handle,
}

/// What answers a request.
pub type Handle = fn(&mut Engine, &Iq<'_, '_>) -> Result<Answer, StanzaError>;

/// A request at its handler.
pub struct Iq<'s, 'a> {
    /// The whole stanza.
    pub stanza: &'s Stanza<'a>,
    /// Who asks.
    pub session: SessionId,
    /// Its only child.
    pub payload: Element<'s>,
    /// Get or set.
    pub iq_type: IqType,
    /// Local part of the account that it is for: the sender's own, or another's for [`At::AnyAccount`].
    pub account: &'s str,
}

impl Iq<'_, '_> {
    /// Whether it asks that something be changed.
    pub fn is_set(&self) -> bool {
        self.iq_type == IqType::Set
    }
}

/// What a handler answers. The result of a `set` waits for the commit of what the handler wrote, without being told.
pub enum Answer {
    /// `<iq type='result'/>`
    Empty,
    /// The result with this XML inside.
    Payload(String),
    /// It could not all be done: an error with what was not, beside it (XEP-0060 §8.8.2.4). What was done is committed first.
    Partly(String, StanzaError),
    /// The handler answers later, with [`Engine::answer`].
    Later,
}

/// A child of a bound stream that is no stanza.
pub struct ElementRoute {
    /// Its namespace.
    pub ns: &'static str,
    /// Its local name.
    pub name: &'static str,
    /// Takes it.
    pub handle: fn(&mut Engine, SessionId, ConnId, Checked<'_>),
}

impl Engine {
    /// Runs the hooks of a message that leaves.
    pub(super) fn run_message_out(&mut self, outgoing: &mut Outgoing<'_, '_>) -> Step {
        self.run(|row| row.message_out, |engine, hook| hook(engine, outgoing))
    }

    /// Runs the hooks of a message that reaches an account.
    pub(super) fn run_message_in(&mut self, incoming: &mut Incoming<'_, '_>) -> Step {
        self.run(|row| row.message_in, |engine, hook| hook(engine, incoming))
    }

    /// Runs the hooks of a message that no session took.
    pub(super) fn run_undelivered(&mut self, incoming: &mut Incoming<'_, '_>) -> Step {
        self.run(|row| row.undelivered, |engine, hook| hook(engine, incoming))
    }

    /// Tells the rows whom a message has reached.
    pub(super) fn run_message_delivered(&mut self, incoming: &Incoming<'_, '_>, reached: Reached) {
        self.tell(
            |row| row.message_delivered,
            |engine, hook| hook(engine, incoming, reached),
        );
    }

    /// Tells the rows that a message was refused.
    pub(super) fn run_refused(
        &mut self,
        session: SessionId,
        stanza: &Stanza<'_>,
        error: &StanzaError,
    ) {
        self.tell(
            |row| row.refused,
            |engine, hook| hook(engine, session, stanza, error),
        );
    }

    /// Whether two sessions are one occupant of a room: see [`Feature::one_occupant`].
    pub fn are_one_occupant(
        &mut self,
        one: SessionId,
        other: SessionId,
        room: &Jid<'_>,
    ) -> Option<bool> {
        let mut rows = self.features.iter();
        rows.find_map(|row| row.one_occupant?(self, one, other, room))
    }

    /// Runs the hooks of a presence that leaves.
    pub(super) fn run_presence_out(&mut self, session: SessionId, stanza: &Stanza<'_>) -> Step {
        self.run(
            |row| row.presence_out,
            |engine, hook| hook(engine, session, stanza),
        )
    }

    /// Runs the hooks of an answer to the server.
    pub(super) fn run_answered(&mut self, session: SessionId, stanza: &Stanza<'_>) -> Step {
        self.run(
            |row| row.answered,
            |engine, hook| hook(engine, session, stanza),
        )
    }

    /// The rows that the operator wants.
    pub fn rows_on(&self) -> impl Iterator<Item = &'static Feature> + use<'_> {
        self.features
            .iter()
            .filter(|row| row.wanted.is_none_or(|wanted| wanted(&self.config)))
    }

    /// Tells every row that has the hook.
    pub fn tell<H: Copy>(
        &mut self,
        hook: impl Fn(&Feature) -> Option<H>,
        mut call: impl FnMut(&mut Engine, H),
    ) {
        for row in self.features {
            if let Some(hook) = hook(row) {
                call(self, hook);
            }
        }
    }

    fn run<H: Copy>(
        &mut self,
        hook: impl Fn(&Feature) -> Option<H>,
        mut call: impl FnMut(&mut Engine, H) -> Step,
    ) -> Step {
        for row in self.features {
            let Some(hook) = hook(row) else { continue };
            if let Step::Done(why) = call(self, hook) {
                self.trace(|| format!("{}: {why}", row.spec));
                return Step::Done(why);
            }
        }
        Step::Continue
    }

    /// Whether a JID is the server itself or has an account on it.
    pub fn is_local(&self, jid: &Jid<'_>) -> bool {
        jid.domain() == &*self.config.domain
    }
}
