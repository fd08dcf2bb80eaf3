//! Questions to an archive (XEP-0313 §4), whoever has it: the form of filters, the page that is asked for (XEP-0059), and the answers: results first,
//! `<fin/>` behind them. Who may ask is said by who hands a question in.

use super::Engine;
use super::delivery::Delivery;
use super::dispatch::Asked;
use super::feature::{Answer, Iq};
use crate::limits;
use crate::store::UserId;
use crate::store::archive::{self, ArchiveId, Edge, Query, Request, Row};
use crate::xml::{Element, Writer, escaped, written};
use crate::xmpp::{
    Condition, Field, FieldType, Form, FormType, Jid, Page, PageRequest, StanzaError, ns, time,
};

/// XEP-0313 §4.1.5: what can be asked for.
pub fn form(_: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let field = |name: &str, kind| Field::new(name, Some(kind));
    let mut form = Form::new(FormType::Form).form_type(ns::ARCHIVE);
    form = form.field(field(WITH, FieldType::JidSingle));
    for name in [START, END, BEFORE_ID, AFTER_ID] {
        form = form.field(field(name, FieldType::TextSingle));
    }
    // §4.1.5: the ids are not all listed there; XEP-0122 §3.2.2 says that others may stand there.
    form = form.field(field(IDS, FieldType::ListMulti).open());
    form = form.field(field(INCLUDE_GROUPCHAT, FieldType::Boolean));
    Ok(Answer::Payload(written(|out| {
        out.start("query").attr("xmlns", ns::ARCHIVE);
        form.write(out);
        out.end();
    })))
}

/// XEP-0313 §4: a page of an owner's archive, which is the user's own or one that the user may read, each row as `adapt` leaves it. What the client sends
/// next waits until it has the page: so a client has one question at a time in here, and what it says behind a question, presence for one, is heard behind
/// the answer.
pub fn query(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    owner: UserId,
    adapt: fn(&mut Row),
) -> Result<Answer, StanzaError> {
    let Wish {
        query,
        queryid,
        flipped,
    } = Wish::read(&iq.payload, owner)?;
    let frame = frame_bytes(engine, iq, queryid.as_deref());
    let query = Query {
        max: query.max.min((limits::ARCHIVE_PAGE_BYTES / frame).max(1)),
        ..query
    };
    engine.trace(|| format!("archive: {query:?}"));
    ask(
        engine,
        iq,
        Request::Page(query),
        move |engine, asked, answer| {
            match answer {
                archive::Answer::Page { mut rows, complete } => {
                    rows.iter_mut().for_each(adapt);
                    send(engine, asked, queryid.as_deref(), &rows, flipped);
                    Ok(fin(&rows, complete))
                }
                // XEP-0313 §4.1.3, §4.3.2.
                _ => Err(StanzaError::text(
                    Condition::ItemNotFound,
                    "an id is not in the archive",
                )),
            }
        },
    );
    Ok(Answer::Later)
}

/// XEP-0313 §5: the first and the last message.
pub fn metadata(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    owner: UserId,
) -> Result<Answer, StanzaError> {
    let request = Request::Bounds(owner);
    ask(engine, iq, request, |_, _, answer| match answer {
        archive::Answer::Bounds(edges) => Ok(written(|out| {
            out.start("metadata").attr("xmlns", ns::ARCHIVE);
            if let Some((first, last)) = edges {
                write_edge("start", &first, out);
                write_edge("end", &last, out);
            }
            out.end();
        })),
        _ => Err(Condition::InternalServerError.into()),
    });
    Ok(Answer::Later)
}

fn write_edge(name: &'static str, edge: &Edge, out: &mut Writer<'_>) {
    out.start(name)
        .attr("id", &edge.id.text())
        .attr("timestamp", &time::format(edge.at_ms))
        .end();
}

