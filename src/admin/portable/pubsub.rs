//! Nodes of PEP, XEP-0227 §3.9, in both directions: configuration, those who are something at them, and items.

use super::read::Item;
use super::write::{For, Part};
use super::{Piece, Place, SNUG};
use crate::engine::pubsub::config::{AFFILIATIONS, Config, name_of};
use crate::engine::pubsub::people::State;
use crate::engine::pubsub::settings::{Settings, changed};
use crate::limits;
use crate::store::{
    Account, Affiliate, Node, NodeAffiliation, NodeItem, NodeSubscription, Store, StoreError,
    UserId,
};
use crate::xml::{Element, written};
use crate::xmpp::{BareJid, Form, FormType, Jid, ns};

/// A node without its items.
#[derive(Clone, Debug)]
pub struct NodeAbout {
    name: String,
    settings: Settings,
    creator: Option<String>,
    created_ms: u64,
}

/// Somebody at a node.
#[derive(Clone, Debug)]
pub enum AtNode {
    /// What they are to it.
    Affiliation(BareJid, NodeAffiliation),
    /// A subscription: the address, and whether an owner still has to agree.
    Subscription(Jid<'static>, bool),
    /// What they published. Without a publisher it was the owner.
    Item(NodeItem),
}

/// The nodes of an account behind the number `done`, with those who are something there.
pub(super) fn nodes(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let nodes = by_number(store, account.id, done)?;
    if whom == For::Ejabberd {
        part.left_out += nodes.len() as u64;
        return Ok(None);
    }
    if nodes.is_empty() {
        return Ok(None);
    }
    let people = store.affiliates(account.id)?;
    let last = nodes.len() - 1;
    for (place, node) in nodes.iter().enumerate() {
        part.push(Place::Nodes, configuration(node));
        let those = || {
            let those = people.iter().filter(|(number, _)| *number == node.number);
            those.map(|(_, person)| person)
        };
        for person in those().filter(|person| person.affiliation != NodeAffiliation::None) {
            part.push_within(Place::NodeAffiliations, &node.name, affiliation(person));
        }
        for (jid, state) in those().flat_map(Affiliate::subscribed) {
            let xml = written(|out| {
                out.start("subscription")
                    .attr("xmlns", ns::PUBSUB_OWNER)
                    .attr("jid", &jid)
                    .attr("subscription", state.name())
                    .end();
            });
            part.push_within(Place::NodeSubscriptions, &node.name, xml);
        }
        if part.is_full() && place < last {
            return Ok(Some(u64::from(node.number) + 1));
        }
    }
    Ok(None)
}

/// The items of an account's nodes; `done` is the number of a node and a place in it: [`at_place`].
pub(super) fn items(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    if whom == For::Ejabberd {
        return Ok(None);
    }
    let (number, mut from) = (done >> PLACE_BITS, done & ((1 << PLACE_BITS) - 1));
    for node in by_number(store, account.id, number)? {
        // Another one begins.
        if u64::from(node.number) != number {
            from = 0;
        }
        for item in store.items_from(account.id, &node, from)? {
            let (place, item) = item?;
            if part.is_full() {
                return Ok(Some(at_place(&node, place)));
            }
            part.push_within(Place::NodeItems, &node.name, item_of(&item));
        }
    }
    Ok(None)
}

/// Bits of a place; nobody publishes as often.
const PLACE_BITS: u32 = 40;

fn at_place(node: &Node, place: u64) -> u64 {
    u64::from(node.number) << PLACE_BITS | place
}

/// In the order of their numbers, which is that in which they were made: one that goes meanwhile moves no other.
fn by_number(store: &Store, owner: UserId, from: u64) -> Result<Vec<Node>, StoreError> {
    let mut nodes = store.nodes(owner)?;
    nodes.retain(|node| u64::from(node.number) >= from);
    nodes.sort_by_key(|node| node.number);
    Ok(nodes)
}

fn configuration(node: &Node) -> String {
    written(|out| {
        out.start("configure")
            .attr("xmlns", ns::PUBSUB_OWNER)
            .attr("xmlns:snug", SNUG)
            .attr("node", &node.name)
            .attr("snug:creator", &node.creator)
            .attr("snug:created-ms", &node.created_ms.to_string());
        Config(&node.settings).form(FormType::Form).write(out);
        out.end();
    })
}

fn affiliation(person: &Affiliate) -> String {
    written(|out| {
        out.start("affiliation")
            .attr("xmlns", ns::PUBSUB_OWNER)
            .attr("jid", &person.jid)
            .attr("affiliation", name_of(person.affiliation))
            .end();
    })
}

fn item_of(item: &NodeItem) -> String {
    written(|out| {
        out.start("item")
            .attr("xmlns", ns::PUBSUB)
            .attr("xmlns:snug", SNUG)
            .attr("id", &item.id)
            .attr("publisher", &item.publisher)
            .attr("snug:at-ms", &item.at_ms.to_string())
            .raw(&item.xml)
            .end();
    })
}

/// Reads `<configure/>`.
pub(super) fn read_node(root: &Element<'_>) -> Result<Item, String> {
    let name = root.attr("node").unwrap_or_default().into_owned();
    check(&name, "the name of a node")?;
    let form = Form::of(root)
        .map_err(|_| format!("the configuration of the node {name:?} is no form of XEP-0004"))?;
    let mut settings = Settings::new();
    for field in form.into_iter().flat_map(|form| form.fields) {
        // XEP-0227 §3.9.1: what is not known is passed over, and what is not understood of who may read closes the node.
        let is_access = field.var == "pubsub#access_model";
        let one = |field| Form::new(FormType::Submit).field(field);
        match changed(&settings, &one(field), false) {
            Ok(with) => settings = with,
            Err(_) if is_access => {
                settings.push(("access_model".to_owned(), "whitelist".to_owned()));
            }
            Err(_) => {}
        }
    }
    Ok(Item::Node(NodeAbout {
        name,
        settings,
        creator: own_attr(root, "creator"),
        created_ms: own_number(root, "created-ms")?,
    }))
}

/// Reads what stands within a node.
pub(super) fn read_at_node(piece: &Piece, root: &Element<'_>) -> Result<Item, String> {
    check(&piece.node, "the name of a node")?;
    let address = || {
        let text = root.attr("jid").unwrap_or_default();
        let jid = Jid::parse(&text).map(Jid::into_owned);
        jid.map_err(|error| {
            format!(
                "at the node {:?}: {text:?} is no address: {error}",
                piece.node
            )
        })
    };
    let at = match piece.place {
        Place::NodeAffiliations => {
            let name = root.attr("affiliation").unwrap_or_default();
            let known = AFFILIATIONS.iter().find(|(_, known)| *known == name);
            match known {
                Some((affiliation, _)) => AtNode::Affiliation(address()?.to_bare(), *affiliation),
                None => {
                    return Ok(Item::Unknown(format!(
                        "the affiliation {name:?} at a node of PEP"
                    )));
                }
            }
        }
        Place::NodeSubscriptions => {
            match State::named(&root.attr("subscription").unwrap_or_default()) {
                Some(State::Subscribed) => AtNode::Subscription(address()?, false),
                Some(State::Pending) => AtNode::Subscription(address()?, true),
                _ => {
                    return Ok(Item::Unknown(
                        "a subscription to a node of PEP that does not hold".to_owned(),
                    ));
                }
            }
        }
        _ => AtNode::Item(read_item(root)?),
    };
    Ok(Item::AtNode(piece.node.clone(), at))
}

fn read_item(root: &Element<'_>) -> Result<NodeItem, String> {
    let id = root.attr("id").unwrap_or_default().into_owned();
    check(&id, "the id of an item")?;
    let publisher = match root.attr("publisher") {
        None => String::new(),
        Some(text) => {
            let jid = Jid::parse(&text)
                .map_err(|error| format!("the publisher {text:?} is no address: {error}"))?;
            jid.bare().to_owned()
        }
    };
    let mut children = root.children();
    let xml = children.next().map(|child| child.standalone());
    if children.next().is_some() {
        return Err(format!("the item {id:?} has more than one payload"));
    }
    let xml = xml.unwrap_or_default();
    if xml.len() > limits::ITEM_BYTES {
        return Err(format!(
            "the item {id:?} is longer than {} KiB",
            limits::ITEM_BYTES / 1024
        ));
    }
    Ok(NodeItem {
        id,
        publisher,
        at_ms: own_number(root, "at-ms")?,
        xml,
    })
}

fn check(text: &str, what: &str) -> Result<(), String> {
    match text.is_empty() || text.len() > limits::NODE_TEXT_BYTES {
        true => Err(format!(
            "{what} must have 1 to {} bytes, and {text:?} has {}",
            limits::NODE_TEXT_BYTES,
            text.len()
        )),
        false => Ok(()),
    }
}

/// An attribute of [`SNUG`]: nothing else has prefixed ones here.
fn own_attr(element: &Element<'_>, name: &str) -> Option<String> {
    let local = |qname: &str| {
        qname
            .split_once(':')
            .is_some_and(|(_, local)| local == name)
    };
    let mut attrs = element.attrs().filter(|(qname, _)| local(qname));
    attrs.next().map(|(_, value)| value.into_owned())
}

fn own_number(element: &Element<'_>, name: &str) -> Result<u64, String> {
    own_attr(element, name).map_or(Ok(0), |text| {
        text.parse()
            .map_err(|_| format!("{name} is not a number: {text:?}"))
    })
}

/// Bytes that an item counts for.
pub(super) fn bytes_of(item: &NodeItem) -> u64 {
    (item.xml.len() + item.id.len()) as u64
}

/// The name of the node that is spoken of, where it counts as one.
pub(super) fn node_of(item: &Item) -> Option<&str> {
    match item {
        Item::Node(about) => Some(&about.name),
        Item::AtNode(node, _) => Some(node),
        _ => None,
    }
}

/// Keeps how a node is configured; one above the limit is passed over.
pub(super) fn keep_node(
    store: &Store,
    user: UserId,
    jid: &BareJid,
    about: NodeAbout,
) -> Result<(), StoreError> {
    let Some(mut node) = made(store, user, jid, &about.name)? else {
        return Ok(());
    };
    node.settings = about.settings;
    node.creator = about.creator.unwrap_or_else(|| jid.as_str().to_owned());
    node.created_ms = about.created_ms;
    store.put_node(user, &node)
}

/// Keeps somebody or something at a node, which is made where it is not there. What is above the limits is passed over: it was counted before.
pub(super) fn keep_at_node(
    store: &Store,
    user: UserId,
    jid: &BareJid,
    name: &str,
    at: AtNode,
) -> Result<(), StoreError> {
    let Some(mut node) = made(store, user, jid, name)? else {
        return Ok(());
    };
    let person = |bare: &str| -> Result<Affiliate, StoreError> {
        Ok(store
            .affiliate(user, node.number, bare)?
            .unwrap_or_else(|| Affiliate {
                jid: bare.to_owned(),
                affiliation: NodeAffiliation::None,
                subscriptions: Vec::new(),
            }))
    };
    match at {
        AtNode::Affiliation(bare, affiliation) => {
            let mut person = person(bare.as_str())?;
            person.affiliation = affiliation;
            store.put_affiliate(user, node.number, &person)
        }
        AtNode::Subscription(full, pending) => {
            let mut person = person(full.bare())?;
            let resource = full.resource().unwrap_or_default().to_owned();
            person.subscriptions.retain(|one| one.resource != resource);
            person
                .subscriptions
                .push(NodeSubscription { resource, pending });
            store.put_affiliate(user, node.number, &person)
        }
        AtNode::Item(mut item) => {
            if item.publisher.is_empty() {
                jid.as_str().clone_into(&mut item.publisher);
            }
            let kept: u64 = store.nodes(user)?.iter().map(|node| node.bytes).sum();
            if kept + bytes_of(&item) > limits::ITEMS_BYTES_PER_OWNER {
                return Ok(());
            }
            store.put_item(user, &mut node, &item)?;
            store.trim_items(user, &mut node, limits::ITEMS_PER_NODE)?;
            Ok(())
        }
    }
}

fn made(
    store: &Store,
    user: UserId,
    jid: &BareJid,
    name: &str,
) -> Result<Option<Node>, StoreError> {
    let nodes = store.nodes(user)?;
    if nodes.len() >= limits::NODES_PER_OWNER && nodes.iter().all(|node| node.name != name) {
        return Ok(None);
    }
    let number = nodes.iter().map(|node| node.number).max().unwrap_or(0) + 1;
    if let Some(node) = nodes.into_iter().find(|node| node.name == name) {
        return Ok(Some(node));
    }
    let node = Node {
        number,
        ..Node::new(name, jid.as_str(), 0)
    };
    store.create_node(user, &node)?;
    Ok(Some(node))
}

/// The account is complete: of nodes that keep fewer items than came, the oldest go.
pub fn settle(store: &Store, user: UserId) -> Result<(), StoreError> {
    for mut node in store.nodes(user)? {
        let config = Config(&node.settings);
        let keep = match config.persists() {
            true => config.max_items(),
            false => 0,
        };
        store.trim_items(user, &mut node, keep)?;
    }
    Ok(())
}
