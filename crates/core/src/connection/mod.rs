//! The managed links of one process to the store.
//!
//! One multiplexed link for small commands, one for bulk (flows), so that a small read never waits
//! behind 20 MB, and one subscriber. Each is supervised: it reconnects forever with backoff, and every
//! reconnect is an event with a new epoch, so that whoever could have missed something acts on it.
//!
//! Promises: a request waits for the link up to `timeout` and then fails with a clear error; what was
//! sent and not answered is repeated only where the caller said that repeating is safe; a half-open
//! peer is noticed by a heartbeat. It does not promise that an interrupted request was not carried out.
//!
//! - `stream`: an open byte stream to an endpoint: TCP, unix socket, TLS
//! - `tls`: certificates and verification
//! - `backoff`: the pauses between attempts
//! - `greeting`: an open stream becomes a session
//! - `link`: one supervised command link
//! - `request`: a request with its deadline and its retries
//! - `subscriber`: pub/sub

mod backoff;
mod greeting;
mod link;
mod request;
mod stream;
mod subscriber;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::ConnectionConfig;
use crate::error::{Code, Error, Result};

pub use request::{Repeat, Request};
pub use subscriber::Message;

use link::{Link, State};

/// How long the reply to a bulk request may take, 20 MB on a slow line, and how long such a request is
/// repeated when the link breaks in the middle. The wait for the link is bounded as for all others.
const BULK_REPLY_LIMIT: Duration = Duration::from_secs(60);

/// Which link carries a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Small commands.
    Commands,
    /// Flows and archives.
    Bulk,
}

/// The process's links to the store; cheap to clone, closed by [`Connection::close`].
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ConnectionConfig,
    timeout: Duration,
    commands: Link,
    bulk: Link,
    stop: watch::Sender<bool>,
}

impl Connection {
    /// Starts connecting in the background. `timeout` bounds the wait of any request for a
    /// link, and the reply to a small one; `name` is what `CLIENT LIST` shows unless `connectionName` is configured.
    ///
    /// # Errors
    /// A TLS configuration that cannot be read, or a topology that this version does not serve.
    pub fn open(config: &ConnectionConfig, timeout: Duration, name: &str) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let connector = Arc::new(stream::Connector::new(config)?);
        let name = config.connection_name.as_deref().unwrap_or(name);
        let commands = Link::start(
            Arc::clone(&connector),
            config.clone(),
            name.to_owned(),
            timeout,
            stopped.clone(),
        );
        let bulk = Link::start(
            connector,
            config.clone(),
            format!("{name}:bulk"),
            BULK_REPLY_LIMIT,
            stopped,
        );
        let inner = Inner {
            config: config.clone(),
            timeout: config.command_timeout.unwrap_or(timeout),
            commands,
            bulk,
            stop,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Where the store is looked for, without secrets: for log lines.
    pub fn describe(&self) -> String {
        self.inner.config.describe()
    }

    /// Waits up to `limit` for the command link.
    ///
    /// # Errors
    /// At once where waiting cannot help (wrong password, forbidden database); `StoreUnreachable`
    /// with the last reason after `limit`.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        self.inner.commands.connected(limit, 0).await.map(|_| ())
    }

    /// The epoch of the command link: grows with each reconnect, 0 before the first.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.inner.commands.epochs()
    }

    /// Whether the command link is up at this moment.
    pub fn is_up(&self) -> bool {
        matches!(self.inner.commands.state(), State::Up { .. })
    }

    /// Carries out a request on a lane and converts the reply.
    ///
    /// # Errors
    /// See [`Code`]; after the configured timeout `StoreUnreachable` (nothing was sent, or only what
    /// is safe to repeat) or `OutcomeUnknown` (the link was lost in the middle and repeating is not safe).
    pub async fn run<T: redis::FromRedisValue>(
        &self,
        lane: Lane,
        request: &Request,
        repeat: Repeat,
    ) -> Result<T> {
        let timeout = self.inner.timeout;
        let (link, whole) = match lane {
            Lane::Commands => (&self.inner.commands, timeout),
            Lane::Bulk => (&self.inner.bulk, BULK_REPLY_LIMIT.max(timeout)),
        };
        let limits = request::Limits {
            link: timeout,
            reply: whole,
            attempts: whole,
        };
        let value = request::carry_out(link, request, repeat, limits).await?;
        Ok(redis::from_redis_value(value)?)
    }

    /// Subscribes to channels on a link of its own. Messages reach `receive` in the order of arrival;
    /// `resumed` is called after each (re)connect, as messages may have been missed before it.
    pub fn subscribe(
        &self,
        channels: Vec<String>,
        receive: impl Fn(Message) + Send + Sync + 'static,
        resumed: impl Fn() + Send + Sync + 'static,
    ) -> Result<()> {
        let connector = Arc::new(stream::Connector::new(&self.inner.config)?);
        subscriber::start(
            connector,
            self.inner.config.clone(),
            channels,
            Box::new(receive),
            Box::new(resumed),
            self.inner.stop.subscribe(),
        );
        Ok(())
    }

    /// Ends all links; requests under way fail with `Closed`.
    pub fn close(&self) {
        // No receiver is left once every link has ended, which is what closing wants.
        let _ = self.inner.stop.send(true);
    }
}

/// The error of everything that is asked after [`Connection::close`].
fn closed() -> Error {
    Error::new(
        Code::Closed,
        "the cluster connection of this process is closed",
    )
}
