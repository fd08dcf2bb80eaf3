//! What the server keeps of a password: the keys of RFC 5802 §3, from which nobody logs in anywhere without a long search.
use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use ring::pbkdf2;

use super::{AuthError, Hash, Secret, same_in_constant_time};
use crate::xmpp::jid;

/// PBKDF2 rounds of new keys. RFC 7677 §4 asks for at least 4096; the client pays for them at every login, and old phones and
/// clients in JavaScript take 10 000 without a noticeable wait. It is what Prosody uses, too.
pub const ITERATIONS: u32 = 10_000;

/// Random bytes in a new salt (RFC 5802 names no length; 128 bits never meet twice).
pub const SALT_BYTES: usize = 16;

/// Bytes of a password, before and after SASLprep; the messages of all mechanisms with such a one fit the bounds before login.
pub const PASSWORD_BYTES: usize = 1023;

/// Why a password or a user name cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// Nothing there, or nothing left after SASLprep.
    Empty,
    /// More than 1023 bytes.
    TooLong,
    /// SASLprep (RFC 4013), or nodeprep in a user name, forbids a character.
    Prohibited,
}

impl fmt::Display for CredentialError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            CredentialError::Empty => "it is empty: give at least one character",
            CredentialError::TooLong => "it is longer than 1023 bytes: choose a shorter one",
            CredentialError::Prohibited => {
                "it has a character that not every client can send (a control character, say): choose another"
            }
        })
    }
}

impl std::error::Error for CredentialError {}

impl From<CredentialError> for AuthError {
    /// RFC 5802 §5.1: a name that cannot be prepared ends the exchange.
    fn from(_: CredentialError) -> AuthError {
        AuthError::MalformedRequest
    }
}

/// A password's keys for one hash.
#[derive(Clone)]
pub struct ScramKeys {
    /// Random for each account and hash.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// H(ClientKey): checks the client's proof.
    pub stored_key: Vec<u8>,
    /// Signs our answer, so that the client knows that we have the keys.
    pub server_key: Vec<u8>,
}

impl ScramKeys {
    /// Derives the keys. Slow on purpose: milliseconds to tens of them; not on the engine's thread.
    pub fn derive(
        hash: Hash,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<ScramKeys, CredentialError> {
        let password = prepare_password(password)?;
        // RFC 5802 §3: SaltedPassword = Hi(Normalize(password), salt, i), and Hi is PBKDF2.
        let mut salted = vec![0; hash.bytes()];
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(
            hash.pbkdf2(),
            rounds,
            salt,
            password.as_bytes(),
            &mut salted,
        );
        let client_key = hash.hmac(&salted, b"Client Key");
        Ok(ScramKeys {
            salt: salt.to_vec(),
            iterations: rounds.get(),
            stored_key: hash.digest(client_key.as_ref()).as_ref().to_vec(),
            server_key: hash.hmac(&salted, b"Server Key").as_ref().to_vec(),
        })
    }

    /// The hash that the keys are for, told by their length; none when the record is broken.
    pub fn hash(&self) -> Option<Hash> {
        [Hash::Sha1, Hash::Sha256].into_iter().find(|hash| {
            self.stored_key.len() == hash.bytes() && self.server_key.len() == hash.bytes()
        })
    }
}

impl fmt::Debug for ScramKeys {
    /// Shows no key.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ScramKeys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl PartialEq for ScramKeys {
    /// In constant time.
    fn eq(&self, other: &ScramKeys) -> bool {
        let same = [
            (&self.salt, &other.salt),
            (&self.stored_key, &other.stored_key),
            (&self.server_key, &other.server_key),
        ]
        .into_iter()
        .fold(true, |same, (one, two)| {
            same & same_in_constant_time(one, two)
        });
        same & (self.iterations == other.iterations)
    }
}

impl Eq for ScramKeys {}

/// Derives keys for each hash, salt and number of iterations, in that order: what a thread beside the server's does. None are left out but
/// those of a password that SASLprep refuses.
pub fn derive_all(password: &Secret, wanted: &[(Hash, Vec<u8>, u32)]) -> Vec<ScramKeys> {
    let Ok(password) = std::str::from_utf8(password.expose()) else {
        return Vec::new();
    };
    wanted
        .iter()
        .filter_map(|(hash, salt, iterations)| {
            ScramKeys::derive(*hash, password, salt, *iterations).ok()
        })
        .collect()
}

/// Whether `password` is the one that `keys` were made of. As slow as [`ScramKeys::derive`], whether it is or not.
pub fn verify_password(keys: &ScramKeys, password: &str) -> bool {
    let Some(hash) = keys.hash() else {
        return false;
    };
    match ScramKeys::derive(hash, password, &keys.salt, keys.iterations) {
        Ok(derived) => same_in_constant_time(&derived.stored_key, &keys.stored_key),
        Err(_) => false,
    }
}

/// SASLprep (RFC 4013) of a password.
pub fn prepare_password(password: &str) -> Result<Cow<'_, str>, CredentialError> {
    prepare(password, PASSWORD_BYTES)
}

