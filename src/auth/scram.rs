//! SCRAM (RFC 5802, RFC 7677), the server's side, as a value: three messages in and out, nothing else.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{
    AuthError, ChannelBinding, Hash, Mechanism, ScramKeys, downgrade, encode, same_in_constant_time,
};

/// One exchange, from the client's first message on.
pub struct Scram {
    hash: Hash,
    user: String,
    authzid: Option<String>,
    /// gs2-header and the channel's data: what the client repeats in `c=`.
    binding_input: Vec<u8>,
    client_first_bare: String,
    /// The client's nonce, and ours behind it once there is a challenge.
    nonce: String,
    offer: Option<String>,
    challenge: Option<Challenge>,
}

struct Challenge {
    server_first: String,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Scram {
    /// Reads client-first-message. `offered_plus`: whether a -PLUS mechanism was offered on this stream; `binding`: what this channel has.
    /// Every fault of the message that can be known without the account is found here.
    pub fn start(
        mechanism: Mechanism,
        first: &[u8],
        offered_plus: bool,
        binding: &ChannelBinding,
    ) -> Result<Scram, AuthError> {
        let hash = mechanism.hash().ok_or(AuthError::InvalidMechanism)?;
        let text = text_of(first)?;

        // gs2-header = gs2-cbind-flag "," [authzid] ","
        let (flag, rest) = text.split_once(',').ok_or(AuthError::MalformedRequest)?;
        let (authzid, bare) = rest.split_once(',').ok_or(AuthError::MalformedRequest)?;
        let header = &text[..text.len() - bare.len()];
        let mut binding_input = header.as_bytes().to_vec();
        match flag {
            "n" | "y" if mechanism.binds_channel() => return Err(AuthError::MalformedRequest),
            "n" => {}
            // RFC 5802 §6: the client could bind and saw no offer of it. If there was one, somebody took it away.
            "y" if offered_plus => return Err(AuthError::OfferTampered),
            "y" => {}
            _ => {
                let name = flag.strip_prefix("p=").ok_or(AuthError::MalformedRequest)?;
                if !mechanism.binds_channel() {
                    return Err(AuthError::MalformedRequest);
                }
                binding_input.extend_from_slice(
                    binding
                        .data(name)
                        .ok_or(AuthError::UnsupportedChannelBinding)?,
                );
            }
        }
        let authzid = match authzid {
            "" => None,
            _ => Some(saslname(
                authzid
                    .strip_prefix("a=")
                    .ok_or(AuthError::MalformedRequest)?,
            )?),
        };

        // client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]. An "m=" in front is a mandatory
        // extension, and we know none: it fails here as no "n=".
        let mut attributes = bare.split(',');
        let user = saslname(value(attributes.next(), "n=")?)?;
        let nonce = value(attributes.next(), "r=")?;
        // RFC 5802 §7: c-nonce is printable.
        if !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AuthError::MalformedRequest);
        }
        check_extensions(attributes)?;

