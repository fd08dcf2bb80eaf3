//! Makes input that is nearly right: seeded, so that a case number is all it takes to see it again.

/// A small generator of random numbers (splitmix64), the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Pieces that parsers have stumbled over.
#[rustfmt::skip]
const PIECES: &[&[u8]] = &[
    b"<", b">", b"/>", b"</", b"<a>", b"</a>", b"<a/>", b"<:a/>", b"</:a>", b"<p:a/>", b"<a xmlns=''/>", b"&", b"&amp;", b"&lt;", b"&#", b"&#x", b";", b"&#65;",
    b"&#x41;", b"&#xD800;", b"&#xDFFF;", b"&#0;", b"&#x1;", b"&#xFFFE;", b"&#xFFFF;", b"&#xFFFD;", b"&#x10FFFF;", b"&#x110000;", b"&#13;", b"&#10;", b"&#9;", b"&#32;",
    b"&#0000000000000000000000000000000000000065;", b"&#4294967361;", b"&lol;", b"&quot;", b"&apos;", b"&gt;", b"]]>", b"]]", b"]", b"]]&gt;", b"<![CDATA[", b"<![CDATA[]]>", b"<![CDATA[<a>]]]]>",
    b"<!--", b"-->", b"<!-- x -->", b"<?", b"?>", b"<?xml version='1.0'?>", b"<?p q?>", b"<!DOCTYPE a>", b"<!ENTITY a 'b'>", b"\r\n", b"\r", b"\n", b"\t", b" ", b"\0", b"\x01",
    b"\x0b", b"\x1f", b"\x7f", b"\xc2\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b"\xf0\x90\x90\x80", b"\xed\xa0\x80",
    b"\xc0\xbc", b"\xe0\x80\xbc", b"\xeb\x3c", b"\xf4\x90\x80\x80", b"\xff", b"\xc3", b"\xc3\xa9", b"\xcc\x80", b"\xc8\xa1", b"\xe4\xb8\xad", b":", b"|", b"'", b"\"", b"=", b"p:", b"xml:", b"xmlns:",
    b"stream:", b"c:", b"-", b".", b"_", b"1", b"%", b"#", b"//", b"?", b"[", b"}", b"{", b"\\", b"^", b"`",
];

/// Attributes and declarations, put where an attribute may stand.
#[rustfmt::skip]
const ATTRIBUTES: &[&str] = &[
    " a='1'", " a=\"1\"", "\n\ta = '1'", " a=''", " a='\t\r\n&#10;'", " p:a='1'", " q:a='1'", " c:a='1'", " stream:a='1'", " xml:lang='de'", " xml:a='1'", " xml:space='x'",
    " xml:id='1'", " xml:base='a b'", " xmlns=''", " xmlns='jabber:client'", " xmlns='jabber&#58;client'", " xmlns='urn:p'", " xmlns:p='urn:p'", " xmlns:q='urn:p'", " xmlns:q='urn:&#112;'", " xmlns:p=''",
    " xmlns:c='urn:c'", " xmlns:c='jabber:client'", " xmlns:stream='urn:s'", " xmlns:xml='http://www.w3.org/XML/1998/namespace'", " xmlns:xml='urn:p'", " xmlns:xmlns='urn:p'",
    " xmlns:p='http://www.w3.org/XML/1998/namespace'", " xmlns='http://www.w3.org/2000/xmlns/'", " xmlns='a b'", " xmlns='a|b'", " xmlns='a&#10;b'", " xmlns='a\nb'", " xmlns='a}b'",
    " xmlns='1:b'", " xmlns=':b'", " xmlns='a:'", " xmlns='//'", " xmlns='http://'", " xmlns='http://h:1/%20?a&amp;b#c'", " xmlns='http://[::1]/'", " xmlns='a%zz'", " xmlns='a#b#c'", " xmlns='größe'",
    " xmlns='../a;b=c'", " xmlns='?'", " xmlns='#'", " xmlns=\"urn:it's\"", " xmlns:p=\"urn:it's\"", " :a='1'", " a:='1'", " from='x' from='y'", " from='x'", " to='y'", " p:from='x'", "a='1'", " a=1", " a", " a='<'", " a='&'",
    " xmlns:a='urn:a' a:a='1'", " xmlNS='urn:x'", " p:a='1' q:a='2'", " c:a='1' p:a='2'",
    " xmlns:p='urn:p' xmlns:q='urn:p'", " xmlns:p='urn:p' xmlns:q='urn:p' p:a='1' q:a='2'", " xmlns:q='urn:q' xmlns:p='urn:p' p:a='1' q:a='2'", " Xmlns:p='urn:x'", " xmlfoo='1'", " größe='1'",
];

