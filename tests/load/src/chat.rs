//! Scenario: pairs of sessions chat over TLS, each pair with a fixed number of messages on the way. One thread, one
//! epoll, no task and no allocation a message: cheaper than any server that it drives.
//!
//! A message counts when it is delivered. Each must arrive: intact, once and in order.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use memchr::memmem;
use rustls::client::ClientConnection;

use crate::accounts;
use crate::client::{Client, Way};
use crate::plan::{Figure, Plan};
use crate::process;
use crate::server::{Server, Setup};

/// Pairs of sessions.
const PAIRS: usize = 10;

/// Length of a message as the client sends it, in bytes: what clients send for a sentence or two.
const MESSAGE_BYTES: usize = 360;

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
    epoll: OwnedFd,
    pairs: Vec<Pair>,
    scratch: Vec<u8>,
}

impl Load {
    /// Without pairs.
    pub fn new() -> Result<Load, String> {
        // SAFETY: no pointer goes in; the descriptor that comes out is ours alone.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(format!("epoll: {}", io::Error::last_os_error()));
        }
        // SAFETY: checked above.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        Ok(Load {
            epoll,
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
            template: Template::new(number, to)?,
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
            let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
            let mut event = libc::epoll_event {
                events,
                u64: (2 * number + role) as u64,
            };
            let (epoll, socket) = (self.epoll.as_raw_fd(), end.socket.as_raw_fd());
            // SAFETY: both descriptors are open, and the event is read during the call only.
            if unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &mut event) } != 0 {
                return Err(format!("epoll: {}", io::Error::last_os_error()));
            }
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
            let (epoll, capacity) = (self.epoll.as_raw_fd(), events.len() as i32);
            // SAFETY: the kernel writes at most `capacity` events into the array.
            let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), capacity, 1000) };
            if count < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return Err(format!("epoll: {}", io::Error::last_os_error()));
            }
            let now = Instant::now();
            if matches!(until, Until::Time(time) if now - start >= time) {
                self.pairs.iter_mut().for_each(|pair| pair.last = 0);
            }
            for event in &events[..count.max(0) as usize] {
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

/// One connection of a pair, not blocking.
struct End {
    socket: TcpStream,
    tls: Box<ClientConnection>,
}

impl End {
    fn new(client: Client) -> Result<End, String> {
        client
            .socket
            .set_nonblocking(true)
            .map_err(|error| format!("set up a socket: {error}"))?;
        Ok(End {
            socket: client.socket,
            tls: client.tls.ok_or("a chat runs over TLS")?,
        })
    }

    /// Reads until the socket is empty and appends the plaintext to `text`.
    fn read(&mut self, scratch: &mut [u8], text: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let count = match (&self.socket).read(scratch) {
                Ok(0) => return Err("the server closed a connection during the chat".into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("receive: {error}")),
            };
            let mut cipher = &scratch[..count];
            while !cipher.is_empty() {
                self.tls
                    .read_tls(&mut cipher)
                    .map_err(|error| format!("receive: {error}"))?;
                let state = self
                    .tls
                    .process_new_packets()
                    .map_err(|error| format!("receive: {error}"))?;
                let begin = text.len();
                text.resize(begin + state.plaintext_bytes_to_read(), 0);
                self.tls
                    .reader()
                    .read_exact(&mut text[begin..])
                    .map_err(|error| format!("receive: {error}"))?;
            }
            // The edge comes again when there is more: a short read needs no second one that finds nothing.
            if count < scratch.len() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self) -> Result<(), String> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("send: {error}")),
            }
        }
        Ok(())
    }
}

/// The messages of one pair: all alike but for their number, which is in the ids and the body.
pub struct Template {
    message: Numbered,
    id: Numbered,
    body: Numbered,
    /// The form in which the server delivered the last message: a server that adds nothing that changes
    /// (as an archive's id does) keeps it, and a comparison is cheaper than a search.
    delivered: Numbered,
}

