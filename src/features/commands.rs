//! XEP-0050: Ad-Hoc Commands of the server: listed, executed form by form, canceled. What they do stands in the rows that have them. One
//! language: English, whatever the stream's is; only who asks for another on the command itself is refused.

use crate::engine::Engine;
use crate::engine::command::{Command, Found, bad, check_filled};
use crate::engine::disco::{Identity, Info, Item, Node};
use crate::engine::dispatch::Asked;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::engine::session::SessionId;
use crate::xml::written;
use crate::xmpp::form::{self, FieldType};
use crate::xmpp::{Condition, ErrorType, Form, FormType, StanzaError, ns};
use std::rc::Rc;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0050",
    title: "Ad-Hoc Commands",
    server_features: &[ns::COMMANDS],
    iq: &[IqRoute {
        ns: ns::COMMANDS,
        name: "command",
        at: At::Server,
        takes: Takes::Set,
        handle: step,
    }],
    disco_node: Some(node),
    tick: Some(expire),
    ended: Some(forget),
    ..Feature::NONE
};

/// XEP-0050 §3.4: what may be done with an execution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Execute,
    Next,
    Prev,
    Complete,
    Cancel,
}

/// XEP-0050 §2.2: the list of commands, and each command. Who may not execute one does not see it in the list.
fn node(engine: &mut Engine, iq: &Iq<'_, '_>, node: &str) -> Option<Result<Node, StanzaError>> {
    let info = |kind: &str, name: &str, features: &[&str]| Info {
        identities: vec![Identity {
            category: "automation".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Identity::default()
        }],
        features: features
            .iter()
            .map(|feature| (*feature).to_owned())
            .collect(),
        forms: Vec::new(),
    };
    if node == ns::COMMANDS {
        let visible = engine
            .features
            .iter()
            .flat_map(|row| row.commands)
            .filter(|command| (command.allowed)(engine, iq.session));
        let items = visible.map(|command| Item {
            jid: engine.config.domain.to_string(),
            node: command.node.to_owned(),
            name: command.name.to_owned(),
        });
        return Some(Ok(Node {
            info: info("command-list", "Commands", &[ns::COMMANDS]),
            items: items.collect(),
        }));
    }
    let command = engine.command(node)?;
    Some(match (command.allowed)(engine, iq.session) {
        true => Ok(Node {
            info: info("command-node", command.name, &[ns::COMMANDS, form::NS]),
            items: Vec::new(),
        }),
        false => Err(forbidden()),
    })
}

/// XEP-0050 §2.4: one step of an execution.
fn step(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    // §4.1: the node must be there.
    let node = iq.payload.attr("node").ok_or(Condition::BadRequest)?;
    let action = match iq.payload.attr("action").as_deref() {
        None | Some("execute") => Action::Execute,
        Some("next") => Action::Next,
        Some("prev") => Action::Prev,
        Some("complete") => Action::Complete,
        Some("cancel") => Action::Cancel,
        Some(_) => return Err(bad("malformed-action")),
    };
    let command = engine.command(&node).ok_or(Condition::ItemNotFound)?;
    let allowed = (command.allowed)(engine, iq.session);
    let english = |lang: &str| {
        let main = lang.split('-').next().unwrap_or_default();
        main.is_empty() || main.eq_ignore_ascii_case("en")
    };
    if !allowed {
        if let Some(id) = iq.payload.attr("sessionid") {
            cancel_forbidden(engine, iq.session, command, &id);
        }
        return Err(forbidden());
    }
    // §3.7.
    if iq
        .payload
        .attr("xml:lang")
        .is_some_and(|lang| !english(&lang))
    {
        return Err(bad("bad-locale"));
    }
    match iq.payload.attr("sessionid").filter(|id| !id.is_empty()) {
        None if action == Action::Execute => begin(engine, iq, command),
        // Nothing was begun that could go on.
        None => Err(bad("bad-action")),
        Some(id) => go_on(engine, iq, command, &id, action),
    }
}

/// XEP-0050 §2.4.1: the first form, or the result at once.
fn begin(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    command: &'static Command,
) -> Result<Answer, StanzaError> {
    let Some(first) = command.stages.first() else {
        let id = engine.begin_command(iq.session, command);
        engine.run_command(Asked::of(iq), &id, &[]);
        return Ok(Answer::Later);
    };
    let form = (first.form)(engine, &[])?;
    let id = engine.begin_command(iq.session, command);
    Ok(executing(command, &id, 0, &form))
}

