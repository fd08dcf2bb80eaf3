//! XEP-0402: PEP Native Bookmarks, kept the same as those of XEP-0048 in private XML (XEP-0049), in both directions. What stands in the private XML
//! beside rooms (addresses of web pages) stays there; what stands in `<extensions/>` stays at the node.
//!
//! Left out: the third place where bookmarks once were, one item of a node (`#compat-pep`).

use crate::engine::Engine;
use crate::engine::feature::Feature;
use crate::engine::pubsub::publish::Publication;
use crate::engine::pubsub::settings::settings;
use crate::engine::pubsub::{Change, Owner};
use crate::limits;
use crate::store::{Document, DocumentKind, NodeItem};
use crate::xml::{self, Element, written};
use crate::xmpp::{Condition, Field, Form, FormType, Jid, StanzaError, ns};

/// The row of XEP-0402.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0402",
    title: "PEP Native Bookmarks",
    leaves_out: "bookmarks of XEP-0048 in a node (#compat-pep)",
    account_features: &["urn:xmpp:bookmarks:1#compat"],
    published: Some(published),
    documents_kept: Some(kept),
    node_missing: Some(wanted),
    account_made: Some(made),
    ..Feature::NONE
};

/// The row of XEP-0048.
pub const LEGACY: Feature = Feature {
    spec: "XEP-0048",
    title: "Bookmarks",
    leaves_out: "storage in a node",
    ..Feature::NONE
};

/// What the bookmark of the lobby is called: the title of a lobby that nobody has changed.
const LOBBY: &str = "Lobby";

/// What the private XML is filed under.
const PRIVATE_NAME: &str = "storage:bookmarks storage";

/// A room's bookmark, as both forms can say it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bookmark {
    room: String,
    name: Option<String>,
    autojoin: bool,
    nick: Option<String>,
    password: Option<String>,
}

impl Bookmark {
    fn read(conference: &Element<'_>, space: &str, room: String) -> Bookmark {
        let text = |name| {
            let child = conference.child(space, name);
            child.map(|child| child.text().into_owned())
        };
        Bookmark {
            room,
            name: conference.attr("name").map(|name| name.into_owned()),
            autojoin: matches!(conference.attr("autojoin").as_deref(), Some("true" | "1")),
            nick: text("nick").filter(|nick| !nick.is_empty()),
            password: text("password").filter(|password| !password.is_empty()),
        }
    }

    /// One of XEP-0048; `None` where it names no room.
    fn of_legacy(conference: &Element<'_>) -> Option<Bookmark> {
        if !conference.is(ns::LEGACY_BOOKMARKS, "conference") {
            return None;
        }
        let jid = conference.attr("jid")?;
        let room = Jid::parse(&jid).ok()?.bare().to_owned();
        Some(Bookmark::read(conference, ns::LEGACY_BOOKMARKS, room))
    }

    /// An item of XEP-0402; `None` where it is none.
    fn of_item(item: &NodeItem) -> Option<Bookmark> {
        let document = xml::Document::parse(item.xml.clone()).ok()?;
        let conference = document.root();
        let room = Jid::parse(&item.id).ok()?.as_str().to_owned();
        conference
            .is(ns::BOOKMARKS, "conference")
            .then(|| Bookmark::read(&conference, ns::BOOKMARKS, room))
    }

    fn write(&self, space: &str, extensions: &str) -> String {
        let legacy = space == ns::LEGACY_BOOKMARKS;
        written(|out| {
            out.start("conference")
                .attr("xmlns", space)
                .attr_opt("jid", legacy.then_some(&*self.room))
                .attr_opt("name", self.name.as_deref())
                .attr_opt("autojoin", self.autojoin.then_some("true"));
            for (name, value) in [("nick", &self.nick), ("password", &self.password)] {
                if let Some(value) = value {
                    out.leaf(name, value);
                }
            }
            out.raw(extensions).end();
        })
    }
}

fn kept(engine: &mut Engine, owner: &Owner, documents: &[Document]) {
    let bookmarks = documents
        .iter()
        .find(|document| document.kind == DocumentKind::Private && document.name == PRIVATE_NAME);
    if let Some(bookmarks) = bookmarks
        && let Err(error) = to_items(engine, owner, &bookmarks.xml)
    {
        log::warn!("bookmarks could not be published: {error:?}");
    }
}

/// XEP-0402 §5.3.2: what is new or other is published, what is not there any more is retracted, and nothing is said of the rest.
fn to_items(engine: &mut Engine, owner: &Owner, storage: &str) -> Result<(), StanzaError> {
    let document = xml::Document::parse(storage.to_owned()).ok();
    let mut wanted: Vec<Bookmark> = Vec::new();
    for child in document
        .iter()
        .flat_map(|document| document.root().children())
    {
        let bookmark = Bookmark::of_legacy(&child);
        wanted.extend(bookmark.filter(|new| wanted.iter().all(|known| known.room != new.room)));
    }
    let there = items(engine, owner)?;
    make_room(engine, owner)?;
    let by = engine.in_the_name_of(owner);
    engine.quietly(|engine| {
        for bookmark in &wanted {
            let old = there.iter().find(|item| item.id == bookmark.room);
            if old.and_then(Bookmark::of_item).as_ref() != Some(bookmark) {
                publish(engine, owner, bookmark, old)?;
            }
        }
        for item in &there {
            if wanted.iter().all(|bookmark| bookmark.room != item.id) {
                match engine.retract(owner, &by, ns::BOOKMARKS, &item.id, true) {
                    // It went by itself, when another was published.
                    Err(error) if error.condition == Condition::ItemNotFound => {}
                    done => done?,
                }
            }
        }
        Ok(())
    })
}

