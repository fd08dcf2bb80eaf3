//! Who is in a room: a person under a nickname, with a seat for each device (XEP-0045 §7.2.8: several sessions of one account share a nickname).

use super::presence::Shown;
use super::roles::{Role, Standing};
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::Affiliation;
use crate::xml::{Element, Writer, escaped, written};
use crate::xmpp::{BareJid, FullJid, Stanza, ns};
use std::rc::Rc;

/// A person in a room.
pub struct Occupant {
    /// The nickname, by Resourceprep.
    pub nick: Rc<str>,
    /// The nickname as it is compared: see [`key`].
    pub key: Box<str>,
    /// The occupant JID: the room's, with the nickname.
    pub jid: FullJid,
    /// Whose nickname it is.
    pub bare: BareJid,
    /// What they may do now.
    pub role: Role,
    /// What they are.
    pub affiliation: Affiliation,
    /// The id that others know them by (XEP-0421).
    pub id: Box<str>,
    /// The hats that they wear, as XML; empty without.
    pub hats: Box<str>,
    /// The devices; never empty.
    pub seats: Vec<Seat>,
    /// Their presence, as those who come are told it.
    pub written: Shown,
    /// Typing and presence of late, which others are not shown above a rate.
    pub passing: Rate,
    /// Whether the others have not been shown the last presence.
    pub untold: bool,
    /// When they last did anything here, in milliseconds since 1970.
    pub active_ms: u64,
}

/// How often something passed in a window of time.
#[derive(Clone, Copy, Default)]
pub struct Rate {
    since_ms: u64,
    count: u32,
}

impl Rate {
    /// Counts one more; whether it is still within `limits::ROOM_PASSING` of a window.
    pub fn allows(&mut self, now_ms: u64) -> bool {
        if self.count == 0 || now_ms.saturating_sub(self.since_ms) >= limits::ROOM_PASSING_MS {
            *self = Rate {
                since_ms: now_ms,
                count: 0,
            };
        }
        self.count += 1;
        self.count <= limits::ROOM_PASSING
    }
}

/// Who came into a room lately, and how often: everybody is told of each coming and going (§14.6).
#[derive(Default)]
pub struct Comings(Vec<(BareJid, Rate)>);

impl Comings {
    /// Counts one more coming of somebody; whether it is still within `limits::ROOM_PASSING` of a window.
    pub fn allows(&mut self, who: &BareJid, now_ms: u64) -> bool {
        self.0
            .retain(|(_, rate)| now_ms.saturating_sub(rate.since_ms) < limits::ROOM_PASSING_MS);
        match self.0.iter_mut().find(|(known, _)| known == who) {
            Some((_, rate)) => rate.allows(now_ms),
            None => {
                let mut rate = Rate::default();
                let allowed = rate.allows(now_ms);
                self.0.push((who.clone(), rate));
                allowed
            }
        }
    }
}

/// One device in a room.
pub struct Seat {
    /// Its session.
    pub session: SessionId,
    /// Its address.
    pub jid: FullJid,
    /// ` to='…'`, as it stands in all that it gets.
    pub to: Box<str>,
    /// Distinguishes the seats of a room, never used again: what stands in the ids of requests that pass through the room.
    pub number: u32,
    /// What it says of itself: the children of its last presence that others may see.
    pub said: Rc<str>,
    /// The end of that which the server put there (XEP-0398 §4): the hash of the picture, for those alone who may know whose it is (§8).
    pub photo: Option<Rc<str>>,
}

impl Occupant {
    /// The device whose presence the others see: the one that spoke last.
    pub fn shown(&self) -> &Seat {
        self.seats.last().expect("an occupant has a seat")
    }

    /// What they are and may.
    pub fn standing(&self) -> Standing {
        Standing {
            affiliation: self.affiliation,
            role: Some(self.role),
        }
    }
}

impl Seat {
    /// A device with what it says of itself.
    pub fn new(session: SessionId, jid: FullJid, number: u32, said: Said) -> Seat {
        let to = format!(" to='{}'", escaped(jid.as_str()));
        Seat {
            session,
            jid,
            to: to.into(),
            number,
            said: said.all,
            photo: said.photo,
        }
    }
}

