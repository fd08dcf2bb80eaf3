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
/// Failed exchanges on one stream that got no further than their channel binding, so that no password was tried; the one above ends it in the same
/// way. A client that binds to what TLS 1.3 does not have (slixmpp 1.8) is refused with both hashes and both of their -PLUS forms before it takes PLAIN.
pub const BINDING_TRIES: u8 = 5;
/// Bound resources of one account; one more is refused with `resource-constraint` (RFC 6120 §7.6.2.1).
pub const RESOURCES_PER_ACCOUNT: usize = 32;
/// Bytes that a connection may send at once above its rate: a long paste, a roster import. Above it reading pauses, nothing is dropped.
pub const STANZA_BURST_BYTES: i64 = 512 * 1024;
/// Milliseconds of silence after which a client is pinged (XEP-0199). Long, because a ping wakes a phone; short enough that a dead
/// connection does not swallow an evening's messages.
pub const SILENT_MS: u64 = 300_000;
/// Milliseconds that a ping may stay unanswered; then the stream ends with `connection-timeout`.
pub const PING_ANSWER_MS: u64 = 60_000;
/// Bytes that one client was sent and has not acknowledged (XEP-0198), with what is noted of each stanza; above it its connection and its session end, and
/// messages among them wait in the store. A client that answers keeps a few KiB; a phone that is away for minutes gathers some hundreds.
pub const UNACKED_BYTES: usize = 1024 * 1024;
/// Bytes that all clients together were sent and have not acknowledged; above it the connection of the one with the most is closed, and its session waits
/// for it within the next bound.
pub const UNACKED_TOTAL_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that all sessions keep together that wait for their client to come back; above it the one that has waited longest ends.
pub const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that a session which waits for its client counts for beside what it keeps, so that their number has a bound too.
pub const WAITING_SESSION_BYTES: usize = 2 * 1024;
/// Ended sessions whose count is remembered, so that a client which comes back too late hears what was handled; of an older one it hears only that
/// it is over.
pub const RESUMPTIONS_ENDED: usize = 1024;
/// Addresses that one session may owe an `unavailable` after directed presence; above it directed presence is refused with `resource-constraint`.
pub const DIRECTED: usize = 500;
/// Messages of one account of which it is remembered that they were copied to its other clients (XEP-0280 §6.1), so that errors which answer them are
/// copied too; an answer to an older one is not. Errors come within seconds.
pub const EXCHANGES: usize = 64;
/// Bytes of memory that wait for one client that nobody looks at (XEP-0352); above it they go: some hundred contacts' presence, and not the whole
/// morning of an office.
pub const INACTIVE_BYTES: usize = 32 * 1024;
/// Bytes of memory that wait for all such clients; above it what waits for the one whose part grows goes.
pub const INACTIVE_TOTAL_BYTES: usize = 16 * 1024 * 1024;
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
/// Messages of a page of an archive for a client that does not say how many it wants.
pub const ARCHIVE_PAGE: usize = 50;
/// Messages of a page of an archive, and ids that one query names; a page ends there, more ids are refused with `policy-violation`. With what stands
/// around a message, a page of them stays within its bytes.
pub const ARCHIVE_PAGE_MAX: usize = 250;
/// Bytes of the messages of a page of an archive, and again of what stands around them; the page ends before, but has one message at least. Twice
/// this, a message of the longest kind and `OUT_PAUSE_BYTES` stay far under `OUT_BYTES`: who asks is not read until it has the page.
pub const ARCHIVE_PAGE_BYTES: usize = 128 * 1024;
/// Messages of its archive that a session has seen and that are remembered until it gets what waits for it; of an older one it may then get a second
/// copy. More than can wait, because what its user sent is among them.
pub const ARCHIVE_SHOWN: usize = 4096;
/// Messages with one contact, from the newest back, among which a retracted one is looked for; an older one stays as it is.
pub const RETRACTION_MESSAGES: usize = 1000;
/// Corrections of a retracted message that go with it, the newest first; of one that was corrected more often the rest stays.
pub const RETRACTION_CORRECTIONS: usize = 16;
/// JIDs in one account's archiving preferences (XEP-0441); more are refused with `resource-constraint`, and the preferences stay as they were.
pub const ARCHIVE_PREFERENCES: usize = 1000;
/// Bytes of all JIDs in them, so that they always fit on the way to a client that asks for them; above it as above.
pub const ARCHIVE_PREFERENCES_BYTES: usize = 128 * 1024;
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
/// Bytes that an announcement to all accounts writes in one go; it goes on at the next tick, when they are on the disk. Some 400 accounts.
pub const ANNOUNCED_PART_BYTES: usize = 256 * 1024;
/// Bytes that a kept announcement counts for beside its text.
pub const ANNOUNCED_OWN_BYTES: usize = 512;

