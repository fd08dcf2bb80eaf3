//! What must be true: when all is quiet, when somebody leaves, and when the server has ended.

use super::*;

impl Play {
    /// What the archive of a room has, with the numbers of the messages.
    pub fn archived(&mut self, room: usize) -> Vec<(String, u64)> {
        let store = &self.host.engine.store;
        let Some(record) = store.room(ROOMS[room]).expect("the store reads") else {
            return Vec::new();
        };
        let all = Query {
            max: 10_000,
            bytes: usize::MAX,
            ..Query::of(record.id)
        };
        let answer = self.host.archive(Request::Page(all));
        let Ok(Answer::Page { rows, .. }) = answer else {
            panic!("the archive of {}: {answer:?}", ROOMS[room]);
        };
        rows.iter()
            // A new subject is kept among what is said.
            .filter(|row| !row.xml.contains("<subject"))
            .map(|row| {
                (
                    row.id.text().as_str().to_owned(),
                    number_of(&row.xml).expect("a number"),
                )
            })
            .collect()
    }

    pub fn check_heard(&mut self, place: Place, room: usize, stay: &Stay) {
        check_run(&self.archived(room), room, stay, &address(place), false);
    }

    /// All is quiet.
    pub fn check(&mut self) {
        self.tell("all is quiet".into());
        self.count("checks");
        self.host.release_reads();
        self.host.release_commits();
        self.settle();
        for place in self.clients.keys().copied().collect::<Vec<_>>() {
            if self.clients[&place].asleep && !self.clients[&place].away {
                self.doze(place);
            }
        }
        // Whoever changes too often is shown later.
        self.host.pass(12);
        self.settle();
        for (room, name) in ROOMS.iter().enumerate() {
            let archive = self.archived(room);
            let stays = self.clients.iter().filter(|(_, client)| !client.away);
            let inside: Vec<(Place, &Stay)> = stays
                .filter_map(|(place, client)| Some((*place, client.stays.get(&room)?)))
                .collect();
            for (place, stay) in &inside {
                assert!(
                    stay.is_in,
                    "{} was never told whether it is in {}",
                    address(*place),
                    name
                );
                check_run(&archive, room, stay, &address(*place), true);
                let (first, other) = &inside[0];
                assert_eq!(
                    stay.sees,
                    other.sees,
                    "who is in {}: as {} sees it, and {}",
                    name,
                    address(*place),
                    address(*first)
                );
                let least = stay.heard.len().min(other.heard.len());
                assert_eq!(
                    stay.heard[stay.heard.len() - least..],
                    other.heard[other.heard.len() - least..],
                    "what was said in {} last: as {} heard it, and {}",
                    name,
                    address(*place),
                    address(*first)
                );
                assert!(
                    stay.sees.contains_key(&stay.nick),
                    "{} is not in {}",
                    address(*place),
                    name
                );
            }
        }
        let wrong: Vec<String> = self
            .clients
            .iter()
            .filter(|(_, client)| !client.away)
            .filter(|(_, client)| !client.asked.is_empty())
            .map(|(place, client)| format!("{}: {:?}", address(*place), client.asked))
            .collect();
        assert!(wrong.is_empty(), "these were never answered: {wrong:?}");
        self.check_occupants();
        self.check_said();
        self.check_kept();
        // Each who is in a room is told so.
        for (place, room) in self.all_stays() {
            self.ping(place, room);
            self.settle();
            assert!(
                self.clients[&place].stays.contains_key(&room),
                "{} was put out by a ping",
                address(place)
            );
        }
    }

    pub fn all_stays(&self) -> Vec<(Place, usize)> {
        let there = self.clients.iter().filter(|(_, client)| !client.away);
        there
            .flat_map(|(place, client)| client.stays.keys().map(|room| (*place, *room)))
            .collect()
    }

    /// Nobody is in a room who is not there, and who is there is in it.
    pub fn check_occupants(&mut self) {
        for (room, name) in ROOMS.iter().enumerate() {
            let shown = self
                .host
                .control(&serde_json::json!({"verb": "room.show", "name": name}));
            let nicks: BTreeSet<String> = match shown["ok"] == true {
                true => shown["nicks"]
                    .as_array()
                    .expect("nicks")
                    .iter()
                    .map(|nick| nick.as_str().expect("a nick").to_owned())
                    .collect(),
                false => BTreeSet::new(),
            };
            let mut known = BTreeSet::new();
            let mut away = 0;
            for client in self.clients.values() {
                match client.stays.get(&room) {
                    Some(_) if client.away => away += 1,
                    Some(stay) => {
                        known.insert(stay.nick.clone());
                        let sees: BTreeSet<String> = stay.sees.keys().cloned().collect();
                        assert_eq!(
                            sees, nicks,
                            "who is in {name}: as a client sees it, and the server"
                        );
                    }
                    None => {}
                }
            }
            assert!(known.is_subset(&nicks), "{name}: {known:?} of {nicks:?}");
            assert!(
                nicks.len() <= known.len() + away,
                "a ghost in {name}: {nicks:?}, of whom {known:?} are there"
            );
        }
    }

