//! XEP-0133: Service Administration, as ad-hoc commands of accounts that are marked admin (`snug user admin NAME on`). What a command does is
//! `engine/administration.rs`, which the operator's command line uses too. Left out: other people's rosters, logins and passwords, lists of remote
//! servers (there are none), the list of admins (the operator's), the restart (the system's).

use crate::engine::Engine;
use crate::engine::administration::{Activity, form};
use crate::engine::command::{Call, Command, Done, Stage, bad};
use crate::engine::feature::Feature;
use crate::xmpp::form::FieldType;
use crate::xmpp::{Field, Form, FormType, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0133",
    title: "Service Administration",
    leaves_out: "rosters, last logins and statistics of users (§4.8–4.10), black and white lists (§4.11, §4.12), the admin list (§4.29), restart (§4.30)",
    commands: COMMANDS,
    ..Feature::NONE
};

/// A command of administrators.
const fn command(
    node: &'static str,
    name: &'static str,
    stages: &'static [Stage],
    run: fn(&mut Engine, Call, &[Form]),
) -> Command {
    Command {
        node,
        name,
        allowed: Engine::is_admin,
        stages,
        run,
    }
}

const COMMANDS: &[Command] = &[
    // §4.1
    command(
        "http://jabber.org/protocol/admin#add-user",
        "Add a user",
        &[Stage {
            form: add_form,
            optional: false,
        }],
        add,
    ),
    // §4.2; who asks for the next form sees first what goes.
    command(
        "http://jabber.org/protocol/admin#delete-user",
        "Delete users",
        &[
            Stage {
                form: delete_form,
                optional: false,
            },
            Stage {
                form: delete_preview,
                optional: true,
            },
        ],
        delete,
    ),
    // §4.3
    command(
        "http://jabber.org/protocol/admin#disable-user",
        "Disable users",
        &[Stage {
            form: disable_form,
            optional: false,
        }],
        |engine, call, filled| lock(engine, call, filled, true),
    ),
    // §4.4
    command(
        "http://jabber.org/protocol/admin#reenable-user",
        "Re-enable users",
        &[Stage {
            form: enable_form,
            optional: false,
        }],
        |engine, call, filled| lock(engine, call, filled, false),
    ),
    // §4.5
    command(
        "http://jabber.org/protocol/admin#end-user-session",
        "End the sessions of users",
        &[Stage {
            form: end_form,
            optional: false,
        }],
        end,
    ),
    // §4.7
    command(
        "http://jabber.org/protocol/admin#change-user-password",
        "Change a user's password",
        &[Stage {
            form: password_form,
            optional: false,
        }],
        change_password,
    ),
    // §4.13 to §4.17
    command(
        "http://jabber.org/protocol/admin#get-registered-users-num",
        "Number of registered users",
        &[],
        |engine, call, _| number(engine, call, Who::Registered),
    ),
    command(
        "http://jabber.org/protocol/admin#get-disabled-users-num",
        "Number of disabled users",
        &[],
        |engine, call, _| number(engine, call, Who::Disabled),
    ),
    command(
        "http://jabber.org/protocol/admin#get-online-users-num",
        "Number of online users",
        &[],
        |engine, call, _| number(engine, call, Who::Online),
    ),
    command(
        "http://jabber.org/protocol/admin#get-active-users-num",
        "Number of active users",
        &[],
        |engine, call, _| number(engine, call, Who::Active),
    ),
    command(
        "http://jabber.org/protocol/admin#get-idle-users-num",
        "Number of idle users",
        &[],
        |engine, call, _| number(engine, call, Who::Idle),
    ),
    // §4.18 to §4.22; the nodes of the last two have no -list.
    command(
        "http://jabber.org/protocol/admin#get-registered-users-list",
        "List of registered users",
        LIST,
        |engine, call, filled| list(engine, call, filled, Who::Registered),
    ),
    command(
        "http://jabber.org/protocol/admin#get-disabled-users-list",
        "List of disabled users",
        LIST,
        |engine, call, filled| list(engine, call, filled, Who::Disabled),
    ),
    command(
        "http://jabber.org/protocol/admin#get-online-users-list",
        "List of online users",
        LIST,
        |engine, call, filled| list(engine, call, filled, Who::Online),
    ),
    command(
        "http://jabber.org/protocol/admin#get-active-users",
        "List of active users",
        LIST,
        |engine, call, filled| list(engine, call, filled, Who::Active),
    ),
    command(
        "http://jabber.org/protocol/admin#get-idle-users",
        "List of idle users",
        LIST,
        |engine, call, filled| list(engine, call, filled, Who::Idle),
    ),
    // §4.31
    command(
        "http://jabber.org/protocol/admin#shutdown",
        "Shut down the server",
        &[Stage {
            form: shutdown_form,
            optional: false,
        }],
        shutdown,
    ),
];

