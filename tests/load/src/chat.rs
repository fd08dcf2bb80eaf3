//! Scenario: pairs of sessions chat over TLS, each pair with a fixed number of messages on the way. One thread, one
//! epoll, no task and no allocation a message: cheaper than any server that it drives.
//!
//! A message counts when it is delivered. Each must arrive: intact, once and in order.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use memchr::memmem;

use crate::accounts;
use crate::client::{Client, Way};
use crate::end::{End, Epoll};
use crate::plan::{Figure, Plan};
use crate::process;
use crate::server::{Server, Setup};
use crate::template::Template;

/// Pairs of sessions.
pub const PAIRS: usize = 10;

/// Messages on the way in all pairs together, and the figure's key.
const IN_FLIGHT: [(usize, &str); 2] = [(20, "chat-20"), (320, "chat-320")];

/// No message may be longer on its way.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);

/// Keys of the archived chat: without and with acknowledgements.
const ARCHIVED: [(usize, &str); 1] = [(20, "archived-20")];
const ACKED: [(usize, &str); 1] = [(20, "acked-20")];

/// CPU time of the server for each delivered message, in µs.
pub fn run(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    chat(setup, plan, false, &IN_FLIGHT)
}

/// The same with an archive: as clients without XEP-0198 chat, and with a sender that asks for an acknowledgement with each message and takes it for
/// delivered only then. What an acknowledgement stands for is the server's affair: snug's is on the disk.
pub fn archived(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    let mut figures = chat(setup, plan, false, &ARCHIVED)?;
    figures.extend(chat(setup, plan, true, &ACKED)?);
    Ok(figures)
}

