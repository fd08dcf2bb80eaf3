//! util.stanza's preserialized form: elements as tables.

use super::super::lua::{Table, Value};
use crate::xml::{Document, Scope, escape};

/// The fields with a text for a key.
pub(super) fn named(table: Option<&Table>) -> impl Iterator<Item = (&str, &Value)> {
    let fields = table.map_or(&[][..], |table| &table.named);
    fields
        .iter()
        .filter_map(|(key, value)| Some((key.text()?, value)))
}

/// util.stanza's preserialized form as XML that stands alone; `around` is the namespace of an element that names none. Not for everything: the caller
/// has it read.
pub(super) fn xml_of(stanza: &Table, around: Option<&str>) -> Option<String> {
    let mut xml = String::new();
    push_element(stanza, &mut xml)?;
    let scope = around.map_or_else(Scope::default, Scope::of_default);
    let document = Document::parse_within(xml, scope).ok()?;
    Some(document.root().standalone())
}

/// The nesting is bounded by the reader of the tables.
fn push_element(stanza: &Table, out: &mut String) -> Option<()> {
    let name = stanza.text("name")?;
    out.push('<');
    out.push_str(name);
    let mut prefixes = 0;
    for (key, value) in named(stanza.table("attr")) {
        let value = value.text()?;
        // util.stanza keeps the namespace of an attribute before its name.
        match key.split_once(['\u{1}', '|']) {
            None => push_attribute(out, key, value),
            Some(("http://www.w3.org/XML/1998/namespace", name)) => {
                push_attribute(out, &format!("xml:{name}"), value);
            }
            Some((space, name)) => {
                prefixes += 1;
                push_attribute(out, &format!("xmlns:ns{prefixes}"), space);
                push_attribute(out, &format!("ns{prefixes}:{name}"), value);
            }
        }
    }
    out.push('>');
    // `[1] =` and no key at all are the same to Lua.
    let numbered = stanza
        .named
        .iter()
        .filter(|(key, _)| matches!(key, Value::Number(_)));
    for child in stanza.list.iter().chain(numbered.map(|(_, value)| value)) {
        match child {
            Value::Table(child) => push_element(child, out)?,
            child => escape(out, child.text()?),
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
    Some(())
}

fn push_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape(out, value);
    out.push('\'');
}
