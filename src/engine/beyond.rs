//! What lies beyond: addresses that are neither an account's nor a service's here. How a stanza gets there, and what one that comes from there may do, is
//! decided in this one place; who sends (messages, presence, push) does not know what is at the other end. Today that is a component (XEP-0114).

use super::feature::At;
use super::route::stamped;
use super::session::{SessionId, write_presence_to};
use super::{Continuation, Engine};
use crate::limits;
use crate::store::StoreError;
use crate::xml::{Splice, splice, written};
use crate::xmpp::{BareJid, Condition, IqType, Jid, Kind, PresenceType, Stanza, StanzaError, ns};
use std::collections::HashMap;

/// What the server asked of others and was not answered yet, by the id of the question.
#[derive(Default)]
pub struct Questions(HashMap<String, Question>);

/// One question.
struct Question {
    /// Who was asked: only from there it is answered.
    to: Jid<'static>,
    due_ms: u64,
    then: Continuation<Result<(), StanzaError>>,
}

impl Questions {
    /// Whether nobody was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What may be asked of this server, and of its accounts by whom they let see them; and nothing may be changed.
const ASKED_OF_SERVER: [&str; 6] = [
    ns::PING,
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::VERSION,
    ns::TIME,
    ns::LAST,
];
const ASKED_OF_ACCOUNTS: [&str; 4] = [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::LAST, ns::VCARD];

impl Engine {
    /// Whether there is a way to an address that is not of this server, though perhaps not at this moment.
    pub fn reaches(&self, to: &Jid<'_>) -> bool {
        self.is_component(to.domain())
    }