/// XEP-0050 §2.4.2, §2.4.3: the next form, the one before, the end.
fn go_on(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    command: &'static Command,
    id: &str,
    action: Action,
) -> Result<Answer, StanzaError> {
    let (id, stage, mut filled) = match engine.commands.find(iq.session, command.node, id) {
        Found::Open(execution) if execution.running => {
            return Err(StanzaError::text(
                Condition::UnexpectedRequest,
                "this is being done: wait for its end",
            ));
        }
        Found::Open(execution) => (
            execution.id.clone(),
            execution.stage,
            execution.filled.clone(),
        ),
        Found::Expired => {
            return Err(StanzaError::from(Condition::NotAllowed)
                .app(format!("<session-expired xmlns='{}'/>", ns::COMMANDS)));
        }
        Found::Unknown => return Err(bad("bad-sessionid")),
    };
    let action = match action {
        // §3.4: what `execute` stands for was said with the form.
        Action::Execute if can_complete(command, stage) => Action::Complete,
        Action::Execute => Action::Next,
        action => action,
    };
    match action {
        Action::Cancel => {
            engine.end_command(&id);
            Ok(Answer::Payload(written(|out| {
                out.start("command")
                    .attr("xmlns", ns::COMMANDS)
                    .attr("node", command.node)
                    .attr("sessionid", &id)
                    .attr("status", "canceled")
                    .end();
            })))
        }
        Action::Prev => {
            let before = stage.checked_sub(1).ok_or_else(|| bad("bad-action"))?;
            let remembered = filled.split_off(before).into_iter().next();
            let form = (command.stages[before].form)(engine, &filled)?;
            engine.command_at(&id, before, filled);
            Ok(executing(command, &id, before, &recall(form, remembered)))
        }
        Action::Next if stage + 1 >= command.stages.len() => Err(bad("bad-action")),
        Action::Complete if !can_complete(command, stage) => Err(bad("bad-action")),
        _ => {
            let form = (command.stages[stage].form)(engine, &filled)?;
            filled.push(submitted(iq, &form)?);
            if action == Action::Next {
                let form = (command.stages[stage + 1].form)(engine, &filled)?;
                engine.command_at(&id, stage + 1, filled);
                return Ok(executing(command, &id, stage + 1, &form));
            }
            engine.run_command(Asked::of(iq), &id, &filled);
            Ok(Answer::Later)
        }
    }
}

/// What was filled in, checked against the form that was shown. A client that gave up the form alone submits it (XEP-0050 §3.5.1).
fn submitted(iq: &Iq<'_, '_>, asked: &Form) -> Result<Form, StanzaError> {
    let wrong = |why: String| StanzaError {
        text: Some(why.into()),
        ..bad("bad-payload")
    };
    let form = Form::of(&iq.payload)
        .map_err(|_| wrong("this is no form".to_owned()))?
        .unwrap_or(Form::new(FormType::Submit));
    if !matches!(form.kind, FormType::Submit | FormType::Cancel) {
        return Err(wrong(
            "a form that is filled in has the type submit".to_owned(),
        ));
    }
    check_filled(asked, &form).map_err(wrong)?;
    Ok(form)
}

/// The form with what was filled in before; a password is asked for anew.
fn recall(mut form: Form, remembered: Option<Form>) -> Form {
    let Some(remembered) = remembered else {
        return form;
    };
    let hidden = [Some(FieldType::Hidden), Some(FieldType::TextPrivate)];
    for field in &mut form.fields {
        if !hidden.contains(&field.kind) {
            field.values = remembered.values(&field.var).to_vec();
        }
    }
    form
}

/// Whether the rest can be left out.
fn can_complete(command: &Command, stage: usize) -> bool {
    command.stages[stage + 1..]
        .iter()
        .all(|stage| stage.optional)
}

/// XEP-0050 §2.4.2, §3.4: a form, and what may be done with it.
fn executing(command: &Command, id: &Rc<str>, stage: usize, form: &Form) -> Answer {
    let complete = can_complete(command, stage);
    Answer::Payload(written(|out| {
        out.start("command")
            .attr("xmlns", ns::COMMANDS)
            .attr("node", command.node)
            .attr("sessionid", id)
            .attr("status", "executing")
            .attr("xml:lang", "en");
        out.start("actions")
            .attr("execute", if complete { "complete" } else { "next" });
        if stage > 0 {
            out.leaf("prev", "");
        }
        if stage + 1 < command.stages.len() {
            out.leaf("next", "");
        }
        if complete {
            out.leaf("complete", "");
        }
        out.end();
        form.write(out);
        out.end();
    }))
}

/// The right was taken away on the way: what was begun ends.
fn cancel_forbidden(engine: &mut Engine, session: SessionId, command: &Command, id: &str) {
    if let Found::Open(execution) = engine.commands.find(session, command.node, id)
        && !execution.running
    {
        engine.end_command(id);
    }
}

/// XEP-0050 §4.4.
fn forbidden() -> StanzaError {
    StanzaError::from(Condition::Forbidden).kind(ErrorType::Cancel)
}

fn expire(engine: &mut Engine) {
    let now_ms = engine.now.mono_ms;
    engine.commands.expire(now_ms);
}

fn forget(engine: &mut Engine, session: SessionId) {
    engine.commands.forget(session);
}
