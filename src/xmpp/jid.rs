//! JIDs (RFC 6122, RFC 7622): parsed once at the edge into a type, normalised, at most 1023 bytes a part.
//!
//! Two JIDs are the same address exactly when their normalised texts are the same bytes, so all types here compare, order and hash by
//! that text. Normalising is a projection: a text that came out of here goes through unchanged.
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

pub use profiles::{prepare_domain, prepare_local, prepare_resource, prepare_with_later};

mod profiles;

/// Bytes of one part of a JID, before and after it is normalised (RFC 7622 §3.1); a longer part makes the JID malformed.
pub const PART_BYTES: usize = 1023;

/// The parts of `local@domain/resource`, to name the one that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands before the `@`.
    Local,
    /// What stands between the `@` and the `/`.
    Domain,
    /// What stands behind the first `/`.
    Resource,
}

/// Why a text is no JID; a stanza that carries it is answered with `jid-malformed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JidError {
    /// A part is there and empty, or normalises to nothing.
    Empty(Part),
    /// A part has more than [`PART_BYTES`] bytes.
    TooLong(Part),
    /// A part has a character that its profile forbids, or does not normalise to one stable text.
    Prohibited(Part),
}

impl fmt::Display for JidError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, what) = match self {
            JidError::Empty(part) => (part, "is empty"),
            JidError::TooLong(part) => (part, "is longer than 1023 bytes"),
            JidError::Prohibited(part) => (part, "has a character that is not allowed there"),
        };
        let part = match part {
            Part::Local => "the name before the @",
            Part::Domain => "the domain",
            Part::Resource => "the resource after the /",
        };
        write!(out, "{part} {what}")
    }
}

impl std::error::Error for JidError {}

/// A normalised JID of any form: `domain`, `local@domain`, either with `/resource`.
///
/// Borrows what it was parsed from when that was normalised already, and then costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jid<'a> {
    text: Cow<'a, str>,
    cut: Cut,
}

/// Where a normalised text splits. Parts are never empty, so a zero or the text's end says that a part is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    /// Bytes of the local part, 0 when there is none.
    local: u16,
    /// Bytes of the bare JID; the text's length when there is no resource.
    bare: u16,
}

impl Cut {
    fn new(local: Option<&str>, domain: &str) -> Cut {
        let local = local.map_or(0, str::len);
        let bare = if local == 0 {
            domain.len()
        } else {
            local + 1 + domain.len()
        };
        // A part has at most 1023 bytes, so this never truncates.
        Cut {
            local: local as u16,
            bare: bare as u16,
        }
    }

    fn local<'t>(&self, text: &'t str) -> Option<&'t str> {
        (self.local > 0).then(|| &text[..usize::from(self.local)])
    }

    fn domain<'t>(&self, text: &'t str) -> &'t str {
        let start = if self.local == 0 {
            0
        } else {
            usize::from(self.local) + 1
        };
        &text[start..usize::from(self.bare)]
    }

    fn bare<'t>(&self, text: &'t str) -> &'t str {
        &text[..usize::from(self.bare)]
    }

    fn resource<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(usize::from(self.bare) + 1..)
    }
}

impl<'a> Jid<'a> {
    /// Normalises `text`. No allocation when it is normalised ASCII already, as `anna@chat.test/phone`.
    pub fn parse(text: &'a str) -> Result<Jid<'a>, JidError> {
        // RFC 7622 §3.2: first the resource is cut off at the first '/', then the local part at the first '@', before any
        // normalising, so that a compatibility form of a separator (U+FF20) never separates.
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        let (local, domain) = match bare.split_once('@') {
            Some((local, domain)) => (Some(local), domain),
            None => (None, bare),
        };
        let parts = Parts::prepare(local, domain, resource)?;
        let cut = parts.cut();
        if parts.are_borrowed() && parts.bytes() == text.len() {
            return Ok(Jid {
                text: Cow::Borrowed(text),
                cut,
            });
        }
        Ok(Jid {
            text: Cow::Owned(parts.join()),
            cut,
        })
    }

    /// Normalises and joins parts.
    pub fn from_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Jid<'static>, JidError> {
        let parts = Parts::prepare(local, domain, resource)?;
        Ok(Jid {
            cut: parts.cut(),
            text: Cow::Owned(parts.join()),
        })
    }

