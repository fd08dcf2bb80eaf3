//! Documents of an account as its clients keep them: what is kept is told to the rows of the table, so that what stands in two places stays the same.

use super::Engine;
use super::directory::entry_of;
use super::pubsub::Owner;
use crate::store::{Document, DocumentKind, Entry};
use crate::xml;
use crate::xmpp::{Condition, StanzaError};

impl Engine {
    /// Keeps documents, all of them or none; an empty XML removes one.
    pub fn keep_documents(
        &mut self,
        owner: &Owner,
        documents: &[Document],
    ) -> Result<(), StanzaError> {
        self.store.put_documents(owner.id, documents)?;
        self.tell(
            |row| row.documents_kept,
            |engine, hook| hook(engine, owner, documents),
        );
        Ok(())
    }

    /// Keeps a vCard, the entry of the directory that is made of it, and what vCard4 has beside it where that changes. An empty one removes it.
    pub fn keep_vcard(
        &mut self,
        owner: &Owner,
        vcard: String,
        rest: Option<String>,
    ) -> Result<(), StanzaError> {
        let document = |kind, xml| Document {
            kind,
            name: String::new(),
            xml,
        };
        let entry = match vcard.is_empty() {
            true => Entry::default(),
            false => entry_of(owner.name(), &parsed(vcard.clone())?.root()),
        };
        let mut documents = vec![document(DocumentKind::Vcard, vcard)];
        documents.extend(rest.map(|rest| document(DocumentKind::Vcard4, rest)));
        self.keep_documents(owner, &documents)?;
        Ok(self.store.put_entry(owner.id, &entry)?)
    }

    /// A document, ready to be looked into.
    pub fn kept_document(
        &self,
        owner: &Owner,
        kind: DocumentKind,
        name: &str,
    ) -> Result<Option<xml::Document>, StanzaError> {
        self.store
            .document(owner.id, kind, name)?
            .map(parsed)
            .transpose()
    }
}

fn parsed(text: String) -> Result<xml::Document, StanzaError> {
    xml::Document::parse(text).map_err(|error| {
        log::error!("a document of an account cannot be read: {error:?}");
        Condition::InternalServerError.into()
    })
}
