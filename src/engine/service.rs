//! Hosts below the server's domain that a row of the table answers for: rooms, and whatever else has addresses of its own. They need no DNS, for nobody
//! connects to them: a stanza of one of our sessions that names such a host passes the gate like any other, and then goes to that row.

use super::delivery::{Delivery, Worth};
use super::dispatch::Asked;
use super::feature::{Answer, Incoming, Step};
use super::missed::{Missed, What};
use super::session::SessionId;
use super::{Engine, feature::Feature};
use crate::config::Config;
use crate::store::StoreError;
use crate::xml::{Splice, splice};
use crate::xmpp::{BareJid, Jid, Kind, MessageType, Stanza, StanzaError, ns};

/// A service of a row.
pub struct Service {
    /// Its host; `None` where the operator does not want it.
    pub host: fn(&Config) -> Option<String>,
    /// What people read in the server's disco#items.
    pub name: &'static str,
    /// Takes a stanza of a session for this host: a message, a presence, or an iq of any type. An error goes back to the sender, unless the stanza
    /// must not be answered (RFC 6120 §8.3.1). The answer is a request's; of others it is not looked at.
    pub take: fn(&mut Engine, SessionId, &Stanza<'_>) -> Result<Answer, StanzaError>,
}

/// The services of the table with their hosts, read again with the configuration.
pub(super) type Services = Vec<(String, &'static Service)>;

/// Which services the operator wants, and where.
pub(super) fn services(features: &'static [Feature], config: &Config) -> Services {
    features
        .iter()
        .filter_map(|row| row.service.as_ref())
        .filter_map(|service| Some(((service.host)(config)?, service)))
        .filter(|(host, service)| {
            let own = *host == config.domain;
            if own {
                log::error!(
                    "{}: {host} is the domain of the accounts; give it another host in snug.toml, until then it is off",
                    service.name
                );
            }
            !own
        })
        .collect()
}

impl Engine {
    /// The service that has this address, if one has.
    pub fn service_at(&self, jid: &Jid<'_>) -> Option<&'static Service> {
        let found = self
            .services
            .iter()
            .find(|(host, _)| host == jid.domain())?;
        Some(found.1)
    }

    /// Every service: its host, and what people read.
    pub fn services(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.services
            .iter()
            .map(|(host, service)| (host.as_str(), service.name))
    }

    /// Hands a stanza to its service and sends what it answers. What a client takes as an acknowledgement waits for the disk.
    pub(super) fn serve(
        &mut self,
        service: &'static Service,
        session: SessionId,
        stanza: &Stanza<'_>,
    ) -> Result<(), StanzaError> {
        self.trace(|| format!("service: {}", service.name));
        let before = self.store.ticket();
        match ((service.take)(self, session, stanza)?, stanza.kind) {
            (Answer::Later, _) | (_, Kind::Message | Kind::Presence) => {}
            (Answer::Partly(_, error), Kind::Iq) => return Err(error),
            (Answer::Empty, Kind::Iq) => self.respond(session, stanza, None, before),
            (Answer::Payload(payload), Kind::Iq) => {
                self.respond(session, stanza, Some(&payload), before)
            }
        }
        Ok(())
    }

    /// Answers a request now, behind the commit of what was written since `before`: for a service that has more to say after its answer, and then
    /// returns [`Answer::Later`]. An iq that is no request gets none (RFC 6120 §8.2.3).
    pub fn respond(
        &mut self,
        session: SessionId,
        stanza: &Stanza<'_>,
        payload: Option<&str>,
        before: crate::store::Ticket,
    ) {
        if !stanza.asks() {
            return;
        }
        let ticket = (self.store.ticket() != before).then(|| self.ticket());
        self.send_result(&Asked::new(session, stanza), payload, ticket);
    }

    /// Refuses a request with a part of it, which tells what was wrong with it (RFC 6120 §8.3.1): for a service that then returns [`Answer::Later`].
    pub fn refuse_with(
        &mut self,
        session: SessionId,
        stanza: &Stanza<'_>,
        part: &str,
        error: &StanzaError,
    ) {
        if !stanza.asks() {
            return;
        }
        self.trace(|| format!("refused: {}", error.condition.name()));
        let asked = Asked::new(session, stanza);
        self.send_answer(&asked, Kind::Iq, "error", None, |out| {
            out.raw(part);
            error.write(out);
        });
    }

    /// Says something of a service's own to an account, which no session of it asked for: a message like any other, so that archives, copies and queues take
    /// it as they take any; to one resource, if one is named and takes messages. `inner` is what stands in it; unless it `waits`, nothing keeps it. Whether
    /// there is such an account, and it does not block who speaks.
    pub fn tell_account_from(
        &mut self,
        from: &BareJid,
        (account, resource): (&str, Option<&str>),
        inner: &str,
        waits: bool,
    ) -> Result<bool, StoreError> {
        let from = Jid::from(from);
        if self.store.account(account)?.is_none() || self.blocks(account, &from)? {
            return Ok(false);
        }
        let resource = resource.filter(|resource| {
            let there = self.session_at(account, resource);
            there.is_some_and(|session| self.is_messageable(session))
        });
        let told = self.say_to_account(&from, account, resource, MessageType::Normal, |out| {
            out.raw(inner);
            if !waits {
                // XEP-0334 §4.1, §4.2
                out.start("no-store").attr("xmlns", ns::HINTS).end();
            }
        });
        if told.is_err() {
            self.trace(|| format!("service: nobody of {account} is there, and nothing keeps it"));
        }
        Ok(true)
    }

    /// Hands a message that came through a service to these sessions of one account: what is said to an occupant of a room, for one, is for the devices that
    /// are in it. The account's archive takes it as it takes any message; nobody else gets a copy (XEP-0280 §6.1).
    pub fn hand_to_sessions(&mut self, stanza: &Stanza<'_>, sessions: &[SessionId]) {
        let Some(user) = sessions.first().and_then(|first| self.user_of(*first)) else {
            return;
        };
        if user.blocks(&stanza.from) {
            self.trace(|| "service: its recipient blocks its sender".to_owned());
            return;
        }
        let (account, id) = (user.name.clone(), user.id);
        let mut incoming = Incoming {
            stanza,
            account: &account,
            id,
            archived: false,
            append: String::new(),
            returned: false,
        };
        if let Step::Done(_) = self.run_message_in(&mut incoming) {
            return;
        }
        for session in sessions {
            let Some(to) = self.session(*session).map(|session| session.jid.clone()) else {
                continue;
            };
            let how = Splice {
                from: Some(stanza.from.as_str()),
                to: Some(to.as_str()),
                append: &incoming.append,
                ..Splice::default()
            };
            let delivery = Delivery::of(stanza.from.bare()).worth(Worth::of(stanza));
            self.deliver(*session, delivery, |out| splice(out, stanza.xml, &how));
            if self
                .session(*session)
                .is_some_and(|there| there.conn.is_none())
            {
                self.missed(&Missed {
                    account: &account,
                    device: Some(to.resource()),
                    from: &stanza.from,
                    what: What::Message(stanza.xml.root()),
                });
            }
        }
    }
}
