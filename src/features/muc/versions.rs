//! XEP-0463: versions of a room's affiliations. A version is a hash of who is what, so it outlives a restart without a record of its own; the last changes are
//! kept in memory for those who were away shortly.

use super::roles::affiliation_name;
use crate::limits;
use crate::store::{Affiliated, Affiliation};
use crate::xml::Writer;
use crate::xmpp::ns;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The version of now, and the steps to it.
pub struct Versions {
    /// So that nobody makes up a version that there was.
    key: [u8; 16],
    now: u64,
    steps: VecDeque<Step>,
}

/// One change.
struct Step {
    before: u64,
    jid: Box<str>,
    from: Affiliation,
    to: Affiliation,
}

/// What changed since a version.
#[derive(Debug, PartialEq, Eq)]
pub struct Since<'v> {
    /// Each JID once, with what it is now.
    pub changes: Vec<(&'v str, Affiliation)>,
    /// What who asks was at that version.
    pub was: Affiliation,
}

impl Versions {
    /// Of a room in which nobody is anything; `key` are random bytes of it.
    pub fn new(key: [u8; 16]) -> Versions {
        let mut versions = Versions {
            key,
            now: 0,
            steps: VecDeque::new(),
        };
        versions.now = versions.hashed("", Affiliation::Member);
        versions
    }

    /// Begins with these.
    pub fn begin(&mut self, people: &BTreeMap<Box<str>, Affiliated>) {
        *self = Versions::new(self.key);
        for one in people.values() {
            self.now ^= self.hashed(&one.jid, one.affiliation);
        }
    }

    /// Notes a change.
    pub fn change(&mut self, jid: &str, from: Affiliation, to: Affiliation) {
        if from == to {
            return;
        }
        let before = self.now;
        self.now ^= self.hashed(jid, from) ^ self.hashed(jid, to);
        if self.steps.len() == limits::ROOM_AFFILIATION_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(Step {
            before,
            jid: jid.into(),
            from,
            to,
        });
    }

    /// The version of now.
    pub fn now(&self) -> String {
        format!("{:016x}", self.now)
    }

    /// What changed since a version, for somebody who is `now`; `None` where it is not known any more.
    pub fn since(&self, version: &str, who: &str, now: Affiliation) -> Option<Since<'_>> {
        if version == self.now() {
            return Some(Since {
                changes: Vec::new(),
                was: now,
            });
        }
        let known = u64::from_str_radix(version, 16).ok()?;
        let first = self.steps.iter().rposition(|step| step.before == known)?;
        let steps = || self.steps.iter().skip(first);
        let mut changes: Vec<(&str, Affiliation)> = Vec::new();
        for step in steps() {
            changes.retain(|(jid, _)| **jid != *step.jid);
            changes.push((&step.jid, step.to));
        }
        let own = steps().find(|step| *step.jid == *who);
        Some(Since {
            changes,
            was: own.map_or(now, |own| own.from),
        })
    }

    /// Zero for no affiliation, so that it weighs nothing.
    fn hashed(&self, jid: &str, affiliation: Affiliation) -> u64 {
        if affiliation == Affiliation::None {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (&self.key, jid, affiliation_name(affiliation)).hash(&mut hasher);
        hasher.finish()
    }
}

/// Writes `<mav/>` and the items of a change into an open `<x/>`.
pub fn write(
    out: &mut Writer<'_>,
    since: Option<&str>,
    until: &str,
    items: &[(&str, Affiliation)],
) {
    out.start("mav")
        .attr("xmlns", ns::MAV)
        .attr_opt("since", since)
        .attr("until", until)
        .end();
    for (jid, affiliation) in items {
        out.start("item")
            .attr("affiliation", affiliation_name(*affiliation))
            .attr("jid", jid)
            .end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_it_stands_for() {
        let mut versions = Versions::new([7; 16]);
        let first = versions.now();
        versions.change("a@b", Affiliation::None, Affiliation::Member);
        versions.change("c@b", Affiliation::None, Affiliation::Owner);
        let middle = versions.now();
        versions.change("a@b", Affiliation::Member, Affiliation::Outcast);
        let since = |version: &str| versions.since(version, "c@b", Affiliation::Owner);
        assert_eq!(
            since(&first),
            Some(Since {
                changes: vec![("c@b", Affiliation::Owner), ("a@b", Affiliation::Outcast)],
                was: Affiliation::None
            })
        );
        assert_eq!(
            since(&middle),
            Some(Since {
                changes: vec![("a@b", Affiliation::Outcast)],
                was: Affiliation::Owner
            })
        );
        assert_eq!(
            since(&versions.now()),
            Some(Since {
                changes: vec![],
                was: Affiliation::Owner
            })
        );
        assert_eq!(since("nonsense"), None);
        let mut people = BTreeMap::new();
        for one in [
            Affiliated::new("a@b", Affiliation::Outcast),
            Affiliated::new("c@b", Affiliation::Owner),
        ] {
            people.insert(one.jid.as_str().into(), one);
        }
        let mut again = Versions::new([7; 16]);
        again.begin(&people);
        assert_eq!(again.now(), versions.now());
        assert_eq!(again.since(&middle, "c@b", Affiliation::Owner), None);
        let mut other = Versions::new([8; 16]);
        assert_ne!(other.now(), first);
        other.begin(&people);
        assert_ne!(other.now(), versions.now());
    }
}
