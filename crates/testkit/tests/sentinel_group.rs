//! A group of servers under the watch of Sentinels, and what happens to it.

mod support;

use node_red_cluster_testkit::{SentinelGroup, eventually};
use support::{SOON, ask, text, tls};
use tokio::net::TcpStream;

#[tokio::test]
async fn replaces_a_primary_that_was_killed_and_takes_it_back_as_a_replica() {
    let mut group = SentinelGroup::builder()
        .replicas(2)
        .start()
        .await
        .expect("a group");
    let first = group.current_master_address().await.expect("a primary");
    assert_eq!(first, group.server(0).address());
    let wait = ["WAIT", "2", "5000"];
    let mut client = group.server(0).connect().await.expect("connect");
    client
        .command(&["SET", "name", "value"])
        .await
        .expect("SET");
    client.command(&wait).await.expect("WAIT");

    group.server_mut(0).kill().await.expect("kill");
    let second = group.other_master_than(first).await.expect("another");
    assert_ne!(second, 0);
    let kept = group.server(second).command(&["GET", "name"]).await;
    assert_eq!(text(kept).as_deref(), Some("value"));

    group.server_mut(0).start().await.expect("start");
    group.settled().await.expect("the old one as a replica");
    assert_eq!(group.master_index().await.expect("a primary"), second);
    let error = group.server(0).command(&["SET", "name", "other"]).await;
    let error = error.expect_err("read only");
    assert!(error.to_string().contains("READONLY"), "{error}");
}

#[tokio::test]
async fn changes_the_primary_when_told() {
    let group = SentinelGroup::builder()
        .name("nodered")
        .password("data")
        .sentinel_password("watch")
        .start()
        .await
        .expect("a group");
    assert_eq!(group.failover().await.expect("a failover"), 1);
    group.settled().await.expect("settled");
    assert_eq!(
        group.master().await.expect("a primary").address(),
        group.server(1).address()
    );

    let mut sentinel = TcpStream::connect(group.sentinel_addresses()[0])
        .await
        .expect("connect");
    let answer = ask(&mut sentinel, "SENTINEL MASTERS")
        .await
        .expect("an answer");
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
    assert_eq!(ask(&mut sentinel, "AUTH watch").await.expect("AUTH"), "+OK");
    let answer = ask(&mut sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME nodered");
    assert_eq!(answer.await.expect("an answer"), "*2");
}

#[tokio::test]
async fn speaks_tls_to_clients_on_the_ports_that_sentinels_name() {
    let group = SentinelGroup::builder()
        .tls()
        .sentinel_tls()
        .start()
        .await
        .expect("a group");
    let trusted = group.certificates().expect("certificates");
    let addresses = [group.sentinel_addresses(), vec![group.server(1).address()]].concat();
    for address in addresses {
        let stream = tls::connect(address, "127.0.0.1", trusted, None).await;
        let mut stream = stream.expect("a handshake");
        assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
    }
    group.failover().await.expect("a failover");
    group.settled().await.expect("settled");
}

#[tokio::test]
async fn gains_and_loses_sentinels() {
    let mut group = SentinelGroup::builder().start().await.expect("a group");
    assert_eq!(group.add_sentinel().await.expect("one more"), 3);
    group.remove_sentinel(0).await.expect("one less");
    let others = ["SENTINEL", "SENTINELS", group.name()];
    let others = group.sentinel(0).command(&others).await.expect("a list");
    assert_eq!(others.elements().len(), 2);

    // Two of three still agree on a primary that is silent, with the third one silent too.
    group.sentinel(2).pause().expect("freeze");
    let first = group.current_master_address().await.expect("a primary");
    group.server(0).pause().expect("freeze");
    let second = group.other_master_than(first).await.expect("another");
    assert_eq!(second, 1);
    group.server(0).resume().expect("go on");
    group.sentinel(2).resume().expect("go on");
    group.settled().await.expect("settled");
    let primary = eventually("the Sentinel that slept to know", SOON, async || {
        group.master_index().await.ok().filter(|now| *now == second)
    });
    primary.await.expect("the new primary");
}
