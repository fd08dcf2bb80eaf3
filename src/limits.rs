//! Every bound of the server: its unit, its reason, and what happens when it is reached.
//!
//! Nothing here can be configured unless `config.rs` says so; a bound that an operator may want to move has its default here.

/// Bytes of one stanza before login; above it the stream ends with `policy-violation`. A SCRAM exchange fits many times.
pub const STANZA_BYTES_BEFORE_LOGIN: usize = 8 * 1024;
/// Elements of one stanza before login; above it the stream ends with `policy-violation`.
pub const ELEMENTS_BEFORE_LOGIN: u32 = 32;
/// Bytes of one stanza after login (advertised by XEP-0478); above it the stream ends with `policy-violation`.
pub const STANZA_BYTES: usize = 256 * 1024;
/// Elements of one stanza after login; above it the stream ends with `policy-violation`.
pub const ELEMENTS: u32 = 4000;
/// Nesting of elements, the stanza itself being 1; above it the stream ends with `policy-violation`.
pub const DEPTH: u16 = 64;
/// Attributes of one element; above it the stream ends with `policy-violation`.
pub const ATTRIBUTES: u16 = 32;
