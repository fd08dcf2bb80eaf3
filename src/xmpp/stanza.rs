//! The head of a stanza, parsed once at the gate: what handlers may assume.

use super::jid::Jid;
use crate::xml::{Checked, Document, Element};
use std::borrow::Cow;
use std::rc::Rc;

/// The three stanzas (RFC 6120 §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Push: a message.
    Message,
    /// Publish: presence.
    Presence,
    /// Request and response.
    Iq,
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Presence => "presence",
            Kind::Iq => "iq",
        }
    }
}

/// RFC 6121 §5.2.2. An unknown or missing type reads as `Normal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// Part of a one-to-one conversation.
    Chat,
    /// An answer to a message that could not be delivered.
    Error,
    /// To or from a room.
    Groupchat,
    /// An alert; nobody is expected to answer, nothing keeps it.
    Headline,
    /// Outside of a conversation.
    Normal,
}

impl MessageType {
    /// The attribute's value; none for `Normal`, which needs none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            MessageType::Chat => Some("chat"),
            MessageType::Error => Some("error"),
            MessageType::Groupchat => Some("groupchat"),
            MessageType::Headline => Some("headline"),
            MessageType::Normal => None,
        }
    }
}

/// RFC 6121 §4.7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceType {
    /// No type: available.
    Available,
    /// Not available any more.
    Unavailable,
    /// Asks for the other's presence.
    Subscribe,
    /// Allows one's presence.
    Subscribed,
    /// Ends one's interest.
    Unsubscribe,
    /// Denies or cancels the other's.
    Unsubscribed,
    /// A server asks for the current presence.
    Probe,
    /// An answer to presence that could not be delivered.
    Error,
}

impl PresenceType {
    /// The attribute's value; none for `Available`.
    pub fn name(self) -> Option<&'static str> {
        match self {
            PresenceType::Available => None,
            PresenceType::Unavailable => Some("unavailable"),
            PresenceType::Subscribe => Some("subscribe"),
            PresenceType::Subscribed => Some("subscribed"),
            PresenceType::Unsubscribe => Some("unsubscribe"),
            PresenceType::Unsubscribed => Some("unsubscribed"),
            PresenceType::Probe => Some("probe"),
            PresenceType::Error => Some("error"),
        }
    }

    /// Whether it manages a subscription (RFC 6121 §3): such presence carries bare JIDs.
    pub fn is_subscription(self) -> bool {
        use PresenceType::*;
        matches!(self, Subscribe | Subscribed | Unsubscribe | Unsubscribed)
    }
}

/// RFC 6120 §8.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IqType {
    /// Asks.
    Get,
    /// Changes.
    Set,
    /// Answers.
    Result,
    /// Refuses.
    Error,
}

/// The type of a stanza of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StanzaType {
    /// A message's.
    Message(MessageType),
    /// A presence's.
    Presence(PresenceType),
    /// An iq's.
    Iq(IqType),
}

impl StanzaType {
    /// Reads the type attribute; `None` where the kind does not have it and the stanza must be refused (RFC 6120 §8.2.3, RFC 6121 §4.7.1).
    pub fn parse(kind: Kind, value: Option<&str>) -> Option<StanzaType> {
        Some(match kind {
            Kind::Message => StanzaType::Message(match value {
                Some("chat") => MessageType::Chat,
                Some("error") => MessageType::Error,
                Some("groupchat") => MessageType::Groupchat,
                Some("headline") => MessageType::Headline,
                // RFC 6121 §5.2.2: an unknown value is taken as "normal".
                _ => MessageType::Normal,
            }),
            Kind::Presence => StanzaType::Presence(match value {
                None => PresenceType::Available,
                Some("unavailable") => PresenceType::Unavailable,
                Some("subscribe") => PresenceType::Subscribe,
                Some("subscribed") => PresenceType::Subscribed,
                Some("unsubscribe") => PresenceType::Unsubscribe,
                Some("unsubscribed") => PresenceType::Unsubscribed,
                Some("probe") => PresenceType::Probe,
                Some("error") => PresenceType::Error,
                Some(_) => return None,
            }),
            Kind::Iq => StanzaType::Iq(match value? {
                "get" => IqType::Get,
                "set" => IqType::Set,
                "result" => IqType::Result,
                "error" => IqType::Error,
                _ => return None,
            }),
        })
    }

