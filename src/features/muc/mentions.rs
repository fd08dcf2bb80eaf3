//! XEP-0452: members who are not in the room hear that they were mentioned: by a reference (XEP-0372), or explicitly (XEP-0513).

use super::room::Room;
use crate::engine::Engine;
use crate::store::Affiliation;
use crate::xml::{Element, written};
use crate::xmpp::{BareJid, Jid, StanzaError, ns, time};

/// XEP-0372.
const REFERENCE: &str = "urn:xmpp:reference:0";
/// XEP-0452.
const MENTIONS: &str = "urn:xmpp:mmn:0";
/// XEP-0513.
pub const EXPLICIT: &str = "urn:xmpp:mentions:0";

/// Passes a message on to those members whom it mentions and who are not here.
pub fn forward(
    engine: &mut Engine,
    room: &Room,
    place: usize,
    root: Element<'_>,
    text: &str,
) -> Result<(), StanzaError> {
    if !room.record.config.forward_mentions {
        return Ok(());
    }
    let mut mentioned: Vec<String> = Vec::new();
    for child in root.children() {
        let jid = if child.is(REFERENCE, "reference") {
            let is_mention = child.attr("type").as_deref() == Some("mention");
            let uri = child.attr("uri").filter(|_| is_mention);
            uri.and_then(|uri| address(&uri))
        } else if child.is(EXPLICIT, "mention") && child.attr("mentions").is_none() {
            let by_jid = child.attr("jid").and_then(|jid| address(&jid));
            let by_id = || {
                child
                    .attr("occupantid")
                    .and_then(|id| with_id(engine, room, &id))
            };
            by_jid.or_else(by_id)
        } else {
            None
        };
        mentioned.extend(jid);
    }
    mentioned.sort();
    mentioned.dedup();
    let own = room.occupants[place].bare.as_str().to_owned();
    for jid in mentioned {
        let here = room.occupants.iter().any(|one| one.bare.as_str() == jid);
        let Ok(parsed) = Jid::parse(&jid) else {
            continue;
        };
        let member = room.affiliation(engine, &parsed) >= Affiliation::Member;
        let Some(name) = parsed.local().filter(|_| member && !here && jid != own) else {
            continue;
        };
        let inner = notice(engine, text);
        engine.tell_account_from(&room.jid, name, &inner, true)?;
    }
    Ok(())
}

/// The message inside of what an absent member gets.
fn notice(engine: &Engine, text: &str) -> String {
    // In another element it has to say whose it is.
    let whole = text.replacen("<message", "<message xmlns='jabber:client'", 1);
    written(|out| {
        out.start("mentions").attr("xmlns", MENTIONS);
        out.start("forwarded").attr("xmlns", "urn:xmpp:forward:0");
        out.start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("stamp", &time::format(engine.now.wall_ms))
            .end();
        out.raw(&whole).end().end();
    })
}

/// The bare JID in `xmpp:anna@chat.test`, or in an address.
fn address(uri: &str) -> Option<String> {
    let text = uri.trim();
    let text = text.strip_prefix("xmpp:").unwrap_or(text);
    let text = text.split('?').next()?;
    Some(Jid::parse(text).ok()?.bare().to_owned())
}

/// The member with this occupant id.
fn with_id(engine: &Engine, room: &Room, id: &str) -> Option<String> {
    let has =
        |jid: &&String| BareJid::parse(jid).is_ok_and(|jid| *room.occupant_id(engine, &jid) == *id);
    room.people.values().map(|one| &one.jid).find(has).cloned()
}