const LIST: &[Stage] = &[Stage {
    form: list_form,
    optional: false,
}];

/// Of whom there is a number and a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Registered,
    Disabled,
    Online,
    Active,
    Idle,
}

impl Who {
    /// What the fields of the number and of the list begin with.
    fn name(self) -> &'static str {
        match self {
            Who::Registered => "registered",
            Who::Disabled => "disabled",
            Who::Online => "online",
            Who::Active => "active",
            Who::Idle => "idle",
        }
    }

    fn names(self, engine: &Engine) -> Result<Vec<String>, StanzaError> {
        let with = |activity| {
            let online = engine.names_online().into_iter();
            Ok(online
                .filter(|name| engine.activity(name) == activity)
                .collect())
        };
        match self {
            Who::Online => Ok(engine.names_online()),
            Who::Active => with(Some(Activity::Active)),
            Who::Idle => with(Some(Activity::Idle)),
            Who::Registered | Who::Disabled => {
                let accounts = engine.store.accounts()?.into_iter();
                let wanted = accounts.filter(|account| self == Who::Registered || account.locked);
                Ok(wanted.map(|account| account.name).collect())
            }
        }
    }
}

fn number(engine: &mut Engine, call: Call, who: Who) {
    let outcome = who.names(engine).map(|names| {
        let var = format!("{}usersnum", who.name());
        let label = format!("The number of {} users", who.name());
        result(
            Field::new(var, None)
                .label(label)
                .value(names.len().to_string()),
        )
    });
    engine.command_done(call, outcome);
}

fn list(engine: &mut Engine, call: Call, filled: &[Form], who: Who) {
    // What can be chosen was checked; `none` is no maximum.
    let most = value(filled, "max_items").parse().unwrap_or(usize::MAX);
    let outcome = who.names(engine).map(|names| {
        let var = format!("{}userjids", who.name());
        let field = Field::new(var, None).label(format!("The list of all {} users", who.name()));
        let shown = names.iter().take(most);
        let field = shown.fold(field, |field, name| {
            field.value(engine.bare_jid(name).as_str())
        });
        let mut done = result(field);
        if names.len() > most {
            done.note = Some(format!("{most} of {} are shown.", names.len()));
        }
        done
    });
    engine.command_done(call, outcome);
}

fn list_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let most = Field::new("max_items", Some(FieldType::ListSingle))
        .label("Maximum number of items to show")
        .value("100");
    let counts = ["25", "50", "75", "100", "150", "200"];
    let most = counts
        .iter()
        .fold(most, |field, count| field.option(count, count))
        .option("None", "none");
    Ok(form(
        "Requesting a List of Users",
        "Fill out this form to request the list.",
    )
    .field(most))
}

fn add_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    Ok(form("Adding a User", "Fill out this form to add a user.")
        .field(jid("The Jabber ID for the account to be added"))
        .field(secret("password", "The password for this account").required())
        .field(secret("password-verify", "Retype password").required()))
}

fn add(engine: &mut Engine, call: Call, filled: &[Form]) {
    let password = value(filled, "password");
    if password != value(filled, "password-verify") {
        let error = StanzaError {
            text: Some("the two passwords differ".into()),
            ..bad("bad-payload")
        };
        return engine.command_done(call, Err(error));
    }
    let (by, name) = (call.by.clone(), value(filled, "accountjid"));
    engine.add_account(&by, &name, &password, false, call.done());
}

fn password_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let instructions = "Fill out this form to change a user's password.";
    Ok(form("Changing a User Password", instructions)
        .field(jid("The Jabber ID for this account"))
        .field(secret("password", "The password for this account").required()))
}

fn change_password(engine: &mut Engine, call: Call, filled: &[Form]) {
    let (by, name) = (call.by.clone(), value(filled, "accountjid"));
    let password = value(filled, "password");
    engine.change_password(&by, &name, &password, false, call.done());
}

fn delete_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    Ok(
        form("Deleting a User", "Fill out this form to delete a user.")
            .field(jids("The Jabber ID(s) to delete")),
    )
}

