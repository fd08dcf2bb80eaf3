//! What systemd is told, where it started the server (sd_notify(3)), and the sockets that it hands over (sd_listen_fds(3)); elsewhere these do nothing.

use sd_notify::NotifyState;
use std::cell::Cell;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The watchdog, as often as systemd wants to hear from it.
pub struct Watchdog {
    interval: Option<Duration>,
    last: Cell<Instant>,
}

/// The sockets that systemd listened on before it started the server (`snug.socket`). To be asked once.
pub fn sockets() -> Result<Vec<TcpListener>, String> {
    let handed = sd_notify::listen_fds()
        .map_err(|error| format!("the sockets from systemd cannot be taken: {error}"))?;
    Ok(handed
        .map(|number| {
            // SAFETY: systemd opened these for this process (the variable LISTEN_PID names it), nothing else here knows of them, and nobody asks twice.
            let socket = unsafe { OwnedFd::from_raw_fd(number) };
            TcpListener::from(socket)
        })
        .collect())
}

/// Everything listens.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is read anew; [`ready`] follows.
pub fn reloading() {
    // systemd wants to know which of two reloads a later READY=1 belongs to.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The end begins.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

impl Watchdog {
    /// What the unit's `WatchdogSec=` says.
    pub fn from_environment() -> Watchdog {
        // Twice in the time that systemd allows (sd_watchdog_enabled(3)).
        Watchdog {
            interval: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            last: Cell::new(Instant::now()),
        }
    }

    /// Says that the server lives. Comes from the executor that serves connections: when that one hangs, systemd hears nothing.
    pub fn tick(&self) {
        // The next tick could be too late.
        let due =
            |interval: Duration| self.last.get().elapsed() + Duration::from_secs(1) >= interval;
        if self.interval.is_some_and(due) {
            self.last.set(Instant::now());
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("systemd cannot be told how it goes: {error}");
    }
}
