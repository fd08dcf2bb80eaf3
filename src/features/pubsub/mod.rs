//! XEP-0163: Personal Eventing Protocol, and of XEP-0060 what an account offers: every account is the owner of nodes (the core is `engine/pubsub`).
//!
//! Who may not see an account's presence and asks for a node gets the answer of an account that is not there, unless the node is one of those that
//! strangers may have: open, by authorisation, or because they stand in its list (HOLES 19). XEP-0060 would have them told that they lack a presence
//! subscription, which tells them that there is somebody.
//!
//! Left out, and refused as XEP-0060 says: options of subscriptions and several of one address (§6.3, §6.1.6: a client says with `+notify` what it
//! wants to hear of), several items in one request (§7.1.1), collections (XEP-0248). Not done: redirection of who looks for a node that was deleted
//! (§6.1.3.11), and the address of the publishing resource in events (XEP-0163 §4.3.1), which no client looks at.

mod authorize;
mod disco;
mod manage;
mod owner;
mod pending;
mod publish;
mod retrieve;
mod subscribe;

use crate::engine::Engine;
use crate::engine::caps::Capabilities;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::engine::pubsub::access::Relation;
use crate::engine::pubsub::config::AccessModel;
use crate::engine::pubsub::error::{nodeid_required, unsupported};
use crate::engine::pubsub::{Node, Owner};
use crate::engine::session::SessionId;
use crate::store::RosterItem;
use crate::xml::Element;
use crate::xmpp::{BareJid, Condition, Jid, StanzaError, ns};

/// The row of XEP-0060.
pub const PUBSUB: Feature = Feature {
    spec: "XEP-0060",
    title: "Publish-Subscribe",
    leaves_out: "services, subscription options and ids, several items in one request, collections",
    account_features: &[
        ns::PUBSUB,
        "http://jabber.org/protocol/pubsub#access-authorize",
        "http://jabber.org/protocol/pubsub#access-open",
        "http://jabber.org/protocol/pubsub#access-presence",
        "http://jabber.org/protocol/pubsub#access-roster",
        "http://jabber.org/protocol/pubsub#access-whitelist",
        "http://jabber.org/protocol/pubsub#auto-create",
        "http://jabber.org/protocol/pubsub#auto-subscribe",
        "http://jabber.org/protocol/pubsub#config-node",
        "http://jabber.org/protocol/pubsub#config-node-max",
        "http://jabber.org/protocol/pubsub#create-and-configure",
        "http://jabber.org/protocol/pubsub#create-nodes",
        "http://jabber.org/protocol/pubsub#delete-items",
        "http://jabber.org/protocol/pubsub#delete-nodes",
        "http://jabber.org/protocol/pubsub#filtered-notifications",
        "http://jabber.org/protocol/pubsub#get-pending",
        "http://jabber.org/protocol/pubsub#instant-nodes",
        "http://jabber.org/protocol/pubsub#item-ids",
        "http://jabber.org/protocol/pubsub#last-published",
        "http://jabber.org/protocol/pubsub#manage-subscriptions",
        "http://jabber.org/protocol/pubsub#member-affiliation",
        "http://jabber.org/protocol/pubsub#meta-data",
        "http://jabber.org/protocol/pubsub#modify-affiliations",
        "http://jabber.org/protocol/pubsub#multi-items",
        "http://jabber.org/protocol/pubsub#outcast-affiliation",
        "http://jabber.org/protocol/pubsub#persistent-items",
        "http://jabber.org/protocol/pubsub#presence-notifications",
        "http://jabber.org/protocol/pubsub#presence-subscribe",
        "http://jabber.org/protocol/pubsub#publish",
        "http://jabber.org/protocol/pubsub#publish-node-full",
        "http://jabber.org/protocol/pubsub#publish-only-affiliation",
        "http://jabber.org/protocol/pubsub#publish-options",
        "http://jabber.org/protocol/pubsub#publisher-affiliation",
        "http://jabber.org/protocol/pubsub#pubsub-on-a-jid",
        "http://jabber.org/protocol/pubsub#purge-nodes",
        "http://jabber.org/protocol/pubsub#retract-items",
        "http://jabber.org/protocol/pubsub#retrieve-affiliations",
        "http://jabber.org/protocol/pubsub#retrieve-default",
        "http://jabber.org/protocol/pubsub#retrieve-items",
        "http://jabber.org/protocol/pubsub#retrieve-subscriptions",
        "http://jabber.org/protocol/pubsub#rsm",
        "http://jabber.org/protocol/pubsub#subscribe",
        "http://jabber.org/protocol/pubsub#subscription-notifications",
        ns::COMMANDS,
    ],
    iq: &[
        IqRoute {
            ns: ns::PUBSUB,
            name: "pubsub",
            at: At::AnyAccount,
            takes: Takes::Both,
            handle: |engine, iq| request(engine, iq, ns::PUBSUB),
        },
        IqRoute {
            ns: ns::PUBSUB_OWNER,
            name: "pubsub",
            at: At::AnyAccount,
            takes: Takes::Both,
            handle: |engine, iq| request(engine, iq, ns::PUBSUB_OWNER),
        },
        // §8.7: of one's own account; nobody else learns whether there is one.
        IqRoute {
            ns: ns::COMMANDS,
            name: "command",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: pending::command,
        },
    ],
    account_node: Some(disco::node),
    account_items: Some(disco::nodes),
    message_out: Some(authorize::answered),
    ..Feature::NONE
};

