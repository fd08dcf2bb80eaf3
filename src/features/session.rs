//! What clients ask for once a resource is bound. RFC 3921 §3: the session that RFC 6121 dropped; old clients stop when it is refused, so it is
//! offered as optional and answered with success, and does nothing. RFC 6120 §7: a second resource, which a stream does not get.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::engine::stream::{Stage, Stream};
use crate::xml::Writer;
use crate::xmpp::{Condition, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "RFC 3921 §3",
    title: "Session Establishment (a no-op for old clients)",
    iq: &[
        IqRoute {
            ns: ns::SESSION,
            name: "session",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: establish,
        },
        IqRoute {
            ns: ns::SESSION,
            name: "session",
            at: At::Server,
            takes: Takes::Set,
            handle: establish,
        },
        IqRoute {
            ns: ns::BIND,
            name: "bind",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: bind_again,
        },
        IqRoute {
            ns: ns::BIND,
            name: "bind",
            at: At::Server,
            takes: Takes::Set,
            handle: bind_again,
        },
    ],
    stream_features: Some(offer),
    ..Feature::NONE
};

fn offer(_: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    if let Stage::Negotiating(login) = &stream.stage
        && login.account.is_some()
    {
        out.start("session")
            .attr("xmlns", ns::SESSION)
            .leaf("optional", "")
            .end();
    }
}

fn establish(_: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    Ok(Answer::Empty)
}

/// RFC 6120 §7.6.2.2: one resource a stream.
fn bind_again(_: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    Err(StanzaError::text(
        Condition::NotAllowed,
        "this stream has its resource",
    ))
}
