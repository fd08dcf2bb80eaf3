//! Every bound of the server: its unit, its reason, and what happens when it is reached.
//!
//! Nothing here can be configured unless `config.rs` says so; a bound that an operator may want to move has its default here.

/// Bytes of one stanza before login; above it the stream ends with `policy-violation`. A SCRAM exchange fits many times.
pub const STANZA_BYTES_BEFORE_LOGIN: usize = 8 * 1024;
/// Elements of one stanza before login; above it the stream ends with `policy-violation`.
pub const ELEMENTS_BEFORE_LOGIN: u32 = 32;
/// Bytes of one stanza after login (advertised by XEP-0478); above it the stream ends with `policy-violation`.
pub const STANZA_BYTES: usize = 256 * 1024;
/// Elements of one stanza after login; above it the stream ends with `policy-violation`.
pub const ELEMENTS: u32 = 4000;
/// Nesting of elements, the stanza itself being 1; above it the stream ends with `policy-violation`.
pub const DEPTH: u16 = 64;
/// Attributes of one element; above it the stream ends with `policy-violation`.
pub const ATTRIBUTES: u16 = 32;

/// Milliseconds from accepting a connection to its bound resource; then the stream ends with `connection-timeout`.
pub const LOGIN_MS: u64 = 30_000;
/// Failed SASL exchanges on one stream; the one above ends it with `policy-violation` (RFC 6120 §6.4.5 recommends 2 to 5).
pub const LOGIN_TRIES: u8 = 3;
/// Bound resources of one account; one more is refused with `resource-constraint` (RFC 6120 §7.6.2.1).
pub const RESOURCES_PER_ACCOUNT: usize = 32;
/// Bytes that a connection may send at once above its rate: a long paste, a roster import. Above it reading pauses, nothing is dropped.
pub const STANZA_BURST_BYTES: i64 = 512 * 1024;
/// Milliseconds of silence after which a client is pinged (XEP-0199). Long, because a ping wakes a phone; short enough that a dead
/// connection does not swallow an evening's messages.
pub const SILENT_MS: u64 = 300_000;
/// Milliseconds that a ping may stay unanswered; then the stream ends with `connection-timeout`.
pub const PING_ANSWER_MS: u64 = 60_000;
/// Addresses that one session may owe an `unavailable` after directed presence; above it directed presence is refused with `resource-constraint`.
pub const DIRECTED: usize = 500;
/// Contacts of one account; one more is refused with `resource-constraint`.
pub const CONTACTS: usize = 2000;
/// Subscription requests that wait for one account's answer; one more is dropped, as if there were nobody. Those who ask can fill neither the
/// store nor somebody's screen.
pub const REQUESTS: usize = 500;
/// Bytes of a subscription request, which is kept as a whole until it is answered (RFC 6121 §3.1.3); a longer one is refused with `not-acceptable`.
pub const REQUEST_BYTES: usize = 8 * 1024;
/// Groups of one contact, and bytes of a contact's or a group's name; above it `not-acceptable` (RFC 6121 §2.3.3).
pub const GROUPS_PER_CONTACT: usize = 64;
/// Bytes of a contact's or a group's name.
pub const ROSTER_NAME_BYTES: usize = 1023;
/// JIDs that one account may block; one more is refused with `resource-constraint`, nothing of that request is done.
pub const BLOCKED: usize = 1000;
/// Bytes of all JIDs that one account blocks, so that the list always fits on the way to a client that asks for it; above it as above.
pub const BLOCKED_BYTES: usize = 128 * 1024;
/// Bytes of each text of a report (XEP-0377) that the log shows; what is longer is cut, and the log says so.
pub const REPORT_TEXT_BYTES: usize = 1000;
/// Ids of messages of one report that the log shows; of more it tells the number.
pub const REPORT_IDS: usize = 10;
/// Bytes of a prefix or of a local name; above it the stream ends as not well-formed (libxml2 stops at 50 000, and
/// positions inside names fit 16 bits).
pub const NAME_BYTES: usize = 1024;
/// Prefixes declared at one place of a stanza, those of its ancestors included, so that looking one up stays short;
/// above it the stream ends with `policy-violation`.
pub const PREFIXES: usize = 64;
/// Ad-hoc commands that one account has open; with one more its oldest ends.
pub const COMMANDS_PER_ACCOUNT: usize = 8;
/// Milliseconds that an ad-hoc command waits for its next form; then it ends.
pub const COMMAND_MS: u64 = 600_000;
/// Ended ad-hoc commands whose ids are remembered, so that who uses one again hears `session-expired`; an older one is `bad-sessionid`.
pub const COMMANDS_ENDED: usize = 256;
/// Bytes of an announcement, of the message of the day and of the welcome; above it they are refused with `not-acceptable`.
pub const ANNOUNCEMENT_BYTES: usize = 8 * 1024;

