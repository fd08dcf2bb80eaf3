//! Golden conversations: who sends, who receives, XML in plain sight. `tests/scripts/README.md` says how one is written.
#![allow(dead_code)]

use super::host::{self, EXPORTER, Host};
use super::scram;
use snug::auth::ChannelBinding;
use snug::engine::{Input, Tls};
use snug::xml::{Bounds, Checker, Document, Element, Event, Next, Reader, Scope};
use std::collections::{HashMap, VecDeque};
use std::path::Path;

mod states;
mod wishes;

/// Runs `tests/scripts/NAME.txt`; panics with the line, what was expected, what came, and the trace.
pub fn run(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scripts/{name}.txt"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut play = Play::new(name, &text);
    for step in steps(&text) {
        play.step(&step);
    }
    play.end();
}

/// One line that is not indented, with the indented block behind it.
struct Step<'t> {
    line: usize,
    what: &'t str,
    block: String,
}

fn steps(text: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with([' ', '\t']) {
            if let Some(step) = steps.last_mut() {
                step.block.push_str(line);
                step.block.push('\n');
            }
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            steps.push(Step {
                line: number + 1,
                what: line.trim(),
                block: String::new(),
            });
        }
    }
    steps
}

struct Play {
    name: String,
    host: Host,
    actors: HashMap<String, Actor>,
    variables: HashMap<String, String>,
}

/// One client, or one bare connection.
struct Actor {
    far: u32,
    reader: Reader,
    scope: Scope,
    inbox: VecDeque<String>,
    ignores: Vec<String>,
    closed_seen: bool,
    scram: Option<scram::Client>,
}

