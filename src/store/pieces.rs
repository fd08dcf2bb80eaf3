//! Records that are too long for one value: a head in their tree, the pieces in the tree `long`.

use super::keys::Tree;
use super::live::Live;
use crate::limits::{STORE_PIECE_BYTES, STORE_RECORD_BYTES};

/// First byte of a value whose record is kept in pieces in the tree `long`; no record has version 0.
pub(super) const IN_PIECES: u8 = 0;
/// The version byte of a piece.
pub(super) const PIECE_VERSION: u8 = 1;
/// Bytes of a record in one piece, after the version byte.
pub(super) const PIECE: usize = STORE_PIECE_BYTES - 1;

/// Which pieces make up a record: what stands in its head.
pub(super) struct Pieces {
    /// The number of the write: another one than that of the write before.
    pub write: u64,
    /// Bytes of the record.
    pub bytes: usize,
}

impl Pieces {
    pub fn of(head: &[u8]) -> Option<Pieces> {
        let (&IN_PIECES, rest) = head.split_first()? else {
            return None;
        };
        let (write, bytes) = rest.split_at_checked(8)?;
        let bytes = u32::from_be_bytes(bytes.try_into().ok()?) as usize;
        let write = u64::from_be_bytes(write.try_into().ok()?);
        (bytes <= STORE_RECORD_BYTES).then_some(Pieces { write, bytes })
    }

    pub fn head(&self) -> [u8; 13] {
        let mut head = [IN_PIECES; 13];
        head[1..9].copy_from_slice(&self.write.to_be_bytes());
        head[9..].copy_from_slice(&(self.bytes as u32).to_be_bytes());
        head
    }

    pub fn key(&self, tree: Tree, key: &[u8], number: u16) -> Vec<u8> {
        let mut piece = self.prefix(tree, key);
        piece.extend_from_slice(&number.to_be_bytes());
        piece
    }

    fn prefix(&self, tree: Tree, key: &[u8]) -> Vec<u8> {
        let mut prefix = Vec::with_capacity(1 + key.len() + 10);
        prefix.push(tree.0);
        prefix.extend_from_slice(key);
        prefix.extend_from_slice(&self.write.to_be_bytes());
        prefix
    }

    /// The tree and key of the head, and the number of the write, from the key of a piece.
    pub fn owner(key: &[u8]) -> Option<(&[u8], u64)> {
        let (owner, rest) = key.split_at_checked(key.len().checked_sub(10)?)?;
        let write = u64::from_be_bytes(rest[..8].try_into().ok()?);
        (!owner.is_empty()).then_some((owner, write))
    }

    pub fn collect(&self, live: &Live, tree: Tree, key: &[u8]) -> sled::Result<Option<Vec<u8>>> {
        let mut record = Vec::with_capacity(self.bytes);
        for number in 0..self.bytes.div_ceil(PIECE) {
            match live
                .long
                .get(self.key(tree, key, number as u16))?
                .as_deref()
            {
                Some([PIECE_VERSION, piece @ ..]) => record.extend_from_slice(piece),
                _ => return Ok(None),
            }
        }
        // A record never begins with 0 (see `put`), so what is put together is never taken for a head.
        Ok((record.len() == self.bytes).then_some(record))
    }

    /// Removes the pieces, also more of them than there should be.
    pub fn remove(&self, live: &Live, tree: Tree, key: &[u8]) -> sled::Result<()> {
        let prefix = self.prefix(tree, key);
        for entry in live.long.scan_prefix(&prefix) {
            let (piece, _) = entry?;
            // A longer key of the same tree may begin with these very bytes.
            if piece.len() == prefix.len() + 2 {
                live.remove(&live.long, &piece)?;
            }
        }
        Ok(())
    }
}
