//! The gate of a bound stream: the sender is stamped, the head is checked once, the stanza finds its handler, and what could not be done is
//! answered. Handlers may assume what is checked here.

use super::delivery::Delivery;
use super::feature::{Answer, At, Gate, Iq, IqRoute, Takes};
use super::session::SessionId;
use super::{ConnId, Engine, Flow};
use crate::store::Ticket;
use crate::xml::Checked;
use crate::xml::{Writer, written};
use crate::xmpp::stanza::StanzaType;
use crate::xmpp::{Condition, IqType, Jid, Kind, Stanza, StanzaError, StreamError, ns};

/// Who waits for the answer of a request that is answered later.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asked.
    pub session: SessionId,
    /// The request's id.
    id: Option<String>,
    /// Whom it asked: the answer's `from`.
    to: Option<String>,
    /// Who asked, where that is nobody's session here.
    beyond: Option<Jid<'static>>,
}

impl Asked {
    /// Remembers who asked what.
    pub fn of(iq: &Iq<'_, '_>) -> Asked {
        Asked::new(iq.session, iq.stanza)
    }

    /// Whom it asked: what answers comes from there. `None`: nobody was named, and so nobody need be in an answer.
    pub fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    /// The same of a request that came as a stanza.
    pub fn new(session: SessionId, stanza: &Stanza<'_>) -> Asked {
        let to = stanza.to.as_ref().map(|to| to.as_str().to_owned());
        Asked {
            session,
            id: stanza.id.as_deref().map(str::to_owned),
            to,
            beyond: (session == SessionId::NOBODY).then(|| stanza.from.clone().into_owned()),
        }
    }
}

impl Engine {
    /// Takes one element of a bound stream.
    pub(super) fn dispatch(&mut self, conn: ConnId, session: SessionId, xml: Checked<'_>) -> Flow {
        let root = xml.root();
        let kind = match root.name() {
            "message" => Kind::Message,
            "presence" => Kind::Presence,
            "iq" => Kind::Iq,
            _ => return self.other_element(conn, session, xml),
        };
        if !root.is_in(ns::CLIENT) {
            return self.other_element(conn, session, xml);
        }
        let before = self.count_handled(session);
        let flow = self.dispatch_stanza(conn, session, kind, xml);
        self.note_written(session, before);
        flow
    }

    fn dispatch_stanza(
        &mut self,
        conn: ConnId,
        session: SessionId,
        kind: Kind,
        xml: Checked<'_>,
    ) -> Flow {
        let root = xml.root();
        let Some(jid) = self.session(session).map(|session| session.jid.clone()) else {
            return Flow::Close;
        };
        // RFC 6120 §8.1.2.1: a `from` must be the session's own, and is written anew in any case.
        if let Some(from) = root.attr("from") {
            let own = Jid::parse(&from)
                .is_ok_and(|from| from.as_str() == jid.as_str() || from.as_str() == jid.bare());
            if !own {
                return self.end_stream(conn, StreamError::InvalidFrom, None);
            }
        }
        let type_value = root.attr("type");
        let stanza_type = StanzaType::parse(kind, type_value.as_deref());
        let to = root.attr("to");
        // RFC 6120 §8.3.3.8: an address that cannot be.
        let (to, malformed) = match to.as_deref().map(Jid::parse) {
            None => (None, false),
            Some(Ok(to)) => (Some(to), false),
            // The answer comes from the account's server then.
            Some(Err(_)) => (None, true),
        };
        let stanza = Stanza {
            kind,
            stanza_type: stanza_type.unwrap_or(StanzaType::Iq(IqType::Get)),
            from: Jid::from(&jid),
            to,
            id: root.attr("id"),
            lang: self.stream(conn).and_then(|stream| stream.lang.clone()),
            xml,
        };
        self.trace(|| head(&stanza, type_value.as_deref()));
        if let Err(error) = check_head(&stanza, stanza_type, malformed) {
            self.refuse(session, &stanza, error);
            return Flow::Continue;
        }
        // What one sends to oneself nobody stops.
        let to_others = stanza
            .to
            .as_ref()
            .is_some_and(|to| to.bare() != stanza.from.bare());
        if to_others {
            match self.run_gates(session, &stanza) {
                Gate::Pass => {}
                Gate::Drop(why) => {
                    self.trace(|| format!("dropped: {why}"));
                    return Flow::Continue;
                }
                Gate::Refuse(error) => {
                    self.refuse(session, &stanza, error);
                    return Flow::Continue;
                }
            }
        }
        let service = stanza.to.as_ref().and_then(|to| self.service_at(to));
        match (kind, service) {
            (Kind::Message, _) => self.message(session, &stanza),
            (_, Some(service)) => {
                if let Err(error) = self.serve(service, session, &stanza) {
                    self.refuse(session, &stanza, error);
                }
            }
            (Kind::Presence, None) => {
                self.run_presence_out(session, &stanza);
            }
            (Kind::Iq, None) => self.iq(session, &stanza),
        }
        Flow::Continue
    }

