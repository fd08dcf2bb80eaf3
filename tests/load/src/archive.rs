//! Scenarios: the archive (XEP-0313) of one account that holds 10 000 messages, or a million: its last page, as a client reads it that opens a chat; and
//! all of it in pages, as a client does that is new. Every message must come, once and in order. With the million also the server's memory after a start, when
//! 100 accounts have read their last page.

use std::io;
use std::time::{Duration, Instant};

use crate::accounts;
use crate::client::{Account, Client, Way, is_result};
use crate::fill::{ACCOUNTS, fill};
use crate::plan::{Figure, Plan};
use crate::process;
use crate::server::{Server, Setup};
use crate::sessions::steady_memory;

/// Messages of the small archive.
const SMALL: u64 = 10_000;

/// Messages of the page that is read first.
const LAST_PAGE: usize = 50;

/// Wall time and CPU time for the last page, in ms; CPU time for each message of a walk through all of it, in µs.
pub fn small(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    let accounts = accounts::prepare(setup, ACCOUNTS, plan.hash)?;
    if !fill(setup, plan, &accounts, SMALL)? {
        return Ok(Vec::new());
    }
    let server = setup.start()?;
    let mut archive = Archive::open(&server, plan, &accounts[0])?;
    let mut figures = archive.last_pages(plan.pages, ["page-small", "page-small-cpu"], SMALL)?;
    for (size, key) in [(50, "walk-50-small"), (100, "walk-100-small")] {
        figures.extend(archive.walk(size, plan.walk, key, SMALL)?);
    }
    Ok(figures)
}

/// The same, and before it MiB of resident memory.
pub fn large(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    let accounts = accounts::prepare(setup, ACCOUNTS, plan.hash)?;
    if !fill(setup, plan, &accounts, plan.large)? {
        return Ok(Vec::new());
    }
    let server = setup.start()?;
    let share = plan.large / (ACCOUNTS as u64 - 1);
    for account in &accounts {
        let page = Archive::open(&server, plan, account)?.page("<before/>", LAST_PAGE)?;
        if (page.numbers.len() as u64) < share.min(LAST_PAGE as u64) {
            let (there, name) = (page.numbers.len(), &account.name);
            return Err(format!("{name} has {there} messages on its last page"));
        }
    }
    let memory = steady_memory(&server)?;
    let mut figures = vec![Figure::of("archive-rss", memory.rss as f64 / 1024.0)];
    let mut archive = Archive::open(&server, plan, &accounts[0])?;
    figures.extend(archive.last_pages(plan.pages, ["page-large", "page-large-cpu"], plan.large)?);
    for (size, key) in [(50, "walk-50-large"), (100, "walk-100-large")] {
        figures.extend(archive.walk(size, plan.walk, key, plan.large)?);
    }
    Ok(figures)
}

/// A session that reads its archive.
pub struct Archive<'a> {
    client: Client,
    server: &'a Server,
    queries: u64,
}

/// One page.
pub struct Page {
    /// The archive's id of its last message.
    pub last: String,
    /// The number that each message carries.
    pub numbers: Vec<u64>,
    /// Whether it is the last.
    pub complete: bool,
}

