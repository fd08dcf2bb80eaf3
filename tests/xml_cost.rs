//! What one chat message costs in the XML layer: no allocation once warm, and how long each part takes.
//!
//! `cargo test --release --test xml_cost -- --nocapture` prints nanoseconds. For instructions, with symbols kept
//! (`CARGO_PROFILE_RELEASE_STRIP=none`), the test binary runs under
//! `SNUG_COST_ROUNDS=1000 valgrind --tool=callgrind --toggle-collect=xml_cost::check … time_of_the_parts --test-threads 1`, and
//! likewise for `frame` and `forward`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use snug::xml::{
    Bounds, Checked, Checker, Event, Frame, Framer, Next, Reader, Scope, Splice, splice,
};

/// Counts the allocations of this thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const BOUNDS: Bounds = Bounds {
    bytes: 256 * 1024,
    elements: 4000,
};
const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='lan.example' version='1.0'>";
/// As a phone's client sends it: 360 bytes.
const MESSAGE: &str = "<message to='ben@lan.example/phone.3Fq' type='chat' id='6f1d2c1e-7a40-4c58' xml:lang='en'>\
                       <body>Shall we eat at seven? I am on the train. Or at eight?</body>\
                       <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>\
                       <origin-id xmlns='urn:xmpp:sid:0' id='6f1d2c1e-7a40-4c58'/><markable xmlns='urn:xmpp:chat-markers:0'/>\
                       </message>";
const FROM: &str = "anna@lan.example/laptop.Xy7";

#[inline(never)]
fn frame(framer: &mut Framer, bytes: &[u8]) -> usize {
    match framer.next(bytes, &BOUNDS) {
        Ok(Some(Frame::Element { len })) => len,
        other => panic!("{other:?}"),
    }
}

#[inline(never)]
fn check<'a>(checker: &'a mut Checker, bytes: &'a [u8], scope: &'a Scope) -> Checked<'a> {
    checker.element(bytes, scope, &BOUNDS).unwrap()
}

#[inline(never)]
fn forward(out: &mut Vec<u8>, stanza: Checked<'_>) {
    splice(
        out,
        stanza,
        &Splice {
            from: Some(FROM),
            ..Splice::default()
        },
    );
}

/// What a router asks of every message.
#[inline(never)]
fn look(stanza: Checked<'_>) -> usize {
    let root = stanza.root();
    let known = ["to", "from", "type", "id"]
        .iter()
        .filter(|name| root.raw_attr(name).is_some())
        .count();
    known
        + usize::from(root.is("jabber:client", "message"))
        + usize::from(root.child("urn:xmpp:carbons:2", "private").is_some())
}

fn scope() -> Scope {
    Checker::default()
        .header(HEADER.as_bytes())
        .unwrap()
        .into_scope()
}

fn framer() -> Framer {
    let mut framer = Framer::new();
    assert_eq!(
        framer.next(HEADER.as_bytes(), &BOUNDS),
        Ok(Some(Frame::Header { len: HEADER.len() }))
    );
    framer
}

#[test]
fn a_message_costs_no_allocation_once_warm() {
    let (mut reader, mut checker, mut out) = (Reader::new(BOUNDS), Checker::default(), Vec::new());
    let mut read = |bytes: &[u8]| {
        let before = ALLOCATIONS.get();
        let mut forwarded = 0;
        out.clear();
        reader
            .read(bytes, &mut checker, &mut |event| {
                if let Event::Element(stanza) = event {
                    assert!(look(stanza) > 3);
                    forward(&mut out, stanza);
                    forwarded += 1;
                }
                Next::Continue
            })
            .unwrap();
        (forwarded, ALLOCATIONS.get() - before)
    };
    read(HEADER.as_bytes());
    let (two, half) = ([MESSAGE, MESSAGE].concat(), MESSAGE.len() / 2);
    read(two.as_bytes());
    for _ in 0..1000 {
        assert_eq!(read(two.as_bytes()), (2, 0), "messages and allocations");
    }
    // Only half a stanza is kept, and needs memory of its own.
    assert_eq!(read(&MESSAGE.as_bytes()[..half]), (0, 1));
    assert!(matches!(read(&MESSAGE.as_bytes()[half..]), (1, 0 | 1)));
    assert_eq!(read(two.as_bytes()), (2, 0));
}

