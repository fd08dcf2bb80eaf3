//! Accounts and rooms as XML that other servers read and write: XEP-0227 (1.1), Portable Import/Export Format. Left out: privacy lists beyond plain denials
//! of addresses; whom an account is woken by, which its clients enable again; what a room remembers of people beside its lists. XInclude is for who reads the
//! file.
//!
//! A file may be longer than the memory, so an account travels in [`Piece`]s: a contact, a message, an item of a node, each an element of its own.
//! `write.rs` makes them of the store, `read.rs` reads them; the command line puts them into a file and takes them out of one. Nodes of PEP, archives and
//! rooms each have a file for both directions.
//!
//! What XEP-0227 has no place for stands in the namespace [`SNUG`]:
//! - `<account created-ms='' last-seen-ms='' admin='true' locked='true'/>`: when it was made and last there, in milliseconds since 1970; who may
//!   administrate, and who may not log in.
//! - `<contacts><contact jid='' apart='true' unlisted='true'/></contacts>`: contacts that parted although everyone sees everyone, and those whose state
//!   is kept though clients do not see them; the latter have the attributes of an item of the roster, too.
//! - `<document kind='vcard4'/>` and `<document kind='farewell'/>`: what a vCard4 has beside the vCard, and what the account said when it left.
//! - attributes of `<configure/>` and `<item/>` (XEP-0227 §3.9): `snug:creator`, `snug:created-ms` of a node, `snug:at-ms` of an item.
//!
//! XEP-0227 has no rooms at all. They stand behind the accounts of a `<host/>`, in the namespace [`ROOM`]:
//!
//! ```xml
//! <room xmlns='urn:x-snug:room:0' jid='coven@rooms.chat.test'>
//!   <about created-ms='' maker='' salt='' everyone='true'/>    when and by which account it was made, what its occupants' ids are made with
//!   <config><x xmlns='jabber:x:data'/></config>                the form of XEP-0045 §10.2, as an owner gets it
//!   <subject nick='' by='' at-ms=''><subject xmlns='jabber:client'/></subject>
//!   <hat uri='' title='' hue=''/>                              what can be worn (XEP-0317)
//!   <token by='' uses='' until-ms=''>secret</token>            invitations (XEP-0488)
//!   <vCard xmlns='vcard-temp'/>                                XEP-0486
//!   <query xmlns='http://jabber.org/protocol/muc#admin'>       everybody who is something there (XEP-0045 §9)
//!     <item jid='' affiliation='' nick=''><reason/><hat xmlns='urn:x-snug:room:0' uri=''/></item>
//!   </query>
//!   <archive xmlns='urn:xmpp:pie:0#mam'/>                      as an account's (XEP-0227 §3.10)
//! </room>
//! ```

mod archive;
mod ejabberd;
mod pubsub;
pub mod read;
pub mod rooms;
pub mod write;

use crate::xmpp::ns;

pub use archive::rows as archived_rows;
pub use pubsub::settle;

/// XEP-0227 §3.
pub const PIE: &str = "urn:xmpp:pie:0";
/// XEP-0227 §3.10.
pub const PIE_ARCHIVE: &str = "urn:xmpp:pie:0#mam";
/// XEP-0227 §3.3.
pub const SCRAM: &str = "urn:xmpp:pie:0#scram";
/// XEP-0191: the list stands there as clients see it. XEP-0227 only has a place for privacy lists, which nobody uses any more.
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// XEP-0016, for ejabberd.
pub const PRIVACY: &str = "jabber:iq:privacy";
/// What is snug's own of accounts.
pub const SNUG: &str = "urn:x-snug:account:0";
/// What is snug's own of rooms.
pub const ROOM: &str = "urn:x-snug:room:0";

/// Where in a `<user/>` or a `<room/>` a piece stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the first level of an account.
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
    /// Among the nodes of PEP: how one is configured.
    Nodes,
    /// Among those who are something at a node of PEP.
    NodeAffiliations,
    /// Among those who are subscribed to a node of PEP.
    NodeSubscriptions,
    /// Among the items of a node of PEP.
    NodeItems,
    /// In the archive of an account or a room.
    Archive,
    /// At the first level of a room.
    Room,
    /// Among those who are something in a room.
    People,
}

/// One thing that an account or a room has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it stands.
    pub place: Place,
    /// The node that it is of, where its place is within one; else empty.
    pub node: String,
    /// One element in which everything is declared.
    pub xml: String,
}

/// A place's name between the command line and the server, the element that holds such pieces, and the element with the node's name inside of that.
type About = (
    &'static str,
    Option<(&'static str, &'static str)>,
    Option<&'static str>,
);

impl Place {
    const ALL: [Place; 13] = [
        Place::User,
        Place::Roster,
        Place::Contacts,
        Place::Private,
        Place::Offline,
        Place::Blocked,
        Place::Nodes,
        Place::NodeAffiliations,
        Place::NodeSubscriptions,
        Place::NodeItems,
        Place::Archive,
        Place::Room,
        Place::People,
    ];

    fn about(self) -> About {
        let (owner, pubsub) = ((ns::PUBSUB_OWNER, "pubsub"), (ns::PUBSUB, "pubsub"));
        match self {
            Place::User => ("user", None, None),
            Place::Roster => ("roster", Some((ns::ROSTER, "query")), None),
            Place::Contacts => ("contacts", Some((SNUG, "contacts")), None),
            Place::Private => ("private", Some((ns::PRIVATE, "query")), None),
            Place::Offline => ("offline", Some((PIE, "offline-messages")), None),
            Place::Blocked => ("blocked", Some((BLOCKING, "blocklist")), None),
            Place::Nodes => ("nodes", Some(owner), None),
            Place::NodeAffiliations => ("node-affiliations", Some(owner), Some("affiliations")),
            Place::NodeSubscriptions => ("node-subscriptions", Some(owner), Some("subscriptions")),
            Place::NodeItems => ("node-items", Some(pubsub), Some("items")),
            Place::Archive => ("archive", Some((PIE_ARCHIVE, "archive")), None),
            Place::Room => ("room", None, None),
            Place::People => ("people", Some((ns::MUC_ADMIN, "query")), None),
        }
    }

    /// The element that holds such pieces: namespace and name. None at the first level.
    pub fn element(self) -> Option<(&'static str, &'static str)> {
        self.about().1
    }

    /// The name of the element with the node's name, of the same namespace, inside of that; none where the pieces are of no node.
    pub fn inner(self) -> Option<&'static str> {
        self.about().2
    }

    /// The place right inside of an element at the first level. Other places may be within it: [`Place::within`].
    pub fn inside(ns: &str, name: &str) -> Option<Place> {
        let mut places = Place::ALL.into_iter();
        places.find(|place| place.element() == Some((ns, name)))
    }

    /// The place within the element of this name, which stands where pieces of this place do.
    pub fn within(self, name: &str) -> Option<Place> {
        let mut places = Place::ALL.into_iter();
        places.find(|place| place.element() == self.element() && place.inner() == Some(name))
    }

    /// Its name between the command line and the server.
    pub fn word(self) -> &'static str {
        self.about().0
    }

    /// The place of that name.
    pub fn of_word(word: &str) -> Option<Place> {
        Place::ALL.into_iter().find(|place| place.word() == word)
    }
}

impl Piece {
    /// A piece that is of no node.
    pub fn new(place: Place, xml: String) -> Piece {
        Piece {
            place,
            node: String::new(),
            xml,
        }
    }
}
