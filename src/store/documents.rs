//! XML that is kept for an account: its vCard, the private data of its clients, and what the server notes of it.

use super::error::StoreError;
use super::keys::{self, DOCUMENTS};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};
use crate::limits::{DOCUMENT_OWN_BYTES, DOCUMENTS_BYTES};

/// What a document is; its byte stands in the key and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// XEP-0054: `<vCard xmlns='vcard-temp'/>`; no name.
    Vcard,
    /// XEP-0049: an element that a client keeps; its namespace and its local name with a space between.
    Private,
    /// XEP-0292: `<vcard/>` with what vcard-temp has no place for; no name.
    Vcard4,
    /// XEP-0012: what the account said when it left; no name.
    Farewell,
    /// XEP-0441: `<prefs xmlns='urn:xmpp:mam:2'/>`, what the account wants to have archived; no name.
    ArchivePreferences,
    /// XEP-0398: the hash of the picture that the account has; no name.
    Photo,
}

/// One document of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// Which one of its kind; empty where there is only one.
    pub name: String,
    /// One element in which everything is declared.
    pub xml: String,
}

const VERSION: u8 = 1;

const KINDS: [DocumentKind; 6] = [
    DocumentKind::Vcard,
    DocumentKind::Private,
    DocumentKind::Vcard4,
    DocumentKind::Farewell,
    DocumentKind::ArchivePreferences,
    DocumentKind::Photo,
];

impl DocumentKind {
    fn byte(self) -> u8 {
        match self {
            DocumentKind::Vcard => 1,
            DocumentKind::Private => 2,
            DocumentKind::Vcard4 => 3,
            DocumentKind::Farewell => 4,
            DocumentKind::ArchivePreferences => 5,
            DocumentKind::Photo => 6,
        }
    }

    /// Whether the account's clients decide how much it is; what the server notes is short.
    fn counts(self) -> bool {
        !matches!(self, DocumentKind::Farewell | DocumentKind::Photo)
    }
}

impl Store {
    /// The XML of one document.
    pub fn document(
        &self,
        user: UserId,
        kind: DocumentKind,
        name: &str,
    ) -> Result<Option<String>, StoreError> {
        let key = keys::document(user.number(), kind.byte(), name);
        match self.main.get(DOCUMENTS, &key)? {
            Some(value) => decode(&value)
                .map(|(_, xml)| Some(xml.to_owned()))
                .map_err(StoreError::record("documents")),
            None => Ok(None),
        }
    }

    /// All documents of an account, in the order of their kinds and names (long names in the order of their beginnings). One scan.
    pub fn documents(&self, user: UserId) -> Result<Vec<Document>, StoreError> {
        let mut documents = Vec::new();
        for entry in self.main.scan(DOCUMENTS, &keys::user(user.number()))? {
            let (key, value) = entry?;
            let damaged = || StoreError::record("documents")(RecordError::Damaged);
            let byte = *key.get(4).ok_or_else(damaged)?;
            let kind = KINDS.into_iter().find(|kind| kind.byte() == byte);
            let (name, xml) = decode(&value).map_err(StoreError::record("documents"))?;
            documents.push(Document {
                kind: kind.ok_or_else(damaged)?,
                name: name.to_owned(),
                xml: xml.to_owned(),
            });
        }
        Ok(documents)
    }

    /// Adds or replaces documents of an account: all of them or, where they do not fit, none. An empty XML removes one.
    ///
    /// `TooMuch` above `limits::DOCUMENTS_BYTES` for the account, `TooLong` for one of more than 300 KiB, `Full` if the disk is nearly full; what
    /// only makes less is never refused.
    pub fn put_documents(&self, user: UserId, documents: &[Document]) -> Result<(), StoreError> {
        let grows = |document: &&Document| !document.xml.is_empty();
        if documents.iter().any(|document| grows(&document)) {
            self.room_to_grow()?;
            if documents.iter().filter(grows).any(|new| new.kind.counts()) {
                self.check_documents(user, documents)?;
            }
        }
        for document in documents {
            let key = keys::document(user.number(), document.kind.byte(), &document.name);
            if document.xml.is_empty() {
                self.main.remove(DOCUMENTS, &key)?;
            } else {
                self.main
                    .put(DOCUMENTS, &key, &encode(&document.name, &document.xml))?;
            }
        }
        Ok(())
    }

    /// Whether an account has room for documents beside those that they do not replace.
    fn check_documents(&self, user: UserId, new: &[Document]) -> Result<(), StoreError> {
        let bytes = |documents: &[Document]| -> usize {
            let counted = documents.iter().filter(|document| document.kind.counts());
            counted
                .filter(|document| !document.xml.is_empty())
                .map(|document| document.xml.len() + document.name.len() + DOCUMENT_OWN_BYTES)
                .sum()
        };
        let mut kept = self.documents(user)?;
        kept.retain(|old| {
            !new.iter()
                .any(|new| new.kind == old.kind && new.name == old.name)
        });
        match bytes(&kept) + bytes(new) <= DOCUMENTS_BYTES {
            true => Ok(()),
            false => Err(StoreError::TooMuch),
        }
    }
}

fn encode(name: &str, xml: &str) -> Vec<u8> {
    let mut writer = RecordWriter::new(VERSION);
    writer.text(name).text(xml);
    writer.finish()
}

fn decode(value: &[u8]) -> Result<(&str, &str), RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let (name, xml) = (reader.text()?, reader.text()?);
    reader.end()?;
    Ok((name, xml))
}
