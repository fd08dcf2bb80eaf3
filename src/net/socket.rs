//! One TCP connection as bytes, in the clear or under TLS, polled in both directions by one task.

use crate::limits;
use async_io::Async;
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::rustls::ServerConfig;
use futures_rustls::server::TlsStream;
use futures_rustls::{Accept, TlsAcceptor};
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A TCP socket that knows when a read would find nothing, and whether a write got anywhere.
pub struct Socket {
    io: Async<TcpStream>,
    /// The last read did not fill its buffer: the kernel has no more, so the next thing is to wait. Saves a system call a message.
    drained: bool,
    /// The kernel took bytes since this was last asked.
    progress: bool,
}

impl Socket {
    /// Takes an accepted connection. Small stanzas must not wait for each other's acknowledgement: TCP_NODELAY.
    pub fn new(io: Async<TcpStream>) -> io::Result<Socket> {
        io.get_ref().set_nodelay(true)?;
        Ok(Socket {
            io,
            drained: false,
            progress: false,
        })
    }

    /// Ready when a read would not wait.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_readable(cx)
    }

    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut &TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(&mut self.io.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.io.poll_writable(cx))?
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(written) => {
                    self.progress = true;
                    return Poll::Ready(Ok(written));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.drained {
                ready!(self.io.poll_readable(cx))?;
                self.drained = false;
            }
            match self.io.get_ref().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.drained = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(length) => {
                    self.drained = length < buffer.len();
                    return Poll::Ready(Ok(length));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_written(cx, |socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_written(cx, |socket| socket.write_vectored(parts))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.io.get_ref().shutdown(Shutdown::Write))
    }
}

/// What is on the socket. The big states are boxed: ten thousand of these wait at a time.
pub enum Wire {
    /// TCP alone, until STARTTLS or a direct handshake begins.
    Plain(Socket),
    /// The handshake goes on.
    Handshake(Box<Accept<Socket>>),
    /// TLS.
    Secure(Box<TlsStream<Socket>>),
    /// Nothing any more: a handshake failed.
    Gone,
}

impl Wire {
    /// Begins the server's side of a handshake on what was plain.
    pub fn secure(&mut self, config: Arc<ServerConfig>) {
        if let Wire::Plain(socket) = std::mem::replace(self, Wire::Gone) {
            let accept = TlsAcceptor::from(config).accept_with(socket, |session| {
                session.set_buffer_limit(Some(limits::TLS_BUFFER_BYTES))
            });
            *self = Wire::Handshake(Box::new(accept));
        }
    }

    /// Goes on with the handshake.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Wire::Handshake(accept) = self else {
            return Poll::Ready(Ok(()));
        };
        match ready!(Pin::new(&mut **accept).poll(cx)) {
            Ok(stream) => {
                *self = Wire::Secure(Box::new(stream));
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                *self = Wire::Gone;
                Poll::Ready(Err(error))
            }
        }
    }

    /// Reads what is there: as much as fits, however many TLS records that are. Zero bytes mean the end.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.poll_read(cx, &mut buffer[filled..]) {
                Poll::Ready(Ok(0)) | Poll::Pending if filled > 0 => break,
                Poll::Ready(Err(_)) if filled > 0 => break, // it is found again by the next read
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(0)),
                Poll::Ready(Ok(length)) => filled += length,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(filled))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Wire::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Wire::Secure(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
            Wire::Handshake(_) | Wire::Gone => Poll::Ready(Ok(0)),
        }
    }

    /// Hands bytes over; at least one of them where it is ready.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Wire::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Wire::Secure(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Wire::Handshake(_) | Wire::Gone => Poll::Ready(Err(ErrorKind::NotConnected.into())),
        }
    }

    /// Ready when the kernel has everything that was handed over.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Secure(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Wire::Plain(_) | Wire::Handshake(_) | Wire::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Ends our side: close_notify where there is TLS, then TCP's own end.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Plain(socket) => Pin::new(socket).poll_close(cx),
            Wire::Secure(stream) => Pin::new(&mut **stream).poll_close(cx),
            Wire::Handshake(_) | Wire::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Whether the kernel took bytes since this was last asked.
    pub fn took_bytes(&mut self) -> bool {
        match self {
            Wire::Plain(socket) => std::mem::take(&mut socket.progress),
            Wire::Secure(stream) => std::mem::take(&mut stream.get_mut().0.progress),
            Wire::Handshake(_) | Wire::Gone => false,
        }
    }

    /// Ready when a read would not wait.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Plain(socket) => socket.poll_readable(cx),
            Wire::Secure(stream) => stream.get_mut().0.poll_readable(cx),
            Wire::Handshake(_) | Wire::Gone => Poll::Ready(Ok(())),
        }
    }
}
