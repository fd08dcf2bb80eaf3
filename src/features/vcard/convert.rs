//! XEP-0292 §9: a vcard-temp in the words of vCard4 (RFC 6351), and back.

use crate::xml::{Element, Writer, written};
use crate::xmpp::ns::{VCARD, VCARD4};

/// What became of a vCard4.
#[derive(Debug, PartialEq, Eq)]
pub struct Converted {
    /// The vcard-temp.
    pub vcard: String,
    /// A `<vcard/>` with the properties that vcard-temp has no place for; empty without any.
    pub rest: String,
}

/// Elements of a vcard-temp that have a property in vCard4; the others are kept when a vCard4 replaces what it can say.
const KNOWN: [&str; 13] = [
    "FN", "N", "NICKNAME", "PHOTO", "BDAY", "ADR", "TEL", "EMAIL", "JABBERID", "TITLE", "ROLE",
    "ORG", "URL",
];
/// Both are a note in vCard4.
const NOTES: [&str; 2] = ["NOTE", "DESC"];

/// The parts of a name: XEP-0292 §9.1.3 has the middle name as an additional one.
const NAME_PARTS: [(&str, &str); 5] = [
    ("FAMILY", "surname"),
    ("GIVEN", "given"),
    ("MIDDLE", "additional"),
    ("PREFIX", "prefix"),
    ("SUFFIX", "suffix"),
];
/// The parts of an address.
const ADDRESS_PARTS: [(&str, &str); 7] = [
    ("POBOX", "pobox"),
    ("EXTADD", "ext"),
    ("STREET", "street"),
    ("LOCALITY", "locality"),
    ("REGION", "region"),
    ("PCODE", "code"),
    ("CTRY", "country"),
];
/// The kinds that both have (§9.3.1, §9.3.5).
const TYPES: [(&str, &str); 8] = [
    ("HOME", "home"),
    ("WORK", "work"),
    ("VOICE", "voice"),
    ("FAX", "fax"),
    ("PAGER", "pager"),
    ("MSG", "text"),
    ("CELL", "cell"),
    ("VIDEO", "video"),
];

/// A vcard-temp as vCard4, and behind it what only vCard4 has.
pub fn to_vcard4(vcard: Option<Element<'_>>, rest: Option<Element<'_>>) -> String {
    written(|out| {
        out.start("vcard").attr("xmlns", VCARD4);
        for child in vcard.iter().flat_map(Element::children) {
            if child.is_in(VCARD) {
                write_property(&child, out);
            }
        }
        for child in rest.iter().flat_map(Element::children) {
            out.raw(&child.standalone());
        }
        out.end();
    })
}

/// A vCard4 as vcard-temp. Of the vcard-temp that was there before stays what vCard4 has no word for, and the picture where there is none in the vCard4:
/// clients that keep theirs at the nodes of XEP-0084 leave it out, and do not mean that it shall go.
pub fn from_vcard4(vcard4: &Element<'_>, old: Option<Element<'_>>) -> Converted {
    let mut rest = Vec::new();
    let vcard = written(|out| {
        out.start("vCard").attr("xmlns", VCARD);
        let nicknames: Vec<String> = vcard4
            .children()
            .filter(|child| child.is(VCARD4, "nickname"))
            .flat_map(|child| values(&child))
            .collect();
        leaf(out, "NICKNAME", &nicknames.join(","));
        for child in vcard4.children() {
            if !child.is_in(VCARD4) || !write_element(&child, out) {
                rest.push(child);
            }
        }
        let has_picture = vcard4.child(VCARD4, "photo").is_some();
        for child in old.iter().flat_map(Element::children) {
            let known = KNOWN.iter().chain(&NOTES).any(|name| child.is(VCARD, name));
            if !known || (child.is(VCARD, "PHOTO") && !has_picture) {
                out.raw(&child.standalone());
            }
        }
        out.end();
    });
    let rest = match rest.is_empty() {
        true => String::new(),
        false => written(|out| {
            out.start("vcard").attr("xmlns", VCARD4);
            for child in rest {
                out.raw(&child.standalone());
            }
            out.end();
        }),
    };
    Converted { vcard, rest }
}

