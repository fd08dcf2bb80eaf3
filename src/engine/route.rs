//! RFC 6121 section 8: who receives this stanza. The one place that chooses sessions for a message.

use super::Engine;
use super::content;
use super::delivery::{Delivery, Worth};
use super::feature::{Incoming, Outgoing, Reached, Step};
use super::session::SessionId;
use crate::xml::{Document, Element, Scope, Splice, Writer, splice, written};
use crate::xmpp::stanza::StanzaType;
use crate::xmpp::{Condition, Jid, Kind, MessageType, Stanza, StanzaError, ns};

impl Engine {
    /// A message of one of our sessions (RFC 6121 §8).
    pub(super) fn message(&mut self, session: SessionId, stanza: &Stanza<'_>) {
        let mut outgoing = Outgoing {
            stanza,
            session,
            archived: false,
            append: std::mem::take(&mut self.appended_out),
        };
        let step = self.run_message_out(&mut outgoing);
        self.appended_out = emptied(outgoing.append);
        if let Step::Done(_) = step {
            return;
        }
        let outcome = match &stanza.to {
            // RFC 6120 §10.3.1: without a `to` it is for the sender's own account.
            None => {
                let own = stanza.from.clone();
                self.message_to_account(stanza, own.local().unwrap_or_default(), None)
            }
            Some(to) if !self.is_local(to) => match self.service_at(to) {
                Some(service) => self.serve(service, session, stanza),
                None => self.forward_beyond(stanza),
            },
            Some(to) => match to.local() {
                Some(name) => self.message_to_account(stanza, name, to.resource()),
                None => Err(Condition::ServiceUnavailable.into()),
            },
        };
        if let Err(error) = outcome {
            if !stanza.stanza_type.is_error() {
                self.run_refused(session, stanza, &error);
            }
            self.refuse(session, stanza, error);
        }
    }

    /// RFC 6121 §8.5: a message for a local account, by the table of §8.5.4.
    pub fn message_to_account(
        &mut self,
        stanza: &Stanza<'_>,
        name: &str,
        resource: Option<&str>,
    ) -> Result<(), StanzaError> {
        use MessageType::*;
        let id = match self.online(name) {
            Some(user) => user.id,
            // §8.5.1: no such account.
            None => match self.store.account(name)? {
                Some(account) => account.id,
                None => return Err(Condition::ServiceUnavailable.into()),
            },
        };
        // §8.5.3.1: exactly this resource, available or not.
        let there = resource.and_then(|resource| self.session_at(name, resource));
        let message_type = stanza.message_type().unwrap_or(Normal);
        // What is not taken reaches no hook: it is neither kept nor copied.
        if there.is_none() {
            match message_type {
                // §8.5.3.2.1: only a chat goes on as if it were for the bare JID.
                Normal | Headline if resource.is_some() => {
                    return Err(Condition::ServiceUnavailable.into());
                }
                // §8.5.2.1.1, §8.5.3.2.1: a room's message for a bare JID, or for who has left.
                Groupchat => return Err(Condition::ServiceUnavailable.into()),
                Chat | Normal | Headline | Error => {}
            }
        }
        let mut incoming = Incoming {
            stanza,
            account: name,
            id,
            archived: false,
            append: std::mem::take(&mut self.appended_in),
            returned: false,
        };
        let outcome = match self.run_message_in(&mut incoming) {
            Step::Done(_) => Ok(()),
            Step::Continue => self.deliver_message(&mut incoming, there),
        };
        self.appended_in = emptied(incoming.append);
        outcome
    }

    /// Says something of this server's own, or of a service on it, to an account: a message like any other, so that hooks archive, copy and keep it. `say`
    /// writes what stands in it; `at` names the one resource that gets it. An error says that nobody did, and nothing keeps it.
    pub fn say_to_account(
        &mut self,
        from: &Jid<'_>,
        name: &str,
        at: Option<&str>,
        message_type: MessageType,
        say: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), StanzaError> {
        let bare = self.bare_jid(name);
        let full = at.and_then(|resource| bare.with_resource(resource).ok());
        let to = full.as_ref().map_or(Jid::from(&bare), Jid::from);
        let id = self.random.id();
        let text = written(|out| {
            out.start("message")
                .attr("to", to.as_str())
                .attr("id", &id)
                .attr_opt("type", message_type.name());
            say(out);
            out.end();
        });
        let message = Document::parse_within(text, Scope::of_default(ns::CLIENT))
            .expect("what this server writes is XML");
        let stanza = Stanza {
            kind: Kind::Message,
            stanza_type: StanzaType::Message(message_type),
            from: Jid::from(from),
            to: Some(to.clone()),
            id: Some(id.as_str().into()),
            lang: None,
            xml: message.checked(),
        };
        self.message_to_account(&stanza, name, at)
    }

