//! The vocabulary of XMPP: values without behaviour. Nothing here sends, stores or decides.
pub mod error;
pub mod form;
pub mod jid;
pub mod ns;
pub mod rsm;
pub mod stanza;
pub mod time;

pub use error::{Condition, ErrorType, StanzaError, StreamError};
pub use form::{Field, FieldType, Form, FormType};
pub use jid::{BareJid, FullJid, Jid};
pub use rsm::{Page, PageRequest};
pub use stanza::{IqType, Kind, MessageType, Postponed, PresenceType, Stanza};