/// One element of a vcard-temp as a property; nothing where it is empty or has none.
fn write_property(element: &Element<'_>, out: &mut Writer<'_>) {
    let own = element.text();
    let own = own.trim();
    match element.name() {
        "FN" => property(out, "fn", "text", own),
        "TITLE" => property(out, "title", "text", own),
        "ROLE" => property(out, "role", "text", own),
        // §9.1.1.
        "NOTE" | "DESC" => property(out, "note", "text", own),
        "URL" => property(out, "url", "uri", own),
        "BDAY" => property(out, "bday", date_kind(own), own),
        // §9.1.2.
        "JABBERID" if !own.is_empty() => property(out, "impp", "uri", &format!("xmpp:{own}")),
        // vcard-temp separates several with commas.
        "NICKNAME" => own
            .split(',')
            .for_each(|name| property(out, "nickname", "text", name.trim())),
        "N" => parts(element, &NAME_PARTS, out, "n", false),
        "ADR" => parts(element, &ADDRESS_PARTS, out, "adr", true),
        "ORG" => {
            // RFC 6350 §6.6.4: the organisation, then its units.
            let names = element
                .children()
                .filter(|child| child.is(VCARD, "ORGNAME") || child.is(VCARD, "ORGUNIT"));
            let names: Vec<String> = names
                .map(|child| child.text().trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect();
            if !names.is_empty() {
                out.start("org");
                for name in &names {
                    out.leaf("text", name);
                }
                out.end();
            }
        }
        "EMAIL" => {
            let address = inner(element, "USERID");
            typed(element, out, "email", "text", &address);
        }
        "TEL" => {
            // §9.3.5; what is no number for a URI is text.
            let number = inner(element, "NUMBER");
            let dialled = |c: char| c.is_ascii_digit() || "+-.()*#".contains(c);
            match number.chars().all(dialled) {
                true if !number.is_empty() => {
                    typed(element, out, "tel", "uri", &format!("tel:{number}"));
                }
                _ => typed(element, out, "tel", "text", &number),
            }
        }
        "PHOTO" => {
            // §9.4.
            let (kind, data) = (inner(element, "TYPE"), inner(element, "BINVAL"));
            let data: String = data.split_ascii_whitespace().collect();
            match data.is_empty() {
                true => property(out, "photo", "uri", &inner(element, "EXTVAL")),
                false => property(out, "photo", "uri", &format!("data:{kind};base64,{data}")),
            }
        }
        _ => {}
    }
}

/// One property as an element of a vcard-temp; `false` where there is none for it.
fn write_element(property: &Element<'_>, out: &mut Writer<'_>) -> bool {
    let value = values(property).into_iter().next().unwrap_or_default();
    match property.name() {
        // Written before, all in one.
        "nickname" => {}
        "fn" => leaf(out, "FN", &value),
        "title" => leaf(out, "TITLE", &value),
        "role" => leaf(out, "ROLE", &value),
        "note" => leaf(out, "NOTE", &value),
        "url" => leaf(out, "URL", &value),
        "bday" => leaf(out, "BDAY", &value),
        "impp" => match value.strip_prefix("xmpp:") {
            Some(address) => leaf(out, "JABBERID", address),
            None => return false,
        },
        "n" => {
            out.start("N");
            write_parts(property, &NAME_PARTS, out);
            out.end();
        }
        "adr" => {
            out.start("ADR");
            flags(property, &TYPES[..2], out);
            write_parts(property, &ADDRESS_PARTS, out);
            out.end();
        }
        "org" => {
            out.start("ORG");
            for (place, name) in values(property).iter().enumerate() {
                leaf(out, if place == 0 { "ORGNAME" } else { "ORGUNIT" }, name);
            }
            out.end();
        }
        "email" => {
            out.start("EMAIL");
            flags(property, &TYPES[..2], out);
            out.leaf("INTERNET", "").leaf("USERID", &value).end();
        }
        "tel" => {
            out.start("TEL");
            flags(property, &TYPES, out);
            let number = value.strip_prefix("tel:").unwrap_or(&value);
            out.leaf("NUMBER", number).end();
        }
        "photo" => {
            out.start("PHOTO");
            let data = value.strip_prefix("data:");
            match data.and_then(|data| data.split_once(";base64,")) {
                Some((kind, data)) => out.leaf("TYPE", kind).leaf("BINVAL", data),
                None => out.leaf("EXTVAL", &value),
            };
            out.end();
        }
        _ => return false,
    }
    true
}

/// RFC 6351 §4: a date, a moment, or whatever somebody wrote.
fn date_kind(text: &str) -> &'static str {
    let digits = |c: char| c.is_ascii_digit() || c == '-';
    if text.contains('T') && text.starts_with(|c: char| c.is_ascii_digit()) {
        "date-time"
    } else if text.chars().all(digits) {
        "date"
    } else {
        "text"
    }
}

