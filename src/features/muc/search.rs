//! XEP-0433: searching for public rooms of this server. Left out: limits of rate, which the connection has; all fields and errors of the XEP are there.

use super::disco::{public_rooms, title};
use super::room::Rooms;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::RoomRecord;
use crate::xml::{Element, Writer, written};
use crate::xmpp::{
    Condition, ErrorType, Field, FieldType, Form, FormType, PageRequest, StanzaError, rsm,
};

/// The namespace.
pub const NS: &str = "urn:xmpp:channel-search:0:search";
const PARAMETERS: &str = "urn:xmpp:channel-search:0:search-params";
const ERRORS: &str = "urn:xmpp:channel-search:0:error";
const BY_USERS: &str = "{urn:xmpp:channel-search:0:order}nusers";
const BY_ADDRESS: &str = "{urn:xmpp:channel-search:0:order}address";
/// §6.2: how services are called that host what is found; rooms are of this kind.
const KIND: &str = "xep-0045";
const TERM_CHARS: usize = 2;

/// A request: without a form it is for the form (§4.2.1).
pub fn take(engine: &mut Engine, payload: Element<'_>) -> Result<Answer, StanzaError> {
    let Some(form) = Form::of(&payload)? else {
        return Ok(Answer::Payload(written(|out| {
            out.start("search").attr("xmlns", NS);
            blank().write(out);
            out.end();
        })));
    };
    if !form.is_submitted(PARAMETERS) {
        return Err(Condition::BadRequest.into());
    }
    let wanted = Wanted::of(&form)?;
    let page = PageRequest::of(&payload)?;
    let found = wanted.find(engine)?;
    let host = engine.config.rooms_host();
    let found = paged(found, page.as_ref(), &host)?;
    Ok(Answer::Payload(written(|out| {
        out.start("result").attr("xmlns", NS);
        for one in &found.rows {
            one.write(&host, out);
        }
        if found.more || page.is_some() {
            out.start("set").attr("xmlns", rsm::NS);
            if let (Some(first), Some(last)) = (found.rows.first(), found.rows.last()) {
                out.leaf("first", &first.jid(&host))
                    .leaf("last", &last.jid(&host));
            }
            out.leaf("max", &found.most.to_string()).end();
        }
        out.end();
    })))
}

/// What is looked for, and where.
struct Wanted {
    /// Nothing: all of them.
    words: Vec<String>,
    name: bool,
    description: bool,
    address: bool,
    /// Occupants at least.
    users: usize,
    /// Whether rooms are wanted among other kinds of services.
    rooms: bool,
    by_address: bool,
}

impl Wanted {
    fn of(form: &Form) -> Result<Wanted, StanzaError> {
        let text = form.value("q").unwrap_or_default().trim();
        let all = form.flag("all");
        // §4.2.2.6
        if all && !text.is_empty() {
            return Err(StanzaError::text(
                Condition::BadRequest,
                "\"Search for\" and \"Return all entries\" cannot both be chosen",
            )
            .kind(ErrorType::Modify)
            .app(written(|out| {
                out.start("conflicting-fields").attr("xmlns", ERRORS);
                out.leaf("var", "all").leaf("var", "q").end();
            })));
        }
        // §4.2.2.7
        if !all && form.get("q").is_none_or(|q| q.values.is_empty()) {
            return Err(refusal(
                Condition::BadRequest,
                "no-search-conditions",
                "say what to search for",
            ));
        }
        let words: Vec<String> = text
            .to_lowercase()
            .split_whitespace()
            .filter(|word| word.chars().count() >= TERM_CHARS)
            .map(str::to_owned)
            .collect();
        // §4.2.2.3
        if !all && words.is_empty() {
            return Err(refusal(
                Condition::BadRequest,
                "invalid-search-terms",
                "a word to search for has two characters or more",
            ));
        }
        let users = form.value("min_users").unwrap_or("0").trim();
        let inside = |var| form.get(var).is_none() || form.flag(var);
        let by_address = match form.value("key") {
            Some(BY_ADDRESS) => true,
            Some(BY_USERS) | None => false,
            // §4.2.2.2
            Some(_) => {
                return Err(refusal(
                    Condition::FeatureNotImplemented,
                    "invalid-sort-key",
                    "rooms are sorted by users or by address",
                ));
            }
        };
        Ok(Wanted {
            words,
            name: inside("sinname"),
            description: inside("sindescription"),
            // The example of §4.2.1 and the table of §6.1 spell it differently.
            address: inside("sinaddress") && inside("sinaddr"),
            users: users.parse().map_err(|_| Condition::BadRequest)?,
            rooms: form.get("types").is_none()
                || form.values("types").iter().any(|kind| kind == KIND),
            by_address,
        })
    }

