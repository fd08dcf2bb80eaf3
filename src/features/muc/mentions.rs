//! XEP-0513: mentions that say whom they mean, as far as the rules of the room let them (`mention_rules.rs`); XEP-0452: members who are not in the room hear that they were mentioned,
//! explicitly or by a reference (XEP-0372). Left out: spaces and other servers, which there are none of here; what mentions them goes through as it came.

use super::occupant;
use super::roles::{Role, affiliation_named};
use super::room::Room;
use crate::engine::Engine;
use crate::limits;
use crate::store::{Affiliation, MentionRules, Mentioners};
use crate::xml::{Element, written};
use crate::xmpp::{BareJid, Jid, StanzaError, ns, time};
use std::collections::{BTreeSet, HashMap};

/// XEP-0372.
const REFERENCE: &str = "urn:xmpp:reference:0";

/// What a room says in disco that it understands: itself, all who have a role or an affiliation, all who wear a hat.
pub const FEATURES: [&str; 11] = [
    ns::MENTIONS,
    "urn:xmpp:mentions:0#channel",
    "urn:xmpp:mentions:0#associations",
    "urn:xmpp:mentions:0#moderators",
    "urn:xmpp:mentions:0#participants",
    "urn:xmpp:mentions:0#visitors",
    "urn:xmpp:mentions:0#owner",
    "urn:xmpp:mentions:0#admin",
    "urn:xmpp:mentions:0#member",
    "urn:xmpp:mentions:0#none",
    "urn:xmpp:mentions:0#hats",
];

/// Whom a mention means.
enum Whom {
    /// Who has this occupant id.
    Occupant(String),
    /// Who has this address: a bare JID.
    Person(Option<String>),
    Channel,
    /// All with a role: they are in the room.
    Role,
    Affiliation(Affiliation),
    Hat(String),
    /// What is not known here.
    Others,
}

/// One mention of a message.
struct Mention {
    whom: Whom,
    /// §3.5.1: only who is active shall hear of it.
    active: bool,
    /// §3.5.2: nobody shall.
    silent: bool,
}

impl Mention {
    fn of(room: &Room, child: Element<'_>) -> Option<Mention> {
        if child.is(REFERENCE, "reference") {
            let uri = child.attr("uri")?;
            return (child.attr("type").as_deref() == Some("mention")).then(|| Mention {
                whom: Whom::Person(person(room, &uri)),
                active: false,
                silent: false,
            });
        }
        if !child.is(ns::MENTIONS, "mention") {
            return None;
        }
        let uri = child.attr("uri");
        let whom = match child.attr("mentions") {
            None => match child.attr("occupantid") {
                Some(id) => Whom::Occupant(id.into_owned()),
                None => Whom::Person(child.attr("jid").and_then(|jid| person(room, &jid))),
            },
            Some(kind) => {
                let kind = kind.strip_prefix(ns::MENTIONS).unwrap_or_default();
                match kind.trim_start_matches('#') {
                    // §3.2.1.1: without an address it is this one.
                    "channel" => match uri.is_none_or(|uri| address(&uri) == room.jid.as_str()) {
                        true => Whom::Channel,
                        false => Whom::Others,
                    },
                    "moderators" | "participants" | "visitors" => Whom::Role,
                    "hats" => Whom::Hat(uri.map(|uri| uri.into_owned()).unwrap_or_default()),
                    name => affiliation_named(name).map_or(Whom::Others, Whom::Affiliation),
                }
            }
        };
        Some(Mention {
            whom,
            active: child.child(ns::MENTIONS, "active").is_some(),
            silent: child.child(ns::MENTIONS, "noping").is_some(),
        })
    }

    fn is_allowed(&self, rules: &MentionRules, role: Role) -> bool {
        let who = match self.whom {
            Whom::Occupant(_) | Whom::Person(_) => rules.individual,
            Whom::Channel => rules.channel,
            Whom::Role | Whom::Affiliation(_) => rules.associations,
            Whom::Hat(_) => rules.hats,
            Whom::Others => return true,
        };
        match who {
            Mentioners::Participants => role >= Role::Participant,
            Mentioners::Moderators => role >= Role::Moderator,
            Mentioners::Nobody => false,
        }
    }
}

/// §3.6: explicit mentions that a room does not let through: those that their sender may not make, or all where they are too many.
pub fn unwanted<'s>(room: &Room, place: usize, root: Element<'s>) -> Vec<Element<'s>> {
    let rules = &room.record.config.mentions;
    let role = room.occupants[place].role;
    let all = || {
        root.children()
            .filter(|child| child.is(ns::MENTIONS, "mention"))
    };
    let too_many = all().count() > rules.count as usize;
    all()
        .filter(|child| {
            let mention = Mention::of(room, *child);
            too_many || mention.is_some_and(|mention| !mention.is_allowed(rules, role))
        })
        .collect()
}

