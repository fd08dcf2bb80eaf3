//! The door between bytes from a peer and the rest of the server: nothing is looked at, forwarded or stored that has not
//! been through [`Checker`] or [`Document`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Bounds;
use super::element::Element;
use super::namespace::{Declared, NOTHING, Scope};
use super::pass::{Pass, Rules, Work, utf8};
use super::table::{Checked, Table};

/// Why bytes are not, or not yet, the XML that a stream may carry. Every one of them ends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XmlError {
    /// Not well-formed XML 1.0, or a name that not every parser accepts.
    NotWellFormed,
    /// A comment, a processing instruction, a DTD, or a reference to an entity other than the five predefined (RFC 6120 §11.1).
    Restricted,
    /// More bytes than the bound allows.
    TooLong,
    /// More elements than the bound allows.
    TooManyElements,
    /// Nested deeper than `limits::DEPTH`.
    TooDeep,
    /// More than `limits::ATTRIBUTES` attributes on an element, or `limits::PREFIXES` prefixes in scope.
    TooManyAttributes,
    /// A prefix that nothing declares, or a declaration that Namespaces in XML forbids.
    BadNamespacePrefix,
    /// Not UTF-8, or an XML declaration that says so (RFC 6120 §11.6).
    BadEncoding,
}

/// The strict pass and its scratch, kept so that a warm checker allocates nothing. One serves all connections.
#[derive(Debug, Default)]
pub struct Checker {
    work: Work,
    /// Scopes handed out lately, so that streams with the same header share one.
    known: Vec<Arc<Declared>>,
}

impl Checker {
    /// Checks a stream header: the start tag, with an XML declaration before it or not.
    pub fn header<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Header<'a>, XmlError> {
        let text = utf8(bytes)?;
        self.work.clear();
        let mut pass = Pass::new(text, &NOTHING, Rules::of_stream(1), &mut self.work);
        let declared = pass.header()?;
        let scope = self.shared(declared);
        Ok(Header {
            checked: Checked {
                table: &self.work.table,
                text,
                scope: &NOTHING,
                borrowed: 0,
            },
            scope,
        })
    }

    /// Checks one element that fills `bytes` exactly, with `scope` declared around it.
    pub fn element<'a>(
        &'a mut self,
        bytes: &'a [u8],
        scope: &'a Scope,
        bounds: &Bounds,
    ) -> Result<Checked<'a>, XmlError> {
        if bytes.len() > bounds.bytes {
            return Err(XmlError::TooLong);
        }
        let text = utf8(bytes)?;
        let scope = scope.declared();
        self.work.clear();
        let mut pass = Pass::new(
            text,
            scope,
            Rules::of_stream(bounds.elements),
            &mut self.work,
        );
        pass.element()?;
        let borrowed = pass.borrowed;
        Ok(Checked {
            table: &self.work.table,
            text,
            scope,
            borrowed,
        })
    }

    /// The record equal to `declared` that other streams already use, or this one.
    fn shared(&mut self, declared: Declared) -> Scope {
        const KEPT: usize = 8;
        if let Some(known) = self.known.iter().find(|known| ***known == declared) {
            return Scope(Some(known.clone()));
        }
        if self.known.len() >= KEPT {
            self.known.remove(0);
        }
        let declared = Arc::new(declared);
        self.known.push(declared.clone());
        Scope(Some(declared))
    }
}

/// A checked stream header.
#[derive(Debug)]
pub struct Header<'a> {
    checked: Checked<'a>,
    scope: Scope,
}

