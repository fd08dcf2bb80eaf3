//! What stands around the engine: hands in what happened, does what it wants done, and keeps the clocks.
//!
//! The engine is never borrowed across an `await`: it is entered, its effects are carried out, and it is let go.

use super::lines::{Lines, Marks};
use super::threads::Threads;
use super::tls::Security;
use super::turns::Turns;
use crate::engine::{ConnId, Effect, Engine, Flow, Input, Moment};
use crate::limits;
use crate::xml::Checker;
use smol::channel::Sender;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Everything that the tasks share. One thread runs them all.
pub struct Shell {
    /// The server itself.
    pub engine: RefCell<Engine>,
    /// All connections.
    pub lines: RefCell<Lines>,
    /// What connections read into and check with, one at a time.
    pub scratch: RefCell<Scratch>,
    /// What new connections are secured with.
    pub security: RefCell<Security>,
    /// Whose TLS handshake may begin.
    pub turns: Turns,
    /// Where commits and key derivations wait.
    pub threads: Threads,
    /// Told when the engine said [`Effect::Stop`].
    stop: Sender<()>,
    /// Told when the engine said [`Effect::Exit`].
    exit: Sender<()>,
    calls: RefCell<HashMap<u64, Sender<String>>>,
    last_call: Cell<u64>,
    started: Instant,
    clock: Cell<Moment>,
    /// Bytes that were read since stalled connections were last looked at.
    unjudged: Cell<usize>,
}

/// Buffers that no connection needs for longer than one poll.
pub struct Scratch {
    /// [`limits::SCRATCH_BYTES`] for what arrives.
    pub bytes: Box<[u8]>,
    /// The strict pass' own scratch.
    pub checker: Checker,
}

impl Shell {
    /// A shell around this engine.
    pub fn new(
        engine: Engine,
        lines: Lines,
        security: Security,
        threads: Threads,
        started: Instant,
        stop: Sender<()>,
        exit: Sender<()>,
    ) -> Shell {
        Shell {
            engine: RefCell::new(engine),
            lines: RefCell::new(lines),
            scratch: RefCell::new(Scratch {
                bytes: vec![0; limits::SCRATCH_BYTES].into(),
                checker: Checker::default(),
            }),
            security: RefCell::new(security),
            turns: Turns::default(),
            threads,
            stop,
            exit,
            calls: RefCell::new(HashMap::new()),
            last_call: Cell::new(0),
            started,
            clock: Cell::new(moment(started)),
            unjudged: Cell::new(0),
        }
    }

    /// Looks at the clocks; what enters until the next look enters at this moment.
    pub fn look_at_clock(&self) {
        self.clock.set(moment(self.started));
    }

    /// Seconds of the clock that never runs backwards.
    pub fn second(&self) -> u32 {
        u32::try_from(self.clock.get().mono_ms / 1000).unwrap_or(u32::MAX)
    }

    /// Seconds since 1970 by the wall clock.
    pub fn wall_seconds(&self) -> u64 {
        self.clock.get().wall_ms / 1000
    }

    /// Enters the engine from the task of `own`, and does what it wants done.
    pub fn enter(&self, own: ConnId, input: Input<'_>) -> Flow {
        let mut engine = self.engine.borrow_mut();
        let flow = engine.enter(self.clock.get(), input);
        self.perform(&mut engine, Some(own));
        flow
    }

    /// Enters the engine from where no connection's task is. A bug behind it ends what it did, with a line in the log, and nothing else.
    pub fn enter_alone(&self, input: Input<'_>) {
        self.look_at_clock();
        let entered = catch_unwind(AssertUnwindSafe(|| {
            let mut engine = self.engine.borrow_mut();
            engine.enter(self.clock.get(), input);
            self.perform(&mut engine, None);
        }));
        if entered.is_err() {
            log::error!(
                "a bug of snug was caught while no connection was served; please report the line before this one"
            );
        }
    }

    /// Hands in a control request; the answer comes through the sender.
    pub fn call(&self, line: &str, answer: Sender<String>) -> u64 {
        let call = self.last_call.get() + 1;
        self.last_call.set(call);
        self.calls.borrow_mut().insert(call, answer);
        self.enter_alone(Input::Control { call, line });
        call
    }

    /// Nobody waits for this answer any more.
    pub fn hang_up(&self, call: u64) {
        self.calls.borrow_mut().remove(&call);
    }

    /// Counts what was read. What one sends can reach all others, so the queues of those who do not read are looked at as the bytes come.
    pub fn count_read(&self, bytes: usize) {
        let unjudged = self.unjudged.get() + bytes;
        if unjudged < limits::OUT_CHECK_BYTES {
            self.unjudged.set(unjudged);
            return;
        }
        self.judge_stalled();
    }

    /// A second passed.
    pub fn tick(&self) {
        self.enter_alone(Input::Tick);
        self.lines.borrow_mut().tick(self.second());
        self.judge_stalled();
        self.threads.tend();
    }

    fn judge_stalled(&self) {
        self.unjudged.set(0);
        let engine = self.engine.borrow();
        self.lines
            .borrow_mut()
            .judge_stalled(|conn| engine.queued(conn));
    }

    fn perform(&self, engine: &mut Engine, own: Option<ConnId>) {
        while let Some(effect) = engine.effects() {
            match effect {
                Effect::Output(conn) => self.mark(conn, own, |marks| marks.output = true),
                Effect::Resume { conn, restart } => self.mark(conn, own, |marks| {
                    marks.resume = true;
                    marks.restart |= restart;
                }),
                Effect::Close(conn) => self.mark(conn, own, |marks| marks.close = true),
                Effect::Commit { ticket } => self.threads.commit(ticket),
                Effect::Derive {
                    job,
                    password,
                    keys,
                } => self.threads.derive(job, password, keys),
                Effect::Read { job, request } => self.threads.read(job, request),
                Effect::Reply { call, line } => {
                    if let Some(answer) = self.calls.borrow_mut().remove(&call) {
                        // There is room for the one answer; without a receiver nobody wants it.
                        let _ = answer.try_send(line);
                    }
                }
                Effect::Stop => {
                    let _ = self.stop.try_send(());
                }
                Effect::Exit => {
                    // One message is enough.
                    let _ = self.exit.try_send(());
                }
            }
        }
    }

    fn mark(&self, conn: ConnId, own: Option<ConnId>, mark: impl FnOnce(&mut Marks)) {
        let mut lines = self.lines.borrow_mut();
        if own == Some(conn) {
            lines.mark_own(conn, mark)
        } else {
            lines.mark(conn, mark)
        }
    }
}

/// What the clocks say.
pub fn moment(started: Instant) -> Moment {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let milliseconds =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Moment {
        wall_ms: milliseconds(wall),
        mono_ms: milliseconds(started.elapsed()),
    }
}
