//! mod_muc's rooms: what each is stands in the store `config` of the service, and what was said in `muc_log`.

use std::path::Path;

use super::Owner;
use super::files::{contents, decoded, entries, file_name, unreadable};
use super::stanza::named;
use crate::admin::portable::{Place, rooms};
use crate::cli::moving::lua::{self, Table, Value};
use crate::cli::moving::{Found, Take};
use crate::features::muc::roles;
use crate::limits;
use crate::store::{Affiliated, Affiliation, Hat, RoomConfig, RoomRecord, RoomSubject, UserId};
use crate::xml::written;
use crate::xmpp::{BareJid, Jid};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Reads all rooms of a service.
pub(super) fn read(folder: &Path, host: &str, take: Take<'_>) -> Result<(), String> {
    for path in entries(&folder.join("config"))? {
        let file = file_name(&path);
        let Some(encoded) = file.strip_suffix(".dat") else {
            continue;
        };
        let place = path.display().to_string();
        let jid = decoded(encoded).and_then(|name| BareJid::new(Some(&name), host).ok());
        let Some(jid) = jid else {
            return Err(format!(
                "{place}: the name of the file is no encoded name of a room: rename it, or move it away"
            ));
        };
        let Some(bytes) = contents(&path)? else {
            continue;
        };
        let value = lua::returned(&bytes).map_err(|why| unreadable(&path, &why))?;
        // Another kind of service has a store of that name, too.
        let Some(frozen) = value.table().filter(|room| room.table("_data").is_some()) else {
            continue;
        };
        take(Found::Room { jid: jid.clone() }, &place)?;
        let name = jid.local().unwrap_or_default().to_owned();
        let mut room = Owner {
            folder,
            encoded,
            name: &name,
            domain: host,
            take: &mut *take,
        };
        room.room(&name, frozen, &place)?;
        room.archive("muc_log")?;
        take(Found::End, &place)?;
    }
    Ok(())
}

impl Owner<'_, '_> {
    fn room(&mut self, name: &str, frozen: &Table, place: &str) -> Result<(), String> {
        let empty = Table::default();
        let data = frozen.table("_data").unwrap_or(&empty);
        let people = people(frozen);
        let mut record = RoomRecord {
            id: UserId::new(0),
            name: name.to_owned(),
            salt: salt(data),
            created_ms: 0,
            maker: String::new(),
            everyone: false,
            config: config(data),
            subject: subject(data),
            hats: Vec::new(),
            tokens: Vec::new(),
        };
        let mut all = Vec::new();
        for (jid, affiliation, about) in people {
            let Ok(parsed) = Jid::parse(jid) else {
                self.left_out(
                    &format!("{jid:?}, which is no address, in the room {name}"),
                    place,
                )?;
                continue;
            };
            let mut one = Affiliated::new(parsed.bare(), affiliation);
            let nick = about.and_then(|about| about.text("reserved_nickname"));
            one.nick = nick
                .filter(|nick| nick.len() <= limits::NICK_BYTES)
                .map(str::to_owned);
            let mut hats: Vec<_> = named(about.and_then(|about| about.table("hats"))).collect();
            hats.sort_by_key(|(uri, _)| *uri);
            for (uri, hat) in hats {
                if hat.table().and_then(|hat| hat.get("active")) != Some(&Value::Bool(true)) {
                    continue;
                }
                one.hats.push(uri.to_owned());
                if record.hats.iter().all(|known| known.uri != uri) {
                    let title = hat.table().and_then(|hat| hat.text("title"));
                    record.hats.push(Hat {
                        uri: uri.to_owned(),
                        title: title.unwrap_or(uri).to_owned(),
                        hue: String::new(),
                    });
                }
            }
            all.push(one);
        }
        for piece in rooms::about(&record) {
            self.read_piece(piece, "what the room is", place)?;
        }
        for one in &all {
            let what = format!("{} in the room", one.jid);
            self.piece(Place::People, rooms::person(one), &what, place)?;
        }
        Ok(())
    }
}

/// Everybody who is something, by address, with what is known of them.
fn people(frozen: &Table) -> Vec<(&str, Affiliation, Option<&Table>)> {
    let data = frozen.table("_affiliation_data");
    // Once, they stood in a table of their own.
    let people = match frozen.table("_affiliations") {
        Some(people) => people,
        None => frozen,
    };
    let mut all: Vec<_> = named(Some(people))
        .filter(|(jid, _)| !jid.starts_with('_'))
        .filter_map(|(jid, is)| {
            let affiliation = roles::affiliation_named(is.text()?)?;
            Some((jid, affiliation, data.and_then(|data| data.table(jid))))
        })
        .collect();
    all.sort_by_key(|(jid, _, _)| *jid);
    all
}

fn config(data: &Table) -> RoomConfig {
    let text = |name: &str| {
        let text = data.text(name).unwrap_or_default();
        let fits = text.len() <= limits::ROOM_TEXT_BYTES;
        if fits { text.to_owned() } else { String::new() }
    };
    let is = |name: &str| data.get(name) == Some(&Value::Bool(true));
    let password = data.text("password").filter(|text| !text.trim().is_empty());
    let history = data.number("history_length").unwrap_or(20.0);
    RoomConfig {
        title: text("name"),
        description: text("description"),
        lang: text("language"),
        change_subject: is("changesubject"),
        allow_invites: is("allow_member_invites"),
        public: !is("hidden"),
        persistent: true,
        moderated: is("moderated"),
        members_only: is("members_only"),
        password: password.map(str::to_owned),
        non_anonymous: data.text("whois") == Some("anyone"),
        max_history: history.clamp(0.0, limits::ROOM_HISTORY as f64) as u32,
        archived: data.get("archiving") != Some(&Value::Bool(false)),
        ..RoomConfig::DEFAULT
    }
}

fn subject(data: &Table) -> Option<RoomSubject> {
    let text = data.text("subject").filter(|text| !text.is_empty())?;
    let from = data.text("subject_from").unwrap_or_default();
    let nick = from.split_once('/').map_or("", |(_, nick)| nick);
    let at = data
        .number("subject_time")
        .filter(|seconds| *seconds >= 0.0);
    Some(RoomSubject {
        xml: written(|out| {
            out.start("subject").text(text).end();
        }),
        nick: nick.to_owned(),
        by: String::new(),
        at_ms: (at.unwrap_or(0.0) * 1000.0) as u64,
    })
}

/// Out of Prosody's own secret, or a new one; ids of occupants change all the same.
fn salt(data: &Table) -> [u8; 16] {
    let mut salt = [0; 16];
    match data.get("occupant_id_salt").and_then(Value::bytes) {
        Some(theirs) => salt.copy_from_slice(&digest(&SHA256, theirs).as_ref()[..16]),
        None => SystemRandom::new()
            .fill(&mut salt)
            .expect("the system has random bytes"),
    }
    salt
}
