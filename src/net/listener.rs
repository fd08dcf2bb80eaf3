//! The ports: connections come in, as many as there is room for.

use super::connection::Connection;
use super::lines::Refusal;
use super::shell::Shell;
use super::socket::Socket;
use crate::config::Listen;
use crate::limits;
use async_io::{Async, Timer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::LocalExecutor;
use socket2::{Domain, Protocol, Type};
use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What comes in through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Clients that begin in plain text (RFC 6120 §5).
    StartTls,
    /// Clients that begin with TLS (XEP-0368).
    DirectTls,
    /// Components (XEP-0114).
    Component,
}

/// One port.
pub struct Listener {
    socket: Async<TcpListener>,
    door: Door,
    /// Where it listens.
    pub address: SocketAddr,
}

/// After an error that another try cannot change at once, as used up file descriptors.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections that are accepted before everybody else who is runnable has a turn.
const ACCEPTED_AT_ONCE: usize = 16;

impl Listener {
    /// Listens there. `[::]` takes IPv4 too, and becomes `0.0.0.0` where the system has no IPv6.
    pub fn open(address: SocketAddr, door: Door) -> Result<Listener, String> {
        let opened = match bind(address) {
            Err(error) if address.ip().is_unspecified() && address.is_ipv6() && no_ipv6(&error) => {
                bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
            }
            opened => opened,
        };
        let listening = opened.and_then(|socket| {
            Ok(Listener {
                address: socket.get_ref().local_addr()?,
                socket,
                door,
            })
        });
        listening.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("cannot listen on {address}: something else listens there, another snug or another XMPP server; stop it, or choose other ports in the [listen] section of snug.toml")
            }
            io::ErrorKind::AddrNotAvailable => format!("cannot listen on {address}: this machine has no such address; see the [listen] section of snug.toml"),
            io::ErrorKind::PermissionDenied => format!("cannot listen on {address}: ports below 1024 need a right that snug does not have; choose another in the [listen] section of snug.toml"),
            _ => format!("cannot listen on {address}: {error}; see the [listen] section of snug.toml"),
        })
    }

    /// Takes over a socket that listens already. Which kind of port it is, the configuration says by its number.
    pub fn take(socket: TcpListener, listen: &Listen) -> Result<Listener, String> {
        let address = socket.local_addr().map_err(|error| {
            format!("a socket from systemd is no TCP port ({error}); name only ports in ListenStream= of snug.socket")
        })?;
        let names =
            |addresses: &[SocketAddr]| addresses.iter().any(|named| named.port() == address.port());
        let door = match () {
            () if names(&listen.c2s_tls) => Door::DirectTls,
            () if names(&listen.c2s) => Door::StartTls,
            () if names(&listen.components) => Door::Component,
            () => {
                return Err(format!(
                    "systemd handed over port {}, which snug.toml does not have; name it in listen.c2s (STARTTLS), listen.c2s_tls (direct TLS) or listen.components, or take it out of snug.socket",
                    address.port()
                ));
            }
        };
        let socket = Async::new(socket).map_err(|error| {
            format!("cannot serve {address}, which systemd handed over: {error}")
        })?;
        Ok(Listener {
            socket,
            door,
            address,
        })
    }

    /// Whether clients connect there.
    pub fn is_for_clients(&self) -> bool {
        self.door != Door::Component
    }

    /// Lets connections in until it is dropped.
    pub async fn serve<'a>(self, shell: Rc<Shell>, executor: Rc<LocalExecutor<'a>>) {
        let complaints = Complaints::default();
        for accepted in 1_usize.. {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if let Err(reason) =
                        self.admit(&shell, &executor, stream, peer.ip().to_canonical())
                    {
                        complaints.say(|| reason);
                    }
                }
                // The peer was gone before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    complaints
                        .say(|| format!("cannot accept connections on {}: {error}", self.address));
                    Timer::after(PAUSE).await;
                }
            }
            if accepted.is_multiple_of(ACCEPTED_AT_ONCE) {
                futures_lite::future::yield_now().await;
            }
        }
    }

    /// Starts the connection's task; otherwise says why the connection was closed at once.
    fn admit<'a>(
        &self,
        shell: &Rc<Shell>,
        executor: &LocalExecutor<'a>,
        stream: Async<TcpStream>,
        peer: IpAddr,
    ) -> Result<(), String> {
        shell.look_at_clock();
        let limits = shell.engine.borrow().config.limits.clone();
        let conn = shell.lines.borrow_mut().admit(peer, limits.connections_per_address, limits.connection_rate).map_err(|refusal| {
            match refusal {
                Refusal::AddressFull => format!("refused {peer}: it has {} connections that have not logged in (limits.connections_per_address)", limits.connections_per_address),
                Refusal::AddressTooOften => format!("refused {peer}: more than {} connections in a minute (limits.connection_rate)", limits.connection_rate),
                Refusal::StrangersFull => format!("refused {peer}: too many connections have not logged in"),
                Refusal::FilesFull => format!("refused {peer}: all file descriptors are in use; raise the limit (LimitNOFILE= in the unit, ulimit -n in a shell)"),
            }
        })?;
        match Socket::new(stream) {
            Ok(socket) => executor
                .spawn(Connection::new(
                    shell.clone(),
                    conn,
                    peer,
                    socket,
                    self.door,
                ))
                .detach(),
            // It was reset between the two.
            Err(_) => shell.lines.borrow_mut().remove(conn),
        }
        Ok(())
    }
}