#[rustfmt::skip]
const NAMESPACES: &[&str] = &["", "jabber:client", "urn:p", "urn:&#112;", "urn:q", "urn:xmpp:forward:0", "vcard-temp", "http://etherx.jabber.org/streams", "a b"];
const PREFIXES: &[&str] = &["", "", "", "", "p:", "q:", "c:", "stream:"];
const NAMES: &[&str] = &["message", "body", "a", "b", "x", "größe", "_", "a.b-1"];
#[rustfmt::skip]
const TEXTS: &[&str] = &["", "", "hi", " ", "\n", "a &amp; b", "&#x1F600;", "<![CDATA[<x>]]>", "]]&gt;", "caf\u{e9} \u{1F680}", "\r\n", "&#13;", "&quot;'\""];

/// A random element, mostly well-formed, that plays with namespaces.
pub fn generate(random: &mut Random, depth: usize) -> Vec<u8> {
    let name = format!("{}{}", random.pick(PREFIXES), random.pick(NAMES));
    let mut out = format!("<{name}");
    for _ in 0..random.below(3) {
        match random.below(4) {
            0 => out.push_str(&format!(" xmlns='{}'", random.pick(NAMESPACES))),
            1 => out.push_str(&format!(
                " xmlns:{}='{}'",
                random.pick(&["p", "q", "c"]),
                random.pick(&NAMESPACES[1..])
            )),
            2 => out.push_str(&format!(
                " {}{}='{}'",
                random.pick(&["", "", "p:", "q:", "c:", "xml:"]),
                random.pick(NAMES),
                random.pick(&["1", "a\tb", "&lt;", "\""])
            )),
            _ => out.push_str(random.pick(ATTRIBUTES)),
        }
    }
    let mut out = out.into_bytes();
    if random.one_in(4) {
        out.extend_from_slice(random.pick(&["/>", " />", "\n/>"]).as_bytes());
        return out;
    }
    out.extend_from_slice(random.pick(&[">", ">", " >"]).as_bytes());
    out.extend_from_slice(random.pick(TEXTS).as_bytes());
    if depth < 4 {
        for _ in 0..random.below(4) {
            out.extend(generate(random, depth + 1));
            out.extend_from_slice(random.pick(TEXTS).as_bytes());
        }
    }
    out.extend_from_slice(format!("</{name}{}>", random.pick(&["", "", "", "\t"])).as_bytes());
    out
}

