//! Namespace names, as their specifications spell them.

/// RFC 6120 §4.8: the content namespace of a client's stream.
pub const CLIENT: &str = "jabber:client";
/// RFC 6120 §4.8: the stream namespace.
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// RFC 6120 §4.9.2: conditions of a stream error.
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// RFC 6120 §8.3.2: conditions of a stanza error.
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// RFC 6120 §5: STARTTLS.
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// RFC 6120 §6: SASL.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// RFC 6120 §7: resource binding.
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// RFC 3921 §3: the session that RFC 6121 made a no-op; old clients still ask for it.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// RFC 6121 §2: the contact list.
pub const ROSTER: &str = "jabber:iq:roster";
/// RFC 6121 §2.6.1: versions of the contact list.
pub const ROSTER_VERSIONS: &str = "urn:xmpp:features:rosterver";
/// XEP-0049: XML that clients keep for themselves.
pub const PRIVATE: &str = "jabber:iq:private";
/// XEP-0054: vCards as XMPP has had them from the start.
pub const VCARD: &str = "vcard-temp";
/// XEP-0292: vCards as RFC 6351 writes them.
pub const VCARD4: &str = "urn:ietf:params:xml:ns:vcard-4.0";
/// XEP-0012: how long somebody has been away.
pub const LAST: &str = "jabber:iq:last";
/// XEP-0055: searching for people.
pub const SEARCH: &str = "jabber:iq:search";
/// XEP-0115: the hash of what an entity can.
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// XEP-0157: the form with contact addresses.
pub const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";
/// RFC 6121 §3.4: pre-approval of subscriptions.
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// XEP-0030: what an entity is and can.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// XEP-0030: what an entity contains.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// XEP-0050: commands that a client can execute without knowing them.
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// XEP-0077: registration, and its stream feature.
pub const REGISTER: &str = "jabber:iq:register";
/// XEP-0077 §8: the stream feature that announces registration.
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
/// XEP-0085: typing notifications.
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0092: name and version of software.
pub const VERSION: &str = "jabber:iq:version";
/// XEP-0133: the forms of service administration, and what its commands' nodes begin with.
pub const ADMIN: &str = "http://jabber.org/protocol/admin";
/// XEP-0138: stream compression, which is not offered.
pub const COMPRESS: &str = "http://jabber.org/protocol/compress";
/// XEP-0191: whom a user blocks.
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// XEP-0191 §3.3: the condition of an error about somebody who is blocked.
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// XEP-0199: ping.
pub const PING: &str = "urn:xmpp:ping";
/// XEP-0202: the time where an entity is.
pub const TIME: &str = "urn:xmpp:time";
/// XEP-0203: when a delayed stanza was first sent.
pub const DELAY: &str = "urn:xmpp:delay";
/// XEP-0334: hints how a message wants to be stored.
pub const HINTS: &str = "urn:xmpp:hints";
/// XEP-0359: ids of stanzas that do not change on the way.
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// XEP-0377: a report to the operator about who is blocked.
pub const REPORTING: &str = "urn:xmpp:reporting:1";
/// XEP-0440: the channel bindings that the server can.
pub const CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
/// XEP-0478: limits of the stream.
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// XEP-0184: delivery receipts.
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// XEP-0249: direct invitations to a room.
pub const DIRECT_INVITATION: &str = "jabber:x:conference";
/// XEP-0027: encryption with OpenPGP as old clients do it.
pub const LEGACY_OPENPGP: &str = "jabber:x:encrypted";
/// XEP-0308: last message correction.
pub const CORRECTION: &str = "urn:xmpp:message-correct:0";
/// XEP-0333: chat markers.
pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
/// XEP-0353: calls proposed by message.
pub const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
/// XEP-0373: OpenPGP for XMPP.
pub const OPENPGP: &str = "urn:xmpp:openpgp:0";
/// XEP-0384: OMEMO encryption.
pub const OMEMO: &str = "urn:xmpp:omemo:2";
/// XEP-0384 version 0.3: OMEMO as most clients speak it.
pub const LEGACY_OMEMO: &str = "eu.siacs.conversations.axolotl";
/// XEP-0424: message retraction.
pub const RETRACTION: &str = "urn:xmpp:message-retract:1";
/// XEP-0444: message reactions.
pub const REACTIONS: &str = "urn:xmpp:reactions:0";
/// XEP-0447: stateless file sharing.
pub const STATELESS_FILES: &str = "urn:xmpp:sfs:0";
/// XEP-0461: message replies.
pub const REPLY: &str = "urn:xmpp:reply:0";
/// XEP-0482: invitations to calls.
pub const CALL_INVITES: &str = "urn:xmpp:call-invites:0";
/// XEP-0045: what a room says to a user.
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
