//! What a strict pass leaves behind: positions in the text, from which the views are made.

use std::fmt;

use super::element::Element;
use super::namespace::{self, Declared, Span};

/// A checked stanza: its source and a table of its elements, in the checker's scratch.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    pub(super) table: &'a Table,
    pub(super) text: &'a str,
    pub(super) scope: &'a Declared,
    /// Which of the scope's prefixes the stanza uses, by bit.
    pub(super) borrowed: u32,
}

impl<'a> Checked<'a> {
    /// The top element.
    pub fn root(&self) -> Element<'a> {
        Element {
            within: *self,
            index: 0,
        }
    }

    /// The whole source.
    pub fn text(&self) -> &'a str {
        self.text
    }
}

/// Only the top element's name: stanzas hold what people write to each other, and that belongs in no log.
impl fmt::Debug for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root().fmt(f)
    }
}

/// All elements of a text in the order of their start tags, and all attributes in the order of the source.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub nodes: Vec<Node>,
    pub attributes: Vec<Attribute>,
}

/// One element, by positions in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub start: u32,
    /// Where the local name begins.
    pub local: u32,
    pub local_len: u16,
    pub attribute_count: u16,
    pub first_attribute: u32,
    /// Behind the start tag.
    pub head_end: u32,
    /// Where the end tag begins; `head_end` for an empty-element tag.
    pub inner_end: u32,
    /// Behind the element.
    pub end: u32,
    /// Index of the first element that is not inside this one.
    pub after: u32,
    pub ns: Ns,
}

impl Node {
    /// The name as written, prefix included.
    pub fn qname<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start as usize + 1..self.local as usize + usize::from(self.local_len)]
    }

    pub fn is_prefixed(&self) -> bool {
        self.local > self.start + 1
    }
}

/// One attribute, declarations included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub start: u32,
    /// Bytes of the prefix, 0 without one.
    pub prefix_len: u16,
    /// Bytes of the name as written, prefix and colon included.
    pub qname_len: u16,
    pub value: Span,
    pub kind: Kind,
    /// What its prefix stands for.
    pub ns: Ns,
}

impl Attribute {
    pub fn qname<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start as usize..self.start as usize + usize::from(self.qname_len)]
    }

    pub fn prefix<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start as usize..self.start as usize + usize::from(self.prefix_len)]
    }

    pub fn local<'t>(&self, text: &'t str) -> &'t str {
        let before = usize::from(self.prefix_len) + usize::from(self.prefix_len > 0);
        &self.qname(text)[before..]
    }

    /// The whole attribute as written, quotes included.
    pub fn source<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start as usize..(self.value.start + self.value.len) as usize + 1]
    }
}

/// What an attribute is to namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Prefixed,
    /// `xmlns`
    DefaultDeclaration,
    /// `xmlns:p`
    PrefixDeclaration,
}

/// Where a resolved namespace name is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ns {
    None,
    Xml,
    /// In the stanza.
    Here(Span),
    /// In the scope's text.
    Scope(Span),
}

impl Ns {
    pub fn name<'a>(self, text: &'a str, scope: &'a Declared) -> &'a str {
        match self {
            Ns::None => "",
            Ns::Xml => namespace::XML,
            Ns::Here(span) => span.of(text),
            Ns::Scope(span) => span.of(&scope.text),
        }
    }
}
