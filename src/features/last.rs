//! XEP-0012: Last Activity: how long the server runs, how long an account is away and what it said when it left. A device is asked itself: the
//! gate forwards that. XEP-0012 §3 and §4 answer strangers with `forbidden`; here they get `service-unavailable`, for `forbidden` would tell
//! them that the account exists (HOLES 19). Complete.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Step, Takes};
use crate::engine::session::SessionId;
use crate::limits;
use crate::xml::written;
use crate::xmpp::{Condition, PresenceType, Stanza, StanzaError, ns};

/// The row. It stands before presence, which takes every presence that reaches it.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0012",
    title: "Last Activity",
    server_features: &[ns::LAST],
    account_features: &[ns::LAST],
    iq: &[
        IqRoute {
            ns: ns::LAST,
            name: "query",
            at: At::Server,
            takes: Takes::Get,
            handle: uptime,
        },
        IqRoute {
            ns: ns::LAST,
            name: "query",
            at: At::AnyAccount,
            takes: Takes::Get,
            handle: away,
        },
    ],
    presence_out: Some(hear),
    ended: Some(Engine::note_departure),
    tick: Some(Engine::keep_departures_each_minute),
    ..Feature::NONE
};

/// XEP-0012 §5.
fn uptime(engine: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let ms = engine.now.mono_ms.saturating_sub(engine.started.mono_ms);
    Ok(answer(ms / 1000, ""))
}

/// XEP-0012 §3: 0 while a resource is there, else the seconds since the last one left.
fn away(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    engine.check_visible(iq)?;
    if engine.online(iq.account).is_some() {
        return Ok(answer(0, ""));
    }
    let account = engine.store.account(iq.account)?;
    let account = account.ok_or(Condition::ItemNotFound)?;
    let left = engine.departure(&account)?.ok_or(Condition::ItemNotFound)?;
    // The wall clock of a Pi may go backwards.
    let ms = engine.now.wall_ms.saturating_sub(left.at_ms);
    Ok(answer(
        ms / 1000,
        left.farewell.as_deref().unwrap_or_default(),
    ))
}

fn answer(seconds: u64, said: &str) -> Answer {
    Answer::Payload(written(|out| {
        out.start("query")
            .attr("xmlns", ns::LAST)
            .attr("seconds", &seconds.to_string())
            .text(said)
            .end();
    }))
}

/// XEP-0012 §3: the status of the last unavailable presence to everybody.
fn hear(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Step {
    if stanza.to.is_none()
        && let Some(kind @ (PresenceType::Unavailable | PresenceType::Available)) =
            stanza.presence_type()
        && let Some(session) = engine.session_mut(session)
    {
        let status = stanza.xml.root().child(ns::CLIENT, "status");
        session.farewell = status
            .filter(|_| kind == PresenceType::Unavailable)
            .map(|status| status.text().into_owned())
            .filter(|text| !text.is_empty() && text.len() <= limits::FAREWELL_BYTES)
            .map(String::into_boxed_str);
    }
    Step::Continue
}
