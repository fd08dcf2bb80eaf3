//! Cuts one stanza out of the byte stream: finds where it ends, and nothing else.
//!
//! The framer remembers how far it has looked, so bytes that trickle in cost no more than bytes that come at once. It counts bytes,
//! elements and depth on the way and refuses at the first one too many. Whether the stanza is XML is for the strict pass
//! to say; that the two never disagree about the end follows from the pass refusing any element that does not fill its slice.

use memchr::memchr;

use super::XmlError;
use crate::limits;

/// What one frame may cost. Depth and attributes have bounds of their own in `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one stanza or one header.
    pub bytes: usize,
    /// Elements of one stanza, itself included.
    pub elements: u32,
}

impl Bounds {
    /// Before login.
    pub const BEFORE_LOGIN: Bounds = Bounds {
        bytes: limits::STANZA_BYTES_BEFORE_LOGIN,
        elements: limits::ELEMENTS_BEFORE_LOGIN,
    };
    /// After login.
    pub const AFTER_LOGIN: Bounds = Bounds {
        bytes: limits::STANZA_BYTES,
        elements: limits::ELEMENTS,
    };
}

/// What the bytes begin with, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// White space between stanzas, a keepalive (RFC 6120 §4.6.1).
    Space { len: usize },
    /// A stream header: a start tag, and the XML declaration before it if there is one.
    Header { len: usize },
    /// A whole element at the first level of the stream.
    Element { len: usize },
    /// The end tag of the stream.
    Footer { len: usize },
}

/// A resumable cutter. A new one expects a stream header.
#[derive(Debug, Default)]
pub struct Framer {
    place: Place,
    state: State,
    /// Bytes of the current frame that have been looked at.
    seen: usize,
    /// Elements of the current frame that have begun.
    elements: u32,
    /// Elements of the current frame that have begun and not ended.
    depth: u16,
}

/// What may come between frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    BeforeHeader,
    InStream,
    AfterFooter,
}

/// Where in the current frame the next byte lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// At the start of a frame, or in character data.
    #[default]
    Text,
    /// Behind `<`.
    Less,
    /// In a start tag, outside of quotes.
    Tag,
    /// In an attribute value, up to this quote.
    Quoted(u8),
    /// In an end tag.
    EndTag,
    /// Behind this many bytes of `<![CDATA[`.
    CdataOpen(u8),
    /// In a CDATA section.
    Cdata,
    /// Behind this many bytes of `<?xml`.
    DeclarationOpen(u8),
    /// In the XML declaration.
    Declaration,
    /// Between the XML declaration and the header.
    AfterDeclaration,
}

const CDATA: &[u8] = b"<![CDATA[";
const DECLARATION: &[u8] = b"<?xml";

impl Framer {
    /// A framer that expects a stream header.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// From here on a new stream header is expected: what came before belonged to another stream.
    pub fn restart(&mut self) {
        *self = Framer::default();
    }

