//! The strict pass: one look at every token of a stanza or a stream header, so that whatever passes here is read the
//! same way by every XML parser that may receive it.
//!
//! `xmlparser` cuts tokens and holds names, characters, quotes and `]]>` to XML 1.0. What it leaves out is here: the tags
//! match, attributes are unique by expanded name, prefixes are declared, references mean a character, there is one root and it
//! ends where the text ends.

use memchr::memchr;
use xmlparser::{ElementEnd, StrSpan, Token, Tokenizer};

use super::XmlError;
use super::decode;
use super::names::is_portable;
use super::namespace::{self, Declared, Span};
use super::table::{Attribute, Kind, Node, Ns, Table};
use crate::limits;

/// One run over a text.
pub(super) struct Pass<'t, 's, 'w> {
    text: &'t str,
    scope: &'s Declared,
    rules: Rules,
    work: &'w mut Work,
    /// Whether there is any reference at all: most stanzas have none.
    has_references: bool,
    /// Whether no name needs a look at its characters: the tokenizer has held ASCII ones to the rule.
    is_ascii: bool,
    /// Which of the scope's prefixes are used, by bit.
    pub borrowed: u32,
}

impl<'t, 's, 'w> Pass<'t, 's, 'w> {
    pub fn new(
        text: &'t str,
        scope: &'s Declared,
        rules: Rules,
        work: &'w mut Work,
    ) -> Pass<'t, 's, 'w> {
        Pass {
            text,
            scope,
            rules,
            work,
            has_references: memchr(b'&', text.as_bytes()).is_some(),
            is_ascii: text.is_ascii(),
            borrowed: 0,
        }
    }

    pub fn element(&mut self) -> Result<(), XmlError> {
        for token in Tokenizer::from_fragment(self.text, 0..self.text.len()) {
            self.token(token.map_err(|_| XmlError::NotWellFormed)?)?;
        }
        if !self.work.open.is_empty() || self.work.table.nodes.is_empty() {
            return Err(XmlError::NotWellFormed);
        }
        Ok(())
    }

    pub fn header(&mut self) -> Result<Declared, XmlError> {
        // The tokenizer would skip a byte order mark; a stream begins with `<` (RFC 6120 §11.6).
        if !self.text.starts_with('<') {
            return Err(XmlError::NotWellFormed);
        }
        for token in Tokenizer::from(self.text) {
            let token = token.map_err(|_| XmlError::NotWellFormed)?;
            if let Token::Declaration {
                version, encoding, ..
            } = token
            {
                // RFC 6120 §11.4: XML 1.0 only.
                if version.as_str() != "1.0" {
                    return Err(XmlError::NotWellFormed);
                }
                if encoding.is_some_and(|name| !name.as_str().eq_ignore_ascii_case("utf-8")) {
                    return Err(XmlError::BadEncoding);
                }
                continue;
            }
            self.token(token)?;
            if let Token::ElementEnd { end, span } = token {
                if end != ElementEnd::Open || span.end() != self.text.len() {
                    return Err(XmlError::NotWellFormed);
                }
                // To look at, it is an element without content.
                let declared = self.declared();
                self.close(span.end(), span.end())?;
                return Ok(declared);
            }
        }
        Err(XmlError::NotWellFormed)
    }

    /// The declarations of the element that is open.
    fn declared(&self) -> Declared {
        let mut declared = Declared::nothing();
        let name = self
            .work
            .table
            .nodes
            .first()
            .map_or("", |node| node.qname(self.text));
        declared.name = declared.keep(name);
        let default = self.work.open.last().map_or(Ns::None, |open| open.default);
        declared.default = declared.keep(default.name(self.text, self.scope));
        for binding in &self.work.bindings {
            let prefix = declared.keep(binding.prefix.of(self.text));
            let ns = declared.keep(binding.ns.name(self.text, self.scope));
            declared.prefixes.push((prefix, ns));
        }
        declared
    }

    #[inline(always)] // tokens are large, and this is the loop that every stanza goes through
    fn token(&mut self, token: Token<'t>) -> Result<(), XmlError> {
        match token {
            Token::ElementStart {
                prefix,
                local,
                span,
            } => self.start(prefix, local, span),
            Token::Attribute {
                prefix,
                local,
                value,
                span,
            } => self.attribute(prefix, local, value, span),
            Token::ElementEnd {
                end: ElementEnd::Open,
                span,
            } => self.head_end(span.end()),
            Token::ElementEnd {
                end: ElementEnd::Empty,
                span,
            } => {
                self.head_end(span.end())?;
                self.close(span.end(), span.end())
            }
            Token::ElementEnd {
                end: ElementEnd::Close(_, local),
                span,
            } => self.end(local, span),
            Token::Text { text } => {
                // White space around a stanza is the framer's; here it would be content without an element.
                if self.work.open.is_empty() {
                    return Err(XmlError::NotWellFormed);
                }
                self.references(text.as_str())
            }
            Token::Cdata { .. } if self.work.open.is_empty() => Err(XmlError::NotWellFormed),
            Token::Cdata { .. } => Ok(()),
            Token::Declaration { .. }
            | Token::ProcessingInstruction { .. }
            | Token::Comment { .. }
            | Token::DtdStart { .. }
            | Token::EmptyDtd { .. }
            | Token::EntityDeclaration { .. }
            | Token::DtdEnd { .. } => Err(XmlError::Restricted),
        }
    }

    fn start(
        &mut self,
        prefix: StrSpan<'t>,
        local: StrSpan<'t>,
        span: StrSpan<'t>,
    ) -> Result<(), XmlError> {
        self.name(prefix, local, span.start() + 1)?;
        let work = &mut *self.work;
        let index = work.table.nodes.len() as u32;
        if index > 0 && work.open.is_empty() {
            return Err(XmlError::NotWellFormed);
        }
        if index >= self.rules.elements {
            return Err(XmlError::TooManyElements);
        }
        if work.open.len() >= self.rules.depth {
            return Err(XmlError::TooDeep);
        }
        let default = match work.open.last() {
            Some(parent) => parent.default,
            None if self.scope.default.len > 0 => Ns::Scope(self.scope.default),
            None => Ns::None,
        };
        work.open.push(Open {
            node: index,
            bindings: work.bindings.len() as u32,
            default,
        });
        work.table.nodes.push(Node {
            start: span.start() as u32,
            local: local.start() as u32,
            local_len: local.len() as u16,
            attribute_count: 0,
            first_attribute: work.table.attributes.len() as u32,
            head_end: 0,
            inner_end: 0,
            end: 0,
            after: 0,
            ns: Ns::None,
        });
        Ok(())
    }

    fn attribute(
        &mut self,
        prefix: StrSpan<'t>,
        local: StrSpan<'t>,
        value: StrSpan<'t>,
        span: StrSpan<'t>,
    ) -> Result<(), XmlError> {
        self.name(prefix, local, span.start())?;
        self.references(value.as_str())?;
        let value = Span {
            start: value.start() as u32,
            len: value.len() as u32,
        };
        let mut declared = Ns::None;
        let kind = match (prefix.as_str(), local.as_str()) {
            ("", "xmlns") => {
                declared = self.declared_ns(value, None)?;
                Kind::DefaultDeclaration
            }
            ("", _) => Kind::Plain,
            ("xmlns", prefix) => {
                declared = self.declared_ns(value, Some(prefix))?;
                Kind::PrefixDeclaration
            }
            // libxml2 wants a name that occurs once; nobody sends it.
            ("xml", "id") => return Err(XmlError::NotWellFormed),
            _ => Kind::Prefixed,
        };
        let work = &mut *self.work;
        let (Some(node), Some(open)) = (work.table.nodes.last_mut(), work.open.last_mut()) else {
            return Err(XmlError::NotWellFormed);
        };
        if usize::from(node.attribute_count) >= self.rules.attributes {
            return Err(XmlError::TooManyAttributes);
        }
        let attribute = Attribute {
            start: span.start() as u32,
            prefix_len: prefix.len() as u16,
            qname_len: (local.end() - span.start()) as u16,
            value,
            kind,
            ns: Ns::None,
        };
        // Twice the same name as written; the same expanded name is looked for when all prefixes are known.
        let earlier = &work.table.attributes[node.first_attribute as usize..];
        if earlier.iter().any(|other| {
            other.qname_len == attribute.qname_len
                && other.qname(self.text) == attribute.qname(self.text)
        }) {
            return Err(XmlError::NotWellFormed);
        }
        match kind {
            Kind::DefaultDeclaration => open.default = declared,
            Kind::PrefixDeclaration if work.bindings.len() >= limits::PREFIXES => {
                return Err(XmlError::TooManyAttributes);
            }
            Kind::PrefixDeclaration => {
                let prefix = Span {
                    start: local.start() as u32,
                    len: local.len() as u32,
                };
                work.bindings.push(Binding {
                    prefix,
                    ns: declared,
                });
            }
            Kind::Plain | Kind::Prefixed => {}
        }
        node.attribute_count += 1;
        work.table.attributes.push(attribute);
        Ok(())
    }

    /// The start tag is complete, so its declarations are: resolves its prefixes.
    fn head_end(&mut self, at: usize) -> Result<(), XmlError> {
        let (Some(&node), Some(&open)) = (self.work.table.nodes.last(), self.work.open.last())
        else {
            return Err(XmlError::NotWellFormed);
        };
        let ns = if node.is_prefixed() {
            match self.resolve(&self.text[node.start as usize + 1..node.local as usize - 1])? {
                // No such element is known, and without its prefix it could not be written at all.
                Ns::Xml => return Err(XmlError::BadNamespacePrefix),
                ns => ns,
            }
        } else {
            open.default
        };
        let first = node.first_attribute as usize;
        for index in first..self.work.table.attributes.len() {
            let attribute = self.work.table.attributes[index];
            if attribute.kind == Kind::Prefixed {
                let ns = self.resolve(attribute.prefix(self.text))?;
                self.work.table.attributes[index].ns = ns;
                self.refuse_same_expanded_name(first, index)?;
            }
        }
        if let Some(node) = self.work.table.nodes.last_mut() {
            node.head_end = at as u32;
            node.ns = ns;
        }
        Ok(())
    }

    /// Namespaces in XML §6.3: two prefixes may stand for one namespace.
    fn refuse_same_expanded_name(&self, first: usize, index: usize) -> Result<(), XmlError> {
        let (earlier, [attribute, ..]) =
            self.work.table.attributes[first..].split_at(index - first)
        else {
            return Ok(());
        };
        let same = |other: &Attribute| {
            other.kind == Kind::Prefixed
                && other.local(self.text) == attribute.local(self.text)
                && other.ns.name(self.text, self.scope) == attribute.ns.name(self.text, self.scope)
        };
        if earlier.iter().any(same) {
            Err(XmlError::NotWellFormed)
        } else {
            Ok(())
        }
    }

    fn resolve(&mut self, prefix: &str) -> Result<Ns, XmlError> {
        if let Some(binding) = self.work.bindings.iter().rev().find(|binding| {
            binding.prefix.len as usize == prefix.len() && binding.prefix.of(self.text) == prefix
        }) {
            return Ok(binding.ns);
        }
        if prefix == "xml" {
            return Ok(Ns::Xml);
        }
        let scope = self.scope;
        match scope
            .prefixes
            .iter()
            .position(|(name, _)| name.of(&scope.text) == prefix)
        {
            Some(index) => {
                self.borrowed |= 1 << index;
                Ok(Ns::Scope(scope.prefixes[index].1))
            }
            None => Err(XmlError::BadNamespacePrefix),
        }
    }

    fn end(&mut self, local: StrSpan<'t>, span: StrSpan<'t>) -> Result<(), XmlError> {
        // Compared as written, so that `</:a>` does not close `<a>` though the tokenizer reads both as `a`.
        let name = &self.text[span.start() + 2..local.end()];
        let is_open = match self.work.open.last() {
            Some(open) => self.work.table.nodes[open.node as usize].qname(self.text) == name,
            None => false,
        };
        if !is_open {
            return Err(XmlError::NotWellFormed);
        }
        self.close(span.start(), span.end())
    }

    fn close(&mut self, inner_end: usize, end: usize) -> Result<(), XmlError> {
        let work = &mut *self.work;
        let Some(open) = work.open.pop() else {
            return Err(XmlError::NotWellFormed);
        };
        let after = work.table.nodes.len() as u32;
        let node = &mut work.table.nodes[open.node as usize];
        node.inner_end = inner_end as u32;
        node.end = end as u32;
        node.after = after;
        work.bindings.truncate(open.bindings as usize);
        Ok(())
    }

    fn references(&self, source: &str) -> Result<(), XmlError> {
        if self.has_references {
            decode::check_references(source)
        } else {
            Ok(())
        }
    }

    /// Checks a name that is written at `at`. The tokenizer reads `:a` as a name without a prefix; the position gives it
    /// away.
    fn name(&self, prefix: StrSpan<'t>, local: StrSpan<'t>, at: usize) -> Result<(), XmlError> {
        let before = prefix.len() + usize::from(!prefix.is_empty());
        let well_formed = local.start() == at + before
            && prefix.len() <= limits::NAME_BYTES
            && local.len() <= limits::NAME_BYTES
            && (self.is_ascii || (is_portable(prefix.as_str()) && is_portable(local.as_str())));
        if well_formed {
            Ok(())
        } else {
            Err(XmlError::NotWellFormed)
        }
    }

    /// What a declaration binds, for the default namespace or for `prefix`.
    fn declared_ns(&self, value: Span, prefix: Option<&str>) -> Result<Ns, XmlError> {
        let name = value.of(self.text);
        // Namespaces in XML §2.2 (no undeclaring of prefixes) and §3 (reserved names).
        match (prefix, name) {
            (None, "") => Ok(Ns::None),
            (Some("xml"), namespace::XML) => Ok(Ns::Xml),
            (Some("xml" | "xmlns"), _) | (_, namespace::XML | namespace::XMLNS | "") => {
                Err(XmlError::BadNamespacePrefix)
            }
            _ if namespace::is_uri(name) => Ok(Ns::Here(value)),
            _ => Err(XmlError::BadNamespacePrefix),
        }
    }
}

