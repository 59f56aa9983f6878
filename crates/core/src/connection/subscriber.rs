//! Pub/sub on a link of its own. Messages are lost while it is down, as pub/sub is: whoever listens
//! must look for itself after each `resumed`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::ProtocolVersion;
use redis::aio::PubSub;
use tokio::sync::watch;

use super::backoff::Backoff;
use super::greeting::{greeting_error, identity};
use super::stream::Connector;
use crate::config::ConnectionConfig;
use crate::error::{Code, Error, Result};

/// A PING goes out this often, because nothing else notices a half-open peer.
const HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(5);

/// A message from a channel.
#[derive(Debug, Clone)]
pub struct Message {
    /// The channel's name.
    pub channel: String,
    /// What was published, as it came: untrusted.
    pub payload: Vec<u8>,
}

type Receive = Box<dyn Fn(Message) + Send + Sync>;
type Resumed = Box<dyn Fn() + Send + Sync>;

/// Starts the subscriber on the current runtime; it ends when `stopped` turns true.
pub(super) fn start(
    connector: Arc<Connector>,
    config: ConnectionConfig,
    channels: Vec<String>,
    receive: Receive,
    resumed: Resumed,
    mut stopped: watch::Receiver<bool>,
) {
    tokio::spawn(async move {
        let listening = listen_forever(&connector, &config, &channels, &receive, &resumed);
        tokio::select! {
            () = listening => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

async fn listen_forever(
    connector: &Connector,
    config: &ConnectionConfig,
    channels: &[String],
    receive: &Receive,
    resumed: &Resumed,
) {
    let mut backoff = Backoff::default();
    loop {
        match subscribe(connector, config, channels).await {
            Ok(subscription) => {
                backoff.reset();
                resumed();
                listen(subscription, receive).await;
                tracing::debug!("the subscription ended, subscribing again");
            }
            Err(error) => tracing::debug!("cannot subscribe, trying again: {error}"),
        }
        tokio::time::sleep(backoff.next_pause()).await;
    }
}

async fn subscribe(
    connector: &Connector,
    config: &ConnectionConfig,
    channels: &[String],
) -> Result<PubSub> {
    let limit = config.connect_timeout;
    let subscribing = async {
        let stream = connector.open().await?;
        // RESP2 serves pub/sub on every server and proxy; nothing here needs RESP3.
        let mut subscription = PubSub::new(&identity(config, ProtocolVersion::RESP2), stream)
            .await
            .map_err(|error| greeting_error(config, error))?;
        subscription.subscribe(channels).await?;
        Ok(subscription)
    };
    tokio::time::timeout(limit, subscribing)
        .await
        .unwrap_or_else(|_| {
            Err(Error::new(
                Code::StoreUnreachable,
                format!("no answer within {} ms", limit.as_millis()),
            ))
        })
}

/// Hands on messages until the link ends or falls silent.
async fn listen(subscription: PubSub, receive: &Receive) {
    let (mut sink, mut messages) = subscription.split();
    let heartbeat = async {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let ping = sink.ping::<redis::Value>();
            if !matches!(tokio::time::timeout(HEARTBEAT_LIMIT, ping).await, Ok(Ok(_))) {
                return;
            }
        }
    };
    let hand_on = async {
        while let Some(message) = messages.next().await {
            receive(Message {
                channel: message.get_channel_name().to_owned(),
                payload: message.get_payload_bytes().to_vec(),
            });
        }
    };
    tokio::select! {
        () = heartbeat => {}
        () = hand_on => {}
    }
}