fn property(out: &mut Writer<'_>, name: &'static str, kind: &'static str, value: &str) {
    if !value.is_empty() {
        out.start(name).leaf(kind, value).end();
    }
}

/// A property whose element says which of several it is.
fn typed(
    element: &Element<'_>,
    out: &mut Writer<'_>,
    name: &'static str,
    kind: &'static str,
    value: &str,
) {
    if !value.is_empty() {
        out.start(name);
        parameters(element, out);
        out.leaf(kind, value).end();
    }
}

/// RFC 6351 §5: what the empty elements of a vcard-temp say of the one they stand in.
fn parameters(element: &Element<'_>, out: &mut Writer<'_>) {
    let has = |name: &str| element.child(VCARD, name).is_some();
    let types: Vec<&str> = TYPES
        .iter()
        .filter(|(temp, _)| has(temp))
        .map(|(_, name)| *name)
        .collect();
    if types.is_empty() && !has("PREF") {
        return;
    }
    out.start("parameters");
    if !types.is_empty() {
        out.start("type");
        for name in types {
            out.leaf("text", name);
        }
        out.end();
    }
    if has("PREF") {
        out.start("pref").leaf("integer", "1").end();
    }
    out.end();
}

/// The same backwards, for those of the kinds that the element can have.
fn flags(property: &Element<'_>, kinds: &[(&'static str, &str)], out: &mut Writer<'_>) {
    let Some(parameters) = property.child(VCARD4, "parameters") else {
        return;
    };
    let said: Vec<String> = parameters
        .children()
        .filter(|child| child.is(VCARD4, "type"))
        .flat_map(|child| values(&child))
        .map(|name| name.to_ascii_lowercase())
        .collect();
    for (temp, name) in kinds {
        if said.iter().any(|said| said == name) {
            out.leaf(temp, "");
        }
    }
    if parameters.child(VCARD4, "pref").is_some() {
        out.leaf("PREF", "");
    }
}