    /// What was said and not refused is in the archive once.
    pub fn check_said(&mut self) {
        let mut there = BTreeMap::new();
        for (room, name) in ROOMS.iter().enumerate().take(KEPT) {
            for (id, number) in self.archived(room) {
                let twice = there.insert(number, room);
                assert!(
                    twice.is_none(),
                    "{number} ({id}) is in the archive of {} twice",
                    name
                );
            }
        }
        for (number, (place, room)) in &self.said {
            let away = self.clients.get(place).is_none_or(|client| client.away);
            if *room < KEPT && !away {
                assert_eq!(
                    there.get(number),
                    Some(room),
                    "{} said {number} in {}",
                    address(*place),
                    ROOMS[*room]
                );
            }
        }
    }

    /// What is kept of rooms is what was acknowledged, or came since.
    pub fn check_kept(&mut self) {
        let store = &self.host.engine.store;
        for (room, name) in ROOMS.iter().enumerate().take(KEPT) {
            let record = store.room(name).expect("the store reads");
            let subject = record.as_ref().and_then(|record| record.subject.as_ref());
            let subject = subject
                .and_then(|subject| subject.text().parse().ok())
                .unwrap_or(0);
            self.subjects[room].check(&subject, &format!("the subject of {name}"));
            let config = match &record {
                Some(record) => (
                    record.config.title.parse().unwrap_or(0),
                    record.config.members_only,
                    record.config.moderated,
                ),
                None => (0, room == 1, false),
            };
            self.configs[room].check(&config, &format!("the configuration of {name}"));
            let people = record.map_or(Vec::new(), |record| {
                store.affiliations(record.id).expect("the store reads")
            });
            for (who, whose) in NAMES.iter().enumerate() {
                let jid = format!("{whose}@chat.test");
                let one = people.iter().find(|one| one.jid == jid);
                let affiliation = match one.map_or(Affiliation::None, |one| one.affiliation) {
                    Affiliation::Owner => "owner",
                    Affiliation::Admin => "admin",
                    Affiliation::Member => "member",
                    Affiliation::Outcast => "outcast",
                    Affiliation::None => "none",
                };
                self.lists[&(room, who)]
                    .check(&affiliation.to_owned(), &format!("{whose} in {name}"));
            }
        }
    }

    pub fn everybody_leaves(&mut self) {
        for place in self.clients.keys().copied().collect::<Vec<_>>() {
            if !self.clients.contains_key(&place) || self.clients[&place].away {
                continue;
            }
            match self.clients[&place].managed.is_some() {
                true => self.lose(place),
                false => self.end_stream(place),
            }
            self.settle();
        }
        self.host.pass(64);
        self.settle();
        assert!(self.clients.is_empty(), "sessions that never end");
        self.check_occupants();
        assert!(
            self.host.engine.is_empty(),
            "everybody is gone and the engine still holds something"
        );
    }
}

/// Whether what somebody heard is a run of what the archive has, up to its end or not.
pub fn check_run(archive: &[(String, u64)], room: usize, stay: &Stay, who: &str, to_the_end: bool) {
    if room >= KEPT {
        return;
    }
    let ids: Vec<&String> = archive.iter().map(|(id, _)| id).collect();
    let Some(first) = stay.heard.first() else {
        return;
    };
    let at = ids.iter().position(|id| *id == first);
    let at = at.unwrap_or_else(|| {
        panic!(
            "{who} heard {first} in {}, which is not in the archive",
            ROOMS[room]
        )
    });
    let run = &ids[at..];
    let same = stay.heard.iter().zip(run).all(|(heard, id)| heard == *id);
    let long = match to_the_end {
        true => stay.heard.len() == run.len(),
        false => stay.heard.len() <= run.len(),
    };
    assert!(
        same && long,
        "{who} heard in {}: {:?}, and the archive has {run:?}",
        ROOMS[room],
        stay.heard
    );
}
