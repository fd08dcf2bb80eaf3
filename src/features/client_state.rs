//! XEP-0352: Client State Indication. What waits for a client that nobody looks at, and what wakes it, is in `engine/inactivity.rs`; what a stanza is
//! worth to it in `engine/delivery.rs`. Nobody else learns the state (§6): nothing but what is sent to that client depends on it. Complete.

use crate::engine::Engine;
use crate::engine::feature::{ElementRoute, Feature};
use crate::engine::stream::{Stage, Stream};
use crate::xml::Writer;
use crate::xmpp::ns;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0352",
    title: "Client State Indication",
    elements: &[
        // §4.2: neither is answered, and what they cause is done before what follows them (§5.1).
        ElementRoute {
            ns: ns::CLIENT_STATE,
            name: "active",
            handle: |engine, session, _, _| engine.set_active(session),
        },
        ElementRoute {
            ns: ns::CLIENT_STATE,
            name: "inactive",
            handle: |engine, session, _, _| engine.set_inactive(session),
        },
    ],
    stream_features: Some(offer),
    resumed: Some(Engine::set_active),
    ended: Some(Engine::forget_waiting),
    ..Feature::NONE
};

/// §4.1: offered once the client has logged in.
fn offer(_: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    if let Stage::Negotiating(login) = &stream.stage
        && login.account.is_some()
    {
        out.start("csi").attr("xmlns", ns::CLIENT_STATE).end();
    }
}
