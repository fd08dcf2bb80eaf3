//! One room in memory: what is kept of it, who is in it, and how both change together. A room is in memory while somebody is in it or its last words are
//! young; else it is read from the store when somebody asks.

use super::activity::Activity;
use super::history::History;
use super::occupant::{self, Comings, Occupant, Rate, Said, Seat};
use super::presence::Shown;
use super::roles::Role;
use super::versions::Versions;
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::{Affiliated, RoomConfig, RoomNote, RoomRecord, StoreError, UserId};
use crate::xmpp::{BareJid, Condition, FullJid, Jid, StanzaError};
use ring::digest;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// All rooms in memory, and who sits where.
#[derive(Default)]
pub struct Rooms {
    rooms: HashMap<Box<str>, Box<Room>>,
    /// The rooms in which a session has a seat.
    seats: HashMap<SessionId, Vec<Box<str>>>,
}

/// One room.
pub struct Room {
    /// Its address.
    pub jid: BareJid,
    /// What is or would be kept of it.
    pub record: RoomRecord,
    /// Whether it stands in the store.
    pub kept: bool,
    /// Whether it waits for its first configuration (§10.1.1): until then it is there for its owner alone.
    pub locked: bool,
    /// Who is something in it, by bare JID or domain.
    pub people: BTreeMap<Box<str>, Affiliated>,
    /// Reserved nicknames as they are compared, and whose they are.
    pub(super) reserved: HashMap<Box<str>, Box<str>>,
    /// How many of them own it.
    pub(super) owners: usize,
    /// What it remembers of people beside that, the oldest first.
    pub notes: Vec<RoomNote>,
    /// How that changed lately (XEP-0463).
    pub versions: Versions,
    /// Who is in it, in the order of their coming.
    pub occupants: Vec<Occupant>,
    /// When those were last active here who have left, in milliseconds since 1970, by bare JID.
    pub left: BTreeMap<Box<str>, u64>,
    /// Who came lately.
    pub comings: Comings,
    /// What was said lately.
    pub history: History,
    /// When those spoke last who may only speak slowly (XEP-0500), by the clock that never jumps.
    pub spoke: Vec<(BareJid, u64)>,
    /// The hashes of its pictures, where they were read.
    pub pictures: Option<Rc<[String]>>,
    /// How much is said in it.
    pub activity: Activity,
    /// Whether somebody waits for its history to be read, and then enters.
    pub is_awaited: bool,
    /// Whether it was destroyed and is forgotten when it is put back.
    pub over: bool,
    /// When the last one left, by the clock that never jumps.
    pub empty_ms: u64,
    next_seat: u32,
}

impl Rooms {
    /// The names of the rooms in which a session sits.
    pub fn of(&self, session: SessionId) -> Vec<Box<str>> {
        self.seats.get(&session).cloned().unwrap_or_default()
    }

    /// The rooms in memory, in no order.
    pub fn loaded(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values().map(Box::as_ref)
    }

    /// The room of this name, if it is in memory.
    pub fn get(&self, name: &str) -> Option<&Room> {
        self.rooms.get(name).map(Box::as_ref)
    }

    /// Forgets rooms that have been empty for long, and where all that are empty take too much memory, those that have been longest.
    pub fn forget_idle(&mut self, now_ms: u64) {
        let mut idle: Vec<(u64, usize)> = Vec::new();
        self.rooms.retain(|_, room| {
            let is_idle = room.occupants.is_empty();
            let stays = !is_idle || now_ms.saturating_sub(room.empty_ms) < limits::ROOM_IDLE_MS;
            if is_idle && stays {
                idle.push((room.empty_ms, room.weight()));
            }
            stays
        });
        // The newest first.
        idle.sort_unstable_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        let too_old = idle.iter().find(|(_, weight)| {
            bytes += weight;
            bytes > limits::ROOMS_IDLE_BYTES
        });
        if let Some((since_ms, _)) = too_old {
            self.rooms.retain(|_, room| {
                !room.occupants.is_empty() || room.is_awaited || room.empty_ms > *since_ms
            });
        }
        self.rooms.shrink_to_fit();
    }
}

/// Does something with a room that is there: `item-not-found` where it is not.
pub fn visit<T>(
    engine: &mut Engine,
    name: &str,
    act: impl FnOnce(&mut Engine, &mut Room) -> Result<T, StanzaError>,
) -> Result<T, StanzaError> {
    let Some(mut room) = take(engine, name)? else {
        return Err(Condition::ItemNotFound.into());
    };
    let outcome = act(engine, &mut room);
    put_back(engine, room);
    outcome
}

