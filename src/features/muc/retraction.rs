//! What is left of a message that its author (XEP-0424) or a moderator (XEP-0425) has taken back: a tombstone in its place, in memory and in the archive,
//! however old it is; and in that of each of its corrections (XEP-0308).

use super::message;
use super::room::{self, Room};
use crate::engine::session::SessionId;
use crate::engine::{ConnId, Engine};
use crate::limits;
use crate::store::StoreError;
use crate::store::UserId;
use crate::store::archive::{Answer, ArchiveId, Request, Row};
use crate::xml::{Document, Element, Scope, Writer, written};
use crate::xmpp::{Condition, StanzaError, ns, time};

/// What happens when it is done, or could not be: `item-not-found` where there is no such message.
pub type Then = Box<dyn FnOnce(&mut Engine, Result<(), StanzaError>)>;

/// A message that is taken back.
pub struct Burial {
    /// The id that the room gave it.
    pub id: String,
    /// The occupant id that it must have, where only its author may do this.
    pub author: Option<Box<str>>,
    /// What stands in its place from now on, as XML: `<retracted/>`.
    pub retracted: String,
}

/// XEP-0424 §3: an author takes back their own message.
pub fn by_author(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    author: Box<str>,
    root: Element<'_>,
    retract: Element<'_>,
) {
    let Some(id) = retract.attr("id") else {
        return;
    };
    let burial = Burial {
        id: id.into_owned(),
        author: Some(author),
        retracted: written(|out| {
            retracted(out, root.attr("id").as_deref(), engine.now.wall_ms);
            out.end();
        }),
    };
    // Nobody waits for it.
    let _ = burial.begin(engine, room, session, Box::new(|_, _| ()));
}

/// Opens `<retracted/>`. XEP-0424 §4: with the id of the message by which that was done, so that a client finds one by the other.
pub fn retracted(out: &mut Writer<'_>, by: Option<&str>, at_ms: u64) {
    out.start("retracted")
        .attr("xmlns", ns::RETRACTION)
        .attr("stamp", &time::format(at_ms))
        .attr_opt("id", by);
}

impl Burial {
    /// Looks for the message and does it: at once where only the room remembers it, else `then` hears of it when it is done. What the session says next is
    /// taken behind that: so each has one search at a time.
    pub fn begin(
        self,
        engine: &mut Engine,
        room: &mut Room,
        session: SessionId,
        then: Then,
    ) -> Option<Result<(), StanzaError>> {
        let archived = ArchiveId::parse(&self.id).filter(|_| room.kept && engine.archive_on());
        let Some(id) = archived else {
            return Some(self.in_memory(room));
        };
        let place = Place {
            room: room.record.name.clone(),
            owner: room.record.id,
            conn: engine.session(session).and_then(|session| session.conn),
        };
        if let Some(conn) = place.conn {
            engine.pause(conn);
        }
        let owner = place.owner;
        engine.read_archive(Request::Get { owner, id }, move |engine, found| {
            let done = match found {
                Ok(Answer::Found(Some(row))) => {
                    return self.in_archive(engine, place, row, then);
                }
                // It was said while nothing was kept.
                Ok(_) => room::visit(engine, &place.room, |_, room| self.in_memory(room)),
                Err(error) => Err(error.into()),
            };
            then(engine, done);
            place.leave(engine);
        });
        None
    }

    /// The message that the room remembers, and its corrections.
    fn in_memory(&self, room: &mut Room) -> Result<(), StanzaError> {
        let said = room.history.find(&self.id);
        let said = said.filter(|said| self.is_by_author(&said.by));
        let said = said.ok_or(Condition::ItemNotFound)?;
        let document = parsed(&said.text).ok_or(Condition::ItemNotFound)?;
        let message = document.root();
        if !can_be_taken_back(message) {
            return Err(Condition::ItemNotFound.into());
        }
        let (author, original) = (said.by.clone(), message.attr("id").map(Into::into));
        self.forget(room, &author, original);
        Ok(())
    }

    fn is_by_author(&self, by: &str) -> bool {
        self.author.as_ref().is_none_or(|author| **author == *by)
    }

    /// Puts tombstones into the history.
    fn forget(&self, room: &mut Room, author: &str, original: Option<String>) {
        let by = room.jid.as_str().to_owned();
        let corrects = Corrects { author, original };
        for line in room.history.lines_mut() {
            let Some(document) = parsed(&line.text) else {
                continue;
            };
            let message = document.root();
            if *line.id == *self.id || corrects.is_met_by(message) {
                let tombstone = tombstone(message, &self.retracted, false);
                line.text = message::with_id(&tombstone, &by, &line.id).into();
            }
        }
    }