/// XEP-0452 §3: passes a message on to those members whom it mentions and who are not here.
pub fn forward(
    engine: &mut Engine,
    room: &Room,
    place: usize,
    root: Element<'_>,
    text: &str,
) -> Result<(), StanzaError> {
    if !room.record.config.forward_mentions {
        return Ok(());
    }
    let rules = &room.record.config.mentions;
    let sender = &room.occupants[place];
    let mentions: Vec<Mention> = root
        .children()
        .filter_map(|child| Mention::of(room, child))
        .collect();
    if mentions.is_empty() || mentions.len() > rules.count as usize {
        return Ok(());
    }
    let known = ids(engine, room, &mentions);
    let mut told: BTreeSet<String> = BTreeSet::new();
    for mention in mentions {
        if mention.silent || !mention.is_allowed(rules, sender.role) {
            continue;
        }
        for jid in meant(engine, room, &known, &mention.whom) {
            let is_active = |jid: &str| {
                let local = jid.split('@').next().unwrap_or_default();
                let sessions = engine.sessions_of(local);
                sessions.iter().any(|id| engine.is_messageable(*id))
            };
            if !mention.active || is_active(&jid) {
                told.insert(jid);
            }
        }
    }
    let inner = notice(engine, room, text);
    let mut left = limits::ROOM_MENTIONED;
    for jid in told {
        let Ok(parsed) = Jid::parse(&jid) else {
            continue;
        };
        let here = room.occupants.iter().any(|one| one.bare.as_str() == jid);
        let is_member = room.affiliation(engine, &parsed) >= Affiliation::Member;
        let Some(name) = parsed.local().filter(|_| is_member && !here) else {
            continue;
        };
        if left == 0 {
            engine.trace(|| "room: too many are mentioned".to_owned());
            break;
        }
        left -= 1;
        engine.tell_account_from(&room.jid, (name, None), &inner, true)?;
    }
    Ok(())
}

/// The bare JIDs that a mention means, as far as they are not here for having a role.
fn meant(
    engine: &Engine,
    room: &Room,
    known: &HashMap<Box<str>, String>,
    whom: &Whom,
) -> Vec<String> {
    let people = room.people.values();
    let of = |wanted: Affiliation| {
        people
            .clone()
            .filter(move |one| one.affiliation == wanted)
            .map(|one| one.jid.clone())
            .collect::<Vec<_>>()
    };
    match whom {
        Whom::Occupant(id) => known.get(&**id).iter().map(|jid| (*jid).clone()).collect(),
        Whom::Person(jid) => jid.iter().cloned().collect(),
        Whom::Channel if room.record.everyone => everyone(engine),
        Whom::Channel => people
            .filter(|one| one.affiliation >= Affiliation::Member)
            .map(|one| one.jid.clone())
            .collect(),
        // In a room of all accounts these are the members.
        Whom::Affiliation(Affiliation::Member) if room.record.everyone => everyone(engine),
        Whom::Affiliation(affiliation) => of(*affiliation),
        Whom::Hat(uri) => people
            .filter(|one| one.hats.contains(uri))
            .map(|one| one.jid.clone())
            .collect(),
        Whom::Role | Whom::Others => Vec::new(),
    }
}

/// The bare JIDs of the accounts here, as many as may be told.
fn everyone(engine: &Engine) -> Vec<String> {
    let names = engine.store.account_names(limits::ROOM_MENTIONED);
    let names = names.unwrap_or_else(|error| {
        log::error!("the accounts could not be read for a mention: {error}");
        Vec::new()
    });
    let jid = |name: String| engine.bare_jid(&name).as_str().to_owned();
    names.into_iter().map(jid).collect()
}

/// The message inside of what an absent member gets.
fn notice(engine: &Engine, room: &Room, text: &str) -> String {
    // In another element it has to say whose it is, and for whom it was.
    let head = written(|out| {
        out.start("message")
            .attr("xmlns", ns::CLIENT)
            .attr("to", room.jid.as_str())
            .end();
    });
    let whole = text.replacen("<message", head.trim_end_matches("/>"), 1);
    written(|out| {
        out.start("mentions")
            .attr("xmlns", ns::MENTION_NOTIFICATIONS);
        out.start("forwarded").attr("xmlns", ns::FORWARD);
        out.start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("stamp", &time::format(engine.now.wall_ms))
            .end();
        out.raw(&whole).end().end();
    })
}

/// The address in `xmpp:anna@chat.test?message`, or an address as it is.
fn address(uri: &str) -> &str {
    let text = uri.trim();
    let text = text.strip_prefix("xmpp:").unwrap_or(text);
    text.split(['?', ';']).next().unwrap_or(text)
}

/// The bare JID of who is meant by an address: their own, or that of an occupant, who may be away and have registered the nickname.
fn person(room: &Room, uri: &str) -> Option<String> {
    let jid = Jid::parse(address(uri)).ok()?;
    if jid.bare() != room.jid.as_str() {
        return Some(jid.bare().to_owned());
    }
    let reserved = room.reserved_by(&occupant::key(jid.resource()?));
    reserved.map(str::to_owned)
}

/// The occupant ids of those who belong to the room, where one is asked for: each costs a hash, so that they are made once for all mentions.
fn ids(engine: &Engine, room: &Room, mentions: &[Mention]) -> HashMap<Box<str>, String> {
    let by_id = |mention: &Mention| matches!(mention.whom, Whom::Occupant(_));
    if !mentions.iter().any(by_id) {
        return HashMap::new();
    }
    let people = room.people.values();
    people
        .filter_map(|one| {
            let jid = BareJid::parse(&one.jid).ok()?;
            Some((room.occupant_id(engine, &jid), one.jid.clone()))
        })
        .collect()
}