/// The row of XEP-0163.
pub const PEP: Feature = Feature {
    spec: "XEP-0163",
    title: "Personal Eventing Protocol",
    leaves_out: "the publishing resource in events (§4.3.1)",
    account_identities: &[("pubsub", "pep")],
    available: Some(|engine, session| engine.send_last_items(session, None)),
    capabilities_known: Some(more_is_wanted),
    presence_shown: Some(shown),
    contact_changed: Some(changed),
    directed: Some(directed),
    tick: Some(Engine::pay_all_owed),
    ended: Some(Engine::forget_owed),
    ..Feature::NONE
};

/// The row of XEP-0223: private data is a node with a configuration that the publisher asks for. Its clients look for PEP at the server (§6).
pub const PRIVATE_DATA: Feature = Feature {
    spec: "XEP-0223",
    title: "Persistent Storage of Private Data via PubSub",
    server_identities: &[("pubsub", "pep")],
    server_features: &["http://jabber.org/protocol/pubsub#publish-options"],
    ..Feature::NONE
};

/// The row of XEP-0172: a nickname is an item like any other.
pub const NICKNAME: Feature = Feature {
    spec: "XEP-0172",
    title: "User Nickname",
    ..Feature::NONE
};

/// A request of whichever kind, on its way.
struct Request<'s, 'a> {
    iq: &'s Iq<'s, 'a>,
    owner: Owner,
    who: Relation,
    /// What is asked: the first child of `<pubsub/>`.
    what: Element<'s>,
}

impl Request<'_, '_> {
    /// The node that it names.
    fn node(&self) -> Result<String, StanzaError> {
        let node = self.what.attr("node").filter(|node| !node.is_empty());
        node.map(|node| node.into_owned())
            .ok_or_else(nodeid_required)
    }

    /// Another child of `<pubsub/>`.
    fn beside(&self, name: &str) -> Option<Element<'_>> {
        self.iq.payload.child(ns::PUBSUB, name)
    }

    /// Only an owner of the nodes may do it (XEP-0060 §8).
    fn check_owner(&self) -> Result<(), StanzaError> {
        match self.who.is_owner {
            true => Ok(()),
            false => Err(Condition::Forbidden.into()),
        }
    }

    fn check_type(&self, is_set: bool) -> Result<(), StanzaError> {
        match self.iq.is_set() == is_set {
            true => Ok(()),
            false => Err(Condition::BadRequest.into()),
        }
    }
}