    /// Sends a stanza, which `write` appends, to an address beyond. `remote-server-not-found`: there is no way (RFC 6120 §10.4).
    /// `remote-server-timeout`: there is none at this moment.
    pub fn send_beyond(
        &mut self,
        to: &Jid<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StanzaError> {
        if !self.reaches(to) {
            return Err(Condition::RemoteServerNotFound.into());
        }
        self.send_to_component(to.domain(), write)
    }

    /// Sends a stanza on to where its `to` says, as it came.
    pub fn forward_beyond(&mut self, stanza: &Stanza<'_>) -> Result<(), StanzaError> {
        let Some(to) = stanza.to.clone() else {
            return Err(Condition::BadRequest.into());
        };
        let forged = match stanza.kind {
            Kind::Message => self.forged(stanza),
            _ => Vec::new(),
        };
        self.trace(|| format!("route: beyond, to {to}"));
        self.send_beyond(&to, |out| {
            splice(out, stanza.xml, &stamped(stanza, &forged, ""))
        })
    }

    /// Asks something of an address beyond, in the server's name, and goes on with the answer: that it was done, or the error. It comes in any case,
    /// [`limits::QUESTION_MS`] later at the latest. `payload` is finished XML.
    pub fn ask_beyond(
        &mut self,
        to: &Jid<'_>,
        iq_type: IqType,
        payload: &str,
        then: impl FnOnce(&mut Engine, Result<(), StanzaError>) + 'static,
    ) {
        let id = self.random.id();
        let iq_type = match iq_type {
            IqType::Get => "get",
            _ => "set",
        };
        let text = written(|out| {
            out.start("iq")
                .attr("from", &self.config.domain)
                .attr("to", to.as_str())
                .attr("id", &id)
                .attr("type", iq_type)
                .raw(payload)
                .end();
        });
        if let Err(error) = self.send_beyond(to, |out| out.extend_from_slice(text.as_bytes())) {
            return then(self, Err(error));
        }
        let question = Question {
            to: to.clone().into_owned(),
            due_ms: self.now.mono_ms + limits::QUESTION_MS,
            then: Box::new(then),
        };
        self.questions.0.insert(id, question);
    }

    /// Nobody answers any more what was asked so long ago, or of a host that is gone.
    pub(super) fn end_questions(&mut self, host: Option<&str>) {
        let now_ms = self.now.mono_ms;
        let over = |question: &Question| match host {
            Some(host) => question.to.domain() == host,
            None => question.due_ms <= now_ms,
        };
        let mut ids: Vec<String> = Vec::new();
        for (id, question) in &self.questions.0 {
            if over(question) {
                ids.push(id.clone());
            }
        }
        // In an order that is always the same.
        ids.sort();
        for id in ids {
            if let Some(question) = self.questions.0.remove(&id) {
                (question.then)(self, Err(Condition::RemoteServerTimeout.into()));
            }
        }
    }

    /// A stanza comes from beyond, from an address that who sent it may speak for.
    pub(super) fn take_from_beyond(&mut self, stanza: &Stanza<'_>) {
        let Some(to) = stanza.to.clone() else { return };
        let outcome = match stanza.kind {
            _ if !self.is_local(&to) && self.service_at(&to).is_some() => Err(StanzaError::text(
                Condition::NotAllowed,
                "this service is for accounts of this server",
            )),
            _ if !self.is_local(&to) => self.forward_beyond(stanza),
            Kind::Message => self.message_from_beyond(stanza, &to),
            Kind::Presence => self.presence_from_beyond(stanza, &to),
            Kind::Iq => self.iq_from_beyond(stanza, &to),
        };
        if let Err(error) = outcome {
            self.refuse(SessionId::NOBODY, stanza, error);
        }
    }

    /// Sends finished XML to an address beyond; where that cannot be reached nobody is told.
    pub(super) fn tell_beyond(&mut self, to: &Jid<'_>, xml: &str) {
        // It only says how something is, and is said again when somebody asks.
        let _ = self.send_beyond(to, |out| out.extend_from_slice(xml.as_bytes()));
    }

    /// RFC 6121 §4.2.2, §4.4.2, §4.5.2: those beyond who see a user's presence are shown a session's.
    pub(super) fn broadcast_beyond(&mut self, session: SessionId, xml: &str) {
        for contact in self.contacts_beyond(session, |contact| contact.from) {
            self.show_beyond(&Jid::from(&contact), xml);
        }
    }

    /// RFC 6121 §4.3.1: a session that became available asks how those beyond are whom its user sees.
    pub fn probe_beyond(&mut self, session: SessionId) {
        let Some(from) = self.session(session).map(|session| session.jid.clone()) else {
            return;
        };
        for contact in self.contacts_beyond(session, |contact| contact.to) {
            let text = written(|out| {
                out.start("presence")
                    .attr("from", from.as_str())
                    .attr("to", contact.as_str())
                    .attr("type", "probe")
                    .end();
            });
            self.tell_beyond(&Jid::from(&contact), &text);
        }
    }

    /// Shows a presence, which has no `to`, to an address beyond.
    pub fn show_beyond(&mut self, to: &Jid<'_>, xml: &str) {
        let mut bytes = Vec::with_capacity(xml.len() + 64);
        write_presence_to(xml, to.as_str(), &mut bytes);
        // Where it cannot be reached nobody is told, as above.
        let _ = self.send_beyond(to, |out| out.extend_from_slice(&bytes));
    }

    /// A user's contacts beyond who are reached, and for whom something holds. Where nothing lies beyond they are not even looked at.
    fn contacts_beyond(
        &self,
        session: SessionId,
        which: impl Fn(&super::contacts::Contact) -> bool,
    ) -> Vec<BareJid> {
        if self.config.components.is_empty() {
            return Vec::new();
        }
        let contacts = self
            .user_of(session)
            .into_iter()
            .flat_map(|user| user.contacts.iter().map(move |contact| (user, contact)));
        contacts
            .filter(|(user, contact)| {
                let jid = Jid::from(&contact.jid);
                which(contact) && !self.is_local(&jid) && self.reaches(&jid) && !user.blocks(&jid)
            })
            .map(|(_, contact)| contact.jid.clone())
            .collect()
    }

    fn message_from_beyond(
        &mut self,
        stanza: &Stanza<'_>,
        to: &Jid<'_>,
    ) -> Result<(), StanzaError> {
        let Some(name) = to.local() else {
            return Err(Condition::ServiceUnavailable.into());
        };
        // XEP-0191 §3.3: as from an account that does not exist.
        if self.blocks(name, &stanza.from)? {
            return Err(Condition::ServiceUnavailable.into());
        }
        self.message_to_account(stanza, name, to.resource())
    }

    fn presence_from_beyond(
        &mut self,
        stanza: &Stanza<'_>,
        to: &Jid<'_>,
    ) -> Result<(), StanzaError> {
        let (Some(name), Some(kind)) = (to.local(), stanza.presence_type()) else {
            // The server itself takes no presence.
            return Ok(());
        };
        // XEP-0191 §3.3: no answer. RFC 6121 §8.5.1: nor from an account that does not exist.
        if self.user(name)?.is_none() || self.blocks(name, &stanza.from)? {
            return Ok(());
        }
        match kind {
            kind if kind.is_subscription() => self.subscription_from_beyond(stanza, name, kind),
            PresenceType::Probe => Ok(self.answer_probe(stanza, to, name)?),
            // RFC 6121 §8.5.2.1.2: an error is for one resource or for nobody.
            PresenceType::Error if to.is_bare() => Ok(()),
            _ => {
                let there = match to.resource() {
                    Some(resource) => self.session_at(name, resource).into_iter().collect(),
                    None => self.available_of(name),
                };
                for there in there {
                    self.forward(there, stanza, "");
                }
                Ok(())
            }
        }
    }

    fn subscription_from_beyond(
        &mut self,
        stanza: &Stanza<'_>,
        name: &str,
        kind: PresenceType,
    ) -> Result<(), StanzaError> {
        if stanza.xml.text().len() > limits::REQUEST_BYTES {
            return Err(StanzaError::text(
                Condition::NotAcceptable,
                "the request is too long",
            ));
        }
        let mut xml = Vec::new();
        let how = Splice {
            from: Some(""),
            to: Some(""),
            lang: stanza.lang.as_deref(),
            ..Splice::default()
        };
        splice(&mut xml, stanza.xml, &how);
        let xml = String::from_utf8(xml).expect("a checked stanza is text");
        Ok(self.subscription_in(name, &stanza.from.to_bare(), kind, &xml)?)
    }

    /// RFC 6121 §4.3.2: how an account is, for who may know; to others nothing.
    fn answer_probe(
        &mut self,
        stanza: &Stanza<'_>,
        to: &Jid<'_>,
        name: &str,
    ) -> Result<(), StoreError> {
        if !self.is_visible_to(name, stanza.from.bare())? {
            return Ok(());
        }
        let mut there = self.available_of(name);
        if let Some(resource) = to.resource() {
            there.retain(|id| {
                self.session(*id)
                    .is_some_and(|session| session.jid.resource() == resource)
            });
        }
        let mut shown: Vec<_> = there
            .into_iter()
            .filter_map(|id| Some(self.session(id)?.presence.as_ref()?.xml.to_string()))
            .collect();
        if shown.is_empty() {
            shown.push(written(|out| {
                out.start("presence")
                    .attr("from", to.as_str())
                    .attr("type", "unavailable")
                    .end();
            }));
        }
        for xml in shown {
            self.show_beyond(&stanza.from, &xml);
        }
        Ok(())
    }

    fn iq_from_beyond(&mut self, stanza: &Stanza<'_>, to: &Jid<'_>) -> Result<(), StanzaError> {
        let Some(iq_type) = stanza.iq_type() else {
            return Ok(());
        };
        let asks = matches!(iq_type, IqType::Get | IqType::Set);
        if asks
            && let Some(name) = to.local()
            && self.blocks(name, &stanza.from)?
        {
            return Err(Condition::ServiceUnavailable.into());
        }
        if to.resource().is_some() {
            return self.forward_iq(stanza, to, asks);
        }
        if !asks {
            self.take_answer(stanza);
            return Ok(());
        }
        let (at, asked) = match to.local() {
            None => (At::Server, &ASKED_OF_SERVER[..]),
            Some(_) => (At::AnyAccount, &ASKED_OF_ACCOUNTS[..]),
        };
        let payload = stanza.payload().ok_or(Condition::BadRequest)?;
        if iq_type != IqType::Get || !asked.contains(&&*payload.ns()) {
            return Err(Condition::ServiceUnavailable.into());
        }
        self.answer_iq(SessionId::NOBODY, stanza, iq_type, at)
    }

    /// The answer to a question of the server's own; what nobody asked is dropped (RFC 6120 §8.2.3).
    fn take_answer(&mut self, stanza: &Stanza<'_>) {
        let id = stanza.id.as_deref().unwrap_or_default();
        let from = |question: &Question| question.to.as_str() == stanza.from.as_str();
        if !self.questions.0.get(id).is_some_and(from) {
            self.trace(|| "an answer to nothing that was asked".to_owned());
            return;
        }
        if let Some(question) = self.questions.0.remove(id) {
            let answer = match stanza.iq_type() {
                Some(IqType::Result) => Ok(()),
                _ => Err(StanzaError::of(&stanza.xml.root())),
            };
            (question.then)(self, answer);
        }
    }

    /// Whether what a sender says in this name is the sender's own to say: a component's host may lie below our domain.
    pub(super) fn speaks_for(&self, sender: &Jid<'_>, name: &Jid<'_>) -> bool {
        sender.domain() == name.domain() && self.is_component(sender.domain())
    }
}
