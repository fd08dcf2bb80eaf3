//! Ad-hoc commands (XEP-0050) as values: what a row of the table offers, and the sessions in which somebody fills in its forms. The protocol is
//! `features/commands.rs`; the commands stand in the rows of whoever has them.

use super::Engine;
use super::administration::Then;
use super::dispatch::Asked;
use super::session::SessionId;
use crate::limits;
use crate::xml::written;
use crate::xmpp::form::FieldType;
use crate::xmpp::{ErrorType, Form, StanzaError, ns};
use std::collections::VecDeque;
use std::rc::Rc;

/// A command of the server.
pub struct Command {
    /// Its node, which no other has.
    pub node: &'static str,
    /// What people see.
    pub name: &'static str,
    /// Who may see and execute it. Asked at each step.
    pub allowed: fn(&Engine, SessionId) -> bool,
    /// What it asks for, form by form; none where it asks nothing.
    pub stages: &'static [Stage],
    /// Does it, with the forms that were filled in, and ends with [`Engine::command_done`].
    pub run: fn(&mut Engine, Call, &[Form]),
}

/// One form of a command.
pub struct Stage {
    /// The form, out of those filled in before it. What is required and what can be chosen is checked by it.
    pub form: fn(&mut Engine, &[Form]) -> Result<Form, StanzaError>,
    /// Whether the command can be completed without it: it only looks at what will be done.
    pub optional: bool,
}

/// Whom a command that runs has to answer.
#[derive(Clone, Debug)]
pub struct Call {
    asked: Asked,
    node: &'static str,
    id: Rc<str>,
    /// The full JID of who executes it, for the log.
    pub by: String,
}

impl Call {
    /// Completes the command without a word when what it does is done, or says why it was not.
    pub fn done<T>(self) -> Then<T> {
        Box::new(|engine, outcome| {
            let done = outcome.map(|_| Done::default());
            engine.command_done(self, done.map_err(StanzaError::from));
        })
    }
}

/// What a command says when it is done.
#[derive(Default)]
pub struct Done {
    /// What it found.
    pub form: Option<Form>,
    /// A sentence.
    pub note: Option<String>,
}

/// Commands that somebody began.
#[derive(Default)]
pub struct Commands {
    open: Vec<Execution>,
    /// Ids that ended, the newest last: who uses one again hears that (XEP-0050 §3.4).
    ended: VecDeque<(SessionId, Rc<str>)>,
}

/// One execution: a session of XEP-0050 §3.3, between one resource and the server.
pub struct Execution {
    /// Its id.
    pub id: Rc<str>,
    /// Whose it is.
    pub session: SessionId,
    /// What is executed.
    pub command: &'static Command,
    /// The form that is to be filled in.
    pub stage: usize,
    /// The forms before it, as they were filled in.
    pub filled: Vec<Form>,
    /// Whether it is being done, and takes nothing more.
    pub running: bool,
    due_ms: u64,
}

/// What a session id leads to.
pub enum Found<'c> {
    /// It goes on.
    Open(&'c mut Execution),
    /// It was completed, canceled, or timed out.
    Expired,
    /// It is nobody's, or somebody else's.
    Unknown,
}

impl Commands {
    /// The execution of this id, if it is this session's and of this command.
    pub fn find(&mut self, session: SessionId, node: &str, id: &str) -> Found<'_> {
        let ended = |ended: &(SessionId, Rc<str>)| ended.0 == session && *ended.1 == *id;
        if self.ended.iter().any(ended) {
            return Found::Expired;
        }
        let same = |execution: &&mut Execution| {
            *execution.id == *id && execution.session == session && execution.command.node == node
        };
        match self.open.iter_mut().find(same) {
            Some(execution) => Found::Open(execution),
            None => Found::Unknown,
        }
    }

    /// Ends what has waited too long for its next form.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some(place) = self
            .open
            .iter()
            .position(|execution| !execution.running && execution.due_ms <= now_ms)
        {
            self.end(place);
        }
    }

    /// Forgets what a session began: it is gone, and nobody else can use its ids.
    pub fn forget(&mut self, session: SessionId) {
        self.open.retain(|execution| execution.session != session);
        self.ended.retain(|(whose, _)| *whose != session);
    }

    fn end(&mut self, place: usize) {
        let execution = self.open.remove(place);
        if self.ended.len() >= limits::COMMANDS_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((execution.session, execution.id));
    }
}