/// Messages between two, with so many on the way in all pairs and under these keys: what other scenarios are compared with.
pub fn between_two(
    setup: &Setup,
    plan: &Plan,
    in_flight: &[(usize, &'static str)],
) -> Result<Vec<Figure>, String> {
    chat(setup, plan, false, in_flight)
}

fn chat(
    setup: &Setup,
    plan: &Plan,
    acked: bool,
    in_flight: &[(usize, &'static str)],
) -> Result<Vec<Figure>, String> {
    let accounts = accounts::prepare(setup, 2 * PAIRS, plan.hash)?;
    let server = setup.start()?;
    let mut load = Load::new()?;
    for number in 0..PAIRS {
        let mut ends = Vec::new();
        for account in &accounts[2 * number..2 * number + 2] {
            ends.push(match server.is_relay() {
                true => Client::tls(server.tls)?,
                false => Client::session(&server, Way::StartTls, plan.hash, account)?,
            });
        }
        let (receiver, sender) = (ends.pop(), ends.pop());
        let (Some(mut sender), Some(receiver)) = (sender, receiver) else {
            return Err("a pair has two ends".into());
        };
        if acked && !sender.enable_acks()? {
            eprintln!("{} offers no acknowledgements (XEP-0198)", setup.name);
            return Ok(Vec::new());
        }
        load.add(sender, receiver, &accounts[2 * number + 1].jid(), acked)?;
    }

    let mut figures = Vec::new();
    for &(in_flight, key) in in_flight {
        let window = in_flight / PAIRS;
        load.chat(window, Until::Time(plan.chat / 5))?;
        figures.push(measure(&server, &mut load, window, plan.chat, key)?);
    }
    Ok(figures)
}

fn measure(
    server: &Server,
    load: &mut Load,
    window: usize,
    time: Duration,
    key: &'static str,
) -> Result<Figure, String> {
    let failed = |error: io::Error| format!("read the CPU time of {}: {error}", server.name);
    let (server_before, own_before) = (
        process::cpu(server.pid).map_err(failed)?,
        process::own().map_err(failed)?,
    );
    let start = Instant::now();
    let delivered = load.chat(window, Until::Time(time))? as f64;
    let wall = start.elapsed();
    let server_used = process::cpu(server.pid).map_err(failed)? - server_before;
    let own_used = process::own().map_err(failed)? - own_before;
    Ok(Figure {
        key,
        value: server_used.as_secs_f64() * 1e6 / delivered,
        a_second: delivered / wall.as_secs_f64(),
        generator_us: own_used.as_secs_f64() * 1e6 / delivered,
    })
}

/// How long a chat goes on.
#[derive(Clone, Copy)]
pub enum Until {
    Time(Duration),
    /// So many messages of each pair.
    Count(u64),
}

/// All pairs and the epoll that they wait in.
pub struct Load {
    epoll: Epoll,
    pairs: Vec<Pair>,
    scratch: Vec<u8>,
}

impl Load {
    /// Without pairs.
    pub fn new() -> Result<Load, String> {
        Ok(Load {
            epoll: Epoll::new()?,
            pairs: Vec::new(),
            scratch: vec![0; 64 * 1024],
        })
    }

    /// One more pair. `acked`: the sender has enabled acknowledgements and waits for them.
    pub fn add(
        &mut self,
        sender: Client,
        receiver: Client,
        to: &str,
        acked: bool,
    ) -> Result<(), String> {
        let number = self.pairs.len();
        let pair = Pair {
            sender: End::new(sender)?,
            receiver: End::new(receiver)?,
            template: Template::new(number, to, "chat")?,
            sent: 0,
            received: 0,
            acked: acked.then_some(0),
            window: 0,
            last: 0,
            text: Vec::new(),
            answers: Vec::new(),
            delivered: Instant::now(),
        };
        for (role, end) in [&pair.sender, &pair.receiver].into_iter().enumerate() {
            self.epoll.add(end, (2 * number + role) as u64)?;
        }
        self.pairs.push(pair);
        Ok(())
    }

    /// Keeps `window` messages of each pair on the way, then waits until all have arrived; how many.
    pub fn chat(&mut self, window: usize, until: Until) -> Result<u64, String> {
        let before: u64 = self.pairs.iter().map(|pair| pair.received).sum();
        let start = Instant::now();
        for pair in &mut self.pairs {
            pair.delivered = start;
            pair.window = window as u64;
            pair.last = match until {
                Until::Time(_) => u64::MAX,
                Until::Count(count) => pair.sent + count,
            };
            pair.send()?;
        }
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4 * PAIRS];
        while self.pairs.iter().any(|pair| pair.done() < pair.sent) {
            let events = self.epoll.wait(&mut events)?;
            let now = Instant::now();
            if matches!(until, Until::Time(time) if now - start >= time) {
                self.pairs.iter_mut().for_each(|pair| pair.last = 0);
            }
            for event in events {
                let pair = &mut self.pairs[event.u64 as usize / 2];
                if event.u64 % 2 == 0 {
                    pair.sender_ready(&mut self.scratch, now)?;
                } else {
                    pair.receive(&mut self.scratch, now)?;
                }
            }
            if let Some(pair) = self.pairs.iter().find(|pair| pair.is_late(now)) {
                let missing = pair.sent - pair.done();
                return Err(format!(
                    "{missing} messages of a pair have not arrived within {DELIVERED_WITHIN:?}"
                ));
            }
        }
        Ok(self.pairs.iter().map(|pair| pair.received).sum::<u64>() - before)
    }
}

struct Pair {
    sender: End,
    receiver: End,
    template: Template,
    sent: u64,
    received: u64,
    /// Messages that were acknowledged to the sender; none where it does not ask.
    acked: Option<u64>,
    /// Messages that may be on the way.
    window: u64,
    /// The number at which the chat ends.
    last: u64,
    /// What arrived and is not yet a whole message.
    text: Vec<u8>,
    /// What the sender has read and is not yet whole.
    answers: Vec<u8>,
    /// When the last message arrived, or was acknowledged.
    delivered: Instant,
}

impl Pair {
    /// Messages that are no longer on the way.
    fn done(&self) -> u64 {
        self.acked.unwrap_or(u64::MAX).min(self.received)
    }

    /// Sends as many messages as may be on the way.
    fn send(&mut self) -> Result<(), String> {
        let failed = |error: io::Error| format!("send: {error}");
        let before = self.sent;
        while self.sent < self.last && self.sent - self.done() < self.window {
            let message = self.template.number(self.sent);
            self.sender
                .tls
                .writer()
                .write_all(message)
                .map_err(failed)?;
            self.sent += 1;
        }
        if self.acked.is_some() && self.sent > before {
            let ask = b"<r xmlns='urn:xmpp:sm:3'/>";
            self.sender.tls.writer().write_all(ask).map_err(failed)?;
        }
        self.sender.flush()
    }

    /// Takes what arrived, checks it, and sends as many new messages if the chat goes on.
    fn receive(&mut self, scratch: &mut [u8], now: Instant) -> Result<(), String> {
        self.receiver.read(scratch, &mut self.text)?;
        let before = self.received;
        let mut taken = 0;
        while let Some(length) = self.template.check(&self.text[taken..], self.received)? {
            self.received += 1;
            taken += length;
        }
        self.text.drain(..taken);
        if memmem::find(&self.text, b"stream:error").is_some() {
            return Err(format!(
                "the server ended the stream: {}",
                String::from_utf8_lossy(&self.text)
            ));
        }
        if self.received > before {
            self.delivered = now;
            self.send()?;
        }
        self.receiver.flush()
    }

    /// The sender's socket takes more, or has something to read: acknowledgements, or bad news.
    fn sender_ready(&mut self, scratch: &mut [u8], now: Instant) -> Result<(), String> {
        self.sender.read(scratch, &mut self.answers)?;
        if memmem::find(&self.answers, b"<message").is_some()
            || memmem::find(&self.answers, b"stream:error").is_some()
        {
            return Err(format!(
                "the server answered a message with {}",
                String::from_utf8_lossy(&self.answers)
            ));
        }
        let Some(end) = memchr::memrchr(b'>', &self.answers) else {
            return self.sender.flush();
        };
        if let Some(acked) = &mut self.acked {
            // XEP-0198 §4: the last count is the one that holds.
            if let Some(count) = last_count(&self.answers[..=end]) {
                *acked = count?;
                self.delivered = now;
            }
            if memmem::find(&self.answers[..=end], b"<r ").is_some() {
                // The sender has received no stanza.
                let answer = b"<a xmlns='urn:xmpp:sm:3' h='0'/>";
                let written = self.sender.tls.writer().write_all(answer);
                written.map_err(|error| format!("send: {error}"))?;
            }
        }
        self.answers.drain(..=end);
        if self.acked.is_some() {
            return self.send();
        }
        self.sender.flush()
    }

    fn is_late(&self, now: Instant) -> bool {
        self.done() < self.sent && now - self.delivered > DELIVERED_WITHIN
    }
}

/// The count in the last `<a/>` of this text, if there is one.
fn last_count(text: &[u8]) -> Option<Result<u64, String>> {
    let start = memmem::rfind(text, b"<a ")?;
    let text = String::from_utf8_lossy(&text[start..]);
    let element = text.split('>').next().unwrap_or("");
    let count = [" h='", " h=\""].iter().find_map(|name| {
        let digits = element.split_once(name)?.1;
        digits.split(['\'', '"']).next()?.parse().ok()
    });
    Some(count.ok_or_else(|| format!("an acknowledgement without a count: {element}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_holds() {
        let text = b"<a xmlns='urn:xmpp:sm:3' h='7'/><r xmlns='urn:xmpp:sm:3'/><a h=\"9\" xmlns=\"urn:xmpp:sm:3\"/>";
        assert_eq!(last_count(text), Some(Ok(9)));
        assert_eq!(last_count(b"<presence/>"), None);
        assert!(last_count(b"<a x='1'/>").is_some_and(|count| count.is_err()));
    }
}
