//! Out of the store: an account as pieces, in an order that is always the same.

use super::{BLOCKING, Piece, Place, SCRAM, SNUG, archive, ejabberd, pubsub};
use crate::auth::{self, ScramKeys};
use crate::limits;
use crate::store::archive::{Row, Stamp};
use crate::store::{
    Account, DocumentKind, OfflineKey, RosterItem, Store, StoreError, Subscription,
};
use crate::xml::{Document, Scope, written};
use crate::xmpp::{Jid, ns};

/// For whom an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Any server that reads XEP-0227, snug itself first of all: everything.
    Anybody,
    /// `ejabberdctl import_piefxis`, which ends at the first thing it cannot read: without what it does not know, and without what it would end at.
    Ejabberd,
}

/// How far an account or a room has been written: which kind of thing, and how many of them. Begin with the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Place in the order of kinds.
    pub kind: u64,
    /// What of this kind has been written.
    pub done: u64,
}

/// The next pieces of an account.
#[derive(Debug, Default)]
pub struct Part {
    /// Perhaps none.
    pub pieces: Vec<Piece>,
    /// Where it goes on; none at the end.
    pub next: Option<Progress>,
    /// Things that were left out for the sake of the reader.
    pub left_out: u64,
}

/// One kind of thing, a bounded part of it: whether there is more of it, and from where.
type Kind = fn(&Store, &Account, For, u64, &mut Part) -> Result<Option<u64>, StoreError>;

/// In this order.
const KINDS: [Kind; 10] = [
    head,
    roster,
    requests,
    contacts,
    documents,
    private,
    offline,
    blocked,
    pubsub::nodes,
    pubsub::items,
];

/// Behind them, the archive: [`Part::archived`].
const ARCHIVE: u64 = KINDS.len() as u64;

/// What an account has, some 256 KiB at a time.
pub fn part(
    store: &Store,
    account: &Account,
    whom: For,
    from: Progress,
) -> Result<Part, StoreError> {
    let mut part = Part::default();
    let mut at = from;
    while let Some(kind) = KINDS.get(at.kind as usize) {
        at = match kind(store, account, whom, at.done, &mut part)? {
            Some(done) => Progress { done, ..at },
            None => Progress {
                kind: at.kind + 1,
                done: 0,
            },
        };
        if part.is_full() {
            break;
        }
    }
    // The archive is last, and another one reads it.
    let is_over = at.kind > ARCHIVE || at.kind == ARCHIVE && whom == For::Ejabberd;
    part.next = (!is_over).then_some(at);
    Ok(part)
}

/// Where the archive begins.
pub(super) fn archive_begins() -> Progress {
    Progress {
        kind: ARCHIVE,
        done: 0,
    }
}

/// Where in the archive an account goes on, where it has come to that: this place or behind.
pub fn in_archive(from: Progress) -> Option<Stamp> {
    (from.kind == ARCHIVE).then_some(Stamp {
        ms: from.done >> 16,
        seq: from.done as u16,
    })
}

impl Part {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.xml.len() + 32).sum()
    }

    /// Whether it is time for everybody else.
    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= limits::MOVED_PART_BYTES
    }

    pub(super) fn push(&mut self, place: Place, xml: String) {
        self.pieces.push(Piece::new(place, xml));
    }

    pub(super) fn push_within(&mut self, place: Place, node: &str, xml: String) {
        let node = node.to_owned();
        self.pieces.push(Piece { place, node, xml });
    }

    /// A page of the archive; without `complete` there is more of it.
    pub fn archived(rows: &[Row], complete: bool) -> Part {
        let mut part = Part::default();
        for row in rows {
            part.push(Place::Archive, archive::result(row));
        }
        let next = rows.last().and_then(|row| row.id.stamp.next());
        part.next = next.filter(|_| !complete).map(|next| Progress {
            kind: ARCHIVE,
            // The year 9999 fits 48 bits.
            done: next.ms << 16 | u64::from(next.seq),
        });
        part
    }

    /// Adds the items behind `done` until the part is full; how far it came, or none at the end.
    pub(super) fn fill<T>(
        &mut self,
        items: &[T],
        done: u64,
        mut add: impl FnMut(&mut Part, &T),
    ) -> Option<u64> {
        for (place, item) in items.iter().enumerate().skip(done as usize) {
            add(self, item);
            if self.is_full() && place + 1 < items.len() {
                return Some(place as u64 + 1);
            }
        }
        None
    }
}

