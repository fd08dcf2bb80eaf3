//! Accounts as XML that other servers read and write: XEP-0227 (1.1), Portable Import/Export Format. Left out: PEP, message archives, privacy lists beyond
//! plain denials of addresses; XInclude is for who reads the file.
//!
//! A file may be longer than the memory, so an account travels in [`Piece`]s: a contact, a message, a vCard, each an element of its own. `write.rs` makes
//! them of the store, `read.rs` reads them; the command line puts them into a file and takes them out of one.
//!
//! What XEP-0227 has no place for stands in the namespace [`SNUG`]:
//! - `<account created-ms='' last-seen-ms='' admin='true' locked='true'/>`: when it was made and last there, in milliseconds since 1970; who may
//!   administrate, and who may not log in.
//! - `<contacts><contact jid='' apart='true' unlisted='true'/></contacts>`: contacts that parted although everyone sees everyone, and those whose state
//!   is kept though clients do not see them; the latter have the attributes of an item of the roster, too.
//! - `<document kind='vcard4'/>` and `<document kind='farewell'/>`: what a vCard4 has beside the vCard, and what the account said when it left.

mod ejabberd;
pub mod read;
pub mod write;

/// XEP-0227 §3.
pub const PIE: &str = "urn:xmpp:pie:0";
/// XEP-0227 §3.3.
pub const SCRAM: &str = "urn:xmpp:pie:0#scram";
/// XEP-0191: the list stands there as clients see it. XEP-0227 only has a place for privacy lists, which nobody uses any more.
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// XEP-0016, for ejabberd.
pub const PRIVACY: &str = "jabber:iq:privacy";
/// What is snug's own.
pub const SNUG: &str = "urn:x-snug:account:0";

/// Where in a `<user/>` a piece stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At its first level.
    User,
    /// In the contact list.
    Roster,
    /// In [`SNUG`]'s `<contacts/>`.
    Contacts,
    /// In the private data of clients, XEP-0049.
    Private,
    /// Among the messages that wait.
    Offline,
    /// In the block list.
    Blocked,
}

/// One thing that an account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it stands.
    pub place: Place,
    /// One element in which everything is declared.
    pub xml: String,
}

impl Place {
    const INNER: [Place; 5] = [
        Place::Roster,
        Place::Contacts,
        Place::Private,
        Place::Offline,
        Place::Blocked,
    ];

    /// The element that holds such pieces: namespace and name. None for the user itself.
    pub fn element(self) -> Option<(&'static str, &'static str)> {
        match self {
            Place::User => None,
            Place::Roster => Some((crate::xmpp::ns::ROSTER, "query")),
            Place::Contacts => Some((SNUG, "contacts")),
            Place::Private => Some((crate::xmpp::ns::PRIVATE, "query")),
            Place::Offline => Some((PIE, "offline-messages")),
            Place::Blocked => Some((BLOCKING, "blocklist")),
        }
    }

    /// The place inside of an element at the first level of a `<user/>`.
    pub fn inside(ns: &str, name: &str) -> Option<Place> {
        Place::INNER
            .into_iter()
            .find(|place| place.element() == Some((ns, name)))
    }

    /// Its name between the command line and the server.
    pub fn word(self) -> &'static str {
        match self {
            Place::User => "user",
            Place::Roster => "roster",
            Place::Contacts => "contacts",
            Place::Private => "private",
            Place::Offline => "offline",
            Place::Blocked => "blocked",
        }
    }

    /// The place of that name.
    pub fn of_word(word: &str) -> Option<Place> {
        std::iter::once(Place::User)
            .chain(Place::INNER)
            .find(|place| place.word() == word)
    }
}
