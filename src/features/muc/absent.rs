//! What is said in a room and does not reach somebody who belongs there: those of its devices that wait for their client (XEP-0198), and in a members-only room
//! the members who are not in it. Whether they are woken is not the room's to know.

use super::room::Room;
use crate::engine::Engine;
use crate::engine::missed::{Missed, What};
use crate::store::Affiliation;
use crate::xml::Element;
use crate::xmpp::Jid;

/// An occupant has said something to all.
pub fn tell(engine: &mut Engine, room: &Room, place: usize, root: Element<'_>) {
    if !engine.has_sleepers() {
        return;
    }
    let speaker = &room.occupants[place];
    let from = Jid::from(&speaker.jid);
    for other in room
        .occupants
        .iter()
        .filter(|other| other.bare != speaker.bare)
    {
        let account = other.bare.local().unwrap_or_default();
        for seat in &other.seats {
            let waits = |session: &crate::engine::session::Session| session.conn.is_none();
            if engine.session(seat.session).is_some_and(waits) {
                let missed = Missed {
                    account,
                    device: Some(seat.jid.resource()),
                    from: &from,
                    what: What::Message(root),
                };
                engine.missed(&missed);
            }
        }
    }
    if !room.record.config.members_only {
        return;
    }
    for one in room.people.values() {
        // A bare JID as it was normalised when it was written.
        let Some((account, domain)) = one.jid.split_once('@') else {
            continue;
        };
        let misses = one.affiliation >= Affiliation::Member
            && *domain == *engine.config.domain
            && engine.is_sleeper(account);
        let mut here = room.occupants.iter().map(|here| here.bare.as_str());
        if misses && !here.any(|here| here == one.jid) {
            engine.missed(&Missed {
                account,
                device: None,
                from: &from,
                what: What::Message(root),
            });
        }
    }
}
