//! What a subscription tells, in order.

use std::time::Duration;

use node_red_cluster_core::connection::{Connection, Message};
use node_red_cluster_testkit::Server;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::support::{look, text};

/// Longest time until a silent peer is noticed: the heartbeat's interval and limit, and slack for a
/// busy machine.
pub(crate) const NOTICED: Duration = Duration::from_secs(10);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Resumed,
    Message(String, String),
}

/// What one subscription told and nobody has looked at yet.
pub(crate) struct Events(UnboundedReceiver<Event>);

impl Events {
    pub(crate) fn of(connection: &Connection, channels: &[&str]) -> Self {
        let (sender, receiver) = unbounded_channel();
        let messages = sender.clone();
        let receive = move |message: Message| {
            let payload = String::from_utf8(message.payload).expect("text");
            let _ = messages.send(Event::Message(message.channel, payload));
        };
        let resumed = move || {
            let _ = sender.send(Event::Resumed);
        };
        let channels = channels.iter().map(|&channel| channel.to_owned()).collect();
        connection
            .subscribe(channels, receive, resumed)
            .expect("a subscription");
        Self(receiver)
    }

    /// One that was told of its beginning.
    pub(crate) async fn begun(connection: &Connection, channels: &[&str]) -> Self {
        let mut events = Self::of(connection, channels);
        assert_eq!(events.next().await, Event::Resumed);
        events
    }

    pub(crate) async fn next(&mut self) -> Event {
        timeout(NOTICED, self.0.recv())
            .await
            .expect("in time")
            .expect("a subscriber")
    }

    /// Whether it told nothing since the last look.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until the subscription is forgotten, with all that it owns.
    pub(crate) async fn end(&mut self) {
        let last = timeout(NOTICED, self.0.recv()).await.expect("in time");
        assert_eq!(last, None);
    }
}

pub(crate) fn message(channel: &str, payload: &str) -> Event {
    Event::Message(channel.to_owned(), payload.to_owned())
}

/// Publishes to the one socket that subscribes to the channel.
pub(crate) async fn publish(server: &Server, channel: &str, payload: &str) {
    let heard = look(server, &["PUBLISH", channel, payload]).await.integer();
    assert_eq!(heard, Some(1), "one subscriber");
}

/// The ids of the clients that subscribe.
pub(crate) async fn subscriptions(server: &Server) -> Vec<String> {
    let clients = text(server, &["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    clients
        .unwrap_or_default()
        .lines()
        .filter_map(|client| client.split_whitespace().next().map(str::to_owned))
        .collect()
}
