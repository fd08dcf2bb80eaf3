//! The only code that waits: listeners, TLS, one task a connection, timers, signals, systemd. It knows no XMPP: what arrived goes into the
//! engine, and what the engine wants done is done here. It never imports a feature.

mod authority;
pub mod certificate;
mod connection;
mod control;
mod der;
mod lines;
mod listener;
pub mod log;
mod memory;
mod punycode;
mod shell;
mod signals;
mod socket;
mod systemd;
mod threads;
pub mod tls;
mod turns;

use crate::config::{Config, INSTALLED_DATA};
use crate::engine::{Engine, Input, Moment, Trace};
use crate::limits;
use crate::store::Store;
use async_io::Timer;
use async_signal::Signals;
use certificate::RENEW_DAYS;
use control::ControlSocket;
use futures_lite::{FutureExt, StreamExt};
use lines::Lines;
use listener::{Door, Listener};
use shell::Shell;
use smol::channel::Receiver;
use smol::{LocalExecutor, Task};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use systemd::Watchdog;
use tls::Security;

/// How the server runs, besides its configuration.
pub struct RunOptions {
    /// Whether each stanza's way is told on stderr.
    pub trace: bool,
}

/// Makes the engine. The caller joins it to the table of features, which this layer does not know.
pub type Build = fn(Config, Store, Moment, Option<Trace>) -> Engine;

/// Runs the server until a signal ends it, or an administrator. An error is a sentence for the operator.
pub fn run(config: Config, options: RunOptions, build: Build) -> Result<(), String> {
    let started = Instant::now();
    report_panics();
    memory::give_back_big_blocks();
    let files = listener::raise_file_limit();
    threads::use_small_pages();
    let store = match config.archive.enabled {
        true => Store::open_archive_later(&config.data),
        false => Store::open_without_archive(&config.data),
    }
    .map_err(|error| error.to_string())?;
    for notice in store.notices() {
        ::log::warn!("{notice}");
    }
    let now = shell::moment(started);
    let first = config.tls.certificate.is_none() && !config.data.join("tls/cert.pem").exists();
    let (security, authority) = security(&config, now.wall_ms / 1000)?;
    let listeners = open_listeners(&config)?;
    let control = ControlSocket::open(&config.data)?;
    let (threads, answers, disk) = threads::start(store.committer(), store.archive_reader())?;
    let mut signals = signals::open()?;
    if first {
        welcome(&config, &listeners, authority.as_deref());
    }
    for listener in &listeners {
        match listener.is_for_clients() {
            true => ::log::info!("listening on {} for {}", listener.address, config.domain),
            false => ::log::info!("components connect to {}", listener.address),
        }
    }
    let data = config.data.clone();
    let engine = build(config, store, now, options.trace.then_some(Box::new(trace)));
    let (stop, stopped) = smol::channel::bounded(1);
    let (exit, left) = smol::channel::bounded(1);
    let shell = Rc::new(Shell::new(
        engine,
        Lines::new(files),
        security,
        threads,
        started,
        stop,
        exit,
    ));
    let executor = Rc::new(LocalExecutor::new());
    let doors = open_doors(&executor, &shell, control, listeners);
    keep_going(&executor, &shell, answers);
    systemd::ready();
    smol::block_on(executor.run(async {
        let told = async {
            // It is told once at most, and the shell holds a sender.
            let _ = stopped.recv().await;
        };
        signals::wait_for_end(&mut signals, &shell).or(told).await;
        say_goodbye(&shell, doors, &mut signals, &left).await;
    }));
    // The tasks hold the shell, and the shell the queues of the disk's threads: these end when they have done everything.
    drop(executor);
    let shell = Rc::into_inner(shell).ok_or("a task outlived the server; please report this")?;
    close(shell, disk, &data)
}

/// Lets clients and the command line in.
fn open_doors(
    executor: &Rc<LocalExecutor<'static>>,
    shell: &Rc<Shell>,
    control: ControlSocket,
    listeners: Vec<Listener>,
) -> Vec<Task<()>> {
    let mut doors = vec![executor.spawn(control.serve(shell.clone(), executor.clone()))];
    doors.extend(
        listeners
            .into_iter()
            .map(|listener| executor.spawn(listener.serve(shell.clone(), executor.clone()))),
    );
    doors
}

/// Begins what goes on beside all connections: turns at TLS, the threads' answers, the clock.
fn keep_going(
    executor: &Rc<LocalExecutor<'static>>,
    shell: &Rc<Shell>,
    answers: Receiver<threads::Answer>,
) {
    let served = shell.clone();
    executor
        .spawn(async move { served.turns.pace().await })
        .detach();
    let served = shell.clone();
    let hear = async move {
        while let Ok(answer) = answers.recv().await {
            served.enter_alone(answer.into());
        }
    };
    executor.spawn(hear).detach();
    // What is to be done from time to time is also done now: a new server makes its archive before anybody comes.
    shell.tick();
    executor.spawn(tick(shell.clone())).detach();
}

