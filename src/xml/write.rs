//! Elements back to bytes: escaping, a writer for what snug says itself, and the splice that forwards a stanza with another
//! head and the same bytes.

use std::borrow::Cow;

use super::element::Element;
use super::table::{Checked, Kind};

/// Appends `text` escaped, fit for character data and for attributes in either quote. A character that XML does not allow
/// becomes U+FFFD.
pub fn escape(out: &mut String, text: &str) {
    pieces(text, true, |piece| out.push_str(piece));
}

/// `text` as [`escape`] writes it.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| is_special(b, true)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    escape(&mut out, text);
    Cow::Owned(out)
}

/// What `write` writes, as a text.
pub fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut text = String::with_capacity(256);
    write(&mut Writer::new(&mut text));
    text
}

/// Writes elements; a start tag closes itself when content or the end comes. Dropping a writer with an open element is a bug.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut String,
    open: heapless::Vec<&'static str, 32>,
    /// The last start tag still takes attributes.
    in_tag: bool,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut String) -> Writer<'a> {
        Writer {
            out,
            open: heapless::Vec::new(),
            in_tag: false,
        }
    }

    /// Opens an element.
    pub fn start(&mut self, name: &'static str) -> &mut Self {
        self.close_tag();
        self.out.push('<');
        self.out.push_str(name);
        let pushed = self.open.push(name);
        assert!(
            pushed.is_ok(),
            "what snug writes itself nests no deeper than the writer's stack"
        );
        self.in_tag = true;
        self
    }

    /// Adds an attribute to the start tag just written.
    pub fn attr(&mut self, name: &str, value: &str) -> &mut Self {
        assert!(self.in_tag, "an attribute follows a start tag");
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("='");
        escape(self.out, value);
        self.out.push('\'');
        self
    }

    /// Adds an attribute if there is a value.
    pub fn attr_opt(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Character data, unescaped.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.close_tag();
        pieces(text, false, |piece| self.out.push_str(piece));
        self
    }

    /// Content that is XML already.
    pub fn raw(&mut self, xml: &str) -> &mut Self {
        if !xml.is_empty() {
            self.close_tag();
            self.out.push_str(xml);
        }
        self
    }

    /// Closes the innermost open element.
    pub fn end(&mut self) -> &mut Self {
        let name = self.open.pop().expect("every end has its start");
        if std::mem::take(&mut self.in_tag) {
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
        self
    }

    /// An element with nothing but text.
    pub fn leaf(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.start(name);
        if !text.is_empty() {
            self.text(text);
        }
        self.end()
    }

    fn close_tag(&mut self) {
        if std::mem::take(&mut self.in_tag) {
            self.out.push('>');
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        debug_assert!(
            self.open.is_empty() || std::thread::panicking(),
            "every start has its end: {:?}",
            self.open
        );
    }
}

/// What changes when a stanza is forwarded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Splice<'a> {
    /// The new `from`, unescaped. `None` keeps what the source has, an empty one removes it.
    pub from: Option<&'a str>,
    /// The new `to`, likewise.
    pub to: Option<&'a str>,
    /// `xml:lang` for a stanza that has none (RFC 6120 §8.1.5).
    pub lang: Option<&'a str>,
    /// The namespace to declare on the top element when the result stands inside another element. `None`: the context
    /// declares the default. A top element that is not in the scope's default namespace always declares its own.
    pub xmlns: Option<&'a str>,
    /// Elements inside the stanza that are left out, in the order of the source.
    pub without: &'a [Element<'a>],
    /// XML that goes before the end tag.
    pub append: &'a str,
}

