//! XEP-0133 §4.23 to §4.28: announcements, the message of the day and the welcome, as ad-hoc commands of administrators; and their delivery.
//! `snug announce`, `snug motd` and `snug welcome` do the same.

use crate::engine::Engine;
use crate::engine::administration::{Then, form};
use crate::engine::announce::Announced;
use crate::engine::command::{Call, Command, Done, Stage};
use crate::engine::feature::Feature;
use crate::engine::session::SessionId;
use crate::xmpp::form::FieldType;
use crate::xmpp::{Field, Form, StanzaError};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0133 §4.23–4.28",
    title: "Service Administration: announcements, message of the day, welcome",
    commands: &[
        Command {
            node: "http://jabber.org/protocol/admin#announce",
            name: "Announce to all who are online",
            allowed: Engine::is_admin,
            stages: &[Stage {
                form: announcement_form,
                optional: false,
            }],
            run: |engine, call, filled| announce(engine, call, filled, false),
        },
        // Not of the XEP, but beside its own where others have it.
        Command {
            node: "http://jabber.org/protocol/admin#announce-all",
            name: "Announce to all accounts",
            allowed: Engine::is_admin,
            stages: &[Stage {
                form: announcement_form,
                optional: false,
            }],
            run: |engine, call, filled| announce(engine, call, filled, true),
        },
        Command {
            node: "http://jabber.org/protocol/admin#set-motd",
            name: "Set the message of the day",
            allowed: Engine::is_admin,
            stages: &[Stage {
                form: set_motd_form,
                optional: false,
            }],
            run: |engine, call, filled| set_motd(engine, call, filled, true),
        },
        Command {
            node: "http://jabber.org/protocol/admin#edit-motd",
            name: "Correct the message of the day",
            allowed: Engine::is_admin,
            stages: &[Stage {
                form: edit_motd_form,
                optional: false,
            }],
            run: |engine, call, filled| set_motd(engine, call, filled, false),
        },
        Command {
            node: "http://jabber.org/protocol/admin#delete-motd",
            name: "Delete the message of the day",
            allowed: Engine::is_admin,
            stages: &[],
            run: delete_motd,
        },
        Command {
            node: "http://jabber.org/protocol/admin#set-welcome",
            name: "Set the welcome of new accounts",
            allowed: Engine::is_admin,
            stages: &[Stage {
                form: welcome_form,
                optional: false,
            }],
            run: set_welcome,
        },
        Command {
            node: "http://jabber.org/protocol/admin#delete-welcome",
            name: "Delete the welcome of new accounts",
            allowed: Engine::is_admin,
            stages: &[],
            run: delete_welcome,
        },
    ],
    messageable: Some(greet),
    tick: Some(Engine::tell_on),
    ..Feature::NONE
};

/// A session takes messages: what its account has not seen yet.
fn greet(engine: &mut Engine, session: SessionId) {
    if let Err(error) = engine.greet(session) {
        log::error!("somebody could not be told the message of the day: {error}");
    }
}

fn announcement_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let text = lines("announcement", "Announcement", None);
    Ok(form(
        "Making an Announcement",
        "Fill out this form to make an announcement.",
    )
    .field(text))
}

fn set_motd_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    Ok(motd_form("Setting the Message of the Day", None))
}

/// XEP-0133 §4.25: with the present text.
fn edit_motd_form(engine: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let motd = engine.store.motd()?.map(|motd| motd.text);
    Ok(motd_form("Editing the Message of the Day", motd.as_deref()))
}

fn motd_form(title: &str, present: Option<&str>) -> Form {
    form(title, "Fill out this form with the message of the day.").field(lines(
        "motd",
        "Message of the day",
        present,
    ))
}

/// XEP-0133 §4.27: with the present text.
fn welcome_form(engine: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let present = engine.store.welcome()?;
    let text = lines("welcome", "Welcome message", present.as_deref());
    Ok(form(
        "Setting Welcome Message",
        "Fill out this form with what new users are told at their first login.",
    )
    .field(text))
}

/// A field of several lines that is needed.
fn lines(var: &str, label: &str, present: Option<&str>) -> Field {
    let field = Field::new(var, Some(FieldType::TextMulti))
        .label(label)
        .required();
    let present = present.into_iter().flat_map(str::lines);
    present.fold(field, Field::value)
}

/// What was filled in, line by line.
fn text(filled: &[Form], var: &str) -> String {
    filled
        .first()
        .map(|form| form.values(var).join("\n"))
        .unwrap_or_default()
}

fn announce(engine: &mut Engine, call: Call, filled: &[Form], all: bool) {
    let by = call.by.clone();
    let then: Then<Announced> = Box::new(|engine, outcome| {
        let done = outcome.map(|told| Done {
            form: None,
            note: Some(format!("{told}.")),
        });
        engine.command_done(call, done.map_err(StanzaError::from));
    });
    engine.announce(&by, &text(filled, "announcement"), all, then);
}

fn set_motd(engine: &mut Engine, call: Call, filled: &[Form], anew: bool) {
    let by = call.by.clone();
    engine.set_motd(&by, &text(filled, "motd"), anew, call.done());
}

fn delete_motd(engine: &mut Engine, call: Call, _: &[Form]) {
    let by = call.by.clone();
    engine.delete_motd(&by, call.done());
}

fn set_welcome(engine: &mut Engine, call: Call, filled: &[Form]) {
    let by = call.by.clone();
    engine.set_welcome(&by, &text(filled, "welcome"), call.done());
}

fn delete_welcome(engine: &mut Engine, call: Call, _: &[Form]) {
    let by = call.by.clone();
    engine.delete_welcome(&by, call.done());
}
