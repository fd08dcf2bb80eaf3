//! What the reading side is asked, and what it answers.

use super::about::Edge;
use super::insert::OldRow;
use super::row::Row;
use super::{ArchiveId, Stamp};
use crate::store::UserId;

/// What the reading side is asked for.
pub enum Request {
    /// A page of somebody's archive.
    Page(Query),
    /// The first and the last row of somebody's archive.
    Bounds(UserId),
    /// The newest row with a contact whose XML matches, among the newest rows with that contact.
    Find {
        /// Whose archive.
        owner: UserId,
        /// A bare JID: any of its resources; a full one: that one.
        with: String,
        /// Looks at the XML of a row.
        matches: Box<dyn Fn(&str) -> bool + Send>,
        /// How many rows with this contact are looked at.
        newest: usize,
    },
    /// One row.
    Get {
        /// Whose archive.
        owner: UserId,
        /// Which row.
        id: ArchiveId,
    },
    /// Puts other XML in the place of that of a row.
    Replace {
        /// Whose archive.
        owner: UserId,
        /// Which row.
        id: ArchiveId,
        /// What stands there from now on.
        xml: Vec<u8>,
    },
    /// Removes all rows of an owner, for good.
    Forget(UserId),
    /// Makes the next volume, to which the writing side turns by itself.
    Roll {
        /// Milliseconds since 1970 by the clock.
        at_ms: u64,
    },
    /// Puts rows from another server where they belong, for an owner who is arriving.
    Insert {
        /// Whose archive.
        owner: UserId,
        /// The rows, a bounded number.
        rows: Vec<OldRow>,
    },
    /// Opens the newest volume, where rows go: any other question does that too.
    Open,
    /// Finds out what there is in volumes that were left or got rows lately, so that they need not be opened for it later.
    Settle,
    /// Removes what is too old, and the oldest while all of it is too much. Only whole volumes go, and never the one that is written in.
    Retain {
        /// Milliseconds since 1970 by the clock.
        now_ms: u64,
        /// Days that a row is kept at least; 0: for ever.
        keep_days: u32,
        /// Bytes of the disk that the archive may take; 0: a tenth of the disk.
        max_bytes: u64,
    },
}

/// A page of an archive: which rows, and how many of them. Of several bounds the narrowest counts.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose archive.
    pub owner: UserId,
    /// Rows with this contact. A bare JID: any of its resources; a full one: that one.
    pub with: Option<String>,
    /// Rows with a stamp at this many milliseconds since 1970 or behind.
    pub start_ms: Option<u64>,
    /// Rows with a stamp at this many milliseconds since 1970 or before.
    pub end_ms: Option<u64>,
    /// Rows behind each of these, which must be there, whatever they are otherwise.
    pub after: Vec<ArchiveId>,
    /// Rows at this place or behind, whatever there is at it.
    pub from: Stamp,
    /// Rows before each of these, which must be there, whatever they are otherwise.
    pub before: Vec<ArchiveId>,
    /// Only these rows, which must all be there; empty: no such bound.
    pub ids: Vec<ArchiveId>,
    /// Rows of the page, 0 or more.
    pub max: usize,
    /// The last ones of what is asked for, not the first.
    pub backward: bool,
    /// Bytes of XML that the page stops before, but for one row that it always has.
    pub bytes: usize,
}

impl Query {
    /// Everything of an owner, from the beginning.
    pub fn of(owner: UserId) -> Query {
        Query {
            owner,
            with: None,
            start_ms: None,
            end_ms: None,
            after: Vec::new(),
            from: Stamp::FIRST,
            before: Vec::new(),
            ids: Vec::new(),
            max: usize::MAX,
            backward: false,
            bytes: usize::MAX,
        }
    }
}

/// What the reading side answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rows from the oldest to the newest, also of a page that was asked for backward.
    Page {
        /// The rows.
        rows: Vec<Row>,
        /// Whether no further row follows in the direction of the query.
        complete: bool,
    },
    /// An id of the query is not, or no longer, in the archive.
    NoSuchId,
    /// The first and the last row; `None` for an archive without rows.
    Bounds(Option<(Edge, Edge)>),
    /// The row that was looked for.
    Found(Option<Row>),
    /// It is done, and the disk has it. `false`: there was nothing to do.
    Done(bool),
}
