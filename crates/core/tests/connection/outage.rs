//! The store goes and comes back: requests wait for it, up to their limit.

use node_red_cluster_core::connection::{Lane, Repeat};
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::{Proxy, Server};

use crate::support::{
    IMPATIENT, PATIENT, SOON, ask, block, command, connect, look, open, text, until,
};

#[tokio::test]
async fn a_store_that_is_not_there_yet_is_waited_for() {
    let mut server = Server::start_default().await.expect("a server");
    server.stop().await.expect("stopped");
    let connection = open(&block(server.address()), PATIENT);
    let error = connection.ready(IMPATIENT).await.expect_err("not there");
    assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
    assert!(
        error.message().contains(&server.address().to_string()),
        "{error}"
    );
    assert_eq!(*connection.epochs().borrow(), 0);

    let (reply, started) = tokio::join!(ask(&connection, &["SET", "k", "v"]), server.start());
    started.expect("started");
    reply.expect("the request waited");
    assert_eq!(text(&server, &["GET", "k"]).await.unwrap(), "v");
    assert_eq!(*connection.epochs().borrow(), 1);
}

#[tokio::test]
async fn a_request_during_a_restart_of_the_store_waits_on_both_lanes() {
    let mut server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    server.stop().await.expect("stopped");
    until("the outage", async || !connection.is_up()).await;
    let (small, bulk) = (
        command(&["SET", "small", "v"]),
        command(&["SET", "bulk", "v"]),
    );
    let (small, bulk, started) = tokio::join!(
        // Nothing was sent yet, so even this may wait.
        connection.run::<()>(Lane::Commands, &small, Repeat::Never),
        connection.run::<()>(Lane::Bulk, &bulk, Repeat::Safe),
        server.start()
    );
    started.expect("started");
    small.expect("the request waited");
    bulk.expect("the request waited");
    assert_eq!(
        look(&server, &["EXISTS", "small", "bulk"]).await.integer(),
        Some(2)
    );
}

#[tokio::test]
async fn a_request_fails_clearly_when_the_outage_is_longer_than_its_limit() {
    let mut server = Server::start_default().await.expect("a server");
    let connection = open(&block(server.address()), IMPATIENT);
    connection.ready(SOON).await.expect("the store");
    server.stop().await.expect("stopped");
    for repeat in [Repeat::Safe, Repeat::Never] {
        let request = command(&["SET", "k", "v"]);
        let reply = connection.run::<()>(Lane::Commands, &request, repeat).await;
        let error = reply.expect_err("an outage");
        assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
        assert!(
            error.message().contains(&server.address().to_string()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_port_that_refuses_for_a_while_loses_nothing() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let connection = connect(proxy.address()).await;
    proxy.refuse().await;
    until("the outage", async || !connection.is_up()).await;
    let (reply, accepted) = tokio::join!(ask(&connection, &["SET", "k", "v"]), proxy.accept());
    accepted.expect("the port is back");
    reply.expect("the request waited");
    assert_eq!(text(&server, &["GET", "k"]).await.unwrap(), "v");
}

#[tokio::test]
async fn every_reconnect_is_an_epoch() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut epochs = connection.epochs();
    assert_eq!(*epochs.borrow_and_update(), 1);
    for expected in 2..=4 {
        look(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
        epochs.changed().await.expect("the link lives");
        assert_eq!(*epochs.borrow_and_update(), expected);
        ask(&connection, &["PING"]).await.expect("a reply");
    }
}
