//! Pub/sub on a socket of its own, one for everybody who shares the links. Messages are lost while it is
//! down, as pub/sub is: whoever listens must look for itself after each `resumed`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{ProtocolVersion, RedisResult};
use tokio::sync::watch;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::greeting::{greeting_error, identity};
use super::link::{AFTER_FAULT, is_of_the_link, outlived};
use super::route::Route;
use super::subscriptions::{Message, Step, Subscriptions};
use crate::config::{ConnectionConfig, Endpoint};
use crate::error::{Code, Error, Result};
use crate::fault;

/// A PING goes out this often, because nothing else notices a half-open peer. Failover is heard of here.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long the server may take to answer on an open socket.
const REPLY_LIMIT: Duration = Duration::from_secs(2);

/// Keeps one subscribing socket for as long as anybody listens.
struct Subscriber {
    route: Arc<Route>,
    config: ConnectionConfig,
    subscriptions: Arc<Subscriptions>,
    wishes: watch::Receiver<u64>,
}

impl Drop for Subscriber {
    /// Also when the runtime is shut down: what listeners own may be what keeps them here.
    fn drop(&mut self) {
        self.subscriptions.close();
    }
}

/// Starts the subscriber on the current runtime, which connects when somebody listens; it ends when
/// `stopped` turns true.
pub(super) fn start(
    route: Arc<Route>,
    config: ConnectionConfig,
    subscriptions: Arc<Subscriptions>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut subscriber = Subscriber {
        route,
        config,
        wishes: subscriptions.wishes(),
        subscriptions,
    };
    tokio::spawn(async move {
        tokio::select! {
            () = async {
                while outlived(subscriber.listen_forever()).await.is_none() {
                    tokio::time::sleep(AFTER_FAULT).await;
                }
            } => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

impl Subscriber {
    async fn listen_forever(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            self.wishes.borrow_and_update();
            if !self.subscriptions.are_wanted() {
                backoff.reset();
                if self.wishes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            match self.connect().await {
                Ok((session, place)) => {
                    let mut settled = false;
                    let ended = self.live(session, &place, &mut settled).await;
                    if settled {
                        backoff.reset();
                    }
                    match ended {
                        Ok(()) => continue,
                        Err(error) => {
                            tracing::debug!("the subscription ended, subscribing again: {error}");
                        }
                    }
                }
                Err(error) => tracing::debug!("cannot subscribe, trying again: {error}"),
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    async fn connect(&self) -> Result<(PubSub, Endpoint)> {
        let limit = self.config.connect_timeout;
        let connecting = async {
            let (place, stream) = self.route.open(&self.config).await?;
            // RESP2 serves pub/sub on every server and proxy; nothing here needs RESP3.
            let session =
                PubSub::new(&identity(&self.config, ProtocolVersion::RESP2), stream).await;
            let session = session.map_err(|error| greeting_error(&self.config, error))?;
            Ok((session, place))
        };
        let connected = tokio::time::timeout(limit, connecting).await;
        connected.unwrap_or_else(|_| Err(silent(limit)))
    }

    /// Lives with an open socket until nobody listens any more, or until it ends or falls silent.
    /// `settled` turns true once a heartbeat was answered.
    async fn live(&mut self, session: PubSub, place: &Endpoint, settled: &mut bool) -> Result<()> {
        let subscriptions = Arc::clone(&self.subscriptions);
        let mut target = self.route.locator.target();
        let elsewhere =
            |target: &Option<Endpoint>| target.as_ref().is_some_and(|target| target != place);
        subscriptions.begin();
        let (sink, messages) = session.split();
        tokio::select! {
            ended = self.keep(sink, settled) => ended,
            () = hand_on(messages, &subscriptions) => Err(Error::new(
                Code::StoreUnreachable,
                "the connection was closed by the store or the network",
            )),
            // A server that is no longer a master, or no longer of the cluster, may not hear what others are told.
            Ok(_) = target.wait_for(elsewhere) => Err(Error::new(
                Code::StoreUnreachable,
                "the keys are at another server now",
            )),
        }
    }

    /// Follows the wishes of the listeners, and sends heartbeats.
    async fn keep(&mut self, mut sink: PubSubSink, settled: &mut bool) -> Result<()> {
        let mut next = Instant::now() + HEARTBEAT;
        loop {
            self.wishes.borrow_and_update();
            if !self.subscriptions.are_wanted() {
                return Ok(());
            }
            self.reconcile(&mut sink).await?;
            tokio::select! {
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = tokio::time::sleep_until(next) => {
                    fault::point("subscriber");
                    answer(sink.ping::<redis::Value>()).await??;
                    *settled = true;
                    next = Instant::now() + HEARTBEAT;
                    self.subscriptions.retry_refused();
                }
            }
        }
    }

    /// Asks the server for what the listeners wish, and tells those who have it.
    async fn reconcile(&self, sink: &mut PubSubSink) -> Result<()> {
        loop {
            for listener in self.subscriptions.resume() {
                listener.resumed();
            }
            match self.subscriptions.step() {
                Step::Keep => return Ok(()),
                Step::Unsubscribe(channels) => match answer(sink.unsubscribe(channels)).await? {
                    Err(error) if is_of_the_link(&error) => return Err(error.into()),
                    // Nobody hears what may still come.
                    _ => {}
                },
                Step::Subscribe(channels) => self.subscribe(sink, channels).await?,
            }
        }
    }

    /// Subscribes to all of these channels that the server allows.
    async fn subscribe(&self, sink: &mut PubSubSink, channels: Vec<String>) -> Result<()> {
        match answer(sink.subscribe(&channels)).await? {
            Ok(()) => self.subscriptions.subscribed(channels),
            Err(error) if is_of_the_link(&error) => return Err(error.into()),
            Err(error) => match <[String; 1]>::try_from(channels) {
                Ok([channel]) => self.subscriptions.refused(channel, &error.into()),
                // One that is forbidden spoils the whole command, but is to spoil nobody else's.
                Err(channels) => {
                    for channel in channels {
                        Box::pin(self.subscribe(sink, vec![channel])).await?;
                    }
                }
            },
        }
        Ok(())
    }
}

/// The reply, in time.
async fn answer<T>(reply: impl Future<Output = RedisResult<T>>) -> Result<RedisResult<T>> {
    let answered = tokio::time::timeout(REPLY_LIMIT, reply).await;
    answered.map_err(|_| silent(REPLY_LIMIT))
}

/// Hands on messages until the socket ends.
async fn hand_on(mut messages: PubSubStream, subscriptions: &Subscriptions) {
    while let Some(message) = messages.next().await {
        let channel = message.get_channel_name();
        for listener in subscriptions.listeners(channel) {
            listener.receive(Message {
                channel: channel.to_owned(),
                payload: message.get_payload_bytes().to_vec(),
            });
        }
    }
}

fn silent(limit: Duration) -> Error {
    Error::new(
        Code::StoreUnreachable,
        format!("no answer within {} ms", limit.as_millis()),
    )
}