    /// A child of a bound stream that is no stanza is a feature's, or nobody's.
    fn other_element(&mut self, conn: ConnId, session: SessionId, xml: Checked<'_>) -> Flow {
        let root = xml.root();
        let route = self
            .features
            .iter()
            .flat_map(|row| row.elements)
            .find(|route| root.is(route.ns, route.name));
        match route {
            Some(route) => {
                (route.handle)(self, session, conn, xml);
                Flow::Continue
            }
            // RFC 6120 §4.9.3.24.
            None => self.end_stream(conn, StreamError::UnsupportedStanzaType, None),
        }
    }

    /// RFC 6120 §8.2.3, §10.3 to §10.5: where a request or a response goes.
    fn iq(&mut self, session: SessionId, stanza: &Stanza<'_>) {
        let StanzaType::Iq(iq_type) = stanza.stanza_type else {
            return;
        };
        let asks = matches!(iq_type, IqType::Get | IqType::Set);
        let own = stanza.from.bare();
        let outcome = match &stanza.to {
            Some(to) if to.resource().is_some() && self.is_local(to) => {
                self.forward_iq(stanza, to, asks)
            }
            Some(to) if !self.is_local(to) => self.forward_beyond(stanza),
            // Answers to what the server asked. Of pings and pushes it is all that they were heard.
            _ if !asks => {
                self.run_answered(session, stanza);
                Ok(())
            }
            None => self.answer_iq(session, stanza, iq_type, At::OwnAccount),
            Some(to) if to.is_domain() => self.answer_iq(session, stanza, iq_type, At::Server),
            Some(to) if to.as_str() == own => {
                self.answer_iq(session, stanza, iq_type, At::OwnAccount)
            }
            Some(_) => self.answer_iq(session, stanza, iq_type, At::AnyAccount),
        };
        if let Err(error) = outcome {
            self.refuse(session, stanza, error);
        }
    }

