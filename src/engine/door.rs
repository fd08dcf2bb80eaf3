//! The one door: what goes into the engine, and what comes out of it.

use crate::auth::{ChannelBinding, Hash, ScramKeys, Secret};
use crate::config::Config;
use crate::store::archive::{Answer, Request};
use crate::store::{StoreError, Ticket};
use crate::xml::{Checked, Header, XmlError};
use std::net::IpAddr;

/// One connection, named by the shell. An index is used again, with another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Place in the shell's table; small, so that the engine can use it as an index too.
    pub index: u32,
    /// Distinguishes those who had the same place.
    pub generation: u32,
}

/// What the clocks say when the engine is entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970 by the wall clock, which may jump.
    pub wall_ms: u64,
    /// Milliseconds of a clock that never runs backwards; its zero means nothing.
    pub mono_ms: u64,
}

/// What TLS tells about a connection, once its handshake is done.
pub struct Tls {
    /// Channel bindings of this connection (RFC 9266, RFC 5929).
    pub binding: ChannelBinding,
    /// Protocol and cipher suite, for the log and for `snug online`.
    pub version: &'static str,
}

/// What happened. Whatever enters the engine is one of these.
pub enum Input<'a> {
    /// A TCP connection was accepted; with `tls` where the handshake came first (direct TLS).
    Accepted {
        conn: ConnId,
        peer: IpAddr,
        tls: Option<Tls>,
    },
    /// A TCP connection was accepted on a port of components (XEP-0114).
    Component { conn: ConnId, peer: IpAddr },
    /// The handshake that [`Flow::StartTls`] asked for is done.
    Secured { conn: ConnId, tls: Tls },
    /// A stream header arrived.
    Header {
        conn: ConnId,
        header: &'a Header<'a>,
    },
    /// A complete child of the stream arrived.
    Element { conn: ConnId, xml: Checked<'a> },
    /// White space between stanzas: a keepalive.
    Space { conn: ConnId },
    /// The peer closed its stream.
    Footer { conn: ConnId },
    /// The bytes that arrived are not XML that we take.
    Malformed { conn: ConnId, error: XmlError },
    /// The TCP connection is no more, for this reason.
    Gone { conn: ConnId, why: &'a str },
    /// The answer to [`Effect::Derive`]. Keys are in the order of the request.
    Derived { job: u64, keys: Vec<ScramKeys> },
    /// The answer to [`Effect::Commit`]: everything up to this ticket is on the disk, or could not be put there.
    Committed {
        ticket: Ticket,
        result: Result<(), StoreError>,
    },
    /// The answer to [`Effect::Read`].
    Read {
        job: u64,
        answer: Result<Answer, StoreError>,
    },
    /// A second passed.
    Tick,
    /// A request came over the control socket: one line of JSON.
    Control { call: u64, line: &'a str },
    /// The configuration was read anew.
    Reload(Box<Config>),
    /// The server shall end: streams are closed and [`Effect::Exit`] follows when nothing more waits for a commit.
    Shutdown,
}

/// What the shell does next with the connection whose input it just handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Hand in what comes next.
    Continue,
    /// The next thing must be a stream header; ask [`super::Engine::bounds`] again.
    Restart,
    /// Send what is queued, then do the TLS handshake and say [`Input::Secured`]. Bytes that already arrived behind this input end the connection (RFC 6120 §5.4.3.3).
    StartTls,
    /// Keep what follows unread until [`Effect::Resume`].
    Pause,
    /// Read no more; [`Effect::Close`] was said.
    Close,
}

/// What the engine wants done.
pub enum Effect {
    /// Bytes wait for this connection: [`super::Engine::take_output`].
    Output(ConnId),
    /// What [`Flow::Pause`] stopped goes on; with `restart`, a stream header comes next and [`super::Engine::bounds`] changed.
    Resume { conn: ConnId, restart: bool },
    /// Send what is queued, then end TLS and TCP.
    Close(ConnId),
    /// Put everything written so far on the disk and answer with [`Input::Committed`].
    Commit { ticket: Ticket },
    /// Derive SCRAM keys off-thread (PBKDF2 is slow by design) and answer with [`Input::Derived`].
    Derive {
        job: u64,
        password: Secret,
        keys: Vec<(Hash, Vec<u8>, u32)>,
    },
    /// Ask the archive's reading side and answer with [`Input::Read`]. It may wait for the disk, and commits do not wait for it.
    Read { job: u64, request: Request },
    /// One line of JSON answers a control request.
    Reply { call: u64, line: String },
    /// The server shall end, as if a signal had come: answer with [`Input::Shutdown`].
    Stop,
    /// Everything is closed and committed: leave.
    Exit,
}
