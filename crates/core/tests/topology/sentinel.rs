//! The master of a group is found and followed.

use std::time::Duration;

use node_red_cluster_core::connection::{Connection, Lane, Repeat};
use node_red_cluster_testkit::{SentinelGroup, eventually};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use crate::support::ear::{Ear, Event, keys};
use crate::support::{PATIENT, SOON, ask, command, look, open, text, until};

/// How long a failover takes, of which the sentinels need the most.
const FAILOVER: Duration = Duration::from_secs(30);

/// What is promised beyond the sentinels' own time.
const FOLLOWS: Duration = Duration::from_secs(1);

/// The block of an instance that knows these sentinels of a group.
pub(crate) fn block_with(group: &SentinelGroup, sentinels: &[std::net::SocketAddr]) -> Value {
    let list: Vec<Value> = sentinels
        .iter()
        .map(|address| json!({ "host": address.ip().to_string(), "port": address.port() }))
        .collect();
    json!({ "role": "admin", "sentinels": list, "name": group.name() })
}

pub(crate) fn block(group: &SentinelGroup) -> Value {
    block_with(group, &group.sentinel_addresses())
}

async fn group() -> SentinelGroup {
    let builder = SentinelGroup::builder().name("nodered").replicas(1);
    builder.start().await.expect("a group")
}

async fn connected(block: &Value) -> Connection {
    let connection = open(block, PATIENT);
    connection.ready(SOON).await.expect("the master");
    connection
}

/// Writes until one write succeeds, and returns when.
async fn written(connection: &Connection, value: &str) -> Instant {
    let words = ["SET", "written", value];
    let written = eventually("a write", FAILOVER, || async {
        let write = ask(connection, &words).await;
        write.is_ok().then(Instant::now)
    });
    written.await.expect("a write after the failover")
}

#[tokio::test]
async fn requests_go_to_the_master_that_the_sentinels_name() {
    let group = group().await;
    let connection = connected(&block(&group)).await;
    ask(&connection, &["SET", "a", "1"]).await.expect("a reply");
    let master = group.master().await.expect("a master");
    assert_eq!(text(master, &["GET", "a"]).await.as_deref(), Some("1"));
    let described = connection.describe();
    assert!(
        described.starts_with("group nodered of sentinels 127.0.0.1:"),
        "{described}"
    );
}

#[tokio::test]
async fn a_master_that_was_killed_is_replaced_within_a_second_of_the_sentinels() {
    let mut group = group().await;
    let connection = connected(&block(&group)).await;
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Established(1)).await;
    let (sender, mut messages) = unbounded_channel();
    let receive = move |message| sender.send(message).expect("a listener");
    connection
        .subscribe(vec!["news".into()], receive, || {})
        .expect("a subscription");

    let before = group.current_master_address().await.expect("a master");
    let old = group.master_index().await.expect("a master");
    group.server_mut(old).kill().await.expect("killed");
    let (write, new) = tokio::join!(written(&connection, "after"), async {
        let new = group.other_master_than(before).await.expect("another");
        (new, Instant::now())
    });
    let (new, switched) = new;
    let late = write.saturating_duration_since(switched);
    assert!(late < FOLLOWS, "{late:?} after the sentinels");
    let master = group.server(new);
    assert_eq!(
        text(master, &["GET", "written"]).await.as_deref(),
        Some("after")
    );

    until("tracking at the new master", async || {
        matches!(ear.last(), Some(Event::Established(_)))
    })
    .await;
    assert!(ear.events().contains(&Event::Lost));
    ear.forget();
    look(master, &["SET", "n:a", "1"]).await;
    ear.until_last(keys("n:a")).await;
    // Published again and again: one that meets a session just being replaced is lost, as pub/sub promises no more.
    until("a message of the new master", || {
        let received = messages
            .try_recv()
            .is_ok_and(|message| message.payload == b"hello");
        async move {
            look(master, &["PUBLISH", "news", "hello"]).await;
            received
        }
    })
    .await;
}