impl Play {
    fn new(name: &str, text: &str) -> Play {
        let mut toml =
            "[limits]\nstanza_rate = 0\nlogin_rate = 0\nconnection_rate = 0\n".to_owned();
        for step in steps(text).iter().filter(|step| step.what == "config") {
            toml = step.block.clone();
        }
        Play {
            name: name.to_owned(),
            host: Host::new(&toml),
            actors: HashMap::new(),
            variables: HashMap::new(),
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        self.host.take_trace();
        let what = step.what;
        let fail = |why: &str| -> ! { panic!("{}.txt:{}: {what}\n{why}", self.name, step.line) };
        if what == "config" {
            return;
        }
        if let Some(users) = what.strip_prefix("users: ") {
            for user in users.split(',') {
                self.host.account(user.trim(), "secret");
            }
            return;
        }
        if let Some(seconds) = what.strip_suffix(" seconds pass") {
            let seconds = seconds.parse().unwrap_or_else(|_| fail("how many?"));
            return self.host.pass(seconds);
        }
        match what {
            "the server restarts" => return self.restart(true),
            "the server is killed and restarts" => return self.restart(false),
            "the server shuts down" => {
                self.host.enter(Input::Shutdown);
                return;
            }
            "the disk is slow" => return self.host.hold_commits = true,
            "the disk is done" => return self.host.release_commits(),
            "the disk fails" => return self.host.fail_commits(),
            _ => {}
        }
        if let Some(request) = what.strip_prefix("the operator asks ") {
            let request =
                serde_json::from_str(request).unwrap_or_else(|error| fail(&error.to_string()));
            let answer = self.host.control(&request);
            let expected: serde_json::Value = serde_json::from_str(step.block.trim())
                .unwrap_or_else(|error| fail(&error.to_string()));
            if !json_matches(&expected, &answer) {
                fail(&format!("expected {expected}\n     got {answer}"));
            }
            return;
        }
        if let Some(table) = what.strip_prefix("appendix A ") {
            return self.appendix_a(table, step);
        }
        if let Some((count, name)) = what.split_once(" wait for ") {
            for number in 1..=count.parse().unwrap_or_else(|_| fail("how many?")) {
                let stranger = format!("stranger{number:03}");
                self.put_state(name, &stranger, "None + Pending In", step);
            }
            return;
        }
        if let Some((id, secret)) = what
            .strip_prefix("{handshake} is made of ")
            .and_then(|of| of.split_once(" and "))
        {
            let hash = host::handshake(&self.substitute(id), secret);
            self.variables.insert("handshake".to_owned(), hash);
            return;
        }
        if let Some(state) = what.strip_prefix("between ") {
            return self.between(state, step);
        }
        if let Some((one, other)) = what
            .strip_suffix(" are equally long")
            .and_then(|both| both.split_once(" and "))
        {
            let (one, other) = (self.substitute(one), self.substitute(other));
            if one.len() != other.len() || one == other {
                fail(&format!("{one}\n{other}"));
            }
            return;
        }
        let (actor, verb) = what.split_once(' ').unwrap_or_else(|| fail("no such step"));
        match verb {
            "connects" => self.connect(actor, false),
            "connects with TLS" => self.connect(actor, true),
            "connects as a component" => {
                let far = self.host.connect_component();
                self.add_actor(actor, far);
            }
            "is a component" => {
                let far = self.host.component(actor);
                self.add_actor(actor, far);
                self.hear_header(actor, &host::component_header(actor));
            }
            "connects with TLS without binding" => {
                let tls = Tls {
                    binding: ChannelBinding::default(),
                    ..host::tls()
                };
                let far = self.host.connect_from("192.0.2.7", Some(tls));
                self.add_actor(actor, far);
            }
            "opens a stream" => self.open_stream(actor, step),
            "authenticates" => self.authenticate(actor, step),
            "answers the challenge" => {
                if let Err(why) = self.answer_challenge(actor, step) {
                    self.fail(step, &why);
                }
            }
            "refuses the challenge" => {
                if self.answer_challenge(actor, step).is_ok() {
                    self.fail(step, "the client found nothing wrong with it");
                }
            }
            "trusts the success" => self.trust(actor, step),
            "logs in" => self.log_in(actor, step),
            "is online" => {
                self.log_in(actor, step);
                self.go_online(actor, step);
            }
            "sends" => self.sends(actor, step),
            "starts a stream" => {
                let far = self.actor(actor, step).far;
                self.host.bytes(far, HEADER.as_bytes());
                self.actor(actor, step).reader.restart();
            }
            "restarts its reader" => {
                self.actor(actor, step).reader = Reader::new(Bounds::AFTER_LOGIN)
            }
            "receives" => self.receives(actor, step),
            "receives exactly" => {
                let got = self.next(actor, step).unwrap_or_default();
                let expected = self.substitute(step.block.trim());
                if got != expected {
                    self.fail(step, &format!("expected {expected}\n     got {got}"));
                }
            }
            "receives in any order" => self.receives_in_any_order(actor, step),
            "receives nothing" => {
                if let Some(first) = self.next(actor, step) {
                    self.fail(step, &format!("expected nothing\n     got {first}"));
                }
            }
            "is closed" => {
                let far = self.actor(actor, step).far;
                if let Some(first) = self.next(actor, step) {
                    self.fail(step, &format!("expected the end\n     got {first}"));
                }
                if !self.host.is_closed(far) {
                    self.fail(step, "expected the end of the connection, and it is open");
                }
            }
            "closes" => {
                let far = self.actor(actor, step).far;
                self.host.bytes(far, b"</stream:stream>");
                if !self.host.is_closed(far) {
                    self.fail(step, "the server did not close its side");
                }
                self.actor(actor, step).inbox.clear();
                self.pull(actor);
                self.actors.remove(actor);
            }
            "is cut off" => {
                let far = self.actor(actor, step).far;
                self.host.drop_connection(far);
                self.actors.remove(actor);
            }
            "sees nothing so far" => {
                self.pull(actor);
                self.actor(actor, step).inbox.clear();
            }
            _ => self.step_with_words(actor, verb, step),
        }
    }

    /// The steps that say more than who and what.
    fn step_with_words(&mut self, actor: &str, verb: &str, step: &Step<'_>) {
        if let Some(name) = verb.strip_prefix("ignores ") {
            self.actor(actor, step).ignores.push(name.to_owned());
        } else if let Some(address) = verb.strip_prefix("connects from ") {
            let far = self.host.connect_from(address, Some(host::tls()));
            self.add_actor(actor, far);
        } else if let Some(nodes) = verb.strip_prefix("wants ") {
            self.wants(actor, nodes, step);
        } else if let Some(condition) = verb.strip_prefix("is ended with ") {
            self.is_ended(actor, condition, step);
        } else if let Some(how) = verb.strip_prefix("begins ") {
            self.begin_scram(actor, how, step);
        } else if let Some((what, times)) = verb
            .strip_suffix(" times")
            .and_then(|verb| verb.split_once(' '))
        {
            let times: u32 = times
                .parse()
                .unwrap_or_else(|_| self.fail(step, "how many times?"));
            for n in 1..=times {
                self.variables.insert("n".to_owned(), n.to_string());
                let step = Step {
                    line: step.line,
                    what: step.what,
                    block: step.block.clone(),
                };
                match what {
                    "sends" => self.sends(actor, &step),
                    "receives" => self.receives(actor, &step),
                    _ => self.fail(&step, "no such step"),
                }
            }
        } else {
            self.fail(step, "no such step");
        }
    }

    fn sends(&mut self, actor: &str, step: &Step<'_>) {
        let bytes = self.substitute(step.block.trim());
        let far = self.actor(actor, step).far;
        self.host.bytes(far, bytes.as_bytes());
    }

    /// Connects with TLS where there is no connection, sends the usual header, and looks away from the answer.
    fn open_stream(&mut self, name: &str, step: &Step<'_>) {
        let far = self.actors.get(name).map(|actor| actor.far);
        if far.is_none_or(|far| self.host.is_closed(far)) {
            self.connect(name, true);
        }
        let far = self.actor(name, step).far;
        self.host.bytes(far, HEADER.as_bytes());
        self.actor(name, step).reader.restart();
        let header = self.next(name, step);
        let features = self.next(name, step);
        if !features.is_some_and(|features| features.starts_with("<stream:features")) {
            self.fail(step, &format!("no stream was opened: {header:?}"));
        }
    }

    /// Everything up to the binding of a resource, which is left to the script.
    fn authenticate(&mut self, name: &str, step: &Step<'_>) {
        self.open_stream(name, step);
        let user = name.split('/').next().unwrap_or_default();
        let plain = snug::auth::encode(format!("\0{user}\0secret"));
        let far = self.actor(name, step).far;
        self.host.bytes(
            far,
            format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
            )
            .as_bytes(),
        );
        match self.next(name, step) {
            Some(success) if success.starts_with("<success") => self.open_stream(name, step),
            other => self.fail(step, &format!("{name} could not log in: {other:?}")),
        }
    }

