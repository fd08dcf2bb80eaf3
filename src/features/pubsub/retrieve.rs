//! XEP-0060 §6.5: reading items: some by their ids, the newest, or all of them in pages (XEP-0059), the oldest first.

use super::{Request, wanted_node};
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::engine::pubsub::{Node, Owner};
use crate::limits;
use crate::store::{NodeItem, Store, StoreError};
use crate::xml::written;
use crate::xmpp::{Condition, Page, PageRequest, StanzaError, ns};

/// Items of one answer.
struct Found {
    items: Vec<NodeItem>,
    /// Whether there are more, on either side.
    cut: bool,
}

/// §6.5.
pub fn items(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(false)?;
    let name = request.node()?;
    let owner = &request.owner;
    wanted_node(engine, owner, &name)?.may_read(&request.who)?;
    let page = PageRequest::of(&request.iq.payload)?;
    let newest = match request.what.attr("max_items") {
        None => None,
        Some(number) => Some(
            number
                .trim()
                .parse::<usize>()
                .map_err(|_| Condition::BadRequest)?,
        ),
    };
    let ids: Vec<String> = request
        .what
        .children()
        .filter(|child| child.is(ns::PUBSUB, "item"))
        .filter_map(|item| item.attr("id").map(|id| id.into_owned()))
        .collect();
    let node = engine.node_to_read(owner, &name)?;
    let node = node.ok_or(Condition::ItemNotFound)?.clone();
    let store = &engine.store;
    let found = match (&page, newest) {
        _ if !ids.is_empty() => by_ids(store, owner, &node, &ids)?,
        (Some(page), _) => in_pages(store, owner, &node, page)?,
        (None, newest) => {
            let all = newest.unwrap_or(usize::MAX);
            let mut found = backward(store, owner, &node, u64::MAX, all)?;
            // §6.5.7: who wants the newest knows that there may be others.
            found.cut &= newest.is_none();
            found
        }
    };
    let ends = found.items.first().zip(found.items.last());
    // §6.5.4: in pages where it was asked for, and where not all fit.
    let told = (page.is_some() || found.cut).then(|| Page {
        ends: ends.map(|(first, last)| (&*first.id, &*last.id)),
        index: None,
        count: Some(u64::from(node.stored.items)),
    });
    Ok(Answer::Payload(written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB);
        out.start("items").attr("node", &name);
        for item in &found.items {
            node.write_item(out, owner, item, true);
        }
        out.end();
        if let Some(page) = &told {
            page.write(out);
        }
        out.end();
    })))
}

/// §6.5.8; §6.5.9.12: what is not there is left out.
fn by_ids(store: &Store, owner: &Owner, node: &Node, ids: &[String]) -> Result<Found, StoreError> {
    let mut found = Part::new(ids.len());
    for id in ids {
        if let Some((_, item)) = store.item(owner.id, &node.stored, id)?
            && !found.take(item)
        {
            break;
        }
    }
    Ok(found.finish())
}

/// XEP-0059 §2.2 to §2.5.
fn in_pages(
    store: &Store,
    owner: &Owner,
    node: &Node,
    page: &PageRequest,
) -> Result<Found, StanzaError> {
    if page.index.is_some() {
        return Err(Condition::FeatureNotImplemented.into());
    }
    // §2.2: an id that is not there.
    let place = |id: &str| match store.item(owner.id, &node.stored, id)? {
        Some((place, _)) => Ok::<u64, StanzaError>(place),
        None => Err(Condition::ItemNotFound.into()),
    };
    let max = page.max.unwrap_or(usize::MAX);
    match &page.before {
        Some(before) if before.is_empty() => Ok(backward(store, owner, node, u64::MAX, max)?),
        Some(before) => Ok(backward(store, owner, node, place(before)?, max)?),
        None => {
            let from = match &page.after {
                Some(after) => place(after)? + 1,
                None => 0,
            };
            let mut found = Part::new(max);
            for item in store.items_from(owner.id, &node.stored, from)? {
                if !found.take(item?.1) {
                    break;
                }
            }
            Ok(found.finish())
        }
    }
}

/// The newest before a place, in the order of publication.
fn backward(
    store: &Store,
    owner: &Owner,
    node: &Node,
    place: u64,
    max: usize,
) -> Result<Found, StoreError> {
    let mut found = Part::new(max);
    for item in store.items_before(owner.id, &node.stored, place)? {
        if !found.take(item?.1) {
            break;
        }
    }
    found.items.reverse();
    Ok(found.finish())
}

/// As many items as fit into one answer.
struct Part {
    items: Vec<NodeItem>,
    max: usize,
    bytes: usize,
    cut: bool,
}

impl Part {
    fn new(max: usize) -> Part {
        Part {
            items: Vec::new(),
            max,
            bytes: 0,
            cut: false,
        }
    }

    /// Whether it fits; the first one always does where any is wanted.
    fn take(&mut self, item: NodeItem) -> bool {
        self.bytes += item.xml.len() + item.id.len();
        let fits = self.bytes <= limits::ITEMS_ANSWER_BYTES || self.items.is_empty();
        match self.items.len() < self.max && fits {
            true => self.items.push(item),
            false => self.cut = true,
        }
        !self.cut
    }

    fn finish(self) -> Found {
        Found {
            items: self.items,
            cut: self.cut,
        }
    }
}
