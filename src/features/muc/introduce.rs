//! XEP-0045 §7.2.2, §7.2.13 to §7.2.16: what one who enters gets, in its order.

use super::history::Wanted;
use super::occupant::Seat;
use super::presence::{self, Told};
use super::roles::{Right, has};
use super::room::Room;
use super::{affiliation, card, message, subject, versions};
use crate::engine::Engine;
use crate::engine::delivery::Worth;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::Affiliation;
use crate::xml::written;
use crate::xmpp::{Condition, Jid, Stanza, StanzaError, ns};

/// §7.2.3, §7.2.12: the codes that warn who enters.
pub fn codes(room: &Room) -> Vec<u16> {
    let config = &room.record.config;
    let warnings = [(config.non_anonymous, 100), (config.logged, 170)];
    let due = warnings.into_iter().filter(|(due, _)| *due);
    due.map(|(_, code)| code).collect()
}

/// §7.1: all that one who enters gets, in its order: who is here, themselves, what was said, what it is about.
pub fn introduce(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    codes: &[u16],
) {
    let Some((place, seat)) = room.seat_of(session) else {
        return;
    };
    let x = stanza.xml.root().child(ns::MUC, "x");
    let occupant = &room.occupants[place];
    let seat = &occupant.seats[seat];
    let mav = x.and_then(|x| x.child(ns::MAV, "mav"));
    let mut more = String::new();
    if let Some(mav) = mav {
        // XEP-0463 §5.2.1: before any presence.
        let since = mav.attr("since");
        let asked = (since.as_deref(), stanza.id.as_deref());
        affiliations(engine, room, place, seat, asked);
        more = written(|out| {
            out.start("mav")
                .attr("xmlns", ns::MAV)
                .attr("until", &room.versions.now())
                .end();
        });
    }
    presence::tell_who_is_there(engine, room, place, seat);
    let told = Told {
        said: &seat.said,
        own: codes,
        more: &more,
        id: stanza.id.as_deref(),
        ..Told::default()
    };
    presence::tell_seat(engine, occupant, seat, &told);
    card::show(engine, room, session);
    let Some((place, seat)) = room.seat_of(session) else {
        return;
    };
    let seat = &room.occupants[place].seats[seat];
    let most = (room.record.config.max_history as usize).min(limits::ROOM_HISTORY);
    let wanted = Wanted::of(x, engine.now.wall_ms, most);
    let room_jid = Jid::from(&room.jid);
    for text in room.history.pick(&wanted, room.jid.as_str(), &seat.to) {
        message::hand_whole(engine, &room_jid, seat, &text);
    }
    let subject = subject::for_one(room, &seat.to);
    message::hand_whole(engine, &room_jid, seat, &subject);
}

/// XEP-0463 §5.2.1: what changed since a version, or all where it is not known: for those who may see the lists (§5.2.3), and who is banned for those who may
/// see that.
fn affiliations(
    engine: &mut Engine,
    room: &Room,
    place: usize,
    seat: &Seat,
    (since, id): (Option<&str>, Option<&str>),
) {
    let occupant = &room.occupants[place];
    let own = occupant.affiliation;
    let mut may = affiliation::may_list(room, own, Some(occupant.role));
    let all = has(own, Right::Members);
    let known = since.and_then(|since| room.versions.since(since, occupant.bare.as_str(), own));
    // §6: what was before somebody belonged to the room is not theirs to know. Whether one who belongs to nothing was there then, nobody remembers.
    let known = match known {
        Some(known) if own > Affiliation::None => {
            may &= known.was > Affiliation::None;
            Some(known)
        }
        Some(known) if known.changes.is_empty() => Some(known),
        _ => None,
    };
    let shown = |affiliation| match affiliation {
        Affiliation::Outcast if !all => Affiliation::None,
        other => other,
    };
    let (since, items): (_, Vec<_>) = match known {
        Some(known) if known.changes.is_empty() && may => return,
        Some(known) => {
            let items = known.changes.into_iter();
            (since, items.map(|(jid, now)| (jid, shown(now))).collect())
        }
        None => {
            let people = room.people.values();
            let items = people.map(|one| (one.jid.as_str(), shown(one.affiliation)));
            let items = items.filter(|(_, now)| *now != Affiliation::None);
            (None, items.collect())
        }
    };
    let text = written(|out| {
        out.start("message").attr("from", room.jid.as_str());
        if may {
            out.start("x").attr("xmlns", ns::MUC_USER);
            versions::write(out, since, &room.versions.now(), &items);
            out.end();
        } else {
            out.attr_opt("id", id).attr("type", "error");
            StanzaError::from(Condition::Forbidden).write(out);
        }
        out.end();
    });
    presence::hand(engine, &Jid::from(&room.jid), seat, &text, None, Worth::Now);
}
