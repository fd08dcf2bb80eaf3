//! A connection under load: it never blocks, and an epoll says when it can go on.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustls::client::ClientConnection;

use crate::client::Client;

/// One connection that does not block.
pub struct End {
    pub socket: TcpStream,
    pub tls: Box<ClientConnection>,
}

impl End {
    /// Takes over a session; what it has read and not looked at is forgotten.
    pub fn new(client: Client) -> Result<End, String> {
        client
            .socket
            .set_nonblocking(true)
            .map_err(|error| format!("set up a socket: {error}"))?;
        Ok(End {
            socket: client.socket,
            tls: client.tls.ok_or("a chat runs over TLS")?,
        })
    }

    /// Reads until the socket is empty and appends the plaintext to `text`.
    pub fn read(&mut self, scratch: &mut [u8], text: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let count = match (&self.socket).read(scratch) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("receive: {error}")),
            };
            let mut cipher = &scratch[..count];
            while !cipher.is_empty() {
                self.tls
                    .read_tls(&mut cipher)
                    .map_err(|error| format!("receive: {error}"))?;
                let state = self
                    .tls
                    .process_new_packets()
                    .map_err(|error| format!("receive: {error}"))?;
                let begin = text.len();
                text.resize(begin + state.plaintext_bytes_to_read(), 0);
                self.tls
                    .reader()
                    .read_exact(&mut text[begin..])
                    .map_err(|error| format!("receive: {error}"))?;
            }
            // The edge comes again when there is more: a short read needs no second one that finds nothing.
            if count < scratch.len() {
                return Ok(());
            }
        }
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> Result<(), String> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("send: {error}")),
            }
        }
        Ok(())
    }
}

/// What many connections wait in.
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Without connections.
    pub fn new() -> Result<Epoll, String> {
        // SAFETY: no pointer goes in; the descriptor that comes out is ours alone.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(format!("epoll: {}", io::Error::last_os_error()));
        }
        // SAFETY: checked above.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(epoll) }))
    }

    /// One more, which is called by this number. Each edge is told once.
    pub fn add(&self, end: &End, number: u64) -> Result<(), String> {
        let events = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;
        let mut event = libc::epoll_event {
            events,
            u64: number,
        };
        let (epoll, socket) = (self.0.as_raw_fd(), end.socket.as_raw_fd());
        // SAFETY: both descriptors are open, and the event is read during the call only.
        if unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &mut event) } != 0 {
            return Err(format!("epoll: {}", io::Error::last_os_error()));
        }
        Ok(())
    }

    /// Waits at most a second; those of `events` that were told.
    pub fn wait<'e>(
        &self,
        events: &'e mut [libc::epoll_event],
    ) -> Result<&'e [libc::epoll_event], String> {
        let (epoll, capacity) = (self.0.as_raw_fd(), events.len() as i32);
        // SAFETY: the kernel writes at most `capacity` events into the array.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), capacity, 1000) };
        if count < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Err(format!("epoll: {}", io::Error::last_os_error()));
        }
        Ok(&events[..count.max(0) as usize])
    }
}
