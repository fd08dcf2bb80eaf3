//! Bytes to elements and back. Knows no XMPP: no stanza kinds, no JIDs, no namespaces but XML's own.
//!
//! [`Reader`] joins the parts for a connection: [`Framer`] cuts a stanza out of the bytes, [`Checker`] makes the strict pass that
//! nobody may skip, [`Element`] is the view over what passed, [`splice`] forwards it with another head and the same bytes.

mod check;
mod decode;
mod element;
mod frame;
mod names;
mod namespace;
mod pass;
mod reader;
mod standalone;
mod table;
mod write;

pub use check::{Checker, Document, Header, XmlError};
pub use element::Element;
pub use frame::{Bounds, Frame, Framer};
pub use namespace::Scope;
pub use reader::{Event, Next, Reader};
pub use table::Checked;
pub use write::{Splice, Writer, escape, escaped, splice, written};