impl Engine {
    /// The command of a node of the server.
    pub fn command(&self, node: &str) -> Option<&'static Command> {
        let mut commands = self.features.iter().flat_map(|row| row.commands);
        commands.find(|command| command.node == node)
    }

    /// Begins to execute a command; its id. Where an account has too many of them open, its oldest ends.
    pub fn begin_command(&mut self, session: SessionId, command: &'static Command) -> Rc<str> {
        let id: Rc<str> = self.random.id().into();
        let user = self.session(session).map(|session| session.user.clone());
        let same_account = |execution: &Execution| {
            let theirs = self.session(execution.session);
            theirs.map(|session| &session.user) == user.as_ref()
        };
        let open = &self.commands.open;
        let count = open.iter().filter(|one| same_account(one)).count();
        let oldest = open
            .iter()
            .position(|one| !one.running && same_account(one));
        if let Some(oldest) = oldest.filter(|_| count >= limits::COMMANDS_PER_ACCOUNT) {
            self.commands.end(oldest);
        }
        self.commands.open.push(Execution {
            id: id.clone(),
            session,
            command,
            stage: 0,
            filled: Vec::new(),
            running: false,
            due_ms: self.now.mono_ms + limits::COMMAND_MS,
        });
        id
    }

    /// Notes how far an execution is; it has its whole time again.
    pub fn command_at(&mut self, id: &str, stage: usize, filled: Vec<Form>) {
        let due_ms = self.now.mono_ms + limits::COMMAND_MS;
        if let Some(execution) = self.commands.open.iter_mut().find(|one| *one.id == *id) {
            execution.stage = stage;
            execution.filled = filled;
            execution.due_ms = due_ms;
        }
    }

    /// Does a command whose forms are filled in.
    pub fn run_command(&mut self, asked: Asked, id: &Rc<str>, filled: &[Form]) {
        let Some(execution) = self.commands.open.iter_mut().find(|one| one.id == *id) else {
            return;
        };
        execution.running = true;
        let command = execution.command;
        let by = self.session(asked.session);
        let by = by
            .map(|session| session.jid.to_string())
            .unwrap_or_default();
        let call = Call {
            asked,
            node: command.node,
            id: id.clone(),
            by,
        };
        (command.run)(self, call, filled);
    }

    /// Ends an execution without an answer: it was canceled, or is no longer allowed.
    pub fn end_command(&mut self, id: &str) {
        if let Some(place) = self.commands.open.iter().position(|one| *one.id == *id) {
            self.commands.end(place);
        }
    }

    /// Answers a command that is done. One that could not be done stays open, at the form that can be corrected, until it is canceled or times out.
    pub fn command_done(&mut self, call: Call, outcome: Result<Done, StanzaError>) {
        let outcome = match outcome {
            Ok(done) => {
                self.end_command(&call.id);
                Ok(Some(completed(&call, &done)))
            }
            Err(error) => {
                let due_ms = self.now.mono_ms + limits::COMMAND_MS;
                let open = &mut self.commands.open;
                match open.iter_mut().find(|one| one.id == call.id) {
                    Some(execution) if !execution.command.stages.is_empty() => {
                        execution.running = false;
                        execution.due_ms = due_ms;
                    }
                    // It has no form to correct.
                    _ => self.end_command(&call.id),
                }
                Err(error)
            }
        };
        self.answer(&call.asked, outcome);
    }
}

/// XEP-0050 §3.6: a command that completed.
fn completed(call: &Call, done: &Done) -> String {
    written(|out| {
        out.start("command")
            .attr("xmlns", ns::COMMANDS)
            .attr("node", call.node)
            .attr("sessionid", &call.id)
            .attr("status", "completed")
            .attr("xml:lang", "en");
        if let Some(form) = &done.form {
            form.write(out);
        }
        if let Some(note) = &done.note {
            out.start("note").attr("type", "info").text(note).end();
        }
        out.end();
    })
}

/// What is wrong with a form that was filled in, if anything: a sentence. What is required is there, what can be chosen was chosen, and there is
/// one value where there can be only one (XEP-0004 §3.3).
pub fn check_filled(asked: &Form, filled: &Form) -> Result<(), String> {
    if filled
        .type_name()
        .is_some_and(|name| asked.type_name() != Some(name))
    {
        return Err("this is another form".to_owned());
    }
    for field in &asked.fields {
        let name = field.label.as_deref().unwrap_or(&field.var);
        let values = filled.values(&field.var);
        let mut given = values.iter().filter(|value| !value.trim().is_empty());
        if field.required && given.clone().next().is_none() {
            return Err(format!("{name}: this is needed"));
        }
        let several = matches!(
            field.kind,
            Some(FieldType::JidMulti | FieldType::TextMulti | FieldType::ListMulti)
        );
        if !several && values.len() > 1 {
            return Err(format!("{name}: one value is enough"));
        }
        let offered = |value: &String| field.options.iter().any(|(_, option)| option == value);
        if !field.options.is_empty() && !given.all(offered) {
            return Err(format!("{name}: this cannot be chosen"));
        }
    }
    Ok(())
}

/// XEP-0050 §4.4: a `bad-request` with the command's own condition.
pub fn bad(condition: &str) -> StanzaError {
    StanzaError::from(crate::xmpp::Condition::BadRequest)
        .kind(ErrorType::Modify)
        .app(format!("<{condition} xmlns='{}'/>", ns::COMMANDS))
}
