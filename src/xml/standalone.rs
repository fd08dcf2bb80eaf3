//! An element taken out of its stanza: a text of its own that reads the same anywhere.

use std::borrow::Cow;

use super::decode;
use super::element::Element;
use super::table::Kind;

impl Element<'_> {
    /// The element as a document of its own: its source, with what it takes from around it declared on its start tag. It names its default
    /// namespace always, so that it also reads the same inside of other XML.
    pub fn standalone(&self) -> String {
        self.standalone_with(|_| None)
    }

    /// The element as [`Element::standalone`] gives it, with another name for a namespace where it is the element's own: on it, and on its children. What
    /// lies deeper, such as a stanza inside of a stanza, is not touched. The new name has no quotes. Where two attributes were told apart by the two names
    /// alone, the result is no XML: parse it.
    pub fn renamed(&self, old: &str, new: &str) -> String {
        self.standalone_with(|ns| (ns == old).then(|| new.to_owned()))
    }

    fn standalone_with(&self, rename: impl Fn(&str) -> Option<String>) -> String {
        let named = |ns: Cow<'_, str>| rename(&ns).unwrap_or_else(|| ns.into_owned());
        let (node, text) = (self.node(), self.within.text);
        let name_end = node.local as usize + usize::from(node.local_len);
        let mut out = String::with_capacity(self.source().len() + 64);
        out.push_str(&text[node.start as usize..name_end]);
        if !self.declares(Kind::DefaultDeclaration, "xmlns") {
            push(&mut out, "xmlns", &named(self.default_around()));
        }
        let mut nearer: Vec<&str> = Vec::new();
        for (prefix, ns) in self.prefixes_around() {
            let name = format!("xmlns:{prefix}");
            let declared =
                nearer.contains(&prefix) || self.declares(Kind::PrefixDeclaration, &name);
            if !declared && self.source().contains(&format!("{prefix}:")) {
                push(&mut out, &name, &named(ns));
            }
            nearer.push(prefix);
        }
        let mut at = name_end;
        for element in std::iter::once(*self).chain(self.children()) {
            for attribute in element.attributes() {
                let declared = attribute.value.of(text);
                let declares = matches!(
                    attribute.kind,
                    Kind::DefaultDeclaration | Kind::PrefixDeclaration
                );
                if let Some(name) = declares.then(|| rename(declared)).flatten() {
                    out.push_str(&text[at..attribute.value.start as usize]);
                    out.push_str(&name);
                    at = attribute.value.start as usize + declared.len();
                }
            }
        }
        out.push_str(&text[at..node.end as usize]);
        out
    }

    /// Whether it has nothing inside, and no attributes but declarations.
    pub fn is_empty(&self) -> bool {
        self.inner().trim().is_empty() && self.attrs().next().is_none()
    }

    fn declares(&self, kind: Kind, name: &str) -> bool {
        let text = self.within.text;
        self.attributes()
            .iter()
            .any(|attribute| attribute.kind == kind && attribute.qname(text) == name)
    }

    /// The elements around it, the nearest first.
    fn around(&self) -> impl Iterator<Item = Element<'_>> {
        let own = self.index;
        (0..own)
            .rev()
            .map(|index| Element {
                within: self.within,
                index,
            })
            .filter(move |element| element.node().after > own)
    }

    /// The default namespace that stands around it.
    fn default_around(&self) -> Cow<'_, str> {
        let text = self.within.text;
        for element in self.around() {
            let mut own = element.attributes().iter();
            if let Some(found) = own.find(|attribute| attribute.kind == Kind::DefaultDeclaration) {
                return decode::value(found.value.of(text));
            }
        }
        Cow::Borrowed(self.within.scope.default_name())
    }

    /// The prefixes declared around it and their namespaces, the nearest first; one may stand there twice.
    fn prefixes_around(&self) -> Vec<(&str, Cow<'_, str>)> {
        let (text, scope) = (self.within.text, self.within.scope);
        let mut found = Vec::new();
        for element in self.around() {
            for attribute in element.attributes() {
                if attribute.kind == Kind::PrefixDeclaration {
                    let prefix = &attribute.qname(text)["xmlns:".len()..];
                    found.push((prefix, decode::value(attribute.value.of(text))));
                }
            }
        }
        for (prefix, ns) in &scope.prefixes {
            found.push((prefix.of(&scope.text), Cow::Borrowed(ns.of(&scope.text))));
        }
        found
    }
}

