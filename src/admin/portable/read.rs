//! Into the store: what a piece says, checked; and how it is kept.

use super::archive::{self, Archived};
use super::pubsub::{self, AtNode, NodeAbout};
use super::rooms::{self, RoomFact};
use super::{BLOCKING, PRIVACY, Piece, Place, ROOM, SCRAM, SNUG};
use crate::auth::{Hash, ScramKeys};
use crate::engine::directory::entry_of;
use crate::engine::preferences::Preferences;
use crate::limits;
use crate::store::{
    Affiliated, Document, DocumentKind, RosterItem, Store, StoreError, Subscription, UserId,
};
use crate::xml::{self, Element, Splice, splice};
use crate::xmpp::{BareJid, Jid, ns, time};
use std::collections::BTreeSet;

/// What a piece says.
#[derive(Clone, Debug)]
pub enum Item {
    /// XEP-0227 §3.3.
    Keys(Hash, ScramKeys),
    /// What is snug's own about the account itself.
    Facts(Facts),
    /// A contact. What stands elsewhere of it is not in here.
    Contact(Contact),
    /// Somebody's subscription request, as it is shown to the user.
    Request(BareJid, String),
    /// A vCard, a client's private data.
    Document(Document),
    /// A message that waits, and when it came: milliseconds since 1970, 0 where it does not say.
    Message(u64, String),
    /// Whom the account blocks.
    Blocked(Vec<Jid<'static>>),
    /// A node of PEP.
    Node(NodeAbout),
    /// Somebody or something at the node of this name.
    AtNode(String, AtNode),
    /// A message of the archive.
    Archived(Archived),
    /// What a room is.
    Room(RoomFact),
    /// Somebody who is something in a room.
    Person(Affiliated),
    /// Nothing that snug keeps; what it is, for the operator.
    Unknown(String),
}

/// What XEP-0227 has no place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Milliseconds since 1970.
    pub created_ms: Option<u64>,
    /// Milliseconds since 1970 of the last logout; 0: never logged in.
    pub last_seen_ms: u64,
    /// May administer the server.
    pub admin: bool,
    /// May not log in.
    pub locked: bool,
}

/// A contact, out of the roster or out of snug's own.
#[derive(Clone, Debug)]
pub struct Contact {
    item: RosterItem,
    place: Place,
}

/// What an account has so far: its limits, seen before anything is written.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Contacts that clients see.
    pub contacts: u64,
    /// Messages that wait.
    pub messages: u64,
    /// Messages for which there was no room.
    pub messages_over: u64,
    /// Whether there are keys for SHA-1 and SHA-256.
    pub keys: [bool; 2],
    /// Whether it may administer the server.
    pub admin: bool,
    /// Items of nodes of PEP.
    pub items: u64,
    /// Nodes and items for which there was no room.
    pub items_over: u64,
    /// Messages in the archive.
    pub archived: u64,
    /// People who are something in a room.
    pub people: u64,
    nodes: BTreeSet<String>,
    item_bytes: u64,
    requests: BTreeSet<BareJid>,
    listed: BTreeSet<BareJid>,
    message_bytes: u64,
    document_bytes: usize,
}

/// Reads a piece. The error is a sentence about it.
pub fn read(piece: &Piece) -> Result<Item, String> {
    if piece.xml.len() > limits::STORE_RECORD_BYTES {
        return Err(format!(
            "it is longer than {} KiB",
            limits::STORE_RECORD_BYTES / 1024
        ));
    }
    let document =
        xml::Document::parse(piece.xml.clone()).map_err(|error| said(error).to_owned())?;
    let root = document.root();
    let (ns, name) = (root.ns(), root.name());
    match (piece.place, &*ns, name) {
        (Place::User, SCRAM, "scram-credentials") => credentials(&root),
        (Place::User, SNUG, "account") => facts(&root),
        (Place::User, SNUG, "document") => own_document(&root),
        (Place::User, ns::CLIENT, "presence") => request(&document),
        (Place::User, ns::VCARD, "vCard") => Ok(Item::Document(kept(DocumentKind::Vcard, &root))),
        (Place::User, PRIVACY, "query") => privacy_list(&root),
        (Place::Roster, ns::ROSTER, "item") | (Place::Contacts, SNUG, "contact") => {
            contact(&root, piece.place).map(Item::Contact)
        }
        (Place::Private, _, _) => private(&root),
        (Place::Offline, ns::CLIENT, "message") => message(&document),
        (Place::Blocked, BLOCKING, "item") => {
            Ok(Item::Blocked(vec![jid_of(&root, "jid")?.into_owned()]))
        }
        (Place::Nodes, ns::PUBSUB_OWNER, "configure") => pubsub::read_node(&root),
        (Place::NodeAffiliations, ns::PUBSUB_OWNER, "affiliation")
        | (Place::NodeSubscriptions, ns::PUBSUB_OWNER, "subscription")
        | (Place::NodeItems, ns::PUBSUB, "item") => pubsub::read_at_node(piece, &root),
        (Place::Archive, ns::ARCHIVE, "result") => archive::read(&root),
        (Place::Room, ROOM, _) | (Place::Room, ns::VCARD, "vCard") => rooms::read(&root),
        (Place::People, ns::MUC_ADMIN, "item") => rooms::read_person(&root),
        _ => Ok(Item::Unknown(format!("<{name} xmlns='{ns}'/>"))),
    }
}

