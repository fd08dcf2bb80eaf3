//! One pass over a file's text: every key goes to its row, and all that is wrong is collected, each with its line.

use toml::de::{DeTable, DeValue};

use super::keys::KEYS;
use super::{Config, Listen};

/// Reads the text into `config`; otherwise one sentence for each mistake, with its line, in their order.
pub(super) fn read(config: &mut Config, text: &str) -> Result<(), Vec<(usize, String)>> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().replace('\n', "; ");
        let why = format!(
            "this is not TOML: {message}; write one `key = value` a line, text in double quotes"
        );
        vec![(line(text, at), why)]
    })?;
    let mut reading = Reading {
        config,
        set: Vec::new(),
        wrong: Vec::new(),
    };
    reading.table(table.get_ref(), "");
    if reading.wrong.is_empty() {
        reading.together();
    }
    let mut wrong = reading.wrong;
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.sort_by_key(|(at, _)| *at);
    Err(wrong
        .into_iter()
        .map(|(at, why)| (line(text, at), why))
        .collect())
}

/// One pass over a file: what was set, at which byte, and what is wrong, at which byte.
struct Reading<'a> {
    config: &'a mut Config,
    set: Vec<(&'static str, usize)>,
    wrong: Vec<(usize, String)>,
}

impl Reading<'_> {
    fn table(&mut self, table: &DeTable<'_>, section: &str) {
        for (name, value) in table {
            let path = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            let prefix = format!("{path}.");
            if let Some(key) = KEYS.iter().find(|key| key.path == path) {
                self.set.push((key.path, value.span().start));
                if let Err(refused) = (key.read)(self.config, value) {
                    let at = refused.at.unwrap_or(value.span().start);
                    self.wrong.push((at, format!("{path}: {}", refused.why)));
                }
            } else if !KEYS.iter().any(|key| key.path.starts_with(&prefix)) {
                self.wrong.push((
                    name.span().start,
                    unknown(section, name.get_ref(), value.get_ref().is_table()),
                ));
            } else if let DeValue::Table(inner) = value.get_ref() {
                self.table(inner, &path);
            } else {
                let why = format!(
                    "{path}: this is a section; write [{path}] on a line and its keys below it"
                );
                self.wrong.push((name.span().start, why));
            }
        }
    }

    /// What two keys must agree on.
    fn together(&mut self) {
        let at = |path: &str| {
            self.set
                .iter()
                .find(|(set, _)| *set == path)
                .map_or(0, |(_, at)| *at)
        };
        match (&self.config.tls.certificate, &self.config.tls.key) {
            (Some(_), None) => self.wrong.push((
                at("tls.certificate"),
                "tls.certificate: its private key is missing; set tls.key too, or neither of them"
                    .to_owned(),
            )),
            (None, Some(_)) => self.wrong.push((
                at("tls.key"),
                "tls.key: its certificate is missing; set tls.certificate too, or neither of them"
                    .to_owned(),
            )),
            _ => {}
        }
        let Listen {
            c2s,
            c2s_tls,
            components,
        } = &self.config.listen;
        if c2s.is_empty() && c2s_tls.is_empty() {
            let why = "listen.c2s_tls: nobody could connect, as listen.c2s is empty too; name an address in one of them";
            self.wrong
                .push((at("listen.c2s_tls").max(at("listen.c2s")), why.to_owned()));
        }
        if let Some(twice) = c2s_tls
            .iter()
            .find(|address| address.port() != 0 && c2s.contains(address))
        {
            let why = format!(
                "listen.c2s_tls: {twice} is in listen.c2s too; give each list its own port"
            );
            self.wrong
                .push((at("listen.c2s_tls").max(at("listen.c2s")), why));
        }
        if let Some(twice) = components
            .iter()
            .find(|address| address.port() != 0 && c2s.iter().chain(c2s_tls).any(|c| c == *address))
        {
            let why = format!(
                "listen.components: {twice} is a port of clients too; give each list its own port"
            );
            self.wrong.push((at("listen.components"), why));
        }
        let rooms = self.config.rooms.enabled.then(|| self.config.rooms_host());
        for component in &self.config.components {
            let host = &component.host;
            let whose = match () {
                () if *host == self.config.domain => "the domain of the accounts",
                () if rooms.as_ref() == Some(host) => "where the rooms are",
                () => continue,
            };
            let why = format!("component: {host} is {whose}; give the component another host");
            self.wrong.push((at("component"), why));
        }
    }
}

/// The sentence for a key or section that does not exist.
fn unknown(section: &str, name: &str, is_section: bool) -> String {
    let shown: String = if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    };
    let shown = shown.escape_debug();
    if is_section && section.is_empty() {
        let sections: Vec<&str> = KEYS
            .iter()
            .filter_map(|key| Some(key.path.split_once('.')?.0))
            .collect();
        if let Some(near) = nearest(name, &sections) {
            return format!("{shown}: there is no such section; did you mean [{near}]?");
        }
        let mut all = sections;
        all.dedup();
        return format!(
            "{shown}: there is no such section; the sections are [{}]",
            all.join("], [")
        );
    }
    let leaf = |path: &'static str| path.rsplit_once('.').unwrap_or(("", path));
    let here: Vec<&str> = KEYS
        .iter()
        .map(|key| leaf(key.path))
        .filter(|(own, _)| *own == section)
        .map(|(_, name)| name)
        .collect();
    if let Some(near) = nearest(name, &here) {
        return format!("{shown}: there is no such key; did you mean {near}?");
    }
    // The right key in the wrong section.
    if let Some(key) = KEYS.iter().find(|key| leaf(key.path).1 == name) {
        let place = match leaf(key.path).0 {
            "" => "above the first section".to_owned(),
            own => format!("in [{own}]"),
        };
        return format!(
            "{shown}: there is no such key here; did you mean {}, {place}?",
            key.path
        );
    }
    let elsewhere: Vec<&str> = KEYS.iter().map(|key| leaf(key.path).1).collect();
    if let Some(near) = nearest(name, &elsewhere) {
        let key = KEYS
            .iter()
            .find(|key| leaf(key.path).1 == near)
            .expect("it came from the same list");
        return format!("{shown}: there is no such key; did you mean {}?", key.path);
    }
    let place = if section.is_empty() {
        "above the sections".to_owned()
    } else {
        format!("in [{section}]")
    };
    format!(
        "{shown}: there is no such key; {place} there is {}",
        here.join(", ")
    )
}

/// The candidate that a typing error away from `word`, if there is one.
fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).clamp(1, 3);
    let near = candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .min()?;
    (near.0 <= bound).then_some(near.1)
}

/// Levenshtein's edit distance. Words longer than any key are far from all.
fn distance(one: &str, other: &str) -> usize {
    if one.len() > 64 {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

/// The line, from 1, of a byte offset.
fn line(text: &str, at: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}
