//! The managed links of one process to the store.
//!
//! One multiplexed link for small commands, one for bulk (flows), so that a small read never waits
//! behind 20 MB, and one subscriber; the latter two connect when they are first used. Each is supervised:
//! it reconnects forever with backoff, and every reconnect is an event with a new epoch, so that whoever
//! could have missed something acts on it.
//!
//! Promises: a request waits for the link up to `timeout` and then fails with a clear error; what was
//! sent and not answered is repeated only where the caller said that repeating is safe; a half-open
//! peer is noticed by a heartbeat. It does not promise that an interrupted request was not carried out.
//!
//! The command link also hears which keys others change, for whoever keeps values ([`Connection::track`]).
//!
//! Parts of one process that want the same store share its links ([`shared`]).
//!
//! - `locator`: where the server is, asked of sentinels or the nodes of a cluster; `route`: a stream to there
//! - `redirection`: a node of a cluster sends us elsewhere, `detour`: once
//! - `stream`: an open byte stream to an endpoint: TCP, unix socket, TLS
//! - `tls`: certificates and verification
//! - `backoff`: the pauses between attempts
//! - `server`: what a server says of itself
//! - `greeting`: an open stream becomes a session, and the session before it ends
//! - `session`: one connect of a link, as others see it
//! - `link`: one supervised link
//! - `links`: all links of a configuration, and who holds them
//! - `request`: a request with its deadline and its retries
//! - `tracking`: who hears of changed keys; `lease`: for how long silence is believed; `tracked`: both at work
//! - `clock`: the store's time
//! - `subscriptions`: who listens to which channels; `subscriber`: the socket at work for them

mod backoff;
mod clock;
mod detour;
mod greeting;
mod lease;
mod link;
mod links;
mod locator;
mod redirection;
mod request;
mod route;
mod server;
mod session;
mod stream;
mod subscriber;
mod subscriptions;
mod tls;
mod tracked;
mod tracking;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::ConnectionConfig;
use crate::error::{Code, Error, Result};

pub use request::{Repeat, Request};
pub use session::Session;
pub use subscriptions::Message;
pub use tracking::Invalidations;

use link::{Doubt, State};
use links::{Hold, Links};
use subscriptions::Listener;

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

/// One holder's links to the store; cheap to clone, closed by [`Connection::close`].
#[derive(Debug, Clone)]
pub struct Connection {
    hold: Arc<Hold>,
}

/// A connection over the links that this process already has with the very same configuration and
/// timeout, or over new ones that others may share. Each connection is closed by its holder, and the
/// links end with the last. Where links exist, theirs is the name in `CLIENT LIST`.
///
/// # Errors
/// As [`Connection::open`].
pub fn shared(config: &ConnectionConfig, timeout: Duration, name: &str) -> Result<Connection> {
    let hold = Links::shared(config, timeout, name)?;
    Ok(Connection {
        hold: Arc::new(hold),
    })
}

impl Connection {
    /// Starts connecting in the background, over links that nobody shares. `timeout` bounds the wait of
    /// any request for a link, and the reply to a small one; `name` is what `CLIENT LIST` shows unless
    /// `connectionName` is configured.
    ///
    /// # Errors
    /// A TLS configuration that cannot be read.
    pub fn open(config: &ConnectionConfig, timeout: Duration, name: &str) -> Result<Self> {
        let links = Arc::new(Links::start(config, timeout, name)?);
        let hold = links.hold().ok_or_else(closed)?;
        Ok(Self {
            hold: Arc::new(hold),
        })
    }

