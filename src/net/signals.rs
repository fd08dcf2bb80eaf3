//! Signals: an orderly end, and a configuration that is read anew.

use super::shell::Shell;
use super::{log, security, systemd};
use crate::engine::Input;
use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use std::rc::Rc;

/// Waits for signals; from here on they do not end the process by themselves.
pub fn open() -> Result<Signals, String> {
    Signals::new([Signal::Term, Signal::Int, Signal::Hup])
        .map_err(|error| format!("cannot wait for signals: {error}"))
}

/// Reloads at each SIGHUP, until a signal to end comes.
pub async fn wait_for_end(signals: &mut Signals, shell: &Rc<Shell>) {
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Hup) => reload(shell),
            Ok(Signal::Term) => return ::log::info!("SIGTERM: the server ends"),
            Ok(_) => return ::log::info!("interrupted: the server ends"),
            Err(error) => ::log::warn!("a signal was missed: {error}"),
        }
    }
}

/// Reads configuration and certificate again; what is wrong stays as it was.
fn reload(shell: &Rc<Shell>) {
    systemd::reloading();
    shell.look_at_clock();
    let present = shell.engine.borrow().config.clone();
    match present.reload() {
        Ok(reload) => {
            ::log::info!(
                "read the configuration again: {}",
                if reload.changed.is_empty() {
                    "nothing changed".to_owned()
                } else {
                    format!("{} changed", reload.changed.join(", "))
                }
            );
            if !reload.restart.is_empty() {
                ::log::warn!(
                    "{} changed too, which needs a restart",
                    reload.restart.join(", ")
                );
            }
            if present.components.is_empty() && !reload.config.components.is_empty() {
                ::log::warn!("there is a first component, whose port opens with a restart");
            }
            log::set_level(reload.config.log.level);
            shell.enter_alone(Input::Reload(Box::new(reload.config)));
        }
        Err(error) => ::log::error!("the configuration stays as it was: {error}"),
    }
    let config = shell.engine.borrow().config.clone();
    match security(&config, shell.wall_seconds()) {
        Ok((security, _)) => *shell.security.borrow_mut() = security,
        Err(error) => ::log::error!("the certificate stays as it was: {error}"),
    }
    systemd::ready();
}
