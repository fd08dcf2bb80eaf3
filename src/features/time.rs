//! XEP-0202: Entity Time, of the server. The server keeps no time zone: it is UTC wherever it stands. Complete.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::xml::written;
use crate::xmpp::{StanzaError, ns, time};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0202",
    title: "Entity Time",
    server_features: &[ns::TIME],
    iq: &[IqRoute {
        ns: ns::TIME,
        name: "time",
        at: At::Server,
        takes: Takes::Get,
        handle: tell,
    }],
    ..Feature::NONE
};

/// XEP-0202 §3.
fn tell(engine: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let payload = written(|out| {
        out.start("time")
            .attr("xmlns", ns::TIME)
            .leaf("tzo", "+00:00")
            .leaf("utc", &time::format(engine.now.wall_ms))
            .end();
    });
    Ok(Answer::Payload(payload))
}
