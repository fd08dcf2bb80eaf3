//! Keys for users that do not exist, so that nobody learns who does (HOLES 20): a salt that is the same at every try, the usual rounds, and a
//! stored key that no proof fits. The exchange, its messages and its work are those of an account; it fails at the end.
use ring::hmac;

use super::{Hash, ScramKeys, keys};

/// What a stranger sees of an account's keys in a challenge: accounts that came from another server keep the look of theirs, and who has no
/// account must look like those who have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    /// Bytes of the salt.
    pub salt_bytes: usize,
    /// Whether the salt is a UUID written out, as Prosody's are.
    pub is_uuid: bool,
    /// Rounds of PBKDF2.
    pub iterations: u32,
}

impl Look {
    /// That of keys which snug has made itself.
    pub const OWN: Look = Look {
        salt_bytes: keys::SALT_BYTES,
        is_uuid: false,
        iterations: keys::ITERATIONS,
    };

    /// That of an account's keys.
    pub fn of(keys: &ScramKeys) -> Look {
        let dashes = [8, 13, 18, 23];
        let is_uuid =
            keys.salt.len() == 36
                && keys.salt.iter().enumerate().all(|(place, byte)| {
                    match dashes.contains(&place) {
                        true => *byte == b'-',
                        false => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
                    }
                });
        Look {
            salt_bytes: keys.salt.len(),
            is_uuid,
            iterations: keys.iterations,
        }
    }
}

/// The keys of `user` with one of these looks, always the same one while it is among them; an own one where there is none to take.
pub fn keys_like(secret: &[u8; 32], user: &str, hash: Hash, looks: &[Look]) -> ScramKeys {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    // The highest of the looks' numbers for this name: one more look takes names from all others, and moves no name between those.
    let number = |look: &Look| {
        let Look {
            salt_bytes,
            is_uuid,
            iterations,
        } = look;
        let input = format!(
            "fake look\0{}\0{user}\0{salt_bytes}\0{is_uuid}\0{iterations}",
            hash.name()
        );
        hmac::sign(&key, input.as_bytes()).as_ref().to_vec()
    };
    let look = match looks {
        [] => Look::OWN,
        [only] => *only,
        several => *several
            .iter()
            .max_by_key(|look| number(look))
            .expect("there are several"),
    };
    let mut found = keys(secret, user, hash);
    found.iterations = look.iterations;
    let mut block = 0;
    while found.salt.len() < look.salt_bytes {
        let input = format!("fake salt\0{}\0{user}\0{block}", hash.name());
        found
            .salt
            .extend_from_slice(hmac::sign(&key, input.as_bytes()).as_ref());
        block += 1;
    }
    if look.is_uuid {
        found.salt = uuid(&found.salt);
    }
    found.salt.truncate(look.salt_bytes);
    found
}

/// RFC 9562 §5.4, written out: version 4 and its variant, the other bits out of these bytes, 16 at least.
fn uuid(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..16].to_vec();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text.into_bytes()
}

/// The keys of `user`, a normalised name without an account. `secret` is the server's own and never changes; keys of one hash are the same for
/// a mechanism and its -PLUS form, as an account's are.
pub fn keys(secret: &[u8; 32], user: &str, hash: Hash) -> ScramKeys {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let bytes = |purpose: &str, length: usize| {
        // No name and no purpose has a NUL, so no two inputs are the same text.
        let input = [purpose, hash.name(), user].join("\0");
        hmac::sign(&key, input.as_bytes()).as_ref()[..length].to_vec()
    };
    ScramKeys {
        salt: bytes("fake salt", keys::SALT_BYTES),
        iterations: keys::ITERATIONS,
        stored_key: bytes("fake stored key", hash.bytes()),
        server_key: bytes("fake server key", hash.bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::super::*;
    use super::Look;

    const SECRET: [u8; 32] = [42; 32];

    #[test]
    fn the_same_user_has_the_same_salt_and_nobody_elses() {
        let keys = fake::keys(&SECRET, "nobody", Hash::Sha256);
        assert!(keys == fake::keys(&SECRET, "nobody", Hash::Sha256));
        assert_eq!(keys.salt.len(), keys::SALT_BYTES);
        assert_eq!(keys.iterations, keys::ITERATIONS);
        for other in [
            fake::keys(&SECRET, "nobodz", Hash::Sha256),
            fake::keys(&SECRET, "", Hash::Sha256),
            fake::keys(&SECRET, "nobody", Hash::Sha1),
            fake::keys(&[43; 32], "nobody", Hash::Sha256),
        ] {
            assert_ne!(keys.salt, other.salt);
            assert!(!same_in_constant_time(&keys.stored_key, &other.stored_key));
        }
        for hash in [Hash::Sha1, Hash::Sha256] {
            assert_eq!(fake::keys(&SECRET, "nobody", hash).hash(), Some(hash));
        }
    }

    /// Accounts from another server keep their salts and rounds; who has no account looks like one of them.
    #[test]
    fn nobody_has_a_look_that_no_account_has() {
        let prosodys = Look {
            salt_bytes: 36,
            is_uuid: true,
            iterations: 10_000,
        };
        let long = Look {
            salt_bytes: 100,
            is_uuid: false,
            iterations: 4096,
        };
        for looks in [vec![prosodys], vec![Look::OWN, prosodys, long]] {
            let mut met = Vec::new();
            for number in 0..100 {
                let name = format!("u{number}");
                let keys = fake::keys_like(&SECRET, &name, Hash::Sha1, &looks);
                assert!(keys == fake::keys_like(&SECRET, &name, Hash::Sha1, &looks));
                met.push(Look::of(&keys));
            }
            met.sort();
            met.dedup();
            let mut looks = looks;
            looks.sort();
            assert_eq!(met, looks);
        }
        let own = fake::keys_like(&SECRET, "nobody", Hash::Sha256, &[]);
        assert!(own == fake::keys(&SECRET, "nobody", Hash::Sha256));
    }

    /// HOLES 20: with and without an account, a wrong password gives messages of one shape, and one error at the end.
    #[test]
    fn nobody_sees_who_exists() {
        let binding = ChannelBinding {
            exporter: Some([9; 32]),
            end_point: None,
        };
        for mechanism in Mechanism::ALL {
            let Some(hash) = mechanism.hash() else {
                continue;
            };
            let real =
                ScramKeys::derive(hash, "right", &[3; keys::SALT_BYTES], keys::ITERATIONS).unwrap();
            let unreal = fake::keys(&SECRET, "anna", hash);
            let outcomes = [real, unreal].map(|keys| {
                let mut client = Client::new(mechanism.name(), "anna", "wrong", "client");
                if mechanism.binds_channel() {
                    client = client.bound_to("tls-exporter", &[9; 32]);
                }
                let mut scram = Scram::start(mechanism, client.first().as_bytes(), true, &binding)
                    .unwrap_or_else(|error| panic!("{error}"));
                let challenge = scram.challenge(&keys, "server");
                let last = client.answer(&challenge).unwrap();
                (challenge.len(), scram.finish(last.as_bytes()))
            });
            assert_eq!(outcomes[0], outcomes[1], "{}", mechanism.name());
            assert_eq!(outcomes[0].1, Err(AuthError::NotAuthorized));
        }
        for hash in [Hash::Sha1, Hash::Sha256] {
            assert!(!verify_password(
                &fake::keys(&SECRET, "anna", hash),
                "wrong"
            ));
        }
    }
}
