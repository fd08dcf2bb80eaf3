//! What a message carries: whether it belongs to a conversation, or only says that somebody types, and what it wishes for itself.
//! Archives, queues, copies and sleeping clients all ask the same.

use crate::xml::Element;
use crate::xmpp::ns;

/// Children that make a message a part of a conversation though it has no body: namespace, and the name where others of the namespace do not.
const CONVERSATION: &[(&str, Option<&str>)] = &[
    (ns::CLIENT, Some("body")),
    (ns::RECEIPTS, None),
    // XEP-0333 §4.1: `markable` only asks.
    (ns::CHAT_MARKERS, Some("received")),
    (ns::CHAT_MARKERS, Some("displayed")),
    (ns::CHAT_MARKERS, Some("acknowledged")),
    (ns::CORRECTION, Some("replace")),
    (ns::REACTIONS, Some("reactions")),
    (ns::REPLY, Some("reply")),
    (ns::RETRACTION, Some("retract")),
    (ns::JINGLE_MESSAGE, None),
    (ns::CALL_INVITES, None),
    (ns::DIRECT_INVITATION, Some("x")),
    // A room tells who is not in it what was said to them there.
    (ns::MENTION_NOTIFICATIONS, Some("mentions")),
    (ns::STATELESS_FILES, None),
    (ns::OMEMO, Some("encrypted")),
    (ns::LEGACY_OMEMO, Some("encrypted")),
    (ns::OPENPGP, Some("openpgp")),
    (ns::LEGACY_OPENPGP, Some("x")),
];

/// Whether a message belongs to a conversation: it has a body, or something that is worth as much as one (XEP-0313 §6.1.1):
/// receipts, markers, corrections, reactions, replies, retractions, calls, invitations, files, or what is encrypted.
pub fn is_conversation(message: Element<'_>) -> bool {
    message
        .children()
        .any(|child| is_part_of_conversation(child) || is_mediated_invitation(child))
}

fn is_part_of_conversation(child: Element<'_>) -> bool {
    CONVERSATION
        .iter()
        .any(|(space, name)| name.is_none_or(|name| child.name() == name) && child.is_in(space))
}

/// Whether a message carries, beside its text, what is typically used in instant messaging (XEP-0280 §6.1): receipts, chat states, markers,
/// and what came after these to the same end.
pub fn is_instant_messaging(message: Element<'_>) -> bool {
    message.children().any(|child| {
        child.is_in(ns::CHAT_STATES)
            || child.is_in(ns::CHAT_MARKERS)
            || child.name() != "body" && is_part_of_conversation(child)
    })
}

/// Whether a message invites to a room: directly (XEP-0249), or through it (XEP-0045 §7.8.2).
pub fn is_invitation(message: Element<'_>) -> bool {
    message
        .children()
        .any(|child| child.is(ns::DIRECT_INVITATION, "x") || is_mediated_invitation(child))
}

/// Whether a message is encrypted: what text it has beside that says only so.
pub fn is_encrypted(message: Element<'_>) -> bool {
    message.children().any(|child| {
        child.is_in(ns::ENCRYPTION)
            || child.is(ns::OMEMO, "encrypted")
            || child.is(ns::LEGACY_OMEMO, "encrypted")
            || child.is(ns::OPENPGP, "openpgp")
            || child.is(ns::LEGACY_OPENPGP, "x")
    })
}

/// Whether a message is worth that somebody takes the phone out of the pocket: it says something, perhaps encrypted, or calls, or invites, or tells of a mention. Receipts, markers,
/// reactions and what takes something back can wait, and so can keys without a message (XEP-0384 §4.6).
pub fn wakes(message: Element<'_>) -> bool {
    if message.child(ns::RETRACTION, "retract").is_some() {
        return false;
    }
    let keys_alone = |child: &Element<'_>| {
        child.name() == "encrypted"
            && [ns::OMEMO, ns::LEGACY_OMEMO]
                .iter()
                .any(|space| child.is_in(space) && child.child(space, "payload").is_none())
    };
    if message.children().any(|child| keys_alone(&child)) {
        return false;
    }
    let says = message
        .child(ns::CLIENT, "body")
        .is_some_and(|body| !body.text().trim().is_empty());
    let calls = |child: Element<'_>| {
        child.is(ns::JINGLE_MESSAGE, "propose")
            || child.is(ns::CALL_INVITES, "invite")
            || child.is(ns::MENTION_NOTIFICATIONS, "mentions")
    };
    says || is_encrypted(message) || is_invitation(message) || message.children().any(calls)
}

