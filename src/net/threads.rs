//! What would hold up the only thread: the disk, and keys that are slow to derive by design.
//!
//! The disk has two threads: storage, for commits and what belongs to them, and reading, for the archive. Opening an old volume takes its time, and no commit
//! waits for it.

use crate::auth::{Hash, ScramKeys, Secret};
use crate::engine::Input;
use crate::limits;
use crate::store::archive::{self, Request};
use crate::store::{ArchiveReader, Committer, StoreError, Ticket};
use smol::channel::{Receiver, Sender, unbounded};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The threads, as the shell sees them.
pub struct Threads {
    storage: mpsc::Sender<Chore>,
    reading: mpsc::Sender<Read>,
    derive: Sender<Derivation>,
    committer: Committer,
    recovered: Cell<Instant>,
    backed_up: Cell<Instant>,
}

/// The threads, what they have done, and those of the disk, to be joined.
pub type Started = (Threads, Receiver<Answer>, [JoinHandle<()>; 2]);

/// What a thread has done.
pub enum Answer {
    /// Everything up to the ticket is on the disk, or could not be put there.
    Committed {
        ticket: Ticket,
        result: Result<(), StoreError>,
    },
    /// The keys of a job.
    Derived { job: u64, keys: Vec<ScramKeys> },
    /// What the archive answers.
    Read {
        job: u64,
        answer: Result<archive::Answer, StoreError>,
    },
}

impl From<Answer> for Input<'_> {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Committed { ticket, result } => Input::Committed { ticket, result },
            Answer::Derived { job, keys } => Input::Derived { job, keys },
            Answer::Read { job, answer } => Input::Read { job, answer },
        }
    }
}

enum Chore {
    Commit { ticket: Ticket },
    Recover,
    Backup,
}

struct Read {
    job: u64,
    request: Request,
}

struct Derivation {
    job: u64,
    password: Secret,
    keys: Vec<(Hash, Vec<u8>, u32)>,
}

/// Between two tries to get a failed store well.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(5);
/// Between two backups; one without changes writes nothing.
const BACKUP_INTERVAL: Duration = Duration::from_secs(limits::BACKUP_INTERVAL_HOURS * 60 * 60);