/// What is wrong with XML, in words.
pub fn said(error: xml::XmlError) -> &'static str {
    use xml::XmlError;
    match error {
        XmlError::NotWellFormed => "it is not well-formed XML",
        XmlError::Restricted => {
            "it has a comment, a processing instruction, a DTD or an entity that XMPP does not allow"
        }
        XmlError::TooLong => "it is too long",
        XmlError::TooManyElements => "it has too many elements",
        XmlError::TooDeep => "it is nested too deep",
        XmlError::TooManyAttributes => "an element has too many attributes",
        XmlError::BadNamespacePrefix => {
            "it uses a prefix that is not declared, or a namespace that not every client can read"
        }
        XmlError::BadEncoding => "it is not UTF-8",
    }
}

/// XEP-0227 §3.3.
fn credentials(root: &Element<'_>) -> Result<Item, String> {
    let mechanism = root.attr("mechanism").unwrap_or_default();
    let hash = match &*mechanism {
        "SCRAM-SHA-1" => Hash::Sha1,
        "SCRAM-SHA-256" => Hash::Sha256,
        _ => return Ok(Item::Unknown(format!("keys for {mechanism}"))),
    };
    let text = |name| {
        let child = root.child(SCRAM, name);
        let text = child.map(|child| child.text().trim().to_owned());
        text.ok_or_else(|| format!("the keys for {mechanism} have no <{name}/>"))
    };
    let bytes = |name| {
        crate::auth::decode(&text(name)?)
            .map_err(|_| format!("the <{name}/> of the keys for {mechanism} is not base64"))
    };
    let mut keys = ScramKeys {
        // A client computes for as long as it is told here.
        iterations: text("iter-count")?
            .parse()
            .ok()
            .filter(|count| (1..=limits::MOVED_ITERATIONS).contains(count))
            .ok_or_else(|| {
                format!(
                    "the <iter-count/> of the keys for {mechanism} is not a number from 1 to {}",
                    limits::MOVED_ITERATIONS
                )
            })?,
        salt: bytes("salt")?,
        stored_key: bytes("stored-key")?,
        server_key: bytes("server-key")?,
    };
    // ejabberd's files have all of it in base64 twice.
    if keys.stored_key.len() == hash.bytes().div_ceil(3) * 4 {
        let once = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok()?;
            crate::auth::decode(text).ok()
        };
        let all = (
            once(&keys.salt),
            once(&keys.stored_key),
            once(&keys.server_key),
        );
        if let (Some(salt), Some(stored_key), Some(server_key)) = all {
            (keys.salt, keys.stored_key, keys.server_key) = (salt, stored_key, server_key);
        }
    }
    if keys.salt.is_empty() || keys.salt.len() > limits::MOVED_SALT_BYTES {
        return Err(format!(
            "the salt of the keys for {mechanism} must have 1 to {} bytes",
            limits::MOVED_SALT_BYTES
        ));
    }
    match keys.hash() == Some(hash) {
        true => Ok(Item::Keys(hash, keys)),
        false => Err(format!(
            "the keys for {mechanism} must be {} bytes long",
            hash.bytes()
        )),
    }
}

