//! RFC 6121 section 8: who receives this stanza. The one place that chooses sessions for a message.

use super::Engine;
use super::delivery::{Delivery, Worth};
use super::feature::{Incoming, Reached, Step};
use super::session::SessionId;
use crate::xml::Element;
use crate::xml::{Splice, splice};
use crate::xmpp::{Condition, Jid, Kind, MessageType, Stanza, StanzaError, ns};

impl Engine {
    /// A message of one of our sessions (RFC 6121 §8).
    pub(super) fn message(&mut self, session: SessionId, stanza: &Stanza<'_>) {
        if let Step::Done(_) = self.run_message_out(session, stanza) {
            return;
        }
        let outcome = match &stanza.to {
            // RFC 6120 §10.3.1: without a `to` it is for the sender's own account.
            None => {
                let own = stanza.from.clone();
                self.message_to_account(stanza, own.local().unwrap_or_default(), None)
            }
            // RFC 6120 §10.4: no sessions with other servers.
            Some(to) if !self.is_local(to) => Err(Condition::RemoteServerNotFound.into()),
            Some(to) => match to.local() {
                Some(name) => self.message_to_account(stanza, name, to.resource()),
                None => Err(Condition::ServiceUnavailable.into()),
            },
        };
        if let Err(error) = outcome {
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
        let mut incoming = Incoming {
            stanza,
            account: name,
            id,
            append: String::new(),
        };
        if let Step::Done(_) = self.run_message_in(&mut incoming) {
            return Ok(());
        }
        let message_type = stanza.message_type().unwrap_or(Normal);
        if let Some(resource) = resource {
            // §8.5.3.1: exactly this resource, available or not.
            if let Some(there) = self.session_at(name, resource) {
                self.trace(|| format!("route: to {name}/{resource}"));
                self.forward(there, stanza, &incoming.append);
                self.run_message_delivered(&incoming, Reached::One(there));
                return Ok(());
            }
            // §8.5.3.2.1: only a chat goes on as if it were for the bare JID.
            match message_type {
                Chat => {}
                Error => return Ok(()),
                Normal | Groupchat | Headline => return Err(Condition::ServiceUnavailable.into()),
            }
        }
        match message_type {
            // §8.5.2.1.1: a room's message for a bare JID.
            Groupchat => return Err(Condition::ServiceUnavailable.into()),
            // §8.5.2.1.1: an error for a bare JID.
            Error => return Ok(()),
            Chat | Normal | Headline => {}
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
        if reached > 0 {
            self.run_message_delivered(&incoming, Reached::Messageable);
        }
        if reached > 0 || message_type == Headline {
            // §8.5.2.2.1: a headline that nobody sees is gone.
            return Ok(());
        }
        match self.run_undelivered(&mut incoming) {
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
        let how = stamped(stanza, &forged, append);
        let delivery = Delivery {
            worth: Worth::of(stanza),
            ..Delivery::of(stanza.from.bare())
        };
        self.deliver(to, delivery, |out| splice(out, stanza.xml, &how));
    }

    /// The children of a message that claim what only we may say: ids given (XEP-0359 §3) and delays noted (XEP-0203 §6) by this server or its
    /// accounts. All of them, by the decoded name. That the sender's own client held a message back is for the sender to say.
    pub fn forged<'s>(&self, stanza: &'s Stanza<'_>) -> Vec<Element<'s>> {
        let ours = |claim: Option<std::borrow::Cow<'_, str>>, but: &str| {
            claim.is_some_and(|jid| {
                Jid::parse(jid.trim()).is_ok_and(|jid| self.is_ours(&jid) && jid.as_str() != but)
            })
        };
        let sender = stanza.from.as_str();
        let forged = |child: &Element<'_>| match child.name() {
            "stanza-id" => child.is(ns::STANZA_ID, "stanza-id") && ours(child.attr("by"), ""),
            "delay" => child.is(ns::DELAY, "delay") && ours(child.attr("from"), sender),
            _ => false,
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
