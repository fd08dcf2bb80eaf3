//! Rooms (XEP-0045): what survives a restart of each. A room's id is out of the numbers of users, so that its archive has an owner like any other; it is
//! never given twice, so who makes a room of an old name finds nothing of the old one.

use super::error::StoreError;
use super::keys::{self, AFFILIATIONS, DELETED, ROOM_CARDS, ROOMS};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};

/// A room, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Its id.
    pub id: UserId,
    /// The part of its address before the `@`, prepared.
    pub name: String,
    /// Random bytes that its occupants' ids are made with (XEP-0421).
    pub salt: [u8; 16],
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The account that made it; empty for the command line.
    pub maker: String,
    /// Whether every account of this server is a member.
    pub everyone: bool,
    /// What its owners have chosen.
    pub config: RoomConfig,
    /// What it is about now; `None` where that was never said.
    pub subject: Option<RoomSubject>,
    /// The hats that can be worn in it (XEP-0317).
    pub hats: Vec<Hat>,
    /// Invitations for whoever has them (XEP-0488).
    pub tokens: Vec<InviteToken>,
}

/// What the owners of a room choose (XEP-0045 §10.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomConfig {
    /// For people; empty for none.
    pub title: String,
    /// For people; empty for none.
    pub description: String,
    /// The language that is spoken; empty where it is not said.
    pub lang: String,
    /// Whether what is said is published somewhere; the room only warns (§7.2.12).
    pub logged: bool,
    /// Whether mere occupants may change the subject.
    pub change_subject: bool,
    /// Whether members may invite where only members may enter.
    pub allow_invites: bool,
    /// Who may write to one occupant alone.
    pub private_messages: PrivateMessages,
    /// Occupants at most; 0 for no limit but the server's.
    pub max_users: u32,
    /// Roles whose presence is shown to others, as bits: 1 visitors, 2 participants, 4 moderators.
    pub broadcast: u8,
    /// Roles that may see who the members are, as bits.
    pub member_list: u8,
    /// Whether it is listed.
    pub public: bool,
    /// Whether it stays when the last occupant leaves.
    pub persistent: bool,
    /// Whether who has no affiliation has no voice.
    pub moderated: bool,
    /// Whether only members enter.
    pub members_only: bool,
    /// What must be said to enter.
    pub password: Option<String>,
    /// Whether everybody sees everybody's JID; else moderators do.
    pub non_anonymous: bool,
    /// Messages at most that who enters gets of what was said before.
    pub max_history: u32,
    /// Whether what is said is kept.
    pub archived: bool,
    /// Seconds between two messages of who is neither admin nor owner (XEP-0500); 0 for none.
    pub slow_seconds: u32,
    /// Whether members who are not here hear that they were mentioned (XEP-0452).
    pub forward_mentions: bool,
    /// Whether members must use the nickname that they registered.
    pub locked_nicks: bool,
    /// Whether users may register themselves as members.
    pub register: bool,
}

/// Who may write to one occupant alone (`muc#roomconfig_allowpm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateMessages {
    /// Whoever is in the room.
    Anyone,
    /// Who has voice.
    Participants,
    /// Moderators.
    Moderators,
    /// Nobody.
    Nobody,
}

/// What a room is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSubject {
    /// The `<subject/>` elements, as XML; with nothing inside where it was cleared.
    pub xml: String,
    /// The nickname of who set it; empty for the command line.
    pub nick: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl RoomSubject {
    /// What it says, for people: without marks of XML.
    pub fn text(&self) -> String {
        let whole = format!("<subjects>{}</subjects>", self.xml);
        match crate::xml::Document::parse(whole) {
            Ok(document) => {
                let first = document.root().children().next();
                first.map_or_else(String::new, |subject| subject.text().into_owned())
            }
            Err(_) => String::new(),
        }
    }
}

/// A hat (XEP-0317).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hat {
    /// What it is.
    pub uri: String,
    /// For people.
    pub title: String,
    /// Its colour as a hue angle; empty for none.
    pub hue: String,
}

/// An invitation for whoever has it (XEP-0488).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteToken {
    /// The secret.
    pub token: String,
    /// The bare JID that it was given to.
    pub by: String,
    /// How often it can still be used.
    pub uses: Option<u32>,
    /// Until when, in milliseconds since 1970.
    pub until_ms: Option<u64>,
}

/// Long-lived relations with a room (XEP-0045 §5.2), the weaker the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Affiliation {
    /// Banned.
    Outcast,
    /// None.
    None,
    /// Belongs to it.
    Member,
    /// Says who belongs to it.
    Admin,
    /// Says what it is.
    Owner,
}