/// Takes a room out of memory or the store, to do something with it; [`put_back`] has to follow.
pub fn take(engine: &mut Engine, name: &str) -> Result<Option<Box<Room>>, StoreError> {
    if let Some(room) = engine.memory::<Rooms>().rooms.remove(name) {
        return Ok(Some(room));
    }
    if let Some(record) = engine.store.room(name)? {
        let people = engine.store.affiliations(record.id)?;
        let mut room = Room::new(engine, record);
        room.kept = true;
        room.read_people(engine, people)?;
        room.read_notes(engine)?;
        return Ok(Some(room));
    }
    if !engine.config.rooms.lobby.is_empty() && name == engine.config.rooms.lobby {
        return Ok(Some(Room::lobby(engine)));
    }
    Ok(None)
}

/// Puts a room back; one that is empty and temporary is gone with that (§10.1).
pub fn put_back(engine: &mut Engine, mut room: Box<Room>) {
    if room.over {
        return;
    }
    if room.occupants.is_empty() {
        room.empty_ms = engine.now.mono_ms;
        if room.locked || !room.record.config.persistent {
            if let Err(error) = room.destroy(engine) {
                log::error!("the room {} could not be deleted: {error}", room.jid);
            }
            return;
        }
        if room.history.is_empty() && !room.is_awaited {
            return;
        }
    }
    let name = room.record.name.as_str().into();
    engine.memory::<Rooms>().rooms.insert(name, room);
}

impl Room {
    /// What it takes in memory while nobody is in it, in bytes.
    fn weight(&self) -> usize {
        limits::ROOM_IDLE_BYTES
            + self.people.len() * size_of::<Affiliated>()
            + self.history.weight()
    }

    /// A room in memory.
    pub fn new(engine: &Engine, record: RoomRecord) -> Box<Room> {
        let jid = BareJid::new(Some(&record.name), &engine.config.rooms_host())
            .expect("a room's name and host were checked when they were made");
        let versions = Versions::new(record.salt);
        Box::new(Room {
            jid,
            record,
            kept: false,
            locked: false,
            people: BTreeMap::new(),
            reserved: HashMap::new(),
            owners: 0,
            notes: Vec::new(),
            versions,
            occupants: Vec::new(),
            left: BTreeMap::new(),
            comings: Comings::default(),
            history: History::default(),
            spoke: Vec::new(),
            pictures: None,
            activity: Activity::default(),
            is_awaited: false,
            over: false,
            empty_ms: engine.now.mono_ms,
            next_seat: 0,
        })
    }

    /// A room that somebody makes, not kept yet.
    pub fn made(engine: &mut Engine, name: &str, maker: &str) -> Box<Room> {
        let record = RoomRecord {
            id: UserId::new(0),
            name: name.to_owned(),
            salt: engine.random.bytes(),
            created_ms: engine.now.wall_ms,
            maker: maker.to_owned(),
            everyone: false,
            config: RoomConfig::DEFAULT,
            subject: None,
            hats: Vec::new(),
            tokens: Vec::new(),
        };
        let mut room = Room::new(engine, record);
        room.history.is_read = true;
        room
    }

    /// The room of everybody, as it is until somebody changes something of it.
    fn lobby(engine: &Engine) -> Box<Room> {
        let mut secret = engine.store.secret().to_vec();
        secret.extend_from_slice(b"lobby");
        let digest = digest::digest(&digest::SHA256, &secret);
        let mut salt = [0; 16];
        salt.copy_from_slice(&digest.as_ref()[..16]);
        let record = RoomRecord {
            id: UserId::new(0),
            name: engine.config.rooms.lobby.clone(),
            salt,
            created_ms: engine.started.wall_ms,
            maker: String::new(),
            everyone: true,
            config: RoomConfig {
                title: "Lobby".to_owned(),
                description: "The room of everyone here.".to_owned(),
                persistent: true,
                members_only: true,
                non_anonymous: true,
                change_subject: false,
                ..RoomConfig::DEFAULT
            },
            subject: None,
            hats: Vec::new(),
            tokens: Vec::new(),
        };
        Room::new(engine, record)
    }

    /// The place of the occupant and seat of a session.
    pub fn seat_of(&self, session: SessionId) -> Option<(usize, usize)> {
        self.occupants
            .iter()
            .enumerate()
            .find_map(|(place, occupant)| {
                let seat = occupant
                    .seats
                    .iter()
                    .position(|seat| seat.session == session)?;
                Some((place, seat))
            })
    }

    /// The occupant of a session: `not-acceptable` for who is not in the room (§7.4).
    pub fn occupant_of(&self, session: SessionId) -> Result<usize, StanzaError> {
        match self.seat_of(session) {
            Some((place, _)) => Ok(place),
            None => {
                Err(StanzaError::from(Condition::NotAcceptable)
                    .kind(crate::xmpp::ErrorType::Modify))
            }
        }
    }

    /// The place of the occupant with exactly this nickname.
    pub fn called(&self, nick: &str) -> Option<usize> {
        self.occupants
            .iter()
            .position(|occupant| *occupant.nick == *nick)
    }

