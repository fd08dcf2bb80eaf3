//! Verbs by which the command line moves accounts and rooms out and in, a bounded part at a time: between two parts it is everybody else's turn.
//!
//! Out: `export.names`, then `export.part` of each account until it has no `next`. In: `import.begin`, `import.items` as often as there is something,
//! `import.finish`, for each account; the same for rooms, with the verbs of `rooms.rs`; `import.commit` at the end. What is not finished is gone after a restart, or at `import.abandon`.

pub mod rooms;

use super::portable::read::{self, Facts, Item};
use super::portable::write::{self, For, Progress};
use super::portable::{Piece, Place, archived_rows, settle};
use super::{Outcome, finish, finish_committed};
use crate::auth::{self, Hash, ScramKeys, Secret};
use crate::engine::Engine;
use crate::limits;
use crate::store::archive::{Answer, Query, Request, Stamp};
use crate::store::{Account, StoreError, UserId};
use crate::xmpp::BareJid;
use serde_json::{Value, json};

/// `export.names`: after. Names of accounts in their order, and whether there are more.
pub fn names(engine: &mut Engine, call: u64, request: &Value) {
    // What is only in memory yet goes along.
    engine.keep_departures();
    let outcome = engine.store.accounts().map_err(sentence).map(|accounts| {
        let after = request["after"].as_str();
        let mut names = accounts.iter().map(|account| account.name.as_str());
        if let Some(after) = after {
            names.by_ref().find(|name| *name == after);
        }
        let names: Vec<&str> = names.take(limits::MOVED_NAMES).collect();
        json!({"domain": engine.config.domain, "names": names, "more": names.len() == limits::MOVED_NAMES})
    });
    finish(engine, call, outcome);
}

/// `export.part`: name, for, next. The next pieces of an account; `gone` if it was deleted meanwhile.
pub fn part(engine: &mut Engine, call: u64, request: &Value) {
    let found = account_and_whom(engine, request);
    let (account, whom) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return finish(engine, call, Ok(json!({"gone": true}))),
        Err(error) => return finish(engine, call, Err(error)),
    };
    let about = json!({
        "locked": account.locked,
        "lacks_sha1": account.sha1.is_none() && account.sha256.is_some(),
    });
    let from = progress(request);
    match write::in_archive(from) {
        Some(from) => archived(engine, call, account.id, from, about),
        None => {
            let part = write::part(&engine.store, &account, whom, from).map_err(sentence);
            finish(engine, call, part.map(|part| told(&part, about)));
        }
    }
}

/// Answers with the archived messages from a place on.
fn archived(engine: &mut Engine, call: u64, owner: UserId, from: Stamp, about: Value) {
    let query = Query {
        from,
        max: limits::MOVED_NAMES,
        bytes: limits::MOVED_PART_BYTES,
        ..Query::of(owner)
    };
    engine.read_archive(Request::Page(query), move |engine, answer| {
        let outcome = match answer {
            Ok(Answer::Page { rows, complete }) => {
                Ok(told(&write::Part::archived(&rows, complete), about))
            }
            Ok(_) => Ok(told(&write::Part::default(), about)),
            Err(error) => Err(sentence(error)),
        };
        finish(engine, call, outcome);
    });
}

fn told(part: &write::Part, about: Value) -> Value {
    let piece = |piece: &Piece| match piece.node.is_empty() {
        true => json!([piece.place.word(), piece.xml]),
        false => json!([piece.place.word(), piece.xml, piece.node]),
    };
    let mut answer = about;
    answer["pieces"] = part.pieces.iter().map(piece).collect();
    answer["next"] = json!(part.next.map(|next| [next.kind, next.done]));
    answer["left_out"] = json!(part.left_out);
    answer
}

fn progress(request: &Value) -> Progress {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    Progress {
        kind: number(&request["next"][0]),
        done: number(&request["next"][1]),
    }
}