/// What is kept of somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affiliated {
    /// A bare JID, or a domain.
    pub jid: String,
    /// What they are.
    pub affiliation: Affiliation,
    /// The id of the account that the JID named when this was written; `None` where there was no such account here. Who takes over the name of a deleted
    /// account is somebody else.
    pub account: Option<UserId>,
    /// The nickname that is theirs.
    pub nick: Option<String>,
    /// The hats that they wear, by URI.
    pub hats: Vec<String>,
    /// Why, as an admin said it.
    pub reason: Option<String>,
}

const VERSION: u8 = 1;

impl RoomConfig {
    /// A room that nobody has configured yet (XEP-0045 §10.1.3): open, unmoderated, semi-anonymous, and gone with its last occupant.
    pub const DEFAULT: RoomConfig = RoomConfig {
        title: String::new(),
        description: String::new(),
        lang: String::new(),
        logged: false,
        change_subject: false,
        allow_invites: false,
        private_messages: PrivateMessages::Anyone,
        max_users: 0,
        broadcast: 7,
        member_list: 7,
        public: true,
        persistent: false,
        moderated: false,
        members_only: false,
        password: None,
        non_anonymous: false,
        max_history: 20,
        archived: true,
        slow_seconds: 0,
        forward_mentions: false,
        locked_nicks: false,
        register: true,
    };
}

impl Affiliated {
    /// Somebody of whom nothing more is known.
    pub fn new(jid: impl Into<String>, affiliation: Affiliation) -> Affiliated {
        Affiliated {
            jid: jid.into(),
            affiliation,
            account: None,
            nick: None,
            hats: Vec::new(),
            reason: None,
        }
    }

    /// Whether there is nothing to keep.
    pub fn is_nothing(&self) -> bool {
        self.affiliation == Affiliation::None && self.nick.is_none() && self.hats.is_empty()
    }
}

impl Store {
    /// The room of this name.
    pub fn room(&self, name: &str) -> Result<Option<RoomRecord>, StoreError> {
        match self.main.get(ROOMS, &keys::room(name))? {
            Some(value) => decode(&value)
                .map(Some)
                .map_err(StoreError::record("rooms")),
            None => Ok(None),
        }
    }

    /// The rooms behind this name, in the order of their names (long ones in the order of their beginnings); from the first with an empty name.
    pub fn rooms_after(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<RoomRecord, StoreError>>, StoreError> {
        let after = keys::room(name);
        let behind = after.clone();
        Ok(self
            .main
            .scan_from(ROOMS, b"", &after)?
            .filter(move |entry| {
                entry
                    .as_ref()
                    .map_or(true, |(key, _)| behind.is_empty() || key[..] != behind[..])
            })
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("rooms"))))
    }

    /// A number for a new room: see [`RoomRecord::id`].
    pub fn take_room_id(&self) -> Result<UserId, StoreError> {
        self.room_to_grow()?;
        self.take_id()
    }

    /// Adds or replaces a room. `Full` if the disk is nearly full.
    pub fn put_room(&self, room: &RoomRecord) -> Result<(), StoreError> {
        self.room_to_grow()?;
        self.main.put(ROOMS, &keys::room(&room.name), &encode(room))
    }

    /// Deletes a room and all that it had. Order of writes: a line in `deleted`, the room, its data tree by tree, the line. After a crash anywhere behind the
    /// first write the next open does the rest.
    pub fn delete_room(&self, id: UserId, name: &str) -> Result<(), StoreError> {
        let mut line = RecordWriter::new(VERSION);
        line.text(name);
        self.main
            .put(DELETED, &keys::user(id.number()), &line.finish())?;
        self.finish_deletion(id.number(), name)
    }

    /// Everybody who is something in a room. One scan.
    pub fn affiliations(&self, room: UserId) -> Result<Vec<Affiliated>, StoreError> {
        self.main
            .scan(AFFILIATIONS, &keys::user(room.number()))?
            .map(|entry| decode_affiliated(&entry?.1).map_err(StoreError::record("affiliations")))
            .collect()
    }

    /// Adds, replaces or, where there is nothing to keep, removes what somebody is in a room. `Full` if the disk is nearly full and it is not removed.
    pub fn put_affiliation(&self, room: UserId, one: &Affiliated) -> Result<(), StoreError> {
        let key = keys::affiliation(room.number(), &one.jid);
        if one.is_nothing() {
            return self.main.remove(AFFILIATIONS, &key).map(drop);
        }
        self.room_to_grow()?;
        self.main.put(AFFILIATIONS, &key, &encode_affiliated(one))
    }

    /// The vCard of a room (XEP-0486).
    pub fn room_card(&self, room: UserId) -> Result<Option<String>, StoreError> {
        let Some(value) = self.main.get(ROOM_CARDS, &keys::user(room.number()))? else {
            return Ok(None);
        };
        let xml = (|| RecordReader::new(&value, VERSION)?.text())()
            .map_err(StoreError::record("room cards"))?;
        Ok(Some(xml.to_owned()))
    }

    /// Replaces or, where it is empty, removes the vCard of a room. `TooLong` above 300 KiB, `Full` if the disk is nearly full.
    pub fn put_room_card(&self, room: UserId, xml: &str) -> Result<(), StoreError> {
        let key = keys::user(room.number());
        if xml.is_empty() {
            return self.main.remove(ROOM_CARDS, &key).map(drop);
        }
        self.room_to_grow()?;
        let mut writer = RecordWriter::new(VERSION);
        writer.text(xml);
        self.main.put(ROOM_CARDS, &key, &writer.finish())
    }

    /// The part of a deletion that is a room's.
    pub(super) fn remove_room_record(&self, id: u32, name: &str) -> Result<(), StoreError> {
        // Somebody else may have the name by now, or it was an account's.
        if self.room(name)?.is_some_and(|room| room.id.number() == id) {
            self.main.remove(ROOMS, &keys::room(name))?;
        }
        Ok(())
    }
}