/// Keys and what is snug's own.
fn head(
    _: &Store,
    account: &Account,
    whom: For,
    _: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let keys = [
        ("SCRAM-SHA-1", &account.sha1),
        ("SCRAM-SHA-256", &account.sha256),
    ];
    let keys = keys
        .into_iter()
        .filter_map(|(mechanism, keys)| Some((mechanism, keys.as_ref()?)));
    match whom {
        For::Anybody => {
            for (mechanism, keys) in keys {
                part.push(
                    Place::User,
                    credentials(mechanism, keys, |bytes| auth::encode(bytes)),
                );
            }
        }
        For::Ejabberd => {
            let keys = ejabberd::keys(keys, account.locked);
            part.pieces.extend(keys);
        }
    }
    if whom == For::Anybody {
        let number = |number: u64| number.to_string();
        let flag = |flag: bool| flag.then_some("true");
        let xml = written(|out| {
            out.start("account").attr("xmlns", SNUG);
            out.attr("created-ms", &number(account.created_ms))
                .attr("last-seen-ms", &number(account.last_seen_ms))
                .attr_opt("admin", flag(account.admin))
                .attr_opt("locked", flag(account.locked))
                .end();
        });
        part.push(Place::User, xml);
    }
    Ok(None)
}

/// XEP-0227 §3.3.
pub(super) fn credentials(
    mechanism: &str,
    keys: &ScramKeys,
    encode: fn(&[u8]) -> String,
) -> String {
    written(|out| {
        out.start("scram-credentials")
            .attr("xmlns", SCRAM)
            .attr("mechanism", mechanism)
            .leaf("iter-count", &keys.iterations.to_string())
            .leaf("salt", &encode(&keys.salt))
            .leaf("server-key", &encode(&keys.server_key))
            .leaf("stored-key", &encode(&keys.stored_key))
            .end();
    })
}

/// XEP-0227 §3.4.
fn roster(
    store: &Store,
    account: &Account,
    _: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let mut items = store.roster(account.id)?;
    items.retain(|item| item.listed);
    Ok(part.fill(&items, done, |part, item| {
        part.push(Place::Roster, contact(item, Place::Roster));
    }))
}

/// XEP-0227 §3.8.
fn requests(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let items = store.roster(account.id)?;
    let asking: Vec<&RosterItem> = items
        .iter()
        .filter(|item| item.pending_in.is_some())
        .collect();
    Ok(part.fill(&asking, done, |part, item| {
        let stanza = item.pending_in.as_deref().and_then(standing_alone);
        let stanza = match whom {
            For::Anybody => stanza,
            For::Ejabberd => stanza.and_then(|stanza| ejabberd::request(stanza, &item.jid)),
        };
        match stanza {
            Some(xml) => part.push(Place::User, xml),
            None => part.left_out += 1,
        }
    }))
}

/// What is snug's own about contacts.
fn contacts(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    if whom == For::Ejabberd {
        return Ok(None);
    }
    let mut items = store.roster(account.id)?;
    items.retain(|item| {
        let says_nothing = item.subscription == Default::default()
            && !(item.ask || item.approved)
            && item.name.is_none()
            && item.groups.is_empty();
        item.apart || !item.listed && !says_nothing
    });
    Ok(part.fill(&items, done, |part, item| {
        part.push(Place::Contacts, contact(item, Place::Contacts));
    }))
}

/// A contact as clients see it, or as snug writes what they do not see.
fn contact(item: &RosterItem, place: Place) -> String {
    let subscription = match item.subscription {
        Subscription::None => "none",
        Subscription::To => "to",
        Subscription::From => "from",
        Subscription::Both => "both",
    };
    let (own, ns) = match place {
        Place::Contacts => (true, SNUG),
        _ => (false, ns::ROSTER),
    };
    written(|out| {
        out.start(if own { "contact" } else { "item" })
            .attr("xmlns", ns)
            .attr("jid", item.jid.as_str());
        if own {
            out.attr_opt("apart", item.apart.then_some("true"))
                .attr_opt("unlisted", (!item.listed).then_some("true"));
        }
        // A listed contact's own facts stand in the roster.
        if !own || !item.listed {
            out.attr_opt("name", item.name.as_deref())
                .attr("subscription", subscription)
                .attr_opt("ask", item.ask.then_some("subscribe"))
                .attr_opt("approved", item.approved.then_some("true"));
            for group in &item.groups {
                out.leaf("group", group);
            }
        }
        out.end();
    })
}

