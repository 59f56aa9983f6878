//! Ends TLS in front of a server that was built without it, as stunnel does in production.
//!
//! Servers from package managers speak TLS themselves; the portable builds that set-up brings do
//! not. With this, tests of TLS run on every machine: the client under test cannot tell.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certificates;
use crate::error::{Error, IoContext, Result};
use crate::ports;
use crate::server::ClientCertificate;
use crate::wait::INTERVAL;

/// What becomes of a connection that does not begin with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainText {
    /// It ends, as at a server's port for TLS.
    Refused,
    /// It is passed on, so that servers reach one another by the port that they name to clients.
    Passed,
}

/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 22;

/// A listener that ends TLS. Dropped, it closes its port and all its connections.
#[derive(Debug)]
pub(crate) struct TlsFront {
    task: JoinHandle<()>,
}

impl TlsFront {
    /// Listens with TLS on `port` and passes every connection on to `server` in plain text.
    pub(crate) fn start(
        port: u16,
        server: SocketAddr,
        certificates: &Certificates,
        client_certificate: ClientCertificate,
        plain_text: PlainText,
    ) -> Result<Self> {
        let configuration = configuration(certificates, client_certificate)?;
        let acceptor = TlsAcceptor::from(Arc::new(configuration));
        let listener = TcpListener::from_std(ports::listen(port)?)
            .action(format!("listen on 127.0.0.1:{port}"))?;
        Ok(Self {
            task: tokio::spawn(serve(listener, acceptor, server, plain_text)),
        })
    }

    /// Closes the port and all connections, and returns once they are closed.
    pub(crate) async fn close(mut self) {
        self.task.abort();
        // The task was told to stop: that it did not come to its own end is no news.
        let _ = (&mut self.task).await;
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    server: SocketAddr,
    plain_text: PlainText,
) {
    // The connections end with the set, and the set with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(carry(client, acceptor.clone(), server, plain_text));
                }
                // Out of file descriptors, as a rule: without a pause this would spin.
                Err(_) => sleep(INTERVAL).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection. Its errors are the client's to see: a handshake that failed or an end of line.
async fn carry(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    server: SocketAddr,
    plain_text: PlainText,
) {
    if plain_text == PlainText::Passed {
        let mut first = [0];
        match client.peek(&mut first).await {
            Ok(1) if first == [HANDSHAKE] => {}
            Ok(1) => return pass_on(&mut client, server).await,
            _ => return,
        }
    }
    if let Ok(mut client) = acceptor.accept(client).await {
        pass_on(&mut client, server).await;
    }
}

async fn pass_on(client: &mut (impl AsyncRead + AsyncWrite + Unpin), server: SocketAddr) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        let _ = copy_bidirectional(client, &mut server).await;
    }
}

fn configuration(
    certificates: &Certificates,
    client_certificate: ClientCertificate,
) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = match client_certificate {
        ClientCertificate::NotAsked => builder.with_no_client_auth(),
        ClientCertificate::Required => {
            let mut authorities = RootCertStore::empty();
            authorities
                .add(certificate(&certificates.authority.text)?)
                .map_err(tls)?;
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
                    .build()
                    .map_err(tls)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![certificate(&certificates.server.certificate.text)?];
    let key =
        PrivateKeyDer::from_pem_slice(certificates.server.key.text.as_bytes()).map_err(tls)?;
    builder.with_single_cert(chain, key).map_err(tls)
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(tls)
}

fn tls(error: impl std::fmt::Display) -> Error {
    Error::Tls(error.to_string())
}
