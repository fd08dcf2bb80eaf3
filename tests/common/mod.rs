//! What several tests share.
pub mod host;
pub mod scram;
pub mod script;
