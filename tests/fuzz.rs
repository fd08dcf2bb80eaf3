//! The differential fuzzer: nothing that snug accepts may be refused or read differently by expat or libxml2, neither as it
//! came nor as snug forwards it (`HOLES.md` row 5). `tests/fuzz/run` does the same for millions of cases and replays one.
//!
//! The Python side is `tests/fuzz/compare.py`. Without Python or without lxml the comparison is left out, and a line on stderr
//! says so.

#[path = "fuzz/canonical.rs"]
mod canonical;
#[path = "fuzz/mutate.rs"]
mod mutate;

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;

use canonical::{Change, Prefixes};
use mutate::Random;
use snug::xml::{
    Bounds, Checked, Checker, Document, Element, Event, Next, Reader, Scope, Splice, XmlError,
    escaped, splice,
};

const BOUNDS: Bounds = Bounds {
    bytes: 100_000,
    elements: 1000,
};
/// Cases of an ordinary test run.
const CASES: u64 = 100_000;

const HEADERS: &[&str] = &[
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.example' version='1.0'>",
    "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' xmlns:c='jabber:client' xmlns:p=\"urn:it's\" xml:lang='en'>",
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams' xmlns:q='urn:q'>",
    "<stream:stream xmlns:c='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    "<open xmlns='urn:x'>",
];

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap().trim_ascii_end().to_vec())
        .collect()
}