impl<'a> Header<'a> {
    /// The attribute `to`.
    pub fn to(&self) -> Option<Cow<'a, str>> {
        self.root().attr("to")
    }

    /// The attribute `from`.
    pub fn from(&self) -> Option<Cow<'a, str>> {
        self.root().attr("from")
    }

    /// The attribute `id`.
    pub fn id(&self) -> Option<Cow<'a, str>> {
        self.root().attr("id")
    }

    /// The attribute `version`.
    pub fn version(&self) -> Option<Cow<'a, str>> {
        self.root().attr("version")
    }

    /// The attribute `xml:lang`.
    pub fn lang(&self) -> Option<Cow<'a, str>> {
        self.root().attr("xml:lang")
    }

    /// The local name, `stream` on an XMPP stream.
    pub fn name(&self) -> &'a str {
        self.root().name()
    }

    /// The namespace of the header itself.
    pub fn ns(&self) -> Cow<'a, str> {
        self.root().ns()
    }

    /// The namespace that it declares as the default, empty if none.
    pub fn default_ns(&self) -> &str {
        self.scope.default_ns()
    }

    /// The header as an element without content.
    pub fn root(&self) -> Element<'a> {
        self.checked.root()
    }

    /// The whole source, with the XML declaration if there is one.
    pub fn text(&self) -> &'a str {
        self.checked.text
    }

    /// What it declares for the stanzas to come.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What it declares for the stanzas to come.
    pub fn into_scope(self) -> Scope {
        self.scope
    }
}

/// An element with its own text: XML that comes out of the store, or that snug has put together itself.
pub struct Document {
    text: String,
    table: Table,
    scope: Scope,
    borrowed: u32,
}

/// Only the top element's name, as for [`Checked`].
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root().fmt(f)
    }
}

impl Document {
    /// Checks and keeps `text`, one element in which everything is declared. The bounds are wider than on a stream: what was
    /// within them when it came has been stamped and wrapped since.
    pub fn parse(text: String) -> Result<Document, XmlError> {
        Document::parse_within(text, Scope::default())
    }

    /// The same for an element with `scope` declared around it.
    pub fn parse_within(text: String, scope: Scope) -> Result<Document, XmlError> {
        if u32::try_from(text.len()).is_err() {
            return Err(XmlError::TooLong);
        }
        let mut work = Work::default();
        let mut pass = Pass::new(&text, scope.declared(), Rules::OF_STORE, &mut work);
        pass.element()?;
        let borrowed = pass.borrowed;
        Ok(Document {
            text,
            table: work.table,
            scope,
            borrowed,
        })
    }

