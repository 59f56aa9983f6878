//! Reads, and what may be kept of them.

use node_red_cluster_core::context::near::NOT_KEPT;
use node_red_cluster_core::error::Code;
use node_red_cluster_core::keyspace::Scope;
use serde_json::json;

use crate::process::Process;
use crate::support::{access, look, server_knows, until};

fn has_changed(process: &Process, name: &str) -> bool {
    let changed = process.context.take_invalidated();
    changed.contains(&(Scope::new("global"), name.to_owned()))
}

#[tokio::test]
async fn a_change_by_another_process_is_heard_of_and_an_own_one_is_not() {
    let server = access::server().await;
    let one = Process::open(server.address()).await;
    let other = Process::open(server.address()).await;
    assert_ne!(one.fetch("global", "a").await.generation, NOT_KEPT);
    other.set("global", "a", Some("1")).await.unwrap();
    until("the change", async || has_changed(&one, "a")).await;
    one.set("global", "a", Some("2")).await.unwrap();
    until("the change", async || has_changed(&other, "a")).await;
    // Before 7.0 a server may take a foreign change for an own one, so own ones are heard of there too.
    assert!(!has_changed(&one, "a") || !server_knows(7, 0));
}

#[tokio::test]
async fn changes_by_operators_and_an_emptied_store_are_heard_of() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    look(&server, &["SET", "nodered:context:global:a", "5"]).await;
    until("the change", async || has_changed(&process, "a")).await;
    assert_eq!(
        process.read("global", "a").await.unwrap().as_deref(),
        Some("5")
    );
    let kept_under = process.fetch("global", "a").await.generation;
    look(&server, &["FLUSHALL"]).await;
    until("another generation", async || {
        process.fetch("global", "a").await.generation != kept_under
    })
    .await;
    assert_eq!(process.read("global", "a").await.unwrap(), None);
}

#[tokio::test]
async fn two_stores_of_one_process_hear_of_each_other() {
    let server = access::server().await;
    let settings = crate::process::settings(server.address(), json!({}));
    let one = Process::begin(settings.clone(), None);
    let other = Process::begin(settings, None);
    for process in [&one, &other] {
        until("changes are heard of", async || {
            process.context.counters().near_cache
        })
        .await;
    }
    one.set("global", "a", Some("1")).await.unwrap();
    until("the change", async || has_changed(&other, "a")).await;
    one.context.close().await;
    assert_eq!(
        other.read("global", "a").await.unwrap().as_deref(),
        Some("1")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_read_gets_all_its_values_and_sees_writes_before_it() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    process.put("a", "1").unwrap();
    process
        .context
        .change(
            None,
            &Scope::new("global"),
            vec![("o.x".to_owned(), Some("2".to_owned()))],
        )
        .unwrap();
    let names = vec!["o".to_owned(), "a".to_owned(), "none".to_owned()];
    let values = tokio::task::block_in_place(|| {
        process
            .context
            .read_now(&Scope::new("global"), names)
            .unwrap()
    });
    let texts: Vec<_> = values.iter().map(|(text, _)| text.as_deref()).collect();
    assert_eq!(texts, [Some("{\"x\":2}"), Some("1"), None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_read_leaves_in_time_and_fails_at_once_where_the_link_is_known_to_be_down() {
    let mut server = access::server().await;
    let process = Process::with(server.address(), json!({ "timeout": 300 })).await;
    let read = || {
        tokio::task::block_in_place(|| {
            let begun = std::time::Instant::now();
            let outcome = process
                .context
                .read_now(&Scope::new("global"), vec!["a".to_owned()]);
            (outcome, begun.elapsed())
        })
    };
    server.pause().unwrap();
    let (outcome, took) = read();
    assert_eq!(outcome.unwrap_err().code(), Code::StoreUnreachable);
    assert!(
        took.as_millis() >= 300 && took.as_millis() < 600,
        "{took:?}"
    );
    server.resume().unwrap();
    server.stop().await.unwrap();
    until("the link is known to be down", async || {
        read().1.as_millis() < 50
    })
    .await;
    assert_eq!(read().0.unwrap_err().code(), Code::StoreUnreachable);
    server.start().await.unwrap();
    until("the link is back", async || read().0.is_ok()).await;
}
