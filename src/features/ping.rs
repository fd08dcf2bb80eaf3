//! XEP-0199: XMPP Ping. Answered for the server and for one's own account; the engine pings silent clients itself. Complete.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::xmpp::{StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0199",
    title: "XMPP Ping",
    server_features: &[ns::PING],
    account_features: &[ns::PING],
    iq: &[
        IqRoute {
            ns: ns::PING,
            name: "ping",
            at: At::Server,
            takes: Takes::Get,
            handle: pong,
        },
        IqRoute {
            ns: ns::PING,
            name: "ping",
            at: At::OwnAccount,
            takes: Takes::Get,
            handle: pong,
        },
    ],
    ..Feature::NONE
};

/// XEP-0199 §4.2.
fn pong(_: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    Ok(Answer::Empty)
}
