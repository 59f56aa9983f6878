//! Pub/sub: messages in order, and a call whenever some may have been missed.

use std::time::Duration;

use node_red_cluster_core::connection::{Connection, Message};
use node_red_cluster_testkit::{Direction, Proxy, Server, eventually};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::support::{SOON, connect, look, text, until};

/// Longest time until a silent peer is noticed: the heartbeat's interval and limit, and slack for a
/// busy machine.
const NOTICED: Duration = Duration::from_secs(18);

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Resumed,
    Message(String, String),
}

/// What the subscriber of the channels `a` and `b` tells.
struct Events(UnboundedReceiver<Event>);

impl Events {
    fn of(connection: &Connection) -> Self {
        let (sender, receiver) = unbounded_channel();
        let messages = sender.clone();
        let receive = move |message: Message| {
            let payload = String::from_utf8(message.payload).expect("text");
            let _ = messages.send(Event::Message(message.channel, payload));
        };
        let resumed = move || {
            let _ = sender.send(Event::Resumed);
        };
        connection
            .subscribe(vec!["a".to_owned(), "b".to_owned()], receive, resumed)
            .expect("a subscription");
        Self(receiver)
    }

    async fn next(&mut self) -> Event {
        timeout(NOTICED, self.0.recv())
            .await
            .expect("in time")
            .expect("a subscriber")
    }
}

fn message(channel: &str, payload: &str) -> Event {
    Event::Message(channel.to_owned(), payload.to_owned())
}

async fn publish(server: &Server, channel: &str, payload: &str) {
    let heard = look(server, &["PUBLISH", channel, payload]).await.integer();
    assert_eq!(heard, Some(1), "one subscriber");
}

#[tokio::test]
async fn messages_come_in_order_from_all_channels() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut events = Events::of(&connection);
    assert_eq!(events.next().await, Event::Resumed);
    for number in 0..100 {
        let channel = if number % 2 == 0 { "a" } else { "b" };
        publish(&server, channel, &number.to_string()).await;
    }
    for number in 0..100 {
        let channel = if number % 2 == 0 { "a" } else { "b" };
        assert_eq!(events.next().await, message(channel, &number.to_string()));
    }
}

#[tokio::test]
async fn a_killed_subscription_is_resumed_and_says_so() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut events = Events::of(&connection);
    assert_eq!(events.next().await, Event::Resumed);
    for round in 0..3 {
        look(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(events.next().await, Event::Resumed);
        publish(&server, "b", &round.to_string()).await;
        assert_eq!(events.next().await, message("b", &round.to_string()));
    }
    assert_eq!(
        *connection.epochs().borrow(),
        1,
        "commands were not touched"
    );
}

#[tokio::test]
async fn a_subscription_outlives_a_restart_of_the_store() {
    let mut server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut events = Events::of(&connection);
    assert_eq!(events.next().await, Event::Resumed);
    server.kill().await.expect("killed");
    server.start().await.expect("started");
    assert_eq!(events.next().await, Event::Resumed);
    publish(&server, "a", "after").await;
    assert_eq!(events.next().await, message("a", "after"));
}

#[tokio::test]
async fn a_subscription_outlives_a_cut() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let connection = connect(proxy.address()).await;
    let mut events = Events::of(&connection);
    assert_eq!(events.next().await, Event::Resumed);
    proxy.cut().await;
    assert_eq!(events.next().await, Event::Resumed);
    publish(&server, "a", "after").await;
    assert_eq!(events.next().await, message("a", "after"));
}

#[tokio::test]
async fn a_half_open_subscription_is_noticed() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let connection = connect(proxy.address()).await;
    let mut events = Events::of(&connection);
    assert_eq!(events.next().await, Event::Resumed);
    let before = subscriptions(&server).await;
    assert_eq!(before.len(), 1);

    proxy.blackhole(Direction::ToClient);
    publish(&server, "a", "withheld").await;
    // The client ends its half when it gives up, which the proxy passes on.
    eventually("the old subscription ends", NOTICED, async || {
        let now = subscriptions(&server).await;
        (!now.contains(&before[0])).then_some(())
    })
    .await
    .expect("noticed");
    proxy.heal().await.expect("healed");
    assert_eq!(events.next().await, Event::Resumed);
    publish(&server, "a", "after").await;
    assert_eq!(events.next().await, message("a", "after"));
}

#[tokio::test]
async fn a_quiet_subscription_is_kept() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut events = Events::of(&connection);
    assert_eq!(events.next().await, Event::Resumed);
    let before = subscriptions(&server).await;
    eventually("a heartbeat", NOTICED, async || {
        let clients = text(&server, &["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        clients?.contains(" cmd=ping ").then_some(())
    })
    .await
    .expect("a heartbeat");
    publish(&server, "a", "after").await;
    assert_eq!(events.next().await, message("a", "after"));
    assert_eq!(subscriptions(&server).await, before);
}

#[tokio::test]
async fn a_subscription_ends_with_the_connection() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut events = Events::of(&connection);
    assert_eq!(events.next().await, Event::Resumed);
    connection.close();
    until("the end of the subscription", async || {
        subscriptions(&server).await.is_empty()
    })
    .await;
    assert_eq!(timeout(SOON, events.0.recv()).await.expect("in time"), None);
}

/// The ids of the clients that subscribe.
async fn subscriptions(server: &Server) -> Vec<String> {
    let clients = text(server, &["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    clients
        .unwrap_or_default()
        .lines()
        .filter_map(|client| client.split_whitespace().next().map(str::to_owned))
        .collect()
}
