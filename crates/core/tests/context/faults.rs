//! Broken links and stores that are away, in the middle of writes.

use std::time::Duration;

use node_red_cluster_core::context::operation::Operation;
use node_red_cluster_core::error::Code;
use node_red_cluster_core::keyspace::Scope;
use node_red_cluster_testkit::{Direction, Proxy};
use serde_json::json;

use crate::process::Process;
use crate::support::{access, look, text, until};

#[tokio::test]
async fn an_increment_whose_reply_was_lost_is_counted_once() {
    let server = access::server().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let process = Process::open(proxy.address()).await;
    // The script is known to the server, so that its first reply is that of the increment.
    process
        .operate("n", Operation::Increment(0.0))
        .await
        .unwrap();
    for round in 1..=5 {
        proxy.blackhole(Direction::ToClient);
        let expected = round.to_string();
        let (result, ()) = tokio::join!(process.operate("n", Operation::Increment(1.0)), async {
            until("the increment", async || {
                text(&server, &["GET", "nodered:context:global:n"])
                    .await
                    .as_deref()
                    == Some(&expected)
            })
            .await;
            proxy.cut().await;
            proxy.heal().await.unwrap();
        });
        assert_eq!(result.unwrap(), Some(expected));
    }
    assert_eq!(
        process.read("global", "n").await.unwrap().as_deref(),
        Some("5")
    );
}

#[tokio::test]
async fn an_increment_of_which_nobody_can_be_asked_is_not_called_failed() {
    let server = access::server().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let process = Process::with(proxy.address(), json!({ "timeout": 1000 })).await;
    process
        .operate("n", Operation::Increment(0.0))
        .await
        .unwrap();
    proxy.blackhole(Direction::ToClient);
    let (result, ()) = tokio::join!(process.operate("n", Operation::Increment(1.0)), async {
        until("the increment", async || {
            let stored = text(&server, &["GET", "nodered:context:global:n"]).await;
            stored.as_deref() == Some("1")
        })
        .await;
        proxy.refuse().await;
        proxy.cut().await;
    });
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::OutcomeUnknown, "{error}");
}

#[tokio::test]
async fn an_increment_that_never_arrived_is_repeated() {
    let server = access::server().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let process = Process::open(proxy.address()).await;
    proxy.blackhole(Direction::ToServer);
    let (result, ()) = tokio::join!(process.operate("n", Operation::Increment(1.0)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.cut().await;
        proxy.heal().await.unwrap();
    });
    assert_eq!(result.unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_when_the_store_is_back() {
    let mut server = access::server().await;
    let process = Process::with(server.address(), json!({ "timeout": 300 })).await;
    server.stop().await.unwrap();
    for round in 0..5000 {
        process.put("n", &round.to_string()).unwrap();
        process.put("m", &round.to_string()).unwrap();
    }
    // The newest of each, beside what was on its way when the store went.
    assert!(process.context.counters().pending_writes <= 4);
    tokio::time::sleep(Duration::from_millis(600)).await;
    server.start().await.unwrap();
    until("the write", async || {
        text(&server, &["GET", "nodered:context:global:n"])
            .await
            .as_deref()
            == Some("4999")
    })
    .await;
    assert_eq!(process.context.counters().write_errors, 0);
}

#[tokio::test]
async fn a_write_whose_caller_was_told_that_it_failed_does_not_happen_later() {
    let mut server = access::server().await;
    let process = Process::with(server.address(), json!({ "timeout": 300 })).await;
    server.stop().await.unwrap();
    let error = process.set("global", "a", Some("1")).await.unwrap_err();
    assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
    let error = process
        .operate("n", Operation::Increment(1.0))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
    server.start().await.unwrap();
    until("the store", async || {
        process.set("global", "b", Some("1")).await.is_ok()
    })
    .await;
    assert_eq!(process.names("global").await, ["b"]);
    assert!(
        look(&server, &["GET", "nodered:context:global:n"])
            .await
            .is_nil()
    );
}

#[tokio::test]
async fn more_than_may_wait_is_refused_and_with_a_callback_it_waits() {
    let mut server = access::server().await;
    let options = json!({ "timeout": 5000, "maxPendingWrites": 10 });
    let process = Process::with(server.address(), options).await;
    server.stop().await.unwrap();
    let refused = (0..50).find_map(|number| process.put(&number.to_string(), "1").err());
    assert_eq!(refused.unwrap().code(), Code::TooManyPendingWrites);
    let (written, ()) = tokio::join!(process.set("global", "patient", Some("1")), async {
        server.start().await.unwrap();
    });
    written.unwrap();
}

#[tokio::test]
async fn a_lost_link_ends_what_was_kept() {
    let server = access::server().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let process = Process::open(proxy.address()).await;
    let kept_under = process.fetch("global", "a").await.generation;
    proxy.cut().await;
    until("another generation", async || {
        !process.context.counters().near_cache
            || process.fetch("global", "a").await.generation != kept_under
    })
    .await;
    proxy.heal().await.unwrap();
    until("changes are heard of again", async || {
        process.context.counters().near_cache
    })
    .await;
    assert_ne!(process.fetch("global", "a").await.generation, kept_under);
}

#[tokio::test]
async fn a_peer_that_fell_silent_is_not_trusted_for_long() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    server.pause().unwrap();
    until("nothing is served any more", async || {
        !process.context.counters().near_cache
    })
    .await;
    server.resume().unwrap();
    until("changes are heard of again", async || {
        process.context.counters().near_cache
    })
    .await;
}

#[tokio::test]
async fn closing_delivers_what_is_on_its_way_and_ends_what_is_asked_later() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    for number in 0..2000 {
        process.put(&number.to_string(), "1").unwrap();
    }
    tokio::join!(process.context.close(), process.context.close());
    let count = look(&server, &["ZCARD", "nodered:context-names:global"]).await;
    assert_eq!(count.integer(), Some(2000));
    assert_eq!(process.put("a", "1").unwrap_err().code(), Code::Closed);
    assert_eq!(
        process.read("global", "a").await.unwrap_err().code(),
        Code::Closed
    );
    let read = process
        .context
        .read_now(&Scope::new("global"), vec!["a".to_owned()]);
    assert_eq!(read.unwrap_err().code(), Code::Closed);
}
