//! XEP-0424: Message Retraction: in both archives a tombstone takes the place of what its author has taken back, and of the corrections of it
//! (XEP-0308). What has been sent to somebody, or waits for them, is for their client to take away.
//!
//! Only where the retraction itself is archived, which it is unless somebody wants nothing of the other archived.

use crate::engine::feature::{Feature, Incoming, Outgoing, Step};
use crate::engine::session::SessionId;
use crate::engine::{ConnId, Engine};
use crate::limits;
use crate::store::archive::{Answer, Request, Row};
use crate::store::{StoreError, UserId};
use crate::xml::{Document, Element, written};
use crate::xmpp::{Jid, Stanza, ns, time};

/// The row. It stands behind the archive's, which says whether a retraction was archived.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0424",
    title: "Message Retraction (tombstones in archives)",
    server_features: &[ns::RETRACTION],
    account_features: &[ns::RETRACTION, ns::RETRACTION_TOMBSTONE],
    wanted: Some(|config| config.archive.enabled),
    message_out: Some(taken_back),
    message_in: Some(taken_back_elsewhere),
    ..Feature::NONE
};

/// In the author's archive. The author is not heard until it is done, so that each has one search at a time.
fn taken_back(engine: &mut Engine, outgoing: &mut Outgoing<'_, '_>) -> Step {
    let stanza = outgoing.stanza;
    let owner = engine.user_of(outgoing.session).map(|user| user.id);
    if let (true, Some(owner), Some(to)) = (outgoing.archived, owner, &stanza.to)
        && let Some(search) = Search::of(engine, owner, side(engine, to), stanza)
    {
        search.go(engine, Some(outgoing.session));
    }
    Step::Continue
}

/// In the recipient's archive.
fn taken_back_elsewhere(engine: &mut Engine, incoming: &mut Incoming<'_, '_>) -> Step {
    let stanza = incoming.stanza;
    let from = &stanza.from;
    if incoming.archived
        && let Some(search) = Search::of(engine, incoming.id, side(engine, from), stanza)
    {
        // What somebody said to themselves is in no other archive.
        let own = from.local() == Some(incoming.account);
        let author = from
            .resource()
            .filter(|_| own)
            .and_then(|resource| engine.session_at(incoming.account, resource));
        search.go(engine, author);
    }
    Step::Continue
}

/// The other side of a conversation: a person on any device; of a room one occupant, who is not another one.
fn side<'j>(engine: &Engine, jid: &'j Jid<'_>) -> &'j str {
    match engine.service_at(jid) {
        Some(_) => jid.as_str(),
        None => jid.bare(),
    }
}

/// What is looked for in one archive.
struct Search {
    owner: UserId,
    /// The other side: see [`side`].
    with: String,
    /// Who retracts. §5: only what came from there.
    author: Author,
    /// The id of what is retracted.
    id: String,
    /// The id of the message that retracts it.
    retraction: String,
    at_ms: u64,
    /// How many messages may still be replaced.
    left: usize,
    /// Who is not heard until it is done.
    author_conn: Option<ConnId>,
}

impl Search {
    /// §3: what a message retracts, if it does. §5: of what no room has sent, the id is that of the message.
    fn of(engine: &mut Engine, owner: UserId, with: &str, stanza: &Stanza<'_>) -> Option<Search> {
        let retract = stanza.xml.root().child(ns::RETRACTION, "retract")?;
        let id = retract.attr("id").filter(|id| !id.is_empty())?;
        let Some(retraction) = stanza.id.as_deref().filter(|id| !id.is_empty()) else {
            engine.trace(|| "retraction: without an id there can be no tombstone".to_owned());
            return None;
        };
        Some(Search {
            owner,
            with: with.to_owned(),
            author: Author {
                jid: side(engine, &stanza.from).to_owned(),
                occupant: occupant_id(&stanza.xml.root()),
            },
            id: id.into_owned(),
            retraction: retraction.to_owned(),
            at_ms: engine.now.wall_ms,
            left: 1 + limits::RETRACTION_CORRECTIONS,
            author_conn: None,
        })
    }

    /// Looks for it; the author's connection is not read meanwhile.
    fn go(mut self, engine: &mut Engine, author: Option<SessionId>) {
        self.author_conn =
            author.and_then(|author| engine.session(author).and_then(|session| session.conn));
        if let Some(conn) = self.author_conn {
            engine.pause(conn);
        }
        self.next(engine);
    }

    /// Replaces the newest that is left: corrections first, the message itself at last.
    fn next(mut self, engine: &mut Engine) {
        if self.left == 0 {
            return self.done(engine);
        }
        self.left -= 1;
        let (author, id) = (self.author.clone(), self.id.clone());
        let find = Request::Find {
            owner: self.owner,
            with: self.with.clone(),
            matches: Box::new(move |xml| is_retracted(xml, &author, &id)),
            newest: limits::RETRACTION_MESSAGES,
        };
        engine.read_archive(find, move |engine, found| match found {
            Ok(Answer::Found(Some(row))) => self.replace(engine, row),
            Ok(_) => {
                engine.trace(|| "retraction: nothing like that is in the archive".to_owned());
                self.done(engine);
            }
            Err(error) => self.failed(engine, error),
        });
    }

