//! Archives of accounts and rooms, XEP-0227 §3.10, in both directions: `<result/>`s as XEP-0313 has them, from the oldest to the newest.

use super::read::Item;
use crate::limits;
use crate::store::archive::{ArchiveId, OldRow, Row, Stamp};
use crate::xml::{Document, Element, Scope, Splice, splice, written};
use crate::xmpp::{BareJid, Jid, ns, time};
use ring::digest::{SHA256, digest};

/// A message of an archive.
#[derive(Clone, Debug)]
pub struct Archived {
    id: Option<ArchiveId>,
    tag: [u8; 8],
    at_ms: u64,
    from: Option<Jid<'static>>,
    to: Option<Jid<'static>>,
    xml: String,
}

/// A row of the archive in the file.
pub(super) fn result(row: &Row) -> String {
    written(|out| {
        out.start("result")
            .attr("xmlns", ns::ARCHIVE)
            .attr("id", &row.id.text());
        out.start("forwarded").attr("xmlns", ns::FORWARD);
        out.start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("stamp", &time::format(row.at_ms))
            .end();
        out.raw(&row.xml).end().end();
    })
}

/// Reads `<result/>`.
pub(super) fn read(root: &Element<'_>) -> Result<Item, String> {
    let id = root.attr("id").unwrap_or_default();
    let about = |what: &str| format!("the archived message {id:?} {what}");
    let forwarded = root.child(ns::FORWARD, "forwarded");
    let forwarded = forwarded.ok_or_else(|| about("has no <forwarded/>"))?;
    let delay = forwarded.child(ns::DELAY, "delay");
    let stamp = delay.and_then(|delay| delay.attr("stamp"));
    let at_ms = stamp.and_then(|stamp| time::parse(&stamp));
    let at_ms = at_ms.ok_or_else(|| about("has no <delay/> with a time"))?;
    let Some(message) = forwarded.child(ns::CLIENT, "message") else {
        return Err(about("has no <message xmlns='jabber:client'/>"));
    };
    let address = |name: &str| match message.attr(name) {
        None => Ok(None),
        Some(text) => match Jid::parse(&text) {
            Ok(jid) => Ok(Some(jid.into_owned())),
            Err(error) => Err(about(&format!("has no valid address in {name}: {error}"))),
        },
    };
    let mut tag = [0; 8];
    tag.copy_from_slice(&digest(&SHA256, id.as_bytes()).as_ref()[..8]);
    // Another server's id may look like one of snug's, and then says any time.
    let near = |id: &ArchiveId| id.stamp.ms.abs_diff(at_ms) <= limits::MOVED_CLOCK_MS;
    Ok(Item::Archived(Archived {
        id: ArchiveId::parse(&id).filter(near),
        tag,
        at_ms,
        from: address("from")?,
        to: address("to")?,
        xml: message.standalone(),
    }))
}

impl Archived {
    /// The row that it becomes in the archive of `owner`; none of what a room cannot have said. An id of snug's stays what it is; of the future there is
    /// none.
    fn row(self, owner: &BareJid, is_room: bool, now_ms: u64) -> Option<OldRow> {
        let from_owner = |jid: &Jid<'_>| jid.bare() == owner.as_str();
        if is_room && !self.from.as_ref().is_some_and(from_owner) {
            return None;
        }
        let xml = as_kept(self.xml, owner, is_room)?;
        let at_ms = self.at_ms.min(now_ms);
        let id = self.id.filter(|id| id.stamp.ms <= now_ms);
        // In a room everything is from the room.
        let other = match (&self.from, &self.to) {
            (Some(from), Some(to)) if from_owner(from) => to.as_str(),
            (Some(from), _) => from.as_str(),
            (None, Some(to)) => to.as_str(),
            (None, None) => owner.as_str(),
        };
        Some(OldRow {
            stamp: id.map_or(Stamp { ms: at_ms, seq: 0 }, |id| id.stamp),
            tag: id.map_or(self.tag, |id| id.tag),
            at_ms,
            with: other.to_owned(),
            xml,
        })
    }
}

/// A message as the archive of an account or a room has it: without the ids that another server's archive gave it in the owner's name. A room says
/// everything to everybody, and its history is handed on by the bytes: so it has no `to`, no prefix, and something inside.
fn as_kept(xml: String, owner: &BareJid, is_room: bool) -> Option<String> {
    let message = Document::parse_within(xml, Scope::of_default(ns::CLIENT)).ok()?;
    let ids = message.root().children().filter(|child| {
        let by = child.attr("by");
        child.is(ns::STANZA_ID, "stanza-id") && by.as_deref() == Some(owner.as_str())
    });
    let without: Vec<Element<'_>> = ids.collect();
    if is_room && message.root().children().count() == without.len() {
        return None;
    }
    let mut out = Vec::with_capacity(message.text().len());
    let how = Splice {
        to: is_room.then_some(""),
        xmlns: Some(ns::CLIENT),
        without: &without,
        ..Splice::default()
    };
    splice(&mut out, message.checked(), &how);
    String::from_utf8(out).ok()
}

/// Takes the archived messages out of what was read, as rows of the archive of `owner`, an account or a room.
pub fn rows(items: &mut Vec<Item>, owner: &BareJid, is_room: bool, now_ms: u64) -> Vec<OldRow> {
    let mut rows = Vec::new();
    for item in std::mem::take(items) {
        match item {
            Item::Archived(message) => rows.extend(message.row(owner, is_room, now_ms)),
            item => items.push(item),
        }
    }
    rows
}
