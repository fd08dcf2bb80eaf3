//! Namespaces: which names are fit to be forwarded, and what a stream header leaves declared for its stanzas.

use std::sync::Arc;

/// The namespace that the prefix `xml` is bound to without a declaration.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of declarations themselves; nothing may be bound to it.
pub(super) const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// A piece of a text, by bytes; texts are below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    pub fn of(self, text: &str) -> &str {
        &text[self.start as usize..(self.start + self.len) as usize]
    }
}

/// What a stream header declares for the stanzas after it: its prefixes and its default namespace.
///
/// Cheap to clone and to keep: streams with the same declarations share one record. The default is a scope where nothing is
/// declared, as for a WebSocket frame (RFC 7395 §3.3.3), which carries all that it needs.
#[derive(Clone, Debug, Default)]
pub struct Scope(pub(super) Option<Arc<Declared>>);

impl Scope {
    /// The default namespace, empty if none: that of an unprefixed stanza without `xmlns`.
    pub fn default_ns(&self) -> &str {
        self.declared().default_name()
    }

    /// A scope that only has a default namespace, for text that was cut out of a stream.
    pub fn of_default(ns: &str) -> Scope {
        let mut declared = Declared::nothing();
        declared.default = declared.keep(ns);
        Scope(Some(Arc::new(declared)))
    }

    /// Whether `tag` is the end tag of the header that this scope came from.
    pub(super) fn is_closed_by(&self, tag: &[u8]) -> bool {
        let declared = self.declared();
        tag.strip_prefix(b"</")
            .and_then(|rest| rest.strip_prefix(declared.name.of(&declared.text).as_bytes()))
            .and_then(|rest| rest.strip_suffix(b">"))
            .is_some_and(|space| {
                space
                    .iter()
                    .all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
            })
    }

    pub(super) fn declared(&self) -> &Declared {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

/// The declarations of one header; `text` holds every name that the spans cut out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub text: String,
    /// The header's name as written, prefix included.
    pub name: Span,
    pub default: Span,
    /// Prefix and namespace name, at most `limits::ATTRIBUTES`.
    pub prefixes: Vec<(Span, Span)>,
}

/// Around an element that carries all that it needs.
pub(super) static NOTHING: Declared = Declared::nothing();

impl Declared {
    pub const fn nothing() -> Declared {
        const EMPTY: Span = Span { start: 0, len: 0 };
        Declared {
            text: String::new(),
            name: EMPTY,
            default: EMPTY,
            prefixes: Vec::new(),
        }
    }

    /// The default namespace, empty if none.
    pub fn default_name(&self) -> &str {
        self.default.of(&self.text)
    }

    /// Adds a name to the text.
    pub fn keep(&mut self, name: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(name);
        Span {
            start,
            len: name.len() as u32,
        }
    }
}

/// Whether a namespace name as written is a URI reference that every parser takes as it is.
///
/// libxml2 refuses what does not parse as RFC 3986, and parsers that join namespace and local name by a separator (`|`, `}`,
/// a space, a line end) misread a name that holds it. Relative ones (`vcard-temp`) are in daily use. IP literals and user
/// information are left out: no namespace has them, and parsers differ over them. So are references (`&#97;`, `&amp;`): nobody
/// writes them here, and without them what is written is the name.
pub(super) fn is_uri(name: &str) -> bool {
    let bytes = name.as_bytes();
    let seen = bytes
        .iter()
        .fold(0, |seen, &b| seen | URI_BYTES[usize::from(b)]);
    if seen & FOREIGN != 0 {
        return false;
    }
    if seen & RARE != 0
        && !(percents_are_whole(bytes) && bytes.iter().filter(|&&b| b == b'#').count() <= 1)
    {
        return false;
    }
    // RFC 3986 §4.2: before the first delimiter a colon ends a scheme, or the name is none.
    let delimiter = bytes
        .iter()
        .position(|&b| URI_BYTES[usize::from(b)] & DELIMITER != 0)
        .unwrap_or(bytes.len());
    let rest = match bytes.get(delimiter) {
        Some(b':') if is_scheme(&bytes[..delimiter]) => &bytes[delimiter + 1..],
        Some(b':') => return false,
        _ => bytes,
    };
    match rest.strip_prefix(b"//") {
        Some(after) => {
            let end = after
                .iter()
                .position(|b| matches!(b, b'/' | b'?' | b'#'))
                .unwrap_or(after.len());
            is_authority(&after[..end])
        }
        None => true,
    }
}

/// A byte that no URI holds, an IP literal's bracket, or the start of a reference.
const FOREIGN: u8 = 1;
/// `%` and `#`, which have rules of their own.
const RARE: u8 = 2;
/// `:`, `/`, `?`, `#`, which end a scheme.
const DELIMITER: u8 = 4;

/// RFC 3986 appendix A, by byte.
const URI_BYTES: [u8; 256] = {
    let mut table = [FOREIGN; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'#' => RARE | DELIMITER,
            b'%' => RARE,
            b':' | b'/' | b'?' => DELIMITER,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => 0,
            b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => 0,
            _ => FOREIGN,
        };
        byte += 1;
    }
    table
};

fn percents_are_whole(bytes: &[u8]) -> bool {
    bytes.split(|&b| b == b'%').skip(1).all(|after| {
        matches!(after, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// `host [ ":" port ]`, without IP literals.
fn is_authority(authority: &[u8]) -> bool {
    let colon = authority
        .iter()
        .position(|&b| b == b':')
        .unwrap_or(authority.len());
    let (host, port) = authority.split_at(colon);
    host.iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
        && (port.is_empty()
            || ((2..=6).contains(&port.len()) && port[1..].iter().all(u8::is_ascii_digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_are_fit() {
        for name in [
            "jabber:client",
            "vcard-temp",
            "vcard-temp:x:update",
            "http://jabber.org/protocol/muc#user",
            "urn:xmpp:mam:2",
            "eu.siacs.conversations.axolotl",
            "http://www.w3.org/2005/Atom",
            "https://example.org:8443/x?a=1;b=%20",
            "urn:xmpp:jingle:apps:rtp:rtcp-fb:0",
            "storage:bookmarks",
        ] {
            assert!(is_uri(name), "{name}");
        }
    }

    #[test]
    fn separators_and_broken_uris_are_not() {
        for name in [
            "a b",
            "a\nb",
            "a\u{1}b",
            "a|b",
            "a}b",
            "a{b",
            "a\\b",
            "a^b",
            "a`b",
            "a\"b",
            "a<b",
            "a>b",
            "1:b",
            ":b",
            "a%zz",
            "a%1",
            "a#b#c",
            "http://[::1]/",
            "http://u@h/",
            "http://h:x/",
            "http://h:/",
            "größe",
            "_a:b",
            "a[b",
            "a&b",
        ] {
            assert!(!is_uri(name), "{name}");
        }
    }
}
