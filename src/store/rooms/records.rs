//! How rooms and those on their lists stand in the store.

use super::{
    Affiliated, Affiliation, Hat, InviteToken, MentionRules, Mentioners, PrivateMessages,
    RoomConfig, RoomRecord, RoomSubject,
};
use crate::store::UserId;
use crate::store::record::{RecordError, RecordReader, RecordWriter};

const VERSION: u8 = 1;
/// Of a room's own record. 2: `pubsub`, `mentions`, and who set the subject.
const ROOM_VERSION: u8 = 2;

/// The id in the record of a room.
pub(in crate::store) fn id_of(value: &[u8]) -> Result<u32, RecordError> {
    decode(value).map(|room| room.id.number())
}

pub(super) fn encode(room: &RoomRecord) -> Vec<u8> {
    let config = &room.config;
    let mut writer = RecordWriter::new(ROOM_VERSION);
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
        .flag(config.register)
        .text(&config.pubsub)
        .u32(config.mentions.count);
    let MentionRules {
        individual,
        channel,
        associations,
        hats,
        ..
    } = config.mentions;
    for who in [individual, channel, associations, hats] {
        writer.byte(match who {
            Mentioners::Participants => 0,
            Mentioners::Moderators => 1,
            Mentioners::Nobody => 2,
        });
    }
    writer.flag(room.subject.is_some());
    if let Some(subject) = &room.subject {
        writer
            .text(&subject.xml)
            .text(&subject.nick)
            .text(&subject.by)
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

pub(super) fn decode(value: &[u8]) -> Result<RoomRecord, RecordError> {
    let mut reader = RecordReader::new(value, ROOM_VERSION)?;
    let is_new_form = reader.version() >= 2;
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
            pubsub: String::new(),
            mentions: MentionRules::DEFAULT,
        },
        subject: None,
        hats: Vec::new(),
        tokens: Vec::new(),
    };
    if is_new_form {
        reader.text()?.clone_into(&mut room.config.pubsub);
        room.config.mentions = MentionRules {
            count: reader.u32()?,
            individual: mentioners(&mut reader)?,
            channel: mentioners(&mut reader)?,
            associations: mentioners(&mut reader)?,
            hats: mentioners(&mut reader)?,
        };
    }
    if reader.flag()? {
        room.subject = Some(RoomSubject {
            xml: reader.text()?.to_owned(),
            nick: reader.text()?.to_owned(),
            by: match is_new_form {
                true => reader.text()?.to_owned(),
                false => String::new(),
            },
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

fn mentioners(reader: &mut RecordReader<'_>) -> Result<Mentioners, RecordError> {
    Ok(match reader.byte()? {
        0 => Mentioners::Participants,
        1 => Mentioners::Moderators,
        2 => Mentioners::Nobody,
        _ => return Err(RecordError::Damaged),
    })
}

/// Affiliations and the byte that stands for each.
const AFFILIATION_BYTES: [Affiliation; 5] = [
    Affiliation::None,
    Affiliation::Outcast,
    Affiliation::Member,
    Affiliation::Admin,
    Affiliation::Owner,
];

pub(super) fn encode_affiliated(one: &Affiliated) -> Vec<u8> {
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

pub(super) fn decode_affiliated(value: &[u8]) -> Result<Affiliated, RecordError> {
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
                pubsub: "xmpp:pubsub.chat.test?;node=coven".to_owned(),
                mentions: MentionRules {
                    hats: Mentioners::Nobody,
                    ..MentionRules::DEFAULT
                },
                ..RoomConfig::DEFAULT
            },
            subject: Some(RoomSubject {
                xml: "<subject>Spells</subject>".to_owned(),
                nick: "firstwitch".to_owned(),
                by: "an id".to_owned(),
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
    fn a_room_of_the_first_form_is_read() {
        let mut writer = RecordWriter::new(1);
        writer
            .u32(9)
            .text("coven")
            .bytes(&[7; 16])
            .u64(5)
            .text("")
            .flag(false);
        writer.text("A Dark Cave").text("").text("");
        writer.flag(false).flag(false).flag(false).byte(0).u32(0);
        writer.byte(7).byte(7);
        writer.flag(true).flag(true).flag(false).flag(false);
        writer.optional(None).flag(false).u32(20).flag(true).u32(0);
        writer.flag(false).flag(false).flag(true);
        writer.flag(true).text("<subject/>").text("witch").u64(6);
        writer.u32(0).u32(0);
        let room = decode(&writer.finish()).expect("version 1");
        assert_eq!(room.config.mentions, MentionRules::DEFAULT);
        let subject = room.subject.as_ref().expect("a subject");
        assert_eq!(
            (&*subject.by, &*subject.nick, subject.at_ms),
            ("", "witch", 6)
        );
        assert_eq!(decode(&encode(&room)), Ok(room));
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
