//! A borrowed view over a checked stanza: the source text and a table of positions, nothing copied that needs no decoding.

use std::borrow::Cow;
use std::fmt;

use super::decode;
use super::table::{Attribute, Checked, Kind, Node};

/// One element of a checked stanza or a document.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    pub(super) within: Checked<'a>,
    pub(super) index: u32,
}

impl<'a> Element<'a> {
    /// The local name.
    pub fn name(&self) -> &'a str {
        let node = self.node();
        &self.within.text[node.local as usize..node.local as usize + usize::from(node.local_len)]
    }

    /// The namespace name, resolved; empty if it is in none.
    pub fn ns(&self) -> Cow<'a, str> {
        Cow::Borrowed(self.node().ns.name(self.within.text, self.within.scope))
    }

    /// Whether it is `name` in the namespace `ns`.
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.name() == name && self.is_in(ns)
    }

    /// Whether it is in the namespace `ns`.
    pub fn is_in(&self, ns: &str) -> bool {
        self.node().ns.name(self.within.text, self.within.scope) == ns
    }

    /// The value of an attribute without a prefix, decoded and normalised. `xml:lang` and its like, whose prefix cannot be
    /// rebound, work as well.
    pub fn attr(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw_attr(name).map(decode::value)
    }

    /// What [`attr`](Self::attr) decodes: the source between the quotes.
    pub fn raw_attr(&self, name: &str) -> Option<&'a str> {
        let found = self
            .attributes()
            .iter()
            .find(|attribute| match attribute.kind {
                Kind::Plain => attribute.qname(self.within.text) == name,
                Kind::Prefixed => {
                    attribute.prefix(self.within.text) == "xml"
                        && attribute.qname(self.within.text) == name
                }
                Kind::DefaultDeclaration | Kind::PrefixDeclaration => false,
            })?;
        Some(found.value.of(self.within.text))
    }

    /// The child elements, in order.
    pub fn children(&self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let within = self.within;
        let end = self.node().after;
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let child = Element {
                within,
                index: next,
            };
            next = child.node().after;
            Some(child)
        })
    }

    /// The first child that is `name` in the namespace `ns`.
    pub fn child(&self, ns: &str, name: &str) -> Option<Element<'a>> {
        self.children().find(|child| child.is(ns, name))
    }

    /// Its own character data, without that of its children, decoded.
    pub fn text(&self) -> Cow<'a, str> {
        let node = self.node();
        if node.after == self.index + 1 {
            return decode::text(self.inner());
        }
        let mut out = String::new();
        let mut from = node.head_end as usize;
        for child in self.children() {
            let child = child.node();
            decode::push_text(&mut out, &self.within.text[from..child.start as usize]);
            from = child.end as usize;
        }
        decode::push_text(&mut out, &self.within.text[from..node.inner_end as usize]);
        Cow::Owned(out)
    }

    /// The whole element as it came. What it takes from around it (prefixes, the default namespace) is not in it.
    pub fn source(&self) -> &'a str {
        let node = self.node();
        &self.within.text[node.start as usize..node.end as usize]
    }

    /// What is between its tags, as it came.
    pub fn inner(&self) -> &'a str {
        let node = self.node();
        &self.within.text[node.head_end as usize..node.inner_end as usize]
    }

    /// The attributes that are no declarations: name as written, and value decoded.
    pub fn attrs(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let text = self.within.text;
        self.attributes()
            .iter()
            .filter(|attribute| matches!(attribute.kind, Kind::Plain | Kind::Prefixed))
            .map(move |attribute| {
                (
                    attribute.qname(text),
                    decode::value(attribute.value.of(text)),
                )
            })
    }

    pub(super) fn node(&self) -> &'a Node {
        &self.within.table.nodes[self.index as usize]
    }

    pub(super) fn attributes(&self) -> &'a [Attribute] {
        let node = self.node();
        let first = node.first_attribute as usize;
        &self.within.table.attributes[first..first + usize::from(node.attribute_count)]
    }
}

/// Only the name, no content.
impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} xmlns='{}'>", self.name(), self.ns())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bounds, Checker, Document, Scope};

    fn document(text: &str) -> Document {
        Document::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn names_and_namespaces_are_resolved() {
        let doc = document("<a xmlns='urn:a' xmlns:p='urn:p'><b/><p:c><d xmlns=''/><e/></p:c></a>");
        let root = doc.root();
        let names: Vec<_> = root
            .children()
            .map(|child| (child.ns().into_owned(), child.name()))
            .collect();
        assert_eq!(
            names,
            [("urn:a".to_owned(), "b"), ("urn:p".to_owned(), "c")]
        );
        let c = root.child("urn:p", "c").unwrap();
        assert!(c.child("", "d").is_some() && c.child("urn:a", "e").is_some());
        assert!(c.child("urn:p", "e").is_none() && root.child("", "c").is_none());
    }

    #[test]
    fn attributes_are_decoded_and_only_the_unprefixed_count() {
        let doc =
            document("<m type='err&#111;r' p:to='no' xmlns:p='urn:p' xml:lang='de' t='a\r\nb'/>");
        let root = doc.root();
        assert_eq!(root.attr("type").unwrap(), "error");
        assert_eq!(root.raw_attr("type"), Some("err&#111;r"));
        assert_eq!(root.attr("to"), None);
        assert_eq!(root.attr("p:to"), None);
        assert_eq!(root.attr("xmlns:p"), None);
        assert_eq!(root.attr("xml:lang").unwrap(), "de");
        assert_eq!(root.attr("t").unwrap(), "a b");
        let all: Vec<_> = root.attrs().map(|(name, _)| name).collect();
        assert_eq!(all, ["type", "p:to", "xml:lang", "t"]);
    }

    #[test]
    fn text_is_the_elements_own() {
        let doc = document("<a>x<b>no</b>y &lt; <![CDATA[<b/>]]><c/>z</a>");
        assert_eq!(doc.root().text(), "xy < <b/>z");
        assert_eq!(doc.root().child("", "b").unwrap().text(), "no");
        assert_eq!(doc.root().child("", "c").unwrap().text(), "");
    }

    #[test]
    fn source_and_inner_are_as_they_came() {
        let doc = document("<a><b  k = \"v\" >t</b ><c /></a>");
        let b = doc.root().child("", "b").unwrap();
        assert_eq!((b.source(), b.inner()), ("<b  k = \"v\" >t</b >", "t"));
        let c = doc.root().child("", "c").unwrap();
        assert_eq!((c.source(), c.inner()), ("<c />", ""));
    }

    #[test]
    fn what_people_write_is_in_no_debug_output() {
        let source = "<a b='secret'>secret<secret/></a>";
        let doc = document(source);
        let (mut checker, scope) = (Checker::default(), Scope::default());
        let bounds = Bounds {
            bytes: 100,
            elements: 10,
        };
        let checked = checker.element(source.as_bytes(), &scope, &bounds).unwrap();
        let all = format!("{doc:?} {:?} {checked:?}", doc.root());
        assert!(all.contains("<a") && !all.contains("secret"), "{all}");
    }
}