#[test]
fn mutations() {
    let number = |name, otherwise| match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {text}")),
        Err(_) => otherwise,
    };
    let (cases, first) = (
        number("SNUG_FUZZ_CASES", CASES),
        number("SNUG_FUZZ_FIRST", 1),
    );
    let corpus = corpus();
    assert!(corpus.len() >= 20, "the corpus is there");
    let shards = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(4) as u64;
    let totals: Vec<Totals> = std::thread::scope(|threads| {
        let run = |shard| {
            let corpus = &corpus;
            threads.spawn(move || {
                let mut judge = Judge::start();
                for case in (first + shard..first + cases).step_by(shards as usize) {
                    let input = Input::of_case(case, corpus);
                    if cases == 1 {
                        say(&format!(
                            "case {case}: {:?}",
                            String::from_utf8_lossy(&input.stream())
                        ));
                    }
                    // Either verdict is fine; the judge collects what is not.
                    let _ = try_case(&input, &mut judge);
                }
                judge.finish()
            })
        };
        let running: Vec<_> = (0..shards.min(cases)).map(run).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let sum = |of: fn(&Totals) -> u64| totals.iter().map(of).sum::<u64>();
    let parsers = &totals[0].parsers;
    say(&format!(
        "fuzz: {cases} cases from {first}: {} stanzas accepted, {} texts compared by {parsers}, {} disagreements",
        sum(|t| t.accepted),
        sum(|t| t.compared),
        sum(|t| t.failures.len() as u64)
    ));
    totals
        .iter()
        .flat_map(|t| &t.stricter)
        .for_each(|line| say(line));
    let failures: Vec<_> = totals
        .iter()
        .flat_map(|t| &t.failures)
        .take(20)
        .map(String::as_str)
        .collect();
    assert!(
        failures.is_empty(),
        "replay one with `tests/fuzz/run 1 CASE`:\n{}",
        failures.join("\n")
    );
    // Were most refused, nothing would be compared.
    assert!(
        cases < 1000 || sum(|t| t.accepted) * 4 > cases,
        "the mutations are too wild to prove anything"
    );
}

/// The corpus itself, so that a seed that has gone bad is seen.
#[test]
fn the_corpus_is_accepted() {
    let mut judge = Judge::start();
    for (case, stanza) in corpus().into_iter().enumerate() {
        let text = String::from_utf8_lossy(&stanza).into_owned();
        let input = Input {
            case: case as u64,
            header: HEADERS[0].into(),
            body: stanza,
        };
        let before = judge.totals.accepted;
        assert_eq!(try_case(&input, &mut judge), Ok(()), "{text}");
        assert_eq!(judge.totals.accepted, before + 1, "{text}");
    }
    let totals = judge.finish();
    assert!(totals.failures.is_empty(), "{}", totals.failures.join("\n"));
}

/// What has been smuggled past other servers (row 5): each is refused, in the place that a stanza has.
#[test]
fn hole_05_the_fixed_list() {
    let list: &[(&[u8], XmlError)] = &[
        // Bytes that are no UTF-8: alone, before markup (expat CVE-2022-25235), overlong, a surrogate, too high.
        (
            b"<message><body>\xeb</body></message>",
            XmlError::BadEncoding,
        ),
        (
            b"<message><body>\xeb\x3c/body></message></body></message>",
            XmlError::BadEncoding,
        ),
        (
            b"<message to='\xeb'><body>'/></body></message>",
            XmlError::BadEncoding,
        ),
        (
            b"<message><body>\xc0\xbc</body></message>",
            XmlError::BadEncoding,
        ),
        (
            b"<message><body>\xe0\x80\xbc</body></message>",
            XmlError::BadEncoding,
        ),
        (
            b"<message><body>\xed\xa0\x80</body></message>",
            XmlError::BadEncoding,
        ),
        (
            b"<message><body>\xf4\x90\x80\x80</body></message>",
            XmlError::BadEncoding,
        ),
        (b"<message\xc3 to='a'/>", XmlError::BadEncoding),
        // Namespace separators (expat CVE-2022-25236; fast_xml joins by `|` or a line end, lxp by U+0001).
        (
            b"<message xmlns='jabber:client\n'/>",
            XmlError::BadNamespacePrefix,
        ),
        (
            b"<message xmlns='jabber:client&#10;body'/>",
            XmlError::BadNamespacePrefix,
        ),
        (
            b"<message xmlns='jabber:client|body'/>",
            XmlError::BadNamespacePrefix,
        ),
        (
            b"<message xmlns='jabber:client}body'/>",
            XmlError::BadNamespacePrefix,
        ),
        (
            b"<message xmlns='jabber:client body'/>",
            XmlError::BadNamespacePrefix,
        ),
        (
            b"<message xmlns:p='a|b'><p:x/></message>",
            XmlError::BadNamespacePrefix,
        ),
        (
            b"<message xmlns='jabber:client\x01body'/>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message xmlns='jabber:client&#1;body'/>",
            XmlError::NotWellFormed,
        ),
        // Names with a colon that is no prefix's.
        (b"<:message/>", XmlError::NotWellFormed),
        (b"<:message></:message>", XmlError::NotWellFormed),
        (b"<message></:message>", XmlError::NotWellFormed),
        (b"<message><a></:a></message>", XmlError::NotWellFormed),
        (b"<message><:a></a></message>", XmlError::NotWellFormed),
        (b"<message :to='a'/>", XmlError::NotWellFormed),
        (b"<message:/>", XmlError::NotWellFormed),
        (b"<a:b:c xmlns:a='urn:a'/>", XmlError::NotWellFormed),
        // References to what is no character.
        (
            b"<message><body>&#xD800;</body></message>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message><body>&#xDBFF;&#xDFFF;</body></message>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message><body>&#0;</body></message>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message><body>&#x1f;</body></message>",
            XmlError::NotWellFormed,
        ),
        (b"<message to='&#xFFFF;'/>", XmlError::NotWellFormed),
        (
            b"<message><body>&#x110000;</body></message>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message><body>&#4294967361;</body></message>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message><body>&#18446744073709551681;</body></message>",
            XmlError::NotWellFormed,
        ),
        // Attributes twice: as written, and by expanded name.
        (b"<message to='a' to='b'/>", XmlError::NotWellFormed),
        (
            b"<message xmlns:p='urn:p' xmlns:q='urn:p' p:a='1' q:a='2'/>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message xmlns:p='urn:p' xmlns:q='urn:&#112;' p:a='1' q:a='2'/>",
            XmlError::BadNamespacePrefix,
        ),
        (
            b"<message xmlns='jabber:client' xmlns='jabber:client'/>",
            XmlError::NotWellFormed,
        ),
        // The rest of what the tokenizer lets pass, and of what it does not.
        (
            b"<message><body>]]></body></message>",
            XmlError::NotWellFormed,
        ),
        (b"<message><body></message></body>", XmlError::NotWellFormed),
        (b"<message to='<'/>", XmlError::NotWellFormed),
        (b"<message to='a'from='b'/>", XmlError::NotWellFormed),
        (
            b"<message><body>\x01</body></message>",
            XmlError::NotWellFormed,
        ),
        (
            b"<message><body>\xef\xbf\xbf</body></message>",
            XmlError::NotWellFormed,
        ),
        (b"<message><p:x/></message>", XmlError::BadNamespacePrefix),
        (b"<message p:x=''/>", XmlError::BadNamespacePrefix),
        (b"<message xmlns:p=''/>", XmlError::BadNamespacePrefix),
        (
            b"<message><body>&lol;</body></message>",
            XmlError::Restricted,
        ),
        (b"<message to='&lol;'/>", XmlError::Restricted),
        (b"<message><!-- x --></message>", XmlError::Restricted),
        (b"<message><?x y?></message>", XmlError::Restricted),
        (b"<!DOCTYPE message>", XmlError::Restricted),
        (b"<message>]]&gt;</message>x", XmlError::NotWellFormed),
    ];
    let mut judge = Judge::start();
    for (stanza, expected) in list {
        let input = Input {
            case: 0,
            header: HEADERS[0].into(),
            body: stanza.to_vec(),
        };
        assert_eq!(
            try_case(&input, &mut judge),
            Err(*expected),
            "{}",
            String::from_utf8_lossy(stanza)
        );
    }
    // The last one's stanza is fine, what follows it is not.
    assert_eq!(judge.finish().accepted, 1);
}

/// Every character above ASCII, at the start of a name and inside: exactly those that both parsers accept.
#[test]
fn names_agree_in_the_whole_bmp() {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .arg(script())
        .arg("names")
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let Some((start, inside)) = output
        .split_once('\n')
        .filter(|(start, _)| *start != "no lxml")
    else {
        return;
    };
    for (accepted, before) in [(start, ""), (inside, "a")] {
        let theirs: Vec<u32> = accepted
            .split_whitespace()
            .map(|code| code.parse().unwrap())
            .collect();
        assert!(theirs.len() > 30_000);
        let ours: Vec<u32> = (0x80..0x10800)
            .filter_map(char::from_u32)
            .filter(|c| Document::parse(format!("<{before}{c}/>")).is_ok())
            .map(u32::from)
            .collect();
        assert!(
            ours == theirs,
            "they differ at {:?}",
            ours.iter().zip(&theirs).find(|(a, b)| a != b)
        );
    }
}

/// One case: a stream header and the bytes after it.
struct Input {
    case: u64,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Input {
    fn of_case(case: u64, corpus: &[Vec<u8>]) -> Input {
        let mut random = Random::new(case);
        let mut header = HEADERS[[0, 0, 1, 2, 3, 4][random.below(6)]]
            .as_bytes()
            .to_vec();
        let other = &corpus[random.below(corpus.len())];
        let mut body = match random.below(3) {
            0 => mutate::generate(&mut random, 0),
            _ => corpus[random.below(corpus.len())].clone(),
        };
        for _ in 0..[0, 1, 1, 1, 1, 2, 2, 4][random.below(8)] {
            mutate::mutate(&mut random, &mut body, other);
        }
        if random.one_in(10) {
            mutate::mutate(&mut random, &mut header, other);
        }
        if random.one_in(20) {
            body.extend_from_slice(random.pick(&[
                b"\n".as_slice(),
                b"</stream:stream>",
                b"<a/>",
                other,
            ]));
        }
        Input { case, header, body }
    }

    fn stream(&self) -> Vec<u8> {
        [self.header.as_slice(), &self.body].concat()
    }
}

/// Runs one case through snug, and what it accepts on to the other parsers. Returns snug's verdict.
fn try_case(input: &Input, judge: &mut Judge) -> Result<(), XmlError> {
    let stream = input.stream();
    let mut random = Random::new(!input.case);
    let mut whole = Whole::default();
    let verdict = read(&[&stream], &mut |event| {
        whole.take(event, input.case, &mut random, judge)
    });
    // The same in two pieces: neither the events nor the verdict depend on how the bytes come.
    let (mut once, mut twice) = (String::new(), String::new());
    assert_eq!(
        read(&[&stream], &mut |event| once.push_str(&note(&event))),
        verdict
    );
    let (left, right) = stream.split_at(random.below(stream.len() + 1));
    assert_eq!(
        read(&[left, right], &mut |event| twice.push_str(&note(&event))),
        verdict,
        "case {} cut",
        input.case
    );
    assert_eq!(once, twice, "case {} cut at {}", input.case, left.len());
    if let Err(error) = verdict
        && judge.asks_for_strictness
    {
        let end = String::from_utf8_lossy(&whole.end_tag).into_owned();
        judge.compare(
            input.case,
            b'x',
            &input.header,
            &input.body,
            end.as_bytes(),
            &format!("{error:?}"),
        );
    }
    // As one document too, where it is more than one plain stanza.
    if verdict.is_ok() && (whole.stanzas != 1 || whole.header != input.header) {
        // White space before the header belongs to no document.
        if let Some(body) = stream
            .strip_prefix(whole.header.as_slice())
            .filter(|_| !whole.header.is_empty())
            && reads_to_the_end(&stream)
        {
            let end = if whole.is_closed {
                &[][..]
            } else {
                &whole.end_tag
            };
            let tree = format!("{}{}\x06", whole.opened, whole.tree);
            judge.compare(input.case, b'w', &whole.header, body, end, &tree);
        }
    }
    verdict
}

fn note(event: &Event<'_>) -> String {
    match event {
        Event::Header(header) => format!("header {} {:?};", header.root().source(), header.to()),
        Event::Element(stanza) => format!("{};", stanza.text()),
        Event::Footer => "footer;".to_owned(),
        Event::Space => String::new(),
    }
}

fn read(chunks: &[&[u8]], handle: &mut dyn FnMut(Event<'_>)) -> Result<(), XmlError> {
    let (mut reader, mut checker) = (Reader::new(BOUNDS), Checker::default());
    for chunk in chunks {
        reader.read(chunk, &mut checker, &mut |event| {
            handle(event);
            Next::Continue
        })?;
    }
    Ok(())
}

/// Whether nothing is left that waits for more.
fn reads_to_the_end(stream: &[u8]) -> bool {
    let (mut reader, mut checker) = (Reader::new(BOUNDS), Checker::default());
    reader
        .read(stream, &mut checker, &mut |_| Next::Continue)
        .is_ok()
        && reader.pending() == 0
}

/// One stream as the events tell it.
#[derive(Default)]
struct Whole {
    header: Vec<u8>,
    end_tag: Vec<u8>,
    /// The header in canonical form, without its end.
    opened: String,
    prefixes: Prefixes,
    scope: Scope,
    tree: String,
    stanzas: u32,
    is_closed: bool,
}

impl Whole {
    fn take(&mut self, event: Event<'_>, case: u64, random: &mut Random, judge: &mut Judge) {
        match event {
            Event::Header(header) => {
                let root = header.root();
                // The header may stand behind white space and a declaration; the document begins with them.
                let source = root.source();
                let name = source[1..]
                    .split([' ', '\t', '\r', '\n', '>'])
                    .next()
                    .unwrap_or_default();
                self.end_tag = format!("</{name}>").into_bytes();
                self.header = header.text().as_bytes().to_vec();
                self.prefixes = canonical::prefixes_of(root);
                canonical::open(&mut self.opened, root, &self.prefixes, &Change::default());
                self.scope = header.into_scope();
            }
            Event::Element(stanza) => {
                judge.totals.accepted += 1;
                self.stanzas += 1;
                let mut tree = String::new();
                canonical::write(&mut tree, stanza.root(), &self.prefixes, &Change::default());
                self.tree.push_str(&tree);
                let received = format!("{}{tree}\x06", self.opened);
                judge.compare(
                    case,
                    b'r',
                    &self.header,
                    stanza.text().as_bytes(),
                    &self.end_tag,
                    &received,
                );
                self.splice(stanza, case, random, judge);
            }
            Event::Footer => self.is_closed = true,
            Event::Space => {}
        }
    }

    /// The stanza as snug would forward it, to a stream of its own kind or inside another element.
    fn splice(&self, stanza: Checked<'_>, case: u64, random: &mut Random, judge: &mut Judge) {
        const JIDS: &[Option<&str>] = &[
            None,
            None,
            Some(""),
            Some("anna@a.example/phone"),
            Some("o'neil@a.example/<r>&\"\t\u{1F600}"),
        ];
        const APPENDED: (&str, &str) = (
            "<delay xmlns='urn:xmpp:delay' stamp='&lt;'>x</delay>",
            "\x01urn:xmpp:delay\x02delay\x03\x02stamp\x04<\x05x\x06",
        );
        let mut without: Vec<Element<'_>> = stanza
            .root()
            .children()
            .filter(|_| random.one_in(6))
            .collect();
        if random.one_in(4) {
            without.reverse();
        }
        let (append, append_tree) = if random.one_in(2) { APPENDED } else { ("", "") };
        let default = self.scope.default_ns();
        let is_inside = random.one_in(3);
        let how = Splice {
            from: JIDS[random.below(JIDS.len())],
            to: JIDS[random.below(JIDS.len())],
            lang: random.one_in(4).then_some("de"),
            xmlns: is_inside.then_some(default),
            without: &without,
            append,
        };
        // As for a stream with another content namespace (XEP-0114): what is renamed is XML as before.
        let renamed = stanza.root().renamed(default, "urn:renamed");
        if let Err(error) = Document::parse(renamed.clone()) {
            panic!("case {case}: {error:?} in {renamed}");
        }
        let mut out = Vec::new();
        splice(&mut out, stanza, &how);
        let change = Change {
            from: how.from,
            to: how.to,
            lang: how.lang,
            without: &without,
            append: append_tree,
        };
        let mut tree = String::new();
        canonical::write(&mut tree, stanza.root(), &self.prefixes, &change);
        let streams = "http://etherx.jabber.org/streams";
        let (header, opened, end) = if is_inside {
            (
                "<forwarded xmlns='urn:xmpp:forward:0'>".to_owned(),
                "\x01urn:xmpp:forward:0\x02forwarded\x05".to_owned(),
                "</forwarded>",
            )
        } else {
            let header = format!(
                "<stream:stream xmlns='{}' xmlns:stream='{streams}'>",
                escaped(default)
            );
            (
                header,
                format!("\x01{streams}\x02stream\x05"),
                "</stream:stream>",
            )
        };
        let stage = if is_inside { b'i' } else { b's' };
        judge.compare(
            case,
            stage,
            header.as_bytes(),
            &out,
            end.as_bytes(),
            &format!("{opened}{tree}\x06"),
        );
    }
}

#[derive(Default)]
struct Totals {
    accepted: u64,
    compared: u64,
    failures: Vec<String>,
    stricter: Vec<String>,
    parsers: String,
}

/// The other parsers, behind a pipe.
struct Judge {
    child: Option<(Child, BufWriter<ChildStdin>, JoinHandle<Vec<String>>)>,
    totals: Totals,
    /// Whether to count what snug alone refuses.
    asks_for_strictness: bool,
}

impl Judge {
    fn start() -> Judge {
        let Some(python) = python() else {
            let totals = Totals {
                parsers: "nobody".to_owned(),
                ..Totals::default()
            };
            return Judge {
                child: None,
                totals,
                asks_for_strictness: false,
            };
        };
        let mut child = Command::new(python)
            .arg(script())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the Python that was just found starts");
        let input = BufWriter::with_capacity(1 << 16, child.stdin.take().unwrap());
        let output = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).collect());
        let asks_for_strictness = std::env::var_os("SNUG_FUZZ_STRICTER").is_some();
        Judge {
            child: Some((child, input, reader)),
            totals: Totals::default(),
            asks_for_strictness,
        }
    }

    fn compare(
        &mut self,
        case: u64,
        stage: u8,
        header: &[u8],
        body: &[u8],
        end: &[u8],
        tree: &str,
    ) {
        let Some((_, input, _)) = &mut self.child else {
            return;
        };
        let mut record = case.to_le_bytes().to_vec();
        record.push(stage);
        for field in [header, body, end, tree.as_bytes()] {
            record.extend_from_slice(&(field.len() as u32).to_le_bytes());
            record.extend_from_slice(field);
        }
        input
            .write_all(&record)
            .expect("the comparing side reads to the end");
        self.totals.compared += 1;
    }

    fn finish(self) -> Totals {
        let mut totals = self.totals;
        let Some((mut child, mut input, reader)) = self.child else {
            return totals;
        };
        input.flush().unwrap();
        drop(input);
        let mut lines = reader.join().unwrap();
        assert!(
            child.wait().unwrap().success(),
            "the comparing side failed: {lines:?}"
        );
        let done = lines.pop().unwrap_or_default();
        let words: Vec<_> = done.split(' ').collect();
        assert_eq!(
            words[..2],
            ["done", &totals.compared.to_string()],
            "every record was compared"
        );
        totals.parsers = words[2..].join(" and ");
        let (stricter, failures) = lines
            .into_iter()
            .partition(|line| line.starts_with("stricter "));
        totals.stricter = stricter;
        totals.failures = failures;
        totals
    }
}

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/compare.py")
}

/// The Python to compare with, set up once; says so on stderr when there is none, or one without lxml.
fn python() -> Option<&'static str> {
    static PYTHON: OnceLock<Option<String>> = OnceLock::new();
    PYTHON
        .get_or_init(|| {
            let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/python");
            let output = Command::new("sh").arg(setup).arg(target).output().ok()?;
            let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
            if path.is_empty() {
                say("NOT COMPARED: there is no python3, so nothing was held against expat and libxml2");
                return None;
            }
            if !output.status.success() {
                say("NOT COMPARED WITH LIBXML2: lxml could not be installed, only expat was asked");
            }
            Some(path)
        })
        .as_deref()
}

/// Past the capture of the test harness: this must be seen in a run that passes, too.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
