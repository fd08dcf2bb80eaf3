//! The stringprep profiles of the three parts (RFC 6122), each behind a path for ASCII that borrows.
use std::borrow::Cow;
use std::net::Ipv6Addr;

use stringprep::tables;

use super::{JidError, PART_BYTES, Part};

/// Normalises a local part by nodeprep (RFC 6122 appendix A); borrows when nothing changes.
pub fn prepare_local(text: &str) -> Result<Cow<'_, str>, JidError> {
    check_length(Part::Local, text)?;
    if all_of(text, LOCAL) {
        return Ok(Cow::Borrowed(text));
    }
    if text.is_ascii() {
        let lower = text.to_ascii_lowercase();
        return if all_of(&lower, LOCAL) {
            Ok(Cow::Owned(lower))
        } else {
            Err(JidError::Prohibited(Part::Local))
        };
    }
    stable(Part::Local, text, |text| {
        stringprep::nodeprep(text).ok().map(Cow::into_owned)
    })
}

/// Normalises a domain by nameprep (RFC 6122 §2.2) and removes one trailing dot; borrows when it changes nothing else.
///
/// Of ASCII only letters, digits, `-`, `.` and `_` are left: the underscore is no host name's (RFC 1123), but names with it are found on
/// home networks. `[::1]` is allowed and brought to its canonical form. Labels are not looked up as IDNA: an A-label stays one.
pub fn prepare_domain(text: &str) -> Result<Cow<'_, str>, JidError> {
    check_length(Part::Domain, text)?;
    if text.starts_with('[') {
        return prepare_address(text);
    }
    // RFC 7622 §3.2: the dot goes before anything else is done.
    let text = text.strip_suffix('.').unwrap_or(text);
    let domain = if all_of(text, DOMAIN) {
        Cow::Borrowed(text)
    } else if text.is_ascii() {
        let lower = text.to_ascii_lowercase();
        if !all_of(&lower, DOMAIN) {
            return Err(JidError::Prohibited(Part::Domain));
        }
        Cow::Owned(lower)
    } else {
        stable(Part::Domain, text, domain_profile)?
    };
    if domain.is_empty() {
        return Err(JidError::Empty(Part::Domain));
    }
    if domain.starts_with('.') || domain.ends_with('.') || domain.contains("..") {
        return Err(JidError::Prohibited(Part::Domain));
    }
    Ok(domain)
}

/// Normalises a resource by resourceprep (RFC 6122 appendix B); borrows when nothing changes. `@` and `/` are ordinary characters here.
///
/// Code points that Unicode 3.2 did not assign are let through (RFC 3454 §7 calls that a query): they hold every emoji, which people
/// put into their nicknames, and RFC 7622 allows them.
pub fn prepare_resource(text: &str) -> Result<Cow<'_, str>, JidError> {
    check_length(Part::Resource, text)?;
    if all_of(text, RESOURCE) {
        return Ok(Cow::Borrowed(text));
    }
    stable(Part::Resource, text, resource_profile)
}

fn check_length(part: Part, text: &str) -> Result<(), JidError> {
    match text.len() {
        0 => Err(JidError::Empty(part)),
        1..=PART_BYTES => Ok(()),
        _ => Err(JidError::TooLong(part)),
    }
}

/// Applies a profile twice: stringprep is not idempotent for every input (normalising can give what case folding would change again), and
/// a JID that is another one the second time it is parsed would be two addresses.
fn stable<'a>(
    part: Part,
    text: &'a str,
    profile: fn(&str) -> Option<String>,
) -> Result<Cow<'a, str>, JidError> {
    let once = profile(text).ok_or(JidError::Prohibited(part))?;
    check_length(part, &once)?;
    if once == text {
        return Ok(Cow::Borrowed(text));
    }
    if profile(&once).is_none_or(|twice| twice != once) {
        return Err(JidError::Prohibited(part));
    }
    Ok(Cow::Owned(once))
}

fn domain_profile(text: &str) -> Option<String> {
    // RFC 3490 §3.1: the ideographic full stop separates labels, too; its wide and half-width forms are mapped to it or to '.' by NFKC.
    let mut domain = stringprep::nameprep(text).ok()?.replace('\u{3002}', ".");
    if domain.ends_with('.') {
        domain.pop();
    }
    // nameprep leaves ASCII alone, and normalising can bring some in: U+2100 becomes "a/c".
    let allowed =
        |character: char| !character.is_ascii() || CLASSES[character as usize] & DOMAIN != 0;
    domain.chars().all(allowed).then_some(domain)
}

fn resource_profile(text: &str) -> Option<String> {
    prepare_with_later(text, |piece| {
        Some(stringprep::resourceprep(piece).ok()?.into_owned())
    })
}