    /// A stream error with this condition, the end of the stream, and of the connection.
    fn is_ended(&mut self, name: &str, condition: &str, step: &Step<'_>) {
        let Some(error) = self.next(name, step) else {
            self.fail(step, "expected the end, got nothing");
        };
        let expected = format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><etc/></stream:error>"
        );
        let end = self.next(name, step);
        let closed = self.host.is_closed(self.actors[name].far);
        if self.matches(name, &expected, &error, step).is_err()
            || end.as_deref() != Some("</stream:stream>")
            || !closed
        {
            self.fail(
                step,
                &format!("got {error}\n     then {end:?}, closed: {closed}"),
            );
        }
    }

    /// `MECHANISM as USER with PASSWORD`, and what is special about it behind commas. The first message is in `{first}` then.
    fn begin_scram(&mut self, name: &str, how: &str, step: &Step<'_>) {
        let mut parts = how.split(", ");
        let login = parts
            .next()
            .and_then(|login| login.split_once(" as "))
            .and_then(|(mechanism, rest)| Some((mechanism, rest.split_once(" with ")?)));
        let Some((mechanism, (user, password))) = login else {
            self.fail(step, "MECHANISM as USER with PASSWORD");
        };
        let mut client = scram::Client::new(mechanism, user, password, "a-nonce-of-the-client");
        if mechanism.ends_with("-PLUS") {
            client = client.bound_to("tls-exporter", &EXPORTER);
        }
        for special in parts {
            client = match special.split_once(": ").unwrap_or((special, "")) {
                ("bound to the certificate", _) => {
                    client.bound_to("tls-server-end-point", &[9; 32])
                }
                ("bound to another connection", _) => client.bound_to("tls-exporter", &[8; 32]),
                ("bound to", kind) => client.bound_to(kind, &[1; 12]),
                ("seeing no binding", _) => client.that_saw_no_binding(),
                ("acting as", authzid) => client.acting_as(authzid),
                ("seeing", offer) => {
                    let (mechanisms, bindings) = offer.split_once(" | ").unwrap_or((offer, ""));
                    let words = |text: &'_ str| -> Vec<String> {
                        text.split_whitespace().map(str::to_owned).collect()
                    };
                    let (mechanisms, bindings) = (words(mechanisms), words(bindings));
                    client.that_saw(
                        &mechanisms.iter().map(String::as_str).collect::<Vec<_>>(),
                        &bindings.iter().map(String::as_str).collect::<Vec<_>>(),
                    )
                }
                _ => self.fail(step, &format!("{special:?} is nothing special")),
            };
        }
        for old in ["challenge", "final", "success"] {
            self.variables.remove(old);
        }
        let first = snug::auth::encode(client.first());
        self.variables.insert("first".to_owned(), first);
        self.actor(name, step).scram = Some(client);
    }

    /// `{challenge}` in, `{final}` out, or what the client has against it.
    fn answer_challenge(&mut self, name: &str, step: &Step<'_>) -> Result<(), String> {
        let challenge = self.decoded("challenge", step);
        let Some(client) = &mut self.actor(name, step).scram else {
            self.fail(step, "nothing was begun");
        };
        let answer = snug::auth::encode(client.answer(&challenge)?);
        self.variables.insert("final".to_owned(), answer);
        Ok(())
    }

    /// The server's last message, in `{success}`, shows that it knows the account.
    fn trust(&mut self, name: &str, step: &Step<'_>) {
        let last = self.decoded("success", step);
        let checked = match &self.actor(name, step).scram {
            Some(client) => client.check(&last),
            None => Err("nothing was begun".to_owned()),
        };
        if let Err(why) = checked {
            self.fail(step, &why);
        }
    }

    fn decoded(&self, variable: &str, step: &Step<'_>) -> String {
        let text = self.variables.get(variable).map(String::as_str);
        let bytes = text.and_then(|text| snug::auth::decode(text).ok());
        match bytes.map(String::from_utf8) {
            Some(Ok(text)) => text,
            _ => self.fail(step, &format!("{{{variable}}} has no message: {text:?}")),
        }
    }

    fn restart(&mut self, orderly: bool) {
        self.host.restart(orderly);
        self.actors.clear();
    }

    /// What somebody received and the script does not mention is a failure: the server said too much.
    fn end(&mut self) {
        let names: Vec<String> = self.actors.keys().cloned().collect();
        for name in names {
            self.pull(&name);
            let Actor { inbox, ignores, .. } = &self.actors[&name];
            let ignored = |stanza: &String| {
                ignores
                    .iter()
                    .any(|kind| stanza.starts_with(&format!("<{kind}")))
            };
            if let Some(rest) = inbox.iter().find(|stanza| !ignored(stanza)) {
                panic!(
                    "{}.txt: at the end {name} had received, unexpected:\n     {rest}",
                    self.name
                );
            }
        }
    }

    fn actor(&mut self, name: &str, step: &Step<'_>) -> &mut Actor {
        if !self.actors.contains_key(name) {
            self.fail(step, &format!("{name} is not connected"));
        }
        self.actors.get_mut(name).expect("checked above")
    }

    fn fail(&self, step: &Step<'_>, why: &str) -> ! {
        let trace = self.host.take_trace().join("\n     ");
        panic!(
            "{}.txt:{}: {}\n{why}\ntrace:\n     {trace}\n",
            self.name, step.line, step.what
        )
    }

    fn connect(&mut self, name: &str, secure: bool) {
        let far = self.host.connect(secure);
        self.add_actor(name, far);
    }

    fn add_actor(&mut self, name: &str, far: u32) {
        let actor = Actor {
            far,
            reader: Reader::new(Bounds::AFTER_LOGIN),
            scope: Scope::default(),
            inbox: VecDeque::new(),
            ignores: Vec::new(),
            closed_seen: false,
            scram: None,
        };
        self.actors.insert(name.to_owned(), actor);
    }

    /// TLS, PLAIN and binding, without looking at what comes: other scripts do.
    fn log_in(&mut self, name: &str, step: &Step<'_>) {
        let (user, resource) = name.split_once('/').unwrap_or((name, "r"));
        self.connect(name, true);
        let far = self.actor(name, step).far;
        let plain = snug::auth::encode(format!("\0{user}\0secret"));
        self.host.bytes(far, HEADER.as_bytes());
        self.host.bytes(
            far,
            format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
            )
            .as_bytes(),
        );
        self.host.bytes(far, HEADER.as_bytes());
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        );
        self.host.bytes(far, bind.as_bytes());
        let text = String::from_utf8_lossy(&self.host.take_sent(far)).into_owned();
        if !text.contains(&format!("<jid>{user}@chat.test/{resource}</jid>")) {
            self.fail(step, &format!("{name} could not log in: {text}"));
        }
        self.hear_header(name, SERVER_HEADER);
    }

    /// An actor's reader has seen nothing yet: it gets a header like the one that the server sent.
    fn hear_header(&mut self, name: &str, header: &str) {
        let actor = self.actors.get_mut(name).expect("it was just added");
        actor.reader = Reader::new(Bounds::AFTER_LOGIN);
        let mut checker = Checker::default();
        let mut on = |_: Event<'_>| Next::Continue;
        let read = actor.reader.read(header.as_bytes(), &mut checker, &mut on);
        assert!(read.is_ok(), "the server's header is well-formed");
        actor.scope = actor.reader.scope().clone();
    }

    fn go_online(&mut self, name: &str, step: &Step<'_>) {
        let far = self.actor(name, step).far;
        self.host.bytes(
            far,
            b"<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>",
        );
        self.pull(name);
        let actor = self.actor(name, step);
        let answered = actor
            .inbox
            .iter()
            .position(|stanza| stanza.contains("id='roster'"));
        let myself = actor.inbox.iter().position(|stanza| {
            stanza.contains("<presence")
                && stanza.contains(&format!(
                    "/{}'",
                    name.split_once('/').map_or("r", |(_, r)| r)
                ))
        });
        let (Some(_), Some(_)) = (answered, myself) else {
            let inbox = format!("{:?}", actor.inbox);
            self.fail(step, &format!("{name} did not come online: {inbox}"));
        };
        let own = format!(
            "from='{}@chat.test/{}'",
            name.split('/').next().unwrap_or_default(),
            name.split_once('/').map_or("r", |(_, r)| r)
        );
        actor.inbox.retain(|stanza| {
            let own_presence = stanza.starts_with("<presence") && stanza.contains(&own);
            !stanza.contains("id='roster'") && !own_presence
        });
    }

    /// Reads what the server sent to an actor.
    fn pull(&mut self, name: &str) {
        let Some(actor) = self.actors.get_mut(name) else {
            return;
        };
        let bytes = self.host.take_sent(actor.far);
        let mut checker = Checker::default();
        let Actor {
            reader,
            inbox,
            scope,
            closed_seen,
            ..
        } = actor;
        let mut headers = 0;
        let mut at = 0;
        // A server's header can come again at any time after ours: the reader is told when it does.
        while at < bytes.len() || at == 0 {
            let rest = &bytes[at..];
            let next_header = rest
                .windows(5)
                .skip(1)
                .position(|window| window == b"<?xml")
                .map(|place| place + 1)
                .unwrap_or(rest.len());
            let piece = &rest[..next_header];
            if piece.starts_with(b"<?xml") {
                reader.restart();
                headers += 1;
            }
            let read = reader.read(piece, &mut checker, &mut |event| {
                match event {
                    Event::Header(header) => {
                        inbox.push_back(header.root().source().to_owned());
                        *scope = header.into_scope();
                    }
                    Event::Element(xml) => inbox.push_back(xml.text().to_owned()),
                    Event::Footer => {
                        inbox.push_back("</stream:stream>".to_owned());
                        *closed_seen = true;
                    }
                    Event::Space => {}
                }
                Next::Continue
            });
            if let Err(error) = read {
                panic!(
                    "{}: {name} cannot read what the server sent ({error:?}): {}",
                    self.name,
                    String::from_utf8_lossy(piece)
                );
            }
            at += next_header;
            if bytes.is_empty() {
                break;
            }
        }
        let _ = headers;
    }

    fn next(&mut self, name: &str, step: &Step<'_>) -> Option<String> {
        self.actor(name, step);
        self.pull(name);
        let actor = self.actor(name, step);
        while let Some(first) = actor.inbox.pop_front() {
            if !actor
                .ignores
                .iter()
                .any(|kind| first.starts_with(&format!("<{kind}")))
            {
                return Some(first);
            }
        }
        None
    }

    fn receives(&mut self, name: &str, step: &Step<'_>) {
        for expected in self.expected(step) {
            let Some(got) = self.next(name, step) else {
                self.fail(step, &format!("expected {expected}\n     got nothing"));
            };
            if let Err(why) = self.matches(name, &expected, &got, step) {
                self.fail(
                    step,
                    &format!("expected {expected}\n     got {got}\n     ({why})"),
                );
            }
        }
    }

    fn receives_in_any_order(&mut self, name: &str, step: &Step<'_>) {
        let mut expected = self.expected(step);
        while !expected.is_empty() {
            let Some(got) = self.next(name, step) else {
                self.fail(
                    step,
                    &format!(
                        "expected {}\n     got nothing",
                        expected.join("\n       or ")
                    ),
                );
            };
            let found = (0..expected.len()).find(|place| {
                let pattern = expected[*place].clone();
                self.matches(name, &pattern, &got, step).is_ok()
            });
            match found {
                Some(place) => drop(expected.remove(place)),
                None => self.fail(
                    step,
                    &format!("expected {}\n     got {got}", expected.join("\n       or ")),
                ),
            }
        }
    }

    /// The elements of a block, one after the other.
    fn expected(&self, step: &Step<'_>) -> Vec<String> {
        let text = self.substitute(step.block.trim());
        if text == "</stream:stream>" || text.starts_with("<stream:stream") {
            return vec![text];
        }
        let wrapped = format!(
            "<all xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>{text}</all>"
        );
        match Document::parse(wrapped) {
            Ok(document) => document
                .root()
                .children()
                .map(|child| child.source().to_owned())
                .collect(),
            Err(error) => self.fail(step, &format!("the script's XML is wrong: {error:?}")),
        }
    }

    fn matches(
        &mut self,
        actor: &str,
        expected: &str,
        got: &str,
        step: &Step<'_>,
    ) -> Result<(), String> {
        if expected == "</stream:stream>" || got == "</stream:stream>" {
            return if expected == got {
                Ok(())
            } else {
                Err("the stream's end".into())
            };
        }
        if expected.starts_with("<stream:stream") || got.starts_with("<stream:stream") {
            let close =
                |text: &str| format!("{}/>", text.trim_end_matches('>').trim_end_matches('/'));
            let (Ok(a), Ok(b)) = (
                Document::parse(close(expected)),
                Document::parse(close(got)),
            ) else {
                return Err("not both headers".into());
            };
            return element_matches(a.root(), b.root(), &mut self.variables);
        }
        let scope = Scope::of_default("jabber:client");
        let _ = actor;
        let wrap = |text: &str| {
            format!(
                "<all xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>{text}</all>"
            )
        };
        let _ = scope;
        let a = Document::parse(wrap(expected)).map_err(|error| format!("{error:?}"))?;
        let b = Document::parse(wrap(got)).unwrap_or_else(|error| {
            self.fail(
                step,
                &format!("what came is not well-formed ({error:?}): {got}"),
            )
        });
        let (Some(a), Some(b)) = (a.root().children().next(), b.root().children().next()) else {
            return Err("nothing".into());
        };
        element_matches(a, b, &mut self.variables)
    }

    /// Puts captured values in the place of `{name}`, many letters in that of `{9000 bytes}`, a space in that of `{space}`, and base64 in
    /// that of `{base64 text}`, where `\0` is a NUL.
    fn substitute(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, (inside, after))) = rest
            .split_once('{')
            .and_then(|(before, behind)| Some((before, behind.split_once('}')?)))
        {
            out.push_str(before);
            let bytes = inside
                .strip_suffix(" bytes")
                .and_then(|count| count.parse().ok());
            if let Some(value) = self.variables.get(inside) {
                out.push_str(value);
            } else if let Some(count) = bytes {
                out.extend(std::iter::repeat_n('x', count));
            } else if inside == "space" {
                out.push(' ');
            } else if let Some(text) = inside.strip_prefix("base64 ") {
                out.push_str(&snug::auth::encode(text.replace("\\0", "\0")));
            } else {
                out.push('{');
                out.push_str(inside);
                out.push('}');
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='chat.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const SERVER_HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='x' from='chat.test'>";

/// Compares names, namespaces, attributes, children in order, and text. `*` as a value matches anything that is there, `{name}`
/// captures it, a child `<etc/>` matches all children up to the one that its next sibling matches, or the rest.
fn element_matches(
    expected: Element<'_>,
    got: Element<'_>,
    variables: &mut HashMap<String, String>,
) -> Result<(), String> {
    if expected.name() != got.name() || expected.ns() != got.ns() {
        return Err(format!(
            "<{} xmlns='{}'> is not <{} xmlns='{}'>",
            got.name(),
            got.ns(),
            expected.name(),
            expected.ns()
        ));
    }
    let mut theirs: HashMap<String, String> = got
        .attrs()
        .map(|(name, value)| (name.to_owned(), value.into_owned()))
        .collect();
    for (name, value) in expected.attrs() {
        match theirs.remove(name) {
            Some(there) if value_matches(&value, &there, variables) => {}
            Some(there) => return Err(format!("{name}='{there}' is not '{value}'")),
            None => return Err(format!("no {name} on <{}>", got.name())),
        }
    }
    if let Some((name, value)) = theirs
        .into_iter()
        .find(|(name, _)| !name.starts_with("xmlns"))
    {
        return Err(format!(
            "{name}='{value}' on <{}> was not expected",
            got.name()
        ));
    }
    let mut rest = got.children();
    let mut children = 0;
    let mut skips = false;
    for child in expected.children() {
        children += 1;
        if child.name() == "etc" {
            skips = true;
            continue;
        }
        if std::mem::take(&mut skips) {
            if !rest.any(|theirs| element_matches(child, theirs, variables).is_ok()) {
                return Err(format!(
                    "no {} in the rest of <{}>",
                    child.source(),
                    got.name()
                ));
            }
            continue;
        }
        let Some(theirs) = rest.next() else {
            return Err(format!("no <{}> in <{}>", child.name(), got.name()));
        };
        element_matches(child, theirs, variables)?;
    }
    if skips {
        return Ok(());
    }
    if let Some(more) = rest.next() {
        return Err(format!(
            "<{}> in <{}> was not expected",
            more.name(),
            got.name()
        ));
    }
    let (text, there) = (expected.text(), got.text());
    let same = if children > 0 {
        text.trim() == there.trim()
    } else {
        value_matches(&text, &there, variables)
    };
    if same {
        Ok(())
    } else {
        Err(format!(
            "the text of <{}> is {there:?}, not {text:?}",
            got.name()
        ))
    }
}

fn value_matches(expected: &str, got: &str, variables: &mut HashMap<String, String>) -> bool {
    if let Some(beginning) = expected.strip_suffix('*') {
        return got.starts_with(beginning);
    }
    if let Some(name) = expected
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        variables.insert(name.to_owned(), got.to_owned());
        return true;
    }
    expected == got
}

fn json_matches(expected: &serde_json::Value, got: &serde_json::Value) -> bool {
    use serde_json::Value::*;
    match (expected, got) {
        (String(star), there) if star == "*" => !there.is_null(),
        (Object(a), Object(b)) => a
            .iter()
            .all(|(key, value)| b.get(key).is_some_and(|there| json_matches(value, there))),
        (Array(a), Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_matches(a, b))
        }
        (a, b) => a == b,
    }
}