    /// Finds the row that answers a request, and sends what it says.
    pub(super) fn answer_iq(
        &mut self,
        session: SessionId,
        stanza: &Stanza<'_>,
        iq_type: IqType,
        at: At,
    ) -> Result<(), StanzaError> {
        let Some(payload) = stanza.payload() else {
            return Err(Condition::BadRequest.into());
        };
        let (space, name) = (payload.ns(), payload.name());
        let serves = |route: &&IqRoute| {
            route.ns == space
                && route.name == name
                && (route.at == at || (at == At::OwnAccount && route.at == At::AnyAccount))
        };
        let takes = |route: &&IqRoute| match route.takes {
            Takes::Both => true,
            Takes::Get => iq_type == IqType::Get,
            Takes::Set => iq_type == IqType::Set,
        };
        let mut routes = self
            .rows_on()
            .flat_map(|row| row.iq)
            .filter(serves)
            .peekable();
        let served = routes.peek().is_some();
        let found: Option<&'static IqRoute> = routes.find(takes);
        drop(routes);
        let Some(route) = found else {
            // A stranger learns nothing, not even that it is only the other type that is answered.
            return Err(if !served || at == At::AnyAccount {
                Condition::ServiceUnavailable
            } else {
                Condition::FeatureNotImplemented
            }
            .into());
        };
        let account = stanza
            .to
            .as_ref()
            .and_then(Jid::local)
            .or(stanza.from.local())
            .unwrap_or_default();
        let before = self.store.ticket();
        let iq = Iq {
            stanza,
            session,
            payload,
            iq_type,
            account,
        };
        let answer = (route.handle)(self, &iq)?;
        // What a client takes as an acknowledgement waits for the disk.
        let ticket = (self.store.ticket() != before && !matches!(answer, Answer::Later))
            .then(|| self.ticket());
        let payload = match answer {
            Answer::Later => return Ok(()),
            Answer::Empty => None,
            Answer::Payload(payload) => Some(payload),
            Answer::Partly(undone, error) => {
                self.trace(|| format!("refused in part: {}", error.condition.name()));
                let asked = Asked::new(session, stanza);
                self.send_answer(&asked, Kind::Iq, "error", ticket, |out| {
                    error.write(out.raw(&undone));
                });
                return Ok(());
            }
        };
        self.send_result(&Asked::new(session, stanza), payload.as_deref(), ticket);
        Ok(())
    }

    /// RFC 6121 §8.5.3: a request or a response for one resource of an account.
    pub(super) fn forward_iq(
        &mut self,
        stanza: &Stanza<'_>,
        to: &Jid<'_>,
        asks: bool,
    ) -> Result<(), StanzaError> {
        let there = to
            .local()
            .zip(to.resource())
            .and_then(|(name, resource)| self.session_at(name, resource));
        // RFC 6121 §2.1.6: only the account's server says what stands in its list; a client that believed others was robbed (HOLES 14).
        if asks
            && stanza
                .payload()
                .is_some_and(|payload| payload.ns() == ns::ROSTER)
        {
            return Err(Condition::ServiceUnavailable.into());
        }
        match there {
            // RFC 6121 §8.5.3.1: who may not know that somebody is there does not learn it by asking (the parties of a
            // call send each other directed presence first, XEP-0353).
            Some(there) if asks && !self.shows_itself(there, stanza) => {
                Err(Condition::ServiceUnavailable.into())
            }
            Some(there) => {
                self.trace(|| format!("route: forwarded to {}", to.as_str()));
                self.forward(there, stanza, "");
                Ok(())
            }
            // RFC 6121 §8.5.3.2.3: nobody is there. A response is dropped, RFC 6120 §8.2.3.
            None if asks => Err(Condition::ServiceUnavailable.into()),
            None => Ok(()),
        }
    }

    /// Whether a session shares its presence with who sent this: by a subscription, or by directed presence (RFC 6121 §8.5.3.1).
    fn shows_itself(&self, there: SessionId, stanza: &Stanza<'_>) -> bool {
        let (Some(user), Some(session)) = (self.user_of(there), self.session(there)) else {
            return false;
        };
        let (from, bare) = (stanza.from.as_str(), stanza.from.bare());
        user.jid.as_str() == bare
            || self.lets_see(user, bare)
            || session
                .directed
                .iter()
                .any(|to| [from, bare].contains(&&**to))
    }

    /// Answers a request that was answered with [`Answer::Later`]. What was written for it has to be committed before: see [`Engine::when_committed`].
    pub fn answer(&mut self, asked: &Asked, result: Result<Option<String>, StanzaError>) {
        match result {
            Ok(payload) => self.send_result(asked, payload.as_deref(), None),
            Err(error) => self.send_error(asked, Kind::Iq, &error),
        }
    }

    pub(super) fn send_result(
        &mut self,
        asked: &Asked,
        payload: Option<&str>,
        ticket: Option<Ticket>,
    ) {
        self.trace(|| {
            format!(
                "answer: result{}",
                if ticket.is_some() {
                    ", after the commit"
                } else {
                    ""
                }
            )
        });
        self.send_answer(asked, Kind::Iq, "result", ticket, |out| {
            if let Some(payload) = payload {
                out.raw(payload);
            }
        });
    }

