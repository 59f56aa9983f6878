//! Links that parts of one process share, the store's clock, and knowing that a link is down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node_red_cluster_core::config::ConnectionConfig;
use node_red_cluster_core::connection::{Connection, shared};
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::{Proxy, Server};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    IMPATIENT, PATIENT, SOON, ask, block, configuration, connect, open, text, until,
};

fn config(server: &Server) -> ConnectionConfig {
    configuration(&block(server.address())).connection
}

fn share(config: &ConnectionConfig) -> Connection {
    shared(config, PATIENT, "test").expect("options")
}

async fn clients(server: &Server) -> usize {
    let clients = text(server, &["CLIENT", "LIST"]).await.expect("a list");
    clients.lines().count() - 1
}

#[tokio::test]
async fn the_same_configuration_is_the_same_links_until_the_last_holder_closes() {
    let server = Server::start_default().await.expect("a server");
    let config = config(&server);
    let (first, second) = (share(&config), share(&config));
    let id = ["CLIENT", "ID"];
    let same = ask(&first, &id).await.unwrap();
    assert_eq!(ask(&second, &id).await.unwrap(), same);
    until("one link", async || clients(&server).await == 1).await;
    first
        .subscribe(vec!["a".to_owned()], |_| (), || ())
        .expect("a subscription");
    until("a subscription", async || clients(&server).await == 2).await;

    first.close();
    first.close();
    assert!(!first.is_up());
    let error = ask(&first, &id).await.expect_err("closed");
    assert_eq!(error.code(), Code::Closed);
    assert_eq!(first.known_down().unwrap().code(), Code::Closed);
    until("its subscription is gone", async || {
        clients(&server).await == 1
    })
    .await;
    assert_eq!(ask(&second, &id).await.unwrap(), same);
    let third = share(&config);
    assert_eq!(ask(&third, &id).await.unwrap(), same);
    drop(third);
    assert_eq!(ask(&second, &id).await.unwrap(), same);
    second.close();
    until("no link", async || clients(&server).await == 0).await;

    let anew = share(&config);
    assert_ne!(ask(&anew, &id).await.unwrap(), same);
}

#[tokio::test]
async fn another_configuration_is_other_links() {
    let server = Server::start_default().await.expect("a server");
    let first = share(&config(&server));
    let mut block = block(server.address());
    block["db"] = json!(1);
    let second = share(&configuration(&block).connection);
    let third = shared(&config(&server), IMPATIENT, "test").expect("options");
    let alone = connect(server.address()).await;
    let mut numbers = Vec::new();
    for connection in [&first, &second, &third, &alone] {
        numbers.push(ask(connection, &["CLIENT", "ID"]).await.unwrap());
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 4);
}

#[tokio::test]
async fn a_link_is_known_to_be_down_once_an_attempt_has_failed() {
    let mut server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    assert_eq!(connection.known_down(), None);
    server.kill().await.expect("killed");
    until("it is known", async || connection.known_down().is_some()).await;
    let error = connection.known_down().expect("known");
    assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
    assert!(
        error.message().contains(&server.address().to_string()),
        "{error}"
    );
    server.start().await.expect("started");
    until("it is up", async || connection.is_up()).await;
    assert_eq!(connection.known_down(), None);
}

#[tokio::test]
async fn a_link_that_is_only_renewed_is_not_known_to_be_down() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let begin = Instant::now();
    let connection = open(&block(proxy.address()), PATIENT);
    let known = connection.known_down();
    assert!(known.is_none() || begin.elapsed() > Duration::from_millis(250));
    connection.ready(SOON).await.expect("the store");
    let begin = Instant::now();
    proxy.cut().await;
    until("another link", async || {
        let known = connection.known_down();
        assert!(known.is_none() || begin.elapsed() > Duration::from_millis(250));
        *connection.epochs().borrow() == 2
    })
    .await;
}

#[tokio::test]
async fn a_store_that_never_answers_is_known_to_be_down_soon() {
    let server = Server::start_default().await.expect("a server");
    server.pause().expect("frozen");
    let begin = Instant::now();
    let connection = open(&block(server.address()), PATIENT);
    until("it is known", async || connection.known_down().is_some()).await;
    assert!(begin.elapsed() >= Duration::from_millis(250));
    server.resume().expect("going on");
    connection.ready(SOON).await.expect("the store");
    assert_eq!(connection.known_down(), None);
    connection.close();
    assert_eq!(connection.known_down().unwrap().code(), Code::Closed);
}

#[tokio::test]
async fn a_refused_password_is_known_to_be_down() {
    let server = Server::builder().password("right").start().await;
    let server = server.expect("a server");
    let mut block = block(server.address());
    block["password"] = json!("wrong");
    let connection = open(&block, PATIENT);
    until("it is known", async || connection.known_down().is_some()).await;
    let error = connection.known_down().expect("known");
    assert_eq!(error.code(), Code::StoreAuthentication);
}

#[tokio::test]
async fn the_stores_time_is_near_its_own_and_grows_strictly() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let micros = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::try_from(since.expect("a date").as_micros()).expect("a date")
    };
    let before = micros();
    let mut last = connection.store_time();
    assert!(last.abs_diff(before) < 5_000_000, "one machine, one clock");
    for _ in 0..10_000 {
        let next = connection.store_time();
        assert!(next > last);
        last = next;
    }
}