/// Appends `stanza` to `out`, changed as `how` says, so that it reads the same wherever its default namespace is the context's.
///
/// The top element is written without prefix and without its own `xmlns`. Prefixes that the stanza borrows from the stream header
/// are declared on it. Everything inside keeps its bytes.
pub fn splice(out: &mut Vec<u8>, stanza: Checked<'_>, how: &Splice<'_>) {
    let root = stanza.root();
    let node = root.node();
    let text = stanza.text;
    out.reserve(text.len() + how.append.len() + 160);
    out.push(b'<');
    out.extend_from_slice(root.name().as_bytes());
    if root.is_in(stanza.scope.default_name()) {
        if let Some(xmlns) = how.xmlns {
            push_attribute(out, "xmlns", xmlns);
        }
    } else {
        push_attribute(out, "xmlns", &root.ns());
    }
    let mut own_default = None;
    let mut lang = how.lang;
    for attribute in root.attributes() {
        match (attribute.kind, attribute.qname(text)) {
            (Kind::DefaultDeclaration, _) => {
                own_default = Some(attribute.value.of(text));
                continue;
            }
            (Kind::Plain, "from") if how.from.is_some() => continue,
            (Kind::Plain, "to") if how.to.is_some() => continue,
            (Kind::Prefixed, "xml:lang") => lang = None,
            _ => {}
        }
        out.push(b' ');
        out.extend_from_slice(attribute.source(text).as_bytes());
    }
    for (name, value) in [("from", how.from), ("to", how.to), ("xml:lang", lang)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            push_attribute(out, name, value);
        }
    }
    push_borrowed(out, stanza);
    let body_is_empty = node.head_end == node.inner_end;
    if body_is_empty && how.append.is_empty() {
        out.extend_from_slice(b"/>");
        return;
    }
    out.push(b'>');
    // A prefixed top element may stand apart from the default namespace inside it, which then moves to its children.
    let default_inside = own_default.unwrap_or(stanza.scope.default_name());
    if node.is_prefixed() && !root.is_in(default_inside) {
        push_body_with_default(out, root, how.without, default_inside);
    } else {
        push_without(out, text, node.head_end, node.inner_end, how.without);
    }
    out.extend_from_slice(how.append.as_bytes());
    out.extend_from_slice(b"</");
    out.extend_from_slice(root.name().as_bytes());
    out.push(b'>');
}

fn push_attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    pieces(value, true, |piece| out.extend_from_slice(piece.as_bytes()));
    out.push(b'\'');
}

/// Declares what the stanza takes from its stream header.
fn push_borrowed(out: &mut Vec<u8>, stanza: Checked<'_>) {
    let declared = stanza.scope;
    let mut left = stanza.borrowed;
    while left != 0 {
        let (prefix, ns) = declared.prefixes[left.trailing_zeros() as usize];
        out.extend_from_slice(b" xmlns:");
        out.extend_from_slice(prefix.of(&declared.text).as_bytes());
        out.extend_from_slice(b"='");
        pieces(ns.of(&declared.text), true, |piece| {
            out.extend_from_slice(piece.as_bytes())
        });
        out.push(b'\'');
        left &= left - 1;
    }
}

