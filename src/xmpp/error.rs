//! Two errors with two owners: a [`StanzaError`] answers the peer who sent one stanza, a [`StreamError`] ends its stream.
//! This file alone turns either into XML.

use super::ns;
use crate::xml::{Element, Writer};
use std::borrow::Cow;

/// What went wrong with a stanza (RFC 6120 §8.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// §8.3.3.1
    BadRequest,
    /// §8.3.3.2
    Conflict,
    /// §8.3.3.3
    FeatureNotImplemented,
    /// §8.3.3.4
    Forbidden,
    /// §8.3.3.5
    Gone,
    /// §8.3.3.6
    InternalServerError,
    /// §8.3.3.7
    ItemNotFound,
    /// §8.3.3.8
    JidMalformed,
    /// §8.3.3.9
    NotAcceptable,
    /// §8.3.3.10
    NotAllowed,
    /// §8.3.3.11
    NotAuthorized,
    /// §8.3.3.12
    PolicyViolation,
    /// §8.3.3.13
    RecipientUnavailable,
    /// §8.3.3.14
    Redirect,
    /// §8.3.3.15
    RegistrationRequired,
    /// §8.3.3.16
    RemoteServerNotFound,
    /// §8.3.3.17
    RemoteServerTimeout,
    /// §8.3.3.18
    ResourceConstraint,
    /// §8.3.3.19
    ServiceUnavailable,
    /// §8.3.3.20
    SubscriptionRequired,
    /// §8.3.3.21
    UndefinedCondition,
    /// §8.3.3.22
    UnexpectedRequest,
}

impl Condition {
    /// All of them.
    pub const ALL: [Condition; 22] = {
        use Condition::*;
        [
            BadRequest,
            Conflict,
            FeatureNotImplemented,
            Forbidden,
            Gone,
            InternalServerError,
            ItemNotFound,
            JidMalformed,
            NotAcceptable,
            NotAllowed,
            NotAuthorized,
            PolicyViolation,
            RecipientUnavailable,
            Redirect,
            RegistrationRequired,
            RemoteServerNotFound,
            RemoteServerTimeout,
            ResourceConstraint,
            ServiceUnavailable,
            SubscriptionRequired,
            UndefinedCondition,
            UnexpectedRequest,
        ]
    };

    /// The element's name on the wire.
    pub fn name(self) -> &'static str {
        use Condition::*;
        match self {
            BadRequest => "bad-request",
            Conflict => "conflict",
            FeatureNotImplemented => "feature-not-implemented",
            Forbidden => "forbidden",
            Gone => "gone",
            InternalServerError => "internal-server-error",
            ItemNotFound => "item-not-found",
            JidMalformed => "jid-malformed",
            NotAcceptable => "not-acceptable",
            NotAllowed => "not-allowed",
            NotAuthorized => "not-authorized",
            PolicyViolation => "policy-violation",
            RecipientUnavailable => "recipient-unavailable",
            Redirect => "redirect",
            RegistrationRequired => "registration-required",
            RemoteServerNotFound => "remote-server-not-found",
            RemoteServerTimeout => "remote-server-timeout",
            ResourceConstraint => "resource-constraint",
            ServiceUnavailable => "service-unavailable",
            SubscriptionRequired => "subscription-required",
            UndefinedCondition => "undefined-condition",
            UnexpectedRequest => "unexpected-request",
        }
    }

    /// The error type that RFC 6120 §8.3.3 associates with the condition; where it leaves a choice, what the sender can do about it here.
    pub fn usual_type(self) -> ErrorType {
        use Condition::*;
        match self {
            BadRequest | JidMalformed | NotAcceptable | PolicyViolation | Redirect => {
                ErrorType::Modify
            }
            Forbidden | NotAuthorized | RegistrationRequired | SubscriptionRequired => {
                ErrorType::Auth
            }
            RecipientUnavailable | RemoteServerTimeout | ResourceConstraint | UnexpectedRequest => {
                ErrorType::Wait
            }
            Conflict
            | FeatureNotImplemented
            | Gone
            | InternalServerError
            | ItemNotFound
            | NotAllowed
            | RemoteServerNotFound
            | ServiceUnavailable
            | UndefinedCondition => ErrorType::Cancel,
        }
    }
}

/// What the sender of a refused stanza may do (RFC 6120 §8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// Retry after giving credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Retry after changing what was sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    const ALL: [ErrorType; 4] = [
        ErrorType::Auth,
        ErrorType::Cancel,
        ErrorType::Modify,
        ErrorType::Wait,
    ];

    fn name(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }
}

/// An answer to one stanza that could not be done (RFC 6120 §8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// What went wrong.
    pub condition: Condition,
    /// What the sender may do.
    pub kind: ErrorType,
    /// A sentence for people, in English.
    pub text: Option<Cow<'static, str>>,
    /// An application's own condition (RFC 6120 §8.3.4) as finished XML, with its namespace.
    pub app: Option<Cow<'static, str>>,
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        StanzaError {
            condition,
            kind: condition.usual_type(),
            text: None,
            app: None,
        }
    }
}

impl StanzaError {
    /// The condition with a sentence that tells the user more.
    pub fn text(condition: Condition, text: impl Into<Cow<'static, str>>) -> Self {
        StanzaError {
            text: Some(text.into()),
            ..condition.into()
        }
    }