    fn replace(self, engine: &mut Engine, row: Row) {
        let Some((tombstone, is_correction)) = self.tombstone(&row.xml) else {
            return self.done(engine);
        };
        let (owner, xml) = (self.owner, tombstone.into_bytes());
        engine.replace_in_archive(owner, row.id, xml, move |engine, replaced| match replaced {
            Ok(()) if is_correction => self.next(engine),
            Ok(()) => self.done(engine),
            Err(error) => self.failed(engine, error),
        });
    }

    fn failed(self, engine: &mut Engine, error: StoreError) {
        log::error!("a retracted message stays in the archive: {error}");
        self.done(engine);
    }

    fn done(self, engine: &mut Engine) {
        if let Some(conn) = self.author_conn {
            engine.unpause(conn);
        }
    }

    /// §4: what stands in the place of a message; and whether that was a correction.
    fn tombstone(&self, xml: &str) -> Option<(String, bool)> {
        let document = Document::parse(xml.to_owned()).ok()?;
        let message = document.root();
        let corrected = corrected_by(&message);
        let tombstone = written(|out| {
            out.start("message").attr("xmlns", ns::CLIENT);
            for name in ["from", "to", "id", "type"] {
                out.attr_opt(name, message.attr(name).as_deref());
            }
            out.start("retracted")
                .attr("xmlns", ns::RETRACTION)
                .attr("stamp", &time::format(self.at_ms))
                .attr("id", &self.retraction)
                .end();
            // So that it is not taken for a message of its own.
            if let Some(id) = &corrected {
                out.start("replace")
                    .attr("xmlns", ns::CORRECTION)
                    .attr("id", id)
                    .end();
            }
            out.end();
        });
        Some((tombstone, corrected.is_some()))
    }
}

/// Who said something. §5: behind one nickname of a room there may be somebody else by now, so that the room's id counts, too (XEP-0421).
#[derive(Clone)]
struct Author {
    /// A bare JID, or an occupant's.
    jid: String,
    occupant: Option<String>,
}

impl Author {
    fn has_said(&self, message: &Element<'_>) -> bool {
        let from = message.attr("from").unwrap_or_default();
        let is_from = *from == *self.jid
            || from
                .strip_prefix(&*self.jid)
                .is_some_and(|rest| rest.starts_with('/') && !self.jid.contains('/'));
        is_from && self.occupant == occupant_id(message)
    }
}

/// What a room says who somebody is. In other messages it is only a claim, and then both must make the same one.
fn occupant_id(message: &Element<'_>) -> Option<String> {
    let id = message.child(ns::OCCUPANT_ID, "occupant-id")?;
    id.attr("id").map(|id| id.into_owned())
}

/// Whether an archived message is meant: by the same author, with this id or the correction of one with it; not a retraction, which stays, nor a
/// tombstone.
fn is_retracted(xml: &str, author: &Author, id: &str) -> bool {
    // Most messages are not, and need not be parsed for it.
    if !xml.contains(id) && !xml.contains('&') {
        return false;
    }
    let Ok(document) = Document::parse(xml.to_owned()) else {
        return false;
    };
    let message = document.root();
    author.has_said(&message)
        && !message.children().any(|child| child.is_in(ns::RETRACTION))
        && (message.attr("id").as_deref() == Some(id)
            || corrected_by(&message).as_deref() == Some(id))
}

/// The id of the message that this one corrects (XEP-0308 §3).
fn corrected_by(message: &Element<'_>) -> Option<String> {
    let replace = message.child(ns::CORRECTION, "replace")?;
    replace.attr("id").map(|id| id.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_its_author_said_is_retracted() {
        let anna = Author {
            jid: "anna@a.test".to_owned(),
            occupant: None,
        };
        let message = |head: &str, inside: &str| {
            let head = format!("<message xmlns='jabber:client' {head}>");
            is_retracted(&format!("{head}{inside}</message>"), &anna, "x'1")
        };
        let from = "from='anna@a.test/r' to='ben@a.test'";
        let said = "<body>said</body>";
        assert!(message(&format!("{from} id=\"x'1\""), said));
        assert!(message(&format!("{from} id='x&#39;1'"), said));
        let correction = "<replace xmlns='urn:xmpp:message-correct:0' id='x&apos;1'/>";
        assert!(message(&format!("{from} id='2'"), correction));
        // Another id, another author, one whose name only begins so.
        assert!(!message(&format!("{from} id='x&#39;11'"), said));
        assert!(!message("from='ben@a.test/r' id='x&#39;1'", said));
        assert!(!message("from='anna@a.test.b/r' id='x&#39;1'", said));
        assert!(!message("id='x&#39;1'", said));
        // What must stay.
        for name in ["retract", "retracted"] {
            let inside = format!("<{name} xmlns='urn:xmpp:message-retract:1' id='x&#39;1'/>");
            assert!(!message(&format!("{from} id='x&#39;1'"), &inside));
        }
        assert!(!is_retracted("x'1 is no XML", &anna, "x'1"));
        // Through a room: by the same occupant, who has not only the same nickname.
        let witch = Author {
            jid: "coven@rooms.a.test/witch".to_owned(),
            occupant: Some("1".to_owned()),
        };
        let through = |nick: &str, occupant: &str| {
            let message = format!(
                "<message xmlns='jabber:client' from='coven@rooms.a.test/{nick}' id='2'><body/>\
                 <occupant-id xmlns='urn:xmpp:occupant-id:0' id='{occupant}'/></message>"
            );
            is_retracted(&message, &witch, "2")
        };
        assert!(through("witch", "1"));
        assert!(!through("witch", "2") && !through("witch/2", "1") && !through("other", "1"));
    }
}
