//! What was on its way to a session when that ended: sent and not acknowledged (XEP-0198 §4), or still behind a commit. It goes where RFC 6121 §8.5
//! sends what reaches nobody, once and in order: a message to other resources that did not get it, or it waits; a request is refused; what
//! only was a copy, or told how somebody was, is gone.

use super::Engine;
use super::archive::id_in_archive;
use super::content;
use super::delivery::Delivery;
use super::feature::{Incoming, Step};
use super::outbox::{OutQueue, Stranded};
use super::session::{Session, SessionId};
use crate::store::{OfflineKey, StoreError, UserId};
use crate::xml::{Document, Element, Scope, Splice, Writer, splice};
use crate::xmpp::stanza::StanzaType;
use crate::xmpp::{Condition, IqType, Jid, Kind, Stanza, ns, time};

/// The account that a stanza comes back to.
struct Home<'a> {
    name: &'a str,
    id: UserId,
}

impl Engine {
    /// What waits for a session: handed over and not acknowledged, or still here.
    pub fn on_its_way(&self, session: SessionId) -> usize {
        let queue = self.queue(session);
        queue.map_or(0, |queue| queue.weight() + queue.len())
    }

    /// The messages of a user's queue in the store that one of the sessions has got and not acknowledged.
    pub fn in_hand(&self, name: &str) -> Vec<OfflineKey> {
        let sessions = self.online(name).into_iter().flat_map(|u| &u.sessions);
        let mut keys: Vec<OfflineKey> = sessions
            .filter_map(|session| self.queue(*session))
            .flat_map(OutQueue::waiting)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What a session has acknowledged has reached its account: those of these places in the store, which leave it, and those of the numbers that were noted.
    pub(super) fn have_reached(&mut self, session: SessionId, keys: &[OfflineKey]) {
        let Some(user) = self.user_of(session) else {
            return;
        };
        let (id, several) = (user.id, user.sessions.len() > 1);
        for key in keys {
            if let Err(error) = self.store.remove_waiting(id, *key) {
                log::error!("a message that was delivered could not be removed: {error}");
            }
        }
        if several {
            let numbers = std::mem::take(&mut self.resumptions.numbers);
            for number in &numbers {
                self.tell_others(session, *number);
            }
            self.resumptions.numbers = numbers;
        }
    }

    /// A message was handed to sessions of an account. Where one of them does not acknowledge what it gets, it has got it: no other has to return it.
    pub(super) fn note_copies(&mut self, name: &str) {
        let number = self.entries;
        let Some(user) = self.online(name).filter(|user| user.sessions.len() > 1) else {
            return;
        };
        let plain = |id: &&SessionId| {
            let queue = self.queue(**id);
            self.session(**id)
                .is_some_and(|session| session.last_number == number)
                && queue.is_some_and(|queue| queue.unacked().is_none() && !queue.holds(number))
        };
        if let Some(plain) = user.sessions.iter().find(plain).copied() {
            self.tell_others(plain, number);
        }
    }

    /// A message reached none of an account's sessions and was kept, or refused: whoever has got a copy of it need not return that.
    pub(super) fn note_kept(&mut self, name: &str) {
        self.is_known(name, None, self.entries);
    }

    /// A session has got what has this number: the others of its account need not return it.
    pub(super) fn tell_others(&mut self, session: SessionId, number: u64) {
        if let Some(name) = self.session(session).map(|session| session.user.clone()) {
            self.is_known(&name, Some(session), number);
        }
    }

    fn is_known(&mut self, name: &str, to: Option<SessionId>, number: u64) {
        let Engine {
            users,
            sessions,
            streams,
            ..
        } = self;
        let Some(user) = users.get(name) else { return };
        for other in user.sessions.iter().filter(|other| Some(**other) != to) {
            let Some(other) = sessions.get_mut(other.index()).and_then(Option::as_mut) else {
                continue;
            };
            let queue = match other.conn {
                None => other.managed.as_mut().and_then(|m| m.kept_queue_mut()),
                Some(conn) => streams
                    .get_mut(conn.index as usize)
                    .and_then(Option::as_mut)
                    .map(|stream| &mut stream.out),
            };
            if let Some(queue) = queue {
                queue.is_known(number);
            }
        }
    }

    /// A session has ended: what was on its way to it goes elsewhere.
    pub(super) fn return_stranded(&mut self, ended: &Session, id: UserId, queue: OutQueue) {
        let scope = Scope::of_default(ns::CLIENT);
        let home = Home {
            name: &ended.user,
            id,
        };
        // An account that was deleted has nobody and keeps nothing.
        let lives = match self.store.account(home.name) {
            Ok(account) => account.is_some_and(|account| account.id == id),
            Err(error) => {
                log::error!("an account could not be read: {error}");
                true
            }
        };
        for mut stranded in queue.into_stranded() {
            let text = String::from_utf8(std::mem::take(&mut stranded.bytes));
            let document = text
                .ok()
                .and_then(|text| Document::parse_within(text, scope.clone()).ok());
            let Some(document) = document else {
                log::error!("a stanza that was not acknowledged cannot be read");
                continue;
            };
            match document.root().name() {
                "message" if lives => {
                    if let Err(error) = self.return_message(&home, &document, &stranded) {
                        log::error!("a message for {} is lost: {error}", ended.jid);
                    }
                }
                "iq" => self.return_request(&document),
                _ => {}
            }
        }
    }

    fn return_message(
        &mut self,
        home: &Home<'_>,
        document: &Document,
        stranded: &Stranded,
    ) -> Result<(), StoreError> {
        let root = document.root();
        if let Some(message) = copied(root) {
            // Who has the message itself returns it. Where nobody has, this copy is the last of it. What the account sent to others is with them.
            let mut others = self.sessions_of(home.name).into_iter();
            let to = message.root().attr("to").unwrap_or_default();
            let is_home =
                Jid::parse(&to).is_ok_and(|to| self.is_local(&to) && to.local() == Some(home.name));
            if !is_home || others.any(|other| self.holds(other, stranded)) {
                return Ok(());
            }
            return self.return_message(home, &message, stranded);
        }
        if is_for_one_session(root) {
            return Ok(());
        }
        if let Some(from) = root.attr("from")
            && let Ok(from) = Jid::parse(&from)
            && self.blocks(home.name, &from)?
        {
            // XEP-0191 §3.3: also not what came before.
            return Ok(());
        }
        // Another device of the account has acknowledged it.
        if let Some(key) = stranded.waiting
            && !self.store.is_waiting(home.id, key)?
        {
            return Ok(());
        }
        let (holders, others): (Vec<SessionId>, Vec<SessionId>) = self
            .sessions_of(home.name)
            .into_iter()
            .partition(|other| self.holds(*other, stranded));
        let missing: Vec<SessionId> = others
            .into_iter()
            .filter(|other| self.is_messageable(*other))
            .collect();
        self.trace(|| {
            let (missing, holders) = (missing.len(), holders.len());
            format!("returned: a message; {holders} other resources have it, {missing} miss it")
        });
        // What came out of the store is for whoever took it first. Who is there now is gone in a moment, too, when the server ends.
        let nobody = missing.is_empty() || self.stopping;
        if !holders.is_empty() && (nobody || stranded.waiting.is_some()) {
            return Ok(());
        }
        let text = self.with_first_delay(document, stranded);
        if nobody {
            return match stranded.waiting {
                Some(_) => Ok(()),
                None => self.keep_returned(home, text),
            };
        }
        let source = root.attr("from").unwrap_or_default();
        let source = Jid::parse(&source).map_or(String::new(), |from| from.bare().to_owned());
        for other in missing {
            let managed = self.is_managed(other);
            let delivery = Delivery {
                waiting: stranded.waiting.filter(|_| managed),
                since: Some(stranded.when),
                ..Delivery::of(&source)
            };
            self.deliver(other, delivery, |out| {
                out.extend_from_slice(text.as_bytes())
            });
            match stranded.waiting {
                _ if managed => {}
                Some(key) => drop(self.store.remove_waiting(home.id, key)?),
                None => self.tell_others(other, stranded.when.number),
            }
        }
        Ok(())
    }

    /// Whether another session of the account has got this message, too, and not acknowledged it yet. Where one has acknowledged it, nobody returns it.
    fn holds(&self, other: SessionId, stranded: &Stranded) -> bool {
        let Some(queue) = self.queue(other) else {
            return false;
        };
        match stranded.waiting {
            Some(key) => queue.waiting().any(|waiting| waiting == key),
            None => queue.holds(stranded.when.number),
        }
    }

    /// The message as it goes on now: with the time when it came first (XEP-0203 §4), once.
    fn with_first_delay(&self, document: &Document, stranded: &Stranded) -> String {
        let root = document.root();
        let sender = root.attr("from").unwrap_or_default();
        let by_us = |from: std::borrow::Cow<'_, str>| {
            Jid::parse(from.trim()).is_ok_and(|by| self.is_ours(&by) && by.as_str() != sender)
        };
        let mut delays = root.children().filter(|c| c.is(ns::DELAY, "delay"));
        if delays.any(|delay| delay.attr("from").is_some_and(by_us)) {
            return document.text().to_owned();
        }
        let ago_ms = self.now.mono_ms.saturating_sub(stranded.when.mono_ms);
        let mut delay = String::new();
        Writer::new(&mut delay)
            .start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("from", &self.config.domain)
            .attr(
                "stamp",
                &time::format(self.now.wall_ms.saturating_sub(ago_ms)),
            )
            .end();
        let mut out = Vec::with_capacity(document.text().len() + delay.len());
        let how = Splice {
            append: &delay,
            ..Splice::default()
        };
        splice(&mut out, document.checked(), &how);
        String::from_utf8(out).expect("a checked stanza is text")
    }

