//! A tree as text, in the form that `compare.py` describes, from snug's view of it.

use std::borrow::Cow;
use std::collections::HashMap;

use snug::xml::{Document, Element};

/// The prefixes in scope; those of a stream header to begin with.
pub type Prefixes = HashMap<String, String>;

/// What the form leaves out or puts in at the top element, as a splice does.
#[derive(Default)]
pub struct Change<'a> {
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    pub lang: Option<&'a str>,
    pub without: &'a [Element<'a>],
    /// Already in this form.
    pub append: &'a str,
}

/// Writes `element`. Prefixes of attributes are resolved here once more, from the source, so that the view is not only
/// compared with itself.
pub fn write(out: &mut String, element: Element<'_>, around: &Prefixes, change: &Change<'_>) {
    let declared = declarations(&head(element));
    let mut prefixes = Cow::Borrowed(around);
    if !declared.is_empty() {
        prefixes.to_mut().extend(declared);
    }
    open(out, element, &prefixes, change);
    let inner = element.inner();
    let mut from = 0;
    for child in element.children() {
        let at = child.source().as_ptr() as usize - inner.as_ptr() as usize;
        push_text(out, &inner[from..at]);
        from = at + child.source().len();
        if !change
            .without
            .iter()
            .any(|gone| gone.source().as_ptr() == child.source().as_ptr())
        {
            write(out, child, &prefixes, &Change::default());
        }
    }
    push_text(out, &inner[from..]);
    out.push_str(change.append);
    out.push('\x06');
}

/// Writes the start tag of `element`, whose own declarations are already in `prefixes`.
pub fn open(out: &mut String, element: Element<'_>, prefixes: &Prefixes, change: &Change<'_>) {
    out.push_str(&format!("\x01{}\x02{}", element.ns(), element.name()));
    let mut attributes: Vec<String> = Vec::new();
    let mut lang = change.lang;
    for (name, value) in element.attrs() {
        if matches!(
            (name, change.from, change.to),
            ("from", Some(_), _) | ("to", _, Some(_))
        ) {
            continue;
        }
        let (ns, local) = match name.split_once(':') {
            None => ("", name),
            Some(("xml", local)) => ("http://www.w3.org/XML/1998/namespace", local),
            Some((prefix, local)) => (prefixes[prefix].as_str(), local),
        };
        lang = lang.filter(|_| name != "xml:lang");
        attributes.push(format!("{ns}\x02{local}\x04{value}"));
    }
    for (name, value) in [("\x02from", change.from), ("\x02to", change.to)] {
        attributes.extend(
            value
                .filter(|value| !value.is_empty())
                .map(|value| format!("{name}\x04{value}")),
        );
    }
    attributes.extend(
        lang.map(|value| format!("http://www.w3.org/XML/1998/namespace\x02lang\x04{value}")),
    );
    attributes.sort_by(|a, b| a.split('\x04').cmp(b.split('\x04')));
    for attribute in attributes {
        out.push('\x03');
        out.push_str(&attribute);
    }
    out.push('\x05');
}

/// The prefixes that the start tag of `element` declares.
pub fn prefixes_of(element: Element<'_>) -> Prefixes {
    declarations(&head(element)).into_iter().collect()
}

/// The start tag; only quotes can hide its end.
fn head(element: Element<'_>) -> String {
    let mut quote = None;
    let end = element.source().find(|c| match (quote, c) {
        (None, '>') => true,
        (None, '\'' | '"') => {
            quote = Some(c);
            false
        }
        (Some(open), c) if open == c => {
            quote = None;
            false
        }
        _ => false,
    });
    element.source()[..end.expect("a checked element has a start tag")].to_owned()
}

fn declarations(head: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = head;
    while let Some(at) = rest.find(['\'', '"']) {
        let quote = rest.as_bytes()[at] as char;
        let name = rest[..at].trim_end().trim_end_matches('=').trim_end();
        let name = name
            .rsplit([' ', '\t', '\r', '\n'])
            .next()
            .unwrap_or_default();
        let end = at
            + 1
            + rest[at + 1..]
                .find(quote)
                .expect("a checked value is closed");
        if let Some(prefix) = name.strip_prefix("xmlns:") {
            let value = parse(format!("<a b={}/>", &rest[at..=end]))
                .root()
                .attr("b")
                .unwrap_or_default()
                .into_owned();
            found.push((prefix.to_owned(), value));
        }
        rest = &rest[end + 1..];
    }
    found
}

fn push_text(out: &mut String, source: &str) {
    if source.contains(['&', '<', '\r']) {
        out.push_str(&parse(format!("<a>{source}</a>")).root().text());
    } else {
        out.push_str(source);
    }
}

fn parse(text: String) -> Document {
    Document::parse(text).expect("a piece of what was accepted is accepted")
}
