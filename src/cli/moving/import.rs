//! `snug import`: accounts and rooms out of a file of XEP-0227 or out of Prosody's data directory. Everything is read and checked before the first account is made;
//! each account is there as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::{Found, pie, prosody};
use crate::admin::portable::read::{self, Item, Tally};
use crate::admin::portable::{Piece, Place};
use crate::auth;
use crate::cli::control::Partner;
use crate::cli::{Exit, Failure, data_directory, print};
use crate::limits;
use crate::net::log::visible;

/// make accounts and rooms of such a file, or of Prosody's data directory, with snug running or not; passwords stay as they are
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "import",
    help_triggers("--help", "-h"),
    example = "{command_name} --check accounts.xml",
    example = "{command_name} accounts.xml",
    example = "{command_name} --prosody /var/lib/prosody"
)]
pub(in crate::cli) struct Import {
    /// the file; files that it includes must lie below its folder
    #[argh(positional)]
    file: Option<PathBuf>,
    /// read Prosody's data directory instead (0.12, internal storage)
    #[argh(option, arg_name = "dir")]
    prosody: Option<PathBuf>,
    /// read and check everything, say what would be imported, and change nothing
    #[argh(switch)]
    check: bool,
    /// leave accounts that are here already as they are; without it nothing is imported if there is one
    #[argh(switch)]
    skip: bool,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
    /// the configuration file
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
}

/// Where accounts come from.
enum Source {
    File(PathBuf),
    Prosody(PathBuf),
}

impl Source {
    fn read(&self, domain: &str, take: super::Take<'_>) -> Result<(), String> {
        match self {
            Source::File(path) => pie::read(path, domain, take),
            Source::Prosody(path) => prosody::read(path, domain, take),
        }
    }

    fn path(&self) -> &Path {
        let (Source::File(path) | Source::Prosody(path)) = self;
        path
    }
}

impl Import {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let source = match (self.file, self.prosody) {
            (Some(file), None) => Source::File(file),
            (None, Some(directory)) => Source::Prosody(directory),
            _ => {
                return Err(Failure {
                    exit: Exit::Usage,
                    says: "name one thing to import: a file, or --prosody and its data directory"
                        .to_owned(),
                });
            }
        };
        if source.path() == Path::new("-") {
            return Err(Failure {
                exit: Exit::Usage,
                says: "it is read twice, so it must be a file: write stdin to one first".to_owned(),
            });
        }
        let data = data_directory(&self.data)?;
        let mut partner = Partner::of(&data, &self.config)?;
        let answer = partner.ask(&json!({"verb": "import.names", "names": []}))?;
        let domain = answer["domain"].as_str().unwrap_or_default().to_owned();

        let rooms_host = answer["rooms_host"].as_str().unwrap_or_default().to_owned();
        let mut seen = Seen {
            rooms_host: rooms_host.clone(),
            ..Seen::default()
        };
        source.read(&domain, &mut |found, place| seen.take(found, place))?;
        seen.end(source.path(), &domain)?;
        let known = Known {
            accounts: known(&mut partner, "import.names", &seen.names)?,
            rooms: known(&mut partner, "import.rooms", &seen.rooms)?,
            has_archive: answer["archives"] == true,
        };
        if !self.skip {
            refuse(&known.accounts, "accounts", "snug user del")?;
            refuse(&known.rooms, "rooms", "snug room del")?;
        }
        if self.check {
            print::out(&seen.summary(&known, "can be imported"));
            return Ok(());
        }
        let mut sender = Sender {
            partner: &mut partner,
            known: &known,
            rooms_host: &rooms_host,
            account: None,
            arrived: 0,
        };
        let sent = source.read(&domain, &mut |found, place| {
            sender
                .take(found)
                .map_err(|failure| format!("{place}: {}", failure.says))
        });
        if let Err(why) = sent {
            return Err(sender.give_up(why));
        }
        partner.ask(&json!({"verb": "import.commit"}))?;
        print::out(&seen.summary(&known, "were imported"));
        if partner.is_here() {
            print::err(&format!(
                "(snug is not running on {}: done in its store directly)\n",
                visible(&data.display().to_string())
            ));
        }
        Ok(())
    }
}