// ---- components and push ----

/// A component may send this many times the bytes that a connection of a client may: it speaks for many. Above it reading pauses, nothing is dropped.
pub const COMPONENT_RATE_TIMES: u64 = 10;
/// Milliseconds that a question of the server's own to a component may stay unanswered; then it counts as `remote-server-timeout`.
pub const QUESTION_MS: u64 = 60_000;
/// App servers and nodes that one account has enabled; one more is refused with `resource-constraint`. One for each device and app.
pub const PUSH_PER_ACCOUNT: usize = 32;
/// Bytes of the name of a node, and again of what an app server wants with each notification; above it `not-acceptable`.
pub const PUSH_TEXT_BYTES: usize = 4 * 1024;
/// Milliseconds between two notifications to the same node: what happens meanwhile is in the next one. A phone that was just woken need not be woken again.
pub const PUSH_PAUSE_MS: u64 = 5_000;
/// Milliseconds until a notification is tried again that an app server could not take, doubled with each such error in a row...
pub const PUSH_RETRY_MS: u64 = 60_000;
/// ... up to this many.
pub const PUSH_RETRY_MAX_MS: u64 = 3_600_000;
/// Such errors in a row after which the node is disabled: half a day, in which an app server is repaired or is gone for good.
pub const PUSH_ERRORS: u32 = 16;
/// Bytes of a message's text in a notification; what is longer is cut. A phone shows two lines.
pub const PUSH_BODY_BYTES: usize = 512;

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
/// Nodes of one owner (XEP-0060); one more is refused with `resource-constraint`. A client that uses all there is has some 30.
pub const NODES_PER_OWNER: usize = 200;
/// Items of one node, whatever its `max_items` says: what `max` means. With one more the oldest goes.
pub const ITEMS_PER_NODE: u32 = 1000;
/// Bytes of one item's payload; above it `not-acceptable` with `payload-too-big` (XEP-0060 §7.1.3.5). A picture of 170 KB fits, and the stanza
/// that brings it is bounded as every other.
pub const ITEM_BYTES: usize = 240 * 1024;
/// Bytes of all items of one owner; above it `resource-constraint`.
pub const ITEMS_BYTES_PER_OWNER: u64 = 4 * 1024 * 1024;
/// Bytes of a node's name, of an item's id, and of a title or a description in a node's configuration; a longer one is refused with `not-acceptable`.
pub const NODE_TEXT_BYTES: usize = 1023;
/// Roster groups that a node lets in; more are refused with `not-acceptable`.
pub const NODE_GROUPS: usize = 64;
/// People who have something to do with the nodes of one owner, each counted once a node: they are kept in memory while the owner is there. One
/// more is refused with `resource-constraint`, a subscription with `policy-violation` and `too-many-subscriptions` (XEP-0060 §6.1.3.9).
pub const AFFILIATES_PER_OWNER: usize = 1000;
/// Subscriptions of one bare JID to one node, by resource; one more as above.
pub const SUBSCRIPTIONS_PER_AFFILIATE: usize = 16;
/// Bytes of items in one answer; what is left is asked for by XEP-0059. Well below `OUT_BYTES`, and above what an item can be.
pub const ITEMS_ANSWER_BYTES: usize = 320 * 1024;
/// Bytes of last items that a client that has just come is sent at once; the next part follows when it took most of this one (XEP-0163 §4.3.4).
pub const LAST_ITEMS_PART_BYTES: usize = 128 * 1024;
/// Bytes, roughly, of the nodes of owners who are away that are kept in memory; of more, those that were needed longest ago are read again.
/// 500 accounts with 5 nodes each are some 700 KB.
pub const AWAY_NODES_BYTES: usize = 1024 * 1024;
/// Bytes of last items that are kept in memory, of all nodes; of more, as above.
pub const LAST_ITEMS_KEPT_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of one of them: a longer one is read each time. Of what clients want to hear of, all but pictures' data is shorter.
pub const LAST_ITEM_KEPT_BYTES: usize = 4 * 1024;
/// Bytes that each of what is kept counts for beside its texts.
pub const KEPT_OWN_BYTES: usize = 100;
/// Contacts whose nodes are looked at for that in one go: in between it is the others' turn.
pub const LAST_ITEMS_PART_CONTACTS: usize = 250;
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
/// Bytes of sled's page cache for one database of the archive. It bounds what stays of a database that is written in for long. One that is only read can
/// stay in memory as a whole, because sled looks at its cache after 64 accesses to each of its 256 parts: the next bound is what counts there.
pub const ARCHIVE_CACHE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes that the rows of one database of the archive count for; then the next one begins, also within a month. A database that was read from one end to
/// the other takes about so much memory, two of them may be open beside the newest; and to open one makes sled write a megabyte or more, so they are not
/// smaller.
pub const ARCHIVE_VOLUME_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes that a row counts for beside its record: its keys, and what sled keeps of it.
pub const ARCHIVE_ROW_OWN_BYTES: u64 = 100;
/// A database of the archive takes at most one part in this many of what the archive may take of the disk; then the next one begins, so that only a part of
/// all goes when the oldest has to.
pub const ARCHIVE_VOLUME_SHARE: u64 = 8;
/// Milliseconds between two looks at what of the archive is too old, and whether it takes too much.
pub const ARCHIVE_RETAIN_MS: u64 = 60 * 60 * 1000;
/// Milliseconds after a start in which the archive is not opened while nobody is there: a board that boots has other things to do. Behind them it is, so that
/// damage is told and what is too old goes.
pub const ARCHIVE_REST_MS: u64 = 10_000;
/// Old databases of the archive that are open at a time; for one more, the one that was not used for the longest time is closed.
pub const ARCHIVE_OPEN_VOLUMES: usize = 2;
/// Seconds after which an old database of the archive is closed when nobody reads in it. Somebody who goes back in a conversation reads for a while and
/// goes on, and to open it again would wear out the disk (see above).
pub const ARCHIVE_IDLE_SECONDS: u64 = 300;
/// Owners whose last row in the archive is remembered (40 bytes each); with one more all are looked up again, a read for each.
pub const ARCHIVE_OWNERS_KNOWN: usize = 16 * 1024;
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
/// Milliseconds between the time in the id of an archived message and the time that it says, where the id is one of snug's: its clock ran backwards by as much.
/// Beyond that the id is another server's, and a new one is made.
pub const MOVED_CLOCK_MS: u64 = 400 * 24 * 60 * 60 * 1000;
/// Bytes of a salt in keys from another server; a longer one is refused.
pub const MOVED_SALT_BYTES: usize = 256;

