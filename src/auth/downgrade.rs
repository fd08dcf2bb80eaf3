//! XEP-0474 (0.5.0): SASL SCRAM Downgrade Protection. What the server offered goes hashed into its challenge, where the password signs it.
use super::{Hash, encode};

/// The text of XEP-0474 §5.1 that is hashed: the mechanisms that were offered on this stream and, when XEP-0440 announced any, the types of
/// channel binding. Give it to [`Scram::protect`](super::Scram::protect).
pub fn offer(mechanisms: &[&str], bindings: Option<&[&str]>) -> String {
    let mut text = joined(mechanisms);
    if let Some(bindings) = bindings {
        text.push('\u{1F}');
        text.push_str(&joined(bindings));
    }
    text
}

/// The value of the attribute `h`.
pub(super) fn value(hash: Hash, offer: &str) -> String {
    encode(hash.digest(offer.as_bytes()))
}

fn joined(names: &[&str]) -> String {
    let mut names = names.to_vec();
    // i;octet (RFC 4790 §9.3) is the order of bytes, as that of str.
    names.sort_unstable();
    names.join("\u{1E}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_xep_0474() {
        // §5.3, in another order than the text's.
        let text = offer(
            &["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"],
            Some(&["tls-server-end-point", "tls-exporter"]),
        );
        assert_eq!(
            text,
            "SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point"
        );
        assert_eq!(value(Hash::Sha1, &text), "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
    }

    #[test]
    fn no_announcement_is_not_an_empty_one() {
        assert_eq!(offer(&["PLAIN"], None), "PLAIN");
        assert_eq!(offer(&["PLAIN"], Some(&[])), "PLAIN\x1f");
    }
}
