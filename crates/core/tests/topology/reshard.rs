//! The slot of our keys moves to another node while it is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use node_red_cluster_core::connection::{Connection, Lane, Repeat, Request};
use node_red_cluster_core::context::near::NOT_KEPT;
use node_red_cluster_core::context::operation::Operation;
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::StoreCluster;
use serde_json::json;

use crate::cluster::{KEY, block, connected, owner};
use crate::process::{Process, settings};
use crate::support::ear::{Ear, Event, keys};
use crate::support::{BRIEF, SOON, ask, look, open, text, until};

const BOTH: &str = "return {redis.call('INCR', KEYS[1]), redis.call('INCR', KEYS[2])}";

async fn small() -> StoreCluster {
    let builder = StoreCluster::builder().replicas(0);
    builder.start().await.expect("a cluster")
}

async fn both(connection: &Connection) -> node_red_cluster_core::error::Result<(i64, i64)> {
    let request = Request::Script {
        script: BOTH,
        keys: vec!["{nodered}:one".into(), "{nodered}:other".into()],
        arguments: Vec::new(),
    };
    connection
        .run(Lane::Commands, &request, Repeat::Never)
        .await
}

#[tokio::test]
async fn under_load_nothing_fails_and_nothing_is_lost_or_done_twice() {
    let cluster = small().await;
    let connection = connected(&block(&cluster)).await;
    let slot = cluster.slot_of(KEY).await.expect("a slot");
    for number in 0..300 {
        let key = format!("{{nodered}}:filler:{number}");
        ask(&connection, &["SET", &key, "x"])
            .await
            .expect("a reply");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (connection, stop) = (connection.clone(), Arc::clone(&stop));
        async move {
            let mut count = 0;
            while !stop.load(Ordering::SeqCst) {
                count += 1;
                let key = format!("{{nodered}}:load:{}", count % 50);
                let value = count.to_string();
                ask(&connection, &["SET", &key, &value])
                    .await
                    .expect("a write");
                let read = ask(&connection, &["GET", &key]).await.expect("a read");
                assert_eq!(read, Some(value));
                // Without repeating: done once, or the test fails.
                assert_eq!(both(&connection).await.expect("a script"), (count, count));
            }
            count
        }
    });
    let mut place = owner(&cluster, KEY).await;
    for _ in 0..4 {
        place = (place + 1) % 3;
        cluster.move_slot(slot, place).await.expect("moved");
        cluster.settled().await.expect("settled");
    }
    stop.store(true, Ordering::SeqCst);
    let count = load.await.expect("nothing failed");
    let node = cluster.node(place);
    let counted = text(node, &["GET", "{nodered}:one"]).await;
    assert_eq!(counted, Some(count.to_string()));
    let filler = text(node, &["GET", "{nodered}:filler:299"]).await;
    assert_eq!(filler.as_deref(), Some("x"));
}

#[tokio::test]
async fn half_way_reads_are_right_and_nothing_is_kept() {
    let cluster = small().await;
    let connection = connected(&block(&cluster)).await;
    let ear = Ear::on(&connection, &["{nodered}:"]);
    ear.until_last(Event::Established(1)).await;
    for key in ["{nodered}:one", "{nodered}:other"] {
        ask(&connection, &["SET", key, "1"]).await.expect("a reply");
    }
    let slot = cluster.slot_of(KEY).await.expect("a slot");
    let to = (owner(&cluster, KEY).await + 1) % 3;
    let step = cluster.begin_move(slot, to).await.expect("begun");
    // Noticed without any request: the server says nothing of what happens at the other one.
    ear.until_last(Event::Lost).await;
    assert_eq!(cluster.move_keys(step, 1).await.expect("one key"), 1);
    for key in ["{nodered}:one", "{nodered}:other"] {
        let read = ask(&connection, &["GET", key]).await.expect("a read");
        assert_eq!(read.as_deref(), Some("1"), "{key}");
    }
    ask(&connection, &["SET", "{nodered}:new", "there"])
        .await
        .expect("a write");
    let mut there = cluster.node(to).connect().await.expect("the other node");
    there.command(&["ASKING"]).await.expect("asking");
    let made = there
        .command(&["GET", "{nodered}:new"])
        .await
        .expect("a value");
    assert_eq!(made.text(), Some("there"));
    // Both keys of a script have to be at one place.
    let brief = open(&block(&cluster), BRIEF);
    brief.ready(SOON).await.expect("the owner");
    let error = both(&brief).await.expect_err("half moved");
    assert_eq!(error.code(), Code::StoreNotReady, "{error}");
    let established = |event: &&Event| matches!(event, Event::Established(_));
    assert_eq!(ear.events().iter().filter(established).count(), 1);
    assert_eq!(*connection.epochs().borrow(), 1);

    while cluster.move_keys(step, 10).await.expect("keys") > 0 {}
    cluster.finish_move(step).await.expect("finished");
    until(
        "the new owner",
        async || matches!(ear.last(), Some(Event::Established(epoch)) if epoch > 1),
    )
    .await;
    assert_eq!(both(&connection).await.expect("a script"), (2, 2));
    ear.forget();
    look(cluster.node(to), &["SET", KEY, "1"]).await;
    ear.until_last(keys(KEY)).await;
}

