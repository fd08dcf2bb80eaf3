//! Reads of an X.509 certificate (RFC 5280 §4.1) the few fields that are asked for here: DER is walked, nothing is built.
//!
//! This trusts no length: every walk ends in `None` where the bytes are not what they should be. It checks no signature.

/// The fields of one certificate that the server looks at. Slices point into the certificate's DER.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// The issuer's name, whole, as DER.
    pub issuer: &'a [u8],
    /// The subject's name, whole, as DER.
    pub subject: &'a [u8],
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// What the certificate is signed with: the OID's content.
    pub signature: &'a [u8],
    /// The parameters of the signature's algorithm, as DER; empty where there are none.
    pub signature_parameters: &'a [u8],
    /// The extensions' list, without its head; empty where there is none.
    extensions: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, constructed: version; permitted subtrees; the hash of RSASSA-PSS.
const CONTEXT_0: u8 = 0xa0;
/// `[3]`, constructed: extensions.
const CONTEXT_3: u8 = 0xa3;
/// `[2]`: a dNSName (RFC 5280 §4.2.1.6).
const DNS_NAME: u8 = 0x82;
/// id-ce-nameConstraints (RFC 5280 §4.2.1.10).
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
/// id-at-commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

impl<'a> Certificate<'a> {
    /// Reads one certificate; `None` where this is not one.
    pub fn read(der: &'a [u8]) -> Option<Certificate<'a>> {
        let (certificate, _) = take(der, SEQUENCE)?;
        let (mut tbs, rest) = take(certificate.content, SEQUENCE)?;
        let (algorithm, _) = take(rest, SEQUENCE)?;
        let (signature, signature_parameters) = take(algorithm.content, OID)?;
        let tbs = &mut tbs.content;
        if let Some((_, rest)) = take(tbs, CONTEXT_0) {
            *tbs = rest;
        }
        next(tbs)?; // serial number
        next(tbs)?; // the algorithm once more
        let issuer = next(tbs)?;
        let validity = next(tbs)?;
        let subject = next(tbs)?;
        next(tbs)?; // public key
        let mut times = validity.content;
        let not_before = seconds(next(&mut times)?)?;
        let not_after = seconds(next(&mut times)?)?;
        let mut extensions: &[u8] = &[];
        while let Some(field) = next(tbs) {
            if field.tag == CONTEXT_3 {
                extensions = take(field.content, SEQUENCE)?.0.content;
            }
        }
        Some(Certificate {
            issuer: issuer.whole,
            subject: subject.whole,
            not_before,
            not_after,
            signature: signature.content,
            signature_parameters,
            extensions,
        })
    }

    /// The subject's common name.
    pub fn common_name(&self) -> Option<&'a str> {
        let mut names = take(self.subject, SEQUENCE)?.0.content;
        while let Some((set, rest)) = take(names, SET) {
            names = rest;
            let (pair, _) = take(set.content, SEQUENCE)?;
            let (kind, mut value) = take(pair.content, OID)?;
            if kind.content == COMMON_NAME {
                return std::str::from_utf8(next(&mut value)?.content).ok();
            }
        }
        None
    }

    /// The DNS names that an issuer may sign for (each with all below it), where it is constrained.
    pub fn permitted_dns(&self) -> Vec<&'a str> {
        self.name_constraints().unwrap_or_default()
    }

    fn name_constraints(&self) -> Option<Vec<&'a str>> {
        let mut extensions = self.extensions;
        while let Some((extension, rest)) = take(extensions, SEQUENCE) {
            extensions = rest;
            let (kind, mut value) = take(extension.content, OID)?;
            if kind.content != NAME_CONSTRAINTS {
                continue;
            }
            if let Some((_, rest)) = take(value, BOOLEAN) {
                value = rest;
            }
            let (constraints, _) = take(take(value, OCTET_STRING)?.0.content, SEQUENCE)?;
            let mut subtrees = take(constraints.content, CONTEXT_0)?.0.content;
            let mut names = Vec::new();
            while let Some((subtree, rest)) = take(subtrees, SEQUENCE) {
                subtrees = rest;
                if let Some((name, _)) = take(subtree.content, DNS_NAME) {
                    names.push(std::str::from_utf8(name.content).ok()?);
                }
            }
            return Some(names);
        }
        None
    }
}