    /// The part before the `@`.
    pub fn local(&self) -> Option<&str> {
        self.cut.local(&self.text)
    }

    /// The domain, without a trailing dot.
    pub fn domain(&self) -> &str {
        self.cut.domain(&self.text)
    }

    /// The part behind the first `/`.
    pub fn resource(&self) -> Option<&str> {
        self.cut.resource(&self.text)
    }

    /// The JID without its resource.
    pub fn bare(&self) -> &str {
        self.cut.bare(&self.text)
    }

    /// The whole normalised text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is no resource (`domain` is bare, too).
    pub fn is_bare(&self) -> bool {
        self.resource().is_none()
    }

    /// Whether there is a resource.
    pub fn is_full(&self) -> bool {
        self.resource().is_some()
    }

    /// Whether there is nothing but a domain.
    pub fn is_domain(&self) -> bool {
        self.cut.local == 0 && self.is_bare()
    }

    /// The same JID, borrowing nothing.
    pub fn into_owned(self) -> Jid<'static> {
        Jid {
            text: Cow::Owned(self.text.into_owned()),
            cut: self.cut,
        }
    }

    /// The bare JID as a value of its own (one allocation).
    pub fn to_bare(&self) -> BareJid {
        BareJid(Owned::new(self.bare(), self.cut))
    }

    /// The full JID as a value of its own (one allocation); `None` without a resource.
    pub fn to_full(&self) -> Option<FullJid> {
        self.is_full()
            .then(|| FullJid(Owned::new(self.as_str(), self.cut)))
    }
}

/// An owned `local@domain` or `domain`. A clone shares the text; usable as a map key that is looked up by `&str`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BareJid(Owned);

impl BareJid {
    /// Normalises and joins parts.
    pub fn new(local: Option<&str>, domain: &str) -> Result<BareJid, JidError> {
        Ok(Jid::from_parts(local, domain, None)?.to_bare())
    }

    /// Parses a text that must have no resource: with one, the resource is what is [`JidError::Prohibited`].
    pub fn parse(text: &str) -> Result<BareJid, JidError> {
        let jid = Jid::parse(text)?;
        if jid.is_full() {
            return Err(JidError::Prohibited(Part::Resource));
        }
        Ok(jid.to_bare())
    }

    /// The part before the `@`.
    pub fn local(&self) -> Option<&str> {
        self.0.cut.local(&self.0.text)
    }

    /// The domain, without a trailing dot.
    pub fn domain(&self) -> &str {
        self.0.cut.domain(&self.0.text)
    }

    /// The whole normalised text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Normalises `resource` and puts it behind this JID.
    pub fn with_resource(&self, resource: &str) -> Result<FullJid, JidError> {
        let resource = prepare_resource(resource)?;
        let text = [self.as_str(), &resource].join("/");
        Ok(FullJid(Owned::new(&text, self.0.cut)))
    }
}

/// An owned JID with a resource. A clone shares the text; usable as a map key that is looked up by `&str`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullJid(Owned);

impl FullJid {
    /// Normalises and joins parts.
    pub fn new(local: Option<&str>, domain: &str, resource: &str) -> Result<FullJid, JidError> {
        FullJid::try_from(Jid::from_parts(local, domain, Some(resource))?)
    }

    /// Parses a text that must have a resource: without one, the resource is what is [`JidError::Empty`].
    pub fn parse(text: &str) -> Result<FullJid, JidError> {
        FullJid::try_from(Jid::parse(text)?)
    }

    /// The part before the `@`.
    pub fn local(&self) -> Option<&str> {
        self.0.cut.local(&self.0.text)
    }

    /// The domain, without a trailing dot.
    pub fn domain(&self) -> &str {
        self.0.cut.domain(&self.0.text)
    }

