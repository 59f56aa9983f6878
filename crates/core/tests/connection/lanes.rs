//! Many requests at once, large values, and two lanes that do not wait for each other.

use node_red_cluster_core::connection::{Lane, Repeat, Request};
use node_red_cluster_testkit::Server;
use tokio::task::JoinSet;

use crate::support::{ask, command, connect, look, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_of_many_requests_gets_its_own_reply() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut requests = JoinSet::new();
    for number in 0..64 {
        let connection = connection.clone();
        requests.spawn(async move {
            let (key, value) = (format!("key {number}"), format!("value {number}"));
            ask(&connection, &["SET", &key, &value]).await.unwrap();
            let reply = ask(&connection, &["GET", &key]).await.unwrap();
            assert_eq!(reply.unwrap(), value);
        });
    }
    while let Some(ended) = requests.join_next().await {
        ended.expect("its own reply");
    }
    assert_eq!(look(&server, &["DBSIZE"]).await.integer(), Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_survive_a_link_that_is_killed_again_and_again() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut requests = JoinSet::new();
    for number in 0..64 {
        let connection = connection.clone();
        requests.spawn(async move {
            let key = format!("key {number}");
            for round in 0..20 {
                let value = format!("{number} {round}");
                ask(&connection, &["SET", &key, &value]).await.unwrap();
                let reply = ask(&connection, &["GET", &key]).await.unwrap();
                assert_eq!(reply.unwrap(), value);
            }
        });
    }
    for _ in 0..5 {
        look(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
        connection.ready(crate::support::SOON).await.expect("back");
    }
    while let Some(ended) = requests.join_next().await {
        ended.expect("its own replies");
    }
}

#[tokio::test]
async fn a_small_command_does_not_wait_behind_bulk() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    // A command that occupies its link until the other lane releases it.
    let request = command(&["BLPOP", "queue", "0"]);
    let occupied = connection.run::<Vec<String>>(Lane::Bulk, &request, Repeat::Safe);
    let release = async {
        for number in 0..100 {
            ask(&connection, &["SET", "k", &number.to_string()])
                .await
                .expect("a reply");
        }
        ask(&connection, &["RPUSH", "queue", "done"]).await
    };
    let (bulk, released) = tokio::join!(occupied, release);
    released.expect("a reply");
    assert_eq!(bulk.expect("a reply"), ["queue", "done"]);
}

#[tokio::test]
async fn a_large_value_goes_there_and_back_unchanged() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let value: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut set = redis::cmd("SET");
    set.arg("large").arg(&value);
    connection
        .run::<()>(Lane::Bulk, &Request::Command(set), Repeat::Safe)
        .await
        .expect("written");
    let back: Vec<u8> = connection
        .run(Lane::Bulk, &command(&["GET", "large"]), Repeat::Safe)
        .await
        .expect("read");
    assert!(back == value);
}

#[tokio::test]
async fn the_link_for_bulk_connects_at_its_first_use_and_stays() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let clients = async || {
        let clients = text(&server, &["CLIENT", "LIST"]).await.expect("a list");
        clients.matches(" name=test").count()
    };
    assert_eq!(clients().await, 1);
    let request = command(&["CLIENT", "ID"]);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id: i64 = connection
            .run(Lane::Bulk, &request, Repeat::Safe)
            .await
            .expect("a number");
        ids.push(id);
        assert_eq!(clients().await, 2);
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn many_first_uses_of_the_link_for_bulk_make_one_link() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let mut requests = JoinSet::new();
    for _ in 0..16 {
        let connection = connection.clone();
        requests.spawn(async move {
            let request = command(&["CLIENT", "ID"]);
            let id = connection.run::<i64>(Lane::Bulk, &request, Repeat::Safe);
            id.await.expect("a number")
        });
    }
    let mut ids = requests.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1);
}