#[tokio::test]
async fn a_master_that_froze_is_left_and_gets_no_write_when_it_comes_back() {
    let group = group().await;
    let connection = connected(&block(&group)).await;
    ask(&connection, &["SET", "written", "before"])
        .await
        .expect("a reply");
    let before = group.current_master_address().await.expect("a master");
    let old = group.master_index().await.expect("a master");
    group.server(old).pause().expect("frozen");
    let (write, new) = tokio::join!(written(&connection, "after"), async {
        let new = group.other_master_than(before).await.expect("another");
        (new, Instant::now())
    });
    let (new, switched) = new;
    let late = write.saturating_duration_since(switched);
    assert!(late < FOLLOWS, "{late:?} after the sentinels");
    let epoch = *connection.epochs().borrow();

    group.server(old).resume().expect("goes on");
    group.settled().await.expect("the old one as a replica");
    ask(&connection, &["SET", "written", "at last"])
        .await
        .expect("a reply");
    assert_eq!(
        *connection.epochs().borrow(),
        epoch,
        "the link stays where it is"
    );
    let master = group.server(new);
    assert_eq!(
        text(master, &["GET", "written"]).await.as_deref(),
        Some("at last")
    );
}

#[tokio::test]
async fn a_failover_on_demand_ends_no_request() {
    let group = group().await;
    let connection = connected(&block(&group)).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let load = tokio::spawn({
        let connection = connection.clone();
        async move {
            let mut count = 0;
            while stopped.try_recv().is_err() {
                count += 1;
                let value = count.to_string();
                ask(&connection, &["SET", "count", &value])
                    .await
                    .expect("a write");
            }
            count
        }
    });
    let new = group.failover().await.expect("a failover");
    group.settled().await.expect("settled");
    // What the old one took after the promotion is lost; what is written now is not.
    ask(&connection, &["SET", "last", "yes"])
        .await
        .expect("a write");
    stop.send(()).expect("the load runs");
    assert!(load.await.expect("no write failed") > 0);
    assert_eq!(
        text(group.server(new), &["GET", "last"]).await.as_deref(),
        Some("yes")
    );
    let bulk = command(&["GET", "last"]);
    let bulk: String = connection
        .run(Lane::Bulk, &bulk, Repeat::Safe)
        .await
        .expect("bulk");
    assert_eq!(bulk, "yes");
}

#[tokio::test]
async fn the_master_is_found_with_one_sentinel_left_and_after_all_configured_ones_have_gone() {
    let mut group = group().await;
    let addresses = group.sentinel_addresses();
    group.sentinel_mut(0).kill().await.expect("killed");
    // Two that are dead, one of them never was, and one that answers.
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let known = [nobody, addresses[0], addresses[1]];
    let connection = connected(&block_with(&group, &known)).await;

    // The others are known by now.
    group.sentinel_mut(1).kill().await.expect("killed");
    let master = group.master_index().await.expect("a master");
    look(group.server(master), &["CLIENT", "KILL", "TYPE", "normal"]).await;
    ask(&connection, &["SET", "found", "yes"])
        .await
        .expect("the third sentinel knows");
}

#[tokio::test]
async fn sentinels_that_move_are_followed() {
    let mut group = group().await;
    let connection = connected(&block(&group)).await;
    for _ in 0..2 {
        group.add_sentinel().await.expect("one more");
    }
    group.settled().await.expect("settled");
    // A link that was lost is when the new ones are learnt.
    let master = group.master_index().await.expect("a master");
    look(group.server(master), &["CLIENT", "KILL", "TYPE", "normal"]).await;
    ask(&connection, &["PING"]).await.expect("a reply");
    for _ in 0..2 {
        group.remove_sentinel(0).await.expect("gone");
    }
    let before = group.current_master_address().await.expect("a master");
    group.server_mut(master).kill().await.expect("killed");
    let (write, new) = tokio::join!(written(&connection, "after"), async {
        group.other_master_than(before).await.expect("another");
        Instant::now()
    });
    let late = write.saturating_duration_since(new);
    assert!(late < FOLLOWS, "{late:?} after the sentinels");
}