    /// The place of the occupant whose nickname compares equal.
    pub fn with_key(&self, key: &str) -> Option<usize> {
        self.occupants
            .iter()
            .position(|occupant| *occupant.key == *key)
    }

    /// Whether the presence of a role is shown to others (`muc#roomconfig_presencebroadcast`).
    pub fn shows(&self, role: Role) -> bool {
        self.record.config.broadcast & role.bit() != 0
    }

    /// Whether an occupant of this role sees the JIDs of others.
    pub fn reveals_to(&self, role: Role) -> bool {
        self.record.config.non_anonymous || role == Role::Moderator
    }

    /// Puts somebody who comes into the room; nobody hears of it here.
    pub fn sit(
        &mut self,
        engine: &mut Engine,
        session: SessionId,
        from: &FullJid,
        nick: &str,
        said: Said,
    ) -> Result<usize, StanzaError> {
        let number = self.next_seat;
        self.next_seat += 1;
        let seat = Seat::new(session, from.clone(), number, said);
        let place = match self.called(nick) {
            Some(place) => {
                self.occupants[place].seats.push(seat);
                place
            }
            None => {
                let bare = from.to_bare();
                let affiliation = self.affiliation(engine, &Jid::from(from));
                let jid = self.jid.with_resource(nick);
                let jid = jid.map_err(|_| StanzaError::from(Condition::JidMalformed))?;
                self.occupants.push(Occupant {
                    nick: jid.resource().into(),
                    key: occupant::key(nick),
                    id: self.occupant_id(engine, &bare),
                    hats: self.hats_of(bare.as_str()),
                    jid,
                    role: self.role_of(bare.as_str(), affiliation),
                    affiliation,
                    bare,
                    seats: vec![seat],
                    written: Shown::default(),
                    passing: Rate::default(),
                    untold: false,
                    active_ms: engine.now.wall_ms,
                });
                self.occupants.len() - 1
            }
        };
        let name = self.record.name.as_str().into();
        let seats = &mut engine.memory::<Rooms>().seats;
        seats.entry(session).or_default().push(name);
        Ok(place)
    }

    /// Takes a session out of its seat; the occupant stays while there is another. Nobody hears of it here.
    pub fn stand_up(&mut self, engine: &mut Engine, place: usize, seat: usize) -> Seat {
        let seat = self.occupants[place].seats.remove(seat);
        forget_seat(engine, seat.session, &self.record.name);
        seat
    }

    /// Takes an occupant with all seats out of the room. Nobody hears of it here.
    pub fn remove(&mut self, engine: &mut Engine, place: usize) -> Occupant {
        let occupant = self.occupants.remove(place);
        let bare = occupant.bare.as_str();
        if self.left.len() < limits::ROOM_PEOPLE || self.left.contains_key(bare) {
            self.left.insert(bare.into(), occupant.active_ms);
        }
        for seat in &occupant.seats {
            forget_seat(engine, seat.session, &self.record.name);
        }
        occupant
    }

    /// Keeps its record, where it is to be kept: with all that belongs to it the first time.
    pub fn keep(&mut self, engine: &mut Engine) -> Result<(), StoreError> {
        match (self.record.config.persistent, self.kept) {
            (false, false) => Ok(()),
            (true, true) => engine.store.put_room(&self.record),
            (true, false) => {
                self.record.id = engine.store.take_room_id()?;
                engine.store.put_room(&self.record)?;
                self.kept = true;
                self.write_people(engine)
            }
            (false, true) => {
                self.pictures = None;
                engine
                    .store
                    .delete_room(self.record.id, &self.record.name)?;
                self.kept = false;
                Ok(())
            }
        }
    }

    /// Writes all that is kept of it once more.
    pub fn write_again(&self, engine: &Engine) -> Result<(), StoreError> {
        engine.store.put_room(&self.record)?;
        self.write_people(engine)
    }

    fn write_people(&self, engine: &Engine) -> Result<(), StoreError> {
        for one in self.people.values() {
            engine.store.put_affiliation(self.record.id, one)?;
        }
        for note in &self.notes {
            engine.store.put_room_note(self.record.id, note)?;
        }
        Ok(())
    }

    /// Forgets it for good. Who is in it has been told.
    pub fn destroy(&mut self, engine: &mut Engine) -> Result<(), StoreError> {
        self.over = true;
        while !self.occupants.is_empty() {
            self.remove(engine, 0);
        }
        if std::mem::take(&mut self.kept) {
            engine
                .store
                .delete_room(self.record.id, &self.record.name)?;
        }
        Ok(())
    }
}

fn forget_seat(engine: &mut Engine, session: SessionId, name: &str) {
    let seats = &mut engine.memory::<Rooms>().seats;
    if let Some(rooms) = seats.get_mut(&session) {
        rooms.retain(|room| **room != *name);
        if rooms.is_empty() {
            seats.remove(&session);
        }
    }
}