    /// The top element.
    pub fn root(&self) -> Element<'_> {
        self.checked().root()
    }

    /// The document as a stanza that can be spliced.
    pub fn checked(&self) -> Checked<'_> {
        Checked {
            table: &self.table,
            text: &self.text,
            scope: self.scope.declared(),
            borrowed: self.borrowed,
        }
    }

    /// The source.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    const BOUNDS: Bounds = Bounds {
        bytes: 100_000,
        elements: 50,
    };
    const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.b' version='1.0'>";

    fn refusal(stanza: &[u8]) -> Option<XmlError> {
        let mut checker = Checker::default();
        let scope = checker.header(HEADER.as_bytes()).unwrap().into_scope();
        checker.element(stanza, &scope, &BOUNDS).err()
    }

    #[test]
    fn stanzas_pass() {
        for stanza in [
            "<message/>",
            "<a></a>",
            "<a b='1' c=\"2\"\n d = '3' ><b/></a >",
            "<stream:error><x xmlns='urn:x'/></stream:error>",
            "<a xml:lang='de'/>",
            "<p:a xmlns:p='urn:p' p:b='1' b='2'/>",
            "<a>]]&gt;<![CDATA[ ]] <&\u{7f} ]]></a>",
            "<größe/>",
            "<a xmlns='urn:x' xmlns:p='urn:x' p:b='' b=''/>",
            "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
            "<a>\u{1F600}</a>",
        ] {
            assert_eq!(refusal(stanza.as_bytes()), None, "{stanza}");
        }
    }

    #[test]
    fn what_is_not_well_formed() {
        for stanza in [
            "",
            " ",
            "x",
            "<a>",
            "<a></b>",
            "<a></a",
            "<a",
            "<a/><b/>",
            "<a/> ",
            " <a/>",
            "<a/>x",
            "<:a/>",
            "<:message></:message>",
            "<a></:a>",
            "<:a></a>",
            "<a:/>",
            "<a:b:c/>",
            "<a b='1' b='2'/>",
            "<a xml:id='b'/>",
            "<a b='1'c='2'/>",
            "<a b=1/>",
            "<a b/>",
            "<a b='<'/>",
            "<a b='&'/>",
            "<a>&</a>",
            "<a>&#xD800;</a>",
            "<a>&#0;</a>",
            "<a>]]></a>",
            "<a>\u{1}</a>",
            "<a>\u{ffff}</a>",
            "<a b='\u{fffe}'/>",
            "<1/>",
            "<-a/>",
            "<a\u{10400}/>",
            "<\u{221}/>",
            "<a :b='1'/>",
            "<a b:='1'/>",
            "<a></a b='1'>",
            "< a/>",
            "<a / >",
            "<a><b></a></b>",
            "</a>",
            "<![CDATA[x]]>",
            "<a><![CDATA[x]></a>",
            "<a xmlns='urn:x' xmlns='urn:x'/>",
            "<a xmlns:p='urn:x' xmlns:p='urn:x'/>",
            "<a xmlns:p='urn:x' xmlns:q='urn:x' p:b='' q:b=''/>",
            "\u{feff}<a/>",
        ] {
            assert_eq!(
                refusal(stanza.as_bytes()),
                Some(XmlError::NotWellFormed),
                "{stanza}"
            );
        }
    }

    #[test]
    fn what_namespaces_forbid() {
        for stanza in [
            "<p:a/>",
            "<a p:b=''/>",
            "<a><b xmlns:p='urn:p'/><p:c/></a>",
            "<a xmlns:p=''/>",
            "<xmlns:a/>",
            "<xml:a/>",
            "<xml:a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
            "<a xmlns:xmlns='urn:p'/>",
            "<a xmlns:xml='urn:p'/>",
            "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
            "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
            "<a xmlns='http://www.w3.org/2000/xmlns&#47;'/>",
            "<a xmlns='urn:&#97;'/>",
            "<a xmlns='urn:a?b&amp;c'/>",
            "<a xmlns='a|b'/>",
            "<a xmlns='a&#10;b'/>",
            "<a xmlns='a b'/>",
            "<a xmlns=' '/>",
            "<a xmlns:p='a\nb'/>",
        ] {
            assert_eq!(
                refusal(stanza.as_bytes()),
                Some(XmlError::BadNamespacePrefix),
                "{stanza}"
            );
        }
    }

    #[test]
    fn what_is_restricted() {
        for stanza in [
            "<a><!-- x --></a>",
            "<a><?x?></a>",
            "<a>&lol;</a>",
            "<a b='&lol;'/>",
        ] {
            assert_eq!(
                refusal(stanza.as_bytes()),
                Some(XmlError::Restricted),
                "{stanza}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_utf8() {
        for stanza in [
            &b"<a>\xeb</a>"[..],
            b"<a>\xeb<b/></a>",
            b"<a>\xc0\xbc</a>",
            b"<a>\xed\xa0\x80</a>",
            b"<a\xff/>",
            b"<a b='\xf4\x90\x80\x80'/>",
        ] {
            assert_eq!(refusal(stanza), Some(XmlError::BadEncoding), "{stanza:?}");
        }
    }

    #[test]
    fn bounds() {
        let nested = |depth: u16| {
            format!(
                "{}{}",
                "<a>".repeat(depth.into()),
                "</a>".repeat(depth.into())
            )
        };
        assert_eq!(refusal(nested(50).as_bytes()), None);
        let scope = Scope::default();
        let wide = Bounds {
            bytes: 100_000,
            elements: 1000,
        };
        let depth = |depth| {
            Checker::default()
                .element(nested(depth).as_bytes(), &scope, &wide)
                .err()
        };
        assert_eq!(
            (depth(limits::DEPTH), depth(limits::DEPTH + 1)),
            (None, Some(XmlError::TooDeep))
        );
        assert_eq!(
            refusal(format!("<a>{}</a>", "<b/>".repeat(50)).as_bytes()),
            Some(XmlError::TooManyElements)
        );
        let attributes = |count: u16| {
            format!(
                "<a{}/>",
                (0..count).map(|n| format!(" a{n}=''")).collect::<String>()
            )
        };
        assert_eq!(refusal(attributes(limits::ATTRIBUTES).as_bytes()), None);
        assert_eq!(
            refusal(attributes(limits::ATTRIBUTES + 1).as_bytes()),
            Some(XmlError::TooManyAttributes)
        );
        let prefixes = |from: u32, to: u32| {
            (from..to)
                .map(|n| format!(" xmlns:p{n}='urn:p'"))
                .collect::<String>()
        };
        assert_eq!(
            refusal(format!("<a{}><b{}/></a>", prefixes(0, 32), prefixes(32, 64)).as_bytes()),
            None
        );
        assert_eq!(
            refusal(
                format!(
                    "<a{}><b{}><c{}/></b></a>",
                    prefixes(0, 32),
                    prefixes(32, 64),
                    prefixes(64, 65)
                )
                .as_bytes()
            ),
            Some(XmlError::TooManyAttributes)
        );
        let name = "n".repeat(limits::NAME_BYTES);
        assert_eq!(refusal(format!("<{name}/>").as_bytes()), None);
        assert_eq!(
            refusal(format!("<n{name}/>").as_bytes()),
            Some(XmlError::NotWellFormed)
        );
        assert_eq!(
            refusal("x".repeat(100_001).as_bytes()),
            Some(XmlError::TooLong)
        );
    }

    #[test]
    fn headers() {
        let mut checker = Checker::default();
        let text = format!("<?xml version='1.0' encoding='utf-8' ?>\n{HEADER}");
        let header = checker.header(text.as_bytes()).unwrap();
        assert_eq!(
            (header.name(), &*header.ns(), header.default_ns()),
            (
                "stream",
                "http://etherx.jabber.org/streams",
                "jabber:client"
            )
        );
        assert_eq!(
            (
                header.to().as_deref(),
                header.version().as_deref(),
                header.from(),
                header.id(),
                header.lang()
            ),
            (Some("a.b"), Some("1.0"), None, None, None)
        );
        for (text, expected) in [
            (
                "<?xml version='1.0' encoding='ISO-8859-1'?><a>",
                XmlError::BadEncoding,
            ),
            ("<?xml version='1.1'?><a>", XmlError::NotWellFormed),
            (
                "<?xml version='1.0'encoding='utf-8'?><a>",
                XmlError::NotWellFormed,
            ),
            ("<?xml encoding='utf-8'?><a>", XmlError::NotWellFormed),
            ("<a/>", XmlError::NotWellFormed),
            ("<a><b>", XmlError::NotWellFormed),
            ("\u{feff}<a>", XmlError::NotWellFormed),
            (" <a>", XmlError::NotWellFormed),
            ("<s:a>", XmlError::BadNamespacePrefix),
            ("<a xmlns:p=''>", XmlError::BadNamespacePrefix),
            ("<!DOCTYPE a><a>", XmlError::Restricted),
            ("<!-- --><a>", XmlError::Restricted),
        ] {
            assert_eq!(
                checker.header(text.as_bytes()).err(),
                Some(expected),
                "{text}"
            );
        }
        assert_eq!(
            checker.header(b"\xff\xfe<\0a\0>\0").err(),
            Some(XmlError::BadEncoding)
        );
    }

    #[test]
    fn equal_headers_share_their_scope() {
        let mut checker = Checker::default();
        let one = checker.header(HEADER.as_bytes()).unwrap().into_scope();
        let two = checker
            .header(HEADER.replace("a.b", "c.d").as_bytes())
            .unwrap()
            .into_scope();
        assert!(Arc::ptr_eq(
            one.0.as_ref().unwrap(),
            two.0.as_ref().unwrap()
        ));
        for n in 0..20 {
            checker
                .header(format!("<a xmlns='urn:{n}'>").as_bytes())
                .unwrap();
        }
        assert!(checker.known.len() <= 8);
    }

    #[test]
    fn documents_keep_their_text() {
        let doc = Document::parse("<a xmlns='urn:a'><b/></a>".to_owned()).unwrap();
        assert!(doc.root().child("urn:a", "b").is_some());
        let doc =
            Document::parse_within("<a><b/></a>".to_owned(), Scope::of_default("urn:s")).unwrap();
        assert!(doc.root().child("urn:s", "b").is_some());
        assert_eq!(
            Document::parse("<a>".to_owned()).err(),
            Some(XmlError::NotWellFormed)
        );
    }
}
