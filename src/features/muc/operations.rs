//! What an administrator of the server does to rooms, whichever door it came by: `snug room …` now. `by` is who does it, for the log.

use super::affiliation::{self, By, Change};
use super::disco::title;
use super::invite;
use super::owner;
use super::roles::affiliation_name;
use super::room::{self, Room, Rooms};
use super::subject;
use crate::engine::Engine;
use crate::engine::administration::{Refusal, Then};
use crate::limits;
use crate::store::{Affiliation, RoomConfig, StoreError};
use crate::xml::written;
use crate::xmpp::{BareJid, Jid, StanzaError};

/// What a new room shall be.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// For people.
    pub title: Option<String>,
    /// The account that owns it; where there is none, administrators of the server do.
    pub owner: Option<String>,
    /// Whether only members enter, who then see each other's addresses.
    pub members_only: bool,
    /// Whether it is left out of lists.
    pub hidden: bool,
}

/// A room as a list shows it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its address.
    pub jid: String,
    /// For people.
    pub title: String,
    /// Who is in it now.
    pub occupants: usize,
    /// Whether it stays when the last one leaves.
    pub persistent: bool,
    /// Whether it is listed.
    pub public: bool,
    /// Whether only members enter.
    pub members_only: bool,
}

/// All that is known of a room but its password.
#[derive(Clone, Debug)]
pub struct Details {
    /// The same as in a list.
    pub summary: Summary,
    /// What it chose.
    pub config: RoomConfig,
    /// What it is about.
    pub subject: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Nicknames of those who are in it.
    pub nicks: Vec<String>,
    /// People and what they are.
    pub people: Vec<(String, &'static str)>,
    /// Whether every account is a member.
    pub everyone: bool,
}

/// Makes a room that stays.
pub fn add(engine: &mut Engine, by: &str, name: &str, wanted: &Wanted, then: Then<BareJid>) {
    let made = make(engine, name, wanted);
    if let Ok(jid) = &made {
        log::info!("{by} made the room {jid}");
    }
    engine.once_kept(made, then);
}

fn make(engine: &mut Engine, text: &str, wanted: &Wanted) -> Result<BareJid, Refusal> {
    let name = room_name(engine, text)?;
    if let Some(known) = room::take(engine, &name)? {
        room::put_back(engine, known);
        return Err(Refusal::RoomTaken(name));
    }
    let owner = match &wanted.owner {
        Some(owner) => Some(engine.account_called(owner)?),
        None => None,
    };
    let mut room = Room::made(engine, &name, "");
    room.record.config = RoomConfig {
        title: wanted.title.clone().unwrap_or_default(),
        persistent: true,
        public: !wanted.hidden,
        members_only: wanted.members_only,
        non_anonymous: wanted.members_only,
        ..RoomConfig::DEFAULT
    };
    if let Some(owner) = owner {
        let jid = engine.bare_jid(&owner.name);
        let owner = crate::store::Affiliated::new(jid.as_str(), Affiliation::Owner);
        room.affiliate(engine, owner).map_err(refused)?;
    }
    room.keep(engine)?;
    let jid = room.jid.clone();
    room::put_back(engine, room);
    Ok(jid)
}

/// Destroys a room; who is in it hears why.
pub fn del(engine: &mut Engine, by: &str, name: &str, reason: Option<&str>, then: Then<BareJid>) {
    let gone = with_room(engine, name, |engine, room| {
        let jid = room.jid.clone();
        owner::end(engine, room, None, reason, None)?;
        Ok(jid)
    });
    if let Ok(jid) = &gone {
        log::info!("{by} destroyed the room {jid}");
    }
    engine.once_kept(gone, then);
}

/// Every room, hidden ones too, by name.
pub fn list(engine: &mut Engine) -> Result<Vec<Summary>, Refusal> {
    check_on(engine)?;
    let mut all = Vec::new();
    for record in engine.store.rooms_after("")? {
        all.push(record?);
    }
    let lobby = engine.config.rooms.lobby.clone();
    if !lobby.is_empty()
        && let Some(room) = room::take(engine, &lobby)?
    {
        all.push(room.record.clone());
        room::put_back(engine, room);
    }
    let rooms = engine.memory::<Rooms>();
    all.extend(rooms.loaded().map(|room| room.record.clone()));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    let host = engine.config.rooms_host();
    let rooms = engine.memory::<Rooms>();
    let summary = |record: crate::store::RoomRecord| Summary {
        jid: format!("{}@{host}", record.name),
        title: title(&record).to_owned(),
        occupants: rooms
            .get(&record.name)
            .map_or(0, |room| room.occupants.len()),
        persistent: record.config.persistent,
        public: record.config.public,
        members_only: record.config.members_only,
    };
    Ok(all.into_iter().map(summary).collect())
}

/// One room.
pub fn show(engine: &mut Engine, name: &str) -> Result<Details, Refusal> {
    with_room(engine, name, |_, room| {
        let subject = room.record.subject.as_ref();
        let those = room.people.values();
        Ok(Details {
            summary: Summary {
                jid: room.jid.as_str().to_owned(),
                title: title(&room.record).to_owned(),
                occupants: room.occupants.len(),
                persistent: room.record.config.persistent,
                public: room.record.config.public,
                members_only: room.record.config.members_only,
            },
            config: RoomConfig {
                password: None,
                ..room.record.config.clone()
            },
            subject: subject.map(|subject| subject.text()).unwrap_or_default(),
            created_ms: room.record.created_ms,
            nicks: room
                .occupants
                .iter()
                .map(|one| one.nick.to_string())
                .collect(),
            people: those
                .map(|one| (one.jid.clone(), affiliation_name(one.affiliation)))
                .collect(),
            everyone: room.record.everyone,
        })
    })
}

/// Makes an account a member and invites it.
pub fn invite(
    engine: &mut Engine,
    by: &str,
    name: &str,
    account: &str,
    reason: Option<&str>,
    then: Then<BareJid>,
) {
    let outcome = engine.account_called(account).and_then(|account| {
        let jid = engine.bare_jid(&account.name);
        with_room(engine, name, |engine, room| {
            let now = room.affiliation(engine, &Jid::from(&jid));
            if now < Affiliation::Member {
                let change = Change {
                    jid: jid.as_str().to_owned(),
                    to: Affiliation::Member,
                    nick: None,
                    reason: None,
                };
                let news = affiliation::apply(engine, room, vec![change], By::default())?;
                affiliation::tell_without_inviting(engine, room, news, By::default());
            }
            invite::send(engine, room, None, &Jid::from(&jid), reason, None);
            Ok(())
        })?;
        log::info!("{by} invited {jid} to the room {name:?}");
        Ok(jid)
    });
    engine.once_kept(outcome, then);
}

/// Says what a room is about; an empty text takes that away.
pub fn topic(engine: &mut Engine, by: &str, name: &str, text: &str, then: Then<BareJid>) {
    let outcome = match text.len() > limits::ROOM_TEXT_BYTES {
        true => Err(Refusal::TooLong(limits::ROOM_TEXT_BYTES)),
        false => with_room(engine, name, |engine, room| {
            let xml = written(|out| {
                out.start("subject").text(text.trim()).end();
            });
            subject::set(engine, room, xml, None, None)?;
            Ok(room.jid.clone())
        }),
    };
    if let Ok(jid) = &outcome {
        log::info!("{by} changed the subject of the room {jid}");
    }
    engine.once_kept(outcome, then);
}

/// Whether there is a room of this name, which is prepared, kept or not.
pub fn is_there(engine: &mut Engine, name: &str) -> Result<bool, StoreError> {
    let is_loaded = engine.memory::<Rooms>().get(name).is_some();
    Ok(is_loaded || engine.store.room(name)?.is_some())
}

fn check_on(engine: &Engine) -> Result<(), Refusal> {
    match engine.config.rooms.enabled {
        true => Ok(()),
        false => Err(Refusal::NoRooms),
    }
}

/// The name of a room, prepared, out of `lobby` or `lobby@rooms.domain`.
fn room_name(engine: &Engine, text: &str) -> Result<String, Refusal> {
    check_on(engine)?;
    let host = engine.config.rooms_host();
    let text = text.trim();
    let whole = match text.contains('@') {
        true => text.to_owned(),
        false => format!("{text}@{host}"),
    };
    let bad = |why: String| Refusal::BadName(text.to_owned(), why);
    let jid = Jid::parse(&whole).map_err(|error| bad(error.to_string()))?;
    if jid.domain() != host {
        return Err(Refusal::NotHere(text.to_owned(), host));
    }
    match (jid.local(), jid.resource()) {
        (Some(name), None) => Ok(name.to_owned()),
        _ => Err(bad("it is not the address of a room".to_owned())),
    }
}

fn with_room<T>(
    engine: &mut Engine,
    text: &str,
    act: impl FnOnce(&mut Engine, &mut Room) -> Result<T, StanzaError>,
) -> Result<T, Refusal> {
    let name = room_name(engine, text)?;
    let Some(mut room) = room::take(engine, &name)? else {
        return Err(Refusal::NoRoom(name));
    };
    let outcome = act(engine, &mut room);
    room::put_back(engine, room);
    outcome.map_err(refused)
}

fn refused(error: StanzaError) -> Refusal {
    match error.text {
        Some(text) => Refusal::Refused(text.into_owned()),
        None => Refusal::Refused(error.condition.name().to_owned()),
    }
}