// ---- store ----

/// Bytes of sled's page cache for one database, counted as they lie in the file; in memory they are about twice as many. The default of sled is 1 GiB; this
/// holds 2000 accounts with 20 contacts each, and sled's own tables (about 32 bytes a record) come on top. When it is reached, pages are read again.
pub const STORE_CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a key. With at most 257 keys in an index node of sled, a node stays far under the 128 KiB from which sled would write it to a file of its
/// own that nobody fsyncs. A longer key is a bug of ours; names that could be longer are cut and hashed in `store/keys.rs`.
pub const STORE_KEY_BYTES: usize = 128;
/// Bytes of one value inside sled; a longer one is stored in pieces of this length. A leaf of sled holds up to 20 values, and 20 × (6 KiB + a key)
/// stays under the same 128 KiB.
pub const STORE_PIECE_BYTES: usize = 6 * 1024;
/// Bytes of one record, all pieces together: a stanza of the longest kind and its frame. A longer one is refused with `StoreError::TooLong`.
pub const STORE_RECORD_BYTES: usize = 300 * 1024;
/// Bytes of sled's log that may wait to be written to the file: above it the writing thread waits for them, the only case in which it waits for the disk.
/// They lie in memory; and sled, which writes with seven threads, stands still for ever when each of them has a segment of 512 KiB to write while the
/// file is being cut shorter. Half a second of a slow SD card's work, and more than a commit's worth of writes.
pub const STORE_UNWRITTEN_BYTES: i64 = 1024 * 1024;
/// Free bytes of the disk under which nothing is stored that makes the store grow: `StoreError::Full`, answered with `resource-constraint`. Removals,
/// password changes and sled's own housekeeping go on.
pub const DISK_FREE_BYTES_LOW: u64 = 16 * 1024 * 1024;
/// Bytes of the ballast file, given back when the disk is full all the same (somebody else filled it): sled can only reopen if it can write.
pub const BALLAST_BYTES: u64 = 8 * 1024 * 1024;
/// Messages that wait for one account; the next one is refused with `StoreError::QueueFull`, which the sender sees as `service-unavailable`.
pub const OFFLINE_MESSAGES: u64 = 1000;
/// Bytes of XML that wait for one account; refused like the above.
pub const OFFLINE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of waiting messages that are handed to a client at once; the next part follows when it took most of this one, so that a long absence
/// does not overflow the way to it.
pub const OFFLINE_PART_BYTES: usize = 256 * 1024;
/// Bytes of XML that one account keeps here, its vCard and its clients' private data together; above it `resource-constraint`. A vCard with a picture
/// and all that clients keep fit many times.
pub const DOCUMENTS_BYTES: usize = 2 * 1024 * 1024;
/// Bytes that a document counts for beside its XML and its name, so that many tiny ones have their price too.
pub const DOCUMENT_OWN_BYTES: usize = 128;
/// Bytes of one field that somebody is found by in the directory; a longer one is cut.
pub const ENTRY_FIELD_BYTES: usize = 256;
/// Bytes of the status that is kept of somebody's last unavailable presence (XEP-0012); a longer one is not kept.
pub const FAREWELL_BYTES: usize = 1024;
/// People in the answer to one search (XEP-0055); more that match are left out.
pub const SEARCH_RESULTS: usize = 50;
/// Bytes of what a client shows of its capabilities in presence (XEP-0115): hash and its name, and the node; longer ones are not looked at.
pub const CAPS_NAME_BYTES: usize = 512;
/// Bytes of all that one client says that it is and can; a longer answer is not looked at.
pub const CAPS_BYTES: usize = 16 * 1024;
/// Hashes that are remembered from one session; from then on what it says counts for itself only.
pub const CAPS_LEARNED: u8 = 8;
/// Hashes that are kept in the store; the one that was learned first goes when one comes. A LAN has some dozens of kinds of clients.
pub const CAPS_STORED: usize = 500;
/// Addresses of one kind in the section `[contact]`; more are a mistake in the configuration.
pub const CONTACT_ADDRESSES: usize = 16;
/// Ids of users that a restored backup leaves free, because accounts made after that backup may have used them and ids are never given twice.
pub const USER_IDS_LEFT_FREE_AFTER_RESTORE: u32 = 1 << 16;
/// Hours between two backups of the database of accounts and rosters; none is written when nothing has changed.
pub const BACKUP_INTERVAL_HOURS: u64 = 24;