    /// The JID without its resource.
    pub fn bare(&self) -> &str {
        self.0.cut.bare(&self.0.text)
    }

    /// The part behind the first `/`.
    pub fn resource(&self) -> &str {
        &self.0.text[usize::from(self.0.cut.bare) + 1..]
    }

    /// The whole normalised text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The bare JID as a value of its own (one allocation).
    pub fn to_bare(&self) -> BareJid {
        BareJid(Owned::new(self.bare(), self.0.cut))
    }
}

/// What both owned types are made of. A text has one cut, so comparing the cuts, too, changes nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owned {
    // Arc, not Rc: what is written or derived on another thread names its account by it.
    text: Arc<str>,
    cut: Cut,
}

impl Owned {
    fn new(text: &str, cut: Cut) -> Owned {
        Owned {
            text: text.into(),
            cut,
        }
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

impl Hash for Owned {
    /// The hash of the text alone, as `Borrow<str>` of the types above asks.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl From<Jid<'_>> for BareJid {
    /// Drops the resource.
    fn from(jid: Jid<'_>) -> BareJid {
        jid.to_bare()
    }
}

impl TryFrom<Jid<'_>> for FullJid {
    type Error = JidError;

    fn try_from(jid: Jid<'_>) -> Result<FullJid, JidError> {
        jid.to_full().ok_or(JidError::Empty(Part::Resource))
    }
}

impl<'a> From<&'a BareJid> for Jid<'a> {
    fn from(jid: &'a BareJid) -> Jid<'a> {
        Jid {
            text: Cow::Borrowed(&jid.0.text),
            cut: jid.0.cut,
        }
    }
}

impl<'a> From<&'a FullJid> for Jid<'a> {
    fn from(jid: &'a FullJid) -> Jid<'a> {
        Jid {
            text: Cow::Borrowed(&jid.0.text),
            cut: jid.0.cut,
        }
    }
}

impl<'a> From<&'a Jid<'_>> for Jid<'a> {
    fn from(jid: &'a Jid<'_>) -> Jid<'a> {
        Jid {
            text: Cow::Borrowed(&jid.text),
            cut: jid.cut,
        }
    }
}

impl FromStr for BareJid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<BareJid, JidError> {
        BareJid::parse(text)
    }
}

impl FromStr for FullJid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<FullJid, JidError> {
        FullJid::parse(text)
    }
}

impl Borrow<str> for BareJid {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for FullJid {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Jid<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Display for BareJid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Display for FullJid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Three normalised parts on their way into one text.
struct Parts<'a> {
    local: Option<Cow<'a, str>>,
    domain: Cow<'a, str>,
    resource: Option<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    fn prepare(
        local: Option<&'a str>,
        domain: &'a str,
        resource: Option<&'a str>,
    ) -> Result<Parts<'a>, JidError> {
        Ok(Parts {
            local: local.map(prepare_local).transpose()?,
            domain: prepare_domain(domain)?,
            resource: resource.map(prepare_resource).transpose()?,
        })
    }

    fn cut(&self) -> Cut {
        Cut::new(self.local.as_deref(), &self.domain)
    }

    fn are_borrowed(&self) -> bool {
        let borrowed = |part: &Cow<'_, str>| matches!(part, Cow::Borrowed(_));
        self.local.as_ref().is_none_or(borrowed)
            && borrowed(&self.domain)
            && self.resource.as_ref().is_none_or(borrowed)
    }

    fn bytes(&self) -> usize {
        let with_separator = |part: &Cow<'_, str>| part.len() + 1;
        self.local.as_ref().map_or(0, with_separator)
            + self.domain.len()
            + self.resource.as_ref().map_or(0, with_separator)
    }

    fn join(&self) -> String {
        let mut text = String::with_capacity(self.bytes());
        if let Some(local) = &self.local {
            text.push_str(local);
            text.push('@');
        }
        text.push_str(&self.domain);
        if let Some(resource) = &self.resource {
            text.push('/');
            text.push_str(resource);
        }
        text
    }
}

#[cfg(test)]
mod tests;
