//! Logins: a challenge in, a response out. No I/O, no clock, no randomness of its own: random bytes come in.
//!
//! SASL as RFC 6120 §6 profiles it: SCRAM (RFC 5802, RFC 7677) with and without channel binding, and PLAIN (RFC 4616). Whoever has no account
//! goes the same way as who has one ([`fake`]), and fails at its end.
pub mod downgrade;
pub mod fake;
pub mod keys;
pub mod plain;
pub mod scram;

use std::fmt;
use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

pub use keys::{CredentialError, ScramKeys, account_name, verify_password};
pub use plain::Plain;
pub use scram::Scram;

use crate::xmpp::jid::Jid;

/// A SASL mechanism that the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS (RFC 7677, with channel binding).
    ScramSha256Plus,
    /// SCRAM-SHA-1-PLUS (RFC 5802, with channel binding).
    ScramSha1Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-1 (RFC 5802).
    ScramSha1,
    /// PLAIN (RFC 4616), under TLS only.
    Plain,
}

impl Mechanism {
    /// All of them in the order of offering, strongest first: channel binding weighs more than the hash (RFC 5802 §6).
    pub const ALL: [Mechanism; 5] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
    ];

    /// The name in the IANA registry of SASL mechanisms.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
        }
    }

    /// The mechanism of that name, in upper case as registered.
    pub fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL
            .into_iter()
            .find(|mechanism| mechanism.name() == name)
    }

    /// The hash of a SCRAM mechanism; none for PLAIN.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Mechanism::ScramSha256Plus | Mechanism::ScramSha256 => Some(Hash::Sha256),
            Mechanism::ScramSha1Plus | Mechanism::ScramSha1 => Some(Hash::Sha1),
            Mechanism::Plain => None,
        }
    }

    /// Whether the mechanism binds to the TLS channel.
    pub fn binds_channel(self) -> bool {
        matches!(self, Mechanism::ScramSha256Plus | Mechanism::ScramSha1Plus)
    }

    /// What to offer on a channel: everything, without the -PLUS forms where there is nothing to bind to.
    pub fn offered(binding: &ChannelBinding) -> impl Iterator<Item = Mechanism> {
        let binds = binding.types().next().is_some();
        Mechanism::ALL
            .into_iter()
            .filter(move |mechanism| binds || !mechanism.binds_channel())
    }
}

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1: of old clients only, but SCRAM does not rest on what SHA-1 has lost.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Hash {
    /// Bytes of its output.
    pub fn bytes(self) -> usize {
        match self {
            Hash::Sha1 => digest::SHA1_OUTPUT_LEN,
            Hash::Sha256 => digest::SHA256_OUTPUT_LEN,
        }
    }

    /// The name in the IANA registry of hash functions.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "sha-1",
            Hash::Sha256 => "sha-256",
        }
    }

    fn digest(self, data: &[u8]) -> digest::Digest {
        match self {
            Hash::Sha1 => digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data),
            Hash::Sha256 => digest::digest(&digest::SHA256, data),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data)
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        }
    }
}

/// Why a login ends; [`AuthError::condition`] is what the client is told, `Display` what the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The client sent `<abort/>`.
    Aborted,
    /// The account is switched off.
    AccountDisabled,
    /// The password is too old.
    CredentialsExpired,
    /// The mechanism needs TLS.
    EncryptionRequired,
    /// No base64.
    IncorrectEncoding,
    /// The client asked to act as somebody else.
    InvalidAuthzid,
    /// A mechanism that was not offered.
    InvalidMechanism,
    /// The message breaks the syntax of its mechanism.
    MalformedRequest,
    /// The mechanism is weaker than policy allows.
    MechanismTooWeak,
    /// Wrong user or password.
    NotAuthorized,
    /// Trouble on our side.
    TemporaryAuthFailure,
    /// The client could bind to the channel and believes that we did not offer it: somebody took it out of the offer.
    OfferTampered,
    /// A channel binding type that this channel does not have.
    UnsupportedChannelBinding,
    /// The client is bound to another channel, or answers with another header than it began with.
    ChannelBindingMismatch,
    /// The answer belongs to another challenge.
    NonceMismatch,
}

