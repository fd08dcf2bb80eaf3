//! What the server can: one file per RFC chapter or XEP. No file here imports another; what two of them share lives in `engine` or `store`.
//!
//! [`ALL`] is the table: its order is the order of hooks, of disco and of the README's list.

pub mod administration;
pub mod announce;
pub mod archive;
pub mod avatars;
pub mod blocking;
pub mod bookmarks;
pub mod caps;
pub mod carbons;
pub mod client_state;
pub mod commands;
pub mod contact;
pub mod core;
pub mod disco;
pub mod displayed;
pub mod last;
pub mod limits;
pub mod muc;
pub mod offline;
pub mod ping;
pub mod presence;
pub mod private;
pub mod pubsub;
pub mod push;
pub mod register;
pub mod reporting;
pub mod retraction;
pub mod roster;
pub mod search;
pub mod session;
pub mod stream_management;
pub mod subscription;
pub mod time;
pub mod vcard;
pub mod version;

use crate::engine::feature::Feature;

/// Every feature, in hook order.
pub static ALL: &[Feature] = &[
    core::STREAMS,
    core::DIRECT_TLS,
    core::SCRAM,
    core::CHANNEL_BINDING,
    core::DOWNGRADE,
    core::ROUTING,
    core::COMPONENTS,
    limits::FEATURE,
    register::FEATURE,
    session::FEATURE,
    stream_management::FEATURE,
    roster::FEATURE,
    blocking::FEATURE,
    reporting::FEATURE,
    subscription::FEATURE,
    last::FEATURE,
    caps::FEATURE,
    muc::FEATURE,
    muc::SELF_PING,
    muc::OCCUPANT_ID,
    muc::DIRECT_INVITATIONS,
    muc::MODERATION,
    muc::HATS,
    muc::VERSIONS,
    muc::AVATARS,
    muc::TOKENS,
    muc::SLOW_MODE,
    muc::ACTIVITY,
    muc::SEARCH,
    muc::MENTIONS,
    muc::EXPLICIT_MENTIONS,
    presence::FEATURE,
    archive::FEATURE,
    archive::PREFERENCES,
    archive::RESULT_SETS,
    archive::STANZA_IDS,
    archive::HINTS,
    retraction::FEATURE,
    carbons::FEATURE,
    client_state::FEATURE,
    push::FEATURE,
    offline::FEATURE,
    announce::FEATURE,
    disco::FEATURE,
    commands::FEATURE,
    administration::FEATURE,
    disco::EXTENSIONS,
    core::DATA_FORMS,
    contact::FEATURE,
    private::FEATURE,
    pubsub::PUBSUB,
    pubsub::PEP,
    pubsub::PRIVATE_DATA,
    pubsub::NICKNAME,
    bookmarks::FEATURE,
    bookmarks::LEGACY,
    displayed::FEATURE,
    vcard::FEATURE,
    vcard::VCARD4,
    avatars::AVATARS,
    avatars::VCARD_AVATARS,
    avatars::CONVERSION,
    search::FEATURE,
    version::FEATURE,
    ping::FEATURE,
    time::FEATURE,
];