/// Whether a child of a message says that the message is another one's copy (XEP-0280 §7, §8) or comes from an archive (XEP-0313 §4.2), in any version
/// of these: only a server may say that to its own users.
pub fn is_relayed(child: Element<'_>) -> bool {
    match child.name() {
        "received" | "sent" => child.ns().starts_with("urn:xmpp:carbons:"),
        "result" => child.ns().starts_with("urn:xmpp:mam:"),
        _ => false,
    }
}

/// XEP-0045 §7.8.2: an invitation that comes from the room, or its decline.
fn is_mediated_invitation(child: Element<'_>) -> bool {
    child.is(ns::MUC_USER, "x")
        && ["invite", "decline"]
            .iter()
            .any(|name| child.child(ns::MUC_USER, name).is_some())
}

/// Whether a message says nothing but how somebody types (XEP-0085 §5.6). Hints and ids, which clients add to that, say nothing of their own.
pub fn is_typing(message: Element<'_>) -> bool {
    let mut children = message
        .children()
        .filter(|child| {
            child.name() != "thread" && !child.is_in(ns::HINTS) && !child.is_in(ns::STANZA_ID)
        })
        .peekable();
    children.peek().is_some() && children.all(|child| child.is_in(ns::CHAT_STATES))
}

/// Whether a room's presence says something of the recipient's own stay there (XEP-0045 §15.6): that it is the recipient's own, that somebody was
/// made to leave, or that the room is no more.
pub fn is_of_a_stay(presence: Element<'_>) -> bool {
    presence.child(ns::MUC_USER, "x").is_some_and(|x| {
        ["status", "destroy"]
            .iter()
            .any(|name| x.child(ns::MUC_USER, name).is_some())
    })
}

/// Whether a message has this hint (XEP-0334 §4): `no-permanent-store`, `no-store`, `no-copy` or `store`.
pub fn hints(message: Element<'_>, hint: &str) -> bool {
    message.child(ns::HINTS, hint).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn of(children: &str) -> (bool, bool) {
        let message = Document::parse(format!(
            "<message xmlns='jabber:client'>{children}</message>"
        ))
        .expect("XML");
        (is_conversation(message.root()), is_typing(message.root()))
    }

    #[test]
    fn what_is_said_is_told_from_how_it_is_typed() {
        let states = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
        assert_eq!(of("<body>hi</body>"), (true, false));
        assert_eq!(of(&format!("<body>hi</body>{states}")), (true, false));
        assert_eq!(of(states), (false, true));
        assert_eq!(of(&format!("<thread>t</thread>{states}")), (false, true));
        // As Conversations and Gajim send it.
        let hints = "<no-store xmlns='urn:xmpp:hints'/><origin-id xmlns='urn:xmpp:sid:0' id='1'/>";
        assert_eq!(of(&format!("{states}{hints}")), (false, true));
        assert_eq!(of(hints), (false, false));
        assert_eq!(of(""), (false, false));
        assert_eq!(of("<thread>t</thread>"), (false, false));
        assert_eq!(
            of("<markable xmlns='urn:xmpp:chat-markers:0'/>"),
            (false, false)
        );
        assert_eq!(
            of("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"),
            (true, false)
        );
        assert_eq!(of("<body xmlns='urn:example'>no</body>"), (false, false));
        assert_eq!(
            of("<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>"),
            (true, false)
        );
        assert_eq!(
            of("<x xmlns='http://jabber.org/protocol/muc#user'/>"),
            (false, false)
        );
    }
}
