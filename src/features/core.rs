//! Rows of what the engine and the shell do themselves: they have no hooks, and stand here so that disco, the README and whoever reads the table
//! of features know them.

use crate::engine::feature::Feature;
use crate::xmpp::form;

/// RFC 6120: streams, STARTTLS, SASL, binding, stanzas.
pub const STREAMS: Feature = Feature {
    spec: "RFC 6120",
    title: "XMPP Core",
    leaves_out: "other servers (§4.9.3.19, §10.4): there is one domain, and components",
    ..Feature::NONE
};

/// SCRAM with and without channel binding, and PLAIN.
pub const SCRAM: Feature = Feature {
    spec: "RFC 5802, RFC 7677",
    title: "SCRAM-SHA-1, SCRAM-SHA-256 and their -PLUS forms, beside PLAIN (RFC 4616)",
    ..Feature::NONE
};

/// What the -PLUS forms bind to.
pub const CHANNEL_BINDING: Feature = Feature {
    spec: "XEP-0440",
    title: "SASL Channel-Binding Type Capability (RFC 9266 tls-exporter, RFC 5929 tls-server-end-point)",
    ..Feature::NONE
};

/// The hash of what was offered, in the challenge.
pub const DOWNGRADE: Feature = Feature {
    spec: "XEP-0474",
    title: "SASL SCRAM Downgrade Protection",
    ..Feature::NONE
};

/// The port that begins with TLS.
pub const DIRECT_TLS: Feature = Feature {
    spec: "XEP-0368",
    title: "SRV records for XMPP over TLS (direct TLS, ALPN)",
    leaves_out: "the SRV records themselves are the network's",
    ..Feature::NONE
};

/// Whom a message reaches.
pub const ROUTING: Feature = Feature {
    spec: "RFC 6121 §5, §8",
    title: "Exchanging Messages; Server Rules for Processing XML Stanzas",
    ..Feature::NONE
};

/// Programs that bring a host of their own.
pub const COMPONENTS: Feature = Feature {
    spec: "XEP-0114",
    title: "Jabber Component Protocol (accept)",
    leaves_out: "rooms and personal eventing are for accounts of this server",
    ..Feature::NONE
};

/// What registration, search and contact addresses ask and answer with.
pub const DATA_FORMS: Feature = Feature {
    spec: "XEP-0004",
    title: "Data Forms",
    server_features: &[form::NS],
    ..Feature::NONE
};
