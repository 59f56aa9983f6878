//! Pub/sub: messages in order, and a call whenever some may have been missed.

use node_red_cluster_testkit::{Direction, Proxy, Server, eventually};

use crate::events::{Event, Events, NOTICED, message, publish, subscriptions};
use crate::support::{connect, look, text, until};

#[tokio::test]
async fn messages_come_in_order_from_all_channels() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut events = Events::of(&connection, &["a", "b"]);
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
    let mut events = Events::of(&connection, &["a", "b"]);
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
    let mut events = Events::of(&connection, &["a", "b"]);
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
    let mut events = Events::of(&connection, &["a", "b"]);
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
    let mut events = Events::of(&connection, &["a", "b"]);
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
    let mut events = Events::of(&connection, &["a", "b"]);
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
    let mut events = Events::of(&connection, &["a", "b"]);
    assert_eq!(events.next().await, Event::Resumed);
    connection.close();
    until("the end of the subscription", async || {
        subscriptions(&server).await.is_empty()
    })
    .await;
    events.end().await;
}