/// What is here already.
struct Known {
    accounts: BTreeSet<String>,
    rooms: BTreeSet<String>,
    /// Whether archived messages can be kept.
    has_archive: bool,
}

/// Those of the names that are accounts or rooms here already.
fn known(
    partner: &mut Partner,
    verb: &str,
    names: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    let mut known = BTreeSet::new();
    let names: Vec<&String> = names.iter().collect();
    for names in names.chunks(limits::MOVED_NAMES) {
        let answer = partner.ask(&json!({"verb": verb, "names": names}))?;
        let some = answer["known"].as_array().into_iter().flatten();
        known.extend(some.filter_map(Value::as_str).map(str::to_owned));
    }
    Ok(known)
}

/// Refuses to import what is here already.
fn refuse(known: &BTreeSet<String>, what: &str, remedy: &str) -> Result<(), String> {
    if known.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 5;
    let mut names: Vec<&str> = known.iter().map(String::as_str).take(SHOWN).collect();
    let more = format!("and {} more", known.len().saturating_sub(SHOWN));
    if known.len() > SHOWN {
        names.push(&more);
    }
    Err(format!(
        "nothing was imported: {} of the {what} are here already ({}): remove them with `{remedy}`, or leave them as they are with --skip",
        known.len(),
        names.join(", ")
    ))
}

/// What the first reading has found.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    rooms: BTreeSet<String>,
    rooms_host: String,
    going: Option<Seeing>,
    totals: BTreeMap<String, (Tally, bool)>,
    room_totals: BTreeMap<String, Tally>,
    left_out: BTreeMap<String, u64>,
    elsewhere: BTreeMap<String, u64>,
    rooms_elsewhere: BTreeMap<String, u64>,
}

/// What is being looked at: an account, or a room.
struct Seeing {
    name: String,
    is_room: bool,
    has_password: bool,
    tally: Tally,
}

/// Kinds of things left out that are named one by one.
const KINDS_NAMED: usize = 20;

impl Seen {
    fn take(&mut self, found: Found, place: &str) -> Result<(), String> {
        match found {
            Found::User { name, password } => {
                let prepared = auth::account_name(&name).map_err(|error| {
                    format!("{place}: {name:?} cannot be the name of an account: {error}; rename it there, or remove it")
                })?;
                if let Some(password) = &password {
                    auth::keys::prepare_password(password).map_err(|error| {
                        format!("{place}: the password of {name:?} cannot be one: {error}; change it there, or remove it")
                    })?;
                }
                if !self.names.insert(prepared.clone()) {
                    return Err(format!(
                        "{place}: the account {prepared:?} stands there twice: remove one"
                    ));
                }
                self.going = Some(Seeing {
                    name: prepared,
                    is_room: false,
                    has_password: password.is_some(),
                    tally: Tally::default(),
                });
            }
            Found::Room { jid } if jid.domain() != self.rooms_host => {
                let domain = jid.domain().to_owned();
                *self.rooms_elsewhere.entry(domain).or_default() += 1;
            }
            Found::Room { jid } => {
                let name = jid.local().unwrap_or_default().to_owned();
                if !self.rooms.insert(name.clone()) {
                    return Err(format!(
                        "{place}: the room {name:?} stands there twice: remove one"
                    ));
                }
                self.going = Some(Seeing {
                    name,
                    is_room: true,
                    has_password: false,
                    tally: Tally::default(),
                });
            }
            Found::Piece(piece) => {
                let Some(going) = &mut self.going else {
                    return Ok(());
                };
                let what = if going.is_room { "room" } else { "account" };
                let name = &going.name;
                let about = |why: String| {
                    format!("{place}: the {what} {name:?}: {why}; mend it there, or remove it")
                };
                let item = read::read(&piece).map_err(about)?;
                going.tally.count(&item).map_err(about)?;
                if let Item::Unknown(what) = item {
                    self.leave_out(what, 1);
                }
            }
            Found::End => {
                if let Some(going) = self.going.take() {
                    match going.is_room {
                        true => {
                            self.room_totals.insert(going.name, going.tally);
                        }
                        false => {
                            let total = (going.tally, going.has_password);
                            self.totals.insert(going.name, total);
                        }
                    }
                }
            }
            Found::LeftOut { what, times } => self.leave_out(what, times),
            Found::Elsewhere { domain } => *self.elsewhere.entry(domain).or_default() += 1,
        }
        Ok(())
    }