    /// Nobody is there for it: it waits, or its sender hears that nobody will read it.
    fn keep_returned(&mut self, home: &Home<'_>, text: String) -> Result<(), StoreError> {
        let Ok(document) = Document::parse_within(text, Scope::of_default(ns::CLIENT)) else {
            return Ok(());
        };
        let Some(stanza) = stanza_of(&document) else {
            // The server's own words, or a room's.
            let now_ms = self.now.wall_ms;
            return self
                .store
                .push_offline(home.id, now_ms, document.text())
                .map(drop);
        };
        let bare = self.bare_jid(home.name);
        let archived = id_in_archive(stanza.xml.root(), bare.as_str()).is_some();
        let mut incoming = Incoming {
            stanza: &stanza,
            account: home.name,
            id: home.id,
            archived,
            append: String::new(),
            returned: true,
        };
        if self.run_undelivered(&mut incoming) == Step::Continue {
            self.refuse_returned(&stanza);
        }
        Ok(())
    }

    /// RFC 6121 §8.5.3.2.3: whom a request was for is gone.
    fn return_request(&mut self, document: &Document) {
        let asks = |stanza: &Stanza<'_>| {
            matches!(
                stanza.stanza_type,
                StanzaType::Iq(IqType::Get | IqType::Set)
            )
        };
        if let Some(stanza) = stanza_of(document).filter(asks) {
            self.refuse_returned(&stanza);
        }
    }

    fn refuse_returned(&mut self, stanza: &Stanza<'_>) {
        let from = &stanza.from;
        let here = from
            .local()
            .filter(|_| self.is_local(&Jid::from(from)))
            .zip(from.resource())
            .and_then(|(name, resource)| self.session_at(name, resource));
        let sender = match here {
            Some(sender) => sender,
            None if self.reaches(from) => SessionId::NOBODY,
            None => return,
        };
        self.refuse(sender, stanza, Condition::ServiceUnavailable.into());
    }
}

