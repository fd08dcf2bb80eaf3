//! The conditions of XEP-0060 §11, beside those of RFC 6120.

use crate::xml::written;
use crate::xmpp::{Condition, ErrorType, StanzaError, ns};

/// An error with a condition of its own.
pub fn refused(condition: Condition, name: &'static str) -> StanzaError {
    let app = written(|out| {
        out.start(name).attr("xmlns", ns::PUBSUB_ERRORS).end();
    });
    StanzaError::from(condition).app(app)
}

/// What is not done here.
pub fn unsupported(feature: &str) -> StanzaError {
    let app = written(|out| {
        out.start("unsupported")
            .attr("xmlns", ns::PUBSUB_ERRORS)
            .attr("feature", feature)
            .end();
    });
    StanzaError::from(Condition::FeatureNotImplemented).app(app)
}

/// §7.1.5: the node is another one than the publisher takes for granted.
pub fn precondition_not_met() -> StanzaError {
    refused(Condition::Conflict, "precondition-not-met")
}

/// §7.2.3.3 and its likes: no node is named.
pub fn nodeid_required() -> StanzaError {
    refused(Condition::BadRequest, "nodeid-required")
}

/// §6.2.3.2: nobody of that address is subscribed.
pub fn not_subscribed() -> StanzaError {
    refused(Condition::UnexpectedRequest, "not-subscribed").kind(ErrorType::Cancel)
}

/// §6.1.3.9.
pub fn too_many_subscriptions() -> StanzaError {
    refused(Condition::PolicyViolation, "too-many-subscriptions").kind(ErrorType::Wait)
}
