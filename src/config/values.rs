//! Values of keys: what may stand in the file for each kind of them, and how it is shown again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::Config;
use crate::limits;

/// A value of the file, and the bytes that it stands in.
pub(super) type Value<'a> = toml::Spanned<DeValue<'a>>;

/// Why a value is refused; `at` is the offending byte where it is not the value's first.
pub(super) struct Refused {
    pub(super) at: Option<usize>,
    pub(super) why: String,
}

impl From<String> for Refused {
    fn from(why: String) -> Refused {
        Refused { at: None, why }
    }
}

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::from(why.into()))
}

/// A domain by the rules of a JID's domainpart (RFC 6122 §2.2): nameprep, labels of letters, digits and hyphens, no final dot.
pub(super) fn domain(text: &str) -> Result<String, Refused> {
    let example = "write a host name such as \"chat.example.org\" or \"raspberrypi.local\"";
    let prepared = stringprep::nameprep(text).map_err(|_| {
        Refused::from(format!(
            "{text:?} has characters that no domain may have; {example}"
        ))
    })?;
    let name = prepared.strip_suffix('.').unwrap_or(&prepared);
    if name.len() > 1023 {
        return refuse(format!("a domain has at most 1023 bytes; {example}"));
    }
    for label in name.split('.') {
        let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-';
        if label.is_empty()
            || label.len() > 63
            || label.starts_with('-')
            || label.ends_with('-')
            || !label.chars().all(allowed)
        {
            return refuse(format!("{text:?} is not a domain; {example}"));
        }
    }
    Ok(name.to_owned())
}

/// The part of a room's address before the @, by the rules of a JID's localpart (RFC 6122 §2.3).
pub(super) fn room_name(text: &str) -> Result<String, Refused> {
    let prepared = stringprep::nodeprep(text).unwrap_or_default();
    let allowed = |c: char| !"\"&'/:<>@".contains(c) && !c.is_whitespace();
    if prepared.is_empty() || prepared.len() > 100 || !prepared.chars().all(allowed) {
        return refuse(format!(
            "{text:?} cannot stand before an @; write a short name such as \"lobby\""
        ));
    }
    Ok(prepared.into_owned())
}

pub(super) fn text<'a>(value: &'a Value<'_>) -> Result<&'a str, Refused> {
    value
        .get_ref()
        .as_str()
        .ok_or_else(|| Refused::from("this must be text in double quotes".to_owned()))
}

pub(super) fn truth(value: &Value) -> Result<bool, Refused> {
    match value.get_ref() {
        DeValue::Boolean(truth) => Ok(*truth),
        _ => refuse("this must be true or false"),
    }
}

/// A short text for people.
pub(super) fn label(value: &Value) -> Result<String, Refused> {
    match text(value)?.trim() {
        "" => refuse("this must not be empty"),
        label if label.len() > 100 || label.contains(char::is_control) => {
            refuse("this must be one line of at most 100 bytes")
        }
        label => Ok(label.to_owned()),
    }
}

/// A list of URIs (RFC 3986 §3, as far as an operator may mistype one).
pub(super) fn uris(value: &Value) -> Result<Vec<String>, Refused> {
    let example = "such as \"mailto:admin@example.org\", \"xmpp:admin@example.org\" or \"https://example.org/\"";
    let DeValue::Array(items) = value.get_ref() else {
        return refuse(format!(
            "this must be a list, in square brackets, of addresses {example}"
        ));
    };
    if items.len() > limits::CONTACT_ADDRESSES {
        return refuse(format!(
            "these are more than {} addresses; leave some out",
            limits::CONTACT_ADDRESSES
        ));
    }
    let mut addresses = Vec::new();
    for item in items.iter() {
        let text = item.get_ref().as_str().unwrap_or_default();
        if !is_uri(text) {
            return Err(Refused {
                at: Some(item.span().start),
                why: format!("{text:?} is no address; write one {example}"),
            });
        }
        addresses.push(text.to_owned());
    }
    Ok(addresses)
}

pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let whole = match scheme {
        "mailto" | "xmpp" => !rest.is_empty() && (scheme == "xmpp" || rest.contains('@')),
        "http" | "https" => rest.len() > 2 && rest.starts_with("//"),
        _ => !rest.is_empty(),
    };
    whole
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(letters)
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c))
}

/// 0 for "no limit", or a number within the bounds.
pub(super) fn zero_or(value: &Value, least: u32, most: u32) -> Result<u32, Refused> {
    zero_meaning("no limit", value, least, most)
}

pub(super) fn off_or(value: &Value, least: u32, most: u32) -> Result<u32, Refused> {
    zero_meaning("off", value, least, most)
}

pub(super) fn zero_meaning(
    what: &str,
    value: &Value,
    least: u32,
    most: u32,
) -> Result<u32, Refused> {
    let number = match value.get_ref() {
        DeValue::Integer(digits) => u32::from_str_radix(digits.as_str(), digits.radix()).ok(),
        _ => None,
    };
    match number {
        Some(number) if number == 0 || (least..=most).contains(&number) => Ok(number),
        _ => refuse(format!(
            "this must be 0 ({what}) or a whole number from {least} to {most}"
        )),
    }
}

pub(super) fn addresses(value: &Value) -> Result<Vec<SocketAddr>, Refused> {
    let example = "such as \"[::]:5222\" or \"192.168.1.2:5222\"";
    let DeValue::Array(items) = value.get_ref() else {
        return refuse(format!(
            "this must be a list, in square brackets, of addresses with a port, {example}"
        ));
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for item in items.iter() {
        let refused = |why: String| Refused {
            at: Some(item.span().start),
            why,
        };
        let text = item.get_ref().as_str();
        let Some(address) = text.and_then(|text| text.parse::<SocketAddr>().ok()) else {
            let shown =
                text.map_or_else(|| "one of the list".to_owned(), |text| format!("{text:?}"));
            return Err(refused(format!(
                "{shown} is not an IP address with a port; write one {example}"
            )));
        };
        if address.port() != 0 && addresses.contains(&address) {
            return Err(refused(format!("{address} is there twice; leave one out")));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// A path, relative to the configuration file, of a file that can be opened now.
pub(super) fn readable_file(config: &Config, value: &Value) -> Result<PathBuf, Refused> {
    let base = config
        .file
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    let path = base.join(text(value)?);
    match std::fs::File::open(&path).and_then(|file| file.metadata()) {
        Ok(about) if about.is_file() => Ok(path),
        Ok(_) => refuse(format!("{} is not a file; name a PEM file", path.display())),
        Err(error) => refuse(format!(
            "{} cannot be read: {error}; name a PEM file that snug's user may read",
            path.display()
        )),
    }
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

pub(super) fn texts(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

pub(super) fn list(addresses: &[SocketAddr]) -> String {
    let quoted: Vec<String> = addresses
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    format!("[{}]", quoted.join(", "))
}