    /// Looks for the end of the frame that `bytes` begin with. They begin where the last frame ended and have only grown
    /// since the last call. `None`: more of them are needed. After an error the stream is over.
    pub fn next(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<Frame>, XmlError> {
        // Nothing behind the bound is looked at, so that the answer does not depend on how the bytes were cut.
        let window = &bytes[..bytes.len().min(bounds.bytes.saturating_add(1))];
        let frame = self.scan(window, bounds)?;
        if self.seen > bounds.bytes && !matches!(frame, Some(Frame::Space { .. })) {
            return Err(XmlError::TooLong);
        }
        if frame.is_some() {
            (self.state, self.seen, self.elements, self.depth) = (State::Text, 0, 0, 0);
        }
        match frame {
            Some(Frame::Header { .. }) => self.place = Place::InStream,
            Some(Frame::Footer { .. }) => self.place = Place::AfterFooter,
            _ => {}
        }
        Ok(frame)
    }

    fn scan(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<Frame>, XmlError> {
        if self.seen == 0 {
            match bytes.first() {
                None => return Ok(None),
                Some(b'<') if self.place != Place::AfterFooter => {
                    (self.state, self.seen) = (State::Less, 1)
                }
                Some(&b) if is_space(b) => {
                    let len = bytes
                        .iter()
                        .position(|&b| !is_space(b))
                        .unwrap_or(bytes.len());
                    return Ok(Some(Frame::Space { len }));
                }
                Some(_) => return Err(XmlError::NotWellFormed),
            }
        }
        while self.seen < bytes.len() {
            let rest = &bytes[self.seen..];
            match self.state {
                State::Text => match memchr(b'<', rest) {
                    Some(at) => self.go(at + 1, State::Less),
                    None => self.seen = bytes.len(),
                },
                State::Less => self.less(rest[0], bounds)?,
                // Names and values are short: for them a plain loop is faster than memchr's start.
                State::Tag => match rest.iter().position(|b| matches!(b, b'>' | b'\'' | b'"')) {
                    Some(at) if rest[at] != b'>' => self.go(at + 1, State::Quoted(rest[at])),
                    Some(at) => {
                        self.go(at + 1, State::Text);
                        let is_empty = bytes[self.seen - 2] == b'/';
                        if let Some(frame) = self.tag_end(is_empty)? {
                            return Ok(Some(frame));
                        }
                    }
                    None => self.seen = bytes.len(),
                },
                State::Quoted(quote) => match rest.iter().position(|&b| b == quote || b == b'<') {
                    Some(at) if rest[at] == quote => self.go(at + 1, State::Tag),
                    Some(_) => return Err(XmlError::NotWellFormed),
                    None => self.seen = bytes.len(),
                },
                State::EndTag => match rest.iter().position(|&b| b == b'>') {
                    Some(at) => {
                        self.go(at + 1, State::Text);
                        if self.depth == 0 {
                            return Ok(Some(Frame::Footer { len: self.seen }));
                        }
                        self.depth -= 1;
                        if self.depth == 0 {
                            return Ok(Some(Frame::Element { len: self.seen }));
                        }
                    }
                    None => self.seen = bytes.len(),
                },
                State::CdataOpen(matched) => self.cdata_open(rest[0], matched)?,
                State::Cdata => match memchr(b'>', rest) {
                    // The two bytes before cannot reach into `<![CDATA[`, which ends otherwise.
                    Some(at) => {
                        self.seen += at + 1;
                        if bytes[..self.seen].ends_with(b"]]>") {
                            self.state = State::Text;
                        }
                    }
                    None => self.seen = bytes.len(),
                },
                State::DeclarationOpen(matched) => self.declaration_open(rest[0], matched)?,
                State::Declaration => match memchr(b'>', rest) {
                    Some(at) => {
                        self.go(at + 1, State::AfterDeclaration);
                        if !bytes[..self.seen].ends_with(b"?>") {
                            return Err(XmlError::NotWellFormed);
                        }
                    }
                    None => self.seen = bytes.len(),
                },
                State::AfterDeclaration => match rest[0] {
                    b'<' => self.go(1, State::Less),
                    b if is_space(b) => self.seen += 1,
                    _ => return Err(XmlError::NotWellFormed),
                },
            }
        }
        Ok(None)
    }

    fn go(&mut self, bytes: usize, state: State) {
        self.seen += bytes;
        self.state = state;
    }

    /// The byte behind `<` says what begins here.
    fn less(&mut self, byte: u8, bounds: &Bounds) -> Result<(), XmlError> {
        match byte {
            b'/' if self.depth == 0 && self.place != Place::InStream => {
                return Err(XmlError::NotWellFormed);
            }
            b'/' => self.go(1, State::EndTag),
            b'!' => self.go(1, State::CdataOpen(2)),
            b'?' if self.place == Place::BeforeHeader && self.seen == 1 => {
                self.go(1, State::DeclarationOpen(2))
            }
            // RFC 6120 §11.1
            b'?' => return Err(XmlError::Restricted),
            _ => {
                self.elements += 1;
                self.depth += 1;
                if self.elements > bounds.elements {
                    return Err(XmlError::TooManyElements);
                }
                if self.depth > limits::DEPTH {
                    return Err(XmlError::TooDeep);
                }
                // The byte itself is looked at as part of the tag.
                self.state = State::Tag;
            }
        }
        Ok(())
    }

    /// A start tag has ended; the frame too if it was a header, or an empty element at the top.
    fn tag_end(&mut self, is_empty: bool) -> Result<Option<Frame>, XmlError> {
        if self.place == Place::BeforeHeader {
            // A stream that is closed by its own header is no stream.
            return if is_empty {
                Err(XmlError::NotWellFormed)
            } else {
                Ok(Some(Frame::Header { len: self.seen }))
            };
        }
        if is_empty {
            self.depth -= 1;
        }
        Ok((self.depth == 0).then_some(Frame::Element { len: self.seen }))
    }

    fn cdata_open(&mut self, byte: u8, matched: u8) -> Result<(), XmlError> {
        if byte != CDATA[usize::from(matched)] {
            // `<!-` is a comment, `<!D` a DTD (RFC 6120 §11.1); nothing else begins like this.
            let is_restricted = matched == 2 && matches!(byte, b'-' | b'D');
            return Err(if is_restricted {
                XmlError::Restricted
            } else {
                XmlError::NotWellFormed
            });
        }
        if self.depth == 0 {
            // Character data outside of any stanza.
            return Err(XmlError::NotWellFormed);
        }
        let is_complete = usize::from(matched) + 1 == CDATA.len();
        self.go(
            1,
            if is_complete {
                State::Cdata
            } else {
                State::CdataOpen(matched + 1)
            },
        );
        Ok(())
    }

    fn declaration_open(&mut self, byte: u8, matched: u8) -> Result<(), XmlError> {
        match DECLARATION.get(usize::from(matched)) {
            Some(&expected) if byte == expected => self.go(1, State::DeclarationOpen(matched + 1)),
            None if is_space(byte) => self.go(1, State::Declaration),
            // Any other processing instruction.
            _ => return Err(XmlError::Restricted),
        }
        Ok(())
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Bounds = Bounds {
        bytes: 4096,
        elements: 100,
    };
    const HEADER: &str = "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:client' a='>'>";

    /// The frames of `chunks` fed one after the other, runs of white space joined, and the error that ended them.
    fn frames(chunks: &[&[u8]], bounds: &Bounds) -> (Vec<(char, usize)>, Option<XmlError>) {
        let mut framer = Framer::new();
        let (mut buffer, mut found): (Vec<u8>, Vec<(char, usize)>) = (Vec::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            loop {
                let (kind, len) = match framer.next(&buffer, bounds) {
                    Ok(None) => break,
                    Ok(Some(Frame::Space { len })) => ('_', len),
                    Ok(Some(Frame::Header { len })) => ('H', len),
                    Ok(Some(Frame::Element { len })) => ('E', len),
                    Ok(Some(Frame::Footer { len })) => ('F', len),
                    Err(error) => return (found, Some(error)),
                };
                buffer.drain(..len);
                match found.last_mut() {
                    Some(('_', before)) if kind == '_' => *before += len,
                    _ => found.push((kind, len)),
                }
            }
        }
        (found, None)
    }

    fn of(body: &str) -> (Vec<(char, usize)>, Option<XmlError>) {
        let (mut found, error) = frames(&[HEADER.as_bytes(), body.as_bytes()], &WIDE);
        assert_eq!(found.remove(0), ('H', HEADER.len()));
        (found, error)
    }

    const STREAM: &str = "<?xml version='1.0'?> \n <s:s a='>' b=\"'/>\">\r\n <a/><b k='/'>t<![CDATA[<x>]]]>&gt;</b \
                          >  <c><c  a = '\"' /><d>]]</d><![CDATA[]]></c></s:s>\n";

    #[test]
    fn a_whole_stream() {
        let (found, error) = frames(&[STREAM.as_bytes()], &WIDE);
        let kinds: String = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!((kinds.as_str(), error), ("H_EE_EF_", None));
        assert_eq!(
            found.iter().map(|(_, len)| len).sum::<usize>(),
            STREAM.len()
        );
    }

    #[test]
    fn cut_at_every_byte_it_is_the_same() {
        let inputs = [
            STREAM,
            "<?xml?><?pi ?>",
            "<a><b><!-- x --></b></a>",
            "<a><b><!DOCTYPE x></b>",
            "<a></b></a>x",
            "<a><b><![CDATx",
            "<a/>",
            "<a k='<'>",
            "\n <?xml version='1.0'?><a><b/></a>",
            "<?xml version='1.0'>",
            "<?xml-style ?>",
            "<a><![CDATA[x]]>",
            "</a>",
            "<a></a><b/>",
        ];
        for bounds in [
            WIDE,
            Bounds {
                bytes: 40,
                elements: 100,
            },
            Bounds {
                bytes: 4096,
                elements: 2,
            },
        ] {
            for input in inputs {
                let whole = frames(&[input.as_bytes()], &bounds);
                for at in 0..=input.len() {
                    let (left, right) = input.as_bytes().split_at(at);
                    assert_eq!(
                        frames(&[left, right], &bounds),
                        whole,
                        "{input} cut at {at}"
                    );
                }
                let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
                assert_eq!(frames(&bytes, &bounds), whole, "{input} byte by byte");
            }
        }
    }

    #[test]
    fn what_is_restricted() {
        for body in [
            "<!-- c -->",
            "<a><!-- c --></a>",
            "<?p?>",
            "<a><?p?></a>",
            "<!DOCTYPE a>",
            "<a><!DOCTYPE a>",
            "<?xml version='1.0'?>",
        ] {
            assert_eq!(of(body).1, Some(XmlError::Restricted), "{body}");
        }
        for header in [
            "<!DOCTYPE a>",
            "<!-- c --><a>",
            "<?p?>",
            "<?xml version='1.0'?><!DOCTYPE a>",
            "<?xml version='1.0'?><?p?>",
        ] {
            assert_eq!(
                frames(&[header.as_bytes()], &WIDE).1,
                Some(XmlError::Restricted),
                "{header}"
            );
        }
    }

    #[test]
    fn what_is_no_xml() {
        for body in [
            "x",
            "&amp;",
            "<a/>x",
            "<![CDATA[x]]>",
            "<!ELEMENT",
            "</s:s>x",
            "</s:s><a/>",
            "\u{feff}<a/>",
            "<a b='<'/>",
        ] {
            assert_eq!(of(body).1, Some(XmlError::NotWellFormed), "{body}");
        }
        for header in ["</a>", "<a/>", "x<a>", "\u{feff}<a>"] {
            assert_eq!(
                frames(&[header.as_bytes()], &WIDE).1,
                Some(XmlError::NotWellFormed),
                "{header}"
            );
        }
    }

    #[test]
    fn bounds_are_exact_and_early() {
        let bounds = Bounds {
            bytes: 20,
            elements: 3,
        };
        let body = |body: &str| {
            let mut framer = Framer {
                place: Place::InStream,
                ..Framer::new()
            };
            framer.next(body.as_bytes(), &bounds)
        };
        assert_eq!(
            body("<a>45678901234</a>xx"),
            Ok(Some(Frame::Element { len: 18 }))
        );
        assert_eq!(
            body("<a>4567890123456</a>"),
            Ok(Some(Frame::Element { len: 20 }))
        );
        assert_eq!(body("<a>45678901234567</a>"), Err(XmlError::TooLong));
        assert_eq!(body("<a>45678901234567890"), Ok(None));
        assert_eq!(body("<a>456789012345678901"), Err(XmlError::TooLong));
        assert_eq!(
            body("<a><b/><c/></a>"),
            Ok(Some(Frame::Element { len: 15 }))
        );
        assert_eq!(body("<a><b/><c/><d"), Err(XmlError::TooManyElements));
        let space = " ".repeat(100);
        assert!(matches!(body(&space), Ok(Some(Frame::Space { .. }))));
        let deep = "<a>".repeat(usize::from(limits::DEPTH) + 1);
        assert_eq!(of(&deep[3..]), (vec![], None));
        assert_eq!(of(&deep), (vec![], Some(XmlError::TooDeep)));
    }

    #[test]
    fn a_restart_expects_a_header() {
        let mut framer = Framer::new();
        assert_eq!(
            framer.next(b"<a>", &WIDE),
            Ok(Some(Frame::Header { len: 3 }))
        );
        framer.restart();
        assert_eq!(
            framer.next(b"<?xml version='1.0'?><a>", &WIDE),
            Ok(Some(Frame::Header { len: 24 }))
        );
        assert_eq!(framer.next(b"<a>", &WIDE), Ok(None));
    }
}