        Ok(Scram {
            hash,
            user,
            authzid,
            binding_input,
            client_first_bare: bare.to_owned(),
            nonce: nonce.to_owned(),
            offer: None,
            challenge: None,
        })
    }

    /// Who logs in: the authcid with `=2C` and `=3D` decoded and nothing else done; see [`account_name`](super::account_name).
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whom the client wants to act as, decoded and not prepared; see [`check_authzid`](super::check_authzid).
    pub fn authzid(&self) -> Option<&str> {
        self.authzid.as_deref()
    }

    /// The hash of the keys that [`Scram::challenge`] wants.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Puts the hash of what was offered ([`downgrade::offer`]) into the challenge (XEP-0474). Left out, the challenge has no `h=`.
    pub fn protect(&mut self, offer: String) {
        self.offer = Some(offer);
    }

    /// server-first-message. `keys` are the account's, or [`fake`](super::fake) ones; `nonce` is our part: fresh, random, of printable
    /// ASCII without a comma.
    pub fn challenge(&mut self, keys: &ScramKeys, nonce: &str) -> String {
        assert!(
            !nonce.is_empty()
                && nonce
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b','),
            "the server's nonce is made of printable ASCII without a comma"
        );
        self.nonce.push_str(nonce);
        let mut message = format!(
            "r={},s={},i={}",
            self.nonce,
            encode(&keys.salt),
            keys.iterations
        );
        if let Some(offer) = &self.offer {
            message.push_str(",h=");
            message.push_str(&downgrade::value(self.hash, offer));
        }
        self.challenge = Some(Challenge {
            server_first: message.clone(),
            stored_key: keys.stored_key.clone(),
            server_key: keys.server_key.clone(),
        });
        message
    }

    /// Reads client-final-message and gives server-final-message. A wrong password and a user without an account are the same
    /// [`AuthError::NotAuthorized`] after the same work.
    pub fn finish(self, last: &[u8]) -> Result<String, AuthError> {
        let Some(challenge) = self.challenge else {
            return Err(AuthError::MalformedRequest);
        };
        let text = text_of(last)?;
        // RFC 5802 §7: the proof stands last.
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(AuthError::MalformedRequest)?;
        let proof = STANDARD
            .decode(proof)
            .map_err(|_| AuthError::MalformedRequest)?;
        if proof.len() != self.hash.bytes() {
            return Err(AuthError::MalformedRequest);
        }
        let mut attributes = without_proof.split(',');
        let binding = STANDARD
            .decode(value(attributes.next(), "c=")?)
            .map_err(|_| AuthError::MalformedRequest)?;
        let nonce = value(attributes.next(), "r=")?;
        check_extensions(attributes)?;
        if !same_in_constant_time(&binding, &self.binding_input) {
            return Err(AuthError::ChannelBindingMismatch);
        }
        if !same_in_constant_time(nonce.as_bytes(), self.nonce.as_bytes()) {
            return Err(AuthError::NonceMismatch);
        }

        // RFC 5802 §3: ClientKey := ClientProof XOR ClientSignature, and its hash is what we keep.
        let message = [
            self.client_first_bare.as_str(),
            &challenge.server_first,
            without_proof,
        ]
        .join(",");
        let signature = self.hash.hmac(&challenge.stored_key, message.as_bytes());
        let client_key: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(proof, signature)| proof ^ signature)
            .collect();
        let server_signature = self.hash.hmac(&challenge.server_key, message.as_bytes());
        if !same_in_constant_time(
            self.hash.digest(&client_key).as_ref(),
            &challenge.stored_key,
        ) {
            return Err(AuthError::NotAuthorized);
        }
        Ok(format!("v={}", encode(server_signature)))
    }
}

fn text_of(message: &[u8]) -> Result<&str, AuthError> {
    let text = std::str::from_utf8(message).map_err(|_| AuthError::MalformedRequest)?;
    // RFC 5802 §7: no value has a NUL.
    if text.contains('\0') {
        Err(AuthError::MalformedRequest)
    } else {
        Ok(text)
    }
}

/// The value of an attribute that must stand here, and not be empty.
fn value<'a>(attribute: Option<&'a str>, name: &str) -> Result<&'a str, AuthError> {
    match attribute.and_then(|attribute| attribute.strip_prefix(name)) {
        None | Some("") => Err(AuthError::MalformedRequest),
        Some(value) => Ok(value),
    }
}

/// RFC 5802 §5.1: `,` and `=` in a name are written `=2C` and `=3D`; any other `=` fails the exchange.
fn saslname(text: &str) -> Result<String, AuthError> {
    let mut pieces = text.split('=');
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = if let Some(rest) = piece.strip_prefix("2C") {
            name.push(',');
            rest
        } else if let Some(rest) = piece.strip_prefix("3D") {
            name.push('=');
            rest
        } else {
            return Err(AuthError::MalformedRequest);
        };
        name.push_str(rest);
    }
    if name.is_empty() {
        Err(AuthError::MalformedRequest)
    } else {
        Ok(name)
    }
}

/// Optional extensions are ignored when they have the form of one, `letter=value`, and do not repeat an attribute that has its place.
fn check_extensions<'a>(mut attributes: impl Iterator<Item = &'a str>) -> Result<(), AuthError> {
    let is_extension = |attribute: &str| match attribute.as_bytes() {
        [name, b'=', _, ..] => name.is_ascii_alphabetic() && !b"amnrcp".contains(name),
        _ => false,
    };
    if attributes.all(is_extension) {
        Ok(())
    } else {
        Err(AuthError::MalformedRequest)
    }
}

#[cfg(test)]
mod tests;