/// Appends `text[from..to]` but for the elements of `without`.
fn push_without(out: &mut Vec<u8>, text: &str, from: u32, to: u32, without: &[Element<'_>]) {
    let mut sorted = Vec::new();
    let mut without = without;
    if !without.is_sorted_by_key(|element| element.index) {
        sorted.extend_from_slice(without);
        sorted.sort_by_key(|element| element.index);
        without = &sorted;
    }
    let text = text.as_bytes();
    let mut at = from;
    for element in without {
        let node = element.node();
        // What lies outside of the range, or inside of an element that is left out already, changes nothing.
        if node.start >= at && node.end <= to {
            out.extend_from_slice(&text[at as usize..node.start as usize]);
            at = node.end;
        }
    }
    out.extend_from_slice(&text[at as usize..to as usize]);
}

/// Appends what is inside `root`, each child declaring `default` unless it declares one itself.
fn push_body_with_default(
    out: &mut Vec<u8>,
    root: Element<'_>,
    without: &[Element<'_>],
    default: &str,
) {
    let text = root.within.text;
    let mut at = root.node().head_end;
    for child in root.children() {
        let node = child.node();
        let declares = child
            .attributes()
            .iter()
            .any(|attribute| attribute.kind == Kind::DefaultDeclaration);
        let is_left_out = without.iter().any(|element| element.index == child.index);
        if declares || is_left_out {
            continue;
        }
        let name_end = node.local + u32::from(node.local_len);
        push_without(out, text, at, name_end, without);
        push_attribute(out, "xmlns", default);
        at = name_end;
    }
    push_without(out, text, at, root.node().inner_end, without);
}

/// Whether a byte of text is written as something else, or may begin a character that is.
fn is_special(byte: u8, in_attribute: bool) -> bool {
    match byte {
        b'&' | b'<' | b'>' | b'\'' | b'"' => true,
        b'\t' | b'\n' => in_attribute,
        0..=0x1f => true,
        // U+FFFE and U+FFFF begin with this byte.
        0xef => true,
        _ => false,
    }
}

/// Hands out `text` escaped, piece by piece. In attributes white space is written as references, or parsers would make
/// spaces of it.
fn pieces<'t>(text: &'t str, in_attribute: bool, mut push: impl FnMut(&'t str)) {
    let mut from = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(skip) = bytes[at..]
        .iter()
        .position(|&b| is_special(b, in_attribute))
    {
        at += skip;
        let (len, replacement) = match bytes[at] {
            b'&' => (1, "&amp;"),
            b'<' => (1, "&lt;"),
            b'>' => (1, "&gt;"),
            b'\'' => (1, "&apos;"),
            b'"' => (1, "&quot;"),
            b'\t' => (1, "&#9;"),
            b'\n' => (1, "&#10;"),
            b'\r' => (1, "&#13;"),
            0xef if matches!(bytes[at..], [_, 0xbf, 0xbe | 0xbf, ..]) => (3, "\u{fffd}"),
            0xef => {
                at += 3;
                continue;
            }
            _ => (1, "\u{fffd}"),
        };
        push(&text[from..at]);
        push(replacement);
        at += len;
        from = at;
    }
    push(&text[from..]);
}

#[cfg(test)]
mod tests {
    use super::super::{Bounds, Checker, Scope};
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 4096,
        elements: 100,
    };

    #[test]
    fn escaping_is_safe_everywhere() {
        assert_eq!(escaped("a b"), Cow::Borrowed("a b"));
        assert_eq!(
            escaped("<&>'\"\t\n\r"),
            "&lt;&amp;&gt;&apos;&quot;&#9;&#10;&#13;"
        );
        assert_eq!(
            escaped("\u{0}\u{1}x\u{fffe}\u{ffff}\u{fffd}\u{ff01}"),
            "\u{fffd}\u{fffd}x\u{fffd}\u{fffd}\u{fffd}\u{ff01}"
        );
    }

    #[test]
    fn the_writer_closes_what_it_opens() {
        let mut out = String::new();
        let mut writer = Writer::new(&mut out);
        writer
            .start("iq")
            .attr("type", "result")
            .attr_opt("to", None)
            .attr_opt("id", Some("'1'"));
        writer
            .start("query")
            .attr("xmlns", "urn:q")
            .leaf("a", "x < y\n")
            .leaf("b", "")
            .raw("<c/>")
            .raw("")
            .end();
        writer.start("empty").raw("").end().end();
        drop(writer);
        assert_eq!(
            out,
            "<iq type='result' id='&apos;1&apos;'><query xmlns='urn:q'><a>x &lt; y\n</a><b/><c/></query><empty/></iq>"
        );
    }

    fn scope(header: &str) -> Scope {
        Checker::default()
            .header(header.as_bytes())
            .unwrap()
            .into_scope()
    }

    fn spliced(stanza: &str, how: &Splice<'_>) -> String {
        let scope = scope("<s:s xmlns:s='urn:s' xmlns:c='jabber:client' xmlns='jabber:client'>");
        let mut checker = Checker::default();
        let stanza = checker.element(stanza.as_bytes(), &scope, &BOUNDS).unwrap();
        let mut out = Vec::new();
        splice(&mut out, stanza, how);
        String::from_utf8(out).unwrap()
    }

    const AS_IT_IS: Splice<'static> = Splice {
        from: None,
        to: None,
        lang: None,
        xmlns: None,
        without: &[],
        append: "",
    };

    #[test]
    fn the_head_changes_and_the_body_stays() {
        let how = Splice {
            from: Some("o'neil@h/<r>"),
            to: Some("b@h"),
            ..AS_IT_IS
        };
        assert_eq!(
            spliced(
                "<message  to=\"x\" id = '1'\nfrom='y' xmlns='jabber:client'><body >&#65;<![CDATA[x]]></body ></message >",
                &how
            ),
            "<message id = '1' from='o&apos;neil@h/&lt;r&gt;' to='b@h'><body >&#65;<![CDATA[x]]></body ></message>"
        );
        assert_eq!(spliced("<presence/>", &AS_IT_IS), "<presence/>");
        assert_eq!(
            spliced("<presence to='a' from='b'/>", &AS_IT_IS),
            "<presence to='a' from='b'/>"
        );
        let removed = Splice {
            from: Some(""),
            to: Some(""),
            ..AS_IT_IS
        };
        assert_eq!(
            spliced("<presence to='a' from='b' x='y'></presence>", &removed),
            "<presence x='y'/>"
        );
    }

    #[test]
    fn append_and_xmlns_and_lang() {
        let how = Splice {
            append: "<d xmlns='urn:d'/>",
            xmlns: Some("jabber:client"),
            lang: Some("de"),
            ..AS_IT_IS
        };
        assert_eq!(
            spliced("<message/>", &how),
            "<message xmlns='jabber:client' xml:lang='de'><d xmlns='urn:d'/></message>"
        );
        assert_eq!(
            spliced("<message xml:lang='en'><body/></message>", &how),
            "<message xmlns='jabber:client' xml:lang='en'><body/><d xmlns='urn:d'/></message>"
        );
    }

    #[test]
    fn another_namespace_stays_declared() {
        assert_eq!(
            spliced(
                "<a xmlns='urn:a'><b/></a>",
                &Splice {
                    xmlns: Some("jabber:client"),
                    ..AS_IT_IS
                }
            ),
            "<a xmlns='urn:a'><b/></a>"
        );
        assert_eq!(spliced("<a xmlns=''/>", &AS_IT_IS), "<a xmlns=''/>");
        assert_eq!(
            spliced("<s:a><b/></s:a>", &AS_IT_IS),
            "<a xmlns='urn:s' xmlns:s='urn:s'><b xmlns='jabber:client'/></a>"
        );
        assert_eq!(
            spliced("<a xmlns=\"urn:it's\"/>", &AS_IT_IS),
            "<a xmlns='urn:it&apos;s'/>"
        );
    }

    #[test]
    fn borrowed_prefixes_come_along() {
        assert_eq!(
            spliced("<iq><s:x/><q c:a='1'/></iq>", &AS_IT_IS),
            "<iq xmlns:s='urn:s' xmlns:c='jabber:client'><s:x/><q c:a='1'/></iq>"
        );
        assert_eq!(
            spliced("<iq xmlns:s='urn:t'><s:x/></iq>", &AS_IT_IS),
            "<iq xmlns:s='urn:t'><s:x/></iq>"
        );
    }

    #[test]
    fn a_prefixed_top_element_loses_its_prefix() {
        assert_eq!(
            spliced(
                "<c:message to='x'><c:body>hi</c:body><d/></c:message>",
                &AS_IT_IS
            ),
            "<message to='x' xmlns:c='jabber:client'><c:body>hi</c:body><d/></message>"
        );
        assert_eq!(
            spliced(
                "<p:message xmlns:p='jabber:client'><p:body/></p:message>",
                &AS_IT_IS
            ),
            "<message xmlns:p='jabber:client'><p:body/></message>"
        );
        // The default namespace inside differs from the top element's own.
        assert_eq!(
            spliced(
                "<c:message xmlns='urn:x'>t<a><b/></a><c:body k='v'/><d xmlns='urn:y'/></c:message>",
                &AS_IT_IS
            ),
            "<message xmlns:c='jabber:client'>t<a xmlns='urn:x'><b/></a><c:body xmlns='urn:x' k='v'/><d xmlns='urn:y'/></message>"
        );
    }

    #[test]
    fn children_are_left_out() {
        let scope = scope("<s xmlns='jabber:client'>");
        for (source, expected) in [
            ("<m><x/>1<y>z</y>2<x>q<x/></x></m>", "<m>1<y>z</y>2</m>"),
            ("<m><x/></m>", "<m></m>"),
            (
                "<c:m xmlns:c='jabber:client' xmlns='urn:x'><c:x/><c:y/></c:m>",
                "<m xmlns:c='jabber:client'><c:y xmlns='urn:x'/></m>",
            ),
        ] {
            let mut checker = Checker::default();
            let stanza = checker.element(source.as_bytes(), &scope, &BOUNDS).unwrap();
            let mut without: Vec<_> = stanza
                .root()
                .children()
                .filter(|child| child.name() == "x")
                .collect();
            for _ in 0..2 {
                let mut out = Vec::new();
                splice(
                    &mut out,
                    stanza,
                    &Splice {
                        without: &without,
                        ..AS_IT_IS
                    },
                );
                assert_eq!(String::from_utf8(out).unwrap(), expected);
                // In any order, though only the source's costs nothing.
                without.reverse();
            }
        }
    }
}