fn facts(root: &Element<'_>) -> Result<Item, String> {
    let number = |name: &str| match root.attr(name) {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| format!("{name} is not a number")),
    };
    Ok(Item::Facts(Facts {
        created_ms: number("created-ms")?,
        last_seen_ms: number("last-seen-ms")?.unwrap_or(0),
        admin: is_true(root, "admin"),
        locked: is_true(root, "locked"),
    }))
}

fn own_document(root: &Element<'_>) -> Result<Item, String> {
    let kind = match root.attr("kind").as_deref() {
        Some("vcard4") => DocumentKind::Vcard4,
        Some("farewell") => DocumentKind::Farewell,
        Some("archive-preferences") => DocumentKind::ArchivePreferences,
        other => return Ok(Item::Unknown(format!("a document of kind {other:?}"))),
    };
    let mut children = root.children();
    match (children.next(), children.next()) {
        (Some(child), None) if kind == DocumentKind::ArchivePreferences => {
            Preferences::read(&child)
                .map_err(|_| "the preferences of the archive are none of XEP-0441".to_owned())?;
            Ok(Item::Document(kept(kind, &child)))
        }
        (Some(child), None) => Ok(Item::Document(kept(kind, &child))),
        _ => Err("a document must have one element".to_owned()),
    }
}

fn kept(kind: DocumentKind, element: &Element<'_>) -> Document {
    Document {
        kind,
        name: String::new(),
        xml: element.standalone(),
    }
}

/// RFC 6121 §2.1.2, and the same as snug's own.
fn contact(root: &Element<'_>, place: Place) -> Result<Contact, String> {
    let mut item = RosterItem::new(bare_of(root, "jid")?);
    let about = |what: &str| format!("the contact {}: {what}", item.jid);
    item.subscription = match root.attr("subscription").as_deref() {
        None | Some("none") => Subscription::None,
        Some("to") => Subscription::To,
        Some("from") => Subscription::From,
        Some("both") => Subscription::Both,
        Some(other) => return Err(about(&format!("{other:?} is no subscription"))),
    };
    let fits = |text: &str| match text.len() <= limits::ROSTER_NAME_BYTES {
        true => Ok(text.to_owned()),
        false => Err(about(&format!(
            "a name of it is longer than {} bytes",
            limits::ROSTER_NAME_BYTES
        ))),
    };
    let (mut name, mut groups) = (None, Vec::new());
    if let Some(text) = root.attr("name") {
        name = Some(fits(&text)?);
    }
    for group in root.children().filter(|child| child.name() == "group") {
        let text = fits(&group.text())?;
        if !groups.contains(&text) {
            groups.push(text);
        }
    }
    if groups.len() > limits::GROUPS_PER_CONTACT {
        return Err(about(&format!(
            "it is in more than {} groups",
            limits::GROUPS_PER_CONTACT
        )));
    }
    item.ask = root.attr("ask").as_deref() == Some("subscribe");
    item.approved = is_true(root, "approved");
    item.apart = is_true(root, "apart");
    item.listed = !is_true(root, "unlisted");
    (item.name, item.groups) = (name, groups);
    Ok(Contact { item, place })
}

/// XEP-0227 §3.8.
fn request(document: &xml::Document) -> Result<Item, String> {
    let root = document.root();
    if root.attr("type").as_deref() != Some("subscribe") {
        return Ok(Item::Unknown("presence that asks for nothing".to_owned()));
    }
    let from = bare_of(&root, "from")?;
    let stanza = bared(document, Some(&from));
    match stanza.len() <= limits::REQUEST_BYTES {
        true => Ok(Item::Request(from, stanza)),
        false => Ok(Item::Unknown(format!(
            "a subscription request of more than {} KiB",
            limits::REQUEST_BYTES / 1024
        ))),
    }
}

/// XEP-0049 §2.3.
fn private(root: &Element<'_>) -> Result<Item, String> {
    let ns = root.ns();
    if ns.is_empty() || ns == ns::PRIVATE {
        return Ok(Item::Unknown(
            "private data without a namespace of its own".to_owned(),
        ));
    }
    Ok(Item::Document(Document {
        name: format!("{ns} {}", root.name()),
        ..kept(DocumentKind::Private, root)
    }))
}