fn account_and_whom(engine: &Engine, request: &Value) -> Result<Option<(Account, For)>, String> {
    let name = field(request, "name")?;
    let whom = match request["for"].as_str() {
        None => For::Anybody,
        Some("ejabberd") => For::Ejabberd,
        Some(other) => return Err(format!("nothing is known of {other:?}: it is \"ejabberd\"")),
    };
    let account = engine.store.account(name).map_err(sentence)?;
    Ok(account.map(|account| (account, whom)))
}

/// `import.names`: names. Those of them that are accounts here.
pub fn known(engine: &mut Engine, call: u64, request: &Value) {
    let mut known = Vec::new();
    let names = request["names"].as_array().map_or(&[][..], Vec::as_slice);
    for name in names
        .iter()
        .filter_map(Value::as_str)
        .take(limits::MOVED_NAMES)
    {
        match engine.store.account(name) {
            Ok(Some(_)) => known.push(name),
            Ok(None) => {}
            Err(error) => return finish(engine, call, Err(error.to_string())),
        }
    }
    let outcome = Ok(json!({
        "domain": engine.config.domain,
        "rooms_host": engine.config.rooms_host(),
        "archives": engine.archive_on(),
        "known": known,
    }));
    finish(engine, call, outcome);
}

/// `import.begin`: name, and room where it is one. The id under which it arrives.
pub fn begin(engine: &mut Engine, call: u64, request: &Value) {
    let outcome = (|| {
        let name = field(request, "name")?;
        if request["room"] == true {
            return rooms::begin(engine, name);
        }
        match auth::account_name(name) {
            Ok(prepared) if prepared == name => {}
            Ok(_) => return Err(format!("{name:?} is not a name in its normal form")),
            Err(error) => return Err(format!("{name:?} cannot be a name: {error}")),
        }
        let id = engine.store.begin_arrival(name).map_err(sentence)?;
        Ok(json!({"id": id.number()}))
    })();
    finish(engine, call, outcome);
}

/// `import.items`: name, id, pieces, and room where it is one. Keeps them all or, at the first that cannot be, those before it.
pub fn items(engine: &mut Engine, call: u64, request: &Value) {
    let is_room = request["room"] == true;
    let host = match is_room {
        true => engine.config.rooms_host(),
        false => engine.config.domain.clone(),
    };
    let rows = (|| {
        let (name, id) = arriving(engine, request)?;
        let jid = BareJid::new(Some(&name), &host).map_err(|error| error.to_string())?;
        let pieces = pieces(request)?;
        let items = pieces.iter().map(read::read);
        let mut items = items.collect::<Result<Vec<Item>, String>>()?;
        let rows = archived_rows(&mut items, &jid, is_room, engine.now.wall_ms);
        for item in items {
            read::keep(&engine.store, id, &jid, &engine.config.domain, item).map_err(sentence)?;
        }
        Ok((id, rows))
    })();
    // Several megabytes would wait for the end otherwise.
    engine.ticket();
    match rows {
        Ok((owner, rows)) if !rows.is_empty() => {
            let insert = Request::Insert { owner, rows };
            engine.read_archive(insert, move |engine, done| {
                finish(engine, call, done.map(|_| json!({})).map_err(sentence));
            });
        }
        rows => finish(engine, call, rows.map(|_| json!({}))),
    }
}

/// `import.finish`: name, id, pieces, password. Makes the account, with the keys and the facts among the pieces, or with keys made of the password.
pub fn done(engine: &mut Engine, call: u64, request: &Value) {
    let account = match new_account(engine, request) {
        Ok(account) => account,
        Err(error) => return finish(engine, call, Err(error)),
    };
    match request["password"].as_str() {
        None => {
            let outcome = appear(engine, &account);
            finish(engine, call, outcome);
        }
        Some(password) => engine.derive_new(Secret::new(password), move |engine, keys| {
            let mut account = account;
            for keys in keys {
                match keys.hash() {
                    Some(Hash::Sha1) => account.sha1 = Some(keys),
                    Some(Hash::Sha256) => account.sha256 = Some(keys),
                    None => {}
                }
            }
            let outcome = match account.sha1.is_some() && account.sha256.is_some() {
                true => appear(engine, &account),
                false => Err("that cannot be a password".to_owned()),
            };
            finish(engine, call, outcome);
        }),
    }
}

