//! XEP-0045 §7.2.13, §7.2.14: what was said lately, for who enters: as much as the room gives, and as little as the client wants.

use crate::limits;
use crate::xml::Element;
use crate::xmpp::{ns, time};
use std::collections::VecDeque;
use std::rc::Rc;

/// What was said lately, the oldest first.
#[derive(Default)]
pub struct History {
    lines: VecDeque<Line>,
    /// Whether what the archive has of it was read, or there was nothing to read.
    pub is_read: bool,
}

/// One message as it was sent to everybody, without a `to`.
pub struct Line {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The room's id of it (XEP-0359).
    pub id: Box<str>,
    /// The id of who said it (XEP-0421).
    pub by: Box<str>,
    /// Whether it was said before elsewhere, and an owner has said when (§7.9): then the room does not say when it was said again.
    pub dated: bool,
    /// The `<message/>`.
    pub text: Rc<str>,
}

/// How much a client wants (`<history/>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Characters of all stanzas together.
    pub chars: usize,
    /// Messages.
    pub stanzas: usize,
    /// Nothing older, in milliseconds since 1970.
    pub since_ms: u64,
}

impl Wanted {
    /// Reads it out of the `<x/>` of who enters. An attribute that is none is as if it were not there.
    pub fn of(x: Option<Element<'_>>, now_ms: u64, most: usize) -> Wanted {
        let mut wanted = Wanted {
            chars: usize::MAX,
            stanzas: most,
            since_ms: 0,
        };
        let Some(history) = x.and_then(|x| x.child(ns::MUC, "history")) else {
            return wanted;
        };
        let number = |name| -> Option<u64> { history.attr(name)?.trim().parse().ok() };
        if let Some(chars) = number("maxchars") {
            wanted.chars = chars as usize;
        }
        if let Some(stanzas) = number("maxstanzas") {
            wanted.stanzas = wanted.stanzas.min(stanzas as usize);
        }
        // Both may be there: the smallest amount that meets all (§7.2.14).
        if let Some(seconds) = number("seconds") {
            wanted.since_ms = now_ms.saturating_sub(seconds.saturating_mul(1000));
        }
        if let Some(since) = history.attr("since").and_then(|text| time::parse(&text)) {
            wanted.since_ms = wanted.since_ms.max(since);
        }
        wanted
    }
}

impl History {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What it takes in memory, in bytes.
    pub fn weight(&self) -> usize {
        let each =
            |line: &Line| size_of::<Line>() + line.id.len() + line.by.len() + line.text.len();
        self.lines.iter().map(each).sum()
    }

    /// Remembers a message, and forgets the oldest.
    pub fn push(&mut self, line: Line, most: usize) {
        self.lines.push_back(line);
        while self.lines.len() > most.min(limits::ROOM_HISTORY) {
            self.lines.pop_front();
        }
    }

    /// The message with this id.
    pub fn find(&self, id: &str) -> Option<&Line> {
        self.lines.iter().find(|line| *line.id == *id)
    }

    /// All of it, to be changed.
    pub fn lines_mut(&mut self) -> impl Iterator<Item = &mut Line> {
        self.lines.iter_mut()
    }

    /// What a client gets, the oldest first: each message with its time (XEP-0203), as it goes to who has this ` to='…'`.
    pub fn pick(&self, wanted: &Wanted, room: &str, to: &str) -> Vec<String> {
        let mut picked = Vec::new();
        let mut chars = 0usize;
        for line in self.lines.iter().rev().take(wanted.stanzas) {
            if line.at_ms < wanted.since_ms {
                break;
            }
            let text = match line.dated {
                true => addressed(&line.text, to),
                false => delayed(&line.text, room, line.at_ms, to),
            };
            chars = chars.saturating_add(text.chars().count());
            if chars > wanted.chars {
                break;
            }
            picked.push(text);
        }
        picked.reverse();
        picked
    }
}

fn addressed(text: &str, to: &str) -> String {
    let (start, rest) = text.split_at("<message".len());
    [start, to, rest].concat()
}

/// A message of the room with its time, and with a ` to='…'`.
pub fn delayed(text: &str, room: &str, at_ms: u64, to: &str) -> String {
    let end = "</message>";
    let inside = text.strip_suffix(end).unwrap_or(text);
    let (start, rest) = inside.split_at("<message".len());
    let delay = crate::xml::written(|out| {
        out.start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("from", room)
            .attr("stamp", &time::format(at_ms))
            .end();
    });
    [start, to, rest, &delay, end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn wanted(attributes: &str) -> Wanted {
        let text = format!("<x xmlns='{}'><history {attributes}/></x>", ns::MUC);
        let document = Document::parse(text).expect("XML");
        Wanted::of(Some(document.root()), 1_000_000_000, 20)
    }

    #[test]
    fn the_smallest_amount_that_meets_all_is_wanted() {
        assert_eq!(wanted("maxchars='0'").chars, 0);
        assert_eq!(wanted("maxstanzas='5'").stanzas, 5);
        assert_eq!(wanted("maxstanzas='500'").stanzas, 20);
        assert_eq!(wanted("seconds='180'").since_ms, 1_000_000_000 - 180_000);
        assert_eq!(wanted("since='1970-01-01T00:00:05Z'").since_ms, 5000);
        let both = wanted("since='1970-01-12T13:46:39Z' seconds='10'");
        assert_eq!(both.since_ms, 999_999_000);
        let nonsense = wanted("maxchars='-1' maxstanzas='many' seconds='' since='now'");
        assert_eq!((nonsense.chars, nonsense.stanzas), (usize::MAX, 20));
        assert_eq!(nonsense.since_ms, 0);
    }

    #[test]
    fn only_whole_messages_and_the_newest() {
        let mut history = History::default();
        for number in 0..30u64 {
            let line = Line {
                at_ms: 1000 * number,
                id: format!("{number}").into(),
                by: "".into(),
                dated: false,
                text: format!("<message id='{number:02}'><body>x</body></message>").into(),
            };
            history.push(line, 25);
        }
        let all = Wanted {
            chars: usize::MAX,
            stanzas: 25,
            since_ms: 0,
        };
        let picked = history.pick(&all, "r@h", " to='a@b'");
        assert_eq!(picked.len(), 25);
        assert_eq!(
            picked[24],
            "<message to='a@b' id='29'><body>x</body><delay xmlns='urn:xmpp:delay' from='r@h' stamp='1970-01-01T00:00:29Z'/></message>"
        );
        let each = picked[0].chars().count();
        for (chars, count) in [(0, 0), (each - 1, 0), (each, 1), (3 * each + 5, 3)] {
            let picked = history.pick(&Wanted { chars, ..all }, "r@h", " to='a@b'");
            assert_eq!(picked.len(), count, "{chars}");
        }
        let late = Wanted {
            since_ms: 28_000,
            ..all
        };
        assert_eq!(history.pick(&late, "r@h", "").len(), 2);
    }
}