// ---- rooms ----

/// Bytes of a nickname; a longer one is refused with `not-acceptable`: it stands in every presence and before every message.
pub const NICK_BYTES: usize = 128;
/// People in one room, whatever its configuration says; one more is refused with `service-unavailable`. Each who enters costs all others a presence.
pub const ROOM_OCCUPANTS: usize = 1000;
/// Admins and owners who may still enter a room that is full (XEP-0045 §7.2.9).
pub const ROOM_OCCUPANTS_EXTRA: usize = 20;
/// Rooms in which one session is at a time; one more is refused with `resource-constraint`.
pub const ROOMS_PER_SESSION: usize = 200;
/// Temporary rooms that one account has made and that are there; one more is refused with `resource-constraint`.
pub const ROOMS_TEMPORARY: usize = 20;
/// Rooms that one account has made and that are kept; one more is refused with `resource-constraint` when it is configured to stay.
pub const ROOMS_KEPT: usize = 100;
/// People who are something in a room, banned ones too; one more is refused with `resource-constraint`.
pub const ROOM_PEOPLE: usize = 5000;
/// Messages that a room remembers for who enters; the oldest goes.
pub const ROOM_HISTORY: usize = 100;
/// Bytes of one message that is remembered for who enters; a longer one is not in the history.
pub const ROOM_HISTORY_BYTES: usize = 16 * 1024;
/// Milliseconds that an empty room stays in memory with what was said last.
pub const ROOM_IDLE_MS: u64 = 3_600_000;
/// Bytes of all rooms in memory in which nobody is, with what was said in them last; above it the one that has been empty longest is forgotten, and what was
/// said in it comes from its archive again.
pub const ROOMS_IDLE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that such a room counts for beside what was said and who is something in it.
pub const ROOM_IDLE_BYTES: usize = 1024;
/// Changes of affiliations that a room remembers (XEP-0463); who knows an older version gets the whole list.
pub const ROOM_AFFILIATION_STEPS: usize = 100;
/// What one occupant may make the others hear within [`ROOM_PASSING_MS`] that is not said: changes of presence and of the nickname, typing, requests for voice,
/// and of one account how often it comes. Typing above it is dropped, of presence the last one is shown later, the rest is refused with `resource-constraint`.
pub const ROOM_PASSING: u32 = 10;
/// Milliseconds of that window.
pub const ROOM_PASSING_MS: u64 = 10_000;
/// Bytes of a room's title, of its description, of its subject and of a reason; above it `not-acceptable`.
pub const ROOM_TEXT_BYTES: usize = 4 * 1024;
/// Mentions of one message that the owners of a room may allow (XEP-0513); above it `not-acceptable`.
pub const ROOM_MENTIONS: usize = 100;
/// Members who are not in a room and hear that one message mentioned them (XEP-0452), each by a message that is kept; the others find it in the archive.
pub const ROOM_MENTIONED: usize = 500;
/// Seconds that a room may let pass between two messages of somebody (XEP-0500); above it `not-acceptable`.
pub const ROOM_SLOW_SECONDS: u32 = 86_400;
/// Seconds that a token is good for at most (XEP-0488), and where nobody says how long: a year.
pub const ROOM_TOKEN_SECONDS: u32 = 366 * 86_400;
/// Bytes of a room's vCard (XEP-0486), which stands in one answer; above it `not-acceptable`.
pub const ROOM_CARD_BYTES: usize = 128 * 1024;
/// Bytes of a hat's title and of its URI (XEP-0317), which stand in every presence of who wears it; above it `not-acceptable`.
pub const ROOM_HAT_BYTES: usize = 256;
/// Hats of one room; one more is refused with `resource-constraint`.
pub const ROOM_HATS: usize = 50;
/// Tokens of one room (XEP-0488); one more is refused with `resource-constraint`.
pub const ROOM_TOKENS: usize = 100;
/// Invitations to one room whose declination would still be passed on; the oldest is forgotten.
pub const ROOM_INVITATIONS: usize = 200;
/// Items of one request that changes roles or affiliations; above it `bad-request`.
pub const ROOM_ITEMS: usize = 200;
/// Rooms in one answer to who lists or searches them; the rest is on the next page (XEP-0059).
pub const ROOM_PAGE: usize = 100;
/// Public rooms that one search looks at, by name; those behind them are not found.
pub const ROOM_SEARCHED: usize = 5000;
/// Requests for membership of one room that wait for an answer; the oldest is forgotten.
pub const ROOM_REQUESTS: usize = 50;
/// Milliseconds until somebody whose request waits may ask a room's admins for membership again; before, the same request is taken without asking them, and
/// one for another nickname is refused with `resource-constraint`.
pub const ROOM_ASK_AGAIN_MS: u64 = 600_000;
/// People of one moderated room whose voice was given or taken by a moderator; of the oldest it is forgotten, and they have what is usual.
pub const ROOM_VOICES: usize = 1000;
