//! A whole server without a socket: the engine, a store in a directory of its own, a virtual clock and a seed. What the shell does in the
//! binary is done here at once and in order.
#![allow(dead_code)]

use snug::auth::{ChannelBinding, Hash, ScramKeys, Secret, keys};
use snug::config::Config;
use snug::engine::{ConnId, Effect, Engine, Flow, Input, Moment, Random, Tls};
use snug::store::{ArchiveReader, Store, StoreError};
use snug::xml::{Bounds, Checker, Event, Next, Reader};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// 2026-11-22T12:00:00Z: when every script begins.
pub const BEGIN_MS: u64 = 1_795_348_800_000;

/// What a client opens its stream with.
pub const HEADER: &str = "<?xml version='1.0'?><stream:stream to='chat.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A configuration that slows nobody down.
pub const NO_RATES: &str = "[limits]\nstanza_rate = 0\nlogin_rate = 0\nconnection_rate = 0";

/// What `tls-exporter` gives on every connection of a test.
pub const EXPORTER: [u8; 32] = [7; 32];

/// The server and its connections' far ends.
pub struct Host {
    pub engine: Engine,
    /// Goes before its engine's store is opened again.
    reader: Option<ArchiveReader>,
    directory: PathBuf,
    config: Config,
    now: Moment,
    checker: Checker,
    conns: HashMap<u32, Far>,
    next: u32,
    /// Places of connections that nobody asks about any more.
    free: Vec<u32>,
    generation: u32,
    trace: Rc<RefCell<Vec<String>>>,
    seed: u64,
    /// Commits wait until they are let go, where a test looks at what waits for them.
    pub hold_commits: bool,
    held_commits: Vec<snug::store::Ticket>,
    pub commits: usize,
    /// Keys are derived when they are let go, where a test looks at what happens meanwhile.
    pub hold_keys: bool,
    held_keys: VecDeque<Effect>,
    /// The archive answers when it is let go, where a test looks at what happens meanwhile.
    pub hold_reads: bool,
    held_reads: VecDeque<Effect>,
    /// The far end reads nothing: what the server sends stays in the engine's queue.
    pub deaf: Vec<u32>,
    /// Bytes that came for a connection that was gone: the engine must not do that.
    pub stray_bytes: usize,
    /// How often keys were asked for.
    pub derivations: usize,
    pub exited: bool,
    replies: Vec<(u64, String)>,
    wanted: VecDeque<Effect>,
}

/// What the shell keeps of a connection.
struct Far {
    conn: ConnId,
    reader: Reader,
    paused: bool,
    /// What arrived while it was paused.
    unread: Vec<u8>,
    closed: bool,
    /// What the server sent and nobody read yet.
    sent: Vec<u8>,
}

