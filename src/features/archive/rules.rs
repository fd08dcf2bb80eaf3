//! What an archive takes (XEP-0313 §6.1.1), by what a message is and by what it wishes for itself (XEP-0334). Whose messages, is the user's to say: see
//! `engine/preferences.rs`.

use crate::engine::content;
use crate::xmpp::{MessageType, Stanza, ns};

/// Why a message is not archived, if it is not.
pub(super) fn refuses(stanza: &Stanza<'_>) -> Option<&'static str> {
    match stanza.message_type() {
        Some(MessageType::Chat | MessageType::Normal) => {}
        // XEP-0313 §6.1.1: may be left out, and are.
        Some(MessageType::Groupchat) => return Some("rooms have archives of their own"),
        Some(MessageType::Headline) => return Some("headlines are not archived"),
        Some(MessageType::Error) | None => return Some("errors are not archived"),
    }
    let message = stanza.xml.root();
    // XEP-0424 §5: who was away must learn of a retraction, whatever it wishes. XEP-0334 §4.4: of the wishes, to be stored is the stronger one.
    if message.child(ns::RETRACTION, "retract").is_some() || content::hints(message, "store") {
        return None;
    }
    if content::hints(message, "no-store") || content::hints(message, "no-permanent-store") {
        return Some("it does not want to be archived");
    }
    match content::is_conversation(message) {
        true => None,
        false => Some("it is no part of a conversation"),
    }
}
