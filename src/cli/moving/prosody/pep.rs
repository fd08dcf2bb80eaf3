//! mod_pep's nodes: how each is configured stands in the store `pep`, and what was published in a store of its own.

use std::collections::BTreeMap;

use super::Owner;
use super::files::{decoded, entries, file_name};
use super::stanza::{named, xml_of};
use crate::admin::portable::{Piece, Place, SNUG};
use crate::cli::moving::lua::{Table, Value};
use crate::xml::written;
use crate::xmpp::ns;

/// util.pubsub's names of settings that differ from those of XEP-0060.
const NAMES: [(&str, &str); 3] = [
    ("payload_type", "type"),
    ("notify_items", "deliver_notifications"),
    ("include_payload", "deliver_payloads"),
];

impl Owner<'_, '_> {
    /// Reads all nodes, by name.
    pub(super) fn nodes(&mut self) -> Result<(), String> {
        // Name, configuration, the store of its items.
        let mut nodes: BTreeMap<String, (Option<Table>, Option<String>)> = BTreeMap::new();
        let mut place = self.folder.display().to_string();
        if let Some((known, at)) = self.store("pep")? {
            place = at;
            for (name, about) in named(Some(&known)) {
                // Once, only whether items are kept was written.
                let about = about.table().cloned();
                nodes.entry(name.to_owned()).or_default().0 = about;
            }
        }
        for store in entries(self.folder)? {
            let folder = file_name(&store);
            let Some(name) = folder.strip_prefix("pep_").and_then(decoded) else {
                continue;
            };
            if store.join(format!("{}.list", self.encoded)).exists() {
                nodes.entry(name).or_default().1 = Some(folder);
            }
        }
        let empty = Table::default();
        for (name, (about, _)) in &nodes {
            let about = about.as_ref().unwrap_or(&empty);
            let what = format!("the node {name}");
            self.piece(Place::Nodes, configuration(name, about), &what, &place)?;
            let mut affiliations: Vec<_> = named(about.table("affiliations")).collect();
            affiliations.sort_by_key(|(jid, _)| *jid);
            for (jid, affiliation) in affiliations {
                let xml = affiliation
                    .text()
                    .map(|affiliation| at_node("affiliation", jid, affiliation));
                self.made_within(Place::NodeAffiliations, name, xml, &what, &place)?;
            }
            let mut subscribers: Vec<_> = named(about.table("subscribers")).collect();
            subscribers.sort_by_key(|(jid, _)| *jid);
            for (jid, _) in subscribers {
                let xml = Some(at_node("subscription", jid, "subscribed"));
                self.made_within(Place::NodeSubscriptions, name, xml, &what, &place)?;
            }
        }
        for (name, (_, store)) in &nodes {
            if let Some(store) = store {
                self.items(name, store)?;
            }
        }
        Ok(())
    }

    fn items(&mut self, node: &str, store: &str) -> Result<(), String> {
        let what = format!("an item of the node {node}");
        self.each(store, |owner, item, place| {
            let xml = item.table().and_then(item_of);
            owner.made_within(Place::NodeItems, node, xml, &what, place)
        })
    }

    /// A piece of a node that could be put together, or none.
    fn made_within(
        &mut self,
        place: Place,
        node: &str,
        xml: Option<String>,
        what: &str,
        at: &str,
    ) -> Result<(), String> {
        let node = node.to_owned();
        match xml {
            Some(xml) => self.read_piece(Piece { place, node, xml }, what, at),
            None => self.left_out(what, at),
        }
    }
}

fn configuration(name: &str, about: &Table) -> String {
    let mut settings: Vec<_> = named(about.table("config")).collect();
    settings.sort_by_key(|(name, _)| *name);
    written(|out| {
        out.start("configure")
            .attr("xmlns", ns::PUBSUB_OWNER)
            .attr("node", name);
        out.start("x")
            .attr("xmlns", "jabber:x:data")
            .attr("type", "form");
        out.start("field").attr("var", "FORM_TYPE");
        out.leaf("value", ns::NODE_CONFIG).end();
        for (name, value) in settings {
            let known = NAMES.iter().find(|(theirs, _)| *theirs == name);
            let name = known.map_or(name, |(_, ours)| ours);
            let value = match value {
                Value::Bool(yes) => yes.to_string(),
                Value::Number(number) => format!("{number:.0}"),
                Value::Text(_) => value.text().unwrap_or_default().to_owned(),
                Value::Nil | Value::Table(_) => continue,
            };
            out.start("field").attr("var", &format!("pubsub#{name}"));
            out.leaf("value", &value).end();
        }
        out.end().end();
    })
}

fn at_node(what: &'static str, jid: &str, is: &str) -> String {
    written(|out| {
        out.start(what)
            .attr("xmlns", ns::PUBSUB_OWNER)
            .attr("jid", jid)
            .attr(what, is)
            .end();
    })
}

/// An item is its payload, with the storage's own fields beside it.
fn item_of(item: &Table) -> Option<String> {
    let id = item.text("key")?;
    let mut payload = item.clone();
    for (key, value) in &mut payload.named {
        if let (Some(b"attr"), Value::Table(attributes)) = (key.bytes(), value) {
            attributes
                .named
                .retain(|(name, _)| !matches!(name.text(), Some("stamp" | "stamp_legacy")));
        }
    }
    let payload = xml_of(&payload, None)?;
    let at = item.number("when").filter(|seconds| *seconds >= 0.0);
    let at_ms = at.map(|seconds| ((seconds * 1000.0) as u64).to_string());
    Some(written(|out| {
        out.start("item")
            .attr("xmlns", ns::PUBSUB)
            .attr("xmlns:snug", SNUG)
            .attr("id", id)
            .attr_opt(
                "publisher",
                item.text("with").filter(|with| !with.is_empty()),
            )
            .attr_opt("snug:at-ms", at_ms.as_deref())
            .raw(&payload)
            .end();
    }))
}
