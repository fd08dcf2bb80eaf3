//! XEP-0357 §7: what is worth a notification, when it goes, what it says, and what its answer means.
//!
//! A node has one notification on its way at a time, and rests between two: what happens meanwhile is in the next one. An error that will not pass by itself
//! disables it at once (§7.1); after another it is tried again, later each time, and disabled after [`limits::PUSH_ERRORS`] in a row.

use super::targets::{self, Target};
use crate::config::PushContents;
use crate::engine::Engine;
use crate::engine::content;
use crate::engine::feature::{Incoming, Reached};
use crate::engine::missed::{Missed, What};
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::PushTarget;
use crate::xml::{Document, Element, Scope, written};
use crate::xmpp::form::{Field, FieldType, FormType};
use crate::xmpp::{Condition, ErrorType, Form, IqType, Jid, MessageType, StanzaError, ns};
use std::rc::Rc;

/// A message has reached an account: the devices that it has not reached are told, if it is worth that.
pub fn delivered(engine: &mut Engine, incoming: &Incoming<'_, '_>, reached: Reached) {
    let (stanza, account) = (incoming.stanza, incoming.account);
    targets::all(engine);
    // Most messages are for who enabled nothing, or is there: these cost no more than that.
    if !engine.is_sleeper(account) || !is_any_away(engine, account) {
        return;
    }
    let device = match (stanza.message_type(), reached) {
        (Some(MessageType::Chat | MessageType::Normal), _) => None,
        // Of a room elsewhere, for the one device that is in it.
        (Some(MessageType::Groupchat), Reached::One(there)) => {
            let there = engine.session(there).map(|there| there.jid.clone());
            there.map(|jid| jid.resource().to_owned())
        }
        _ => return,
    };
    // What the account says to itself, from whichever device, wakes no other.
    if stanza.from.bare() == engine.bare_jid(account).as_str() {
        return;
    }
    let missed = Missed {
        account,
        device: device.as_deref(),
        from: &stanza.from,
        what: What::Message(stanza.xml.root()),
    };
    note(engine, &missed);
}

/// A device lost its connection and may come back: what it was sent and has not acknowledged, it may not have got.
pub fn lost(engine: &mut Engine, session: SessionId) {
    let Some(jid) = engine.session(session).map(|session| session.jid.clone()) else {
        return;
    };
    let account = jid.local().unwrap_or_default();
    let of_device = |target: &Target| target.kept.resource == jid.resource();
    if !targets::all(engine).of(account).iter().any(of_device) {
        return;
    }
    for xml in engine.unacknowledged(session) {
        let Ok(document) = Document::parse_within(xml, Scope::of_default(ns::CLIENT)) else {
            continue;
        };
        let root = document.root();
        let from = root.attr("from").unwrap_or_default();
        let is_chat =
            root.is(ns::CLIENT, "message") && root.attr("type").as_deref() != Some("error");
        if let Ok(from) = Jid::parse(&from)
            && is_chat
        {
            let missed = Missed {
                account,
                device: Some(jid.resource()),
                from: &from,
                what: What::Message(root),
            };
            note(engine, &missed);
        }
    }
}

/// A device is there again: it sees what there is, and need not be told.
pub fn is_back(engine: &mut Engine, session: SessionId) {
    let Some(jid) = engine.session(session).map(|session| session.jid.clone()) else {
        return;
    };
    let account = jid.local().unwrap_or_default();
    for target in targets::all(engine).of_mut(account) {
        if target.kept.resource == jid.resource() {
            target.settle();
        }
    }
}

/// What was held back goes when it is time.
pub fn go_on(engine: &mut Engine) {
    let owing = std::mem::take(&mut targets::all(engine).owing);
    for account in owing {
        send_due(engine, &account);
    }
}