    /// Whether it is an error: nobody may answer it with another one (RFC 6120 §8.3.1).
    pub fn is_error(self) -> bool {
        matches!(
            self,
            StanzaType::Message(MessageType::Error)
                | StanzaType::Presence(PresenceType::Error)
                | StanzaType::Iq(IqType::Error)
        )
    }
}

/// A stanza on its way: its sender is who it says, its head is parsed, its body is untouched.
#[derive(Clone)]
pub struct Stanza<'a> {
    /// Which of the three.
    pub kind: Kind,
    /// Its type.
    pub stanza_type: StanzaType,
    /// Who sent it, stamped by us: the full JID of a session, or who speaks for itself on this server, as its domain does.
    pub from: Jid<'a>,
    /// Whom it is for; absent where the sender left that to us.
    pub to: Option<Jid<'a>>,
    /// Its id, decoded.
    pub id: Option<Cow<'a, str>>,
    /// The language of its stream, for an element that names none (RFC 6120 §8.1.5); absent where recipients take the same for granted.
    pub lang: Option<Rc<str>>,
    /// The whole element.
    pub xml: Checked<'a>,
}

impl<'a> Stanza<'a> {
    /// The only child of a request; the gate refuses requests with none or several.
    pub fn payload(&self) -> Option<Element<'_>> {
        self.xml.root().children().next()
    }

    /// The type as a message's; `None` for other kinds.
    pub fn message_type(&self) -> Option<MessageType> {
        match self.stanza_type {
            StanzaType::Message(message_type) => Some(message_type),
            _ => None,
        }
    }

    /// The type as a presence's; `None` for other kinds.
    pub fn presence_type(&self) -> Option<PresenceType> {
        match self.stanza_type {
            StanzaType::Presence(presence_type) => Some(presence_type),
            _ => None,
        }
    }

    /// Whether it is a request, which is answered: an iq of type `get` or `set`.
    pub fn asks(&self) -> bool {
        matches!(self.iq_type(), Some(IqType::Get | IqType::Set))
    }

    /// The type as an iq's; `None` for other kinds.
    pub fn iq_type(&self) -> Option<IqType> {
        match self.stanza_type {
            StanzaType::Iq(iq_type) => Some(iq_type),
            _ => None,
        }
    }
}

/// A stanza that is taken later: an own copy of it.
pub struct Postponed {
    document: Document,
    kind: Kind,
    stanza_type: StanzaType,
    from: Jid<'static>,
    to: Option<Jid<'static>>,
    id: Option<String>,
    lang: Option<Rc<str>>,
}

impl Postponed {
    /// Copies a stanza; `None` where it is too long to be parsed again.
    pub fn of(stanza: &Stanza<'_>) -> Option<Postponed> {
        Some(Postponed {
            document: Document::parse(stanza.xml.root().standalone()).ok()?,
            kind: stanza.kind,
            stanza_type: stanza.stanza_type,
            from: stanza.from.clone().into_owned(),
            to: stanza.to.clone().map(Jid::into_owned),
            id: stanza.id.as_deref().map(str::to_owned),
            lang: stanza.lang.clone(),
        })
    }

    /// The stanza, which reads as it did.
    pub fn stanza(&self) -> Stanza<'_> {
        Stanza {
            kind: self.kind,
            stanza_type: self.stanza_type,
            from: self.from.clone(),
            to: self.to.clone(),
            id: self.id.as_deref().map(Cow::Borrowed),
            lang: self.lang.clone(),
            xml: self.document.checked(),
        }
    }
}
