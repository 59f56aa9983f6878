//! A minimal client that looks at a server from outside, over its unix socket.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::{Error, IoContext, Result};
use crate::resp::{self, Value};

/// How long an answer or a message may take; only a paused or broken server takes that long.
const LIMIT: Duration = Duration::from_secs(10);

/// One connection to a server. It shares no code with what is tested.
///
/// [`Server::command`](crate::Server::command) is enough for single commands; this is for
/// transactions, subscriptions and the like.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    /// Bytes received and not read as a value yet.
    received: Vec<u8>,
}

impl Client {
    /// Connects to a unix socket and authenticates with the words after `AUTH`, unless there are
    /// none.
    pub(crate) async fn connect(path: &Path, credentials: &[&str]) -> Result<Self> {
        let stream = UnixStream::connect(path)
            .await
            .action(format!("connect to {}", path.display()))?;
        let mut client = Self {
            stream,
            received: Vec::new(),
        };
        if !credentials.is_empty() {
            client.command(&[&["AUTH"], credentials].concat()).await?;
        }
        Ok(client)
    }

    /// Sends a command and returns its answer, or for `SUBSCRIBE` its first confirmation.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server answers with an error, [`Error::Io`] when the
    /// connection breaks, [`Error::Late`] without an answer within 10 seconds.
    pub async fn command(&mut self, arguments: &[impl AsRef<[u8]>]) -> Result<Value> {
        self.stream
            .write_all(&resp::encode(arguments))
            .await
            .action("send a command to the server")?;
        match self.receive().await? {
            Value::Error(message) => Err(Error::Refused {
                command: arguments
                    .first()
                    .map(|name| String::from_utf8_lossy(name.as_ref()).into_owned())
                    .unwrap_or_default(),
                message,
            }),
            value => Ok(value),
        }
    }

    /// The next value that the server sends, such as a message on a channel.
    ///
    /// # Errors
    /// [`Error::Io`] when the connection breaks, [`Error::Late`] when nothing comes within
    /// 10 seconds.
    pub async fn receive(&mut self) -> Result<Value> {
        timeout(LIMIT, self.next_value()).await.unwrap_or_else(|_| {
            Err(Error::Late {
                what: "the server's answer".to_owned(),
                limit: LIMIT,
            })
        })
    }

    async fn next_value(&mut self) -> Result<Value> {
        loop {
            if let Some((value, taken)) = resp::decode(&self.received)? {
                self.received.drain(..taken);
                return Ok(value);
            }
            let read = self.stream.read_buf(&mut self.received).await;
            if read.action("read from the server")? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof))
                    .action("read from the server, which closed the connection");
            }
        }
    }
}