    /// Whether [`Connection::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.hold.is_released()
    }

    /// How the store is reached.
    pub(crate) fn config(&self) -> &ConnectionConfig {
        &self.hold.links.config
    }

    /// Where the store is looked for, without secrets: for log lines.
    pub fn describe(&self) -> String {
        self.hold.links.config.describe()
    }

    /// Waits up to `limit` for the command link.
    ///
    /// # Errors
    /// At once where waiting cannot help (wrong password, forbidden database); `StoreUnreachable`
    /// with the last reason after `limit`.
    pub async fn ready(&self, limit: Duration) -> Result<()> {
        self.held()?.commands.connected(limit, 0).await.map(|_| ())
    }

    /// The epoch of the command link: grows with each reconnect, 0 before the first.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.hold.links.commands.epochs()
    }

    /// Whether the command link is up at this moment.
    pub fn is_up(&self) -> bool {
        let up = |links: &Links| matches!(links.commands.state(), State::Up { .. });
        self.held().is_ok_and(up)
    }

    /// Why the command link is down, once that is known: an attempt to connect has failed since it was
    /// lost, or it has been down for a quarter of a second, or waiting cannot help. None while it is up, or
    /// so shortly lost or begun that a request had better wait.
    pub fn known_down(&self) -> Option<Error> {
        match self.held() {
            Ok(links) => links.commands.known_down(),
            Err(error) => Some(error),
        }
    }

    /// The store's clock in microseconds since 1970, as well as it is known here: asked for at each
    /// greeting and carried on locally, the clock of this machine before the first. Grows with each call.
    pub fn store_time(&self) -> u64 {
        self.hold.links.clock.now()
    }

    /// From now on, and after every reconnect, `listener` hears which keys that begin with one of
    /// `prefixes` change, see [`Invalidations`]. May be called before the link is up or after it. Ends when
    /// this connection is closed.
    ///
    /// # Errors
    /// `Closed`; `InvalidRequest` without prefixes or with an empty one, which would be every key there is.
    pub fn track(&self, prefixes: Vec<String>, listener: Arc<dyn Invalidations>) -> Result<()> {
        let links = self.held()?;
        if prefixes.is_empty() || prefixes.iter().any(String::is_empty) {
            return Err(Error::new(
                Code::InvalidRequest,
                "keys can be tracked by the beginnings of their names only",
            ));
        }
        links.tracker.add(self.hold.number, prefixes, listener);
        if self.hold.is_released() {
            // Closed meanwhile, and perhaps before the listener was there to be removed.
            links.tracker.remove(self.hold.number);
            return Err(closed());
        }
        Ok(())
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
        let links = self.held()?;
        let timeout = links.timeout;
        let (link, whole) = match lane {
            Lane::Commands => (&links.commands, timeout),
            Lane::Bulk => (&links.bulk, BULK_REPLY_LIMIT.max(timeout)),
        };
        let limits = request::Limits {
            link: timeout,
            reply: whole,
            attempts: whole,
        };
        let value = request::carry_out(link, request, repeat, limits).await?;
        Ok(redis::from_redis_value(value)?)
    }

    /// The session of the command link at this moment; none while the link is down, or in doubt.
    pub fn session(&self) -> Option<Session> {
        let links = self.held().ok()?;
        links.commands.session().map(|(_, session)| session)
    }

    /// Carries out a request in this very session of the command link, or not at all; nothing is repeated.
    /// A script that the server lacks is sent again as text, in the same session.
    ///
    /// # Errors
    /// `StoreUnreachable` where the session is over and nothing was sent; `OutcomeUnknown` where it ended,
    /// or `limit` passed, before the reply (the link is then given up); what the store said at once, also
    /// where it would say something else soon.
    pub async fn run_on<T: redis::FromRedisValue>(
        &self,
        session: &Session,
        request: &Request,
        limit: Duration,
    ) -> Result<T> {
        let links = self.held()?;
        let value = request::carry_out_on(&links.commands, session, request, limit).await?;
        Ok(redis::from_redis_value(value)?)
    }

    /// Asks the server of a session for the name of its history, and gives the session up where that is another
    /// one than at its beginning. A master gives its history another name when it gets its first replica, too;
    /// all sessions with it have to know it by one name.
    pub async fn review(&self, session: &Session) {
        let (Ok(links), Some(run)) = (self.held(), &session.run) else {
            return;
        };
        let mut question = redis::cmd("INFO");
        question.arg("replication");
        let request = Request::Command(question);
        let answer = self.run_on::<String>(session, &request, links.timeout);
        let now = answer.await.ok().and_then(|text| server::reign(run, &text));
        if now.is_some_and(|now| now != *run) {
            links.commands.distrust(session.epoch, Doubt::Renamed);
        }
    }

    /// Subscribes to channels, until this connection is closed. Messages reach `receive` in the order of
    /// arrival; `resumed` is called once all of these channels are subscribed, and so again after each
    /// reconnect, as messages may have been missed before it. All calls of all who share the links come one
    /// at a time, so they must be short.
    ///
    /// # Errors
    /// `Closed`.
    pub fn subscribe(
        &self,
        channels: Vec<String>,
        receive: impl Fn(Message) + Send + Sync + 'static,
        resumed: impl Fn() + Send + Sync + 'static,
    ) -> Result<()> {
        let links = self.held()?;
        let listener = Listener::new(receive, resumed);
        links
            .subscriptions
            .add(self.hold.number, channels, listener);
        if self.hold.is_released() {
            // Closed meanwhile, and perhaps before the listener was there to be removed.
            links.subscriptions.remove(self.hold.number);
            return Err(closed());
        }
        Ok(())
    }

    /// Ends the subscriptions and the tracking of this connection, and the links if nobody else holds
    /// them: requests under way fail with `Closed` then, and run to their end otherwise. New ones fail.
    pub fn close(&self) {
        self.hold.release();
    }

    fn held(&self) -> Result<&Links> {
        if self.hold.is_released() {
            return Err(closed());
        }
        Ok(&self.hold.links)
    }
}

/// The error of everything that is asked after [`Connection::close`].
fn closed() -> Error {
    Error::new(
        Code::Closed,
        "the cluster connection of this process is closed",
    )
}