/// Ends in order: nobody comes in any more, and who is in is told; not for longer than the limit, or than the operator's patience.
async fn say_goodbye(
    shell: &Rc<Shell>,
    doors: Vec<Task<()>>,
    signals: &mut Signals,
    left: &Receiver<()>,
) {
    systemd::stopping();
    for door in doors {
        door.cancel().await;
    }
    shell.enter_alone(Input::Shutdown);
    let done = async { left.recv().await.is_ok() };
    let late = async {
        Timer::after(Duration::from_secs(limits::SHUTDOWN_SECONDS)).await;
        false
    };
    let again = async {
        signals::wait_for_end(signals, shell).await;
        false
    };
    if !done.or(late).or(again).await {
        ::log::warn!("did not wait for everybody to hang up");
    }
}

/// Puts what was written last on the disk, and waits for the disk's threads.
fn close(shell: Shell, disk: [JoinHandle<()>; 2], data: &Path) -> Result<(), String> {
    let committed = shell.engine.borrow().store.commit();
    drop(shell);
    let ended: Vec<_> = disk.into_iter().map(|thread| thread.join()).collect();
    committed.map_err(|error| {
        format!(
            "{}: what was written last could not be put on the disk: {error}",
            data.display()
        )
    })?;
    match ended.iter().all(|ended| ended.is_ok()) {
        true => Ok(()),
        false => {
            Err("a thread of the store failed; please report the line before this one".to_owned())
        }
    }
}

/// The operator's certificate or the local CA's, with their notices in the log, and the CA's fingerprint.
fn security(config: &Config, now: u64) -> Result<(Security, Option<String>), String> {
    let loaded = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => certificate::own(certificate, key, &config.domain, now)?,
        _ => certificate::local(&config.data.join("tls"), &config.domain, now)?,
    };
    for notice in &loaded.notices {
        ::log::warn!("{notice}");
    }
    let authority = loaded.authority.clone();
    Ok((Security::new(loaded)?, authority))
}

/// What systemd handed over, and every other port that the configuration names.
fn open_listeners(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = systemd::sockets()?
        .into_iter()
        .map(|socket| Listener::take(socket, &config.listen))
        .collect::<Result<Vec<_>, _>>()?;
    let handed: Vec<u16> = listeners
        .iter()
        .map(|listener| listener.address.port())
        .collect();
    let mut doors = vec![
        (&config.listen.c2s, Door::StartTls),
        (&config.listen.c2s_tls, Door::DirectTls),
    ];
    if !config.components.is_empty() {
        doors.push((&config.listen.components, Door::Component));
    }
    for (addresses, door) in doors {
        for address in addresses {
            // Port 0, any that is free, is nobody's.
            if address.port() == 0 || !handed.contains(&address.port()) {
                listeners.push(Listener::open(*address, door)?);
            }
        }
    }
    Ok(listeners)
}

/// What a first start says: where, whom to trust, what to type next.
fn welcome(config: &Config, listeners: &[Listener], authority: Option<&str>) {
    let ports = listeners
        .iter()
        .filter(|listener| listener.is_for_clients())
        .map(|listener| listener.address.to_string())
        .collect::<Vec<_>>()
        .join(" and ");
    let usual = crate::config::data_directory(None, Path::new(INSTALLED_DATA), |name| {
        std::env::var_os(name)
    });
    let place = if usual.as_ref() == Ok(&config.data) {
        String::new()
    } else {
        format!(" --data {}", config.data.display())
    };
    let mut told = format!("snug serves {} on {ports}.\n", config.domain);
    if let Some(fingerprint) = authority {
        told.push_str(&format!(
            "Its certificate authority has the SHA-256 fingerprint\n  {fingerprint}\n"
        ));
    }
    told.push_str(&format!(
        "Make an account, and give every client the authority:\n  snug user add NAME{place}\n  snug cert ca{place} > snug-ca.pem\n"
    ));
    // Who started it may have left; that is no reason not to serve.
    let _ = std::io::stdout().write_all(told.as_bytes());
}

/// The one clock of all deadlines. Writes nothing while nothing happens.
async fn tick(shell: Rc<Shell>) {
    let watchdog = Watchdog::from_environment();
    let mut seconds = Timer::interval(Duration::from_secs(1));
    while seconds.next().await.is_some() {
        shell.tick();
        watchdog.tick();
        renew(&shell);
    }
}

/// A server that runs for years renews its certificate on the way.
fn renew(shell: &Shell) {
    let now = shell.wall_seconds();
    if !shell.second().is_multiple_of(24 * 60 * 60)
        || shell.security.borrow().not_after > now + RENEW_DAYS * 24 * 60 * 60
    {
        return;
    }
    let config = shell.engine.borrow().config.clone();
    match security(&config, now) {
        Ok((security, _)) => *shell.security.borrow_mut() = security,
        Err(error) => ::log::error!("the certificate runs out and was not renewed: {error}"),
    }
}

fn trace(step: &str) {
    ::log::trace!(target: log::TRACE, "{step}");
}

/// A panic is a bug of snug: one line in the log that says where, also where it is caught.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        ::log::error!("bug: {}", panic.to_string().replace('\n', " "))
    }));
}

/// A directory for one test, which is removed with the value.
#[cfg(test)]
pub(crate) fn scratch_directory(name: &str) -> Scratch {
    let path = std::env::temp_dir().join(format!("snug-net-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("the directory for temporary files is writable");
    Scratch(path)
}

#[cfg(test)]
pub(crate) struct Scratch(std::path::PathBuf);

#[cfg(test)]
impl Scratch {
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