/// Something happened to an account: its devices that are not there are told, if it is worth that.
pub fn note(engine: &mut Engine, missed: &Missed<'_>) {
    let account = missed.account;
    if !is_worth_it(missed.what) {
        return;
    }
    let contents = engine.config.push.contents;
    let devices: Vec<Rc<str>> = targets::all(engine)
        .of(account)
        .iter()
        .map(|target| target.device.clone())
        .collect();
    let misses = |device: &Rc<str>| {
        missed.device.is_none_or(|one| *one == **device) && !is_there(engine, account, device)
    };
    let away: Vec<bool> = devices.iter().map(misses).collect();
    let from = missed.from.as_str();
    let body = match missed.what {
        What::Message(root) if contents >= PushContents::Body => body(root),
        _ => String::new(),
    };
    let entry = engine.entry();
    let all = targets::all(engine);
    for (target, away) in all.of_mut(account).iter_mut().zip(away) {
        // What a room says to all its members, it may say to one again: that it was mentioned.
        let again = missed.device.is_none() && target.noted == entry;
        if !away || again {
            continue;
        }
        target.owed = true;
        if matches!(missed.what, What::Request) {
            continue;
        }
        target.noted = entry;
        target.count = target.count.saturating_add(1);
        target.body = body.clone();
        target.sender = match contents >= PushContents::Sender {
            true => from.to_owned(),
            false => String::new(),
        };
    }
    send_due(engine, account);
}

/// Whether a device of an account that wants to be woken is not there.
fn is_any_away(engine: &mut Engine, account: &str) -> bool {
    let mut place = 0;
    while let Some(target) = targets::all(engine).of(account).get(place) {
        let device = target.device.clone();
        if !is_there(engine, account, &device) {
            return true;
        }
        place += 1;
    }
    false
}

/// Whether a device has a connection: then it gets what there is by itself.
fn is_there(engine: &Engine, account: &str, device: &str) -> bool {
    engine
        .session_at(account, device)
        .and_then(|session| engine.session(session))
        .is_some_and(|session| session.conn.is_some())
}

fn is_worth_it(what: What<'_>) -> bool {
    match what {
        // XEP-0334 §4.3: what shall not be stored is for who is there.
        What::Message(root) => {
            content::wakes(root)
                && (!content::hints(root, "no-store") || content::hints(root, "store"))
        }
        What::Request => true,
    }
}

