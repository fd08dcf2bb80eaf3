//! What an account is found by (XEP-0055), out of its vCard: made whenever the vCard is kept.

use crate::limits;
use crate::store::Entry;
use crate::xml::Element;
use crate::xmpp::ns;

/// The entry of an account with this `<vCard xmlns='vcard-temp'/>`. Without `N` the full name is split at its last space.
pub fn entry_of(account: &str, vcard: &Element<'_>) -> Entry {
    let text = |parent: &Element<'_>, name: &str| {
        let child = parent.child(ns::VCARD, name);
        child.map_or_else(String::new, |child| short(&child.text()))
    };
    let within = |outer: &str, inner: &str| {
        let outer = vcard.child(ns::VCARD, outer);
        outer.map_or_else(String::new, |outer| text(&outer, inner))
    };
    let (mut first, mut last) = (within("N", "GIVEN"), within("N", "FAMILY"));
    if first.is_empty() && last.is_empty() {
        let full = text(vcard, "FN");
        let (given, family) = full.rsplit_once(' ').unwrap_or((&full, ""));
        (first, last) = (short(given), short(family));
    }
    Entry {
        account: account.to_owned(),
        first,
        last,
        nick: text(vcard, "NICKNAME"),
        email: within("EMAIL", "USERID"),
    }
}

/// A value without space around it, cut to `limits::ENTRY_FIELD_BYTES`.
fn short(text: &str) -> String {
    let text = text.trim();
    let mut end = text.len().min(limits::ENTRY_FIELD_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn entry(inside: &str) -> Entry {
        let text = format!("<vCard xmlns='vcard-temp'>{inside}</vCard>");
        entry_of("juliet", &Document::parse(text).unwrap().root())
    }

    #[test]
    fn an_entry_is_made_of_a_vcard() {
        let full = entry(
            "<FN>J C</FN><N><FAMILY>Capulet</FAMILY><GIVEN> Juliet </GIVEN></N><NICKNAME>JuliC</NICKNAME>\
             <EMAIL><USERID>juliet@shakespeare.lit</USERID></EMAIL><EMAIL><USERID>b@c</USERID></EMAIL>",
        );
        assert_eq!(
            full.values(),
            ["Juliet", "Capulet", "JuliC", "juliet@shakespeare.lit"]
        );
        let named = entry("<FN>Anna Maria Berg</FN>");
        assert_eq!(named.values(), ["Anna Maria", "Berg", "", ""]);
        assert_eq!(entry("<FN>Anna</FN>").values(), ["Anna", "", "", ""]);
        assert_eq!(entry("<TITLE>x</TITLE>").values(), [""; 4]);
        let long = entry(&format!("<NICKNAME>{}</NICKNAME>", "ä".repeat(1000)));
        assert!(long.nick.len() <= limits::ENTRY_FIELD_BYTES && long.nick.len() > 200);
    }
}
