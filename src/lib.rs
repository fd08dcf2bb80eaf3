//! snug, an XMPP server in one small binary.
pub mod admin;
pub mod auth;
pub mod cli;
pub mod config;
pub mod engine;
pub mod features;
pub mod limits;
pub mod net;
pub mod store;
pub mod xml;
pub mod xmpp;
