//! Cuts a long XML file into tags and text, with the number of the line, holding no more of it than one of them. What the cuts say is for the strict
//! pass to check: here only their ends are found.

use std::io::{BufRead, Read};

/// Bytes of one tag, or of one element that is taken as a whole; a stanza of the longest kind and what stamps have added.
pub const ELEMENT_BYTES: usize = 384 * 1024;

/// What a cut is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Character data, or a CDATA section; it may come in several cuts.
    Text,
    /// `<a …>`
    Open,
    /// `<a …/>`
    Empty,
    /// `</a>`
    Close,
    /// A comment, or a processing instruction that is not the XML declaration.
    Comment,
    /// `<?xml …?>`
    Declaration,
    /// The end of the file.
    End,
}

/// The cutter of one file.
pub struct Cutter<R> {
    input: R,
    /// The bytes of the cut.
    pub bytes: Vec<u8>,
    /// The line in which the cut begins, from 1.
    pub line: u64,
    line_after: u64,
}

impl<R: BufRead> Cutter<R> {
    /// At the beginning of a file.
    pub fn new(input: R) -> Cutter<R> {
        Cutter {
            input,
            bytes: Vec::new(),
            line: 1,
            line_after: 1,
        }
    }

    /// The next cut, in [`Cutter::bytes`]. An error is a sentence without the place.
    pub fn next(&mut self) -> Result<Cut, String> {
        self.bytes.clear();
        self.line = self.line_after;
        let cut = self.cut()?;
        self.line_after += self.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(cut)
    }

    /// The cut as text.
    pub fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.bytes).map_err(|_| "it is not UTF-8".to_owned())
    }

    fn cut(&mut self) -> Result<Cut, String> {
        let ready = self.input.fill_buf().map_err(unreadable)?;
        let Some(first) = ready.first() else {
            return Ok(Cut::End);
        };
        if *first != b'<' {
            let end = memchr::memchr(b'<', ready).unwrap_or(ready.len());
            self.bytes.extend_from_slice(&ready[..end]);
            self.input.consume(end);
            self.whole_character()?;
            return Ok(Cut::Text);
        }
        self.until(b">")?;
        for (begins, ends, cut) in [
            (&b"<!--"[..], &b"-->"[..], Cut::Comment),
            (b"<![CDATA[", b"]]>", Cut::Text),
            (b"<?", b"?>", Cut::Comment),
        ] {
            if self.bytes.starts_with(begins) {
                // `<!-->` is no whole comment.
                while !(self.bytes.len() >= begins.len() + ends.len() && self.bytes.ends_with(ends))
                {
                    self.until(b">")?;
                }
                let is_declaration = self.bytes.starts_with(b"<?xml")
                    && self.bytes.get(5).is_some_and(u8::is_ascii_whitespace);
                return Ok(if is_declaration {
                    Cut::Declaration
                } else {
                    cut
                });
            }
        }
        if self.bytes.starts_with(b"<!") {
            return Err("it has a DTD, which is not read: remove it".to_owned());
        }
        if self.bytes.starts_with(b"</") {
            return Ok(Cut::Close);
        }
        // A `>` may stand between quotes.
        let (mut open, mut seen) = (None, 0);
        loop {
            for byte in &self.bytes[seen..] {
                match (open, byte) {
                    (None, b'\'' | b'"') => open = Some(*byte),
                    (Some(quote), byte) if quote == *byte => open = None,
                    _ => {}
                }
            }
            seen = self.bytes.len();
            match open {
                None => break,
                Some(quote) => {
                    self.until(&[quote])?;
                    self.until(b">")?;
                }
            }
        }
        match self.bytes.ends_with(b"/>") {
            true => Ok(Cut::Empty),
            false => Ok(Cut::Open),
        }
    }

    /// Takes the rest of a character that the end of the buffer has cut.
    fn whole_character(&mut self) -> Result<(), String> {
        let is_cut = |bytes: &[u8]| {
            let end = &bytes[bytes.len().saturating_sub(4)..];
            // The first of the four may be the end of another.
            (0..end.len()).any(|from| match std::str::from_utf8(&end[from..]) {
                Ok(_) => false,
                Err(error) => error.valid_up_to() == 0 && error.error_len().is_none(),
            })
        };
        while is_cut(&self.bytes) {
            let ready = self.input.fill_buf().map_err(unreadable)?;
            match ready.first() {
                Some(byte) if byte & 0xc0 == 0x80 => self.bytes.push(*byte),
                _ => break,
            }
            self.input.consume(1);
        }
        Ok(())
    }

    /// Takes everything up to and with this byte.
    fn until(&mut self, end: &[u8; 1]) -> Result<(), String> {
        let room = (ELEMENT_BYTES + 1).saturating_sub(self.bytes.len()) as u64;
        let input = &mut self.input;
        let read = input
            .take(room)
            .read_until(end[0], &mut self.bytes)
            .map_err(unreadable)?;
        if self.bytes.len() > ELEMENT_BYTES {
            return Err(format!(
                "a tag, a text or a comment is longer than {} KiB",
                ELEMENT_BYTES / 1024
            ));
        }
        // At the end of the file nothing comes any more, whatever the cut ends with so far.
        match read > 0 && self.bytes.ends_with(end) {
            true => Ok(()),
            false => Err(CUT_OFF.to_owned()),
        }
    }
}