impl Host {
    /// A fresh server; `toml` is its configuration but for the domain, which is `chat.test`.
    pub fn new(toml: &str) -> Host {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = if Path::new("/dev/shm").is_dir() {
            PathBuf::from("/dev/shm")
        } else {
            std::env::temp_dir()
        };
        let directory = root.join(format!("snug-test-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        // Most scripts are about subscriptions: there nobody sees everybody.
        let lists = match toml.contains("[roster]") {
            true => "",
            false => "[roster]\neveryone = false\n",
        };
        // Nor do they count the ids that an archive gives.
        let archive = match toml.contains("[archive]") {
            true => "",
            false => "[archive]\nenabled = false\n",
        };
        let text = format!("domain = \"chat.test\"\n{lists}{archive}{toml}\n");
        let config = Config::parse(&text, Path::new("script.toml"), &directory)
            .unwrap_or_else(|error| panic!("{error}"));
        let now = Moment {
            wall_ms: BEGIN_MS,
            mono_ms: 1_000_000,
        };
        let trace = Rc::new(RefCell::new(Vec::new()));
        let engine = start(&config, &directory, now, 1, &trace);
        let host = Host {
            reader: Some(engine.store.archive_reader()),
            engine,
            directory,
            config,
            now,
            checker: Checker::default(),
            conns: HashMap::new(),
            next: 0,
            free: Vec::new(),
            generation: 0,
            trace,
            seed: 1,
            hold_commits: false,
            held_commits: Vec::new(),
            commits: 0,
            hold_keys: false,
            held_keys: VecDeque::new(),
            hold_reads: false,
            held_reads: VecDeque::new(),
            deaf: Vec::new(),
            stray_bytes: 0,
            derivations: 0,
            exited: false,
            replies: Vec::new(),
            wanted: VecDeque::new(),
        };
        host.keep_committed();
        host
    }

    /// The same random bytes as another server with this seed.
    pub fn seeded(toml: &str, seed: u64) -> Host {
        let mut host = Host::new(toml);
        host.seed = seed;
        host.engine.random = random(seed);
        host
    }

    /// The clocks.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Makes an account.
    pub fn account(&mut self, name: &str, password: &str) {
        let request = serde_json::json!({"verb": "user.add", "name": name, "password": password});
        let answer = self.control(&request);
        assert_eq!(
            answer["ok"], true,
            "the account {name} could not be made: {answer}"
        );
    }

    /// One request of the control socket and its answer.
    pub fn control(&mut self, request: &serde_json::Value) -> serde_json::Value {
        self.enter(Input::Control {
            call: 1,
            line: &request.to_string(),
        });
        let (_, line) = self.replies.pop().expect("a control request is answered");
        serde_json::from_str(&line).expect("the answer is JSON")
    }

    /// The answer to a control request that was answered later.
    pub fn reply(&mut self) -> Option<serde_json::Value> {
        let (_, line) = self.replies.pop()?;
        Some(serde_json::from_str(&line).expect("the answer is JSON"))
    }

    /// A new connection, with TLS from the start or without.
    pub fn connect(&mut self, secure: bool) -> u32 {
        self.connect_from("192.0.2.7", secure.then(tls))
    }

    /// A new connection from an address.
    pub fn connect_from(&mut self, peer: &str, tls: Option<Tls>) -> u32 {
        let peer = peer.parse().expect("an address");
        let far = self.add_far();
        let conn = self.conn(far);
        self.enter(Input::Accepted { conn, peer, tls });
        far
    }

    fn add_far(&mut self) -> u32 {
        self.generation += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        let conn = ConnId {
            index,
            generation: self.generation,
        };
        self.conns.insert(
            index,
            Far {
                conn,
                reader: Reader::new(Bounds::BEFORE_LOGIN),
                paused: false,
                unread: Vec::new(),
                closed: false,
                sent: Vec::new(),
            },
        );
        index
    }

    /// A new connection on the port of components.
    pub fn connect_component(&mut self) -> u32 {
        let far = self.add_far();
        let conn = self.conn(far);
        let peer = "127.0.0.1".parse().expect("an address");
        self.enter(Input::Component { conn, peer });
        far
    }

    /// A component that has shown that it knows the secret `secret`; what it was told is not looked at.
    pub fn component(&mut self, host: &str) -> u32 {
        let far = self.connect_component();
        self.send(far, &component_header(host));
        let header = self.sent(far);
        let id = header
            .split_once(" id='")
            .and_then(|(_, rest)| rest.split_once('\''))
            .map(|(id, _)| id.to_owned())
            .expect("the header has an id");
        let handshake = handshake(&id, "secret");
        let answer = self.ask(far, &format!("<handshake>{handshake}</handshake>"));
        assert_eq!(answer, "<handshake/>", "{host} was not let in");
        far
    }

    /// Opens a stream with TLS and logs in with PLAIN; the answers are not looked at.
    pub fn authenticate(&mut self, name: &str, password: &str) -> u32 {
        let far = self.connect(true);
        let plain = snug::auth::encode(format!("\0{name}\0{password}"));
        self.send(far, HEADER);
        self.send(
            far,
            &format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
            ),
        );
        self.send(far, HEADER);
        far
    }

    /// Logs in with the password `secret` and binds a resource.
    pub fn log_in(&mut self, name: &str, resource: &str) -> u32 {
        let far = self.authenticate(name, "secret");
        self.send(far, &format!("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"));
        let text = self.sent(far);
        assert!(
            text.contains(&format!("<jid>{name}@chat.test/{resource}</jid>")),
            "{name}/{resource} could not log in: {text}"
        );
        far
    }

    /// Logs in, asks for the roster and sends presence; what comes back is not looked at.
    pub fn go_online(&mut self, name: &str, resource: &str) -> u32 {
        let far = self.log_in(name, resource);
        self.send(
            far,
            "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>",
        );
        self.sent(far);
        far
    }

    /// Text arrives from a connection.
    pub fn send(&mut self, far: u32, text: &str) {
        self.bytes(far, text.as_bytes());
    }

    /// What the server sent to a connection since this was asked last, as text.
    pub fn sent(&mut self, far: u32) -> String {
        String::from_utf8(self.take_sent(far)).expect("the server sends UTF-8")
    }

    /// What the server answers to this text.
    pub fn ask(&mut self, far: u32, text: &str) -> String {
        self.sent(far);
        self.send(far, text);
        self.sent(far)
    }

    /// Bytes that wait in a connection's reader: half a stanza, or what is unread.
    pub fn unread(&self, far: u32) -> usize {
        self.conns
            .get(&far)
            .map_or(0, |state| state.reader.pending() + state.unread.len())
    }

    /// What the engine calls a connection.
    pub fn conn(&self, far: u32) -> ConnId {
        self.conns[&far].conn
    }

    /// Bytes arrive from a connection.
    pub fn bytes(&mut self, far: u32, bytes: &[u8]) {
        self.read(far, bytes);
        self.settle();
    }

    fn read(&mut self, far: u32, bytes: &[u8]) {
        let Some(state) = self.conns.get_mut(&far).filter(|state| !state.closed) else {
            return;
        };
        if state.paused {
            state.unread.extend_from_slice(bytes);
            return;
        }
        let conn = state.conn;
        let mut reader = std::mem::replace(&mut state.reader, Reader::new(Bounds::BEFORE_LOGIN));
        let mut checker = std::mem::take(&mut self.checker);
        let mut last = Flow::Continue;
        let outcome = reader.read(bytes, &mut checker, &mut |event| {
            let input = match &event {
                Event::Header(header) => Input::Header { conn, header },
                Event::Element(xml) => Input::Element { conn, xml: *xml },
                Event::Footer => Input::Footer { conn },
                Event::Space => Input::Space { conn },
            };
            last = self.tell(input);
            match last {
                Flow::Continue => Next::Continue,
                Flow::Restart => Next::Restart,
                Flow::StartTls | Flow::Pause | Flow::Close => Next::Stop,
            }
        });
        self.checker = checker;
        if let Err(error) = outcome {
            last = self.tell(Input::Malformed { conn, error });
        }
        if last == Flow::StartTls {
            if reader.pending() > 0 {
                // RFC 6120 §5.4.3.3: what came behind <starttls/> was not protected.
                return self.drop_connection(far);
            }
            self.tell(Input::Secured { conn, tls: tls() });
            reader = Reader::new(Bounds::BEFORE_LOGIN);
        }
        reader.set_bounds(self.engine.bounds(conn));
        if let Some(state) = self.conns.get_mut(&far) {
            state.paused = last == Flow::Pause;
            state.reader = reader;
        }
    }

    fn go_on(&mut self, far: u32, restart: bool) {
        let Some(state) = self.conns.get_mut(&far) else {
            return;
        };
        state.paused = false;
        if restart {
            state.reader.restart();
        }
        state.reader.set_bounds(self.engine.bounds(state.conn));
        let unread = std::mem::take(&mut state.unread);
        self.read(far, &unread);
    }

    /// The connection is lost without a word.
    pub fn drop_connection(&mut self, far: u32) {
        if let Some(state) = self.conns.get_mut(&far) {
            state.closed = true;
            let conn = state.conn;
            self.enter(Input::Gone {
                conn,
                why: "the test dropped it",
            });
        }
    }

    /// The connection is lost if it is still there, and its place is used again.
    pub fn forget(&mut self, far: u32) {
        if !self.is_closed(far) {
            self.drop_connection(far);
        }
        self.conns.remove(&far);
        self.free.push(far);
    }

    /// What the server sent to a connection since this was asked last.
    pub fn take_sent(&mut self, far: u32) -> Vec<u8> {
        self.conns
            .get_mut(&far)
            .map(|state| std::mem::take(&mut state.sent))
            .unwrap_or_default()
    }

    /// Whether the server closed the connection.
    pub fn is_closed(&self, far: u32) -> bool {
        self.conns.get(&far).is_none_or(|state| state.closed)
    }

    /// Lets seconds pass, each with its tick.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now.wall_ms += 1000;
            self.now.mono_ms += 1000;
            self.enter(Input::Tick);
        }
    }

    /// Where the server keeps its data.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Sets the wall clock on or back, without a tick.
    pub fn set_clock(&mut self, wall_ms: u64) {
        self.now.wall_ms = wall_ms;
    }

    /// Stops the server in order, or pulls the plug, and starts it again.
    pub fn restart(&mut self, orderly: bool) {
        if orderly {
            self.hold_keys = false;
            self.release_keys();
            self.release_reads();
            self.release_commits();
            self.enter(Input::Shutdown);
        }
        self.end(!orderly);
    }

    /// The process is killed and started again: files have what was written, committed or not.
    pub fn kill(&mut self) {
        copy(&self.directory, &self.beside("killed"));
        copy(&self.beside("killed"), &self.beside("committed"));
        self.end(true);
    }

    fn beside(&self, what: &str) -> PathBuf {
        self.directory.with_extension(what)
    }

    /// What a power cut would leave from now on.
    fn keep_committed(&self) {
        copy(&self.directory, &self.beside("committed"));
    }

    /// Starts the server again, with what was committed last if the plug was pulled.
    fn end(&mut self, plug_pulled: bool) {
        self.conns
            .values_mut()
            .for_each(|state| state.closed = true);
        self.seed += 1;
        // Only one engine can have the directory: the old one goes first.
        let config = self.config.clone();
        let elsewhere = self.beside("between");
        let placeholder = start(&config, &elsewhere, self.now, 0, &self.trace);
        self.reader = None;
        drop(std::mem::replace(&mut self.engine, placeholder));
        if plug_pulled {
            // What the old engine wrote when it was dropped never happened.
            copy(&self.beside("committed"), &self.directory);
        }
        self.engine = start(&config, &self.directory, self.now, self.seed, &self.trace);
        self.reader = Some(self.engine.store.archive_reader());
        let _ = std::fs::remove_dir_all(&elsewhere);
        self.keep_committed();
        self.hold_commits = false;
        self.held_commits.clear();
        self.hold_keys = false;
        self.held_keys.clear();
        self.hold_reads = false;
        self.held_reads.clear();
        self.deaf.clear();
        self.wanted.clear();
        self.exited = false;
    }

    /// Derives the keys that were asked for meanwhile.
    pub fn release_keys(&mut self) {
        self.hold_keys = false;
        for effect in std::mem::take(&mut self.held_keys) {
            self.wanted.push_back(effect);
        }
        self.settle();
    }

    /// Lets the archive answer what was asked meanwhile.
    pub fn release_reads(&mut self) {
        self.hold_reads = false;
        self.wanted.append(&mut self.held_reads);
        self.settle();
    }

    /// Lets the oldest commit go that is held back; later ones stay. Whether there was one.
    pub fn release_one_commit(&mut self) -> bool {
        if self.held_commits.is_empty() {
            return false;
        }
        let ticket = self.held_commits.remove(0);
        self.commit(ticket);
        self.settle();
        true
    }

    /// Lets commits go that were held back.
    pub fn release_commits(&mut self) {
        self.hold_commits = false;
        for ticket in std::mem::take(&mut self.held_commits) {
            self.commit(ticket);
        }
        self.settle();
    }

    /// Says of the commits that were held back that they could not be done.
    pub fn fail_commits(&mut self) {
        self.hold_commits = false;
        for ticket in std::mem::take(&mut self.held_commits) {
            let result = Err(StoreError::Full);
            self.tell(Input::Committed { ticket, result });
        }
        self.settle();
    }

    /// What the archive has, by the reader that the server's own requests go to: only one may have a volume.
    pub fn archive(
        &mut self,
        request: snug::store::archive::Request,
    ) -> Result<snug::store::archive::Answer, StoreError> {
        let reader = self.reader.as_mut().expect("a server runs");
        reader.answer(request)
    }

    /// The lines that the trace said since this was asked last.
    pub fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.trace.borrow_mut())
    }

    fn commit(&mut self, ticket: snug::store::Ticket) {
        self.commits += 1;
        // Of many commits that were held back the first one has it all.
        let writes = self.engine.store.is_dirty();
        let result = self.engine.store.commit().map(drop);
        if writes {
            self.keep_committed();
        }
        self.tell(Input::Committed { ticket, result });
    }

    /// Enters the engine and does what it wants done, and what follows from that.
    pub fn enter(&mut self, input: Input<'_>) -> Flow {
        let flow = self.tell(input);
        self.settle();
        flow
    }

    /// Enters the engine. Bytes go out at once; the rest is done when the input that is being read is done.
    fn tell(&mut self, input: Input<'_>) -> Flow {
        self.now.mono_ms += 1;
        self.now.wall_ms += 1;
        let flow = self.engine.enter(self.now, input);
        while let Some(effect) = self.engine.effects() {
            match effect {
                Effect::Output(conn) if self.deaf.contains(&conn.index) => {}
                Effect::Output(conn) => {
                    let bytes = self.engine.take_output(conn);
                    if let Some(state) = self.conns.get_mut(&conn.index) {
                        match state.closed {
                            true => self.stray_bytes += bytes.len(),
                            false => state.sent.extend_from_slice(&bytes),
                        }
                    }
                    self.engine.recycle(bytes);
                }
                effect => self.wanted.push_back(effect),
            }
        }
        flow
    }

    fn settle(&mut self) {
        while let Some(effect) = self.wanted.pop_front() {
            match effect {
                Effect::Output(_) => {}
                Effect::Resume { conn, restart } => self.go_on(conn.index, restart),
                Effect::Close(conn) => {
                    if let Some(state) = self.conns.get_mut(&conn.index) {
                        state.closed = true;
                    }
                    self.tell(Input::Gone {
                        conn,
                        why: "closed",
                    });
                }
                Effect::Commit { ticket } => match self.hold_commits {
                    true => self.held_commits.push(ticket),
                    false => self.commit(ticket),
                },
                Effect::Derive { .. } if self.hold_keys => self.held_keys.push_back(effect),
                Effect::Derive {
                    job,
                    password,
                    keys,
                } => {
                    self.derivations += 1;
                    let keys = derive(&password, &keys);
                    self.tell(Input::Derived { job, keys });
                }
                Effect::Read { .. } if self.hold_reads => self.held_reads.push_back(effect),
                Effect::Read { job, request } => {
                    let reader = self.reader.as_mut().expect("a server runs");
                    let answer = reader.answer(request);
                    self.tell(Input::Read { job, answer });
                }
                Effect::Reply { call, line } => self.replies.push((call, line)),
                Effect::Stop => drop(self.tell(Input::Shutdown)),
                Effect::Exit => self.exited = true,
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for directory in [
            self.directory.clone(),
            self.beside("committed"),
            self.beside("killed"),
        ] {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// What a component opens its stream with (XEP-0114 §3).
pub fn component_header(host: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{host}'>"
    )
}

/// What a component shows: SHA-1 of the stream's id and the secret, in hexadecimal.
pub fn handshake(id: &str, secret: &str) -> String {
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    let hash = digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{id}{secret}").as_bytes(),
    );
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// PBKDF2 is slow by design: the same question gets its answer once.
fn derive(password: &Secret, keys: &[(Hash, Vec<u8>, u32)]) -> Vec<ScramKeys> {
    type Question = (Vec<u8>, Vec<(Hash, Vec<u8>, u32)>);
    thread_local! {
        static KNOWN: RefCell<HashMap<Question, Vec<ScramKeys>>> = RefCell::default();
    }
    let question = (password.expose().to_vec(), keys.to_vec());
    KNOWN.with_borrow_mut(|known| {
        known
            .entry(question)
            .or_insert_with(|| keys::derive_all(password, keys))
            .clone()
    })
}

/// Makes `to` a copy of a data directory.
fn copy(from: &Path, to: &Path) {
    let fine = (|| -> std::io::Result<()> {
        let _ = std::fs::remove_dir_all(to);
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => copy(&entry.path(), &target),
                // The ballast is only there to be deleted.
                false if entry.file_name() == "ballast" => {}
                false => drop(std::fs::copy(entry.path(), target)?),
            }
        }
        Ok(())
    })();
    fine.unwrap_or_else(|error| panic!("{} could not be copied: {error}", from.display()));
}

fn start(
    config: &Config,
    directory: &Path,
    now: Moment,
    seed: u64,
    trace: &Rc<RefCell<Vec<String>>>,
) -> Engine {
    let store = match config.archive.enabled {
        true => Store::open_archive_later(directory),
        false => Store::open_without_archive(directory),
    }
    .unwrap_or_else(|error| panic!("the store of a test opens: {error}"));
    let lines = trace.clone();
    snug::engine(
        config.clone(),
        store,
        random(seed),
        now,
        Some(Box::new(move |line| {
            lines.borrow_mut().push(line.to_owned())
        })),
    )
}

fn random(seed: u64) -> Random {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Random::new(move |bytes| {
        for byte in bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 24) as u8;
        }
    })
}

/// What TLS tells of every connection of a test.
pub fn tls() -> Tls {
    Tls {
        binding: ChannelBinding {
            exporter: Some(EXPORTER),
            end_point: Some(vec![9; 32]),
        },
        version: "TLSv1.3",
    }
}
