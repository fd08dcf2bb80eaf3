//! The control socket: whoever may open it is the operator. One line of JSON in, one line out.

use super::shell::Shell;
use crate::limits;
use async_io::Timer;
use async_net::unix::{UnixListener, UnixStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use smol::LocalExecutor;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// The listening end; the socket goes with it.
pub struct ControlSocket {
    socket: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens on `control.sock` in the data directory. One that a killed server left is replaced: that no other server runs is what the store's lock says.
    pub fn open(data: &Path) -> Result<ControlSocket, String> {
        let path = data.join("control.sock");
        // Nobody can connect before the mode is right: the name comes last.
        let new = data.join("control.new");
        let opened = (|| {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let socket = UnixListener::bind(&new)?;
            fs::set_permissions(&new, Permissions::from_mode(0o600))?;
            fs::rename(&new, &path)?;
            Ok(socket)
        })();
        match opened {
            Ok(socket) => Ok(ControlSocket { socket, path }),
            Err(error) if error.kind() == ErrorKind::InvalidInput => Err(format!(
                "{} is too long a path for a socket: choose a data directory with a shorter path (at most 90 bytes) with --data",
                path.display()
            )),
            Err(error) => Err(format!(
                "cannot make the control socket {}: {error}",
                path.display()
            )),
        }
    }

    /// Takes requests until it is dropped.
    pub async fn serve<'a>(self, shell: Rc<Shell>, executor: Rc<LocalExecutor<'a>>) {
        let (done, room) = smol::channel::bounded(limits::CONTROL_CALLS);
        for _ in 0..limits::CONTROL_CALLS {
            // There is room for all of them.
            let _ = done.try_send(());
        }
        loop {
            // It never ends: this side holds a sender.
            let _ = room.recv().await;
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let (shell, done) = (shell.clone(), done.clone());
                    let call = async move {
                        if let Err(error) = converse(&shell, stream).await {
                            log::debug!("control socket: {error}");
                        }
                        let _ = done.try_send(());
                    };
                    executor.spawn(call).detach();
                }
                Err(error) => {
                    log::warn!("the control socket takes no request: {error}");
                    let _ = done.try_send(());
                    Timer::after(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Who finds none knows at once that nothing runs.
        let _ = fs::remove_file(&self.path);
    }
}

async fn converse(shell: &Shell, mut stream: UnixStream) -> io::Result<()> {
    let line = read_line(&mut stream).or(late()).await?;
    let (answer, answered) = smol::channel::bounded(1);
    let call = shell.call(&line, answer);
    let answer = async {
        answered
            .recv()
            .await
            .map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
    }
    .or(late())
    .await;
    shell.hang_up(call);
    let mut answer = answer?;
    answer.push('\n');
    stream.write_all(answer.as_bytes()).or(late()).await?;
    stream.close().await
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut part = [0; 4096];
    loop {
        let length = stream.read(&mut part).await?;
        let end = memchr::memchr(b'\n', &part[..length]);
        line.extend_from_slice(&part[..end.unwrap_or(length)]);
        if end.is_some() {
            return String::from_utf8(line)
                .map_err(|_| io::Error::new(ErrorKind::InvalidData, "a request is UTF-8"));
        }
        if length == 0 || line.len() > limits::CONTROL_LINE_BYTES {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "a request is one line and not too long",
            ));
        }
    }
}

async fn late<T>() -> io::Result<T> {
    Timer::after(Duration::from_secs(limits::CONTROL_SECONDS)).await;
    Err(ErrorKind::TimedOut.into())
}
