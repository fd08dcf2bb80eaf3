//! `snug export` and `snug import`: accounts out to a file and in from one, with the server running or not.
//!
//! The file is read and written here, piece by piece; what a piece means is [`crate::admin::portable`]'s to know, and what is done with it the server's.

mod cut;
mod export;
mod import;
mod lua;
mod pie;
mod prosody;

pub(super) use export::Export;
pub(super) use import::Import;

use crate::admin::portable::Piece;

/// What is found in a file or a directory of accounts, in its order.
enum Found {
    /// An account begins: its name as it is written, and its password where that is known.
    User {
        name: String,
        password: Option<String>,
    },
    /// Something that this account has.
    Piece(Piece),
    /// The account is complete.
    End,
    /// Something that is not imported, in words, as often as it was met.
    LeftOut { what: String, times: u64 },
    /// An account of another domain.
    Elsewhere { domain: String },
}

/// Takes what is found, one after the other. The place is for errors: a file and a line. An error ends the reading.
type Take<'t> = &'t mut dyn FnMut(Found, &str) -> Result<(), String>;
