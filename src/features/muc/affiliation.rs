//! What follows when somebody's affiliation or role changes (XEP-0045 §9, §10): the lists, the roles, who is removed, and who hears of it. One place for
//! every door: lists, registration, configuration, commands, the command line.

use super::invite;
use super::message;
use super::occupant::{self, Occupant};
use super::presence::{self, Told};
use super::roles::{Right, Role, affiliation_name, has};
use super::room::Room;
use super::versions;
use crate::engine::Engine;
use crate::limits;
use crate::store::{Affiliated, Affiliation, Noted};
use crate::xml::{Element, written};
use crate::xmpp::{Condition, Jid, StanzaError, ns};
use std::borrow::Cow;

/// One wish.
pub struct Change {
    /// Whom it is about: a bare JID, or a domain.
    pub jid: String,
    /// What they shall be.
    pub to: Affiliation,
    /// Their nickname from now on: `None` leaves it, an empty one takes it away.
    pub nick: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Who is removed from the room because of a change, and still has to be told to the others.
pub struct Removed {
    occupant: Occupant,
    codes: Vec<u16>,
    reason: Option<String>,
}

/// Who changed something.
#[derive(Clone, Copy, Default)]
pub struct By<'a> {
    /// Their nickname, where they are in the room.
    pub nick: Option<&'a str>,
    /// Their bare JID, where they are somebody.
    pub jid: Option<&'a str>,
}

/// What is told to the others when who asked has been answered.
#[derive(Default)]
pub struct News {
    removed: Vec<Removed>,
    changed: Vec<(String, Option<String>)>,
    absent: Vec<(String, Affiliation)>,
    invited: Vec<String>,
    version: Option<String>,
    /// Whether those concerned are no more.
    gone: bool,
}

/// Writes changes into the lists, and removes who may not stay: those hear it at once (§9.1). The rest is told by [`tell`].
pub fn apply(
    engine: &mut Engine,
    room: &mut Room,
    changes: Vec<Change>,
    by: By<'_>,
) -> Result<News, StanzaError> {
    let mut news = News {
        version: Some(room.versions.now()),
        ..News::default()
    };
    for change in changes {
        let before = room.people.get(change.jid.as_str()).cloned();
        let was = before
            .as_ref()
            .map_or(Affiliation::None, |one| one.affiliation);
        let mut one = before.unwrap_or_else(|| Affiliated::new(&change.jid, change.to));
        one.affiliation = change.to;
        one.reason = change.reason.clone();
        match &change.nick {
            Some(nick) if nick.is_empty() => one.nick = None,
            Some(nick) => one.nick = Some(nick.clone()),
            None => {}
        }
        // §9.1: outcasts have no nicknames; §7.10: nor have those who are no members any more.
        if change.to <= Affiliation::None {
            one.nick = None;
        }
        if change.to == Affiliation::Outcast {
            one.hats.clear();
        }
        room.affiliate(engine, one)?;
        if was == change.to {
            continue;
        }
        // What somebody asked for as who they were, or what they were as that, is over.
        room.strike(engine, &change.jid, |what| match what {
            Noted::Asks(_) | Noted::Voice(_) => true,
            Noted::Invited(_) => change.to == Affiliation::Outcast,
        })?;
        note(engine, room, &change, was, by, &mut news)?;
    }
    Ok(news)
}

/// What a change means for who is here, or is not.
fn note(
    engine: &mut Engine,
    room: &mut Room,
    change: &Change,
    was: Affiliation,
    by: By<'_>,
    news: &mut News,
) -> Result<(), StanzaError> {
    let Ok(jid) = Jid::parse(&change.jid) else {
        return Ok(());
    };
    let concerned: Vec<String> = room
        .occupants
        .iter()
        .filter(|one| match jid.local() {
            Some(_) => one.bare.as_str() == change.jid,
            None => one.bare.domain() == change.jid,
        })
        .map(|one| one.nick.to_string())
        .collect();
    let none_here = concerned.is_empty();
    for nick in concerned {
        let Some(place) = room.called(&nick) else {
            continue;
        };
        let whose = room.occupants[place].bare.clone();
        let now = room.affiliation(engine, &Jid::from(&whose));
        let occupant = &mut room.occupants[place];
        let was = occupant.affiliation;
        occupant.affiliation = now;
        // §9.1; §9.4: in a members-only room there is no moment in which a non-member is in it.
        let code = match now {
            Affiliation::Outcast => Some(301),
            Affiliation::None if room.record.config.members_only => Some(321),
            _ => None,
        };
        if let Some(code) = code {
            let reason = change.reason.clone();
            news.removed
                .push(expel(engine, room, place, &[code], by, reason));
            continue;
        }
        let occupant = &mut room.occupants[place];
        let initial = Role::initial(now, &room.record.config);
        let lost = was >= Affiliation::Admin && now < Affiliation::Admin;
        // §5.1.3: what is gained is at least the role of the new affiliation; who is no admin any more does not stay a moderator by that.
        let role = match lost {
            true => initial,
            false => occupant.role.max(initial),
        };
        set_role(engine, room, place, role, None);
        news.changed.push((nick, change.reason.clone()));
    }
    if none_here {
        news.absent.push((change.jid.clone(), change.to));
        // §9.5: who is a member of a room that only members enter is invited.
        if change.to == Affiliation::Member
            && was <= Affiliation::None
            && room.record.config.members_only
        {
            news.invited.push(change.jid.clone());
        }
    }
    Ok(())
}