/// What is said of a file that ends too early.
pub const CUT_OFF: &str = "the file ends in the middle: it was cut off, get a whole one";

fn unreadable(error: std::io::Error) -> String {
    format!("it cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(text: &str) -> Result<Vec<(Cut, String, u64)>, String> {
        // A tiny buffer: every cut is put together of many reads.
        let mut cutter = Cutter::new(std::io::BufReader::with_capacity(3, text.as_bytes()));
        let mut all: Vec<(Cut, String, u64)> = Vec::new();
        loop {
            let cut = cutter.next()?;
            if cut == Cut::End {
                return Ok(all);
            }
            let text = cutter.text()?.to_owned();
            match all.last_mut() {
                Some((Cut::Text, before, _)) if cut == Cut::Text => before.push_str(&text),
                _ => all.push((cut, text, cutter.line)),
            }
        }
    }

    #[test]
    fn a_file_is_cut_into_tags() {
        let text =
            "<?xml version='1.0'?>\n<!-- <a> -->\n<a b='>\n' c=\">'/\">x<![CDATA[<b>]]><b/></a \n>";
        let all = cuts(text).unwrap();
        let joined: String = all.iter().map(|(_, text, _)| text.as_str()).collect();
        assert_eq!(joined, text);
        let kinds: Vec<_> = all.iter().map(|(cut, _, line)| (*cut, *line)).collect();
        assert_eq!(
            kinds,
            [
                (Cut::Declaration, 1),
                (Cut::Text, 1),
                (Cut::Comment, 2),
                (Cut::Text, 2),
                (Cut::Open, 3),
                (Cut::Text, 4),
                (Cut::Empty, 4),
                (Cut::Close, 4),
            ]
        );
    }

    #[test]
    fn no_character_is_cut_in_two() {
        for text in ["<a>ä</a>", "<a>xö\u{20ac}y\u{1f600}\u{1f600}</a>", "ää"] {
            let all = cuts(text).unwrap();
            let joined: String = all.iter().map(|(_, text, _)| text.as_str()).collect();
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn what_never_ends_is_refused() {
        for text in ["<a", "<a b='", "<!-- ", "<![CDATA[ ]", "<?x ", "<a b='>"] {
            assert_eq!(cuts(text).unwrap_err(), CUT_OFF, "{text}");
        }
        let long = format!("<a b='{}'/>", "x".repeat(ELEMENT_BYTES));
        assert!(cuts(&long).unwrap_err().contains("longer than"));
        assert!(cuts("<!DOCTYPE a>").unwrap_err().contains("DTD"));
        assert!(cuts(&"<!-->".repeat(3)).is_err());
    }
}
