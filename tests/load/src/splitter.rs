//! Cuts what a server sends into stream headers and stanzas. The peer is a server under test on this
//! machine: no check, no bound but the buffer's.

/// Bytes received and not yet taken.
#[derive(Default)]
pub struct Splitter {
    buffer: Vec<u8>,
}

impl Splitter {
    /// More bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets what is there: after STARTTLS nothing from before counts.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }

    /// The next whole piece: `<stream:stream …>`, `</stream:stream>` or one stanza; None: more bytes are needed.
    pub fn next(&mut self) -> Option<String> {
        let length = piece(&self.buffer)?;
        let piece: Vec<u8> = self.buffer.drain(..length).collect();
        let text = String::from_utf8_lossy(&piece);
        let text = text.trim_start();
        if text.starts_with("<?") {
            return self.next();
        }
        Some(text.to_owned())
    }
}

/// The length of the first whole piece, leading white space included.
fn piece(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        at += memchr::memchr(b'<', &bytes[at..])?;
        let end = tag_end(bytes, at)?;
        let tag = &bytes[at..end];
        at = end;
        if tag.starts_with(b"<?")
            || tag.starts_with(b"<stream:stream")
            || tag.starts_with(b"</stream:stream")
        {
            return Some(end);
        }
        if tag.starts_with(b"</") {
            depth = depth.saturating_sub(1);
        } else if !tag.ends_with(b"/>") {
            depth += 1;
        }
        if depth == 0 {
            return Some(end);
        }
    }
}

/// One past the `>` that ends the tag at `start`; a `>` between quotes does not.
fn tag_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut quote = None;
    for (offset, &byte) in bytes[start..].iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(start + offset + 1),
            (None, b'\'' | b'"') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_every_byte() {
        let stream =
            "<?xml version='1.0'?><stream:stream a='>'><f><g/>x</f> <iq id='1'/></stream:stream>";
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        for byte in stream.bytes() {
            splitter.push(&[byte]);
            pieces.extend(splitter.next());
        }
        assert_eq!(
            pieces,
            [
                "<stream:stream a='>'>",
                "<f><g/>x</f>",
                "<iq id='1'/>",
                "</stream:stream>"
            ]
        );
    }
}
