//! XEP-0490: Message Displayed Synchronization: a node that clients keep, and the server's help (§5.2): what stands in a message is taken out of
//! it (`Engine::forged`) and published in the sender's name.

use crate::engine::Engine;
use crate::engine::feature::{Feature, Outgoing, Step};
use crate::engine::pubsub::publish::Publication;
use crate::engine::pubsub::settings::settings;
use crate::engine::session::SessionId;
use crate::xmpp::{Condition, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0490",
    title: "Message Displayed Synchronization",
    account_features: &["urn:xmpp:mds:server-assist:0"],
    message_out: Some(assist),
    ..Feature::NONE
};

fn assist(engine: &mut Engine, outgoing: &mut Outgoing<'_, '_>) -> Step {
    let (session, stanza) = (outgoing.session, outgoing.stanza);
    if let Some(displayed) = stanza.xml.root().child(ns::DISPLAYED, "displayed")
        && !stanza.stanza_type.is_error()
        && let Some(to) = &stanza.to
        // §4.1: exactly one.
        && displayed.children().filter(|child| child.is(ns::STANZA_ID, "stanza-id")).count() == 1
        && let Err(error) = publish(engine, session, to.as_str(), displayed.standalone())
    {
        log::warn!("what was displayed could not be published: {error:?}");
    }
    Step::Continue
}

/// §5.2.3: with the configuration that §4.2 asks clients for.
fn publish(
    engine: &mut Engine,
    session: SessionId,
    chat: &str,
    xml: String,
) -> Result<(), StanzaError> {
    let owner = engine
        .session_owner(session)
        .ok_or(Condition::ItemNotFound)?;
    let private = settings(&[
        ("access_model", "whitelist"),
        ("max_items", "max"),
        ("send_last_published_item", "never"),
    ]);
    engine.ensure_node(&owner, ns::DISPLAYED, private)?;
    let by = engine.in_the_name_of(&owner);
    let publication = Publication::new(ns::DISPLAYED, Some(chat.to_owned()), xml);
    engine.publish(&owner, &by, publication).map(drop)
}
