//! RFC 6121 §2: the contact list, with versions (§2.6). Complete.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::engine::stream::{Stage, Stream};
use crate::engine::subscription::write_item;
use crate::limits;
use crate::xml::{Element, Writer, written};
use crate::xmpp::{Condition, Jid, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "RFC 6121 §2",
    title: "Managing the Roster",
    account_features: &[ns::ROSTER],
    iq: &[
        IqRoute {
            ns: ns::ROSTER,
            name: "query",
            at: At::OwnAccount,
            takes: Takes::Get,
            handle: get,
        },
        IqRoute {
            ns: ns::ROSTER,
            name: "query",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: set,
        },
    ],
    stream_features: Some(offer),
    ..Feature::NONE
};

/// RFC 6121 §2.6.1: versions are offered where the roster is.
fn offer(_: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    if let Stage::Negotiating(login) = &stream.stage
        && login.account.is_some()
    {
        out.start("ver").attr("xmlns", ns::ROSTER_VERSIONS).end();
    }
}

/// RFC 6121 §2.1.3: the list, and from now on its changes.
fn get(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let known = iq.payload.attr("ver");
    if let Some(session) = engine.session_mut(iq.session) {
        session.interested = true;
        session.versioned = known.is_some();
    }
    // §2.6.1: a client that does not ask for a version gets none.
    let version = match &known {
        Some(_) => Some(engine.roster_version(iq.account)?),
        None => None,
    };
    // §2.6.2: what the client has is what there is.
    if known.is_some() && known.as_deref() == version.as_deref() {
        return Ok(Answer::Empty);
    }
    let items = engine.roster(iq.account)?;
    let payload = written(|out| {
        out.start("query")
            .attr("xmlns", ns::ROSTER)
            .attr_opt("ver", version.as_deref());
        for item in &items {
            write_item(item, out);
        }
        out.end();
    });
    Ok(Answer::Payload(payload))
}

/// RFC 6121 §2.3, §2.4, §2.5: adds, changes or removes one contact.
fn set(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    // §2.3.3: exactly one item.
    let mut items = iq
        .payload
        .children()
        .filter(|child| child.is(ns::ROSTER, "item"));
    let (Some(wanted), None) = (items.next(), items.next()) else {
        return Err(Condition::BadRequest.into());
    };
    let jid = wanted.attr("jid").ok_or(Condition::BadRequest)?;
    let jid = Jid::parse(&jid)
        .map_err(|_| Condition::JidMalformed)?
        .to_bare();
    if wanted.attr("subscription").as_deref() == Some("remove") {
        return match engine.remove_contact(iq.account, &jid)? {
            true => Ok(Answer::Empty),
            // §2.5.3.
            false => Err(Condition::ItemNotFound.into()),
        };
    }
    // §2.1.2.3: one is no contact of oneself.
    if jid.as_str() == iq.stanza.from.bare() {
        return Err(Condition::NotAllowed.into());
    }
    let name = wanted
        .attr("name")
        .filter(|name| !name.is_empty())
        .map(|name| name.into_owned());
    let groups = groups(&wanted)?;
    if name
        .as_ref()
        .is_some_and(|name| name.len() > limits::ROSTER_NAME_BYTES)
    {
        return Err(StanzaError::text(
            Condition::NotAcceptable,
            "the contact's name is too long",
        ));
    }
    let Some(mut item) = engine.contact_item(iq.account, &jid)? else {
        return Err(Condition::ItemNotFound.into());
    };
    engine.check_room(iq.account, &item)?;
    // §2.1.2.2, §2.1.2.5: what the subscription is, is not the client's to say.
    (item.name, item.groups, item.listed) = (name, groups, true);
    engine.save_contact(iq.account, &item)?;
    Ok(Answer::Empty)
}

/// RFC 6121 §2.1.2.6 and the refusals of §2.3.3.
fn groups(item: &Element<'_>) -> Result<Vec<String>, StanzaError> {
    let mut groups: Vec<String> = Vec::new();
    for group in item
        .children()
        .filter(|child| child.is(ns::ROSTER, "group"))
    {
        let name = group.text().into_owned();
        if name.is_empty() || name.len() > limits::ROSTER_NAME_BYTES {
            return Err(Condition::NotAcceptable.into());
        }
        if groups.contains(&name) {
            return Err(Condition::BadRequest.into());
        }
        groups.push(name);
        if groups.len() > limits::GROUPS_PER_CONTACT {
            return Err(StanzaError::text(
                Condition::NotAcceptable,
                "the contact is in too many groups",
            ));
        }
    }
    Ok(groups)
}
