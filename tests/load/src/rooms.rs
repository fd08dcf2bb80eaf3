//! Scenario: rooms (XEP-0045). Ten of the people in a room speak in turn, everybody gets a copy of each message; then some come and go one by one. One thread,
//! one epoll, as in `chat.rs`.
//!
//! A message counts as many times as it is delivered: to each occupant intact, once, and to all in the same order. The relay's figure is that of a message
//! between two, with as many on the way: it decrypts and encrypts each, where a server decrypts one and encrypts a hundred.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use memchr::memmem;

use crate::accounts::{self, in_parallel};
use crate::chat;
use crate::client::{Account, Client, DOMAIN, Way};
use crate::end::{End, Epoll};
use crate::plan::{Figure, Plan};
use crate::process;
use crate::server::{Server, Setup};
use crate::sessions::steady_memory;
use crate::template::Template;

/// Occupants of a room in which messages are measured, and who of them speak.
const PEOPLE: usize = 100;
const SPEAKERS: usize = 10;

/// Occupants of a large room.
const MANY: usize = 500;

/// Who come and go, one by one.
const GUESTS: usize = 20;

/// Sessions that log in at the same time.
const PARALLEL: usize = 4;

/// Nothing may be longer on its way.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);

/// What the figures of one run are called.
struct Keys {
    /// Messages on the way in the room, and the relay's: so many in all its pairs.
    copies: [(usize, &'static str); 2],
    join: &'static str,
    join_many: &'static str,
}

const PLAIN: Keys = Keys {
    copies: [(1, "room-1"), (20, "room-20")],
    join: "join-100",
    join_many: "join-500",
};

const ARCHIVED: Keys = Keys {
    copies: [(1, "archived-room-1"), (20, "archived-room-20")],
    join: "archived-join-100",
    join_many: "archived-join-500",
};

/// CPU time of the server for each copy, and for each presence of one who comes, in µs.
pub fn run(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    measure(setup, plan, &PLAIN)
}

/// The same with rooms that keep an archive.
pub fn archived(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    measure(setup, plan, &ARCHIVED)
}

fn measure(setup: &Setup, plan: &Plan, keys: &Keys) -> Result<Vec<Figure>, String> {
    if setup.is_relay() {
        // One on the way in each pair: each wakes the server for itself, as the only message of a room does.
        return chat::between_two(
            setup,
            plan,
            &[(chat::PAIRS, keys.copies[0].1), keys.copies[1]],
        );
    }
    let accounts = accounts::prepare(setup, MANY + GUESTS, plan.hash)?;
    let server = setup.start()?;
    let connect =
        |number: usize| Client::session(&server, Way::StartTls, plan.hash, &accounts[number]);
    let clients = in_parallel(PARALLEL, MANY + GUESTS, connect)?;
    let ends = clients
        .into_iter()
        .map(End::new)
        .collect::<Result<_, _>>()?;
    let mut load = Load::new(&server.name, ends)?;

    // Rooms are made once, by the first repetition; their names are the same in every one.
    let mut figures = Vec::new();
    load.gather("small", PEOPLE)?;
    for (window, key) in keys.copies {
        load.speak("small", PEOPLE, window, plan.chat / 5)?;
        let figure = cost(&server, || load.speak("small", PEOPLE, window, plan.chat))?;
        figures.push(Figure { key, ..figure });
    }
    for (room, people, key, visits) in [
        ("hundred", PEOPLE, keys.join, 5 * GUESTS),
        ("many", MANY, keys.join_many, GUESTS),
    ] {
        load.gather(room, people)?;
        let (mut used, mut own, mut wall, mut presences) =
            (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0);
        for time in 0..visits {
            let guest = MANY + time % GUESTS;
            let begin = Meter::read(&server)?;
            presences += load.come(room, people, guest)?;
            let end = Meter::read(&server)?;
            used += end.server - begin.server;
            own += end.own - begin.own;
            wall += end.at - begin.at;
            load.go(room, people, guest)?;
        }
        figures.push(Figure {
            key,
            value: used.as_secs_f64() * 1e6 / presences as f64,
            a_second: presences as f64 / wall.as_secs_f64(),
            generator_us: own.as_secs_f64() * 1e6 / presences as f64,
        });
    }
    Ok(figures)
}

/// Rooms that stay while nobody is in them, made as clients make them: the server's memory with them, in MiB; at once, and after a start and a look at all.
pub fn idle(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    if setup.is_relay() {
        return Ok(Vec::new());
    }
    let makers = plan.rooms.div_ceil(ROOMS_OF_ONE);
    let accounts = accounts::prepare(setup, makers, plan.hash)?;
    let server = setup.start()?;
    let mut figures = Vec::new();
    if !setup
        .has_rooms
        .swap(true, std::sync::atomic::Ordering::Relaxed)
    {
        in_parallel(PARALLEL, makers, |number| {
            let rooms = number * ROOMS_OF_ONE..plan.rooms.min((number + 1) * ROOMS_OF_ONE);
            make_rooms(&server, &accounts[number], plan, rooms)
        })?;
        let memory = steady_memory(&server)?;
        figures.push(Figure::of("rooms-made", memory.rss as f64 / 1024.0));
    }
    drop(server);
    let server = setup.start()?;
    let mut client = Client::session(&server, Way::StartTls, plan.hash, &accounts[0])?;
    let found = count_rooms(&mut client)?;
    if found < plan.rooms {
        return Err(format!(
            "{found} rooms are listed, {} were made",
            plan.rooms
        ));
    }
    client.close(true);
    let memory = steady_memory(&server)?;
    figures.push(Figure::of("rooms-idle", memory.rss as f64 / 1024.0));
    Ok(figures)
}

/// Rooms that one account makes.
const ROOMS_OF_ONE: usize = 100;

fn make_rooms(
    server: &Server,
    account: &Account,
    plan: &Plan,
    rooms: std::ops::Range<usize>,
) -> Result<(), String> {
    let mut client = Client::session(server, Way::StartTls, plan.hash, account)?;
    for number in rooms {
        let room = format!("idle{number:05}@rooms.{DOMAIN}");
        client.send(&enter_text(&format!("{room}/maker")))?;
        while !client.next()?.contains("<subject") {}
        let field = |name: &str, value: &str| {
            format!("<field var='muc#roomconfig_{name}'><value>{value}</value></field>")
        };
        let title = field("roomname", &format!("A room of the house, number {number}"));
        client.query(&configure_text(&server.name, &room, &title), "configure")?;
        client.send(&format!("<presence type='unavailable' to='{room}/maker'/>"))?;
        while !client.next()?.contains("unavailable") {}
    }
    client.close(true);
    Ok(())
}

/// Walks through the list of all rooms (XEP-0059), at most 400 pages; how many there are.
fn count_rooms(client: &mut Client) -> Result<usize, String> {
    let (mut count, mut after) = (0, String::new());
    for page in 0..400 {
        let answer = client.query(
            &format!("<iq type='get' id='list{page}' to='rooms.{DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#items'>\
                <set xmlns='http://jabber.org/protocol/rsm'><max>100</max>{after}</set></query></iq>"),
            &format!("list{page}"),
        )?;
        let new = memmem::find_iter(answer.as_bytes(), "<item ").count();
        count += new;
        let last = answer
            .split("<last>")
            .nth(1)
            .and_then(|rest| rest.split('<').next());
        match last {
            Some(last) if new > 0 => after = format!("<after>{last}</after>"),
            _ => break,
        }
    }
    Ok(count)
}

fn enter_text(occupant: &str) -> String {
    format!("<presence to='{occupant}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
}

/// A configuration: a public room that stays, and keeps an archive where the server keeps any; with this too. To some, what is left out of a form is a "no".
fn configure_text(server: &str, room: &str, more: &str) -> String {
    let field = |name: &str| format!("<field var='muc#roomconfig_{name}'><value>1</value></field>");
    // ejabberd refuses fields that it does not know; there its own configuration says that rooms keep archives.
    let archive = match server.starts_with("ejabberd") {
        true => String::new(),
        false => field("enablearchiving"),
    };
    let (stays, public) = (field("persistentroom"), field("publicroom"));
    format!(
        "<iq type='set' id='configure' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{stays}{public}{archive}{more}</x></query></iq>"
    )
}

/// What was used so far.
struct Meter {
    server: Duration,
    own: Duration,
    at: Instant,
}

impl Meter {
    fn read(server: &Server) -> Result<Meter, String> {
        let failed = |error: io::Error| format!("read the CPU time of {}: {error}", server.name);
        Ok(Meter {
            server: process::cpu(server.pid).map_err(failed)?,
            own: process::own().map_err(failed)?,
            at: Instant::now(),
        })
    }
}

/// What each of those that `work` counts has cost; without a key.
fn cost(server: &Server, work: impl FnOnce() -> Result<u64, String>) -> Result<Figure, String> {
    let begin = Meter::read(server)?;
    let count = work()? as f64;
    let end = Meter::read(server)?;
    Ok(Figure {
        key: "",
        value: (end.server - begin.server).as_secs_f64() * 1e6 / count,
        a_second: count / (end.at - begin.at).as_secs_f64(),
        generator_us: (end.own - begin.own).as_secs_f64() * 1e6 / count,
    })
}

/// All sessions and the epoll that they wait in.
struct Load {
    /// The server's name.
    server: String,
    epoll: Epoll,
    people: Vec<Person>,
    scratch: Vec<u8>,
    /// The next message of each speaker: numbers go on from one measurement to the next.
    said: [u64; SPEAKERS],
}

/// One session.
struct Person {
    end: End,
    /// What arrived and is not yet whole.
    text: Vec<u8>,
    /// Presences, subjects and answers that arrived.
    presences: usize,
    subjects: usize,
    answers: usize,
    /// What each speaker says next, as this one gets it.
    heard: Vec<(Template, u64)>,
    /// In which order the messages came: the same for all.
    order: u64,
}

impl Load {
    fn new(server: &str, ends: Vec<End>) -> Result<Load, String> {
        let epoll = Epoll::new()?;
        let mut people = Vec::with_capacity(ends.len());
        for (number, end) in ends.into_iter().enumerate() {
            epoll.add(&end, number as u64)?;
            people.push(Person {
                end,
                text: Vec::new(),
                presences: 0,
                subjects: 0,
                answers: 0,
                heard: Vec::new(),
                order: 0,
            });
        }
        Ok(Load {
            server: server.to_owned(),
            epoll,
            people,
            scratch: vec![0; 64 * 1024],
            said: [0; SPEAKERS],
        })
    }

    /// So many enter a room, one after the other; the first one makes it.
    fn gather(&mut self, room: &str, people: usize) -> Result<(), String> {
        for number in 0..people {
            self.enter(room, number)?;
            let guests: Vec<usize> = (0..number).collect();
            self.until(|load| load.is_in(number, number) && load.saw(&guests, 1))?;
            if number == 0 {
                let configure = configure_text(&self.server, &format!("{room}@rooms.{DOMAIN}"), "");
                self.people[0].send(configure.as_bytes())?;
                self.until(|load| load.people[0].answers > 0)?;
            }
            self.forget();
        }
        // What a server does a little later is not what is measured next.
        std::thread::sleep(Duration::from_millis(300));
        self.take()?;
        self.forget();
        Ok(())
    }

    /// One more comes to these people: how many presences that were.
    fn come(&mut self, room: &str, people: usize, guest: usize) -> Result<u64, String> {
        let all: Vec<usize> = (0..people).collect();
        self.enter(room, guest)?;
        self.until(|load| load.is_in(guest, people) && load.saw(&all, 1))?;
        self.forget();
        Ok(2 * people as u64 + 1)
    }

    /// And leaves them.
    fn go(&mut self, room: &str, people: usize, guest: usize) -> Result<(), String> {
        let mut all: Vec<usize> = (0..people).collect();
        all.push(guest);
        let leave =
            format!("<presence type='unavailable' to='{room}@rooms.{DOMAIN}/nick{guest}'/>");
        self.people[guest].send(leave.as_bytes())?;
        self.until(|load| load.saw(&all, 1))?;
        self.forget();
        Ok(())
    }

    fn enter(&mut self, room: &str, number: usize) -> Result<(), String> {
        let text = enter_text(&format!("{room}@rooms.{DOMAIN}/nick{number}"));
        self.people[number].send(text.as_bytes())
    }

    /// Whether one who enters has been told of so many others and itself, and the subject.
    fn is_in(&self, number: usize, others: usize) -> bool {
        let one = &self.people[number];
        one.presences > others && one.subjects > 0
    }

    fn saw(&self, people: &[usize], presences: usize) -> bool {
        people
            .iter()
            .all(|number| self.people[*number].presences >= presences)
    }

    fn forget(&mut self) {
        for one in &mut self.people {
            (one.presences, one.subjects, one.answers) = (0, 0, 0);
        }
    }

    /// Takes what comes, which are no messages, until that is so.
    fn until(&mut self, is_so: impl Fn(&Load) -> bool) -> Result<(), String> {
        let begin = Instant::now();
        while !is_so(self) {
            self.take()?;
            if begin.elapsed() > DELIVERED_WITHIN {
                return Err(format!(
                    "somebody has not been told within {DELIVERED_WITHIN:?} who is in the room"
                ));
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<(), String> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        for event in self.epoll.wait(&mut events)? {
            let one = &mut self.people[event.u64 as usize];
            one.end.read(&mut self.scratch, &mut one.text)?;
            one.count()?;
            one.end.flush()?;
        }
        Ok(())
    }

    /// The speakers keep so many messages on the way in all, each until everybody has it; how many copies were delivered.
    fn speak(
        &mut self,
        room: &str,
        people: usize,
        window: usize,
        time: Duration,
    ) -> Result<u64, String> {
        let to = format!("{room}@rooms.{DOMAIN}");
        let speakers = window.min(SPEAKERS);
        let mut own = Vec::new();
        for speaker in 0..SPEAKERS {
            own.push(Template::new(speaker, &to, "groupchat")?);
            for one in &mut self.people[..people] {
                if one.heard.len() <= speaker {
                    one.heard
                        .push((Template::new(speaker, &to, "groupchat")?, 0));
                }
            }
        }
        // Of each message on the way, by speaker, who has not got it yet.
        let mut missing: Vec<std::collections::VecDeque<usize>> =
            vec![Default::default(); speakers];
        let begin = Instant::now();
        let (mut copies, mut progress) = (0, begin);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        loop {
            let more = begin.elapsed() < time;
            for speaker in 0..speakers {
                while more && missing[speaker].len() < window / speakers {
                    let text = own[speaker].number(self.said[speaker]);
                    let writer = self.people[speaker].end.tls.writer().write_all(text);
                    writer.map_err(|error| format!("send: {error}"))?;
                    self.said[speaker] += 1;
                    missing[speaker].push_back(people);
                }
                self.people[speaker].end.flush()?;
            }
            if missing.iter().all(|missing| missing.is_empty()) {
                break;
            }
            for event in self.epoll.wait(&mut events)? {
                let one = &mut self.people[event.u64 as usize];
                one.end.read(&mut self.scratch, &mut one.text)?;
                copies += one.hear(|speaker, number| {
                    let first = self.said[speaker] - missing[speaker].len() as u64;
                    if let Some(left) = missing[speaker].get_mut((number - first) as usize) {
                        *left -= 1;
                        progress = Instant::now();
                    }
                    while missing[speaker].front() == Some(&0) {
                        missing[speaker].pop_front();
                    }
                })?;
                one.end.flush()?;
            }
            if progress.elapsed() > DELIVERED_WITHIN {
                return Err(format!(
                    "messages of a room have not reached everybody within {DELIVERED_WITHIN:?}"
                ));
            }
        }
        if self.people[1..people]
            .iter()
            .any(|one| one.order != self.people[0].order)
        {
            return Err("not everybody got the messages of the room in the same order".into());
        }
        Ok(copies)
    }
}

impl Person {
    fn send(&mut self, text: &[u8]) -> Result<(), String> {
        let sent = self.end.tls.writer().write_all(text);
        sent.map_err(|error| format!("send: {error}"))?;
        self.end.flush()
    }

    /// Counts the whole stanzas that came, and forgets them.
    fn count(&mut self) -> Result<(), String> {
        let text = &self.text;
        if memmem::find(text, b"stream:error").is_some()
            || memmem::find(text, b"type='error'").is_some()
        {
            return Err(format!(
                "a room answered: {}",
                String::from_utf8_lossy(text)
            ));
        }
        let end = [&b"</presence>"[..], b"</message>", b"</iq>", b"/>"]
            .iter()
            .filter_map(|end| memmem::rfind(text, end).map(|at| at + end.len()))
            // An empty element ends a stanza only where the next one begins, or nothing.
            .filter(|end| {
                *end == text.len()
                    || text[*end..].starts_with(b"<presence")
                    || text[*end..].starts_with(b"<message")
                    || text[*end..].starts_with(b"<iq")
            })
            .max()
            .unwrap_or(0);
        let whole = &text[..end];
        self.presences += memmem::find_iter(whole, "</presence>").count();
        self.subjects += memmem::find_iter(whole, "<subject").count();
        self.answers += memmem::find_iter(whole, "configure").count();
        self.text.drain(..end);
        Ok(())
    }

    /// Takes the messages that came whole, and tells of each who said it and which of theirs it is; how many.
    fn hear(&mut self, mut heard: impl FnMut(usize, u64)) -> Result<u64, String> {
        let (mut taken, mut count) = (0, 0);
        // The id that `template.rs` gives: its speaker stands in it.
        const ID: &[u8] = b"5d0c1a3e-";
        while let Some(at) = memmem::find(&self.text[taken..], ID) {
            let at = taken + at + ID.len();
            let digits = self
                .text
                .get(at..at + 4)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            let Some(speaker) = digits.and_then(|digits| digits.parse::<usize>().ok()) else {
                break;
            };
            let (template, next) = &mut self.heard[speaker];
            let Some(length) = template.check(&self.text[taken..], *next)? else {
                break;
            };
            heard(speaker, *next);
            *next += 1;
            taken += length;
            count += 1;
            self.order =
                (self.order.rotate_left(5) ^ speaker as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        self.text.drain(..taken);
        if memmem::find(&self.text, b"stream:error").is_some() {
            return Err(format!(
                "the server ended the stream: {}",
                String::from_utf8_lossy(&self.text)
            ));
        }
        Ok(count)
    }
}