/// Declares a namespace. What may stand in its name needs no escape (`namespace.rs`), and must not have one: but one has an apostrophe.
fn push(out: &mut String, name: &str, value: &str) {
    let quote = match value.contains('\'') {
        true => '"',
        false => '\'',
    };
    out.push(' ');
    out.push_str(name);
    out.push('=');
    out.push(quote);
    out.push_str(value);
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Scope};

    #[test]
    fn what_stood_around_is_declared() {
        let text = "<iq xmlns:p='urn:p' xmlns:q='urn:q1' xmlns:r='urn:r'><query xmlns='urn:a' xmlns:q='urn:q2'>\
                    <x p:k='v'><q:y/><z xmlns=''/></x><p:e xmlns='urn:e' xmlns:p='urn:p2'/><q:f><g/></q:f></query></iq>";
        let document =
            Document::parse_within(text.to_owned(), Scope::of_default("jabber:client")).unwrap();
        let query = document.root().child("urn:a", "query").unwrap();
        let all: Vec<String> = query.children().map(|child| child.standalone()).collect();
        assert_eq!(
            all,
            [
                "<x xmlns='urn:a' xmlns:q='urn:q2' xmlns:p='urn:p' p:k='v'><q:y/><z xmlns=''/></x>",
                "<p:e xmlns='urn:e' xmlns:p='urn:p2'/>",
                "<q:f xmlns='urn:a' xmlns:q='urn:q2'><g/></q:f>",
            ]
        );
        for alone in all {
            assert!(Document::parse(alone.clone()).is_ok(), "{alone}");
        }
        let quoted = "<q xmlns:p=\"urn:it's\"><p:a/></q>".to_owned();
        let quoted = Document::parse(quoted).unwrap();
        let inner = quoted.root().children().next().unwrap().standalone();
        assert_eq!(inner, "<p:a xmlns='' xmlns:p=\"urn:it's\"/>");
        assert!(Document::parse(inner).is_ok());
        let plain =
            Document::parse_within("<a><b/></a>".to_owned(), Scope::of_default("urn:s")).unwrap();
        let b = plain.root().child("urn:s", "b").unwrap();
        assert_eq!(b.standalone(), "<b xmlns='urn:s'/>");
    }

    #[test]
    fn a_namespace_gets_another_name_where_it_is_the_elements_own() {
        let scope = Scope::of_default("urn:old");
        for (text, renamed) in [
            (
                "<m to='urn:old'><b>xmlns='urn:old'</b></m>",
                "<m xmlns='urn:new' to='urn:old'><b>xmlns='urn:old'</b></m>",
            ),
            (
                "<m xmlns=\"urn:old\"><b xmlns='urn:old'/><f xmlns='urn:f'><m xmlns='urn:old'/></f></m>",
                "<m xmlns=\"urn:new\"><b xmlns='urn:new'/><f xmlns='urn:f'><m xmlns='urn:old'/></f></m>",
            ),
            (
                "<p:m xmlns:p='urn:old' xmlns='urn:x'><p:b/></p:m>",
                "<p:m xmlns:p='urn:new' xmlns='urn:x'><p:b/></p:m>",
            ),
        ] {
            let document = Document::parse_within(text.to_owned(), scope.clone()).unwrap();
            assert_eq!(document.root().renamed("urn:old", "urn:new"), renamed);
        }
    }

    #[test]
    fn emptiness_is_of_content_and_attributes() {
        for (text, empty) in [
            ("<a xmlns='urn:a' xmlns:p='urn:p'> </a>", true),
            ("<a k=''/>", false),
            ("<a><b/></a>", false),
        ] {
            assert_eq!(
                Document::parse(text.to_owned()).unwrap().root().is_empty(),
                empty,
                "{text}"
            );
        }
    }
}
