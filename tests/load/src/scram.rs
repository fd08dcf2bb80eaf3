//! The client's side of SCRAM (RFC 5802, RFC 7677), without channel binding. The keys of an account are derived
//! once for each salt and kept: a login then costs this side a few hashes.

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SecureRandom;
use ring::{digest, hmac, pbkdf2};

/// The hash behind a mechanism.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    /// The mechanism's name in SASL.
    pub fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }
}

/// What the password becomes under one salt.
#[derive(Clone)]
struct Keys {
    hash: Hash,
    salt: Vec<u8>,
    iterations: u32,
    client: Vec<u8>,
    server: Vec<u8>,
}

/// The last keys that were derived for an account.
#[derive(Default)]
pub struct KeyCache(Mutex<Option<Keys>>);

impl KeyCache {
    fn keys(
        &self,
        hash: Hash,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Keys, String> {
        let mut kept = self
            .0
            .lock()
            .map_err(|_| "another thread failed while it derived keys")?;
        if let Some(keys) = &*kept
            && keys.hash == hash
            && keys.salt == salt
            && keys.iterations == iterations
        {
            return Ok(keys.clone());
        }
        let rounds =
            std::num::NonZeroU32::new(iterations).ok_or("the server asks for 0 iterations")?;
        let mut salted = vec![0; hash.digest().output_len()];
        pbkdf2::derive(
            hash.pbkdf2(),
            rounds,
            salt,
            password.as_bytes(),
            &mut salted,
        );
        let salted = hmac::Key::new(hash.hmac(), &salted);
        let client = hmac::sign(&salted, b"Client Key").as_ref().to_vec();
        let server = hmac::sign(&salted, b"Server Key").as_ref().to_vec();
        let keys = Keys {
            hash,
            salt: salt.to_vec(),
            iterations,
            client,
            server,
        };
        *kept = Some(keys.clone());
        Ok(keys)
    }
}

/// One login: made with the first message, answers the challenge, checks the server's proof.
pub struct Exchange {
    hash: Hash,
    first_bare: String,
    nonce: String,
}

impl Exchange {
    /// Begins a login of `user` with a fresh nonce.
    pub fn new(hash: Hash, user: &str) -> Result<Exchange, String> {
        let mut random = [0; 18];
        ring::rand::SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| "the system gives no random bytes")?;
        Ok(Exchange::with_nonce(hash, user, BASE64.encode(random)))
    }

    fn with_nonce(hash: Hash, user: &str, nonce: String) -> Exchange {
        Exchange {
            hash,
            first_bare: format!("n={user},r={nonce}"),
            nonce,
        }
    }

    /// The client's first message.
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// The client's final message and the final message that the server must then send.
    pub fn answer(
        &self,
        challenge: &str,
        password: &str,
        cache: &KeyCache,
    ) -> Result<(String, String), String> {
        let field = |name: char| {
            let mut fields = challenge.split(',');
            let found = fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| format!("the SCRAM challenge has no {name}=: {challenge}"))
        };
        let nonce = field('r')?;
        if !nonce.starts_with(&self.nonce) {
            return Err("the server's nonce does not begin with ours".into());
        }
        let salt = BASE64
            .decode(field('s')?)
            .map_err(|error| format!("salt: {error}"))?;
        let iterations = field('i')?
            .parse()
            .map_err(|error| format!("iterations: {error}"))?;
        let keys = cache.keys(self.hash, password, &salt, iterations)?;

        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{without_proof}", self.first_bare);
        let stored = digest::digest(self.hash.digest(), &keys.client);
        let signature = hmac::sign(
            &hmac::Key::new(self.hash.hmac(), stored.as_ref()),
            signed.as_bytes(),
        );
        let proof: Vec<u8> = keys
            .client
            .iter()
            .zip(signature.as_ref())
            .map(|(key, mask)| key ^ mask)
            .collect();
        let server = hmac::sign(
            &hmac::Key::new(self.hash.hmac(), &keys.server),
            signed.as_bytes(),
        );
        Ok((
            format!("{without_proof},p={}", BASE64.encode(proof)),
            format!("v={}", BASE64.encode(server)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5802_section_5() {
        let exchange = Exchange::with_nonce(Hash::Sha1, "user", "fyko+d2lbbFgONRv9qkxdawL".into());
        assert_eq!(exchange.first(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let (last, server) = exchange
            .answer(challenge, "pencil", &KeyCache::default())
            .unwrap();
        let proof = "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
        assert_eq!(
            last,
            format!("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,{proof}")
        );
        assert_eq!(server, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=");
    }

    #[test]
    fn rfc_7677_section_3() {
        let exchange = Exchange::with_nonce(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO".into());
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, server) = exchange
            .answer(challenge, "pencil", &KeyCache::default())
            .unwrap();
        assert!(last.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
        assert_eq!(server, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }
}
