//! An open byte stream to the store: TCP or unix socket, with TLS where it is configured.

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
use crate::config::{ConnectionConfig, Endpoint, Family, HostPort, Topology};
use crate::error::{Code, Error, Result};

/// Bytes on their way while the peer vanished: the kernel gives up after this long.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Any stream that speaks to the store.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Opens streams as the configuration says.
pub(super) struct Connector {
    config: ConnectionConfig,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Reads the TLS configuration once.
    ///
    /// # Errors
    /// Certificates or keys that cannot be read; a topology that this version does not serve.
    pub(super) fn new(config: &ConnectionConfig) -> Result<Self> {
        let tls = match &config.tls {
            Some(tls) => Some(TlsConnector::from(Arc::new(tls::client_config(tls)?))),
            None => None,
        };
        let connector = Self {
            config: config.clone(),
            tls,
        };
        connector.endpoint()?;
        Ok(connector)
    }

    /// Where the master is at this moment; asked anew at each connect.
    fn endpoint(&self) -> Result<&Endpoint> {
        match &self.config.topology {
            Topology::Standalone(endpoint) => Ok(endpoint),
            Topology::Sentinel(_) => Err(unsupported("sentinels")),
            Topology::Cluster(_) => Err(unsupported("cluster")),
        }
    }

    /// Opens a stream, within the configured `connectTimeout`.
    pub(super) async fn open(&self) -> Result<Pin<Box<dyn ByteStream>>> {
        let limit = self.config.connect_timeout;
        match tokio::time::timeout(limit, self.open_unbounded()).await {
            Ok(opened) => opened,
            Err(_) => Err(self.unreachable(&format!("no answer within {} ms", limit.as_millis()))),
        }
    }

    async fn open_unbounded(&self) -> Result<Pin<Box<dyn ByteStream>>> {
        match self.endpoint()? {
            Endpoint::Unix(path) => open_unix(path)
                .await
                .map_err(|e| self.unreachable(&e.to_string())),
            Endpoint::Tcp(address) => {
                let stream = self
                    .open_tcp(address)
                    .await
                    .map_err(|e| self.unreachable(&e.to_string()))?;
                match (&self.tls, &self.config.tls) {
                    (Some(connector), Some(options)) => {
                        let name = options.servername.as_deref().unwrap_or(&address.host);
                        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
                            Error::new(
                                Code::ConfigInvalid,
                                format!("`tls.servername` {name:?} is not a host name; give the name that stands in the server's certificate"),
                            )
                        })?;
                        let stream = connector
                            .connect(name, stream)
                            .await
                            .map_err(|e| self.unreachable(&format!("TLS: {e}")))?;
                        Ok(Box::pin(stream))
                    }
                    _ => Ok(Box::pin(stream)),
                }
            }
        }
    }

    async fn open_tcp(&self, address: &HostPort) -> io::Result<TcpStream> {
        let family = self.config.family;
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
                    tune(&stream, self.config.keep_alive)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn unreachable(&self, reason: &str) -> Error {
        Error::new(
            Code::StoreUnreachable,
            format!(
                "the store at {} cannot be reached ({reason})",
                self.config.describe()
            ),
        )
    }
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

fn unsupported(option: &str) -> Error {
    Error::new(
        Code::ConfigInvalid,
        format!(
            "`{option}` is understood but not served by this version; use `host` and `port`, `path` or `url` of one server"
        ),
    )
}