    /// Hands a message to the resource that it is for, or to those that take messages for the bare JID, or leaves it to who keeps it.
    fn deliver_message(
        &mut self,
        incoming: &mut Incoming<'_, '_>,
        there: Option<SessionId>,
    ) -> Result<(), StanzaError> {
        let (stanza, name) = (incoming.stanza, incoming.account);
        if let Some(there) = there {
            self.trace(|| format!("route: to that resource of {name}"));
            self.forward(there, stanza, &incoming.append);
            self.run_message_delivered(incoming, Reached::One(there));
            self.note_copies(name);
            return Ok(());
        }
        let message_type = stanza.message_type();
        if message_type == Some(MessageType::Error) {
            // §8.5.2.1.1, §8.5.3.2.1: an error for a bare JID, or for who has left.
            self.run_message_delivered(incoming, Reached::Nobody);
            return Ok(());
        }
        // §8.5.2.1.1: all resources of non-negative priority get it; which one a person looks at is not the server's guess.
        let mut reached = 0;
        let mut place = 0;
        while let Some(there) = self
            .online(name)
            .and_then(|user| user.sessions.get(place))
            .copied()
        {
            place += 1;
            if self.is_messageable(there) {
                reached += 1;
                self.forward(there, stanza, &incoming.append);
            }
        }
        self.trace(|| format!("route: {reached} resources of {name}"));
        let whom = match reached {
            0 => Reached::Nobody,
            _ => Reached::Messageable,
        };
        self.run_message_delivered(incoming, whom);
        if reached > 0 && place > 1 {
            self.note_copies(name);
        }
        if reached > 0 || message_type == Some(MessageType::Headline) {
            // §8.5.2.2.1: a headline that nobody sees is gone.
            return Ok(());
        }
        let step = self.run_undelivered(incoming);
        self.note_kept(name);
        match step {
            Step::Done(_) => Ok(()),
            Step::Continue => Err(Condition::ServiceUnavailable.into()),
        }
    }

    /// Whether a message to the account's bare JID reaches this session: available, and not of negative priority (RFC 6121 §8.5.2.1.1).
    pub fn is_messageable(&self, id: SessionId) -> bool {
        self.session(id)
            .and_then(|session| session.presence.as_ref())
            .is_some_and(|presence| presence.priority >= 0)
    }

    /// Sends a stanza on as it came, with the sender's full JID, `append` behind its last child, and without what is forged in our name.
    pub fn forward(&mut self, to: SessionId, stanza: &Stanza<'_>, append: &str) {
        let forged = if stanza.kind == Kind::Message {
            self.forged(stanza)
        } else {
            Vec::new()
        };
        self.forward_without(to, stanza, &forged, append);
    }

    /// Sends a stanza on as [`Engine::forward`] does, without these of its children.
    pub fn forward_without<'s>(
        &mut self,
        to: SessionId,
        stanza: &'s Stanza<'_>,
        without: &'s [Element<'s>],
        append: &'s str,
    ) {
        let how = stamped(stanza, without, append);
        let delivery = Delivery::of(stanza.from.bare()).worth(Worth::of(stanza));
        self.deliver(to, delivery, |out| splice(out, stanza.xml, &how));
    }

    /// The children of a message that claim what only we may say: ids given (XEP-0359 §3) and delays noted (XEP-0203 §6) by this server or its
    /// accounts, copies (XEP-0280 §11) and results of archives (XEP-0313 §9): clients have taken those for their own server's word (HOLES 15). All of
    /// them, by the decoded name. That the sender's own client held a message back is for the sender to say.
    pub fn forged<'s>(&self, stanza: &'s Stanza<'_>) -> Vec<Element<'s>> {
        let ours = |claim: Option<std::borrow::Cow<'_, str>>, but: &str| {
            claim.is_some_and(|jid| {
                Jid::parse(jid.trim()).is_ok_and(|jid| {
                    self.is_ours(&jid)
                        && jid.as_str() != but
                        && !self.speaks_for(&stanza.from, &jid)
                })
            })
        };
        let sender = stanza.from.as_str();
        let forged = |child: &Element<'_>| match child.name() {
            "stanza-id" => child.is(ns::STANZA_ID, "stanza-id") && ours(child.attr("by"), ""),
            // XEP-0490 §5.2.3: it was for this server.
            "displayed" => child.is_in(ns::DISPLAYED),
            "delay" => child.is(ns::DELAY, "delay") && ours(child.attr("from"), sender),
            _ => content::is_relayed(*child),
        };
        stanza.xml.root().children().filter(forged).collect()
    }

    /// Whether a JID is this server's, an account's or a service's on it.
    pub fn is_ours(&self, jid: &Jid<'_>) -> bool {
        let domain = &*self.config.domain;
        jid.domain() == domain
            || jid
                .domain()
                .strip_suffix(domain)
                .is_some_and(|host| host.ends_with('.'))
    }
}

/// How a stanza goes on to its recipient: with the sender's full JID; without a `to` it was for the sender's own account (RFC 6120 §10.3.1).
pub fn stamped<'s>(
    stanza: &'s Stanza<'_>,
    forged: &'s [Element<'s>],
    append: &'s str,
) -> Splice<'s> {
    Splice {
        from: Some(stanza.from.as_str()),
        to: stanza.to.is_none().then(|| stanza.from.bare()),
        lang: stanza.lang.as_deref(),
        without: forged,
        append,
        ..Splice::default()
    }
}

/// A buffer for the next message.
fn emptied(mut buffer: String) -> String {
    buffer.clear();
    buffer
}