#[test]
fn time_of_the_parts() {
    assert_eq!(MESSAGE.len(), 360);
    let rounds: u32 = std::env::var("SNUG_COST_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_000);
    let (mut framer, mut checker, scope, mut out) = (
        framer(),
        Checker::default(),
        scope(),
        Vec::with_capacity(1024),
    );
    let bytes = MESSAGE.as_bytes();
    // The best of ten: what else the machine does only makes it slower.
    let nanoseconds = |work: &mut dyn FnMut()| {
        let batch = (rounds / 10).max(1);
        let times = (0..10).map(|_| {
            let start = Instant::now();
            (0..batch).for_each(|_| work());
            start.elapsed().as_nanos() as u64 / u64::from(batch)
        });
        times.min().unwrap_or(0)
    };
    let frame_time = nanoseconds(&mut || {
        black_box(frame(&mut framer, black_box(bytes)));
    });
    let check_time = nanoseconds(&mut || {
        black_box(check(&mut checker, black_box(bytes), &scope));
    });
    let mut other = Checker::default();
    let stanza = check(&mut other, bytes, &scope);
    let look_time = nanoseconds(&mut || {
        black_box(look(black_box(stanza)));
    });
    let splice_time = nanoseconds(&mut || {
        out.clear();
        forward(black_box(&mut out), black_box(stanza));
    });
    println!(
        "a message of {} bytes, ns: frame {frame_time}, check {check_time}, splice {splice_time}, together {}; look {look_time}",
        MESSAGE.len(),
        frame_time + check_time + splice_time
    );
    // A bound that only a quadratic slip would pass, in a build without optimisation on a busy machine.
    assert!(frame_time + check_time + splice_time < 1_000_000);
}

/// Stanzas of the greatest size that are made to be slow. None may cost much more for a byte than the others do.
#[test]
fn hostile_stanzas_cost_what_their_bytes_cost() {
    let fill = |head: &str, piece: &str, tail: &str| {
        let pieces = (BOUNDS.bytes - head.len() - tail.len()) / piece.len();
        format!("{head}{}{tail}", piece.repeat(pieces))
    };
    let prefixes = |from: usize| {
        (from..from + 32)
            .map(|n| format!(" xmlns:p{n}='urn:{n}'"))
            .collect::<String>()
    };
    let declared = format!("<a{}><b{}>", prefixes(0), prefixes(32));
    let same_local: String = (0..32).map(|n| format!(" p{n}:a=''")).collect();
    let many_attributes: String = (0..32).map(|n| format!(" a{n}=''")).collect();
    let deep = "<a>".repeat(62);
    let deep_end = "</a>".repeat(62);
    let hostile = [
        ("text", fill("<a>", "x", "</a>")),
        ("references", fill("<a>", "&amp;", "</a>")),
        ("brackets", fill("<a>", "]] >]", "</a>")),
        ("CDATA", fill("<a>", "<![CDATA[]] ]]]>", "</a>")),
        (
            "brackets in CDATA",
            fill("<a><![CDATA[", "]]] ]", "]]></a>"),
        ),
        ("one long value", fill("<a b='", "&#9;\n", "'/>")),
        (
            "elements",
            fill("<a>", &format!("<b>{}</b>", " ".repeat(60)), "</a>"),
        ),
        (
            "depth",
            fill(&deep, &format!("<b/>{}", " ".repeat(70)), &deep_end),
        ),
        (
            "attributes",
            fill("<a>", &format!("<b{many_attributes}/>"), "</a>"),
        ),
        (
            "the farthest prefix",
            fill(&declared, &format!("<p0:c{same_local}/>"), "</b></a>"),
        ),
        (
            "declarations",
            fill("<a>", &format!("<b{}/>", prefixes(0)), "</a>"),
        ),
    ];
    let (mut checker, scope, mut out) = (Checker::default(), scope(), Vec::new());
    for (what, stanza) in &hostile {
        let bytes = stanza.as_bytes();
        let start = Instant::now();
        let mut framer = framer();
        assert_eq!(
            framer.next(bytes, &BOUNDS),
            Ok(Some(Frame::Element { len: bytes.len() })),
            "{what}"
        );
        let frame_time = start.elapsed();
        let stanza = checker
            .element(bytes, &scope, &BOUNDS)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let check_time = start.elapsed() - frame_time;
        // The worst for a splice: every other child goes, handed over from the end.
        let mut without: Vec<_> = stanza.root().children().step_by(2).collect();
        without.reverse();
        out.clear();
        splice(
            &mut out,
            stanza,
            &Splice {
                without: &without,
                ..Splice::default()
            },
        );
        let all = start.elapsed();
        println!(
            "{what}, {} KiB: frame {frame_time:?}, check {check_time:?}, splice {:?}",
            bytes.len() / 1024,
            all - check_time - frame_time
        );
        // A plain chat message takes about 3 ns a byte; a build without optimisation thirty times as much.
        assert!(all.as_millis() < 1500, "{what} took {all:?}");
    }
}