/// Children of a presence that only the room may say, or that are for the room alone (§17.3).
const OWN: &[&str] = &[
    ns::MUC,
    ns::MUC_USER,
    ns::OCCUPANT_ID,
    ns::HATS,
    ns::STANZA_ID,
    ns::MAV,
    ns::DELAY,
];

/// What others may see of a presence, as XML that reads the same in any presence.
pub struct Said {
    /// All of it.
    pub all: Rc<str>,
    /// The end of it that is for those alone who see the JID; none where there is no picture.
    pub photo: Option<Rc<str>>,
}

/// What a presence says; `photo` stands at its end, in place of what it says of a picture, if not empty.
pub fn said(stanza: &Stanza<'_>, photo: &str) -> Said {
    let root = stanza.xml.root();
    let lang = root.attr("xml:lang");
    let lang = lang.as_deref().or(stanza.lang.as_deref());
    let all = written(|out| {
        for child in root.children() {
            if child.is_in(ns::CLIENT) {
                plain(out, child, lang);
            } else if !OWN.iter().any(|space| child.is_in(space))
                && (photo.is_empty() || !child.is(ns::VCARD_UPDATE, "x"))
            {
                out.raw(&child.standalone());
            }
        }
        out.raw(photo);
    });
    Said {
        all: all.into(),
        photo: (!photo.is_empty()).then(|| photo.into()),
    }
}

/// RFC 6121 §4.7.2: the children of a presence's own namespace.
fn plain(out: &mut Writer<'_>, child: Element<'_>, lang: Option<&str>) {
    let name = match child.name() {
        "show" => "show",
        "status" => "status",
        "priority" => "priority",
        _ => return,
    };
    out.start(name);
    if name == "status" {
        let own = child.attr("xml:lang");
        out.attr_opt("xml:lang", own.as_deref().or(lang));
    }
    out.text(&child.text()).end();
}

/// Characters of other scripts that look like Latin letters, and the letters: who takes "аdmin" with a Cyrillic а would be taken for admin (§14.6).
const LOOKALIKES: &[(char, char)] = &[
    ('а', 'a'),
    ('в', 'b'),
    ('с', 'c'),
    ('ԁ', 'd'),
    ('е', 'e'),
    ('ё', 'e'),
    ('һ', 'h'),
    ('н', 'h'),
    ('і', 'i'),
    ('ї', 'i'),
    ('ј', 'j'),
    ('к', 'k'),
    ('м', 'm'),
    ('о', 'o'),
    ('р', 'p'),
    ('ԛ', 'q'),
    ('ѕ', 's'),
    ('т', 't'),
    ('ԝ', 'w'),
    ('х', 'x'),
    ('у', 'y'),
    ('α', 'a'),
    ('β', 'b'),
    ('ε', 'e'),
    ('η', 'n'),
    ('ι', 'i'),
    ('κ', 'k'),
    ('μ', 'm'),
    ('ν', 'v'),
    ('ο', 'o'),
    ('ρ', 'p'),
    ('τ', 't'),
    ('υ', 'u'),
    ('χ', 'x'),
    ('ı', 'i'),
    ('ɑ', 'a'),
    ('ɡ', 'g'),
];

/// A nickname as it is compared with others: two that look the same are the same. Resourceprep has gone before; what is left is case, space, marks that
/// nobody sees, and letters of other scripts.
pub fn key(nick: &str) -> Box<str> {
    let mut key = String::with_capacity(nick.len());
    for c in nick.chars().flat_map(char::to_lowercase) {
        if c.is_whitespace() || is_invisible(c) {
            continue;
        }
        let plain = LOOKALIKES.iter().find(|(other, _)| *other == c);
        key.push(plain.map_or(c, |(_, latin)| *latin));
    }
    key.into()
}

/// Marks of format and direction, joiners, fillers, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (one, other) in [
            ("Admin", "admin"),
            ("admin", "аdmin"),
            ("third witch", "thirdwitch "),
            ("third\u{200b}witch", "thirdwitch"),
            ("ΑΔΑ", "αδα"),
        ] {
            assert_eq!(key(one), key(other), "{one:?} {other:?}");
        }
        assert_ne!(key("anna"), key("ann"));
        assert_ne!(key("müller"), key("muller"));
        assert_eq!(&*key(" \u{200b}\u{3164}"), "");
    }
}