/// The text of a message, as much as a notification shows; nothing of what is encrypted, whose text only says that it is.
fn body(root: Element<'_>) -> String {
    let text = match root.child(ns::CLIENT, "body") {
        Some(body) if !content::is_encrypted(root) => body.text(),
        _ => return String::new(),
    };
    let mut end = text.len().min(limits::PUSH_BODY_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Sends what is owed to the nodes of an account whose time has come, and remembers that something is left.
fn send_due(engine: &mut Engine, account: &str) {
    let now_ms = engine.now.mono_ms;
    let owed: Vec<PushTarget> = targets::all(engine)
        .of(account)
        .iter()
        .filter(|target| target.owed)
        .map(|target| target.kept.clone())
        .collect();
    for kept in owed {
        let there = is_there(engine, account, &kept.resource);
        let all = targets::all(engine);
        let Some(target) = all.find(account, &kept.jid, &kept.node) else {
            continue;
        };
        if there {
            target.settle();
        } else if target.in_flight || now_ms < target.next_ms {
            all.owing.insert(account.into());
        } else {
            (target.owed, target.in_flight) = (false, true);
            target.next_ms = now_ms + limits::PUSH_PAUSE_MS;
            let (count, sender, body) = (target.count, target.sender.clone(), target.body.clone());
            publish(engine, kept, count, &sender, &body);
        }
    }
}

/// §7: publishes at the node, in the server's name.
fn publish(engine: &mut Engine, kept: PushTarget, count: u32, sender: &str, body: &str) {
    let Ok(to) = Jid::parse(&kept.jid).map(Jid::into_owned) else {
        return;
    };
    // A device that cannot log in, perhaps because it was stolen, has nothing to come for.
    if let Ok(Some(account)) = engine.store.account(&kept.account)
        && account.locked
    {
        engine.trace(|| "push: the account is locked".to_owned());
        return quiet(engine, &kept);
    }
    let requests = match engine.user(&kept.account) {
        Ok(user) => user.map_or(0, |user| {
            let asking = user.contacts.iter().filter(|contact| contact.pending_in);
            asking.count()
        }),
        Err(_) => 0,
    };
    let contents = engine.config.push.contents;
    let mut summary = Form::new(FormType::Submit);
    let mut add = |var: &str, value: &str| {
        let empty = value.is_empty() || value == "0";
        if !empty {
            summary.fields.push(Field::new(var, None).value(value));
        }
    };
    if contents >= PushContents::Count {
        add("message-count", &count.to_string());
        add("pending-subscription-count", &requests.to_string());
    }
    if contents >= PushContents::Sender {
        add("last-message-sender", sender);
    }
    if contents >= PushContents::Body {
        add("last-message-body", body);
    }
    summary.fields.insert(
        0,
        Field::new("FORM_TYPE", Some(FieldType::Hidden)).value(ns::PUSH_SUMMARY),
    );
    let node = Some(kept.node.as_str()).filter(|node| !node.is_empty());
    let payload = written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB);
        out.start("publish").attr_opt("node", node).start("item");
        out.start("notification").attr("xmlns", ns::PUSH);
        if contents > PushContents::None {
            summary.write(out);
        }
        out.end().end().end();
        if !kept.options.is_empty() {
            out.start("publish-options").raw(&kept.options).end();
        }
        out.end();
    });
    engine.trace(|| format!("push: to {to}"));
    engine.ask_beyond(&to, IqType::Set, &payload, move |engine, answer| {
        answered(engine, &kept, answer)
    });
}

/// Nothing is told, now or later.
fn quiet(engine: &mut Engine, kept: &PushTarget) {
    let all = targets::all(engine);
    if let Some(target) = all.find(&kept.account, &kept.jid, &kept.node) {
        target.in_flight = false;
        target.settle();
    }
}

/// §7.1: the app server took it, or did not.
fn answered(engine: &mut Engine, kept: &PushTarget, answer: Result<(), StanzaError>) {
    let now_ms = engine.now.mono_ms;
    let PushTarget {
        account, jid, node, ..
    } = kept;
    // It may have been disabled meanwhile, or enabled anew.
    let all = targets::all(engine);
    let Some(target) = all
        .find(account, jid, node)
        .filter(|target| target.in_flight && target.kept == *kept)
    else {
        return;
    };
    target.in_flight = false;
    let Err(error) = answer else {
        target.errors = 0;
        return;
    };
    target.errors += 1;
    let (errors, name) = (target.errors, error.condition.name());
    if is_final(&error) || errors >= limits::PUSH_ERRORS {
        log::warn!("{jid} does not wake {account} any more: it answered {name}");
        if let Err(error) = targets::remove(engine, account, jid, Some(node)) {
            log::error!(
                "a node for push could not be removed: {:?}",
                error.condition
            );
        }
        return;
    }
    if errors == 1 {
        log::info!("{jid} could not wake {account}: {name}; it is tried again");
    }
    let wait_ms = limits::PUSH_RETRY_MS << (errors - 1).min(16);
    target.owed = true;
    target.next_ms = now_ms + wait_ms.min(limits::PUSH_RETRY_MAX_MS);
    all.owing.insert(account.as_str().into());
}

/// Whether an error will be the same tomorrow. Of a service that is broken or not there at the moment one cannot know.
fn is_final(error: &StanzaError) -> bool {
    error.kind != ErrorType::Wait
        && !matches!(
            error.condition,
            Condition::InternalServerError
                | Condition::ServiceUnavailable
                | Condition::UndefinedCondition
        )
}