/// Asks the archive for a client, which is not heard until it has its answer.
fn ask(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    request: Request,
    write: impl FnOnce(&mut Engine, &Asked, archive::Answer) -> Result<String, StanzaError> + 'static,
) {
    let asked = Asked::of(iq);
    engine.read_archive_for(iq.session, request, move |engine, answer| {
        let payload = match answer {
            Ok(answer) => write(engine, &asked, answer).map(Some),
            Err(error) => Err(StanzaError::from(error)),
        };
        engine.answer(&asked, payload);
    });
}

const WITH: &str = "with";
const START: &str = "start";
const END: &str = "end";
const BEFORE_ID: &str = "before-id";
const AFTER_ID: &str = "after-id";
const IDS: &str = "ids";
const INCLUDE_GROUPCHAT: &str = "include-groupchat";

/// What a client wants to have.
struct Wish {
    query: Query,
    queryid: Option<String>,
    /// XEP-0313 §4.3.4: the newest of the page first.
    flipped: bool,
}

impl Wish {
    /// Reads `<query/>`: `feature-not-implemented` for a field that is not known, `item-not-found` for what is no id of an archive, `bad-request` for what
    /// cannot be read.
    fn read(payload: &Element<'_>, owner: UserId) -> Result<Wish, StanzaError> {
        if payload.attr("node").is_some() {
            // XEP-0313 §6.1.3: that is for archives of nodes.
            return Err(StanzaError::text(
                Condition::FeatureNotImplemented,
                "a user's archive has no nodes",
            ));
        }
        let mut query = Query::of(owner);
        if let Some(form) = Form::of(payload)? {
            read_form(&form, &mut query)?;
        }
        let page = PageRequest::of(payload)?.unwrap_or_default();
        if page.index.is_some() {
            // XEP-0059 §2.6: places are not counted here.
            return Err(StanzaError::text(
                Condition::FeatureNotImplemented,
                "pages go by ids here, not by index",
            ));
        }
        query.backward = page.is_backward();
        query.max = page
            .max
            .unwrap_or(limits::ARCHIVE_PAGE)
            .min(limits::ARCHIVE_PAGE_MAX);
        query.bytes = limits::ARCHIVE_PAGE_BYTES;
        if let Some(id) = &page.after {
            query.after.push(id_of(id)?);
        }
        // An empty one asks for the last page.
        if let Some(id) = page.before.filter(|id| !id.is_empty()) {
            query.before.push(id_of(&id)?);
        }
        Ok(Wish {
            query,
            queryid: payload.attr("queryid").map(|id| id.into_owned()),
            flipped: payload.child(ns::ARCHIVE, "flip-page").is_some(),
        })
    }
}

/// XEP-0313 §4.1: the filters. A field without a value, or with an empty one, filters nothing.
fn read_form(form: &Form, query: &mut Query) -> Result<(), StanzaError> {
    if !form.is_submitted(ns::ARCHIVE) {
        return Err(StanzaError::text(
            Condition::BadRequest,
            "the form of filters is of type submit and for urn:xmpp:mam:2",
        ));
    }
    for field in &form.fields {
        let values = || field.values.iter().map(|value| value.trim());
        let value = values().find(|value| !value.is_empty());
        match (&*field.var, value) {
            ("FORM_TYPE", _) => {}
            // §4.1.4: rooms have archives of their own, and none of their messages are in here.
            (INCLUDE_GROUPCHAT, Some("true" | "1" | "false" | "0") | None) => {}
            (INCLUDE_GROUPCHAT, Some(_)) => return Err(unreadable(INCLUDE_GROUPCHAT)),
            (WITH | START | END | BEFORE_ID | AFTER_ID | IDS, None) => {}
            (WITH, Some(jid)) => {
                let jid = Jid::parse(jid).map_err(|_| unreadable(WITH))?;
                query.with = Some(jid.as_str().to_owned());
            }
            (START, Some(at)) => query.start_ms = Some(instant(at, START)?),
            (END, Some(at)) => query.end_ms = Some(instant(at, END)?),
            (BEFORE_ID, Some(id)) => query.before.push(id_of(id)?),
            (AFTER_ID, Some(id)) => query.after.push(id_of(id)?),
            (IDS, Some(_)) => {
                let ids = values().filter(|id| !id.is_empty()).map(id_of);
                query.ids = ids.collect::<Result<_, _>>()?;
                if query.ids.len() > limits::ARCHIVE_PAGE_MAX {
                    return Err(StanzaError::text(
                        Condition::PolicyViolation,
                        format!("ask for {} ids at once", limits::ARCHIVE_PAGE_MAX),
                    ));
                }
            }
            // §4.1.5.
            _ => {
                return Err(StanzaError::text(
                    Condition::FeatureNotImplemented,
                    "a field of the form is not known here",
                ));
            }
        }
    }
    Ok(())
}