/// XEP-0060: what is for the nodes of an account.
fn request(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    space: &'static str,
) -> Result<Answer, StanzaError> {
    let Some(owner) = engine.account_owner(iq.account)? else {
        return Err(Condition::ServiceUnavailable.into());
    };
    let who = engine.relation(&owner, &Jid::from(&iq.stanza.from), true)?;
    let mut children = iq.payload.children().filter(|child| child.is_in(space));
    let Some(what) = children.next() else {
        return Err(stranger_or(&who, Condition::BadRequest.into()));
    };
    let hidden = is_hidden(engine, &owner, &who, what.attr("node").as_deref())?;
    let request = Request {
        iq,
        owner,
        who,
        what,
    };
    // A stranger is refused before anything is done: what is done for it would be the only difference.
    if hidden {
        return Err(Condition::ServiceUnavailable.into());
    }
    match (space, what.name()) {
        (ns::PUBSUB, "publish") => publish::publish(engine, &request),
        (ns::PUBSUB, "retract") => publish::retract(engine, &request),
        (ns::PUBSUB, "items") => retrieve::items(engine, &request),
        (ns::PUBSUB, "subscribe") => subscribe::subscribe(engine, &request),
        (ns::PUBSUB, "unsubscribe") => subscribe::unsubscribe(engine, &request),
        (ns::PUBSUB, "subscriptions") => subscribe::subscriptions(engine, &request),
        (ns::PUBSUB, "affiliations") => subscribe::affiliations(engine, &request),
        (ns::PUBSUB, "create") => manage::create(engine, &request),
        (ns::PUBSUB_OWNER, "configure") => manage::configure(engine, &request),
        (ns::PUBSUB_OWNER, "default") => manage::default(engine, &request),
        (ns::PUBSUB_OWNER, "delete") => manage::delete(engine, &request),
        (ns::PUBSUB_OWNER, "purge") => manage::purge(engine, &request),
        (ns::PUBSUB_OWNER, "subscriptions") => owner::subscriptions(engine, &request),
        (ns::PUBSUB_OWNER, "affiliations") => owner::affiliations(engine, &request),
        // §6.3, §6.4.
        (ns::PUBSUB, "options" | "default") => Err(unsupported("subscription-options")),
        _ => Err(Condition::BadRequest.into()),
    }
}

/// Whether somebody gets no other answer than if there were no such account. Without a node a stranger hears of those that it has something to do with.
fn is_hidden(
    engine: &mut Engine,
    owner: &Owner,
    who: &Relation,
    node: Option<&str>,
) -> Result<bool, StanzaError> {
    if who.sees || who.is_owner {
        return Ok(false);
    }
    let is_known = |node: &Node| node.person(&who.bare).is_some();
    let is_for_strangers = |node: &Node| {
        let access = node.config().access();
        is_known(node) || matches!(access, AccessModel::Open | AccessModel::Authorize)
    };
    Ok(match node {
        Some(name) => !engine.node_of(owner, name)?.is_some_and(is_for_strangers),
        None => !engine.nodes_of(owner)?.any(is_known),
    })
}

fn stranger_or(who: &Relation, error: StanzaError) -> StanzaError {
    match who.sees || who.is_owner {
        true => error,
        false => Condition::ServiceUnavailable.into(),
    }
}

/// The node of a request that only reads: where it is not there, who has what belongs there may still bring it.
fn wanted_node<'e>(
    engine: &'e mut Engine,
    owner: &Owner,
    name: &str,
) -> Result<&'e Node, StanzaError> {
    if engine.node_of(owner, name)?.is_none() {
        engine.tell(
            |row| row.node_missing,
            |engine, hook| hook(engine, owner, name),
        );
    }
    engine
        .node_of(owner, name)?
        .ok_or(Condition::ItemNotFound.into())
}

/// XEP-0163 §4.3.4: a client that is there already says what it wants to hear of, or wants to hear of more.
fn more_is_wanted(engine: &mut Engine, session: SessionId, before: Option<&Capabilities>) {
    engine.send_last_items(session, before);
}

/// XEP-0060 §9.1.3.
fn directed(engine: &mut Engine, session: SessionId, to: &Jid<'_>) {
    if to.is_bare() {
        engine.send_last_items_to_sharer(session, &to.to_bare());
    }
}

/// XEP-0163 §4.3.4, §7.1.
fn shown(engine: &mut Engine, name: &str, contact: &BareJid, sees: bool) {
    if sees {
        engine.send_last_items_to_contact(name, contact);
    }
}

/// XEP-0163 §7.1.
fn changed(engine: &mut Engine, name: &str, before: &RosterItem, now: &RosterItem) {
    if let Err(error) = engine.recheck_contact(name, before, now) {
        log::error!("who may read the nodes of {name:?} could not be looked at: {error}");
    }
}