/// Starts the threads. What they have done comes through the receiver; those of the disk end when [`Threads`] is dropped and everything is done.
pub fn start(committer: Committer, reader: ArchiveReader) -> Result<Started, String> {
    let (answers, receiver) = unbounded();
    let (storage, chores) = mpsc::channel();
    let (reading, reads) = mpsc::channel();
    let (derive, derivations) = unbounded::<Derivation>();
    let cannot = |error: std::io::Error| format!("cannot start a thread: {error}");
    for _ in 0..limits::DERIVE_THREADS {
        let (derivations, answers) = (derivations.clone(), answers.clone());
        let work = move || {
            while let Ok(derivation) = derivations.recv_blocking() {
                if answers.send_blocking(derivation.done()).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("derive".to_owned())
            .stack_size(256 * 1024)
            .spawn(work)
            .map_err(cannot)?;
    }
    let shown = answers.clone();
    let read_all = move || read(reader, &reads, &shown);
    let reader = thread::Builder::new()
        .name("reading".to_owned())
        .spawn(read_all)
        .map_err(cannot)?;
    let on_disk = committer.clone();
    let work = move || {
        while let Ok(first) = chores.recv() {
            store(&on_disk, first, &chores, &answers);
        }
    };
    let storing = thread::Builder::new()
        .name("storage".to_owned())
        .spawn(work)
        .map_err(cannot)?;
    let now = Instant::now();
    let threads = Threads {
        storage,
        reading,
        derive,
        committer,
        recovered: Cell::new(now),
        backed_up: Cell::new(now),
    };
    Ok((threads, receiver, [storing, reader]))
}

/// Asks for pages of the usual size. Where the kernel puts huge ones under every big allocation, as Debian's for ARM does, what sled reserves and
/// never touches is in RAM: 33 MB for an idle server where 7 do. A kernel that knows no huge pages refuses, and has none.
pub fn use_small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

impl Threads {
    /// Asks for a commit of everything up to here.
    pub fn commit(&self, ticket: Ticket) {
        self.send(Chore::Commit { ticket });
    }

    /// Asks for keys.
    pub fn derive(&self, job: u64, password: Secret, keys: Vec<(Hash, Vec<u8>, u32)>) {
        // The queue has no bound and the threads end after this sender only.
        let _ = self.derive.try_send(Derivation {
            job,
            password,
            keys,
        });
    }

    /// Asks the archive.
    pub fn read(&self, job: u64, request: Request) {
        // The reading thread ends after this sender only.
        let _ = self.reading.send(Read { job, request });
    }

    /// Looks after the store: once a second, without a system call while it is well.
    pub fn tend(&self) {
        if self.committer.is_ailing() && self.recovered.get().elapsed() >= RECOVERY_INTERVAL {
            self.recovered.set(Instant::now());
            self.send(Chore::Recover);
        }
        if self.backed_up.get().elapsed() >= BACKUP_INTERVAL {
            self.backed_up.set(Instant::now());
            self.send(Chore::Backup);
        }
    }

    fn send(&self, chore: Chore) {
        // The storage thread ends after this sender only.
        let _ = self.storage.send(chore);
    }
}

/// Does one chore, and with a commit all commits that wait: they are one. While the disk works the next group gathers.
fn store(
    committer: &Committer,
    first: Chore,
    chores: &mpsc::Receiver<Chore>,
    answers: &Sender<Answer>,
) {
    let mut next = Some(first);
    while let Some(chore) = next.take() {
        match chore {
            Chore::Commit { mut ticket } => {
                while let Ok(behind) = chores.try_recv() {
                    match behind {
                        Chore::Commit { ticket: later } => ticket = ticket.max(later),
                        other => {
                            next = Some(other);
                            break;
                        }
                    }
                }
                // sled has panicked on damaged pages before; who waits for this commit must hear that it is not done.
                let result = catch_unwind(AssertUnwindSafe(|| committer.commit(ticket).map(drop)))
                    .unwrap_or_else(|_| {
                        Err(StoreError::Broken(
                            "the store failed while writing".to_owned(),
                        ))
                    });
                // Without a receiver the server is gone, but the commit is done.
                let _ = answers.send_blocking(Answer::Committed { ticket, result });
            }
            Chore::Recover => {
                if let Err(error) = committer.recover() {
                    log::error!("the store is still not well: {error}");
                }
            }
            Chore::Backup => match committer.backup() {
                Ok(crate::store::Backup::Written { records, bytes }) => {
                    log::info!("backup of the store: {records} records, {bytes} bytes")
                }
                Ok(crate::store::Backup::Unchanged) => {}
                Err(error) => log::error!("no backup of the store was written: {error}"),
            },
        }
    }
}

/// Between two looks at volumes that nobody reads in any more.
const TEND_INTERVAL: Duration = Duration::from_secs(10);

/// Answers what the archive is asked, one after the other.
fn read(mut reader: ArchiveReader, reads: &mpsc::Receiver<Read>, answers: &Sender<Answer>) {
    loop {
        let next = match reader.has_open() {
            // A thread with nothing to close sleeps.
            false => reads
                .recv()
                .map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            true => reads.recv_timeout(TEND_INTERVAL),
        };
        match next {
            Ok(Read { job, request }) => {
                let answer = catch_unwind(AssertUnwindSafe(|| reader.answer(request)))
                    .unwrap_or_else(|_| {
                        Err(StoreError::Broken(
                            "the archive failed while reading".to_owned(),
                        ))
                    });
                // Without a receiver the server is gone, and who asked with it.
                if answers.send_blocking(Answer::Read { job, answer }).is_err() {
                    return;
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        reader.tend();
    }
}

impl Derivation {
    /// No keys where the password cannot be prepared: who asked for them sees that there are too few.
    fn done(self) -> Answer {
        let derive = || -> Option<Vec<ScramKeys>> {
            let password = std::str::from_utf8(self.password.expose()).ok()?;
            self.keys
                .iter()
                .map(|(hash, salt, iterations)| {
                    ScramKeys::derive(*hash, password, salt, *iterations).ok()
                })
                .collect()
        };
        Answer::Derived {
            job: self.job,
            keys: derive().unwrap_or_default(),
        }
    }
}