impl Template {
    /// Those of the pair with this number.
    pub fn new(pair: usize, to: &str) -> Result<Template, String> {
        // A UUID in shape, as clients make them, with the pair and the number in it.
        let id = format!("5d0c1a3e-{pair:04}-4000-8000-{DIGITS}");
        let around = |body: &str| {
            let origin = format!("<origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>");
            let request = "<request xmlns='urn:xmpp:receipts'/>";
            format!("<message type='chat' to='{to}' id='{id}'>{body}{origin}{request}</message>")
        };
        let sentence = "Bring bread &amp; cheese, and the blue umbrella; I am at the café until about seven. ☂ ";
        let body =
            |filler: usize| format!("<body>{DIGITS} {sentence}{}</body>", ".".repeat(filler));
        let filler = MESSAGE_BYTES
            .checked_sub(around(&body(0)).len())
            .ok_or("the message is too long")?;
        Ok(Template {
            message: Numbered::new(around(&body(filler)).into_bytes(), DIGITS),
            id: Numbered::new(id.into_bytes(), DIGITS),
            body: Numbered::new(body(filler).into_bytes(), DIGITS),
            delivered: Numbered::default(),
        })
    }

    /// The message with this number.
    pub fn number(&mut self, number: u64) -> &[u8] {
        self.message.set(number)
    }

    /// What arrived must be the message of this number, whole; other stanzas may stand before it. Its length, or None:
    /// the end is not there yet.
    fn check(&mut self, arrived: &[u8], number: u64) -> Result<Option<usize>, String> {
        if !self.delivered.text.is_empty() && arrived.starts_with(self.delivered.set(number)) {
            return Ok(Some(self.delivered.text.len()));
        }
        let Some(end) = memmem::find(arrived, b"</message>") else {
            return Ok(None);
        };
        let end = end + b"</message>".len();
        let start = memmem::rfind(&arrived[..end], b"<message").unwrap_or(0);
        let message = &arrived[start..end];
        // The server may order attributes and children as it likes, and add some: but none of ours is missing or changed.
        let id = self.id.set(number);
        let whole = memmem::find_iter(message, id).count() >= 2
            && memmem::find(message, self.body.set(number)).is_some()
            && [&b"chat"[..], b"urn:xmpp:sid:0", b"urn:xmpp:receipts"]
                .iter()
                .all(|part| memmem::find(message, part).is_some());
        if !whole {
            let arrived = String::from_utf8_lossy(&arrived[..end]);
            return Err(format!(
                "expected message {number}, whole and in order, the server delivered: {arrived}"
            ));
        }
        self.delivered = Numbered::new(
            message.to_vec(),
            std::str::from_utf8(&digits(number)).unwrap_or(DIGITS),
        );
        Ok(Some(end))
    }
}

/// Text in which a number stands in several places.
#[derive(Default)]
struct Numbered {
    text: Vec<u8>,
    places: Vec<usize>,
}

/// How a number is written: 12 digits.
const DIGITS: &str = "000000000000";

impl Numbered {
    /// The number stands wherever `text` has `digits` now.
    fn new(text: Vec<u8>, digits: &str) -> Numbered {
        let places = memmem::find_iter(&text, digits).collect();
        Numbered { text, places }
    }

    /// The text with this number.
    fn set(&mut self, number: u64) -> &[u8] {
        let digits = digits(number);
        for &place in &self.places {
            self.text[place..place + digits.len()].copy_from_slice(&digits);
        }
        &self.text
    }
}

fn digits(mut number: u64) -> [u8; DIGITS.len()] {
    let mut digits = [b'0'; DIGITS.len()];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
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

    #[test]
    fn a_message_has_its_length_and_is_known_again() {
        let mut template = Template::new(3, "load0007@chat.test").unwrap();
        let message = template.number(41).to_vec();
        assert_eq!(message.len(), MESSAGE_BYTES);
        assert_eq!(template.message.places.len(), 3);

        let reordered = |message: &[u8]| {
            let text = String::from_utf8(message.to_vec()).unwrap();
            text.replace(
                "type='chat'",
                "xml:lang='en' type=\"chat\" from='load0006@chat.test/load'",
            )
            .into_bytes()
        };
        for number in 41..45 {
            let presence = if number == 43 {
                "<presence from='a@chat.test/b'/>"
            } else {
                ""
            };
            let message = reordered(template.number(number));
            let arrived = [presence.as_bytes(), &message].concat();
            assert!(template.check(&arrived, number + 1).is_err());
            assert_eq!(template.check(&arrived[..200], number).unwrap(), None);
            assert_eq!(
                template.check(&arrived, number).unwrap(),
                Some(arrived.len())
            );
        }
        let cut = message[..MESSAGE_BYTES - 46]
            .iter()
            .chain(b"</message>")
            .copied()
            .collect::<Vec<u8>>();
        assert!(template.check(&cut, 41).is_err());
    }
}
