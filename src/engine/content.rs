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
    (ns::STATELESS_FILES, None),
    (ns::OMEMO, Some("encrypted")),
    (ns::LEGACY_OMEMO, Some("encrypted")),
    (ns::OPENPGP, Some("openpgp")),
    (ns::LEGACY_OPENPGP, Some("x")),
];

/// Whether a message belongs to a conversation: it has a body, or something that is worth as much as one (XEP-0280 §6.1, XEP-0313 §5.1.1):
/// receipts, markers, corrections, reactions, replies, retractions, calls, invitations, files, or what is encrypted.
pub fn is_conversation(message: Element<'_>) -> bool {
    message.children().any(|child| {
        CONVERSATION
            .iter()
            .any(|(space, name)| name.is_none_or(|name| child.name() == name) && child.is_in(space))
            || is_mediated_invitation(child)
    })
}

/// XEP-0045 §7.8.2: an invitation that comes from the room, or its decline.
fn is_mediated_invitation(child: Element<'_>) -> bool {
    child.is(ns::MUC_USER, "x")
        && ["invite", "decline"]
            .iter()
            .any(|name| child.child(ns::MUC_USER, name).is_some())
}

/// Whether a message says nothing but how somebody types (XEP-0085 §5.6).
pub fn is_typing(message: Element<'_>) -> bool {
    let mut children = message
        .children()
        .filter(|child| child.name() != "thread")
        .peekable();
    children.peek().is_some() && children.all(|child| child.is_in(ns::CHAT_STATES))
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
