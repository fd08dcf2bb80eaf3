//! The client's side of SCRAM (RFC 5802, RFC 7677), for tests that log in. Written against ring alone, so that it is a second opinion on
//! `src/auth`; text in and text out, base64 and XML are the caller's.
#![allow(dead_code)] // each test binary uses a part of it

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// One login: `first`, then `answer` to the challenge, then `check` of what came with the success.
pub struct Client {
    mechanism: String,
    user: String,
    password: String,
    nonce: String,
    flag: String,
    authzid: String,
    binding: Vec<u8>,
    offer: Option<String>,
    server_signature: Option<Vec<u8>>,
}

impl Client {
    /// `mechanism` by its name; `nonce` is the client's, of printable ASCII without a comma. Without channel binding unless told.
    pub fn new(mechanism: &str, user: &str, password: &str, nonce: &str) -> Client {
        Client {
            mechanism: mechanism.to_owned(),
            user: user.replace('=', "=3D").replace(',', "=2C"),
            password: password.to_owned(),
            nonce: nonce.to_owned(),
            flag: "n".to_owned(),
            authzid: String::new(),
            binding: Vec::new(),
            offer: None,
            server_signature: None,
        }
    }

    /// Binds to a channel: the type's IANA name, and its data.
    pub fn bound_to(mut self, binding: &str, data: &[u8]) -> Client {
        self.flag = format!("p={binding}");
        self.binding = data.to_vec();
        self
    }

    /// Says `y`: could bind, but saw no offer of it.
    pub fn that_saw_no_binding(mut self) -> Client {
        self.flag = "y".to_owned();
        self
    }

    /// Asks to act as `authzid`.
    pub fn acting_as(mut self, authzid: &str) -> Client {
        self.authzid = format!("a={}", authzid.replace('=', "=3D").replace(',', "=2C"));
        self
    }

    /// Wants the hash of XEP-0474 in the challenge: the names of mechanisms and of channel bindings that the stream features had.
    pub fn that_saw(mut self, mechanisms: &[&str], bindings: &[&str]) -> Client {
        let sorted = |names: &[&str]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.join("\x1e")
        };
        let mut offer = sorted(mechanisms);
        if !bindings.is_empty() {
            offer.push('\x1f');
            offer.push_str(&sorted(bindings));
        }
        self.offer = Some(offer);
        self
    }

    /// client-first-message.
    pub fn first(&self) -> String {
        format!("{}{}", self.header(), self.first_bare())
    }

    /// client-final-message for the server's challenge, or what is wrong with the challenge.
    pub fn answer(&mut self, challenge: &str) -> Result<String, String> {
        let mut attributes = challenge.split(',');
        let mut take = |name: &str| {
            let found = attributes
                .next()
                .and_then(|attribute| attribute.strip_prefix(name));
            found.ok_or_else(|| format!("no {name} where it belongs in {challenge:?}"))
        };
        let nonce = take("r=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(format!(
                "the nonce {nonce:?} does not continue {:?}",
                self.nonce
            ));
        }
        let salt = STANDARD
            .decode(take("s=")?)
            .map_err(|error| format!("salt: {error}"))?;
        let rounds: u32 = take("i=")?
            .parse()
            .map_err(|error| format!("rounds: {error}"))?;
        let rounds = NonZeroU32::new(rounds).ok_or("no rounds")?;
        if let Some(offer) = &self.offer {
            let expected = STANDARD.encode(self.digest(offer.as_bytes()));
            if take("h=")? != expected {
                return Err("somebody changed what the server offered".to_owned());
            }
        }

        let mut salted = self.digest(b"");
        let algorithm = if self.is_sha256() {
            pbkdf2::PBKDF2_HMAC_SHA256
        } else {
            pbkdf2::PBKDF2_HMAC_SHA1
        };
        let password = stringprep::saslprep(&self.password).map_err(|error| error.to_string())?;
        pbkdf2::derive(algorithm, rounds, &salt, password.as_bytes(), &mut salted);
        let client_key = self.hmac(&salted, b"Client Key");
        let server_key = self.hmac(&salted, b"Server Key");
        let stored_key = self.digest(&client_key);

        let binding = [self.header().as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(binding));
        let message = format!("{},{challenge},{without_proof}", self.first_bare());
        let signature = self.hmac(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(key, signature)| key ^ signature)
            .collect();
        self.server_signature = Some(self.hmac(&server_key, message.as_bytes()));
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether server-final-message shows that the server has the account's keys.
    pub fn check(&self, last: &str) -> Result<(), String> {
        let signature = last
            .strip_prefix("v=")
            .ok_or_else(|| format!("no signature in {last:?}"))?;
        let signature = STANDARD
            .decode(signature)
            .map_err(|error| format!("signature: {error}"))?;
        let expected = self
            .server_signature
            .as_ref()
            .ok_or("there was no challenge yet")?;
        if signature == *expected {
            Ok(())
        } else {
            Err("the server does not know the password".to_owned())
        }
    }

    fn header(&self) -> String {
        format!("{},{},", self.flag, self.authzid)
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    fn is_sha256(&self) -> bool {
        self.mechanism.starts_with("SCRAM-SHA-256")
    }

    fn digest(&self, data: &[u8]) -> Vec<u8> {
        let algorithm = if self.is_sha256() {
            &digest::SHA256
        } else {
            &digest::SHA1_FOR_LEGACY_USE_ONLY
        };
        digest::digest(algorithm, data).as_ref().to_vec()
    }

    fn hmac(&self, key: &[u8], data: &[u8]) -> Vec<u8> {
        let algorithm = if self.is_sha256() {
            hmac::HMAC_SHA256
        } else {
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data)
            .as_ref()
            .to_vec()
    }
}
