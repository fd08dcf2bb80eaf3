//! References and normalisation: from source text to the characters that a parser reports.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};

use super::XmlError;

/// Checks every reference in `source` (character data or an attribute value, never CDATA).
///
/// Only the five predefined entities exist: any other name is `Restricted` (RFC 6120 §11.1). A character reference must
/// name a character that XML 1.0 allows; what is neither is `NotWellFormed`.
pub(super) fn check_references(source: &str) -> Result<(), XmlError> {
    let mut rest = source;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        let (_, after) = first_reference(&rest[at..])?;
        rest = &rest[at + after..];
    }
    Ok(())
}

/// Character data of checked source, CDATA sections included, as a parser reports it: line ends become `\n`.
pub(super) fn text(source: &str) -> Cow<'_, str> {
    if memchr3(b'&', b'<', b'\r', source.as_bytes()).is_none() {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    push_text(&mut out, source);
    Cow::Owned(out)
}

/// Appends what [`text`] returns.
pub(super) fn push_text(out: &mut String, source: &str) {
    const OPEN: &str = "<![CDATA[";
    const CLOSE: &str = "]]>";
    let mut rest = source;
    while let Some(at) = memchr3(b'&', b'<', b'\r', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = match rest.as_bytes()[0] {
            b'&' => push_reference(out, rest),
            b'\r' => push_line_end(out, rest, '\n'),
            _ => {
                let inside = rest.strip_prefix(OPEN).unwrap_or("");
                let (data, after) = inside.split_once(CLOSE).unwrap_or((inside, ""));
                push_cdata(out, data);
                after
            }
        };
    }
    out.push_str(rest);
}

/// An attribute value of checked source, normalised (XML 1.0 §3.3.3): white space becomes spaces, references are
/// replaced.
pub(super) fn value(source: &str) -> Cow<'_, str> {
    let bytes = source.as_bytes();
    if memchr3(b'\t', b'\n', b'\r', bytes).is_none() && memchr(b'&', bytes).is_none() {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest
        .bytes()
        .position(|b| matches!(b, b'&' | b'\t' | b'\n' | b'\r'))
    {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = match rest.as_bytes()[0] {
            b'&' => push_reference(&mut out, rest),
            b'\r' => push_line_end(&mut out, rest, ' '),
            _ => {
                out.push(' ');
                &rest[1..]
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn push_cdata(out: &mut String, data: &str) {
    let mut rest = data;
    while let Some(at) = memchr(b'\r', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = push_line_end(out, &rest[at..], '\n');
    }
    out.push_str(rest);
}

/// `\r\n` and `\r` are one line end (XML 1.0 §2.11).
fn push_line_end<'a>(out: &mut String, source: &'a str, as_what: char) -> &'a str {
    out.push(as_what);
    source.strip_prefix("\r\n").unwrap_or(&source[1..])
}

/// Replaces the reference that `source` begins with; checked source has no other.
fn push_reference<'a>(out: &mut String, source: &'a str) -> &'a str {
    match first_reference(source) {
        Ok((c, len)) => {
            out.push(c);
            &source[len..]
        }
        Err(_) => {
            out.push('&');
            &source[1..]
        }
    }
}

/// The character that the reference at the start of `source` stands for, and the reference's length in bytes.
fn first_reference(source: &str) -> Result<(char, usize), XmlError> {
    // A longer one would have to be padded with zeros; no name that we know is this long either.
    const LONGEST: usize = 64;
    let bytes = source.as_bytes();
    let window = &bytes[..bytes.len().min(LONGEST)];
    let end = memchr2(b';', b'<', window)
        .filter(|&end| window[end] == b';')
        .ok_or(XmlError::NotWellFormed)?;
    let c = match &bytes[1..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"apos" => '\'',
        b"quot" => '"',
        [b'#', b'x', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        [first, rest @ ..] if is_name_byte(*first) && rest.iter().all(|&b| is_name_byte(b)) => {
            return Err(XmlError::Restricted);
        }
        _ => return Err(XmlError::NotWellFormed),
    };
    Ok((c, end + 1))
}

/// Only tells an entity's name from garbage, to choose the error; both end the stream.
fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':') || b >= 0x80
}

fn number(digits: &[u8], radix: u32) -> Result<char, XmlError> {
    if digits.is_empty() {
        return Err(XmlError::NotWellFormed);
    }
    let mut code: u32 = 0;
    for &digit in digits {
        let digit = char::from(digit)
            .to_digit(radix)
            .ok_or(XmlError::NotWellFormed)?;
        code = code.saturating_mul(radix).saturating_add(digit);
    }
    // XML 1.0 §2.2 and the constraint Legal Character of §4.1. `from_u32` leaves out the surrogates.
    match char::from_u32(code) {
        Some(
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}',
        )
        | None => Err(XmlError::NotWellFormed),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        assert_eq!(
            check_references("a &amp;&lt;&gt;&apos;&quot;&#65;&#x1F600; b"),
            Ok(())
        );
        assert_eq!(check_references("&#0000000065;"), Ok(()));
        for bad in [
            "&",
            "&;",
            "& ",
            "&amp",
            "&#;",
            "&#x;",
            "&#X41;",
            "&#xD800;",
            "&#xDFFF;",
            "&#xFFFE;",
            "&#xFFFF;",
            "&#0;",
            "&#8;",
            "&#x1F;",
            "&#x110000;",
            "&#99999999999999;",
            "&# 65;",
            "&#65",
            "&#-1;",
            "&#+65;",
            "&a b;",
            "&#x4_1;",
            "&amp<b/>;",
        ] {
            assert_eq!(check_references(bad), Err(XmlError::NotWellFormed), "{bad}");
        }
        for entity in ["&lol;", "&AMP;", "&nbsp;", "x&a.b;"] {
            assert_eq!(
                check_references(entity),
                Err(XmlError::Restricted),
                "{entity}"
            );
        }
    }

    #[test]
    fn text_is_decoded() {
        assert_eq!(text("plain"), Cow::Borrowed("plain"));
        assert_eq!(
            text("a&amp;b\r\nc\rd&#13;<![CDATA[<&amp;\r\n]]>e"),
            "a&b\nc\nd\r<&amp;\ne"
        );
    }

    #[test]
    fn values_are_normalised() {
        assert_eq!(value("plain"), Cow::Borrowed("plain"));
        assert_eq!(value("a\tb\r\nc\rd\ne&#10;f&#x9;&lt;"), "a b c d e\nf\t<");
    }
}
