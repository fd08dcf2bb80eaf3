//! Bytes to elements and back. Knows no XMPP: no stanza kinds, no JIDs, no namespaces but XML's own.