impl<'a> Archive<'a> {
    /// Logs in.
    pub fn open(server: &'a Server, plan: &Plan, account: &Account) -> Result<Archive<'a>, String> {
        let client = Client::session(server, Way::StartTls, plan.hash, account)?;
        Ok(Archive {
            client,
            server,
            queries: 0,
        })
    }

    /// Reads the last page again and again for `time`: wall time and CPU time of one. The archive holds `messages`, in the order of their numbers.
    pub fn last_pages(
        &mut self,
        time: Duration,
        [wall, cpu]: [&'static str; 2],
        messages: u64,
    ) -> Result<Vec<Figure>, String> {
        let failed = |error: io::Error| format!("read the CPU time: {error}");
        // What is read once is in memory: so it is for all.
        self.last_page(messages)?;
        process::settle(self.server.pid, Duration::from_secs(3)).map_err(failed)?;
        let before = process::cpu(self.server.pid).map_err(failed)?;
        let start = Instant::now();
        let mut pages = 0;
        while pages < 3 || start.elapsed() < time {
            self.last_page(messages)?;
            pages += 1;
        }
        let spent = start.elapsed().as_secs_f64();
        let used = process::cpu(self.server.pid).map_err(failed)? - before;
        let pages = f64::from(pages);
        Ok(vec![
            Figure::of(wall, spent * 1e3 / pages),
            Figure::of(cpu, used.as_secs_f64() * 1e3 / pages),
        ])
    }

    /// Reads the last page, and checks it.
    pub fn last_page(&mut self, messages: u64) -> Result<(), String> {
        let page = self.page("<before/>", LAST_PAGE)?;
        let wanted = messages.saturating_sub(LAST_PAGE as u64)..messages;
        if page.numbers.iter().copied().eq(wanted) {
            return Ok(());
        }
        let numbers = page.numbers;
        Err(format!(
            "the last page of {messages} messages has {numbers:?}"
        ))
    }

    /// Reads the archive from its beginning in pages, at most for `time`: CPU time for each message. It says so where it does not come
    /// to the end; nothing where that is less than a hundredth.
    pub fn walk(
        &mut self,
        size: usize,
        time: Duration,
        key: &'static str,
        messages: u64,
    ) -> Result<Option<Figure>, String> {
        let failed = |error: io::Error| format!("read the CPU time: {error}");
        process::settle(self.server.pid, Duration::from_secs(3)).map_err(failed)?;
        let before = process::cpu(self.server.pid).map_err(failed)?;
        let own_before = process::own().map_err(failed)?;
        let start = Instant::now();
        let mut page = self.page("", size)?;
        let mut read = 0;
        loop {
            let end = read + page.numbers.len() as u64;
            if !page.numbers.iter().copied().eq(read..end) {
                let numbers = page.numbers;
                return Err(format!("after {read} messages come {numbers:?}"));
            }
            read = end;
            if page.complete || start.elapsed() > time {
                break;
            }
            page = self.page(&format!("<after>{}</after>", page.last), size)?;
        }
        let wall = start.elapsed().as_secs_f64();
        let used = process::cpu(self.server.pid).map_err(failed)? - before;
        let own = process::own().map_err(failed)? - own_before;
        if page.complete && read != messages {
            return Err(format!("the archive ends after {read} of {messages}"));
        }
        if !page.complete {
            let name = &self.server.name;
            eprintln!("{name}: {read} of {messages} messages read in {wall:.0} s");
        }
        Ok((page.complete || read * 100 >= messages).then(|| Figure {
            key,
            value: used.as_secs_f64() * 1e6 / read as f64,
            a_second: read as f64 / wall,
            generator_us: own.as_secs_f64() * 1e6 / read as f64,
        }))
    }

    /// One page: `place` is RSM's `<before/>` or `<after/>` (XEP-0059).
    pub fn page(&mut self, place: &str, size: usize) -> Result<Page, String> {
        self.queries += 1;
        let id = format!("page{}", self.queries);
        self.client.send(&format!(
            "<iq type='set' id='{id}'><query xmlns='urn:xmpp:mam:2' queryid='{id}'><set xmlns='http://jabber.org/protocol/rsm'><max>{size}</max>{place}</set></query></iq>"
        ))?;
        let mut numbers = Vec::with_capacity(size);
        loop {
            let piece = self.client.next()?;
            if piece.starts_with("<message") && piece.contains("urn:xmpp:mam:2") {
                numbers.push(number_of(&piece)?);
            } else if is_result(&piece, &id) {
                let complete =
                    piece.contains("complete='true'") || piece.contains("complete=\"true\"");
                let last = between(&piece, "<last>", "</last>").unwrap_or_default();
                return Ok(Page {
                    last: last.to_owned(),
                    numbers,
                    complete,
                });
            } else if piece.starts_with("<iq") || piece.starts_with("<stream:error") {
                return Err(format!("the archive answers {piece}"));
            }
        }
    }
}

/// The number in a message's body.
fn number_of(message: &str) -> Result<u64, String> {
    between(message, "<body>", " ")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("not one of ours: {message}"))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}