// ---- net ----

/// Seconds that a TLS handshake may take once it has its turn; above it the connection is closed.
pub const HANDSHAKE_SECONDS: u32 = 10;
/// TLS handshakes that begin in one round of the reactor. One costs a millisecond or more of the only thread, so those who wait for their turn let
/// everybody who is already in go first: a storm of reconnects delays only itself.
pub const HANDSHAKES_A_ROUND: u32 = 4;
/// Seconds that a direct TLS connection may wait for its turn; above it the connection is closed.
pub const TURN_SECONDS: u32 = 30;
/// One connection in this many may be a stranger, one that has not logged in: the rest of the file descriptors is for those who have. Above it new
/// connections are closed at once.
pub const STRANGERS_SHARE: usize = 4;
/// File descriptors that are kept for the store, the log and the control socket; connections that would need them are closed at once.
pub const RESERVED_FILES: usize = 64;
/// Connections that the kernel holds until they are accepted: all phones of an office come back in the same second.
pub const LISTEN_BACKLOG: i32 = 4096;
/// Bytes of the one buffer that all connections read into, and what one connection may read before it is the others' turn.
pub const SCRATCH_BYTES: usize = 16 * 1024;
/// Bytes on their way to a peer above which nothing more is read from this same peer: it must first take what it asked for.
pub const OUT_PAUSE_BYTES: usize = 64 * 1024;
/// Bytes on their way to a peer above which its connection is closed.
pub const OUT_BYTES: usize = 1024 * 1024;
/// Bytes on their way to all stalled peers above which the connection of the one with the most is closed.
pub const OUT_TOTAL_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that all connections together send before the stalled ones are looked at again. What one sends can reach every other, so this is also by how
/// much a queue can outgrow its bound.
pub const OUT_CHECK_BYTES: usize = 256 * 1024;
/// Bytes of all stanzas that have begun and not ended; above it the connection that holds the most is closed.
pub const PENDING_TOTAL_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that wait encrypted for one socket; plaintext waits outside.
pub const TLS_BUFFER_BYTES: usize = 32 * 1024;
/// Seconds without any progress of writing after which a connection is closed.
pub const STALLED_SECONDS: u32 = 60;
/// Seconds that a peer has to take the last bytes when its stream has ended; then it is cut off.
pub const FAREWELL_SECONDS: u32 = 5;
/// Seconds that a peer has to close its side when ours is closed; then it is cut off.
pub const CLOSE_SECONDS: u32 = 2;
/// Seconds between SIGTERM and the end, whatever still waits; systemd would kill after 90.
pub const SHUTDOWN_SECONDS: u64 = 10;
/// Threads that derive keys from passwords: two, so that a login is never behind more than one other on a machine with more than one core.
pub const DERIVE_THREADS: usize = 2;
/// Bytes of a line on the control socket; above it the connection is closed. A record of the longest kind fits, with each of its characters written
/// as an escape.
pub const CONTROL_LINE_BYTES: usize = 2 * 1024 * 1024;
/// Seconds for a request on the control socket to arrive, and again for its answer; above it the connection is closed.
pub const CONTROL_SECONDS: u64 = 60;
/// Requests on the control socket at a time; one more waits until another is done.
pub const CONTROL_CALLS: usize = 16;

/// Milliseconds between two writes of who left lately (XEP-0012): a crash loses at most this much of it.
pub const DEPARTURES_MS: u64 = 60_000;

// ---- moving ----

/// Bytes of an account that are read out of the store or written into it in one go while accounts are moved, or one record: in between it is the
/// others' turn.
pub const MOVED_PART_BYTES: usize = 256 * 1024;
/// Names of accounts in one request or answer while accounts are moved.
pub const MOVED_NAMES: usize = 500;
/// Rounds of PBKDF2 in keys from another server: above it they are refused, because every login would cost the client, and with PLAIN the server, seconds.
pub const MOVED_ITERATIONS: u32 = 1_000_000;
/// Bytes of a salt in keys from another server; a longer one is refused.
pub const MOVED_SALT_BYTES: usize = 256;