    /// The same error with another type than the condition's usual one.
    pub fn kind(self, kind: ErrorType) -> Self {
        StanzaError { kind, ..self }
    }

    /// The same error with an application's own condition, given as XML.
    pub fn app(self, app: impl Into<Cow<'static, str>>) -> Self {
        StanzaError {
            app: Some(app.into()),
            ..self
        }
    }

    /// Reads the error of a stanza of type `error`. What says no condition that is known is `undefined-condition`, and one without a type has the usual
    /// one (RFC 6120 §8.3.2).
    pub fn of(stanza: &Element<'_>) -> StanzaError {
        let error = stanza.child(ns::CLIENT, "error");
        let condition = error.and_then(|error| {
            let known = |condition: &Condition| {
                error
                    .child(ns::STANZA_ERRORS, condition.name())
                    .map(|_| *condition)
            };
            Condition::ALL.iter().find_map(known)
        });
        let condition = condition.unwrap_or(Condition::UndefinedCondition);
        let name = error.and_then(|error| error.attr("type"));
        let kind = ErrorType::ALL
            .into_iter()
            .find(|kind| Some(kind.name()) == name.as_deref());
        StanzaError::from(condition).kind(kind.unwrap_or(condition.usual_type()))
    }

    /// Writes `<error>` into an open stanza.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.start("error").attr("type", self.kind.name());
        out.start(self.condition.name())
            .attr("xmlns", ns::STANZA_ERRORS)
            .end();
        if let Some(text) = &self.text {
            out.start("text")
                .attr("xmlns", ns::STANZA_ERRORS)
                .attr("xml:lang", "en")
                .text(text)
                .end();
        }
        if let Some(app) = &self.app {
            out.raw(app);
        }
        out.end();
    }
}

/// Why a stream ends (RFC 6120 §4.9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// §4.9.3.1: XML that is fine but cannot be processed.
    BadFormat,
    /// §4.9.3.2
    BadNamespacePrefix,
    /// §4.9.3.3: another stream took this one's place.
    Conflict,
    /// §4.9.3.4: the peer did not answer.
    ConnectionTimeout,
    /// §4.9.3.6: not a domain of this server.
    HostUnknown,
    /// §4.9.3.7: a stanza or header without the address that it needs.
    ImproperAddressing,
    /// §4.9.3.8
    InternalServerError,
    /// §4.9.3.9: a `from` that is not the peer's.
    InvalidFrom,
    /// §4.9.3.10
    InvalidNamespace,
    /// §4.9.3.11
    InvalidXml,
    /// §4.9.3.12
    NotAuthorized,
    /// §4.9.3.13
    NotWellFormed,
    /// §4.9.3.14
    PolicyViolation,
    /// §4.9.3.16: has no more room.
    ResourceConstraint,
    /// §4.9.3.18: comments, processing instructions, DTDs, entities.
    RestrictedXml,
    /// §4.9.3.19
    Reset,
    /// §4.9.3.20
    SystemShutdown,
    /// §4.9.3.21, with the condition of XEP-0198 §6: so many were acknowledged, and fewer sent.
    HandledCountTooHigh {
        /// What the peer said.
        h: u32,
        /// What is true.
        sent: u32,
    },
    /// §4.9.3.22
    UnsupportedEncoding,
    /// §4.9.3.23
    UnsupportedFeature,
    /// §4.9.3.24
    UnsupportedStanzaType,
    /// §4.9.3.25
    UnsupportedVersion,
}

impl StreamError {
    /// The element's name on the wire.
    pub fn name(self) -> &'static str {
        use StreamError::*;
        match self {
            BadFormat => "bad-format",
            BadNamespacePrefix => "bad-namespace-prefix",
            Conflict => "conflict",
            ConnectionTimeout => "connection-timeout",
            HostUnknown => "host-unknown",
            ImproperAddressing => "improper-addressing",
            InternalServerError => "internal-server-error",
            InvalidFrom => "invalid-from",
            InvalidNamespace => "invalid-namespace",
            InvalidXml => "invalid-xml",
            NotAuthorized => "not-authorized",
            NotWellFormed => "not-well-formed",
            PolicyViolation => "policy-violation",
            ResourceConstraint => "resource-constraint",
            RestrictedXml => "restricted-xml",
            Reset => "reset",
            SystemShutdown => "system-shutdown",
            HandledCountTooHigh { .. } => "undefined-condition",
            UnsupportedEncoding => "unsupported-encoding",
            UnsupportedFeature => "unsupported-feature",
            UnsupportedStanzaType => "unsupported-stanza-type",
            UnsupportedVersion => "unsupported-version",
        }
    }

    /// Writes `<stream:error>` with an optional sentence for people.
    pub fn write(self, text: Option<&str>, out: &mut Writer<'_>) {
        out.start("stream:error");
        out.start(self.name())
            .attr("xmlns", ns::STREAM_ERRORS)
            .end();
        if let Some(text) = text {
            out.start("text")
                .attr("xmlns", ns::STREAM_ERRORS)
                .attr("xml:lang", "en")
                .text(text)
                .end();
        }
        // RFC 6120 §4.9.2: an application's own condition comes last.
        if let StreamError::HandledCountTooHigh { h, sent } = self {
            out.start("handled-count-too-high")
                .attr("xmlns", ns::STREAM_MANAGEMENT)
                .attr("h", &h.to_string())
                .attr("send-count", &sent.to_string())
                .end();
        }
        out.end();
    }
}