/// The hash OID in the parameters of RSASSA-PSS (RFC 4055 §3.1): `None` where it is left out, which means SHA-1.
pub fn pss_hash(parameters: &[u8]) -> Option<&[u8]> {
    let (parameters, _) = take(parameters, SEQUENCE)?;
    let (hash, _) = take(parameters.content, CONTEXT_0)?;
    let (algorithm, _) = take(hash.content, SEQUENCE)?;
    Some(take(algorithm.content, OID)?.0.content)
}

/// One value: its tag, what is in it, and all of it.
#[derive(Clone, Copy)]
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

/// The value at the start, if it has this tag, and what follows it.
fn take(bytes: &[u8], tag: u8) -> Option<(Value<'_>, &[u8])> {
    let mut rest = bytes;
    let value = next(&mut rest)?;
    (value.tag == tag).then_some((value, rest))
}

/// The value at the start, which is stepped over.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<Value<'a>> {
    let (&tag, &first) = (bytes.first()?, bytes.get(1)?);
    let (length, head) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81 => (usize::from(*bytes.get(2)?), 3),
        0x82 => (
            usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?),
            4,
        ),
        // No certificate of ours has a value above 64 KiB.
        _ => return None,
    };
    let whole = bytes.get(..head + length)?;
    *bytes = &bytes[head + length..];
    Some(Value {
        tag,
        content: &whole[head..],
        whole,
    })
}

/// Seconds since 1970 of a certificate's time (RFC 5280 §4.1.2.5), which is always in UTC and to the second.
fn seconds(time: Value<'_>) -> Option<u64> {
    let digits = std::str::from_utf8(time.content).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match time.tag {
        UTC_TIME if digits.len() == 12 => {
            let year: i64 = digits[..2].parse().ok()?;
            (
                if year >= 50 { 1900 + year } else { 2000 + year },
                &digits[2..],
            )
        }
        GENERALIZED_TIME if digits.len() == 14 => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let two = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day, hour, minute, second) = (two(0)?, two(2)?, two(4)?, two(6)?, two(8)?);
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, with years that begin in March so that the leap day comes last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let days = 365 * shifted + shifted / 4 - shifted / 100
        + shifted / 400
        + (153 * ((month + 9) % 12) + 2) / 5
        + day
        - 1
        - 719_468;
    u64::try_from(((days * 24 + hour) * 60 + minute) * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<u64> {
        seconds(Value {
            tag,
            content: text.as_bytes(),
            whole: &[],
        })
    }

    #[test]
    fn times_of_certificates() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "261122131415Z"), Some(1_795_353_255));
        assert_eq!(
            time(GENERALIZED_TIME, "20500101000000Z"),
            Some(2_524_608_000)
        );
        assert_eq!(time(GENERALIZED_TIME, "20000229235959Z"), Some(951_868_799));
        assert_eq!(time(UTC_TIME, "2611221314Z"), None);
        assert_eq!(time(UTC_TIME, "26112213141xZ"), None);
        assert_eq!(time(UTC_TIME, "261322131415Z"), None);
    }

    #[test]
    fn no_length_is_believed() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x01],
            &[0x30, 0x82, 0x01],
            &[0x30, 0x84, 1, 0, 0, 0],
            &[0x30, 0x80, 0, 0],
        ] {
            assert!(Certificate::read(bytes).is_none());
        }
    }

    #[test]
    fn a_damaged_certificate_is_refused_or_read_but_never_a_panic() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["chat.test".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let der = certificate.der();
        assert!(Certificate::read(der).is_some());
        for end in 0..der.len() {
            assert!(Certificate::read(&der[..end]).is_none());
        }
        for at in 0..der.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut damaged = der.to_vec();
                damaged[at] ^= flip;
                if let Some(certificate) = Certificate::read(&damaged) {
                    certificate.common_name();
                    certificate.permitted_dns();
                    pss_hash(certificate.signature_parameters);
                }
            }
        }
    }
}
