//! One connection: a single task that polls both directions, from the first byte to the last.

use super::listener::Door;
use super::shell::Shell;
use super::socket::{Socket, Wire};
use crate::engine::{ConnId, Flow, Input};
use crate::limits;
use crate::xml::{Bounds, Checker, Event, Next, Reader};
use futures_rustls::rustls::{AlertDescription, Error as TlsError};
use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The task of one connection. It is done when the connection is no more.
pub struct Connection {
    shell: Rc<Shell>,
    conn: ConnId,
    peer: IpAddr,
    wire: Wire,
    reader: Reader,
    /// What was taken from the engine and is being written; without capacity while idle.
    out: Vec<u8>,
    /// How much of it the wire has.
    written: usize,
    phase: Phase,
    /// The engine wants nothing from this peer for now.
    paused: bool,
    /// The peer did not take all that was written.
    stalled: bool,
    /// Half a stanza is kept, and the table knows it.
    holds: bool,
    /// The engine knows this connection. On the direct TLS port only once its handshake is done.
    known: bool,
    /// It is a component's (XEP-0114).
    is_component: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Accepted on a port where TLS does not come first; the engine does not know it yet.
    Arrived,
    /// Everything before STARTTLS is written, then TLS begins.
    Starting,
    /// The peer's first bytes of TLS are waited for.
    Greeting,
    /// They are here; its turn is waited for.
    Queued,
    /// The handshake goes on.
    Securing,
    /// The stream runs.
    Open,
    /// The stream is over; what is queued is written, then our side is closed.
    Farewell,
    /// The peer's side is waited for.
    Lingering,
}

/// Why a connection was lost, for the log.
type Why = Cow<'static, str>;

impl Connection {
    /// The task of a connection that was admitted through this door.
    pub fn new(
        shell: Rc<Shell>,
        conn: ConnId,
        peer: IpAddr,
        socket: Socket,
        door: Door,
    ) -> Connection {
        Connection {
            shell,
            conn,
            peer,
            wire: Wire::Plain(socket),
            reader: Reader::new(Bounds::BEFORE_LOGIN),
            out: Vec::new(),
            written: 0,
            phase: match door {
                Door::DirectTls => Phase::Starting,
                Door::StartTls | Door::Component => Phase::Arrived,
            },
            paused: false,
            stalled: false,
            holds: false,
            known: false,
            is_component: door == Door::Component,
        }
    }