/// The message that a copy of it wraps (XEP-0280 §7, §8).
fn copied(copy: Element<'_>) -> Option<Document> {
    let mut children = copy.children();
    let wrapper = children.find(|child| content::is_relayed(*child) && child.name() != "result")?;
    let forwarded = wrapper.child(ns::FORWARD, "forwarded")?;
    let message = forwarded.child(ns::CLIENT, "message")?;
    Document::parse_within(message.standalone(), Scope::of_default(ns::CLIENT)).ok()
}

/// Whether a message is of no worth to any other session of its account: it is a copy of what stands elsewhere, or only told something to who was there.
fn is_for_one_session(message: Element<'_>) -> bool {
    let told = matches!(
        message.attr("type").as_deref(),
        Some("error" | "groupchat" | "headline")
    );
    told || content::is_typing(message)
        || message
            .children()
            .any(|child| content::is_relayed(child) || child.is(ns::PUBSUB_EVENT, "event"))
}

/// The stanza, where one of our users sent it: see [`Stanza::from`].
fn stanza_of(document: &Document) -> Option<Stanza<'_>> {
    let root = document.root();
    let kind = match root.name() {
        "message" => Kind::Message,
        "iq" => Kind::Iq,
        _ => return None,
    };
    let from = root.attr("from")?;
    let to = root
        .attr("to")
        .and_then(|to| Jid::parse(&to).ok().map(Jid::into_owned));
    Some(Stanza {
        kind,
        stanza_type: StanzaType::parse(kind, root.attr("type").as_deref())?,
        from: Jid::parse(&from).ok()?.into_owned(),
        to,
        id: root.attr("id"),
        lang: None,
        xml: document.checked(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_news_are_told_from_what_was_said() {
        let scope = Scope::of_default(ns::CLIENT);
        for (xml, one) in [
            ("<message><body>x</body></message>", false),
            ("<message type='chat'><body>x</body></message>", false),
            ("<message type='odd'><body>x</body></message>", false),
            (
                "<message type='h&#101;adline'><body>x</body></message>",
                true,
            ),
            ("<message type='groupchat'><body>x</body></message>", true),
            ("<message type='error'><body>x</body></message>", true),
            (
                "<message><sent xmlns='urn:xmpp:carbons:2'/></message>",
                true,
            ),
            (
                "<message><private xmlns='urn:xmpp:carbons:2'/><body/></message>",
                false,
            ),
            (
                "<message><received xmlns='urn:xmpp:receipts' id='1'/></message>",
                false,
            ),
            ("<message><result xmlns='urn:xmpp:mam:2'/></message>", true),
            (
                "<message><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>",
                true,
            ),
            (
                "<message><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
                true,
            ),
        ] {
            let message = Document::parse_within(xml.to_owned(), scope.clone()).expect("XML");
            assert_eq!(is_for_one_session(message.root()), one, "{xml}");
        }
    }
}