    fn leave_out(&mut self, what: String, times: u64) {
        let what = match self.left_out.len() < KINDS_NAMED || self.left_out.contains_key(&what) {
            true => what,
            false => "other things".to_owned(),
        };
        *self.left_out.entry(what).or_default() += times;
    }

    fn end(&self, path: &Path, domain: &str) -> Result<(), String> {
        if !self.names.is_empty() || !self.rooms.is_empty() {
            return Ok(());
        }
        let path = path.display();
        match self.elsewhere.iter().max_by_key(|(_, accounts)| **accounts) {
            None => Err(format!("{path} has no accounts")),
            Some((other, accounts)) => Err(format!(
                "{path} has no accounts of {domain}, which this snug serves, but {accounts} of {other}: set domain = \"{other}\" in snug.toml first, addresses cannot change"
            )),
        }
    }

    fn summary(&self, known: &Known, what_happens: &str) -> String {
        let new = || {
            self.totals
                .iter()
                .filter(|(name, _)| !known.accounts.contains(*name))
                .map(|(_, account)| account)
        };
        let rooms = || {
            let rooms = self.room_totals.iter();
            rooms
                .filter(|(name, _)| !known.rooms.contains(*name))
                .map(|(_, tally)| tally)
        };
        let sum = |count: fn(&Tally) -> u64| {
            let tallies = new().map(|(tally, _)| tally).chain(rooms());
            tallies.map(count).sum::<u64>()
        };
        let mut text = format!(
            "{} accounts, {} contacts and {} waiting messages {what_happens}.\n",
            new().count(),
            sum(|tally| tally.contacts),
            sum(|tally| tally.messages),
        );
        let items = sum(|tally| tally.items);
        let archived = match known.has_archive {
            true => sum(|tally| tally.archived),
            false => 0,
        };
        if items + archived + rooms().count() as u64 > 0 {
            text.push_str(&format!(
                "{items} items of PEP, {archived} archived messages and {} rooms with {} people {what_happens}.\n",
                rooms().count(),
                sum(|tally| tally.people),
            ));
        }
        let mut say = |count: u64, what: &str| {
            if count > 0 {
                text.push_str(&format!("{count} {what}\n"));
            }
        };
        say(
            known.accounts.len() as u64,
            "accounts are here already and were left as they are.",
        );
        say(
            known.rooms.len() as u64,
            "rooms are here already and were left as they are.",
        );
        let keys = |wanted: [bool; 2]| {
            new()
                .filter(|(tally, has_password)| !has_password && tally.keys == wanted)
                .count() as u64
        };
        say(
            keys([false, false]),
            "accounts come without a password: `snug user passwd NAME` gives them one.",
        );
        let one = keys([true, false]) + keys([false, true]);
        say(
            one,
            "accounts have keys for one hash of their password only. They log in with it; until each has a new password, or has logged in with PLAIN once, the other hash is not offered to anybody.",
        );
        say(
            sum(|tally| u64::from(tally.admin)),
            "of them may administer the server.",
        );
        say(
            sum(|tally| tally.messages_over),
            "waiting messages were left out: there is room for 1000 or 4 MiB an account.",
        );
        say(
            sum(|tally| tally.items_over),
            "nodes or items of PEP were left out: there is room for 200 nodes and 4 MiB an account.",
        );
        if !known.has_archive {
            say(
                sum(|tally| tally.archived),
                "archived messages were left out: set archive.enabled = true in snug.toml first.",
            );
        }
        for (domain, accounts) in &self.elsewhere {
            say(
                *accounts,
                &format!(
                    "accounts of {} were left out: another domain.",
                    visible(domain)
                ),
            );
        }
        for (host, rooms) in &self.rooms_elsewhere {
            let host = visible(host);
            let here = &self.rooms_host;
            say(
                *rooms,
                &format!(
                    "rooms of {host} were left out: those of this snug are at {here} (rooms.host)."
                ),
            );
        }
        for (what, times) in &self.left_out {
            say(*times, &format!("times left out: {}", visible(what)));
        }
        text
    }
}