    /// The message in the archive, then what the room remembers of it and its corrections, then those in the archive.
    fn in_archive(self, engine: &mut Engine, place: Place, row: Row, then: Then) {
        let document = Document::parse(row.xml).ok();
        let message = document.as_ref().map(Document::root);
        let author = message.and_then(author_of);
        let found = message
            .zip(author)
            .filter(|(message, author)| can_be_taken_back(*message) && self.is_by_author(author));
        let Some((message, author)) = found else {
            then(engine, Err(Condition::ItemNotFound.into()));
            return place.leave(engine);
        };
        let original = message.attr("id").map(|id| id.into_owned());
        let xml = tombstone(message, &self.retracted, true).into_bytes();
        engine.replace_in_archive(place.owner, row.id, xml, move |engine, done| {
            if let Err(error) = done {
                then(engine, Err(error.into()));
                return place.leave(engine);
            }
            let in_memory = room::visit(engine, &place.room, |_, room| {
                self.forget(room, &author, original.clone());
                Ok(())
            });
            if in_memory.is_err() {
                engine.trace(|| "room: it is no more".to_owned());
            }
            then(engine, Ok(()));
            match original.filter(|id| !id.is_empty()) {
                Some(original) => Corrections {
                    place,
                    author,
                    original,
                    retracted: self.retracted,
                    left: limits::RETRACTION_CORRECTIONS,
                }
                .next(engine),
                None => place.leave(engine),
            }
        });
    }
}

/// Where something is taken back, and whose connection waits for it.
struct Place {
    room: String,
    owner: UserId,
    conn: Option<ConnId>,
}

impl Place {
    /// It is done: who asked is heard again.
    fn leave(self, engine: &mut Engine) {
        if let Some(conn) = self.conn {
            engine.unpause(conn);
        }
    }
}

/// Corrections that go with what they correct, in the archive.
struct Corrections {
    place: Place,
    author: String,
    /// The id that its author gave the message.
    original: String,
    retracted: String,
    left: usize,
}

impl Corrections {
    fn next(mut self, engine: &mut Engine) {
        if self.left == 0 {
            return self.place.leave(engine);
        }
        self.left -= 1;
        let (author, original) = (self.author.clone(), self.original.clone());
        let find = Request::Find {
            owner: self.place.owner,
            with: format!("{}@{}", self.place.room, engine.config.rooms_host()),
            matches: Box::new(move |xml| {
                // Most messages correct nothing, and need not be parsed for it.
                xml.contains(ns::CORRECTION)
                    && Document::parse(xml.to_owned()).is_ok_and(|document| {
                        Corrects {
                            author: &author,
                            original: Some(original.clone()),
                        }
                        .is_met_by(document.root())
                    })
            }),
            newest: limits::RETRACTION_MESSAGES,
        };
        engine.read_archive(find, move |engine, found| match found {
            Ok(Answer::Found(Some(row))) => self.replace(engine, row),
            Ok(_) => self.place.leave(engine),
            Err(error) => self.failed(engine, error),
        });
    }

    fn replace(self, engine: &mut Engine, row: Row) {
        let Ok(document) = Document::parse(row.xml) else {
            return self.place.leave(engine);
        };
        let xml = tombstone(document.root(), &self.retracted, true).into_bytes();
        let owner = self.place.owner;
        engine.replace_in_archive(owner, row.id, xml, move |engine, done| match done {
            Ok(()) => self.next(engine),
            Err(error) => self.failed(engine, error),
        });
    }

    fn failed(self, engine: &mut Engine, error: StoreError) {
        log::error!("a correction of what was taken back stays in the archive: {error}");
        self.place.leave(engine);
    }
}

/// Which messages are corrections of one.
struct Corrects<'a> {
    author: &'a str,
    original: Option<String>,
}

impl Corrects<'_> {
    fn is_met_by(&self, message: Element<'_>) -> bool {
        let replace = message.child(ns::CORRECTION, "replace");
        let id = replace.and_then(|replace| replace.attr("id"));
        id.is_some()
            && id.as_deref() == self.original.as_deref()
            && author_of(message).as_deref() == Some(self.author)
            && can_be_taken_back(message)
    }
}

/// What an occupant said: neither a tombstone nor what takes something back, which stay for those who were away (XEP-0424 §5).
fn can_be_taken_back(message: Element<'_>) -> bool {
    author_of(message).is_some() && !message.children().any(|child| child.is_in(ns::RETRACTION))
}

/// The occupant id of who said it.
fn author_of(message: Element<'_>) -> Option<String> {
    let id = message.child(ns::OCCUPANT_ID, "occupant-id")?;
    Some(id.attr("id")?.into_owned())
}

/// A message as the room sent it.
fn parsed(text: &str) -> Option<Document> {
    Document::parse_within(text.to_owned(), Scope::of_default(ns::CLIENT)).ok()
}

/// What is left of a message (XEP-0424 §4, XEP-0425 §4): its head, who said it, and that it is no more.
fn tombstone(message: Element<'_>, retracted: &str, stands_alone: bool) -> String {
    written(|out| {
        out.start("message")
            .attr_opt("xmlns", stands_alone.then_some(ns::CLIENT));
        for name in ["from", "id"] {
            out.attr_opt(name, message.attr(name).as_deref());
        }
        out.attr("type", "groupchat");
        for child in message.children() {
            let is_kept = child.is(ns::OCCUPANT_ID, "occupant-id")
                || child.is(ns::MUC_USER, "x")
                // So that it is not taken for a message of its own.
                || child.is(ns::CORRECTION, "replace");
            if is_kept {
                out.raw(&child.standalone());
            }
        }
        out.raw(retracted).end();
    })
}