/// XEP-0227 §3.6, and snug's own documents.
fn documents(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let kinds = [
        DocumentKind::Vcard,
        DocumentKind::Vcard4,
        DocumentKind::Farewell,
        DocumentKind::ArchivePreferences,
    ];
    let mut found = Vec::new();
    for kind in kinds {
        if let Some(xml) = store.document(account.id, kind, "")? {
            found.push((kind, xml));
        }
    }
    Ok(
        part.fill(&found, done, |part, (kind, xml)| match (kind, whom) {
            (DocumentKind::Vcard, For::Anybody) => part.push(Place::User, xml.clone()),
            (DocumentKind::Vcard, For::Ejabberd) => match Document::parse(xml.clone()) {
                Ok(vcard) => part.push(Place::User, ejabberd::vcard(&vcard.root())),
                Err(_) => part.left_out += 1,
            },
            (_, For::Ejabberd) => {}
            (kind, For::Anybody) => {
                let word = match kind {
                    DocumentKind::Vcard4 => "vcard4",
                    DocumentKind::ArchivePreferences => "archive-preferences",
                    _ => "farewell",
                };
                let xml = written(|out| {
                    out.start("document")
                        .attr("xmlns", SNUG)
                        .attr("kind", word)
                        .raw(xml)
                        .end();
                });
                part.push(Place::User, xml);
            }
        }),
    )
}

/// XEP-0227 §3.5.
fn private(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let mut documents = store.documents(account.id)?;
    documents.retain(|document| document.kind == DocumentKind::Private);
    Ok(part.fill(&documents, done, |part, document| {
        match whom == For::Anybody || ejabberd::takes_private(&document.xml, &document.name) {
            true => part.push(Place::Private, document.xml.clone()),
            false => part.left_out += 1,
        }
    }))
}

/// XEP-0227 §3.5: the oldest first.
fn offline(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let room = limits::MOVED_PART_BYTES.saturating_sub(part.bytes());
    // `done` is the number behind the last one, so that a message may have the number 0.
    let after = done.checked_sub(1).map(OfflineKey::new);
    let waiting = store.offline_from(account.id, after, room)?;
    let Some((last, _, _)) = waiting.last() else {
        return Ok(None);
    };
    for (_, _, xml) in &waiting {
        let standing = match whom {
            For::Anybody => standing_alone(xml),
            For::Ejabberd => standing_alone(xml).and_then(ejabberd::message),
        };
        match standing {
            Some(xml) => part.push(Place::Offline, xml),
            None => part.left_out += 1,
        }
    }
    Ok(last.number().checked_add(1))
}

/// A stanza of the store with its namespace on it. What the store has was checked when it came; what cannot be read all the same is left out.
fn standing_alone(xml: &str) -> Option<String> {
    let stanza = Document::parse_within(xml.to_owned(), Scope::of_default(ns::CLIENT)).ok()?;
    Some(stanza.root().standalone())
}

/// XEP-0191's list; for ejabberd, which builds it on privacy lists, XEP-0227 §3.7.
fn blocked(
    store: &Store,
    account: &Account,
    whom: For,
    done: u64,
    part: &mut Part,
) -> Result<Option<u64>, StoreError> {
    let list = store.blocklist(account.id)?;
    if whom == For::Ejabberd {
        let takes: Vec<&Jid<'_>> = list.iter().filter(|jid| ejabberd::takes(jid)).collect();
        part.left_out += (list.len() - takes.len()) as u64;
        if !takes.is_empty() {
            part.push(Place::User, ejabberd::privacy_list(&takes));
        }
        return Ok(None);
    }
    Ok(part.fill(&list, done, |part, jid| {
        let xml = written(|out| {
            out.start("item")
                .attr("xmlns", BLOCKING)
                .attr("jid", jid.as_str())
                .end();
        });
        part.push(Place::Blocked, xml);
    }))
}
