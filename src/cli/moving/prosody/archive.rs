//! mod_mam's and mod_muc_mam's archives: stanzas in their order, with the seconds since 1970 when they came.

use super::Owner;
use super::stanza::xml_of;
use crate::admin::portable::Place;
use crate::cli::moving::lua::{Table, Value};
use crate::xml::written;
use crate::xmpp::{ns, time};

impl Owner<'_, '_> {
    /// Reads the archive that is kept in this store, one message at a time.
    pub(super) fn archive(&mut self, store: &str) -> Result<(), String> {
        self.each(store, |owner, item, place| {
            let xml = item.table().and_then(result);
            owner.made(Place::Archive, xml, "an archived message", place)
        })
    }
}

/// XEP-0227 §3.10.
fn result(item: &Table) -> Option<String> {
    // Presence is archived of rooms, too; nobody asks for it.
    if item.text("name") != Some("message") {
        return None;
    }
    let at = item.number("when").filter(|seconds| *seconds >= 0.0)?;
    let mut item = item.clone();
    // The storage puts its stamps among the attributes.
    for (key, value) in &mut item.named {
        if let (Some(b"attr"), Value::Table(attributes)) = (key.bytes(), value) {
            attributes
                .named
                .retain(|(name, _)| !matches!(name.text(), Some("stamp" | "stamp_legacy")));
        }
    }
    let id = item.text("key").unwrap_or_default().to_owned();
    let message = xml_of(&item, Some(ns::CLIENT))?;
    Some(written(|out| {
        out.start("result")
            .attr("xmlns", ns::ARCHIVE)
            .attr("id", &id);
        out.start("forwarded").attr("xmlns", ns::FORWARD);
        out.start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("stamp", &time::format((at * 1000.0) as u64))
            .end();
        out.raw(&message).end().end();
    }))
}
