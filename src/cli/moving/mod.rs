//! `snug export` and `snug import`: accounts and rooms out to a file and in from one, with the server running or not.
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
use crate::xmpp::BareJid;

/// What is found in a file or a directory of accounts, in its order.
enum Found {
    /// An account begins: its name as it is written, and its password where that is known.
    User {
        name: String,
        password: Option<String>,
    },
    /// A room begins.
    Room {
        /// Its address.
        jid: BareJid,
    },
    /// Something that this account or room has.
    Piece(Piece),
    /// The account or the room is complete.
    End,
    /// Something that is not imported, in words, as often as it was met.
    LeftOut { what: String, times: u64 },
    /// An account or a room of another domain.
    Elsewhere { domain: String },
}

/// Takes what is found, one after the other. The place is for errors: a file and a line. An error ends the reading.
type Take<'t> = &'t mut dyn FnMut(Found, &str) -> Result<(), String>;
