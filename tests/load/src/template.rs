//! What is sent under load, and whether what arrives is that: intact and in order.

use memchr::memmem;

/// Length of a message as the client sends it, in bytes: what clients send for a sentence or two.
const MESSAGE_BYTES: usize = 360;

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
    /// Those of the pair with this number; `kind` is `chat` or `groupchat`.
    pub fn new(pair: usize, to: &str, kind: &str) -> Result<Template, String> {
        // A UUID in shape, as clients make them, with the pair and the number in it.
        let id = format!("5d0c1a3e-{pair:04}-4000-8000-{DIGITS}");
        let around = |body: &str| {
            let origin = format!("<origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>");
            let request = "<request xmlns='urn:xmpp:receipts'/>";
            format!("<message type='{kind}' to='{to}' id='{id}'>{body}{origin}{request}</message>")
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
    pub fn check(&mut self, arrived: &[u8], number: u64) -> Result<Option<usize>, String> {
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
    fn a_message_has_its_length_and_is_known_again() {
        let mut template = Template::new(3, "load0007@chat.test", "chat").unwrap();
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