/// Applies a stringprep profile, with the code points of later Unicode versions passed through (RFC 3454 §7 calls that a query). The tables
/// of RFC 3454 are those of Unicode 3.2, for which such a code point neither decomposes, nor combines, nor has a direction; so what stands
/// between them is prepared piece by piece. `None`: the profile or RFC 7622 §3.4 refuses the text.
pub fn prepare_with_later(text: &str, profile: fn(&str) -> Option<String>) -> Option<String> {
    let mut prepared = String::with_capacity(text.len());
    let mut start = 0;
    for (at, character) in text.char_indices() {
        if tables::unassigned_code_point(character) {
            if is_invisible(character) || tables::non_character_code_point(character) {
                return None;
            }
            prepared.push_str(&profile(&text[start..at])?);
            prepared.push(character);
            start = at + character.len_utf8();
        }
    }
    prepared.push_str(&profile(&text[start..])?);
    // The pieces were checked one by one; RFC 3454 §6 speaks of the whole.
    if prepared.contains(tables::bidi_r_or_al) {
        let ends = [prepared.chars().next()?, prepared.chars().next_back()?];
        if prepared.contains(tables::bidi_l) || !ends.into_iter().all(tables::bidi_r_or_al) {
            return None;
        }
    }
    Some(prepared)
}

/// Later code points that show nothing or turn the direction of text: RFC 7622 §3.4 (its FreeformClass) forbids them, and two resources
/// that differ only in them look the same.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{061C}' | '\u{180F}' | '\u{2064}'..='\u{2069}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{13430}'..='\u{1343F}' | '\u{E0000}'..='\u{E0FFF}')
}

/// RFC 7622 §3.2: an IP literal stands in square brackets.
fn prepare_address(text: &str) -> Result<Cow<'_, str>, JidError> {
    let address: Ipv6Addr = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .and_then(|address| address.parse().ok())
        .ok_or(JidError::Prohibited(Part::Domain))?;
    let canonical = format!("[{address}]");
    Ok(if canonical == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(canonical)
    })
}

fn all_of(text: &str, class: u8) -> bool {
    text.bytes()
        .fold(class, |seen, byte| seen & CLASSES[usize::from(byte)])
        != 0
}

const LOCAL: u8 = 1;
const DOMAIN: u8 = 2;
const RESOURCE: u8 = 4;

/// For each byte, the parts in which it stands for itself: normalised ASCII, no upper case before the `/`.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        let mut class = RESOURCE;
        // RFC 6122 appendix A.5 (nodeprep's own list), and no space.
        if !matches!(
            byte,
            b' ' | b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@' | b'A'..=b'Z'
        ) {
            class |= LOCAL;
        }
        if matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_') {
            class |= DOMAIN;
        }
        classes[byte as usize] = class;
        byte += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::super::Jid;
    use super::*;

    #[test]
    fn preparing_twice_is_preparing_once() {
        let mut state = 0x5eed;
        let (mut good, mut bad) = (0, 0);
        for round in 0..200_000 {
            let text = random_text(&mut state, 4);
            for prepare in [prepare_local, prepare_domain, prepare_resource] {
                match prepare(&text) {
                    Ok(once) => {
                        good += 1;
                        assert!((1..=PART_BYTES).contains(&once.len()));
                        assert_eq!(
                            prepare(&once).as_deref(),
                            Ok(&*once),
                            "round {round}: {text:?}"
                        );
                    }
                    Err(_) => bad += 1,
                }
            }
            if let Ok(jid) = Jid::parse(&text) {
                let again = Jid::parse(jid.as_str()).unwrap();
                assert_eq!(
                    (again.local(), again.domain(), again.resource()),
                    (jid.local(), jid.domain(), jid.resource()),
                    "round {round}: {text:?}"
                );
            }
        }
        assert!(
            good > 50_000 && bad > 50_000,
            "{good} accepted, {bad} refused: the generator tests only one side"
        );
    }

    #[test]
    fn every_character_alone_is_stable() {
        // The planes in which anything is assigned; what lies beyond is the random texts' part.
        for character in '\0'..'\u{30000}' {
            let text = character.to_string();
            for prepare in [prepare_local, prepare_domain, prepare_resource] {
                if let Ok(once) = prepare(&text) {
                    assert_eq!(prepare(&once).as_deref(), Ok(&*once), "{character:?}");
                }
            }
        }
    }

    #[test]
    fn the_ascii_path_agrees_with_stringprep() {
        for byte in 0..0x80u8 {
            let text = format!("a{}b", char::from(byte));
            assert_eq!(
                prepare_local(&text).ok(),
                stringprep::nodeprep(&text).ok(),
                "{text:?}"
            );
            assert_eq!(
                prepare_resource(&text).ok(),
                stringprep::resourceprep(&text).ok(),
                "{text:?}"
            );
            if let Ok(domain) = prepare_domain(&text) {
                assert_eq!(domain, stringprep::nameprep(&text).unwrap());
            }
        }
    }

    /// Characters that stringprep treats in some way of its own, and random ones.
    fn random_text(state: &mut u64, longest: u64) -> String {
        let mut next = |below: u64| {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            (*state >> 11) % below
        };
        (0..next(longest) + 1)
            .filter_map(|_| {
                char::from_u32(match next(12) {
                    0..=3 => next(0x80) as u32,
                    4 => next(0x250) as u32,
                    5 => 0x300 + next(0x70) as u32,
                    6 => 0x370 + next(0x390) as u32,
                    7 => 0x1E00 + next(0x500) as u32,
                    8 => 0x2000 + next(0x1000) as u32,
                    9 => 0xF900 + next(0x6FF) as u32,
                    10 => 0x1D400 + next(0x400) as u32,
                    _ => next(0x11_0000) as u32,
                })
            })
            .collect()
    }
}
