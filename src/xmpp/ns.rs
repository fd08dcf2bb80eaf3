//! Namespace names, as their specifications spell them.

/// RFC 6120 §4.8: the content namespace of a client's stream.
pub const CLIENT: &str = "jabber:client";
/// XEP-0114 §3: the content namespace of a component's stream.
pub const COMPONENT: &str = "jabber:component:accept";
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
/// XEP-0292 §4: the node for a vCard4.
pub const VCARD4_NODE: &str = "urn:xmpp:vcard4";
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
/// XEP-0198: acknowledgements, and sessions that outlive their connection.
pub const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// XEP-0199: ping.
pub const PING: &str = "urn:xmpp:ping";
/// XEP-0202: the time where an entity is.
pub const TIME: &str = "urn:xmpp:time";
/// XEP-0203: when a delayed stanza was first sent.
pub const DELAY: &str = "urn:xmpp:delay";
/// XEP-0313: archives of messages, and XEP-0441: what goes there.
pub const ARCHIVE: &str = "urn:xmpp:mam:2";
/// XEP-0313 §7: queries by ids, pages the other way round, what an archive has.
pub const ARCHIVE_EXTENDED: &str = "urn:xmpp:mam:2#extended";
/// XEP-0313 §7: the field `include-groupchat` is understood.
pub const ARCHIVE_GROUPCHAT_FIELD: &str = "urn:xmpp:mam:2#groupchat-field";
/// XEP-0297: a stanza inside of another.
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0122: what a field of a form takes.
pub const FORM_VALIDATION: &str = "http://jabber.org/protocol/xdata-validate";
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
/// XEP-0280: copies of messages to a user's other resources.
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// XEP-0280 §6.2: the rules of what is copied, all of them.
pub const CARBONS_RULES: &str = "urn:xmpp:carbons:rules:0";
/// XEP-0060: what a node tells its subscribers.
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// XEP-0308: last message correction.
pub const CORRECTION: &str = "urn:xmpp:message-correct:0";
/// XEP-0333: chat markers.
pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
/// XEP-0352: whether somebody looks at a client.
pub const CLIENT_STATE: &str = "urn:xmpp:csi:0";
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
/// XEP-0424 §4: archives that replace what is retracted.
pub const RETRACTION_TOMBSTONE: &str = "urn:xmpp:message-retract:1#tombstone";
/// XEP-0444: message reactions.
pub const REACTIONS: &str = "urn:xmpp:reactions:0";
/// XEP-0447: stateless file sharing.
pub const STATELESS_FILES: &str = "urn:xmpp:sfs:0";
/// XEP-0461: message replies.
pub const REPLY: &str = "urn:xmpp:reply:0";
/// XEP-0482: invitations to calls.
pub const CALL_INVITES: &str = "urn:xmpp:call-invites:0";
/// XEP-0452: a room tells who is not in it that they were mentioned.
pub const MENTION_NOTIFICATIONS: &str = "urn:xmpp:mmn:0";
/// XEP-0513: mentions that say whom they mean.
pub const MENTIONS: &str = "urn:xmpp:mentions:0";
/// XEP-0045: what a room says to a user.
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// XEP-0060: publish-subscribe, as anybody asks.
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// XEP-0060: publish-subscribe, as the owner of a node asks.
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// XEP-0060: conditions of its errors.
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// XEP-0060 §16.4.4: the form of a node's configuration.
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// XEP-0060 §7.1.5: the form of what must hold for a publication.
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// XEP-0060 §16.4.3: the form of what a node is.
pub const NODE_METADATA: &str = "http://jabber.org/protocol/pubsub#meta-data";
/// XEP-0060 §16.4.1: the form by which an owner agrees to a subscription.
pub const SUBSCRIBE_AUTHORIZATION: &str =
    "http://jabber.org/protocol/pubsub#subscribe_authorization";
/// XEP-0084: what an avatar is, and the node for it.
pub const AVATAR_METADATA: &str = "urn:xmpp:avatar:metadata";
/// XEP-0084: the image of an avatar, and the node for it.
pub const AVATAR_DATA: &str = "urn:xmpp:avatar:data";
/// XEP-0153: the hash of a vCard's photo in presence.
pub const VCARD_UPDATE: &str = "vcard-temp:x:update";
/// XEP-0398: avatars of XEP-0084 and of vCards are the same.
pub const AVATAR_CONVERSION: &str = "urn:xmpp:pep-vcard-conversion:0";
/// XEP-0048: bookmarks in private XML.
pub const LEGACY_BOOKMARKS: &str = "storage:bookmarks";
/// XEP-0402: bookmarks, and the node for them.
pub const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";
/// XEP-0490: up to where chats were read, and the node for it.
pub const DISPLAYED: &str = "urn:xmpp:mds:displayed:0";
/// XEP-0045: what a client says that enters a room.
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// XEP-0045: roles and affiliations, read and changed.
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// XEP-0045: what an owner does.
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// XEP-0045: the form of a room's configuration.
pub const MUC_ROOMCONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// XEP-0045: the form of what a room tells of itself.
pub const MUC_ROOMINFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// XEP-0045: the form of who wants to be a member.
pub const MUC_REGISTER: &str = "http://jabber.org/protocol/muc#register";
/// XEP-0045: the form of who wants voice.
pub const MUC_REQUEST: &str = "http://jabber.org/protocol/muc#request";
/// XEP-0317: hats.
pub const HATS: &str = "urn:xmpp:hats:0";
/// XEP-0421: ids of occupants.
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// XEP-0425: messages taken back by a moderator.
pub const MODERATION: &str = "urn:xmpp:message-moderate:1";
/// XEP-0463: versions of affiliations.
pub const MAV: &str = "urn:xmpp:muc:affiliations:1";
/// XEP-0357: push notifications.
pub const PUSH: &str = "urn:xmpp:push:0";
/// XEP-0357 §7: the form that sums up what happened.
pub const PUSH_SUMMARY: &str = "urn:xmpp:push:summary";
/// XEP-0380: that a message is encrypted, and how.
pub const ENCRYPTION: &str = "urn:xmpp:eme:0";