/// The id in the record of a room.
pub(super) fn id_of(value: &[u8]) -> Result<u32, RecordError> {
    decode(value).map(|room| room.id.number())
}

fn encode(room: &RoomRecord) -> Vec<u8> {
    let config = &room.config;
    let mut writer = RecordWriter::new(VERSION);
    writer
        .u32(room.id.number())
        .text(&room.name)
        .bytes(&room.salt)
        .u64(room.created_ms)
        .text(&room.maker)
        .flag(room.everyone)
        .text(&config.title)
        .text(&config.description)
        .text(&config.lang)
        .flag(config.logged)
        .flag(config.change_subject)
        .flag(config.allow_invites)
        .byte(match config.private_messages {
            PrivateMessages::Anyone => 0,
            PrivateMessages::Participants => 1,
            PrivateMessages::Moderators => 2,
            PrivateMessages::Nobody => 3,
        })
        .u32(config.max_users)
        .byte(config.broadcast)
        .byte(config.member_list)
        .flag(config.public)
        .flag(config.persistent)
        .flag(config.moderated)
        .flag(config.members_only)
        .optional(config.password.as_deref())
        .flag(config.non_anonymous)
        .u32(config.max_history)
        .flag(config.archived)
        .u32(config.slow_seconds)
        .flag(config.forward_mentions)
        .flag(config.locked_nicks)
        .flag(config.register);
    writer.flag(room.subject.is_some());
    if let Some(subject) = &room.subject {
        writer
            .text(&subject.xml)
            .text(&subject.nick)
            .u64(subject.at_ms);
    }
    writer.u32(room.hats.len() as u32);
    for hat in &room.hats {
        writer.text(&hat.uri).text(&hat.title).text(&hat.hue);
    }
    writer.u32(room.tokens.len() as u32);
    for token in &room.tokens {
        writer
            .text(&token.token)
            .text(&token.by)
            .flag(token.uses.is_some())
            .u32(token.uses.unwrap_or(0))
            .flag(token.until_ms.is_some())
            .u64(token.until_ms.unwrap_or(0));
    }
    writer.finish()
}