/// A node that a client has made for fewer bookmarks than there may be takes as many as there are.
fn make_room(engine: &mut Engine, owner: &Owner) -> Result<(), StanzaError> {
    let small = engine
        .node_of(owner, ns::BOOKMARKS)?
        .is_some_and(|node| node.config().max_items() < limits::ITEMS_PER_NODE);
    if !small {
        return Ok(());
    }
    let max = Form::new(FormType::Submit).field(Field::new("pubsub#max_items", None).value("max"));
    engine.configure_node(owner, ns::BOOKMARKS, &max)
}

fn publish(
    engine: &mut Engine,
    owner: &Owner,
    bookmark: &Bookmark,
    old: Option<&NodeItem>,
) -> Result<(), StanzaError> {
    // XEP-0402 §4.1: with the configuration that every client asks for.
    let private = settings(&[
        ("access_model", "whitelist"),
        ("max_items", "max"),
        ("send_last_published_item", "never"),
    ]);
    engine.ensure_node(owner, ns::BOOKMARKS, private)?;
    // §3: what a client put there for itself stays.
    let document = old.and_then(|old| xml::Document::parse(old.xml.clone()).ok());
    let extensions = document
        .as_ref()
        .and_then(|old| old.root().child(ns::BOOKMARKS, "extensions"))
        .map_or_else(String::new, |extensions| extensions.standalone());
    let by = engine.in_the_name_of(owner);
    let publication = Publication::new(
        ns::BOOKMARKS,
        Some(bookmark.room.clone()),
        bookmark.write(ns::BOOKMARKS, &extensions),
    );
    engine.publish(owner, &by, publication).map(drop)
}

fn published(engine: &mut Engine, owner: &Owner, change: &Change<'_>) {
    let (Change::Published { node, .. }
    | Change::Retracted { node, .. }
    | Change::Emptied { node }) = change;
    if *node == ns::BOOKMARKS
        && let Err(error) = to_private(engine, owner)
    {
        log::warn!("bookmarks could not be put into private XML: {error:?}");
    }
}

/// XEP-0402 §5.3.1: all items, as one list.
fn to_private(engine: &mut Engine, owner: &Owner) -> Result<(), StanzaError> {
    let bookmarks = items(engine, owner)?;
    let bookmarks: Vec<Bookmark> = bookmarks.iter().filter_map(Bookmark::of_item).collect();
    let old = engine.kept_document(owner, DocumentKind::Private, PRIVATE_NAME)?;
    let mut same = Vec::new();
    let mut beside = String::new();
    for child in old.iter().flat_map(|old| old.root().children()) {
        match Bookmark::of_legacy(&child) {
            Some(bookmark) => same.push(bookmark),
            None => beside.push_str(&child.standalone()),
        }
    }
    if same == bookmarks {
        return Ok(());
    }
    let mut xml = String::new();
    if !bookmarks.is_empty() || !beside.is_empty() {
        xml = written(|out| {
            out.start("storage").attr("xmlns", ns::LEGACY_BOOKMARKS);
            for bookmark in &bookmarks {
                out.raw(&bookmark.write(ns::LEGACY_BOOKMARKS, ""));
            }
            out.raw(&beside).end();
        });
    }
    let document = Document {
        kind: DocumentKind::Private,
        name: PRIVATE_NAME.to_owned(),
        xml,
    };
    Ok(engine.store.put_documents(owner.id, &[document])?)
}

fn items(engine: &mut Engine, owner: &Owner) -> Result<Vec<NodeItem>, StanzaError> {
    let Some(node) = engine.node_of(owner, ns::BOOKMARKS)? else {
        return Ok(Vec::new());
    };
    let stored = node.stored.clone();
    let mut all = Vec::new();
    for item in engine.store.items_from(owner.id, &stored, 0)? {
        all.push(item?.1);
    }
    Ok(all)
}

/// A new account finds the room of everybody among its bookmarks, once: who removes it there does not get it back. One that comes from elsewhere with
/// bookmarks of its own, be it an empty list, keeps them as they are.
fn made(engine: &mut Engine, name: &str) {
    let rooms = &engine.config.rooms;
    if !rooms.enabled || rooms.lobby.is_empty() {
        return;
    }
    let lobby = Bookmark {
        room: format!("{}@{}", rooms.lobby, engine.config.rooms_host()),
        name: Some(LOBBY.to_owned()),
        autojoin: true,
        nick: None,
        password: None,
    };
    let begin = |engine: &mut Engine| -> Result<(), StanzaError> {
        let owner = engine.account_owner(name)?;
        let owner = owner.ok_or(Condition::ItemNotFound)?;
        let has_some = engine.node_of(&owner, ns::BOOKMARKS)?.is_some()
            || engine
                .kept_document(&owner, DocumentKind::Private, PRIVATE_NAME)?
                .is_some();
        match has_some {
            true => Ok(()),
            false => publish(engine, &owner, &lobby, None),
        }
    };
    if let Err(error) = begin(engine) {
        log::warn!("the account {name:?} has no bookmark of the lobby: {error:?}");
    }
}

/// Bookmarks of before there was a node: as of an account that came from another server.
fn wanted(engine: &mut Engine, owner: &Owner, node: &str) {
    if node != ns::BOOKMARKS {
        return;
    }
    let kept = engine
        .store
        .document(owner.id, DocumentKind::Private, PRIVATE_NAME);
    let done = match kept {
        Ok(Some(storage)) => to_items(engine, owner, &storage),
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = done {
        log::warn!("bookmarks could not be published: {error:?}");
    }
}
