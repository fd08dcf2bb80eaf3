//! Domains beyond ASCII as certificates have them.

/// A domain as certificates have it: labels beyond ASCII as punycode (RFC 5890 §2.3.2.1).
pub fn ascii(domain: &str) -> String {
    let label = |label: &str| {
        if label.is_ascii() {
            label.to_owned()
        } else {
            format!("xn--{}", punycode(label))
        }
    };
    domain.split('.').map(label).collect::<Vec<_>>().join(".")
}

/// RFC 3492 §6.3 with the parameters of its section 5.
fn punycode(label: &str) -> String {
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = out.len();
    if basic > 0 {
        out.push('-');
    }
    let (mut least, mut delta, mut bias, mut handled) = (0x80_u32, 0_u32, 72_u32, basic as u32);
    let digit = |value: u32| {
        char::from(if value < 26 {
            b'a' + value as u8
        } else {
            b'0' + (value - 26) as u8
        })
    };
    let mut first = true;
    while let Some(lowest) = label
        .chars()
        .map(u32::from)
        .filter(|&point| point >= least)
        .min()
    {
        delta += (lowest - least) * (handled + 1);
        least = lowest;
        for point in label.chars().map(u32::from) {
            if point < least {
                delta += 1;
            }
            if point != least {
                continue;
            }
            let mut rest = delta;
            for step in (36..).step_by(36) {
                let threshold = u32::clamp(u32::saturating_sub(step, bias), 1, 26);
                if rest < threshold {
                    break;
                }
                out.push(digit(threshold + (rest - threshold) % (36 - threshold)));
                rest = (rest - threshold) / (36 - threshold);
            }
            out.push(digit(rest));
            handled += 1;
            // RFC 3492 §6.1: how the bias follows.
            delta = if first { delta / 700 } else { delta / 2 };
            first = false;
            delta += delta / handled;
            bias = 0;
            while delta > (36 - 1) * 26 / 2 {
                delta /= 36 - 1;
                bias += 36;
            }
            bias += 36 * delta / (delta + 38);
            delta = 0;
        }
        delta += 1;
        least += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punycode_by_the_examples_of_rfc_3492() {
        assert_eq!(punycode("bücher"), "bcher-kva");
        assert_eq!(punycode("ليهمابتكلموشعربي؟"), "egbpdaj6bu4bxfgehfvwxn"); // §7.1 (A)
        assert_eq!(punycode("3年b組金八先生"), "3b-ww4c5e180e575a65lsy2b"); // §7.1 (L), in lower case
        assert_eq!(punycode("他们为什么不说中文"), "ihqwcrb4cv8a8dqg056pqjye"); // §7.1 (B)
    }

    #[test]
    fn only_labels_beyond_ascii_change() {
        assert_eq!(ascii("chat.bücher.test"), "chat.xn--bcher-kva.test");
        assert_eq!(ascii("192.168.1.7"), "192.168.1.7");
    }
}