/// XEP-0227 §3.5; when it came is what the last XEP-0203 says that it has.
fn message(document: &xml::Document) -> Result<Item, String> {
    let root = document.root();
    for name in ["from", "to"] {
        if let Some(jid) = root.attr(name) {
            Jid::parse(&jid).map_err(|error| {
                format!("a waiting message has no valid address in {name}: {error}")
            })?;
        }
    }
    let stamps = root.children().filter(|child| child.is(ns::DELAY, "delay"));
    let stamp = stamps.last().and_then(|delay| delay.attr("stamp"));
    let at_ms = stamp.and_then(|stamp| time::parse(&stamp)).unwrap_or(0);
    Ok(Item::Message(at_ms, bared(document, None)))
}

/// A stanza as the store has it: without the namespace that every stream declares; from the bare JID, if one is given and it is not so already.
fn bared(document: &xml::Document, from: Option<&BareJid>) -> String {
    let root = document.root();
    let from = from
        .map(BareJid::as_str)
        .filter(|from| root.attr("from").as_deref() != Some(*from));
    let around = xml::Scope::of_default(ns::CLIENT);
    let Ok(within) = xml::Document::parse_within(document.text().to_owned(), around) else {
        return document.text().to_owned();
    };
    let mut out = Vec::with_capacity(document.text().len());
    let how = Splice {
        from,
        ..Splice::default()
    };
    splice(&mut out, within.checked(), &how);
    String::from_utf8(out).expect("a checked stanza is text")
}

/// XEP-0227 §3.7: the addresses that the default list denies everything. What else privacy lists can say, snug has no word for.
fn privacy_list(root: &Element<'_>) -> Result<Item, String> {
    let default = root.child(PRIVACY, "default");
    let name = default.and_then(|default| default.attr("name"));
    let Some(list) = root
        .children()
        .find(|child| child.is(PRIVACY, "list") && name.is_some() && child.attr("name") == name)
    else {
        return Ok(Item::Unknown(
            "privacy lists of which none is in force".to_owned(),
        ));
    };
    let denied = list.children().filter(|item| {
        item.attr("type").as_deref() == Some("jid")
            && item.attr("action").as_deref() == Some("deny")
            && item.children().next().is_none()
    });
    let jids = denied.map(|item| Ok(jid_of(&item, "value")?.into_owned()));
    jids.collect::<Result<_, String>>().map(Item::Blocked)
}

fn is_true(element: &Element<'_>, name: &str) -> bool {
    matches!(element.attr(name).as_deref(), Some("true" | "1"))
}