/// Changes `input` at one place. `other` lends what is pasted in.
pub fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    if input.is_empty() {
        return;
    }
    let at = random.below(input.len());
    match random.below(24) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.next() as u8,
        2 => insert(input, at, &[random.next() as u8]),
        3 => drop(input.drain(at..(at + 1 + random.below(8)).min(input.len()))),
        4 => insert(input, at, random.pick(PIECES)),
        5 => {
            let piece = random.pick(PIECES);
            let end = (at + piece.len()).min(input.len());
            input.splice(at..end, piece.iter().copied());
        }
        6 => {
            let copy = input[at..(at + 1 + random.below(40)).min(input.len())].to_vec();
            let to = random.below(input.len());
            insert(input, to, &copy);
        }
        7 if !other.is_empty() => {
            let from = random.below(other.len());
            let piece = &other[from..(from + 1 + random.below(60)).min(other.len())];
            insert(input, at, piece);
        }
        8 => {
            let char = char::from_u32(random.below(0x3000) as u32).unwrap_or('a');
            insert(input, at, char.to_string().as_bytes());
        }
        // What keeps the shape, so that more of it gets through.
        9 | 10 | 16 | 17 => {
            if let Some(at) = after_a_name(random, input) {
                insert(input, at, random.pick(ATTRIBUTES).as_bytes());
            }
        }
        11 | 18 | 19 => {
            if let Some(at) = nth(random, input, |bytes, at| {
                bytes[at] == b'>' && bytes[at - 1] != b'/'
            }) {
                let child = if random.one_in(2) {
                    generate(random, 3)
                } else {
                    random.pick(TEXTS).as_bytes().to_vec()
                };
                insert(input, at + 1, &child);
            }
        }
        12 | 20 => {
            // A letter of text or of a value becomes a reference.
            if let Some(at) = nth(random, input, |bytes, at| bytes[at].is_ascii_alphabetic()) {
                let reference = format!("&#{};", input[at]);
                input.splice(at..=at, reference.bytes());
            }
        }
        13 | 21 => {
            // A character of any script at the end of both tags, or wherever the name stands.
            if let Some(end) = after_a_name(random, input) {
                let start = input[..end].iter().rposition(|b| *b == b'<').unwrap_or(0) + 1;
                let name = input[start..end].to_vec();
                let code = [
                    random.below(0x600),
                    random.below(0x3200),
                    random.below(0x11000),
                ][random.below(3)] as u32;
                let longer = [
                    &name,
                    char::from_u32(code).unwrap_or('b').to_string().as_bytes(),
                ]
                .concat();
                *input = replace_names(input, &name, &longer);
            }
        }
        14 | 22 => {
            if let Some(end) = after_a_name(random, input) {
                let start = input[..end].iter().rposition(|b| *b == b'<').unwrap_or(0) + 1;
                let name = input[start..end].to_vec();
                let prefixed = [random.pick(PREFIXES).as_bytes(), &name].concat();
                *input = replace_names(input, &name, &prefixed);
            }
        }
        _ => {
            if let Some(at) = nth(random, input, |bytes, at| bytes[at] == b' ') {
                let space = random.pick(&["\t", "\n", "\r\n", "  ", ""]);
                input.splice(at..=at, space.bytes());
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

/// A random place from the second byte on where `fits`.
fn nth(random: &mut Random, input: &[u8], fits: impl Fn(&[u8], usize) -> bool) -> Option<usize> {
    let places: Vec<usize> = (1..input.len()).filter(|&at| fits(input, at)).collect();
    (!places.is_empty()).then(|| places[random.below(places.len())])
}

/// Behind the name of a random start tag.
fn after_a_name(random: &mut Random, input: &[u8]) -> Option<usize> {
    let start = nth(random, input, |bytes, at| {
        bytes[at - 1] == b'<' && bytes[at].is_ascii_alphabetic()
    })?;
    let len = input[start..]
        .iter()
        .position(|b| matches!(b, b'<' | b' ' | b'/' | b'>' | b'\n' | b'\t' | b'\r'))?;
    Some(start + len)
}

/// Every tag called `name` gets another.
fn replace_names(input: &[u8], name: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len() + 32);
    let mut at = 0;
    while at < input.len() {
        let before_ok =
            at > 0 && (input[at - 1] == b'<' || (at > 1 && &input[at - 2..at] == b"</"));
        let follows = input
            .get(at + name.len())
            .is_none_or(|b| matches!(b, b' ' | b'/' | b'>' | b'\n' | b'\t' | b'\r'));
        if before_ok && follows && input[at..].starts_with(name) {
            out.extend_from_slice(with);
            at += name.len();
        } else {
            out.push(input[at]);
            at += 1;
        }
    }
    out
}