/// Tells the others what [`apply`] did; who becomes a member is invited by who called.
pub fn tell_without_inviting(engine: &mut Engine, room: &mut Room, mut news: News, by: By<'_>) {
    news.invited.clear();
    tell(engine, room, news, by);
}

/// Tells the others what [`apply`] did.
pub fn tell(engine: &mut Engine, room: &mut Room, news: News, by: By<'_>) {
    let since = news.version.unwrap_or_default();
    let until = room.versions.now();
    let mav = match since == until {
        true => String::new(),
        false => written(|out| {
            out.start("mav")
                .attr("xmlns", ns::MAV)
                .attr("since", &since)
                .attr("until", &until)
                .end();
        }),
    };
    for removed in &news.removed {
        tell_removed(engine, room, removed, by, &mav);
    }
    for (nick, reason) in &news.changed {
        if let Some(place) = room.called(nick) {
            let said = room.occupants[place].shown().said.clone();
            let told = Told {
                said: &said,
                reason: reason.as_deref(),
                actor: by.nick.filter(|_| reason.is_some()),
                more: &mav,
                ..Told::default()
            };
            presence::tell_all(engine, room, place, &told);
        }
    }
    for (jid, affiliation) in &news.absent {
        tell_of_absent(engine, room, jid, *affiliation, (&since, &until));
        if !news.gone {
            tell_absent(engine, room, jid, *affiliation);
        }
    }
    for jid in &news.invited {
        if let Ok(jid) = Jid::parse(jid) {
            invite::send(engine, room, by.jid, &jid, None, None);
        }
    }
}

/// §10.3, §10.6, XEP-0463 §5.2.2: an affiliation of somebody who is not here.
fn tell_of_absent(
    engine: &mut Engine,
    room: &Room,
    jid: &str,
    affiliation: Affiliation,
    (since, until): (&str, &str),
) {
    let text = written(|out| {
        out.start("message").attr("from", room.jid.as_str());
        out.start("x").attr("xmlns", ns::MUC_USER);
        versions::write(out, Some(since), until, &[(jid, affiliation)]);
        out.end().end();
    });
    let open = room.record.config.non_anonymous;
    message::announce_text(engine, room, &text, |role| open || role == Role::Moderator);
}

/// §18.1: the one concerned hears of it, too.
fn tell_absent(engine: &mut Engine, room: &Room, jid: &str, affiliation: Affiliation) {
    let parsed = Jid::parse(jid);
    let Some(name) = parsed.as_ref().ok().and_then(Jid::local) else {
        return;
    };
    let inner = written(|out| {
        out.start("x").attr("xmlns", ns::MUC_USER);
        out.start("item")
            .attr("affiliation", affiliation_name(affiliation))
            .end();
        out.start("status").attr("code", "101").end();
        out.end();
    });
    if let Err(error) = engine.tell_account_from(&room.jid, (name, None), &inner, false) {
        log::error!("{jid} could not be told of {}: {error}", room.jid);
    }
}

/// Takes somebody out of the room and tells them; the others are told by [`tell_removed`].
pub fn expel(
    engine: &mut Engine,
    room: &mut Room,
    place: usize,
    codes: &[u16],
    by: By<'_>,
    reason: Option<String>,
) -> Removed {
    let occupant = room.remove(engine, place);
    let told = Told {
        gone: true,
        codes,
        actor: by.nick,
        reason: reason.as_deref(),
        ..Told::default()
    };
    presence::tell_own(engine, &occupant, &told);
    Removed {
        occupant,
        codes: codes.to_vec(),
        reason,
    }
}

/// Tells those who stay that somebody was removed.
pub fn tell_removed(engine: &mut Engine, room: &Room, removed: &Removed, by: By<'_>, more: &str) {
    let told = Told {
        gone: true,
        codes: &removed.codes,
        actor: by.nick,
        reason: removed.reason.as_deref(),
        more,
        ..Told::default()
    };
    presence::tell_others(engine, room, &removed.occupant, &told);
}

