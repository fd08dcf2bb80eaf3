//! What ejabberd 23.01 takes of an account. Its `import_piefxis` ends at the first thing that it cannot read, with half of the accounts there, so what
//! it would end at is brought into a form that it reads, or left out.

use super::write::credentials;
use super::{PRIVACY, Piece, Place};
use crate::auth::{self, ScramKeys};
use crate::xml::{Document, Element, Scope, Splice, splice, written};
use crate::xmpp::{BareJid, Jid, ns};

/// The keys that it reads, the first ones only. It logs in by SHA-1 unless `auth_scram_hash` says otherwise, so these come first. What it keeps is base64
/// already, which it encodes when it writes a file and decodes when it reads one: so in its files everything is base64 twice. It has no locks, but
/// without keys nobody logs in.
pub(super) fn keys<'k>(
    mut keys: impl Iterator<Item = (&'static str, &'k ScramKeys)>,
    locked: bool,
) -> Option<Piece> {
    let twice = |bytes: &[u8]| auth::encode(auth::encode(bytes));
    let (mechanism, keys) = keys.next().filter(|_| !locked)?;
    let xml = credentials(mechanism, keys, twice);
    Some(Piece::new(Place::User, xml))
}

/// Whether it takes an address: of resources with characters that are younger than Unicode 3.2, emoji for example, it says that they are wrong.
pub(super) fn takes(jid: &Jid<'_>) -> bool {
    jid.resource()
        .is_none_or(|resource| resource.is_ascii() || stringprep::resourceprep(resource).is_ok())
}

/// A waiting message, from and to bare addresses where it would not take the full ones. It ends at one from nobody, of a type of its own or in a
/// language that is none.
pub(super) fn message(xml: String) -> Option<String> {
    let message = Document::parse(xml).ok()?;
    let root = message.root();
    let kind = root.attr("type");
    let knows = [
        None,
        Some("chat"),
        Some("normal"),
        Some("groupchat"),
        Some("headline"),
    ];
    if !knows.contains(&kind.as_deref()) {
        return None;
    }
    let texts = root
        .children()
        .filter(|child| child.is_in(ns::CLIENT))
        .chain([root]);
    for text in texts {
        if text
            .attr("xml:lang")
            .is_some_and(|lang| !is_language(&lang))
        {
            return None;
        }
    }
    let bare = |name: &str| -> Option<Option<BareJid>> {
        match root.attr(name) {
            None => Some(None),
            Some(text) => {
                let jid = Jid::parse(&text).ok()?;
                Some((!takes(&jid)).then(|| jid.to_bare()))
            }
        }
    };
    root.attr("from")?;
    let (from, to) = (bare("from")?, bare("to")?);
    let around = Scope::of_default(ns::CLIENT);
    let message = Document::parse_within(message.text().to_owned(), around).ok()?;
    let mut out = Vec::new();
    let how = Splice {
        from: from.as_ref().map(BareJid::as_str),
        to: to.as_ref().map(BareJid::as_str),
        xmlns: Some(ns::CLIENT),
        ..Splice::default()
    };
    splice(&mut out, message.checked(), &how);
    String::from_utf8(out).ok()
}

/// RFC 5646 §2.1, as far as nobody can mistake it.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// A subscription request: it keeps the status and nothing else.
pub(super) fn request(xml: String, from: &BareJid) -> Option<String> {
    let presence = Document::parse(xml).ok()?;
    let status = presence.root().child(ns::CLIENT, "status");
    Some(written(|out| {
        out.start("presence")
            .attr("xmlns", ns::CLIENT)
            .attr("type", "subscribe")
            .attr("from", from.as_str());
        if let Some(status) = status {
            out.leaf("status", &status.text());
        }
        out.end();
    }))
}

/// Whether it takes a client's private data: it knows no prefixes, and files it under the namespace that is written there.
pub(super) fn takes_private(xml: &str, name: &str) -> bool {
    let name = name.split_once(' ').map_or("", |(_, name)| name);
    xml.strip_prefix('<')
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| rest.starts_with([' ', '\t', '\n', '\r']))
}

/// XEP-0227 §3.6. It knows no prefixes, and ends at a TEL without NUMBER, an EMAIL without USERID and a BINVAL that is
/// not base64.
pub(super) fn vcard(vcard: &Element<'_>) -> String {
    let takes = |child: &Element<'_>| {
        let has = |name| child.child(ns::VCARD, name).is_some();
        let fits = match child.name() {
            "TEL" => has("NUMBER"),
            "EMAIL" => has("USERID"),
            "PHOTO" | "LOGO" | "SOUND" => child.child(ns::VCARD, "BINVAL").is_none_or(|picture| {
                let packed: String = picture.text().split_whitespace().collect();
                !packed.is_empty() && crate::auth::decode(&packed).is_ok()
            }),
            _ => true,
        };
        child.is_in(ns::VCARD) && fits
    };
    let mut xml = format!("<vCard xmlns='{}'>", ns::VCARD);
    for child in vcard.children().filter(takes) {
        unprefixed(&child, &mut xml);
    }
    xml.push_str("</vCard>");
    xml
}

/// An element of a vCard without prefixes and attributes, which nothing of vcard-temp has.
fn unprefixed(element: &Element<'_>, out: &mut String) {
    out.push('<');
    out.push_str(element.name());
    out.push('>');
    let mut leaf = true;
    for child in element.children().filter(|child| child.is_in(ns::VCARD)) {
        leaf = false;
        unprefixed(&child, out);
    }
    if leaf {
        crate::xml::escape(out, &element.text());
    }
    out.push_str("</");
    out.push_str(element.name());
    out.push('>');
}

/// XEP-0227 §3.7: whom the account blocks, as the list that is in force; mod_blocking reads and writes just that.
pub(super) fn privacy_list(list: &[&Jid<'_>]) -> String {
    const NAME: &str = "Blocked contacts";
    written(|out| {
        out.start("query").attr("xmlns", PRIVACY);
        out.start("default").attr("name", NAME).end();
        out.start("list").attr("name", NAME);
        for (place, jid) in list.iter().enumerate() {
            out.start("item")
                .attr("action", "deny")
                .attr("order", &(place + 1).to_string())
                .attr("type", "jid")
                .attr("value", jid.as_str())
                .end();
        }
        out.end().end();
    })
}
