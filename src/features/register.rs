//! XEP-0077: In-Band Registration: making an account where the operator allows it, changing one's password, leaving; with the data form of §4
//! beside the plain fields. The redirection of §5 is left out: name and password are all that is needed.

use crate::auth::{self, ScramKeys, Secret};
use crate::config::RegistrationMode;
use crate::engine::dispatch::Asked;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::engine::stream::{Stage, Stream};
use crate::engine::{ConnId, Engine, Flow};
use crate::store::StoreError;
use crate::xml::Checked;
use crate::xml::Element;
use crate::xml::{Writer, written};
use crate::xmpp::{Condition, Field, FieldType, Form, FormType, Jid, StanzaError, StreamError, ns};
use std::borrow::Cow;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0077",
    title: "In-Band Registration",
    leaves_out: "redirection (§5)",
    server_features: &[ns::REGISTER],
    iq: &[
        IqRoute {
            ns: ns::REGISTER,
            name: "query",
            at: At::Server,
            takes: Takes::Both,
            handle: manage,
        },
        IqRoute {
            ns: ns::REGISTER,
            name: "query",
            at: At::OwnAccount,
            takes: Takes::Both,
            handle: manage,
        },
    ],
    before_login: Some(register),
    stream_features: Some(offer),
    ..Feature::NONE
};

const INSTRUCTIONS: &str = "Choose a name and a password.";

/// XEP-0077 §8: offered before login, where anybody may register.
fn offer(engine: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    let before_login =
        matches!(&stream.stage, Stage::Negotiating(login) if login.account.is_none());
    if before_login
        && stream.tls.is_some()
        && engine.config.registration.mode == RegistrationMode::Open
    {
        out.start("register")
            .attr("xmlns", ns::REGISTER_FEATURE)
            .end();
    }
}

/// XEP-0077 §3.1.1: somebody without an account.
fn register(engine: &mut Engine, conn: ConnId, xml: Checked<'_>) -> Option<Flow> {
    let root = xml.root();
    let query = root
        .child(ns::REGISTER, "query")
        .filter(|_| root.is(ns::CLIENT, "iq"))?;
    let kind = root.attr("type");
    let kind = kind
        .as_deref()
        .filter(|kind| ["get", "set"].contains(kind))?;
    let id = root.attr("id").map(Cow::into_owned);
    let for_us = root
        .attr("to")
        .is_none_or(|to| Jid::parse(&to).is_ok_and(|to| to.is_domain() && engine.is_local(&to)));
    let wanted = if id.is_none() || root.children().count() != 1 {
        // RFC 6120 §8.2.3.
        Err(Condition::BadRequest.into())
    } else if !for_us {
        Err(Condition::NotAuthorized.into())
    } else if engine.config.registration.mode == RegistrationMode::Closed {
        Err(StanzaError::text(
            Condition::ServiceUnavailable,
            "only the operator of this server makes accounts",
        ))
    } else if kind == "get" {
        answer(engine, conn, id.as_deref(), Ok(Some(fields(None))));
        return Some(Flow::Continue);
    } else if is_cancelled(&query) {
        answer(engine, conn, id.as_deref(), Ok(None));
        return Some(Flow::Continue);
    } else {
        wanted(&query)
    };
    Some(match wanted {
        Ok((name, password)) => {
            let wait_ms = engine.count_registration(conn);
            engine.after(conn, wait_ms, move |engine| {
                create(engine, conn, id, name, password)
            })
        }
        Err(error) => {
            answer(engine, conn, id.as_deref(), Err(error));
            Flow::Continue
        }
    })
}

/// Derives the keys, makes the account, and answers once it is on the disk.
fn create(
    engine: &mut Engine,
    conn: ConnId,
    id: Option<String>,
    name: String,
    password: Secret,
) -> Flow {
    if let Err(error) = check_free(engine, &name) {
        answer(engine, conn, id.as_deref(), Err(error));
        return Flow::Continue;
    }
    engine.pause(conn);
    engine.derive_new(password, move |engine, keys| {
        let made = new_account(engine, &name, keys);
        if made.is_ok() {
            let peer = engine
                .stream(conn)
                .map(|stream| stream.peer.to_string())
                .unwrap_or_default();
            log::info!("account {name:?} was made in-band from {peer}");
        }
        engine.when_committed(move |engine, fine| {
            answer(engine, conn, id.as_deref(), stored(fine, made));
            engine.unpause(conn);
        });
    });
    Flow::Pause
}

/// What a change came to, once the disk has said whether it has it; a result without content.
fn stored(fine: bool, outcome: Result<(), StanzaError>) -> Result<Option<String>, StanzaError> {
    match fine {
        true => outcome.map(|()| None),
        false => Err(Condition::ResourceConstraint.into()),
    }
}

fn new_account(engine: &mut Engine, name: &str, keys: Vec<ScramKeys>) -> Result<(), StanzaError> {
    match engine.create_account(name, keys) {
        Ok(()) => Ok(()),
        Err(StoreError::Exists) => Err(Condition::Conflict.into()),
        Err(error) => Err(error.into()),
    }
}

/// XEP-0077 §3.1: a name that is taken is a conflict.
fn check_free(engine: &mut Engine, name: &str) -> Result<(), StanzaError> {
    match engine.store.account(name)? {
        Some(_) => Err(Condition::Conflict.into()),
        None => Ok(()),
    }
}

