//! Walking over the keys of a tree, forward or backward.

use super::database::{Database, Value};
use super::error::StoreError;
use super::keys::{Key, Tree};
use super::pieces::IN_PIECES;

/// The keys with a prefix and their values, in order. Ends after an error.
pub struct Scan<'a> {
    database: &'a Database,
    tree: Tree,
    prefix: Key,
    entries: sled::Iter,
    over: bool,
}

/// The next of sled's entries from the one end or the other.
type Take = fn(&mut sled::Iter) -> Option<sled::Result<(sled::IVec, sled::IVec)>>;

impl<'a> Scan<'a> {
    pub(super) fn new(
        database: &'a Database,
        tree: Tree,
        prefix: Key,
        entries: sled::Iter,
    ) -> Scan<'a> {
        Scan {
            database,
            tree,
            prefix,
            entries,
            over: false,
        }
    }

    /// The next key and what sled has for it: a value, or the head of one in pieces.
    pub(super) fn next_head(&mut self) -> Option<Result<(sled::IVec, sled::IVec), StoreError>> {
        self.head(sled::Iter::next)
    }

    fn head(&mut self, take: Take) -> Option<Result<(sled::IVec, sled::IVec), StoreError>> {
        if self.over {
            return None;
        }
        let entry = self
            .database
            .guard(|| take(&mut self.entries).transpose())
            .transpose();
        let entry = entry.filter(|entry| {
            entry
                .as_ref()
                .map_or(true, |(key, _)| key.starts_with(&self.prefix))
        });
        self.over = !matches!(entry, Some(Ok(_)));
        entry
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(sled::IVec, Value), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entry(sled::Iter::next)
    }
}

impl DoubleEndedIterator for Scan<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.entry(sled::Iter::next_back)
    }
}

impl Scan<'_> {
    fn entry(&mut self, take: Take) -> Option<Result<(sled::IVec, Value), StoreError>> {
        loop {
            let (key, head) = match self.head(take)? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            if head.first() != Some(&IN_PIECES) {
                return Some(Ok((key, Value::Short(head))));
            }
            // `None`: removed since.
            match self.database.get(self.tree, &key) {
                Ok(None) => {}
                Ok(Some(value)) => return Some(Ok((key, value))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