/// Everything that a pass writes to.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub table: Table,
    open: Vec<Open>,
    bindings: Vec<Binding>,
}

impl Work {
    /// Empties the scratch, and gives memory back after a stanza that was far larger than most.
    pub fn clear(&mut self) {
        const KEPT_NODES: usize = 512;
        const KEPT_ATTRIBUTES: usize = 1024;
        self.table.nodes.clear();
        self.table.attributes.clear();
        self.table.nodes.shrink_to(KEPT_NODES);
        self.table.attributes.shrink_to(KEPT_ATTRIBUTES);
        self.open.clear();
        self.bindings.clear();
    }
}

/// An element whose end has not come yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    node: u32,
    /// How many bindings there were before its own.
    bindings: u32,
    /// The default namespace inside it.
    default: Ns,
}

/// A prefix declared by an open element.
#[derive(Clone, Copy, Debug)]
struct Binding {
    prefix: Span,
    ns: Ns,
}

/// The bounds of one pass.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub elements: u32,
    pub depth: usize,
    pub attributes: usize,
}

impl Rules {
    pub const OF_STORE: Rules = Rules {
        elements: u32::MAX,
        depth: 2 * limits::DEPTH as usize,
        attributes: 4 * limits::ATTRIBUTES as usize,
    };

    pub fn of_stream(elements: u32) -> Rules {
        Rules {
            elements,
            depth: usize::from(limits::DEPTH),
            attributes: usize::from(limits::ATTRIBUTES),
        }
    }
}

/// The scope's prefixes are marked in the bits of a `u32`.
const _: () = assert!(limits::ATTRIBUTES <= 32);
/// Lengths of names are kept in 16 bits.
const _: () = assert!(2 * limits::NAME_BYTES < u16::MAX as usize);

pub(super) fn utf8(bytes: &[u8]) -> Result<&str, XmlError> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(XmlError::TooLong);
    }
    std::str::from_utf8(bytes).map_err(|_| XmlError::BadEncoding)
}
