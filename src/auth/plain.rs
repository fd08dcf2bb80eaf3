//! PLAIN (RFC 4616): `[authzid] NUL authcid NUL password` in one message.
use super::{AuthError, Secret};

/// The one message of PLAIN, taken apart and not prepared.
pub struct Plain {
    /// Whom the client wants to act as; none when it left that empty.
    pub authzid: Option<String>,
    /// Whose password it is.
    pub authcid: String,
    password: Secret,
}

impl Plain {
    /// Takes the message apart. Neither name nor password may be empty (RFC 4616 §2).
    pub fn parse(message: &[u8]) -> Result<Plain, AuthError> {
        let text = std::str::from_utf8(message).map_err(|_| AuthError::MalformedRequest)?;
        let mut fields = text.split('\0');
        let (Some(authzid), Some(authcid), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(AuthError::MalformedRequest);
        };
        if authcid.is_empty() || password.is_empty() {
            return Err(AuthError::MalformedRequest);
        }
        Ok(Plain {
            authzid: (!authzid.is_empty()).then(|| authzid.to_owned()),
            authcid: authcid.to_owned(),
            password: Secret::new(password),
        })
    }

    /// The password, for [`verify_password`](super::verify_password).
    pub fn password(&self) -> &str {
        std::str::from_utf8(self.password.expose())
            .expect("the password was cut out of UTF-8 text at a NUL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_message_apart() {
        // RFC 4616 §4.
        let plain =
            Plain::parse(b"\0tim\0tanstaaftanstaaf").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (plain.authzid.as_deref(), &*plain.authcid, plain.password()),
            (None, "tim", "tanstaaftanstaaf")
        );
        let plain =
            Plain::parse(b"Ursel\0Kurt\0xipj3plmq").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (plain.authzid.as_deref(), &*plain.authcid, plain.password()),
            (Some("Ursel"), "Kurt", "xipj3plmq")
        );
        let plain = Plain::parse("\0a\0 \u{1F511},=\n".as_bytes())
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plain.password(), " \u{1F511},=\n");
    }

    #[test]
    fn refuses_everything_else() {
        for message in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"a\0b",
            b"\0a\0",
            b"\0\0b",
            b"a\0\0b",
            b"a\0b\0",
            b"\0a\0b\0",
            b"\0a\0b\0c",
            b"\0\xFF\0b",
            b"\0a\0\xC3",
            b"\xED\xA0\x80\0a\0b",
        ] {
            assert_eq!(
                Plain::parse(message).err(),
                Some(AuthError::MalformedRequest),
                "{message:?}"
            );
        }
    }
}