fn jid_of(element: &Element<'_>, name: &str) -> Result<Jid<'static>, String> {
    let text = element
        .attr(name)
        .ok_or_else(|| format!("an element <{}/> has no {name}", element.name()))?;
    Jid::parse(&text)
        .map(Jid::into_owned)
        .map_err(|error| format!("{text:?} is no address: {error}"))
}

fn bare_of(element: &Element<'_>, name: &str) -> Result<BareJid, String> {
    Ok(jid_of(element, name)?.to_bare())
}

impl Tally {
    /// Counts what comes, and says what there is too much of.
    pub fn count(&mut self, item: &Item) -> Result<(), String> {
        match item {
            Item::Contact(Contact { item, place }) => {
                if *place == Place::Roster && !self.listed.insert(item.jid.clone()) {
                    return Err(format!("the contact {} stands there twice", item.jid));
                }
                self.contacts = self.listed.len() as u64;
                if self.listed.len() > limits::CONTACTS {
                    return Err(format!(
                        "there are more than {} contacts: remove some",
                        limits::CONTACTS
                    ));
                }
            }
            Item::Request(jid, _) => {
                self.requests.insert(jid.clone());
                if self.requests.len() > limits::REQUESTS {
                    return Err(format!(
                        "more than {} subscription requests wait: remove some",
                        limits::REQUESTS
                    ));
                }
            }
            Item::Document(document) => {
                if document.kind == DocumentKind::Farewell {
                    return Ok(());
                }
                self.document_bytes +=
                    document.xml.len() + document.name.len() + limits::DOCUMENT_OWN_BYTES;
                if self.document_bytes > limits::DOCUMENTS_BYTES {
                    return Err(format!(
                        "vCard and private data are more than {} KiB together: remove some",
                        limits::DOCUMENTS_BYTES / 1024
                    ));
                }
            }
            Item::Message(_, xml) => {
                let bytes = self.message_bytes + xml.len() as u64;
                if self.messages >= limits::OFFLINE_MESSAGES || bytes > limits::OFFLINE_BYTES {
                    self.messages_over += 1;
                } else {
                    (self.messages, self.message_bytes) = (self.messages + 1, bytes);
                }
            }
            Item::Keys(hash, _) => {
                let had = std::mem::replace(&mut self.keys[*hash as usize], true);
                if had {
                    return Err("there are keys for one mechanism twice".to_owned());
                }
            }
            Item::Facts(facts) => self.admin = facts.admin,
            Item::Node(_) | Item::AtNode(..) => self.count_at_node(item),
            Item::Archived(_) => self.archived += 1,
            Item::Person(_) => {
                self.people += 1;
                if self.people > limits::ROOM_PEOPLE as u64 {
                    return Err(format!(
                        "more than {} people are something there: remove some",
                        limits::ROOM_PEOPLE
                    ));
                }
            }
            Item::Room(_) => {}
            Item::Blocked(_) | Item::Unknown(_) => {}
        }
        Ok(())
    }
}

impl Tally {
    /// As they will be kept: nodes up to a number, items up to their bytes.
    fn count_at_node(&mut self, item: &Item) {
        let Some(node) = pubsub::node_of(item) else {
            return;
        };
        let is_known = self.nodes.contains(node);
        if !is_known && self.nodes.len() >= limits::NODES_PER_OWNER {
            self.items_over += 1;
            return;
        }
        if !is_known {
            self.nodes.insert(node.to_owned());
        }
        if let Item::AtNode(_, AtNode::Item(item)) = item {
            let bytes = self.item_bytes + pubsub::bytes_of(item);
            match bytes > limits::ITEMS_BYTES_PER_OWNER {
                true => self.items_over += 1,
                false => (self.items, self.item_bytes) = (self.items + 1, bytes),
            }
        }
    }
}

/// Keeps an item for an account or a room that is arriving, and has this address. Keys and facts are of the account itself, facts of the room itself, and
/// archived messages go another way: they do nothing here. `domain` is that of the accounts.
pub fn keep(
    store: &Store,
    user: UserId,
    jid: &BareJid,
    domain: &str,
    item: Item,
) -> Result<(), StoreError> {
    match item {
        Item::Contact(contact) => {
            let old = store.roster_item(user, &contact.item.jid)?;
            store.put_roster_item(user, &joined(contact, old))
        }
        Item::Request(jid, stanza) => {
            let old = store.roster_item(user, &jid)?;
            let mut item = old.unwrap_or_else(|| RosterItem::new(jid));
            item.pending_in = Some(stanza);
            store.put_roster_item(user, &item)
        }
        Item::Document(document) => {
            if document.kind == DocumentKind::Vcard
                && let Ok(vcard) = xml::Document::parse(document.xml.clone())
            {
                let name = jid.local().unwrap_or_default();
                store.put_entry(user, &entry_of(name, &vcard.root()))?;
            }
            store.put_documents(user, &[document])
        }
        Item::Message(at_ms, xml) => match store.push_offline(user, at_ms, &xml) {
            // It was counted before.
            Err(StoreError::QueueFull) => Ok(()),
            result => result.map(drop),
        },
        Item::Blocked(jids) => jids.iter().try_for_each(|jid| store.put_blocked(user, jid)),
        Item::Node(about) => pubsub::keep_node(store, user, jid, about),
        Item::AtNode(node, at) => pubsub::keep_at_node(store, user, jid, &node, at),
        Item::Person(one) => rooms::keep_person(store, user, domain, one),
        Item::Keys(..) | Item::Facts(_) | Item::Archived(_) | Item::Room(_) | Item::Unknown(_) => {
            Ok(())
        }
    }
}

/// What one place says of a contact, and what another said before.
fn joined(contact: Contact, old: Option<RosterItem>) -> RosterItem {
    let Contact { item: new, place } = contact;
    match (place, old) {
        (_, None) => new,
        (Place::Roster, Some(old)) => RosterItem {
            pending_in: old.pending_in,
            apart: old.apart,
            ..new
        },
        // A listed contact's other facts stand in the roster.
        (_, Some(old)) if new.listed => RosterItem {
            apart: new.apart,
            listed: true,
            ..old
        },
        (_, Some(old)) => RosterItem {
            pending_in: old.pending_in,
            listed: old.listed,
            ..new
        },
    }
}
