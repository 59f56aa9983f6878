//! An open byte stream to the store: TCP or unix socket, with TLS where it is configured.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls;
use crate::config::{ConnectionConfig, Endpoint, Family, HostPort, TlsConfig};
use crate::error::{Code, Error, Result};

/// Bytes on their way while the peer vanished: the kernel gives up after this long.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Any stream that speaks to the store.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Opens streams to servers of one kind: those that hold the data, or sentinels.
pub(super) struct Connector {
    connect_timeout: Duration,
    keep_alive: Option<Duration>,
    family: Family,
    tls: Option<(TlsConnector, Option<String>)>,
}

impl Connector {
    /// For the servers that hold the data. Reads the TLS configuration once.
    ///
    /// # Errors
    /// Certificates or keys that cannot be read.
    pub(super) fn new(config: &ConnectionConfig) -> Result<Self> {
        Self::with_tls(config, config.tls.as_ref())
    }

    /// The same with another TLS configuration.
    ///
    /// # Errors
    /// Certificates or keys that cannot be read.
    pub(super) fn with_tls(config: &ConnectionConfig, tls: Option<&TlsConfig>) -> Result<Self> {
        let tls = match tls {
            Some(tls) => {
                let connector = TlsConnector::from(Arc::new(tls::client_config(tls)?));
                Some((connector, tls.servername.clone()))
            }
            None => None,
        };
        Ok(Self {
            connect_timeout: config.connect_timeout,
            keep_alive: config.keep_alive,
            family: config.family,
            tls,
        })
    }

    /// Opens a stream, within the configured `connectTimeout`.
    ///
    /// # Errors
    /// `StoreUnreachable` with the network's reason alone, the place is for the caller to add; `ConfigInvalid`
    /// where no attempt can succeed.
    pub(super) async fn open(&self, endpoint: &Endpoint) -> Result<Pin<Box<dyn ByteStream>>> {
        let limit = self.connect_timeout;
        match tokio::time::timeout(limit, self.open_unbounded(endpoint)).await {
            Ok(opened) => opened,
            Err(_) => Err(unreachable(format!(
                "no answer within {} ms",
                limit.as_millis()
            ))),
        }
    }

    async fn open_unbounded(&self, endpoint: &Endpoint) -> Result<Pin<Box<dyn ByteStream>>> {
        let address = match endpoint {
            Endpoint::Unix(path) => {
                return open_unix(path).await.map_err(unreachable);
            }
            Endpoint::Tcp(address) => address,
        };
        let stream = self.open_tcp(address).await.map_err(unreachable)?;
        let Some((connector, servername)) = &self.tls else {
            return Ok(Box::pin(stream));
        };
        let name = servername.as_deref().unwrap_or(&address.host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Error::new(
                Code::ConfigInvalid,
                format!("`tls.servername` {name:?} is not a host name; give the name that stands in the server's certificate"),
            )
        })?;
        let stream = connector.connect(name, stream).await;
        Ok(Box::pin(
            stream.map_err(|e| unreachable(format!("TLS: {e}")))?,
        ))
    }

    async fn open_tcp(&self, address: &HostPort) -> io::Result<TcpStream> {
        let family = self.family;
        let mut last = io::Error::new(
            io::ErrorKind::NotFound,
            "the host name has no address of the configured family",
        );
        // Resolved at each connect: a DNS name may have moved to another server.
        for candidate in tokio::net::lookup_host((address.host.as_str(), address.port)).await? {
            if !is_of(family, &candidate) {
                continue;
            }
            match TcpStream::connect(candidate).await {
                Ok(stream) => {
                    tune(&stream, self.keep_alive)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn unreachable(reason: impl fmt::Display) -> Error {
    Error::new(Code::StoreUnreachable, reason.to_string())
}

#[cfg(unix)]
async fn open_unix(path: &std::path::Path) -> io::Result<Pin<Box<dyn ByteStream>>> {
    Ok(Box::pin(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn open_unix(_path: &std::path::Path) -> io::Result<Pin<Box<dyn ByteStream>>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "unix sockets are not available on this platform",
    ))
}

fn is_of(family: Family, address: &SocketAddr) -> bool {
    match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    }
}

fn tune(stream: &TcpStream, keep_alive: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    let idle = keep_alive.unwrap_or(Duration::from_secs(15));
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(idle))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}