fn new_account(engine: &Engine, request: &Value) -> Result<Account, String> {
    let (name, id) = arriving(engine, request)?;
    let (mut sha1, mut sha256): (Option<ScramKeys>, Option<ScramKeys>) = (None, None);
    let mut facts = Facts::default();
    for piece in pieces(request)? {
        match read::read(&piece)? {
            Item::Keys(Hash::Sha1, keys) => sha1 = Some(keys),
            Item::Keys(Hash::Sha256, keys) => sha256 = Some(keys),
            Item::Facts(found) => facts = found,
            _ => return Err("a piece comes too late: send it before the end".to_owned()),
        }
    }
    let created_ms = facts.created_ms.unwrap_or(engine.now.wall_ms);
    let mut account = Account::new(id, &name, created_ms);
    (account.sha1, account.sha256) = (sha1, sha256);
    (account.admin, account.locked) = (facts.admin, facts.locked);
    account.last_seen_ms = facts.last_seen_ms;
    // Who comes from elsewhere is not new.
    account.welcomed = true;
    Ok(account)
}

/// The account is there for all to see.
fn appear(engine: &mut Engine, account: &Account) -> Outcome {
    settle(&engine.store, account.id).map_err(sentence)?;
    engine.account_arrived(account).map_err(|error| match error {
        StoreError::Exists => format!(
            "an account {:?} was made here meanwhile: it was left as it is, and the one of the file was not imported",
            account.name
        ),
        error => error.to_string(),
    })?;
    Ok(json!({}))
}

/// `import.abandon`: name, id. Removes what has arrived of an account that will not be finished.
pub fn abandon(engine: &mut Engine, call: u64, request: &Value) {
    let outcome = arriving(engine, request).and_then(|(name, id)| {
        engine.store.abandon_arrival(id, &name).map_err(sentence)?;
        Ok(json!({}))
    });
    finish_committed(engine, call, outcome);
}

/// `import.commit`: answers once all that has arrived is on the disk.
pub fn commit(engine: &mut Engine, call: u64, _: &Value) {
    engine.take_census();
    engine.read_archive(Request::Settle, move |engine, done| {
        let outcome = done.map(|_| json!({})).map_err(sentence);
        finish_committed(engine, call, outcome);
    });
}

fn arriving(engine: &Engine, request: &Value) -> Result<(String, UserId), String> {
    let name = field(request, "name")?.to_owned();
    let id = request["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let id = UserId::new(id.ok_or("the request has no id")?);
    match engine.store.is_arriving(id, &name).map_err(sentence)? {
        true => Ok((name, id)),
        false => Err(format!(
            "no account {name:?} is arriving: was snug restarted meanwhile? Begin the import again"
        )),
    }
}

fn pieces(request: &Value) -> Result<Vec<Piece>, String> {
    let list = request["pieces"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|piece| {
            let place = piece[0].as_str().and_then(Place::of_word);
            let place =
                place.ok_or("a piece has no place: are snug and this command of one version?")?;
            let xml = piece[1].as_str().ok_or("a piece has no XML")?.to_owned();
            let node = piece[2].as_str().unwrap_or_default().to_owned();
            Ok(Piece { place, node, xml })
        })
        .collect()
}

fn field<'r>(request: &'r Value, name: &str) -> Result<&'r str, String> {
    request[name]
        .as_str()
        .ok_or_else(|| format!("the request has no {name}"))
}

fn sentence(error: StoreError) -> String {
    error.to_string()
}
