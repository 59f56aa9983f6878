//! Plain writes: keys, order, atomicity, bounds.

use std::time::Duration;

use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::{Server, Value};
use serde_json::json;

use crate::process::Process;
use crate::support::{access, look, text, until};

#[tokio::test]
async fn a_property_is_a_key_of_the_contract_with_json_in_it() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    process.set("global", "a", Some("{\"b\":1}")).await.unwrap();
    process.set("f1", "a", Some("1")).await.unwrap();
    process.set("n1:f1", "a", Some("\"x\"")).await.unwrap();
    for (key, value) in [
        ("nodered:context:global:a", "{\"b\":1}"),
        ("nodered:context:flow:f1:a", "1"),
        ("nodered:context:node:n1:f1:a", "\"x\""),
    ] {
        assert_eq!(text(&server, &["GET", key]).await.as_deref(), Some(value));
    }
    process.set("global", "a", None).await.unwrap();
    assert!(
        look(&server, &["GET", "nodered:context:global:a"])
            .await
            .is_nil()
    );
}

/// Waits until the store's clock has gone on for longer than two processes may differ about it: each knows it as
/// well as its greeting was quick.
async fn a_moment_later(server: &Server) {
    let time = async || -> Duration {
        let reply = look(server, &["TIME"]).await;
        let Value::Array(parts) = reply else {
            panic!("a time: {reply:?}");
        };
        let part = |index: usize| parts[index].text().and_then(|text| text.parse().ok());
        Duration::from_secs(part(0).unwrap()) + Duration::from_micros(part(1).unwrap())
    };
    let begun = time().await;
    until("a moment later", async || {
        time().await > begun + Duration::from_millis(300)
    })
    .await;
}

#[tokio::test]
async fn names_come_in_the_order_in_which_properties_were_first_set() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    let other = Process::open(server.address()).await;
    for name in ["z", "b", "a"] {
        process.put(name, "1").unwrap();
    }
    process.set("global", "b", Some("2")).await.unwrap();
    a_moment_later(&server).await;
    other.set("global", "c", Some("1")).await.unwrap();
    assert_eq!(process.names("global").await, ["z", "b", "a", "c"]);
    a_moment_later(&server).await;
    process.set("global", "z", None).await.unwrap();
    process.set("global", "z", Some("1")).await.unwrap();
    assert_eq!(other.names("global").await, ["b", "a", "c", "z"]);
    assert_eq!(other.names("f1").await, [""; 0]);
}

#[tokio::test]
async fn names_that_are_set_together_keep_the_order_in_which_they_were_given() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    let one = Some("1");
    process
        .change("global", &[("z", one), ("b.c", one), ("a", one)])
        .await
        .unwrap();
    process
        .change("f1", &[("z", one), ("b", one), ("a", one)])
        .await
        .unwrap();
    process.set("f1", "0", one).await.unwrap();
    assert_eq!(process.names("global").await, ["z", "b", "a"]);
    assert_eq!(process.names("f1").await, ["z", "b", "a", "0"]);
}

#[tokio::test]
async fn what_is_written_is_read_at_once_by_who_wrote_it() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    for round in 0..200 {
        process.put("n", &round.to_string()).unwrap();
        let read = process.read("global", "n").await.unwrap();
        assert_eq!(read, Some(round.to_string()));
        process.put(&format!("k{round}"), "1").unwrap();
        assert_eq!(process.names("global").await.len(), round + 2);
    }
}

#[tokio::test]
async fn properties_that_are_set_together_land_together() {
    let server = access::server().await;
    let writer = Process::open(server.address()).await;
    writer
        .change("global", &[("a", Some("0")), ("b", Some("0"))])
        .await
        .unwrap();
    for round in 1..100 {
        let value = round.to_string();
        let both = [("a", Some(value.as_str())), ("b", Some(value.as_str()))];
        let (written, seen) = tokio::join!(
            writer.change("global", &both),
            look(
                &server,
                &[
                    "MGET",
                    "nodered:context:global:a",
                    "nodered:context:global:b"
                ]
            ),
        );
        written.unwrap();
        assert_eq!(seen.elements()[0].text(), seen.elements()[1].text());
    }
}

#[tokio::test]
async fn large_values_are_compressed_where_that_is_on_and_read_in_any_case() {
    let server = access::server().await;
    let packed = Process::with(server.address(), json!({ "enableCompression": true })).await;
    let plain = Process::open(server.address()).await;
    let large = format!("\"{}\"", "x".repeat(100_000));
    packed.set("global", "a", Some(&large)).await.unwrap();
    let stored = look(&server, &["STRLEN", "nodered:context:global:a"]).await;
    assert!(stored.integer().unwrap() < 10_000);
    assert_eq!(
        plain.read("global", "a").await.unwrap().as_deref(),
        Some(large.as_str())
    );
    packed.set("global", "a", Some("1")).await.unwrap();
    assert_eq!(
        plain.read("global", "a").await.unwrap().as_deref(),
        Some("1")
    );
}

#[tokio::test]
async fn too_large_a_value_is_refused_with_its_name_and_the_limit() {
    let server = access::server().await;
    let process = Process::with(server.address(), json!({ "maxValueBytes": 2000 })).await;
    let large = format!("\"{}\"", "x".repeat(2000));
    let error = process
        .set("global", "big", Some(&large))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::ValueTooLarge);
    assert!(
        error.message().contains("big") && error.message().contains("2000"),
        "{error}"
    );
    let half = format!("\"{}\"", "x".repeat(1500));
    process
        .change("global", &[("o.a", Some(&half))])
        .await
        .unwrap();
    let error = process
        .change("global", &[("o.b", Some(&half))])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::ValueTooLarge);
}

#[tokio::test]
async fn a_full_store_refuses_what_it_must_and_the_process_says_so() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    process.set("global", "a", Some("1")).await.unwrap();
    look(
        &server,
        &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
    )
    .await;
    look(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = process.set("global", "a", Some("2")).await.unwrap_err();
    assert_eq!(error.code(), Code::StoreOutOfMemory);
    let error = process
        .change("global", &[("o.a", Some("2"))])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::StoreOutOfMemory);
    assert_eq!(
        process.read("global", "a").await.unwrap().as_deref(),
        Some("1")
    );
    process.put("a", "3").unwrap();
    until("the error is counted", async || {
        process.context.counters().write_errors == 3
    })
    .await;
    look(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    process.set("global", "a", Some("4")).await.unwrap();
}

#[tokio::test]
async fn a_replica_is_named_as_what_it_is() {
    let primary = access::server().await;
    let replica = access::guarded(Server::builder())
        .replica_of(&primary)
        .start()
        .await
        .unwrap();
    let process = Process::with(replica.address(), json!({ "timeout": 500 })).await;
    let error = process.set("global", "a", Some("1")).await.unwrap_err();
    assert_eq!(error.code(), Code::StoreReadOnly, "{error}");
}