    /// Answers a stanza that could not be done with an error, unless it must not be answered: RFC 6120 §8.3.1 (errors), §8.2.3 (responses).
    pub fn refuse(&mut self, session: SessionId, stanza: &Stanza<'_>, error: StanzaError) {
        let silent =
            stanza.stanza_type.is_error() || stanza.stanza_type == StanzaType::Iq(IqType::Result);
        self.trace(|| {
            format!(
                "refused: {}{}",
                error.condition.name(),
                if silent { ", in silence" } else { "" }
            )
        });
        if !silent {
            self.send_error(&Asked::new(session, stanza), stanza.kind, &error);
        }
    }

    fn send_error(&mut self, asked: &Asked, kind: Kind, error: &StanzaError) {
        self.send_answer(asked, kind, "error", None, |out| error.write(out));
    }

    pub(super) fn send_answer(
        &mut self,
        asked: &Asked,
        kind: Kind,
        stanza_type: &str,
        ticket: Option<Ticket>,
        content: impl FnOnce(&mut Writer<'_>),
    ) {
        if let Some(to) = &asked.beyond {
            let text = answer(
                kind,
                asked,
                asked.to.as_deref(),
                to.as_str(),
                stanza_type,
                content,
            );
            return self.tell_beyond(to, &text);
        }
        let Some(jid) = self
            .session(asked.session)
            .map(|session| session.jid.clone())
        else {
            return;
        };
        // RFC 6120 §8.1.2.1: in the context of the own account a `from` can be left out, which Profanity 0.13 needs to see that the server answered.
        let from = asked.to.as_deref();
        let text = answer(kind, asked, from, jid.as_str(), stanza_type, content);
        let source = Jid::parse(from.unwrap_or(jid.bare()))
            .map(|from| from.bare().to_owned())
            .unwrap_or_default();
        self.deliver(asked.session, Delivery::of(&source).behind(ticket), |out| {
            out.extend_from_slice(text.as_bytes())
        });
    }
}

/// An answer, as it goes out.
fn answer(
    kind: Kind,
    asked: &Asked,
    from: Option<&str>,
    to: &str,
    stanza_type: &str,
    content: impl FnOnce(&mut Writer<'_>),
) -> String {
    written(|out| {
        out.start(kind.name())
            .attr_opt("from", from)
            .attr("to", to)
            .attr_opt("id", asked.id.as_deref())
            .attr("type", stanza_type);
        content(out);
        out.end();
    })
}

/// A stanza's head, as the trace tells it: never what it says.
pub(super) fn head(stanza: &Stanza<'_>, type_value: Option<&str>) -> String {
    format!(
        "{} {} type={} to={} id={}: {} bytes",
        stanza.from,
        stanza.kind.name(),
        type_value.unwrap_or("-"),
        stanza.to.as_ref().map(Jid::as_str).unwrap_or("-"),
        stanza.id.as_deref().unwrap_or("-"),
        stanza.xml.text().len()
    )
}

/// What is wrong with a stanza's head, if anything.
pub(super) fn check_head(
    stanza: &Stanza<'_>,
    stanza_type: Option<StanzaType>,
    malformed: bool,
) -> Result<(), StanzaError> {
    if malformed {
        return Err(Condition::JidMalformed.into());
    }
    match stanza_type {
        None => Err(Condition::BadRequest.into()),
        Some(StanzaType::Iq(iq_type)) => {
            // RFC 6120 §8.2.3: an id is needed, and exactly one child in a request.
            let children = stanza.xml.root().children().take(2).count();
            let asks = matches!(iq_type, IqType::Get | IqType::Set);
            if stanza.id.is_none() || (asks && children != 1) {
                Err(Condition::BadRequest.into())
            } else {
                Ok(())
            }
        }
        Some(_) => Ok(()),
    }
}
