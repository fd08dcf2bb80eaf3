//! Hosts below the server's domain that a row of the table answers for: rooms, and whatever else has addresses of its own. They need no DNS, for nobody
//! connects to them: a stanza of one of our sessions that names such a host passes the gate like any other, and then goes to that row.

use super::delivery::Delivery;
use super::dispatch::Asked;
use super::feature::Answer;
use super::session::SessionId;
use super::{Engine, feature::Feature};
use crate::config::Config;
use crate::store::StoreError;
use crate::xml::written;
use crate::xmpp::{BareJid, Jid, Kind, Stanza, StanzaError, ns, time};

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

    /// Says something of a service's own to an account, which no session of it asked for: to its resources that take messages or, where there are none and
    /// `waits`, for its next one (XEP-0160). `inner` is what stands in the `<message/>`. Whether there is such an account, and it does not block who speaks.
    pub fn tell_account_from(
        &mut self,
        from: &BareJid,
        account: &str,
        inner: &str,
        waits: bool,
    ) -> Result<bool, StoreError> {
        let Some(id) = self.store.account(account)?.map(|account| account.id) else {
            return Ok(false);
        };
        if self.blocks(account, &Jid::from(from))? {
            return Ok(false);
        }
        let to = self.bare_jid(account);
        let message_id = self.random.id();
        let whole = |append: &str| {
            written(|out| {
                out.start("message")
                    .attr("from", from.as_str())
                    .attr("to", to.as_str())
                    .attr("id", &message_id)
                    .raw(inner)
                    .raw(append)
                    .end();
            })
        };
        let mut there = self.sessions_of(account);
        there.retain(|session| self.is_messageable(*session));
        if there.is_empty() && waits {
            let delay = written(|out| {
                out.start("delay")
                    .attr("xmlns", ns::DELAY)
                    .attr("from", &self.config.domain)
                    .attr("stamp", &time::format(self.now.wall_ms))
                    .end();
            });
            match self
                .store
                .push_offline(id, self.now.wall_ms, &whole(&delay))
            {
                Ok(_) | Err(StoreError::QueueFull | StoreError::Full) => {}
                Err(error) => return Err(error),
            }
            return Ok(true);
        }
        let text = whole("");
        for session in there {
            self.deliver(session, Delivery::of(from.as_str()), |out| {
                out.extend_from_slice(text.as_bytes())
            });
        }
        Ok(true)
    }
}
