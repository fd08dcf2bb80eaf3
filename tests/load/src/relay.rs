//! The limit: TLS without XMPP, on the server's own stack (one smol executor thread, async-net, futures-rustls).
//! One port joins connections in pairs, in the order of their accept, and copies what each sends to the other,
//! decrypted and encrypted anew but unread. The other port accepts, and waits for the end: a bare TLS accept.

use std::cell::RefCell;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use argh::FromArgs;
use async_net::{TcpListener, TcpStream};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::server::TlsStream;
use smol::LocalExecutor;

/// a TLS relay without parsing, until it is killed
#[derive(FromArgs)]
#[argh(subcommand, name = "relay")]
pub struct Relay {
    /// address whose connections are accepted and read to their end
    #[argh(option)]
    accept: SocketAddr,
    /// address whose connections are joined in pairs
    #[argh(option)]
    pairs: SocketAddr,
    /// PEM file with the certificate
    #[argh(option)]
    certificate: PathBuf,
    /// PEM file with the certificate's key
    #[argh(option)]
    key: PathBuf,
}

/// Bytes that one connection may be ahead of the other, as much as a TLS record holds.
const COPY_BYTES: usize = 16 * 1024;

impl Relay {
    /// Serves until the process is killed.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        let certificates =
            CertificateDer::pem_file_iter(&self.certificate)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let provider = Arc::new(futures_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let executor = Rc::new(LocalExecutor::new());
        smol::block_on(executor.clone().run(async {
            // Who gets through to the first one below finds the other there, too.
            let pairs = TcpListener::bind(self.pairs).await?;
            let accept = TcpListener::bind(self.accept).await?;
            executor
                .spawn(accept_only(executor.clone(), accept, acceptor.clone()))
                .detach();
            join(&executor, pairs, acceptor).await
        }))
    }
}

async fn accept_only(
    executor: Rc<LocalExecutor<'static>>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        let serve = async move {
            // In boxes: a task keeps room for its largest moment as long as it lives.
            let mut tls = Box::pin(handshake(socket, acceptor)).await?;
            while tls.read(&mut [0; 256]).await? != 0 {}
            tls.close().await
        };
        // A peer that breaks off has ended its connection, which is all that this port waits for.
        executor.spawn(async move { drop(serve.await) }).detach();
    }
}

async fn join(
    executor: &LocalExecutor<'static>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> Result<(), Box<dyn Error>> {
    loop {
        // Each handshake begins with its accept: a client may finish its own before it opens the other connection.
        let left = executor.spawn(handshake(listener.accept().await?.0, acceptor.clone()));
        let right = executor.spawn(handshake(listener.accept().await?.0, acceptor.clone()));
        let serve = async move { relay(left.await?, right.await?).await };
        executor.spawn(async move { drop(serve.await) }).detach();
    }
}

async fn handshake(
    socket: TcpStream,
    acceptor: TlsAcceptor,
) -> io::Result<Box<TlsStream<TcpStream>>> {
    socket.set_nodelay(true)?;
    Ok(Box::new(acceptor.accept(socket).await?))
}

/// Copies both ways until either side ends.
async fn relay(
    mut left: Box<TlsStream<TcpStream>>,
    mut right: Box<TlsStream<TcpStream>>,
) -> io::Result<()> {
    let mut to_right = Rest::default();
    let mut to_left = Rest::default();
    poll_fn(|context| {
        let right_ended = copy(context, &mut *left, &mut *right, &mut to_right)?;
        let left_ended = copy(context, &mut *right, &mut *left, &mut to_left)?;
        if right_ended.is_ready() || left_ended.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// What was read and not yet written; empty and without memory while the reader keeps up.
#[derive(Default)]
struct Rest(Vec<u8>);

thread_local! {
    /// One for all connections: between two polls it holds nothing.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; COPY_BYTES]);
}

fn copy<From, To>(
    context: &mut Context<'_>,
    from: &mut From,
    to: &mut To,
    rest: &mut Rest,
) -> Poll<io::Result<()>>
where
    From: AsyncRead + Unpin,
    To: AsyncWrite + Unpin,
{
    loop {
        while !rest.0.is_empty() {
            let written = ready!(Pin::new(&mut *to).poll_write(context, &rest.0))?;
            rest.0.drain(..written);
        }
        let read = SCRATCH.with_borrow_mut(|scratch| -> io::Result<Option<usize>> {
            let Poll::Ready(read) = Pin::new(&mut *from).poll_read(context, scratch) else {
                return Ok(None);
            };
            let read = read?;
            let mut written = 0;
            while written < read {
                match Pin::new(&mut *to).poll_write(context, &scratch[written..read]) {
                    Poll::Ready(count) => written += count?,
                    Poll::Pending => {
                        rest.0.extend_from_slice(&scratch[written..read]);
                        break;
                    }
                }
            }
            Ok(Some(read))
        })?;
        match read {
            Some(0) => return Poll::Ready(Ok(())),
            Some(_) => {}
            None => {
                let _ = Pin::new(&mut *to).poll_flush(context)?;
                return Poll::Pending;
            }
        }
    }
}
