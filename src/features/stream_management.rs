//! XEP-0198: Stream Management. What it does to a session is `engine/resumption.rs`; here are its elements. Left out: its forms inside
//! of SASL2 and Bind 2 (§9), which are not there.

use crate::engine::feature::{ElementRoute, Feature};
use crate::engine::session::SessionId;
use crate::engine::stream::{Stage, Stream};
use crate::engine::{ConnId, Engine, Flow};
use crate::xml::{Checked, Element, Writer, written};
use crate::xmpp::{Condition, StreamError, ns};
use std::net::SocketAddr;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0198",
    title: "Stream Management",
    leaves_out: "the forms inside of SASL2 and Bind 2 (§9)",
    elements: &[
        route("enable", enable),
        route("resume", resume_bound),
        route("r", requested),
        route("a", acknowledged),
    ],
    before_login: Some(before_bind),
    stream_features: Some(offer),
    ..Feature::NONE
};

type Handler = fn(&mut Engine, SessionId, ConnId, Checked<'_>);

const fn route(name: &'static str, handle: Handler) -> ElementRoute {
    ElementRoute {
        ns: ns::STREAM_MANAGEMENT,
        name,
        handle,
    }
}

/// XEP-0198 §2: where a resource can be bound, or a session resumed.
fn offer(_: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    if let Stage::Negotiating(login) = &stream.stage
        && login.account.is_some()
    {
        out.start("sm").attr("xmlns", ns::STREAM_MANAGEMENT).end();
    }
}

/// XEP-0198 §3, §5: a stream without a resource may only resume, and only once it has logged in.
fn before_bind(engine: &mut Engine, conn: ConnId, xml: Checked<'_>) -> Option<Flow> {
    let root = xml.root();
    if !root.is_in(ns::STREAM_MANAGEMENT) {
        return None;
    }
    let stage = engine.stream(conn).map(|stream| &stream.stage);
    let known = matches!(stage, Some(Stage::Negotiating(login)) if login.account.is_some());
    match root.name() {
        "resume" if known => return Some(resume(engine, conn, root)),
        "resume" | "enable" => {}
        _ => return None,
    }
    engine.fail_management(conn, Condition::UnexpectedRequest, None);
    Some(match known {
        true => Flow::Continue,
        // RFC 6120 §4.9.3.12: a stranger has no second guess (HOLES 10).
        false => engine.end_stream(conn, StreamError::NotAuthorized, None),
    })
}

/// XEP-0198 §5.
fn resume(engine: &mut Engine, conn: ConnId, request: Element<'_>) -> Flow {
    let (Some(token), Some(h)) = (request.attr("previd"), count(request)) else {
        engine.fail_management(conn, Condition::BadRequest, None);
        return Flow::Continue;
    };
    engine.resume_session(conn, &token, h)
}

/// XEP-0198 §3: from here on both sides count.
fn enable(engine: &mut Engine, session: SessionId, conn: ConnId, xml: Checked<'_>) {
    let root = xml.root();
    // XML Schema part 2 §3.2.2: the two ways to write what is true.
    let resume = matches!(root.attr("resume").as_deref(), Some("true" | "1"));
    // What is no positive number is no wish.
    let wish = root.attr("max").and_then(|max| max.trim().parse().ok());
    let wish = wish.filter(|seconds| *seconds > 0).unwrap_or(u64::MAX);
    let Ok(terms) = engine.manage(session, conn, resume.then_some(wish)) else {
        // One try is all that a stream has, and SHOULD end with the second.
        engine.fail_management(conn, Condition::UnexpectedRequest, None);
        let text = "stream management is enabled already";
        engine.end_stream(conn, StreamError::PolicyViolation, Some(text));
        return;
    };
    let location = location(engine, conn);
    let text = written(|out| {
        out.start("enabled").attr("xmlns", ns::STREAM_MANAGEMENT);
        if let Some(terms) = terms {
            out.attr("id", &terms.token)
                .attr("resume", "true")
                .attr("max", &terms.seconds.to_string())
                .attr_opt("location", location.as_deref());
        }
        out.end();
    });
    engine.send(conn, &text);
}

/// XEP-0198 §3: where the client reaches this server again, in the same way as this time, without asking the DNS first. It is said only where it
/// is known: the domain must name this machine itself, which a name of mDNS or `localhost` does and one of the DNS, with its SRV records,
/// need not; and there must be one port.
fn location(engine: &Engine, conn: ConnId) -> Option<String> {
    let listen = &engine.config.listen;
    let addresses = match engine.stream(conn)?.direct_tls {
        true => &listen.c2s_tls,
        false => &listen.c2s,
    };
    place(&engine.config.domain, addresses)
}

fn place(domain: &str, addresses: &[SocketAddr]) -> Option<String> {
    let is_host = domain == "localhost" || domain.ends_with(".local");
    let port = addresses.first()?.port();
    let one = addresses.iter().all(|address| address.port() == port);
    (is_host && one && port != 0).then(|| format!("{domain}:{port}"))
}

/// A stream that has its resource cannot become another.
fn resume_bound(engine: &mut Engine, _: SessionId, conn: ConnId, _: Checked<'_>) {
    engine.fail_management(conn, Condition::UnexpectedRequest, None);
}

/// XEP-0198 §4: what was handled?
fn requested(engine: &mut Engine, session: SessionId, conn: ConnId, _: Checked<'_>) {
    match engine.is_managed(session) {
        true => engine.acknowledge(session),
        false => engine.fail_management(conn, Condition::UnexpectedRequest, None),
    }
}

/// XEP-0198 §4: so many were handled.
fn acknowledged(engine: &mut Engine, session: SessionId, conn: ConnId, xml: Checked<'_>) {
    if !engine.is_managed(session) {
        return engine.fail_management(conn, Condition::UnexpectedRequest, None);
    }
    match count(xml.root()) {
        Some(h) => engine.take_acknowledgement(session, conn, h),
        None => {
            let text = "an acknowledgement needs its 'h'";
            engine.end_stream(conn, StreamError::BadFormat, Some(text));
        }
    }
}

/// The `h` of an element: 32 bits (XEP-0198 §4).
fn count(element: Element<'_>) -> Option<u32> {
    let h = element.attr("h")?;
    let h = h.trim();
    // A sign is not part of an unsignedInt that we would count from.
    h.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| h.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_only_named_where_it_is_known() {
        let listen = |addresses: &[&str]| -> Vec<SocketAddr> {
            addresses.iter().map(|one| one.parse().unwrap()).collect()
        };
        for (domain, addresses, named) in [
            ("pi.local", &["[::]:5222"][..], Some("pi.local:5222")),
            ("localhost", &["127.0.0.1:15222"], Some("localhost:15222")),
            (
                "pi.local",
                &["10.0.0.1:5222", "[fd00::1]:5222"],
                Some("pi.local:5222"),
            ),
            ("pi.local", &["10.0.0.1:5222", "10.0.0.1:443"], None),
            ("pi.local", &["[::]:0"], None),
            ("pi.local", &[], None),
            ("example.org", &["[::]:5222"], None),
        ] {
            let came = place(domain, &listen(addresses));
            assert_eq!(came.as_deref(), named, "{domain} {addresses:?}");
        }
    }
}
