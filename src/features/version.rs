//! XEP-0092: Software Version, of the server. The operating system stays unsaid: it helps an attacker more than a user (§4).

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::xml::written;
use crate::xmpp::{StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0092",
    title: "Software Version",
    leaves_out: "the operating system, on purpose",
    server_features: &[ns::VERSION],
    iq: &[IqRoute {
        ns: ns::VERSION,
        name: "query",
        at: At::Server,
        takes: Takes::Get,
        handle: tell,
    }],
    ..Feature::NONE
};

/// XEP-0092 §3.
fn tell(_: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let payload = written(|out| {
        out.start("query")
            .attr("xmlns", ns::VERSION)
            .leaf("name", "snug")
            .leaf("version", env!("CARGO_PKG_VERSION"))
            .end();
    });
    Ok(Answer::Payload(payload))
}
