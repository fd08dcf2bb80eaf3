//! What the server can: one file per RFC chapter or XEP. No file here imports another; what two of them share lives in `engine` or `store`.
//!
//! [`ALL`] is the table: its order is the order of hooks, of disco and of the README's list.

pub mod administration;
pub mod announce;
pub mod blocking;
pub mod caps;
pub mod commands;
pub mod contact;
pub mod core;
pub mod disco;
pub mod last;
pub mod limits;
pub mod offline;
pub mod ping;
pub mod presence;
pub mod private;
pub mod register;
pub mod reporting;
pub mod roster;
pub mod search;
pub mod session;
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
    limits::FEATURE,
    register::FEATURE,
    session::FEATURE,
    roster::FEATURE,
    blocking::FEATURE,
    reporting::FEATURE,
    subscription::FEATURE,
    last::FEATURE,
    caps::FEATURE,
    presence::FEATURE,
    offline::FEATURE,
    announce::FEATURE,
    disco::FEATURE,
    commands::FEATURE,
    administration::FEATURE,
    disco::EXTENSIONS,
    core::DATA_FORMS,
    contact::FEATURE,
    private::FEATURE,
    vcard::FEATURE,
    vcard::VCARD4,
    search::FEATURE,
    version::FEATURE,
    ping::FEATURE,
    time::FEATURE,
];