fn decode(value: &[u8]) -> Result<RoomRecord, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let mut room = RoomRecord {
        id: UserId::new(reader.u32()?),
        name: reader.text()?.to_owned(),
        salt: reader
            .bytes()?
            .try_into()
            .map_err(|_| RecordError::Damaged)?,
        created_ms: reader.u64()?,
        maker: reader.text()?.to_owned(),
        everyone: reader.flag()?,
        config: RoomConfig {
            title: reader.text()?.to_owned(),
            description: reader.text()?.to_owned(),
            lang: reader.text()?.to_owned(),
            logged: reader.flag()?,
            change_subject: reader.flag()?,
            allow_invites: reader.flag()?,
            private_messages: match reader.byte()? {
                0 => PrivateMessages::Anyone,
                1 => PrivateMessages::Participants,
                2 => PrivateMessages::Moderators,
                3 => PrivateMessages::Nobody,
                _ => return Err(RecordError::Damaged),
            },
            max_users: reader.u32()?,
            broadcast: reader.byte()?,
            member_list: reader.byte()?,
            public: reader.flag()?,
            persistent: reader.flag()?,
            moderated: reader.flag()?,
            members_only: reader.flag()?,
            password: reader.optional()?.map(str::to_owned),
            non_anonymous: reader.flag()?,
            max_history: reader.u32()?,
            archived: reader.flag()?,
            slow_seconds: reader.u32()?,
            forward_mentions: reader.flag()?,
            locked_nicks: reader.flag()?,
            register: reader.flag()?,
        },
        subject: None,
        hats: Vec::new(),
        tokens: Vec::new(),
    };
    if reader.flag()? {
        room.subject = Some(RoomSubject {
            xml: reader.text()?.to_owned(),
            nick: reader.text()?.to_owned(),
            at_ms: reader.u64()?,
        });
    }
    // No room is made for a number that the bytes only claim.
    let count = reader.u32()?;
    for _ in 0..count {
        room.hats.push(Hat {
            uri: reader.text()?.to_owned(),
            title: reader.text()?.to_owned(),
            hue: reader.text()?.to_owned(),
        });
    }
    let count = reader.u32()?;
    for _ in 0..count {
        let (token, by) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        let (counted, uses) = (reader.flag()?, reader.u32()?);
        let (ends, until_ms) = (reader.flag()?, reader.u64()?);
        room.tokens.push(InviteToken {
            token,
            by,
            uses: counted.then_some(uses),
            until_ms: ends.then_some(until_ms),
        });
    }
    reader.end()?;
    Ok(room)
}

/// Affiliations and the byte that stands for each.
const AFFILIATION_BYTES: [Affiliation; 5] = [
    Affiliation::None,
    Affiliation::Outcast,
    Affiliation::Member,
    Affiliation::Admin,
    Affiliation::Owner,
];

fn encode_affiliated(one: &Affiliated) -> Vec<u8> {
    let byte = AFFILIATION_BYTES
        .iter()
        .position(|known| *known == one.affiliation)
        .expect("the table has every affiliation");
    let mut writer = RecordWriter::new(VERSION);
    writer
        .text(&one.jid)
        .byte(byte as u8)
        .flag(one.account.is_some())
        .u32(one.account.map_or(0, UserId::number))
        .optional(one.nick.as_deref())
        .optional(one.reason.as_deref())
        .u32(one.hats.len() as u32);
    for hat in &one.hats {
        writer.text(hat);
    }
    writer.finish()
}

fn decode_affiliated(value: &[u8]) -> Result<Affiliated, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let jid = reader.text()?.to_owned();
    let affiliation = *AFFILIATION_BYTES
        .get(usize::from(reader.byte()?))
        .ok_or(RecordError::Damaged)?;
    let (known, id) = (reader.flag()?, reader.u32()?);
    let mut one = Affiliated {
        jid,
        affiliation,
        account: known.then_some(UserId::new(id)),
        nick: reader.optional()?.map(str::to_owned),
        reason: reader.optional()?.map(str::to_owned),
        hats: Vec::new(),
    };
    let count = reader.u32()?;
    for _ in 0..count {
        one.hats.push(reader.text()?.to_owned());
    }
    reader.end()?;
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_room_or_an_error() {
        let room = RoomRecord {
            id: UserId::new(9),
            name: "coven".to_owned(),
            salt: [7; 16],
            created_ms: 5,
            maker: "crone1".to_owned(),
            everyone: true,
            config: RoomConfig {
                title: "A Dark Cave".to_owned(),
                password: Some("cauldronburn".to_owned()),
                private_messages: PrivateMessages::Moderators,
                ..RoomConfig::DEFAULT
            },
            subject: Some(RoomSubject {
                xml: "<subject>Spells</subject>".to_owned(),
                nick: "firstwitch".to_owned(),
                at_ms: 6,
            }),
            hats: vec![Hat {
                uri: "urn:hat".to_owned(),
                title: "Host".to_owned(),
                hue: String::new(),
            }],
            tokens: vec![InviteToken {
                token: "t".to_owned(),
                by: "crone1@chat.test".to_owned(),
                uses: Some(3),
                until_ms: None,
            }],
        };
        crate::store::record::tests::no_bytes_panic(&encode(&room), |bytes| {
            decode(bytes).map(|room| encode(&room))
        });
    }

    #[test]
    fn any_bytes_are_an_affiliation_or_an_error() {
        let one = Affiliated {
            account: Some(UserId::new(4)),
            nick: Some("thirdwitch".to_owned()),
            hats: vec!["urn:hat".to_owned()],
            reason: Some("Treason".to_owned()),
            ..Affiliated::new("hag66@chat.test", Affiliation::Member)
        };
        crate::store::record::tests::no_bytes_panic(&encode_affiliated(&one), |bytes| {
            decode_affiliated(bytes).map(|one| encode_affiliated(&one))
        });
    }
}