impl AuthError {
    /// The name of the condition in `<failure/>` (RFC 6120 §6.5).
    pub fn condition(self) -> &'static str {
        match self {
            AuthError::Aborted => "aborted",
            AuthError::AccountDisabled => "account-disabled",
            AuthError::CredentialsExpired => "credentials-expired",
            AuthError::EncryptionRequired => "encryption-required",
            AuthError::IncorrectEncoding => "incorrect-encoding",
            AuthError::InvalidAuthzid => "invalid-authzid",
            AuthError::InvalidMechanism => "invalid-mechanism",
            AuthError::MalformedRequest | AuthError::UnsupportedChannelBinding => {
                "malformed-request"
            }
            AuthError::MechanismTooWeak => "mechanism-too-weak",
            AuthError::NotAuthorized
            | AuthError::OfferTampered
            | AuthError::ChannelBindingMismatch
            | AuthError::NonceMismatch => "not-authorized",
            AuthError::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            AuthError::Aborted => "the client gave up",
            AuthError::AccountDisabled => "the account is disabled",
            AuthError::CredentialsExpired => "the password has expired",
            AuthError::EncryptionRequired => "the mechanism needs TLS",
            AuthError::IncorrectEncoding => "the message is not base64",
            AuthError::InvalidAuthzid => "the client asked to act as another account",
            AuthError::InvalidMechanism => "the mechanism was not offered",
            AuthError::MalformedRequest => "the message breaks the syntax of its mechanism",
            AuthError::MechanismTooWeak => "the mechanism is weaker than policy allows",
            AuthError::NotAuthorized => "wrong user or password",
            AuthError::TemporaryAuthFailure => "the server could not check the password now",
            AuthError::OfferTampered => {
                "the client saw no offer of channel binding: somebody between changed it"
            }
            AuthError::UnsupportedChannelBinding => {
                "the client chose a channel binding that this connection does not have"
            }
            AuthError::ChannelBindingMismatch => {
                "the client is bound to another TLS connection: somebody may stand between"
            }
            AuthError::NonceMismatch => "the answer belongs to another challenge",
        })
    }
}

impl std::error::Error for AuthError {}

/// Bytes that nobody may see: no `Debug`, compared in constant time only, overwritten when dropped.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }

    /// The bytes themselves, for a hash or the wire; never for a comparison.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `other` is the same, in a time that depends only on the lengths.
    pub fn matches(&self, other: &[u8]) -> bool {
        same_in_constant_time(&self.0, other)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Without a reader the compiler may leave the writes out.
        black_box(&self.0);
    }
}

/// Whether both are the same bytes, in a time that depends only on the lengths. The one comparison of secrets (HOLES 21).
pub fn same_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let difference = one
        .iter()
        .zip(other)
        .fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
    black_box(difference) == 0
}

/// What a TLS connection has to bind a login to.
#[derive(Clone, Default)]
pub struct ChannelBinding {
    /// `tls-exporter` (RFC 9266), on TLS 1.3 only.
    pub exporter: Option<[u8; 32]>,
    /// `tls-server-end-point` (RFC 5929 §4): the hash of our certificate.
    pub end_point: Option<Vec<u8>>,
}

impl ChannelBinding {
    /// The types that are there, as XEP-0440 announces them; strongest first.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        let exporter = self.exporter.is_some().then_some("tls-exporter");
        exporter
            .into_iter()
            .chain(self.end_point.is_some().then_some("tls-server-end-point"))
    }

    /// The data of a type by its IANA name.
    pub fn data(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => self.exporter.as_ref().map(|bytes| bytes.as_slice()),
            "tls-server-end-point" => self.end_point.as_deref(),
            _ => None,
        }
    }
}

/// The bytes of an `<auth/>` or `<response/>`: base64 with its padding and nothing else; `=` alone is an empty one (RFC 6120 §6.4.2).
pub fn decode(text: &str) -> Result<Vec<u8>, AuthError> {
    if text == "=" {
        return Ok(Vec::new());
    }
    STANDARD
        .decode(text)
        .map_err(|_| AuthError::IncorrectEncoding)
}

/// Bytes as the content of `<challenge/>` or `<success/>`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Whether an account may act as `authzid`: only as itself, written as its bare JID (RFC 6120 §6.3.8). `name` is the account's
/// normalised local part, `domain` the normalised domain of the stream.
pub fn check_authzid(authzid: Option<&str>, name: &str, domain: &str) -> Result<(), AuthError> {
    let Some(authzid) = authzid else {
        return Ok(());
    };
    let prepared = stringprep::saslprep(authzid).map_err(|_| AuthError::InvalidAuthzid)?;
    let jid = Jid::parse(&prepared).map_err(|_| AuthError::InvalidAuthzid)?;
    if jid.is_bare() && jid.local() == Some(name) && jid.domain() == domain {
        Ok(())
    } else {
        Err(AuthError::InvalidAuthzid)
    }
}