#[tokio::test]
async fn a_move_that_was_cancelled_leaves_everything_as_it_was() {
    let cluster = small().await;
    let connection = connected(&block(&cluster)).await;
    let ear = Ear::on(&connection, &["{nodered}:"]);
    ear.until_last(Event::Established(1)).await;
    let slot = cluster.slot_of(KEY).await.expect("a slot");
    let to = (owner(&cluster, KEY).await + 1) % 3;
    let step = cluster.begin_move(slot, to).await.expect("begun");
    ask(&connection, &["SET", KEY, "there"])
        .await
        .expect("a write");
    ear.until_last(Event::Lost).await;
    cluster.cancel_move(step).await.expect("cancelled");
    ear.until_last(Event::Established(1)).await;
    ask(&connection, &["SET", KEY, "here"])
        .await
        .expect("a write");
}

#[tokio::test]
async fn context_is_shared_and_counted_exactly_while_its_slot_moves() {
    let cluster = small().await;
    let options = || json!({ "cluster": block(&cluster)["cluster"] });
    let address = cluster.addresses()[0];
    let begin = || Process::begin(settings(address, options()), None);
    let (one, other) = (begin(), begin());
    for process in [&one, &other] {
        until("a near cache", async || {
            process.context.counters().near_cache
        })
        .await;
    }
    one.set("global", "seen", Some("0")).await.expect("a set");
    until("kept", async || {
        other.fetch("global", "seen").await.generation != NOT_KEPT
    })
    .await;
    let stop = AtomicBool::new(false);
    let count = async |process: &Process| {
        let mut count = 0_u32;
        while !stop.load(Ordering::SeqCst) {
            let add = Operation::Increment(1.0);
            process.operate("count", add).await.expect("an increment");
            count += 1;
        }
        count
    };
    let moves = async {
        let slot = cluster.slot_of(KEY).await.expect("a slot");
        let mut place = owner(&cluster, KEY).await;
        for _ in 0..3 {
            place = (place + 1) % 3;
            cluster.move_slot(slot, place).await.expect("moved");
            cluster.settled().await.expect("settled");
        }
        stop.store(true, Ordering::SeqCst);
    };
    let (by_one, by_other, ()) = tokio::join!(count(&one), count(&other), moves);
    let total = (by_one + by_other).to_string();
    let read = one.read("global", "count").await.expect("a read");
    assert_eq!(read.as_deref(), Some(total.as_str()));

    // Changes are heard of again, and a kept value is never the old one.
    until("kept again", async || {
        other.fetch("global", "seen").await.generation != NOT_KEPT
    })
    .await;
    other.context.take_invalidated();
    one.set("global", "seen", Some("1")).await.expect("a set");
    until("the change", async || {
        let changed = other.context.take_invalidated();
        changed.iter().any(|(_, name)| name == "seen")
    })
    .await;
    assert_eq!(
        other
            .read("global", "seen")
            .await
            .expect("a read")
            .as_deref(),
        Some("1")
    );
}
