//! Joins framer and strict pass for one connection: bytes in, events out.
//!
//! Whole stanzas in fresh bytes are handled where they lie. Only a rest is copied, and its memory is given back when it has been
//! used, so that an idle connection holds none.

use super::namespace::Scope;
use super::{Bounds, Checked, Checker, Frame, Framer, Header, XmlError};

/// What came.
#[derive(Debug)]
pub enum Event<'a> {
    /// A stream header; its scope is kept for the stanzas to come.
    Header(Header<'a>),
    /// A whole stanza, or whatever else is at the first level of the stream.
    Element(Checked<'a>),
    /// The stream was closed.
    Footer,
    /// A keepalive.
    Space,
}

/// How to go on after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// With the next event.
    Continue,
    /// With a stream header: a new stream begins behind this event.
    Restart,
    /// Not now: the rest stays unread until the next call of `read`.
    Stop,
}

/// The reading half of one stream.
#[derive(Debug)]
pub struct Reader {
    framer: Framer,
    scope: Scope,
    bounds: Bounds,
    /// Bytes that are not used up: half a stanza, or what `Stop` left.
    pending: Vec<u8>,
}

impl Reader {
    /// A reader that expects a stream header.
    pub fn new(bounds: Bounds) -> Reader {
        Reader {
            framer: Framer::new(),
            scope: Scope::default(),
            bounds,
            pending: Vec::new(),
        }
    }

    /// A stream header comes next, also where that was not known at the last event.
    pub fn restart(&mut self) {
        self.framer.restart();
    }