    /// Goes as far as it can without waiting; ready when the connection is no more.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Why>> {
        let mut budget = limits::SCRATCH_BYTES;
        loop {
            let marks = self.shell.lines.borrow_mut().take_marks(self.conn);
            if marks.too_slow {
                return Poll::Ready(Err("it takes too slowly what it is sent".into()));
            }
            if marks.too_long {
                return Poll::Ready(Err("it holds too much memory with half a stanza".into()));
            }
            if marks.due {
                return Poll::Ready(self.late());
            }
            if marks.close {
                self.say_farewell()?;
            }
            if marks.resume && self.phase == Phase::Open {
                self.resume(marks.restart)?;
                continue;
            }
            match self.phase {
                Phase::Arrived => {
                    self.known = true;
                    self.phase = Phase::Open;
                    let (conn, peer) = (self.conn, self.peer);
                    let input = match self.is_component {
                        true => Input::Component { conn, peer },
                        false => Input::Accepted {
                            conn,
                            peer,
                            tls: None,
                        },
                    };
                    self.shell.enter(conn, input);
                }
                Phase::Starting => {
                    ready!(self.poll_drain(cx))?;
                    self.set_deadline(limits::HANDSHAKE_SECONDS);
                    self.phase = Phase::Greeting;
                }
                Phase::Greeting => {
                    ready!(self.wire.poll_readable(cx)).map_err(lost)?;
                    self.set_deadline(limits::TURN_SECONDS);
                    self.phase = Phase::Queued;
                }
                Phase::Queued => {
                    ready!(self.shell.turns.poll_take(cx));
                    let security = self.shell.security.borrow();
                    self.wire.secure(if self.known {
                        security.starttls.clone()
                    } else {
                        security.direct.clone()
                    });
                    drop(security);
                    self.set_deadline(limits::HANDSHAKE_SECONDS);
                    self.phase = Phase::Securing;
                }
                Phase::Securing => {
                    ready!(self.wire.poll_handshake(cx)).map_err(|error| self.refused(error))?;
                    self.secured();
                }
                Phase::Open => {
                    let drained = self.poll_drain(cx)?.is_ready();
                    if self.paused || (!drained && self.backlog() > limits::OUT_PAUSE_BYTES) {
                        return Poll::Pending;
                    }
                    if budget == 0 {
                        // Whoever else is runnable comes first.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    budget = budget.saturating_sub(ready!(self.poll_take_in(cx))?);
                }
                Phase::Farewell => {
                    ready!(self.poll_drain(cx))?;
                    ready!(self.wire.poll_close(cx)).map_err(lost)?;
                    self.set_deadline(limits::CLOSE_SECONDS);
                    self.phase = Phase::Lingering;
                }
                Phase::Lingering => {
                    if budget == 0 {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    let mut scratch = self.shell.scratch.borrow_mut();
                    let read = ready!(self.wire.poll_fill(cx, &mut scratch.bytes));
                    // What it still says is not heard; that it says nothing more is what was waited for.
                    match read {
                        Ok(0) | Err(_) => return Poll::Ready(Ok(())),
                        Ok(bytes) => budget = budget.saturating_sub(bytes),
                    }
                }
            }
        }
    }

    /// Writes what was taken from the engine and takes the next, until the kernel has everything.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Why>> {
        loop {
            let written = if self.written < self.out.len() {
                self.wire.poll_write(cx, &self.out[self.written..])
            } else {
                self.wire.poll_flush(cx).map_ok(|()| 0)
            };
            let Poll::Ready(written) = written else {
                self.stalled = true;
                let progress = self.wire.took_bytes();
                self.shell
                    .lines
                    .borrow_mut()
                    .stall(self.conn, self.shell.second(), progress);
                return Poll::Pending;
            };
            self.written += written.map_err(lost)?;
            if self.written < self.out.len() {
                continue;
            }
            let mut engine = self.shell.engine.borrow_mut();
            self.written = 0;
            engine.recycle(std::mem::take(&mut self.out));
            self.out = engine.take_output(self.conn);
            if self.out.is_empty() {
                if std::mem::take(&mut self.stalled) {
                    self.shell.lines.borrow_mut().flowing(self.conn);
                }
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Bytes on their way to this peer.
    fn backlog(&self) -> usize {
        self.out.len() - self.written + self.shell.engine.borrow().queued(self.conn)
    }

    /// Reads what is there and hands it in; ready with its bytes.
    fn poll_take_in(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Why>> {
        let shell = self.shell.clone();
        let mut scratch = shell.scratch.borrow_mut();
        let scratch = &mut *scratch;
        let read = ready!(self.wire.poll_fill(cx, &mut scratch.bytes)).map_err(lost)?;
        if read == 0 {
            return Poll::Ready(Err("the peer closed the connection".into()));
        }
        shell.count_read(read);
        self.feed(&scratch.bytes[..read], &mut scratch.checker)?;
        Poll::Ready(Ok(read))
    }

    /// Hands in what is in these bytes and in what was kept, until the engine wants it otherwise.
    fn feed(&mut self, fresh: &[u8], checker: &mut Checker) -> Result<(), Why> {
        let Connection {
            shell,
            conn,
            reader,
            ..
        } = self;
        let conn = *conn;
        let (mut last, mut restarted) = (Flow::Continue, false);
        let read = reader.read(fresh, checker, &mut |event| {
            last = match event {
                Event::Header(header) => shell.enter(
                    conn,
                    Input::Header {
                        conn,
                        header: &header,
                    },
                ),
                Event::Element(xml) => shell.enter(conn, Input::Element { conn, xml }),
                Event::Space => shell.enter(conn, Input::Space { conn }),
                Event::Footer => shell.enter(conn, Input::Footer { conn }),
            };
            match last {
                Flow::Continue => Next::Continue,
                Flow::Restart => {
                    restarted = true;
                    Next::Restart
                }
                Flow::StartTls | Flow::Pause | Flow::Close => Next::Stop,
            }
        });
        if let Err(error) = read {
            last = shell.enter(conn, Input::Malformed { conn, error });
        }
        if restarted {
            self.apply_bounds();
        }
        let pending = self.reader.pending();
        if pending > 0 || self.holds {
            self.holds = pending > 0;
            self.shell.lines.borrow_mut().hold(self.conn, pending);
        }
        match last {
            Flow::Continue | Flow::Restart => Ok(()),
            Flow::Pause => {
                self.paused = true;
                Ok(())
            }
            // RFC 6120 §5.4.3.3: what came in the clear behind it is not part of what TLS protects.
            Flow::StartTls if self.reader.pending() > 0 => {
                Err("it sent more behind <starttls/>".into())
            }
            Flow::StartTls => {
                self.phase = Phase::Starting;
                Ok(())
            }
            Flow::Close => self.say_farewell(),
        }
    }

    /// Goes on after a pause.
    fn resume(&mut self, restart: bool) -> Result<(), Why> {
        self.paused = false;
        // What it waited for may have been that it is let in.
        self.apply_bounds();
        if restart {
            if self.reader.pending() > 0 {
                // RFC 6120 §6.4.6: the next thing is a stream header, after our answer and not before it.
                return Err("it sent more before its login was answered".into());
            }
            self.reader = Reader::new(Bounds::BEFORE_LOGIN);
            self.apply_bounds();
        }
        let shell = self.shell.clone();
        self.feed(&[], &mut shell.scratch.borrow_mut().checker)
    }

    /// The handshake is done.
    fn secured(&mut self) {
        let Wire::Secure(stream) = &self.wire else {
            return;
        };
        let tls = self.shell.security.borrow().describe(stream.get_ref().1);
        self.shell.lines.borrow_mut().set_deadline(self.conn, 0);
        self.phase = Phase::Open;
        if self.known {
            self.shell.enter(
                self.conn,
                Input::Secured {
                    conn: self.conn,
                    tls,
                },
            );
        } else {
            self.known = true;
            self.shell.enter(
                self.conn,
                Input::Accepted {
                    conn: self.conn,
                    peer: self.peer,
                    tls: Some(tls),
                },
            );
        }
        // A new stream: nothing of the old one holds (RFC 6120 §5.4.3.3).
        self.reader = Reader::new(Bounds::BEFORE_LOGIN);
        self.apply_bounds();
    }

    /// Other bounds hold after a login, and the connection counts as a stranger's no more.
    fn apply_bounds(&mut self) {
        let bounds = self.shell.engine.borrow().bounds(self.conn);
        if bounds.bytes > Bounds::BEFORE_LOGIN.bytes {
            self.shell.lines.borrow_mut().logged_in(self.conn);
        }
        self.reader.set_bounds(bounds);
    }

    /// The stream is over: write what is queued, then close.
    fn say_farewell(&mut self) -> Result<(), Why> {
        match self.phase {
            Phase::Arrived | Phase::Open => {
                self.phase = Phase::Farewell;
                self.paused = false;
                self.reader = Reader::new(Bounds::BEFORE_LOGIN);
                self.set_deadline(limits::FAREWELL_SECONDS);
                Ok(())
            }
            Phase::Farewell | Phase::Lingering => Ok(()),
            // What is queued may only be said under TLS, and that is not there yet.
            Phase::Starting | Phase::Greeting | Phase::Queued | Phase::Securing => {
                Err("its stream ended during the TLS handshake".into())
            }
        }
    }

    /// Why there was no handshake. That a client does not know the CA is what most people meet first: the operator is told.
    fn refused(&self, error: io::Error) -> Why {
        use AlertDescription::{BadCertificate, CertificateUnknown, UnknownCA};
        let alert = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<TlsError>());
        if let Some(TlsError::AlertReceived(UnknownCA | BadCertificate | CertificateUnknown)) =
            alert
        {
            log::info!(
                "{} does not trust the certificate: give that client what `snug cert ca` prints",
                self.peer
            );
        }
        format!("no TLS handshake: {error}").into()
    }

    /// The deadline of this phase has come.
    fn late(&self) -> Result<(), Why> {
        match self.phase {
            Phase::Lingering => Ok(()),
            Phase::Farewell => Err("it did not take the end of its stream".into()),
            _ => Err("the TLS handshake took too long".into()),
        }
    }

    fn set_deadline(&self, seconds: u32) {
        self.shell
            .lines
            .borrow_mut()
            .set_deadline(self.conn, self.shell.second() + seconds);
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.shell.look_at_clock();
        this.shell.lines.borrow_mut().attend(this.conn, cx.waker());
        // A bug that one peer finds must not end everybody's chat.
        let why = match catch_unwind(AssertUnwindSafe(|| this.advance(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => Cow::Borrowed("its stream was closed"),
            Ok(Poll::Ready(Err(why))) => why,
            Err(_) => {
                log::error!(
                    "a bug of snug ended the connection from {}; please report the line before this one",
                    this.peer
                );
                Cow::Borrowed("a bug of snug")
            }
        };
        log::debug!("connection from {}: {why}", this.peer);
        if this.known {
            this.shell.enter_alone(Input::Gone {
                conn: this.conn,
                why: &why,
            });
        }
        this.shell.lines.borrow_mut().remove(this.conn);
        Poll::Ready(())
    }
}

/// Why the connection was lost.
fn lost(error: io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the peer closed the connection without closing TLS".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the peer is gone".into(),
        _ => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ten thousand idle connections cost besides what TLS and the engine keep. Change it knowingly.
    #[test]
    fn an_idle_task_is_small() {
        let task = size_of::<Connection>();
        println!(
            "task {task} bytes, of it the reader {}",
            size_of::<Reader>()
        );
        assert!(task <= 256, "{task}");
    }
}
