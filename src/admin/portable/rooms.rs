//! Rooms, in both directions; the form of the file is in `mod.rs`.

use super::read::Item;
use super::write::{Part, Progress};
use super::{Piece, Place, ROOM};
use crate::auth;
use crate::features::muc::{config, mention_rules, roles};
use crate::limits;
use crate::store::{
    Affiliated, Hat, InviteToken, RoomConfig, RoomRecord, RoomSubject, Store, StoreError, UserId,
};
use crate::xml::{Element, written};
use crate::xmpp::{Form, Jid, StanzaError, form, ns};

/// What a room is, one thing of it.
#[derive(Clone, Debug)]
pub enum RoomFact {
    /// When and by which account it was made, what its occupants' ids are made with, and whether every account is a member.
    About {
        created_ms: u64,
        maker: String,
        salt: Option<[u8; 16]>,
        everyone: bool,
    },
    /// What its owners have chosen.
    Config(Box<RoomConfig>),
    /// What it is about.
    Subject(RoomSubject),
    /// What can be worn.
    Hat(Hat),
    /// An invitation.
    Token(InviteToken),
    /// Its vCard.
    Card(String),
}

/// What a room has but for its archive, some 256 KiB at a time; behind that comes the archive ([`super::write::in_archive`]).
pub fn part(store: &Store, room: &RoomRecord, from: Progress) -> Result<Part, StoreError> {
    let mut part = Part::default();
    if from.kind == 0 {
        part.pieces = about(room);
        if let Some(card) = store.room_card(room.id)? {
            part.push(Place::Room, card);
        }
    }
    let people = store.affiliations(room.id)?;
    let done = if from.kind == 0 { 0 } else { from.done };
    let more = part.fill(&people, done, |part, one| {
        part.push(Place::People, person(one))
    });
    part.next = Some(match more {
        Some(done) => Progress { kind: 1, done },
        None => super::write::archive_begins(),
    });
    Ok(part)
}

/// What a room is, but for its card.
pub fn about(room: &RoomRecord) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut push = |xml: String| pieces.push(Piece::new(Place::Room, xml));
    let about = written(|out| {
        out.start("about")
            .attr("xmlns", ROOM)
            .attr("created-ms", &room.created_ms.to_string())
            .attr("maker", &room.maker)
            .attr("salt", &auth::encode(room.salt))
            .attr_opt("everyone", room.everyone.then_some("true"))
            .end();
    });
    push(about);
    let config = written(|out| {
        out.start("config").attr("xmlns", ROOM);
        config::form(&room.config, "", "").write(out);
        mention_rules::form(&room.config.mentions).write(out);
        out.end();
    });
    push(config);
    if let Some(subject) = &room.subject {
        let xml = written(|out| {
            out.start("subject")
                .attr("xmlns", ROOM)
                .attr("nick", &subject.nick)
                .attr("by", &subject.by)
                .attr("at-ms", &subject.at_ms.to_string())
                .raw(&declared(&subject.xml))
                .end();
        });
        push(xml);
    }
    for hat in &room.hats {
        let xml = written(|out| {
            out.start("hat")
                .attr("xmlns", ROOM)
                .attr("uri", &hat.uri)
                .attr("title", &hat.title)
                .attr("hue", &hat.hue)
                .end();
        });
        push(xml);
    }
    for token in &room.tokens {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let xml = written(|out| {
            out.start("token")
                .attr("xmlns", ROOM)
                .attr("by", &token.by)
                .attr_opt("uses", number(token.uses.map(u64::from)).as_deref())
                .attr_opt("until-ms", number(token.until_ms).as_deref())
                .text(&token.token)
                .end();
        });
        push(xml);
    }
    pieces
}

/// The `<subject/>`s of a room, which are kept as they stand in a stanza.
fn declared(xml: &str) -> String {
    let around = crate::xml::Scope::of_default(ns::CLIENT);
    let whole = crate::xml::Document::parse_within(format!("<subjects>{xml}</subjects>"), around);
    whole.map_or_else(
        |_| String::new(),
        |whole| {
            let children = whole.root().children();
            children.map(|child| child.standalone()).collect()
        },
    )
}

/// Somebody who is something in a room.
pub fn person(one: &Affiliated) -> String {
    written(|out| {
        out.start("item")
            .attr("xmlns", ns::MUC_ADMIN)
            .attr("jid", &one.jid)
            .attr("affiliation", roles::affiliation_name(one.affiliation))
            .attr_opt("nick", one.nick.as_deref());
        if let Some(reason) = &one.reason {
            out.leaf("reason", reason);
        }
        for hat in &one.hats {
            out.start("hat").attr("xmlns", ROOM).attr("uri", hat).end();
        }
        out.end();
    })
}

