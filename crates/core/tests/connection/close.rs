//! Closing ends everything: requests, links, threads of work.

use node_red_cluster_core::connection::{Connection, Lane, Repeat};
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::Server;
use tokio::time::timeout;

use crate::support::{PATIENT, SOON, ask, block, command, connect, open, text, until};

/// How many clients the server has besides the one that looks.
async fn clients(server: &Server) -> usize {
    let clients = text(server, &["CLIENT", "LIST"]).await.expect("a list");
    clients.lines().count() - 1
}

/// The links that connect when they are first used do so.
async fn use_all_links(connection: &Connection) {
    connection
        .subscribe(vec!["a".to_owned()], |_| (), || ())
        .expect("a subscription");
    let request = command(&["PING"]);
    let reply = connection.run::<()>(Lane::Bulk, &request, Repeat::Safe);
    reply.await.expect("a reply");
}

#[tokio::test]
async fn a_closed_connection_leaves_nothing_at_the_server() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    use_all_links(&connection).await;
    until("three links", async || clients(&server).await == 3).await;
    connection.close();
    until("no link", async || clients(&server).await == 0).await;
    assert!(!connection.is_up());
    for lane in [Lane::Commands, Lane::Bulk] {
        let request = command(&["PING"]);
        let reply = connection.run::<()>(lane, &request, Repeat::Safe).await;
        assert_eq!(reply.expect_err("closed").code(), Code::Closed);
    }
    let ready = connection.ready(SOON).await;
    assert_eq!(ready.expect_err("closed").code(), Code::Closed);
    connection.close();
}

#[tokio::test]
async fn a_dropped_connection_leaves_nothing_at_the_server() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    use_all_links(&connection).await;
    until("three links", async || clients(&server).await == 3).await;
    drop(connection);
    until("no link", async || clients(&server).await == 0).await;
}

#[tokio::test]
async fn requests_that_wait_for_the_store_end() {
    let mut server = Server::start_default().await.expect("a server");
    server.stop().await.expect("stopped");
    let connection = open(&block(server.address()), PATIENT);
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { ask(&connection, &["PING"]).await }
    });
    tokio::task::yield_now().await;
    connection.close();
    let reply = timeout(SOON, waiting)
        .await
        .expect("in time")
        .expect("no panic");
    assert_eq!(reply.expect_err("closed").code(), Code::Closed);
}

#[tokio::test]
async fn requests_that_wait_for_their_reply_end() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let request = command(&["BLPOP", "queue", "0"]);
    for (repeat, expected) in [
        (Repeat::Safe, Code::Closed),
        // It was sent, so nobody can say that it was not carried out.
        (Repeat::Never, Code::OutcomeUnknown),
    ] {
        let connection = connect(server.address()).await;
        let waiting = connection.run::<()>(Lane::Commands, &request, repeat);
        let (reply, ()) = tokio::join!(timeout(SOON, waiting), async {
            until("the request", async || {
                let clients = text(&server, &["CLIENT", "LIST"]).await.unwrap();
                clients.contains(" cmd=blpop ")
            })
            .await;
            connection.close();
        });
        let error = reply.expect("in time").expect_err("closed");
        assert_eq!(error.code(), expected, "{error}");
        until("the client is gone", async || {
            let clients = text(&server, &["CLIENT", "LIST"]).await.unwrap();
            !clients.contains(" cmd=blpop ")
        })
        .await;
    }
    ask(&connection, &["PING"])
        .await
        .expect("another connection is not touched");
}
