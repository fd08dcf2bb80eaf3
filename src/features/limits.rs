//! XEP-0478: Stream Limits. What a client may send is said before it sends it. Complete.

use crate::engine::Engine;
use crate::engine::feature::Feature;
use crate::engine::stream::{Stage, Stream};
use crate::limits;
use crate::xml::Writer;
use crate::xmpp::ns;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0478",
    title: "Stream Limits Advertisement",
    stream_features: Some(offer),
    ..Feature::NONE
};

/// XEP-0478 §3.1: the bounds of this stage of the stream. Before TLS nothing is offered but TLS (RFC 6120 §5.3.1).
fn offer(engine: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    if stream.tls.is_none() {
        return;
    }
    let known = matches!(&stream.stage, Stage::Negotiating(login) if login.account.is_some());
    let idle_ms = if known {
        limits::SILENT_MS
    } else {
        limits::LOGIN_MS
    };
    out.start("limits").attr("xmlns", ns::STREAM_LIMITS);
    out.leaf("max-bytes", &engine.bounds(stream.conn).bytes.to_string());
    out.leaf("idle-seconds", &(idle_ms / 1000).to_string());
    out.end();
}
