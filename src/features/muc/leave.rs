//! XEP-0045 §7.14: a device leaves a room, and its person with the last one.

use super::presence::{self, Told};
use super::room::{self, Room, Rooms};
use crate::engine::Engine;
use crate::engine::session::SessionId;

/// A session leaves all its rooms, with what it says last.
pub fn leave_all(engine: &mut Engine, session: SessionId, said: &str) {
    for name in engine.memory::<Rooms>().of(session) {
        leave_room(engine, session, &name, said, &[]);
    }
}

/// A session leaves a room, for everybody to see. Who is not in it is ignored (§17.3).
pub fn leave_room(engine: &mut Engine, session: SessionId, name: &str, said: &str, codes: &[u16]) {
    if !engine
        .memory::<Rooms>()
        .of(session)
        .iter()
        .any(|room| **room == *name)
    {
        return;
    }
    let outcome = room::visit(engine, name, |engine, room| {
        leave(engine, room, session, said, codes);
        Ok(())
    });
    if let Err(error) = outcome {
        log::error!(
            "{name}: an occupant could not leave: {}",
            error.condition.name()
        );
    }
}

fn leave(engine: &mut Engine, room: &mut Room, session: SessionId, said: &str, codes: &[u16]) {
    let Some((place, seat)) = room.seat_of(session) else {
        return;
    };
    // §10.1.3: a room that nobody has configured goes with its maker.
    let more = match room.locked {
        true => "<destroy/>",
        false => "",
    };
    let told = Told {
        gone: true,
        said,
        codes,
        more,
        ..Told::default()
    };
    if room.occupants[place].seats.len() == 1 {
        let occupant = room.remove(engine, place);
        // §7.14: first the one who leaves.
        presence::tell_own(engine, &occupant, &told);
        presence::tell_others(engine, room, &occupant, &told);
        return;
    }
    // The person stays, with another device.
    let before = room.occupants[place].shown().said.clone();
    let seat = room.stand_up(engine, place, seat);
    presence::tell_seat(engine, &room.occupants[place], &seat, &told);
    let now = room.occupants[place].shown().said.clone();
    if now != before {
        let told = Told {
            said: &now,
            ..Told::default()
        };
        presence::tell_own(engine, &room.occupants[place], &told);
        let occupant = &mut room.occupants[place];
        match occupant.passing.allows(engine.now.mono_ms) {
            true => presence::tell_others(engine, room, &room.occupants[place], &told),
            // §14.6: of a storm the others see the end.
            false => occupant.untold = true,
        }
    }
}