    /// From the next frame on other bounds hold.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// What the stream header has declared; nothing before it came.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Bytes that wait here: half a stanza, or what `Next::Stop` left unread.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Handles all events in what is pending and in `fresh`, which may be empty to go on after `Next::Stop`. After an error
    /// the stream is over.
    pub fn read(
        &mut self,
        fresh: &[u8],
        checker: &mut Checker,
        handle: &mut dyn FnMut(Event<'_>) -> Next,
    ) -> Result<(), XmlError> {
        let mut rest = fresh;
        if !self.pending.is_empty() {
            let mut pending = std::mem::take(&mut self.pending);
            let old = pending.len();
            pending.extend_from_slice(fresh);
            let (used, go_on) = self.frames(&pending, old, checker, handle)?;
            if used < old || !go_on {
                // A short rest must not hold on to the memory of all that came with it.
                self.pending = if used == 0 {
                    pending
                } else {
                    pending[used..].to_vec()
                };
                return Ok(());
            }
            rest = &fresh[used - old..];
        }
        let (used, _) = self.frames(rest, rest.len(), checker, handle)?;
        if used < rest.len() {
            self.pending = rest[used..].to_vec();
        }
        Ok(())
    }

    /// Handles the frames of `bytes` that begin before `until`. Returns how many bytes were used up, and whether to go on.
    fn frames(
        &mut self,
        bytes: &[u8],
        until: usize,
        checker: &mut Checker,
        handle: &mut dyn FnMut(Event<'_>) -> Next,
    ) -> Result<(usize, bool), XmlError> {
        let mut used = 0;
        while used < until {
            let Some(frame) = self.framer.next(&bytes[used..], &self.bounds)? else {
                return Ok((used, true));
            };
            let (event, len) = match frame {
                Frame::Space { len } => (Event::Space, len),
                Frame::Header { len } => {
                    let header = checker.header(&bytes[used..used + len])?;
                    self.scope = header.scope().clone();
                    (Event::Header(header), len)
                }
                Frame::Element { len } => {
                    let stanza =
                        checker.element(&bytes[used..used + len], &self.scope, &self.bounds)?;
                    (Event::Element(stanza), len)
                }
                Frame::Footer { len } => {
                    if !self.scope.is_closed_by(&bytes[used..used + len]) {
                        return Err(XmlError::NotWellFormed);
                    }
                    (Event::Footer, len)
                }
            };
            used += len;
            match handle(event) {
                Next::Continue => {}
                Next::Restart => {
                    self.framer.restart();
                    self.scope = Scope::default();
                }
                Next::Stop => return Ok((used, false)),
            }
        }
        Ok((used, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 1000,
        elements: 20,
    };
    const STREAM: &str = "<?xml version='1.0'?><s:s xmlns:s='urn:s' xmlns='urn:c' id='1'> <auth>x</auth>\
                          <?xml version='1.0'?><s:s xmlns:s='urn:s' xmlns='urn:d'><a/>\n<b>t</b><stop/><c/></s:s>";

    fn log(event: &Event<'_>) -> String {
        match event {
            Event::Header(header) => format!("header {}", header.default_ns()),
            Event::Element(stanza) => format!("{} {}", stanza.root().name(), stanza.root().ns()),
            Event::Footer => "footer".to_owned(),
            Event::Space => "space".to_owned(),
        }
    }

    fn run(chunks: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut checker) = (Reader::new(BOUNDS), Checker::default());
        let mut events = Vec::new();
        for chunk in chunks {
            let mut fresh = *chunk;
            loop {
                let mut stopped = false;
                reader
                    .read(fresh, &mut checker, &mut |event| {
                        events.push(log(&event));
                        match event {
                            Event::Element(stanza) if stanza.root().name() == "auth" => {
                                Next::Restart
                            }
                            Event::Element(stanza) if stanza.root().name() == "stop" => {
                                stopped = true;
                                Next::Stop
                            }
                            _ => Next::Continue,
                        }
                    })
                    .unwrap();
                if !stopped {
                    break;
                }
                fresh = b"";
            }
        }
        assert_eq!((reader.pending(), reader.pending.capacity()), (0, 0));
        events
    }

    #[test]
    fn cut_at_every_two_bytes_it_is_the_same() {
        let whole = run(&[STREAM.as_bytes()]);
        let expected = [
            "header urn:c",
            "space",
            "auth urn:c",
            "header urn:d",
            "a urn:d",
            "space",
            "b urn:d",
            "stop urn:d",
            "c urn:d",
            "footer",
        ];
        assert_eq!(whole, expected);
        for first in 0..STREAM.len() {
            for second in first..STREAM.len() {
                let bytes = STREAM.as_bytes();
                assert_eq!(
                    run(&[&bytes[..first], &bytes[first..second], &bytes[second..]]),
                    whole,
                    "{first} {second}"
                );
            }
        }
    }

    #[test]
    fn stop_keeps_the_rest_unread() {
        let (mut reader, mut checker) = (Reader::new(BOUNDS), Checker::default());
        reader
            .read(b"<s><a/><b/>", &mut checker, &mut |_| Next::Stop)
            .unwrap();
        assert_eq!(reader.pending(), 8);
        let mut seen = Vec::new();
        reader
            .read(b"", &mut checker, &mut |event| {
                seen.push(log(&event));
                Next::Stop
            })
            .unwrap();
        assert_eq!(
            (seen.as_slice(), reader.pending()),
            (&["a ".to_owned()][..], 4)
        );
        reader.read(b"", &mut checker, &mut |_| Next::Stop).unwrap();
        assert_eq!((reader.pending(), reader.pending.capacity()), (0, 0));
    }

    #[test]
    fn the_footer_closes_what_the_header_opened() {
        for (footer, expected) in [
            ("</s:s>", Ok(())),
            ("</s:s \n>", Ok(())),
            ("</s>", Err(XmlError::NotWellFormed)),
            ("</ s:s>", Err(XmlError::NotWellFormed)),
        ] {
            let (mut reader, mut checker) = (Reader::new(BOUNDS), Checker::default());
            let stream = format!("<s:s xmlns:s='urn:s'>{footer}");
            assert_eq!(
                reader.read(stream.as_bytes(), &mut checker, &mut |_| Next::Continue),
                expected,
                "{footer}"
            );
        }
    }

    #[test]
    fn errors_come_from_both_parts() {
        for (stream, expected) in [
            ("<s><a></b></s>", XmlError::NotWellFormed),
            ("<s><a><!-- --></a>", XmlError::Restricted),
            ("<s><a>&lol;</a>", XmlError::Restricted),
            ("<s><p:a/>", XmlError::BadNamespacePrefix),
            (
                "<?xml version='1.0' encoding='latin1'?><s>",
                XmlError::BadEncoding,
            ),
        ] {
            let (mut reader, mut checker) = (Reader::new(BOUNDS), Checker::default());
            assert_eq!(
                reader.read(stream.as_bytes(), &mut checker, &mut |_| Next::Continue),
                Err(expected),
                "{stream}"
            );
        }
    }
}