/// An account on its way.
struct Going {
    name: String,
    is_room: bool,
    id: Value,
    password: Option<String>,
    /// Keys and facts, for the end.
    head: Vec<Value>,
    waiting: Vec<Value>,
    waiting_bytes: usize,
}

/// The second reading: hands over what is found.
struct Sender<'s> {
    partner: &'s mut Partner,
    known: &'s Known,
    rooms_host: &'s str,
    account: Option<Going>,
    arrived: u64,
}

impl Sender<'_> {
    fn take(&mut self, found: Found) -> Result<(), Failure> {
        match found {
            Found::User { name, password } => {
                let name =
                    auth::account_name(&name).map_err(|error| Failure::from(error.to_string()))?;
                if self.known.accounts.contains(&name) {
                    return Ok(());
                }
                self.begin(name, password, false)
            }
            Found::Room { jid } => {
                let name = jid.local().unwrap_or_default();
                if jid.domain() != self.rooms_host || self.known.rooms.contains(name) {
                    return Ok(());
                }
                self.begin(name.to_owned(), None, true)
            }
            Found::Piece(piece) => self.piece(piece),
            Found::End => self.end(),
            Found::LeftOut { .. } | Found::Elsewhere { .. } => Ok(()),
        }
    }

    fn begin(
        &mut self,
        name: String,
        password: Option<String>,
        is_room: bool,
    ) -> Result<(), Failure> {
        let request = json!({"verb": "import.begin", "name": name, "room": is_room});
        let answer = self.partner.ask(&request)?;
        self.account = Some(Going {
            name,
            is_room,
            id: answer["id"].clone(),
            password,
            head: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
        });
        Ok(())
    }

    fn piece(&mut self, piece: Piece) -> Result<(), Failure> {
        let Some(account) = &mut self.account else {
            return Ok(());
        };
        if piece.place == Place::Archive && !self.known.has_archive {
            return Ok(());
        }
        let sent = json!([piece.place.word(), piece.xml, piece.node]);
        let is_head = match piece.place {
            Place::User => matches!(read::read(&piece)?, Item::Keys(..) | Item::Facts(_)),
            Place::Room => matches!(read::read(&piece)?, Item::Room(_)),
            _ => false,
        };
        if is_head {
            account.head.push(sent);
            return Ok(());
        }
        // A request stays below `limits::CONTROL_LINE_BYTES`: this much, and one record more at most.
        account.waiting_bytes += sent.to_string().len();
        account.waiting.push(sent);
        match account.waiting_bytes >= limits::MOVED_PART_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let Some(account) = self
            .account
            .as_mut()
            .filter(|account| !account.waiting.is_empty())
        else {
            return Ok(());
        };
        account.waiting_bytes = 0;
        let pieces = std::mem::take(&mut account.waiting);
        let request = json!({"verb": "import.items", "name": account.name, "id": account.id, "room": account.is_room, "pieces": pieces});
        self.partner.ask(&request).map(drop)
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.flush()?;
        let Some(account) = &mut self.account else {
            return Ok(());
        };
        let verb = match account.is_room {
            true => "import.room",
            false => "import.finish",
        };
        let mut request =
            json!({"verb": verb, "name": account.name, "id": account.id, "pieces": account.head});
        if let Some(password) = account.password.take() {
            request["password"] = Value::String(password);
        }
        self.partner.ask(&request)?;
        self.account = None;
        self.arrived += 1;
        Ok(())
    }

    /// After an error: what is half there goes.
    fn give_up(self, why: String) -> Failure {
        if let Some(account) = self.account {
            let request = json!({"verb": "import.abandon", "name": account.name, "id": account.id});
            // It is gone after a restart in any case.
            let _ = self.partner.ask(&request);
        }
        let kept = self.partner.ask(&json!({"verb": "import.commit"})).is_ok();
        Failure::from(match (self.arrived, kept) {
            (0, _) => format!("{why}\nnothing was imported"),
            (arrived, true) => format!(
                "{why}\n{arrived} accounts before it were imported and are complete: go on with --skip when this is mended"
            ),
            (arrived, false) => format!(
                "{why}\nup to {arrived} accounts before it were imported: `snug user list` shows them; go on with --skip when this is mended"
            ),
        })
    }
}