/// XEP-0004 §3.1: who does not want to any more.
fn is_cancelled(query: &Element<'_>) -> bool {
    matches!(Form::of(query), Ok(Some(form)) if form.kind == FormType::Cancel)
}

/// Name and password out of a request; both are needed (XEP-0077 §3.1: else `not-acceptable`). A form goes before plain fields (§4).
fn wanted(query: &Element<'_>) -> Result<(String, Secret), StanzaError> {
    let form = Form::of(query)?;
    if form
        .as_ref()
        .is_some_and(|form| !form.is_submitted(ns::REGISTER))
    {
        return Err(StanzaError::text(
            Condition::BadRequest,
            "this is not the registration form, filled in",
        ));
    }
    let text = |name: &str| {
        let value = match &form {
            Some(form) => form.value(name).map(str::to_owned),
            None => query
                .child(ns::REGISTER, name)
                .map(|field| field.text().into_owned()),
        };
        value.filter(|text| !text.is_empty())
    };
    let (Some(name), Some(password)) = (text("username"), text("password")) else {
        return Err(Condition::NotAcceptable.into());
    };
    let unusable = |error: auth::CredentialError| {
        StanzaError::text(Condition::NotAcceptable, error.to_string())
    };
    let name = auth::account_name(&name).map_err(unusable)?;
    auth::keys::prepare_password(&password).map_err(unusable)?;
    Ok((name, Secret::new(password)))
}

/// XEP-0077 §3.1: what is asked for, or what is known already.
fn fields(registered: Option<&str>) -> String {
    written(|out| {
        out.start("query").attr("xmlns", ns::REGISTER);
        match registered {
            Some(name) => {
                out.leaf("registered", "")
                    .leaf("username", name)
                    .leaf("password", "");
            }
            None => {
                out.leaf("instructions", INSTRUCTIONS)
                    .leaf("username", "")
                    .leaf("password", "");
                form().write(out);
            }
        }
        out.end();
    })
}

/// XEP-0077 §4: the same as a form.
fn form() -> Form {
    let password = Field::new("password", Some(FieldType::TextPrivate)).label("Password");
    Form::new(FormType::Form)
        .title("Registration")
        .instructions(INSTRUCTIONS)
        .form_type(ns::REGISTER)
        .field(Field::text("username", "Name").required())
        .field(password.required())
}

fn answer(
    engine: &mut Engine,
    conn: ConnId,
    id: Option<&str>,
    result: Result<Option<String>, StanzaError>,
) {
    let text = written(|out| {
        let kind = if result.is_ok() { "result" } else { "error" };
        out.start("iq")
            .attr("from", &engine.config.domain)
            .attr_opt("id", id)
            .attr("type", kind);
        match &result {
            Ok(Some(payload)) => {
                out.raw(payload);
            }
            Ok(None) => {}
            Err(error) => error.write(out),
        }
        out.end();
    });
    engine.send(conn, &text);
}

/// XEP-0077 §3.1 to §3.3 for somebody who is logged in: what is known, another password, removal. Always the own account.
fn manage(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let Some(name) = engine
        .session(iq.session)
        .map(|session| session.user.to_string())
    else {
        return Err(Condition::ItemNotFound.into());
    };
    if !iq.is_set() {
        return Ok(Answer::Payload(fields(Some(&name))));
    }
    if iq.payload.child(ns::REGISTER, "remove").is_some() {
        // XEP-0077 §3.2: alone.
        return match iq.payload.children().count() {
            1 => remove(engine, iq, name),
            _ => Err(Condition::BadRequest.into()),
        };
    }
    if is_cancelled(&iq.payload) {
        return Ok(Answer::Empty);
    }
    // XEP-0077 §3.3: both are needed.
    let (wanted_name, password) = wanted(&iq.payload).map_err(|error| match error.text {
        Some(_) => error,
        None => Condition::BadRequest.into(),
    })?;
    if wanted_name != name {
        // HOLES 36: never somebody else's.
        return Err(Condition::Forbidden.into());
    }
    let asked = Asked::of(iq);
    let session = iq.session;
    engine.derive_new(password, move |engine, keys| {
        // The account may be gone since, and its name somebody else's.
        if engine.session(session).is_none() {
            return;
        }
        let outcome = engine
            .set_password(&name, keys, Some(session))
            .map_err(StanzaError::from);
        engine.when_committed(move |engine, fine| engine.answer(&asked, stored(fine, outcome)));
    });
    Ok(Answer::Later)
}

/// XEP-0077 §3.2: the account goes, with all that it had; then its streams end (§3.2: `not-authorized`).
fn remove(engine: &mut Engine, iq: &Iq<'_, '_>, name: String) -> Result<Answer, StanzaError> {
    engine.delete_account(&name)?;
    // Nothing that it sends behind this concerns an account that there is.
    let conn = engine.session(iq.session).and_then(|session| session.conn);
    if let Some(conn) = conn {
        engine.pause(conn);
    }
    let asked = Asked::of(iq);
    engine.when_committed(move |engine, fine| {
        engine.answer(&asked, stored(fine, Ok(())));
        if fine {
            engine.end_sessions(
                &name,
                StreamError::NotAuthorized,
                "the account was removed",
                None,
            );
        } else if let Some(conn) = conn {
            engine.unpause(conn);
        }
    });
    Ok(Answer::Later)
}