/// Gives an occupant a role. Where roles differ in whether they are shown, the others see somebody come or go; the rest is told by who called.
pub fn set_role(
    engine: &mut Engine,
    room: &mut Room,
    place: usize,
    role: Role,
    reason: Option<&str>,
) {
    let before = room.occupants[place].role;
    if before == role {
        return;
    }
    if room.shows(before) && !room.shows(role) {
        let told = Told {
            gone: true,
            reason,
            ..Told::default()
        };
        presence::tell_others(engine, room, &room.occupants[place], &told);
    }
    room.occupants[place].role = role;
}

/// Tells everybody what an occupant is now.
pub fn tell_standing(
    engine: &mut Engine,
    room: &Room,
    place: usize,
    by: By<'_>,
    reason: Option<&str>,
) {
    let said = room.occupants[place].shown().said.clone();
    let told = Told {
        said: &said,
        reason,
        actor: by.nick.filter(|_| reason.is_some()),
        ..Told::default()
    };
    presence::tell_all(engine, room, place, &told);
}

/// Why, as who asks says it in `<reason/>`. `not-acceptable` for what is longer than a room keeps.
pub fn reason<'s>(item: Element<'s>, space: &str) -> Result<Option<Cow<'s, str>>, StanzaError> {
    let reason = item.child(space, "reason").map(|reason| reason.text());
    let is_long = |reason: &Cow<'_, str>| reason.len() > limits::ROOM_TEXT_BYTES;
    match reason.as_ref().is_some_and(is_long) {
        true => Err(StanzaError::text(
            Condition::NotAcceptable,
            "that reason is too long",
        )),
        false => Ok(reason),
    }
}

/// What only shows when all changes are seen: two who would have one nickname, more people than there is room for, and no owner (§10.4).
pub fn check_together(room: &Room, changes: &[Change]) -> Result<(), StanzaError> {
    let mut nicks: Vec<(Box<str>, &str)> = Vec::new();
    for change in changes {
        if let Some(nick) = change.nick.as_deref().filter(|nick| !nick.is_empty()) {
            let key = occupant::key(nick);
            if nicks
                .iter()
                .any(|(other, jid)| *other == key && **jid != *change.jid)
            {
                return Err(Condition::Conflict.into());
            }
            nicks.push((key, &change.jid));
        }
    }
    let new = changes.iter().filter(|change| {
        change.to != Affiliation::None && !room.people.contains_key(change.jid.as_str())
    });
    if room.people.len() + new.count() > limits::ROOM_PEOPLE {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "the lists of this room are full",
        ));
    }
    match leaves_an_owner(room, changes) {
        true => Ok(()),
        false => Err(Condition::Conflict.into()),
    }
}

/// Whether a room would still have an owner.
fn leaves_an_owner(room: &Room, changes: &[Change]) -> bool {
    let changed = |jid: &str| changes.iter().rev().find(|change| change.jid == jid);
    let stays = room.people.values().any(|one| {
        one.affiliation == Affiliation::Owner
            && changed(&one.jid).is_none_or(|change| change.to == Affiliation::Owner)
    });
    let comes = changes
        .iter()
        .any(|change| changed(&change.jid).is_some_and(|last| last.to == Affiliation::Owner));
    stays || comes || !room.has_owner()
}

/// Whether somebody may see who is what (§9.5, `muc#roomconfig_getmemberlist`): admins always; others where JIDs are no secret, if they are members, or in
/// the room with a role that may.
pub fn may_list(room: &Room, affiliation: Affiliation, role: Option<Role>) -> bool {
    let config = &room.record.config;
    let by_role = role.is_some_and(|role| config.member_list & role.bit() != 0);
    has(affiliation, Right::Members)
        || (config.non_anonymous
            && config.member_list != 0
            && (has(affiliation, Right::MemberList) || by_role))
}

/// An account is deleted: it is nothing in the room any more, and those who are in it hear so (XEP-0463 §5.2.2); but it stays banned if it was.
pub fn forget(engine: &mut Engine, room: &mut Room, jid: &str) -> Result<(), StanzaError> {
    room.strike(engine, jid, |_| true)?;
    room.left.remove(jid);
    let known = room.people.get(jid);
    if known.is_none_or(|one| one.affiliation == Affiliation::Outcast) {
        return Ok(());
    }
    let change = Change {
        jid: jid.to_owned(),
        to: Affiliation::None,
        nick: None,
        reason: None,
    };
    let mut news = apply(engine, room, vec![change], By::default())?;
    news.gone = true;
    // Hats, too: who has the name later is somebody else (HOLES 17).
    room.affiliate(engine, Affiliated::new(jid, Affiliation::None))?;
    tell_without_inviting(engine, room, news, By::default());
    Ok(())
}
