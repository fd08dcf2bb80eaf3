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
#[derive(Default)]
pub struct Versions {
    now: u64,
    steps: VecDeque<Step>,
}

/// One change.
struct Step {
    before: u64,
    jid: Box<str>,
    to: Affiliation,
}

impl Versions {
    /// Begins with these.
    pub fn begin(&mut self, people: &BTreeMap<Box<str>, Affiliated>) {
        self.now = people
            .values()
            .fold(0, |hash, one| hash ^ hashed(&one.jid, one.affiliation));
        self.steps.clear();
    }

    /// Notes a change.
    pub fn change(&mut self, jid: &str, from: Affiliation, to: Affiliation) {
        if from == to {
            return;
        }
        let before = self.now;
        self.now ^= hashed(jid, from) ^ hashed(jid, to);
        if self.steps.len() == limits::ROOM_AFFILIATION_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(Step {
            before,
            jid: jid.into(),
            to,
        });
    }

    /// The version of now.
    pub fn now(&self) -> String {
        format!("{:016x}", self.now)
    }

    /// What changed since a version, each JID once; `None` where it is not known any more.
    pub fn since(&self, version: &str) -> Option<Vec<(&str, Affiliation)>> {
        if version == self.now() {
            return Some(Vec::new());
        }
        let known = u64::from_str_radix(version, 16).ok()?;
        let first = self.steps.iter().rposition(|step| step.before == known)?;
        let mut changes: Vec<(&str, Affiliation)> = Vec::new();
        for step in self.steps.iter().skip(first) {
            changes.retain(|(jid, _)| **jid != *step.jid);
            changes.push((&step.jid, step.to));
        }
        Some(changes)
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

/// Zero for no affiliation, so that it weighs nothing.
fn hashed(jid: &str, affiliation: Affiliation) -> u64 {
    if affiliation == Affiliation::None {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    (jid, affiliation_name(affiliation)).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_it_stands_for() {
        let mut versions = Versions::default();
        let first = versions.now();
        versions.change("a@b", Affiliation::None, Affiliation::Member);
        versions.change("c@b", Affiliation::None, Affiliation::Owner);
        let middle = versions.now();
        versions.change("a@b", Affiliation::Member, Affiliation::Outcast);
        assert_eq!(
            versions.since(&first),
            Some(vec![
                ("c@b", Affiliation::Owner),
                ("a@b", Affiliation::Outcast)
            ])
        );
        assert_eq!(
            versions.since(&middle),
            Some(vec![("a@b", Affiliation::Outcast)])
        );
        assert_eq!(versions.since(&versions.now()), Some(vec![]));
        assert_eq!(versions.since("nonsense"), None);
        let mut people = BTreeMap::new();
        for one in [
            Affiliated::new("a@b", Affiliation::Outcast),
            Affiliated::new("c@b", Affiliation::Owner),
        ] {
            people.insert(one.jid.as_str().into(), one);
        }
        let mut again = Versions::default();
        again.begin(&people);
        assert_eq!(again.now(), versions.now());
        assert_eq!(again.since(&middle), None);
    }
}
