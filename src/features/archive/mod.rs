//! XEP-0313: Message Archive Management, for users, with all of `#extended`; XEP-0059 as far as pages of an archive need it; XEP-0441: what a user wants to
//! have archived; XEP-0359: ids given by this server; XEP-0334: hints.
//!
//! A message is archived once for its sender, when it leaves, and once for its recipient, when it is let in; what one writes to oneself once, on arrival.
//! Rooms have archives of their own, so groupchat is in no user's; what is asked of any archive is `engine/archive_pages.rs`. A message that cannot be archived is delivered all the same.

mod preferences;
mod rules;

use crate::engine::Engine;
use crate::engine::archive_pages;
use crate::engine::feature::{At, Feature, Handle, Incoming, Iq, IqRoute, Outgoing, Step, Takes};
use crate::store::UserId;
use crate::store::archive::ArchiveId;
use crate::xml::Writer;
use crate::xmpp::{Condition, Jid, Stanza, StanzaError, ns, rsm};

/// The archive and what it is asked.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0313",
    title: "Message Archive Management (of users and rooms)",
    leaves_out: "groupchat in users' archives: rooms have their own",
    account_features: &[
        ns::ARCHIVE,
        ns::ARCHIVE_EXTENDED,
        ns::ARCHIVE_GROUPCHAT_FIELD,
    ],
    wanted: Some(|config| config.archive.enabled),
    // §8.1: to others it is nobody's. The XEP wishes for `forbidden`, which would tell who is there (HOLES 19).
    iq: &[
        route("query", Takes::Get, archive_pages::form),
        route("query", Takes::Set, |engine, iq| {
            archive_pages::query(engine, iq, own(engine, iq)?, |_| ())
        }),
        route("metadata", Takes::Get, |engine, iq| {
            archive_pages::metadata(engine, iq, own(engine, iq)?)
        }),
    ],
    message_out: Some(keep_sent),
    message_in: Some(keep_received),
    ..Feature::NONE
};

/// What a user wants to have archived.
pub const PREFERENCES: Feature = Feature {
    spec: "XEP-0441",
    title: "Message Archive Management Preferences",
    leaves_out: "the ad-hoc command for more of them",
    wanted: Some(|config| config.archive.enabled),
    iq: &[
        route("prefs", Takes::Get, preferences::get),
        route("prefs", Takes::Set, preferences::set),
    ],
    ..Feature::NONE
};

/// Pages.
pub const RESULT_SETS: Feature = Feature {
    spec: "XEP-0059",
    title: "Result Set Management (of archives)",
    leaves_out: "counts and pages by index: both would read the whole archive",
    account_features: &[rsm::NS],
    wanted: Some(|config| config.archive.enabled),
    ..Feature::NONE
};

/// Ids. Forged ones are removed also where nothing is archived: see [`Engine::forged`].
pub const STANZA_IDS: Feature = Feature {
    spec: "XEP-0359",
    title: "Unique and Stable Stanza IDs",
    account_features: &[ns::STANZA_ID],
    ..Feature::NONE
};

/// Hints, which `engine/content.rs` reads for archives, queues and copies.
pub const HINTS: Feature = Feature {
    spec: "XEP-0334",
    title: "Message Processing Hints",
    ..Feature::NONE
};

/// The user who asks, whose archive it is.
fn own(engine: &Engine, iq: &Iq<'_, '_>) -> Result<UserId, StanzaError> {
    let user = engine.user_of(iq.session).ok_or(Condition::ItemNotFound)?;
    Ok(user.id)
}

const fn route(name: &'static str, takes: Takes, handle: Handle) -> IqRoute {
    IqRoute {
        ns: ns::ARCHIVE,
        name,
        at: At::OwnAccount,
        takes,
        handle,
    }
}

/// XEP-0313 §3.3.1: what a user sends. §3.5: the id is for the user's own resources alone.
fn keep_sent(engine: &mut Engine, outgoing: &mut Outgoing<'_, '_>) -> Step {
    let stanza = outgoing.stanza;
    let Some(with) = &stanza.to else {
        return Step::Continue;
    };
    // What comes back is archived on its arrival.
    if with.bare() == stanza.from.bare() {
        return Step::Continue;
    }
    let Some((id, name)) = engine
        .user_of(outgoing.session)
        .map(|user| (user.id, user.name.clone()))
    else {
        return Step::Continue;
    };
    if let Some(kept) = keep(engine, &name, id, with, stanza) {
        outgoing.archived = true;
        write_id(stanza.from.bare(), &kept, &mut outgoing.append);
    }
    Step::Continue
}

/// XEP-0313 §3.3.1: what a user receives.
fn keep_received(engine: &mut Engine, incoming: &mut Incoming<'_, '_>) -> Step {
    let stanza = incoming.stanza;
    let with = Jid::from(&stanza.from);
    if let Some(kept) = keep(engine, incoming.account, incoming.id, &with, stanza) {
        incoming.archived = true;
        match engine.online(incoming.account) {
            Some(user) => write_id(user.jid.as_str(), &kept, &mut incoming.append),
            None => {
                let own = engine.bare_jid(incoming.account);
                write_id(own.as_str(), &kept, &mut incoming.append);
            }
        }
    }
    Step::Continue
}

/// Archives a message for a local account, if it is to be.
fn keep(
    engine: &mut Engine,
    name: &str,
    owner: UserId,
    with: &Jid<'_>,
    stanza: &Stanza<'_>,
) -> Option<ArchiveId> {
    if !engine.archive_on() {
        return None;
    }
    if let Some(why) = rules::refuses(stanza) {
        engine.trace(|| format!("archive: {why}"));
        return None;
    }
    match engine.archives(name, owner, with) {
        Ok(true) => {}
        Ok(false) => {
            engine.trace(|| format!("archive: {name} does not want it"));
            return None;
        }
        Err(error) => {
            // What is not known to be unwanted is kept: it can be removed, and the other way round it cannot be had again.
            log::error!("what {name:?} wants to have archived could not be read: {error}");
        }
    }
    engine.archive_message(owner, with, stanza)
}

/// XEP-0359 §3.
fn write_id(by: &str, id: &ArchiveId, out: &mut String) {
    Writer::new(out)
        .start("stanza-id")
        .attr("xmlns", ns::STANZA_ID)
        .attr("by", by)
        .attr("id", &id.text())
        .end();
}