/// The account that an authcid names: SASLprep, then the local part of a JID. Two texts that give the same are the same account.
pub fn account_name(authcid: &str) -> Result<String, CredentialError> {
    let name = prepare(authcid, jid::PART_BYTES)?;
    match jid::prepare_local(&name) {
        Ok(name) => Ok(name.into_owned()),
        Err(jid::JidError::Empty(_)) => Err(CredentialError::Empty),
        Err(jid::JidError::TooLong(_)) => Err(CredentialError::TooLong),
        Err(jid::JidError::Prohibited(_)) => Err(CredentialError::Prohibited),
    }
}

/// SASLprep (RFC 4013). Where only later code points stand against it, emoji above all, they are passed through: people have them in their
/// passwords, and what clients send of them is the same bytes under any profile (RFC 8265 §4.2 allows them).
fn saslprep(text: &str) -> Option<Cow<'_, str>> {
    let strict = |piece: &str| Some(stringprep::saslprep(piece).ok()?.into_owned());
    match stringprep::saslprep(text) {
        Ok(prepared) => Some(prepared),
        Err(_) => jid::prepare_with_later(text, strict).map(Cow::Owned),
    }
}

fn prepare(text: &str, bytes: usize) -> Result<Cow<'_, str>, CredentialError> {
    if text.len() > bytes {
        return Err(CredentialError::TooLong);
    }
    let prepared = saslprep(text).ok_or(CredentialError::Prohibited)?;
    match prepared.len() {
        0 => Err(CredentialError::Empty),
        length if length > bytes => Err(CredentialError::TooLong),
        _ => Ok(prepared),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified_by_its_keys() {
        for hash in [Hash::Sha1, Hash::Sha256] {
            let keys = ScramKeys::derive(hash, "pencil", b"salt", 100).unwrap();
            assert_eq!(keys.hash(), Some(hash));
            assert_eq!((keys.salt.as_slice(), keys.iterations), (&b"salt"[..], 100));
            assert!(verify_password(&keys, "pencil"));
            for wrong in ["", "Pencil", "pencil ", "pencil\0", "penci"] {
                assert!(!verify_password(&keys, wrong), "{wrong:?}");
            }
            for other in [
                ScramKeys::derive(hash, "pencil", b"salz", 100).unwrap(),
                ScramKeys::derive(hash, "pencil", b"salt", 101).unwrap(),
                ScramKeys::derive(hash, "pencils", b"salt", 100).unwrap(),
            ] {
                assert!(keys != other);
            }
            let broken = ScramKeys {
                stored_key: keys.stored_key[1..].to_vec(),
                ..keys.clone()
            };
            assert_eq!(broken.hash(), None);
            assert!(!verify_password(&broken, "pencil"));
            let shown = format!("{keys:?}");
            assert_eq!(shown, "ScramKeys { iterations: 100, .. }");
        }
    }

    #[test]
    fn passwords_are_prepared() {
        // RFC 4013 §3.
        for (given, prepared) in [
            ("I\u{AD}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{AA}", "a"),
            ("\u{2168}", "IX"),
        ] {
            assert_eq!(prepare_password(given).as_deref(), Ok(prepared));
            let keys = ScramKeys::derive(Hash::Sha256, given, b"salt", 1).unwrap();
            assert!(
                verify_password(&keys, prepared) && verify_password(&keys, given),
                "{given:?}"
            );
        }
        for (given, error) in [
            ("\u{7}", CredentialError::Prohibited),
            ("\u{627}1", CredentialError::Prohibited),
            ("", CredentialError::Empty),
            ("\u{AD}", CredentialError::Empty),
            (&"x".repeat(PASSWORD_BYTES + 1), CredentialError::TooLong),
            (&"\u{FDFA}".repeat(200), CredentialError::TooLong),
        ] {
            assert_eq!(prepare_password(given), Err(error), "{given:?}");
            assert_eq!(
                ScramKeys::derive(Hash::Sha1, given, b"salt", 1).err(),
                Some(error)
            );
        }
        assert!(prepare_password(&"x".repeat(PASSWORD_BYTES)).is_ok());
    }

    #[test]
    fn one_account_has_one_name() {
        for (given, name) in [
            ("Anna", "anna"),
            ("an\u{AD}na", "anna"),
            ("\u{2168}", "ix"),
            ("JOS\u{C9}", "jos\u{E9}"),
            ("a.b-c_d+e", "a.b-c_d+e"),
        ] {
            assert_eq!(account_name(given).as_deref(), Ok(name));
        }
        for given in [
            "anna@chat.test",
            "an na",
            " anna",
            "a/b",
            "a\0b",
            "a\tb",
            "\u{A0}",
            "a:b",
        ] {
            assert_eq!(
                account_name(given),
                Err(CredentialError::Prohibited),
                "{given:?}"
            );
        }
        assert_eq!(account_name(""), Err(CredentialError::Empty));
        assert_eq!(
            account_name(&"a".repeat(1024)),
            Err(CredentialError::TooLong)
        );
    }
}