/// Reads something at the first level of a room.
pub(super) fn read(root: &Element<'_>) -> Result<Item, String> {
    let number = |name: &str| match root.attr(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| format!("{name} is not a number: {text:?}")),
    };
    let text = |name: &str| root.attr(name).unwrap_or_default().into_owned();
    let fact = match root.name() {
        "vCard" => RoomFact::Card(root.standalone()),
        "about" => RoomFact::About {
            created_ms: number("created-ms")?.unwrap_or(0),
            maker: text("maker"),
            salt: match root.attr("salt") {
                None => None,
                Some(salt) => {
                    let salt = auth::decode(&salt)
                        .ok()
                        .and_then(|salt| salt.try_into().ok());
                    Some(salt.ok_or("the salt of a room must be 16 bytes in base64")?)
                }
            },
            everyone: root.attr("everyone").as_deref() == Some("true"),
        },
        "config" => {
            let text = |error: StanzaError| error.text.unwrap_or_default().into_owned();
            // The second one has the rules for mentions, which files of before have not.
            let mut forms = root.children().filter(|child| child.is(form::NS, "x"));
            let first = forms.next().and_then(|x| Form::read(&x).ok());
            let first = first.ok_or("the configuration of a room is no form of XEP-0004")?;
            let mut config = config::read(&first, &RoomConfig::DEFAULT).map_err(text)?;
            if let Some(second) = forms.next().and_then(|x| Form::read(&x).ok()) {
                config.mentions = mention_rules::read(&second, config.mentions).map_err(text)?;
            }
            RoomFact::Config(Box::new(config))
        }
        "subject" => {
            let subjects = root
                .children()
                .filter(|child| child.is(ns::CLIENT, "subject"));
            RoomFact::Subject(RoomSubject {
                xml: subjects.map(|subject| bare_subject(&subject)).collect(),
                nick: text("nick"),
                by: text("by"),
                at_ms: number("at-ms")?.unwrap_or(0),
            })
        }
        "hat" => RoomFact::Hat(Hat {
            uri: text("uri"),
            title: text("title"),
            hue: text("hue"),
        }),
        "token" => RoomFact::Token(InviteToken {
            token: root.text().into_owned(),
            by: text("by"),
            uses: number("uses")?.map(|uses| u32::try_from(uses).unwrap_or(u32::MAX)),
            until_ms: number("until-ms")?,
        }),
        name => return Ok(Item::Unknown(format!("<{name} xmlns='{ROOM}'/>"))),
    };
    Ok(Item::Room(fact))
}

/// A `<subject/>` as it is kept: within a stanza, in the namespace of streams.
fn bare_subject(subject: &Element<'_>) -> String {
    written(|out| {
        out.start("subject")
            .attr_opt("xml:lang", subject.attr("xml:lang").as_deref())
            .text(&subject.text())
            .end();
    })
}

/// Reads somebody who is something in a room.
pub(super) fn read_person(root: &Element<'_>) -> Result<Item, String> {
    let text = root.attr("jid").unwrap_or_default();
    let jid = Jid::parse(&text).map_err(|error| format!("{text:?} is no address: {error}"))?;
    let name = root.attr("affiliation").unwrap_or_default();
    let affiliation = roles::affiliation_named(&name)
        .ok_or_else(|| format!("{name:?} is no affiliation of {text:?}"))?;
    let hats = root.children().filter(|child| child.is(ROOM, "hat"));
    let reason = root.child(ns::MUC_ADMIN, "reason");
    let nick = root.attr("nick").map(|nick| nick.into_owned());
    if nick
        .as_ref()
        .is_some_and(|nick| nick.len() > limits::NICK_BYTES)
    {
        return Err(format!(
            "the nickname of {text:?} is longer than {} bytes",
            limits::NICK_BYTES
        ));
    }
    Ok(Item::Person(Affiliated {
        nick,
        reason: reason.map(|reason| reason.text().into_owned()),
        hats: hats
            .filter_map(|hat| hat.attr("uri").map(|uri| uri.into_owned()))
            .take(limits::ROOM_HATS)
            .collect(),
        ..Affiliated::new(jid.bare(), affiliation)
    }))
}

/// Keeps somebody; who is an account here is that account from now on.
pub(super) fn keep_person(
    store: &Store,
    room: UserId,
    domain: &str,
    mut one: Affiliated,
) -> Result<(), StoreError> {
    if let Some((name, its)) = one.jid.split_once('@')
        && its == domain
    {
        one.account = store.account(name)?.map(|account| account.id);
    }
    store.put_affiliation(room, &one)
}