    fn find(&self, engine: &mut Engine) -> Result<Vec<Found>, StanzaError> {
        if !self.rooms {
            return Ok(Vec::new());
        }
        let all = public_rooms(engine, "", limits::ROOM_SEARCHED)?;
        let rooms = engine.memory::<Rooms>();
        let mut found: Vec<Found> = all
            .into_iter()
            .filter(|record| self.words.iter().all(|word| self.matches(record, word)))
            .map(|record| {
                let room = rooms.get(&record.name);
                Found {
                    users: room.map_or(0, |room| room.occupants.len()),
                    record,
                }
            })
            .filter(|one| one.users >= self.users)
            .collect();
        found.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        if !self.by_address {
            found.sort_by_key(|one| std::cmp::Reverse(one.users));
        }
        Ok(found)
    }

    fn matches(&self, record: &RoomRecord, word: &str) -> bool {
        let within = |wanted: bool, text: &str| wanted && text.to_lowercase().contains(word);
        within(self.name, title(record))
            || within(self.description, &record.config.description)
            || within(self.address, &record.name)
    }
}

/// A room that was found.
struct Found {
    users: usize,
    record: RoomRecord,
}

impl Found {
    fn jid(&self, host: &str) -> String {
        format!("{}@{host}", self.record.name)
    }

    /// §6.2
    fn write(&self, host: &str, out: &mut Writer<'_>) {
        let config = &self.record.config;
        out.start("item").attr("address", &self.jid(host));
        out.leaf("name", title(&self.record));
        if !config.description.is_empty() {
            out.leaf("description", &config.description);
        }
        if !config.lang.is_empty() {
            out.leaf("language", &config.lang);
        }
        out.leaf("nusers", &self.users.to_string())
            .leaf("service-type", KIND);
        if !config.members_only && config.password.is_none() {
            out.leaf("is-open", "");
        }
        let anonymity = match config.non_anonymous {
            true => "{urn:xmpp:channel-search:0:anonymity}none",
            false => "muc_semianonymous",
        };
        out.leaf("anonymity-mode", anonymity).end();
    }
}

/// A page of what was found.
struct Part {
    rows: Vec<Found>,
    /// Whether there is more in the direction that was asked for.
    more: bool,
    /// Rooms of a page.
    most: usize,
}

/// XEP-0059: rooms by their addresses, in the order of the answer. A room that is not there any more is no place to go on from.
fn paged(
    mut found: Vec<Found>,
    page: Option<&PageRequest>,
    host: &str,
) -> Result<Part, StanzaError> {
    let page = page.cloned().unwrap_or_default();
    if page.index.is_some() {
        return Err(StanzaError::text(
            Condition::FeatureNotImplemented,
            "pages go by addresses here, not by index",
        ));
    }
    let most = page.max.unwrap_or(limits::ROOM_PAGE).min(limits::ROOM_PAGE);
    let place = |found: &[Found], id: &str| {
        let place = found.iter().position(|one| one.jid(host) == id);
        place.ok_or(StanzaError::from(Condition::ItemNotFound))
    };
    if let Some(after) = &page.after {
        let place = place(&found, after)?;
        found.drain(..=place);
    }
    if let Some(before) = page.before.as_deref().filter(|id| !id.is_empty()) {
        let place = place(&found, before)?;
        found.truncate(place);
    }
    let more = found.len() > most;
    match page.is_backward() {
        true => drop(found.drain(..found.len().saturating_sub(most))),
        false => found.truncate(most),
    }
    Ok(Part {
        rows: found,
        more,
        most,
    })
}

fn refusal(condition: Condition, name: &'static str, text: &'static str) -> StanzaError {
    StanzaError::text(condition, text)
        .kind(ErrorType::Modify)
        .app(written(|out| {
            out.start(name).attr("xmlns", ERRORS).end();
        }))
}

/// §6.1: the form with what it is by default.
fn blank() -> Form {
    let flag = |var, label, preset| {
        Field::new(var, Some(FieldType::Boolean))
            .label(label)
            .value(preset)
    };
    Form::new(FormType::Form)
        .form_type(PARAMETERS)
        .field(Field::text("q", "Search for"))
        .field(flag("all", "Return all entries (ignore search terms)", "0"))
        .field(flag("sinname", "Search in name", "1"))
        .field(flag("sindescription", "Search in description", "1"))
        .field(flag("sinaddress", "Search in address", "1"))
        .field(Field::text("min_users", "Minimum number of users").value("0"))
        .field(
            Field::new("types", Some(FieldType::ListMulti))
                .label("Service types")
                .value(KIND)
                .option("XEP-0045 Multi User Chats", KIND),
        )
        .field(
            Field::new("key", Some(FieldType::ListSingle))
                .label("Sort results by")
                .value(BY_USERS)
                .option("Number of online users", BY_USERS)
                .option("Address", BY_ADDRESS),
        )
}