/// A structured property; nothing where all of its parts are empty.
fn parts(
    element: &Element<'_>,
    table: &[(&str, &'static str)],
    out: &mut Writer<'_>,
    name: &'static str,
    with_types: bool,
) {
    let values: Vec<String> = table.iter().map(|(part, _)| inner(element, part)).collect();
    if values.iter().all(String::is_empty) {
        return;
    }
    out.start(name);
    if with_types {
        parameters(element, out);
    }
    for ((_, part), value) in table.iter().zip(&values) {
        if !value.is_empty() {
            out.leaf(part, value);
        }
    }
    out.end();
}

/// The same backwards; several values of a part are separated by commas.
fn write_parts(property: &Element<'_>, table: &[(&'static str, &str)], out: &mut Writer<'_>) {
    for (temp, part) in table {
        let values: Vec<String> = property
            .children()
            .filter(|child| child.is(VCARD4, part))
            .map(|child| child.text().trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        leaf(out, temp, &values.join(","));
    }
}

/// The values of a property: the texts of its children, but for its parameters and empty ones.
fn values(property: &Element<'_>) -> Vec<String> {
    property
        .children()
        .filter(|child| child.is_in(VCARD4) && child.name() != "parameters")
        .map(|child| child.text().trim().to_owned())
        .filter(|value| !value.is_empty())
        .collect()
}

fn inner(element: &Element<'_>, name: &str) -> String {
    let child = element.child(VCARD, name);
    child.map_or_else(String::new, |child| child.text().trim().to_owned())
}

fn leaf(out: &mut Writer<'_>, name: &'static str, value: &str) {
    if !value.is_empty() {
        out.leaf(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn there(inside: &str) -> String {
        let vcard = Document::parse(format!("<vCard xmlns='vcard-temp'>{inside}</vCard>")).unwrap();
        let text = to_vcard4(Some(vcard.root()), None);
        let four = Document::parse(text).unwrap();
        four.root().inner().to_owned()
    }

    fn back(inside: &str) -> String {
        let vcard = Document::parse(format!("<vcard xmlns='{VCARD4}'>{inside}</vcard>")).unwrap();
        let converted = from_vcard4(&vcard.root(), None);
        assert_eq!(converted.rest, "");
        let temp = Document::parse(converted.vcard).unwrap();
        temp.root().inner().to_owned()
    }

    #[test]
    fn each_field_goes_there_and_back() {
        for (temp, four) in [
            (
                "<FN>Peter &amp; Co</FN>",
                "<fn><text>Peter &amp; Co</text></fn>",
            ),
            (
                "<N><FAMILY>Saint-Andre</FAMILY><GIVEN>Peter</GIVEN><MIDDLE>F.</MIDDLE></N>",
                "<n><surname>Saint-Andre</surname><given>Peter</given><additional>F.</additional></n>",
            ),
            (
                "<NICKNAME>stpeter,psa</NICKNAME>",
                "<nickname><text>stpeter</text></nickname><nickname><text>psa</text></nickname>",
            ),
            (
                "<EMAIL><HOME/><PREF/><INTERNET/><USERID>a@b.test</USERID></EMAIL>",
                "<email><parameters><type><text>home</text></type><pref><integer>1</integer></pref></parameters><text>a@b.test</text></email>",
            ),
            (
                "<TEL><WORK/><VOICE/><NUMBER>+1-303-308-3282</NUMBER></TEL>",
                "<tel><parameters><type><text>work</text><text>voice</text></type></parameters><uri>tel:+1-303-308-3282</uri></tel>",
            ),
            (
                "<TEL><NUMBER>303 555 1212</NUMBER></TEL>",
                "<tel><text>303 555 1212</text></tel>",
            ),
            (
                "<ORG><ORGNAME>XSF</ORGNAME><ORGUNIT>Board</ORGUNIT><ORGUNIT>Chair</ORGUNIT></ORG>",
                "<org><text>XSF</text><text>Board</text><text>Chair</text></org>",
            ),
            (
                "<TITLE>Director</TITLE>",
                "<title><text>Director</text></title>",
            ),
            ("<ROLE>Patron</ROLE>", "<role><text>Patron</text></role>"),
            (
                "<URL>https://a.test/?b&amp;c</URL>",
                "<url><uri>https://a.test/?b&amp;c</uri></url>",
            ),
            (
                "<BDAY>1966-08-06</BDAY>",
                "<bday><date>1966-08-06</date></bday>",
            ),
            (
                "<BDAY>1966-08-06T01:02:03Z</BDAY>",
                "<bday><date-time>1966-08-06T01:02:03Z</date-time></bday>",
            ),
            (
                "<BDAY>circa 1800</BDAY>",
                "<bday><text>circa 1800</text></bday>",
            ),
            (
                "<ADR><WORK/><EXTADD>Suite 600</EXTADD><STREET>1899 Wynkoop</STREET><LOCALITY>Denver</LOCALITY><REGION>CO</REGION><PCODE>80202</PCODE><CTRY>USA</CTRY></ADR>",
                "<adr><parameters><type><text>work</text></type></parameters><ext>Suite 600</ext><street>1899 Wynkoop</street><locality>Denver</locality><region>CO</region><code>80202</code><country>USA</country></adr>",
            ),
            (
                "<PHOTO><TYPE>image/png</TYPE><BINVAL>iVBORw0KGgo=</BINVAL></PHOTO>",
                "<photo><uri>data:image/png;base64,iVBORw0KGgo=</uri></photo>",
            ),
            (
                "<PHOTO><EXTVAL>https://a.test/me.png</EXTVAL></PHOTO>",
                "<photo><uri>https://a.test/me.png</uri></photo>",
            ),
            ("<NOTE>Hello</NOTE>", "<note><text>Hello</text></note>"),
            (
                "<JABBERID>a@b.test</JABBERID>",
                "<impp><uri>xmpp:a@b.test</uri></impp>",
            ),
        ] {
            assert_eq!(there(temp), four);
            assert_eq!(back(four), temp);
        }
    }

    #[test]
    fn what_is_empty_or_has_no_counterpart_is_left_out() {
        for temp in [
            "<FN/>",
            "<N><MIDDLE/></N>",
            "<TEL><WORK/><FAX/><NUMBER/></TEL>",
            "<EMAIL><USERID/></EMAIL>",
            "<ORG><ORGUNIT/></ORG>",
            "<PHOTO/>",
            "<ADR><HOME/></ADR>",
            "<MAILER>x</MAILER>",
            "<JABBERID/>",
        ] {
            assert_eq!(there(temp), "", "{temp}");
        }
        // Base64 comes in lines; a description is a note (§9.1.1).
        assert_eq!(
            there("<PHOTO><TYPE>image/png</TYPE><BINVAL>\niVBO\n Rw0K\n</BINVAL></PHOTO>"),
            "<photo><uri>data:image/png;base64,iVBORw0K</uri></photo>"
        );
        assert_eq!(
            there("<DESC>Hello</DESC>"),
            "<note><text>Hello</text></note>"
        );
    }

    #[test]
    fn each_form_keeps_what_the_other_has_no_word_for() {
        let old = "<vCard xmlns='vcard-temp'><FN>Old</FN><DESC>old</DESC><MAILER>m</MAILER><x xmlns='urn:x'>1</x></vCard>";
        let old = Document::parse(old.to_owned()).unwrap();
        let four = format!(
            "<vcard xmlns='{VCARD4}' xmlns:y='urn:y'><fn><text>New</text></fn><gender><sex><text>M</text></sex></gender>\
             <impp><uri>sip:a@b.test</uri></impp><y:z/></vcard>"
        );
        let four = Document::parse(four).unwrap();
        let new = from_vcard4(&four.root(), Some(old.root()));
        assert_eq!(
            new.vcard,
            "<vCard xmlns='vcard-temp'><FN>New</FN><MAILER xmlns='vcard-temp'>m</MAILER><x xmlns='urn:x'>1</x></vCard>"
        );
        let (vcard, rest) = (
            Document::parse(new.vcard).unwrap(),
            Document::parse(new.rest).unwrap(),
        );
        let again = to_vcard4(Some(vcard.root()), Some(rest.root()));
        let again = Document::parse(again).unwrap();
        let names: Vec<_> = again.root().children().map(|child| child.name()).collect();
        assert_eq!(names, ["fn", "gender", "impp", "z"]);
    }
}