/// What would go: for who wants to look first.
fn delete_preview(engine: &mut Engine, filled: &[Form]) -> Result<Form, StanzaError> {
    let mut shown = form(
        "Deleting a User",
        "This is removed and cannot be brought back.",
    );
    for name in several(filled) {
        let account = engine.account_called(&name)?;
        let contacts = engine.store.roster(account.id)?.len();
        let waiting = engine.store.offline_count(account.id)?;
        let sessions = engine.sessions_of(&account.name).len();
        let jid = engine.bare_jid(&account.name);
        let field = Field::new("", Some(FieldType::Fixed)).value(format!(
            "{jid}: {}, {}, {}",
            counted(contacts, "contact"),
            counted(waiting as usize, "waiting message"),
            counted(sessions, "session"),
        ));
        shown = shown.field(field);
    }
    Ok(shown)
}

fn delete(engine: &mut Engine, call: Call, filled: &[Form]) {
    let (by, names) = (call.by.clone(), several(filled));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    engine.remove_accounts(&by, &names, call.done());
}

fn disable_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    Ok(
        form("Disabling a User", "Fill out this form to disable a user.")
            .field(jids("The Jabber ID(s) to disable")),
    )
}

fn enable_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let instructions = "Fill out this form to re-enable a user.";
    Ok(form("Re-Enabling a User", instructions).field(jids("The Jabber ID(s) to re-enable")))
}

fn lock(engine: &mut Engine, call: Call, filled: &[Form], locked: bool) {
    let (by, names) = (call.by.clone(), several(filled));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    engine.lock_accounts(&by, &names, locked, call.done());
}

fn end_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let instructions = "Fill out this form to end a user's session.";
    Ok(form("Ending a User Session", instructions)
        .field(jids("The Jabber ID(s) for which to end sessions")))
}

fn end(engine: &mut Engine, call: Call, filled: &[Form]) {
    let names = several(filled);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let by = call.by.clone();
    // The answer first: the session may be the administrator's own.
    match engine.sessions_called(&names) {
        Err(refusal) => engine.command_done(call, Err(refusal.into())),
        Ok(sessions) => {
            let note = Some(format!("{} ended.", counted(sessions.len(), "session")));
            engine.command_done(call, Ok(Done { form: None, note }));
            let reason = "an administrator ended this connection";
            engine.end_these(&by, sessions, reason);
        }
    }
}

/// §4.31: the delays that can be chosen, in seconds, and their names.
const DELAYS: [(&str, &str); 7] = [
    ("30 seconds", "30"),
    ("60 seconds", "60"),
    ("90 seconds", "90"),
    ("2 minutes", "120"),
    ("3 minutes", "180"),
    ("4 minutes", "240"),
    ("5 minutes", "300"),
];

fn shutdown_form(_: &mut Engine, _: &[Form]) -> Result<Form, StanzaError> {
    let delay = Field::new("delay", Some(FieldType::ListSingle))
        .label("Time delay before shutting down")
        .required();
    let delay = DELAYS
        .iter()
        .fold(delay, |field, (label, value)| field.option(label, value));
    let text = Field::new("announcement", Some(FieldType::TextMulti)).label("Announcement");
    let instructions = "Fill out this form to shut down the service.";
    Ok(form("Shutting Down the Service", instructions)
        .field(delay)
        .field(text))
}

fn shutdown(engine: &mut Engine, call: Call, filled: &[Form]) {
    let Ok(seconds) = value(filled, "delay").parse() else {
        return engine.command_done(call, Err(bad("bad-payload")));
    };
    let text = filled.first().map(|form| form.values("announcement"));
    let text = text.unwrap_or_default().join("\n");
    let by = call.by.clone();
    engine.stop_later(&by, seconds, &text, call.done());
}

fn jid(label: &str) -> Field {
    Field::new("accountjid", Some(FieldType::JidSingle))
        .label(label)
        .required()
}

fn jids(label: &str) -> Field {
    Field::new("accountjids", Some(FieldType::JidMulti))
        .label(label)
        .required()
}

fn secret(var: &str, label: &str) -> Field {
    Field::new(var, Some(FieldType::TextPrivate)).label(label)
}

/// The value of a field of the first form, as it was filled in.
fn value(filled: &[Form], var: &str) -> String {
    let value = filled.first().and_then(|form| form.value(var));
    value.unwrap_or_default().to_owned()
}

/// The accounts that were filled in; empty lines are nobody.
fn several(filled: &[Form]) -> Vec<String> {
    let values = filled.iter().flat_map(|form| form.values("accountjids"));
    values
        .filter(|value| !value.trim().is_empty())
        .cloned()
        .collect()
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn result(field: Field) -> Done {
    Done {
        form: Some(
            Form::new(FormType::Result)
                .form_type(ns::ADMIN)
                .field(field),
        ),
        note: None,
    }
}