/// A time of XEP-0082.
fn instant(text: &str, field: &'static str) -> Result<u64, StanzaError> {
    time::parse(text).ok_or_else(|| unreadable(field))
}

/// An id; to clients it is opaque, so what is none is one that is not there.
fn id_of(text: &str) -> Result<ArchiveId, StanzaError> {
    ArchiveId::parse(text)
        .ok_or_else(|| StanzaError::text(Condition::ItemNotFound, "an id is not in the archive"))
}

fn unreadable(field: &'static str) -> StanzaError {
    StanzaError::text(
        Condition::BadRequest,
        format!("the field {field} cannot be read"),
    )
}

/// Bytes that stand around a message of a page: addresses and the query's id are as long as the client made them.
fn frame_bytes(engine: &Engine, iq: &Iq<'_, '_>, queryid: Option<&str>) -> usize {
    let to = engine
        .session(iq.session)
        .map(|session| escaped(session.jid.as_str()).len());
    let from = iq.stanza.to.as_ref().map(|to| escaped(to.as_str()).len());
    let queryid = queryid.map(|id| escaped(id).len());
    FRAME_BYTES + [to, from, queryid].into_iter().flatten().sum::<usize>()
}

/// Bytes around a message of a page without addresses and the query's id.
const FRAME_BYTES: usize = 260;

/// XEP-0313 §4.2: each message in a message of its own, straight into the way to the client.
fn send(engine: &mut Engine, asked: &Asked, queryid: Option<&str>, rows: &[Row], flipped: bool) {
    let Some(jid) = engine
        .session(asked.session)
        .map(|session| session.jid.clone())
    else {
        return;
    };
    // What an archive shows stays in order with what its owner says meanwhile.
    let owner = asked.to().unwrap_or(jid.bare());
    let mut send = |row: &Row| {
        engine.archive_shown(asked.session, &row.id);
        engine.deliver(asked.session, Delivery::of(owner), |out| {
            write_result(out, asked.to(), jid.as_str(), queryid, row)
        });
    };
    match flipped {
        false => rows.iter().for_each(&mut send),
        true => rows.iter().rev().for_each(&mut send),
    }
}

fn write_result(out: &mut Vec<u8>, from: Option<&str>, to: &str, queryid: Option<&str>, row: &Row) {
    out.reserve(row.xml.len() + FRAME_BYTES + to.len());
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    put("<message");
    if let Some(from) = from {
        put(" from='");
        put(&escaped(from));
        put("'");
    }
    put(" to='");
    put(&escaped(to));
    put("'><result xmlns='urn:xmpp:mam:2'");
    if let Some(queryid) = queryid {
        put(" queryid='");
        put(&escaped(queryid));
        put("'");
    }
    put(" id='");
    put(&row.id.text());
    put("'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='");
    put(&time::format(row.at_ms));
    put("'/>");
    put(&row.xml);
    put("</forwarded></result></message>");
}

/// XEP-0313 §4.3: which page it was. Counting would take as long as reading all, so there are no counts (XEP-0059 §2.2).
fn fin(rows: &[Row], complete: bool) -> String {
    let first = rows.first().map(|row| row.id.text());
    let last = rows.last().map(|row| row.id.text());
    written(|out| {
        out.start("fin")
            .attr("xmlns", ns::ARCHIVE)
            .attr_opt("complete", complete.then_some("true"));
        Page {
            ends: first.as_deref().zip(last.as_deref()),
            ..Page::default()
        }
        .write(out);
        out.end();
    })
}
