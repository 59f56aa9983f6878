//! When a child counts as ready. The one place that decides it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::store_url::{Answer, StoreUrl};

const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A path that no flow serves, so that asking starts nothing.
const PATH: &str = "/.node-red-cluster/ready";

/// The sign of a child being ready.
#[derive(Clone, Debug)]
pub(super) enum Readiness {
    /// Its HTTP server answers, whatever it answers.
    Http(SocketAddr),
    /// It takes commands of the store's protocol.
    Store(StoreUrl),
}

impl Readiness {
    /// Resolves when the sign is seen.
    pub(super) async fn reached(&self) {
        while !self.is_seen().await {
            sleep(PAUSE).await;
        }
    }

    async fn is_seen(&self) -> bool {
        match self {
            Self::Http(address) => matches!(
                timeout(ANSWER_LIMIT, speaks_http(*address)).await,
                Ok(Ok(true))
            ),
            Self::Store(url) => url.ask().await == Answer::Ready,
        }
    }
}

/// What is missing as long as the sign is not seen.
impl fmt::Display for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => write!(formatter, "nothing answers on http://{address} yet"),
            Self::Store(url) => write!(formatter, "{url} takes no commands yet"),
        }
    }
}

async fn speaks_http(address: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = [0; 5];
    match connection.read_exact(&mut answer).await {
        Ok(_) => Ok(&answer == b"HTTP/"),
        // How a server with `https` in its settings greets plain text.
        Err(error) => Ok(matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        )),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = [0; 1024];
                assert_ne!(connection.read(&mut request).await.expect("a request"), 0);
                connection.write_all(answer).await.expect("a reader");
            }
        });
        address
    }

    #[tokio::test]
    async fn any_http_status_is_ready() {
        let address = server(b"HTTP/1.1 404 Not Found\r\n\r\n").await;
        assert!(Readiness::Http(address).is_seen().await);
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_on_plain_text_is_ready() {
        assert!(Readiness::Http(server(b"").await).is_seen().await);
    }

    #[tokio::test]
    async fn another_protocol_or_nobody_is_not_ready() {
        let other = server(b"-ERR unknown command\r\n").await;
        assert!(!Readiness::Http(other).is_seen().await);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        assert!(!Readiness::Http(address).is_seen().await);
    }
}