/// The client's side, which tests with a server use, too.
#[cfg(test)]
#[path = "../../tests/common/scram.rs"]
mod client;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_are_offered_by_strength_and_channel() {
        let names = |binding: &ChannelBinding| {
            Mechanism::offered(binding)
                .map(Mechanism::name)
                .collect::<Vec<_>>()
        };
        let none = ChannelBinding::default();
        assert_eq!(names(&none), ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]);
        assert_eq!(none.types().count(), 0);
        let both = ChannelBinding {
            exporter: Some([1; 32]),
            end_point: Some(vec![2; 32]),
        };
        assert_eq!(
            names(&both),
            [
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-1-PLUS",
                "SCRAM-SHA-256",
                "SCRAM-SHA-1",
                "PLAIN"
            ]
        );
        assert_eq!(
            both.types().collect::<Vec<_>>(),
            ["tls-exporter", "tls-server-end-point"]
        );
        for name in both.types() {
            assert!(
                both.data(name).is_some() && none.data(name).is_none(),
                "{name}"
            );
        }
        assert_eq!(both.data("tls-unique"), None);
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(mechanism.name()), Some(mechanism));
        }
        for name in [
            "",
            "plain",
            "SCRAM-SHA-512",
            "SCRAM-SHA-1-PLUS ",
            "ANONYMOUS",
            "EXTERNAL",
        ] {
            assert_eq!(Mechanism::parse(name), None, "{name}");
        }
    }

    #[test]
    fn an_account_acts_only_as_itself() {
        for authzid in [
            None,
            Some("anna@chat.test"),
            Some("Anna@CHAT.test."),
            Some("\u{FF41}nna@chat.test"),
        ] {
            assert_eq!(
                check_authzid(authzid, "anna", "chat.test"),
                Ok(()),
                "{authzid:?}"
            );
        }
        // HOLES 8: anything else, and what only looks like it.
        for authzid in [
            "",
            "anna",
            "victim@chat.test",
            "victim",
            "chat.test",
            "anna@chat.test/phone",
            "anna@other.test",
            "anna@chat.test@chat.test",
            "anna\0@chat.test",
            "a nna@chat.test",
            "@chat.test",
            "anna@",
            "anna@chat.test/",
            "\u{430}nna@chat.test",
            "\u{7}",
        ] {
            assert_eq!(
                check_authzid(Some(authzid), "anna", "chat.test"),
                Err(AuthError::InvalidAuthzid),
                "{authzid:?}"
            );
        }
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(decode("="), Ok(vec![]));
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(decode("biws").as_deref(), Ok(b"n,,".as_slice()));
        assert_eq!(encode("n,,"), "biws");
        for text in [
            "biw", "biws=", "bi ws", "biws\n", "bi_-", "b===", "==", "bix=", "biws!",
        ] {
            assert_eq!(decode(text), Err(AuthError::IncorrectEncoding), "{text:?}");
        }
    }

    #[test]
    fn secrets_compare_as_bytes_do_and_show_nothing() {
        for (one, other) in [
            ("", ""),
            ("a", "a"),
            ("a", "b"),
            ("a", "ab"),
            ("ab", "a"),
            ("", "a"),
            ("xa", "xb"),
            ("ax", "bx"),
        ] {
            assert_eq!(
                same_in_constant_time(one.as_bytes(), other.as_bytes()),
                one == other,
                "{one:?} {other:?}"
            );
            assert_eq!(
                Secret::new(one) == Secret::new(other),
                one == other,
                "{one:?} {other:?}"
            );
        }
        for byte in 0..32 {
            for bit in 0..8 {
                let mut other = [7u8; 32];
                other[byte] ^= 1 << bit;
                assert!(!Secret::new([7; 32]).matches(&other));
            }
        }
        // Compiles only while exactly one of the two fits a Secret: the second one would, if it had Debug.
        trait Shows<A> {
            fn anything() {}
        }
        impl<T> Shows<()> for T {}
        impl<T: fmt::Debug> Shows<u8> for T {}
        <Secret as Shows<_>>::anything();
        <ChannelBinding as Shows<_>>::anything();
        <Plain as Shows<_>>::anything();
        <Scram as Shows<_>>::anything();
    }
}
