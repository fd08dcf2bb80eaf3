//! Verbs about accounts. What they do is the engine's `administration.rs`; here a request is read and an answer written.

use super::{OPERATOR, done, finish, says, text, with_name};
use crate::engine::Engine;
use crate::engine::administration::Then;
use crate::store::archive::{Answer, Request};
use crate::store::{Account, StoreError};
use crate::xmpp::BareJid;
use serde_json::{Value, json};

const NAMELESS: &str = "the request names no account";

/// `user.add`: name, password, admin.
pub fn add(engine: &mut Engine, call: u64, request: &Value) {
    with_password(engine, call, request, |engine, name, password, admin| {
        let then = done(call, move |jid| match admin {
            true => format!("made {jid}, an administrator"),
            false => format!("made {jid}"),
        });
        engine.add_account(OPERATOR, name, password, admin, then);
    });
}

/// `user.passwd`: name, password, admin. Sessions that know the old one end.
pub fn passwd(engine: &mut Engine, call: u64, request: &Value) {
    with_password(engine, call, request, |engine, name, password, admin| {
        let then = done(call, move |jid| match admin {
            true => format!("{jid} has a new password and is an administrator"),
            false => format!("{jid} has a new password"),
        });
        engine.change_password(OPERATOR, name, password, admin, then);
    });
}

/// `user.del`: name.
pub fn del(engine: &mut Engine, call: u64, request: &Value) {
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done_all(call, |jid| format!("deleted {jid}"));
        engine.remove_accounts(OPERATOR, &[name], then);
    });
}

/// `user.lock`: name. Nobody logs in to it any more; its sessions end, what it has stays.
pub fn lock(engine: &mut Engine, call: u64, request: &Value) {
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done_all(call, |jid| {
            format!("{jid} is locked: it cannot log in, and messages to it wait")
        });
        engine.lock_accounts(OPERATOR, &[name], true, then);
    });
}

/// `user.unlock`: name.
pub fn unlock(engine: &mut Engine, call: u64, request: &Value) {
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done_all(call, |jid| format!("{jid} can log in"));
        engine.lock_accounts(OPERATOR, &[name], false, then);
    });
}

/// `user.admin`: name, admin (true where it is missing).
pub fn admin(engine: &mut Engine, call: u64, request: &Value) {
    let admin = request["admin"].as_bool().unwrap_or(true);
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done(call, move |jid| match admin {
            true => format!("{jid} is an administrator"),
            false => format!("{jid} is no administrator"),
        });
        engine.set_admin(OPERATOR, name, admin, then);
    });
}

/// `user.list`: every account.
pub fn list(engine: &mut Engine, call: u64, _: &Value) {
    let describe = |account: &Account| {
        json!({
            "jid": engine.bare_jid(&account.name).to_string(),
            "online": engine.sessions_of(&account.name).len(),
            "admin": account.admin,
            "locked": account.locked,
            "created_ms": account.created_ms,
        })
    };
    let outcome = engine
        .store
        .accounts()
        .map_err(|error| error.to_string())
        .map(|accounts| json!({"users": accounts.iter().map(describe).collect::<Vec<_>>()}));
    finish(engine, call, outcome);
}

/// `user.show`: one account.
pub fn show(engine: &mut Engine, call: u64, request: &Value) {
    let found = text(request, "name", NAMELESS).and_then(|name| {
        let account = engine.account_called(name).map_err(says)?;
        let id = account.id;
        let details = details(engine, account).map_err(|error| error.to_string())?;
        Ok((id, details))
    });
    let (id, mut details) = match found {
        Ok(found) => found,
        Err(error) => return finish(engine, call, Err(error)),
    };
    engine.read_archive(Request::Bounds(id), move |engine, edges| {
        let outcome = match edges {
            Ok(Answer::Bounds(edges)) => {
                let (first, last) = edges.unzip();
                details["archived_from_ms"] = json!(first.map(|first| first.at_ms));
                details["archived_until_ms"] = json!(last.map(|last| last.at_ms));
                Ok(details)
            }
            Ok(_) => Ok(details),
            Err(error) => Err(error.to_string()),
        };
        finish(engine, call, outcome);
    });
}

fn details(engine: &Engine, account: Account) -> Result<Value, StoreError> {
    let contacts = engine.store.roster(account.id)?;
    let waiting = engine.store.offline_tally(account.id)?;
    let resources: Vec<String> = engine
        .sessions_of(&account.name)
        .into_iter()
        .filter_map(|id| engine.session(id))
        .map(|session| session.jid.resource().to_owned())
        .collect();
    Ok(json!({
        "jid": engine.bare_jid(&account.name).to_string(),
        "admin": account.admin,
        "locked": account.locked,
        "created_ms": account.created_ms,
        "contacts": contacts.iter().filter(|item| item.listed).count(),
        "push_targets": engine.store.count_push_targets(account.id)?,
        "waiting_messages": waiting.messages,
        "waiting_bytes": waiting.bytes,
        "resources": resources,
    }))
}

fn with_password(
    engine: &mut Engine,
    call: u64,
    request: &Value,
    run: impl FnOnce(&mut Engine, &str, &str, bool),
) {
    let admin = request["admin"].as_bool().unwrap_or(false);
    let given = text(request, "name", NAMELESS).and_then(|name| {
        text(request, "password", "the request has no password").map(|password| (name, password))
    });
    match given {
        Ok((name, password)) => run(engine, name, password, admin),
        Err(error) => finish(engine, call, Err(error)),
    }
}

/// [`done`] for what is done to several and was asked for one.
fn done_all(call: u64, sentence: impl FnOnce(&BareJid) -> String + 'static) -> Then<Vec<BareJid>> {
    let done = done(call, sentence);
    Box::new(move |engine, outcome| {
        let one = outcome.map(|mut jids| jids.pop().expect("one account was asked for"));
        done(engine, one);
    })
}