/// Raises the limit of open files as far as the system lets everybody, and says how many that are.
pub fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where it cannot be raised, the old one is what there is.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        );
    }
    // No limit at all: as many as the table of connections can count.
    getrlimit(Resource::Nofile)
        .current
        .map_or(1 << 20, |files| {
            usize::try_from(files).unwrap_or(usize::MAX).min(1 << 20)
        })
}

fn bind(address: SocketAddr) -> io::Result<Async<TcpListener>> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Connections of the server before this one may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    Async::new(TcpListener::from(socket))
}

/// EAFNOSUPPORT where the kernel has no IPv6, EADDRNOTAVAIL where it was switched off.
fn no_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// A flood must not become one of the log's: one line in ten seconds, with how many there were.
#[derive(Default)]
struct Complaints {
    last: Cell<Option<Instant>>,
    unsaid: Cell<u32>,
}

impl Complaints {
    fn say(&self, complaint: impl FnOnce() -> String) {
        if self
            .last
            .get()
            .is_some_and(|last| last.elapsed() < Duration::from_secs(10))
        {
            self.unsaid.set(self.unsaid.get().saturating_add(1));
            return;
        }
        self.last.set(Some(Instant::now()));
        match self.unsaid.take() {
            0 => log::warn!("{}", complaint()),
            unsaid => log::warn!("{} (and {unsaid} more like it before)", complaint()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_addresses_reach_the_unspecified_one() {
        let listener = Listener::open("[::]:0".parse().unwrap(), Door::StartTls).unwrap();
        let port = listener.address.port();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        let v6_is_there = bind("[::1]:0".parse().unwrap()).is_ok();
        assert_eq!(TcpStream::connect(("::1", port)).is_ok(), v6_is_there);
    }

    #[test]
    fn a_port_in_use_is_a_sentence() {
        let first = Listener::open("127.0.0.1:0".parse().unwrap(), Door::StartTls).unwrap();
        let problem = Listener::open(first.address, Door::StartTls).err().unwrap();
        assert!(
            problem.contains("something else listens there"),
            "{problem}"
        );
        assert!(
            Listener::open("192.0.2.1:0".parse().unwrap(), Door::DirectTls)
                .err()
                .unwrap()
                .contains("no such address")
        );
    }
}
