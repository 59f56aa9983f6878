//! A cluster of servers, and what happens to it.

mod support;

use node_red_cluster_testkit::{Error, StoreCluster};
use support::{SOON, ask, text, tls};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn small() -> StoreCluster {
    let builder = StoreCluster::builder().replicas(0).password("s3cret");
    builder.start().await.expect("a cluster")
}

#[tokio::test]
async fn moves_a_slot_with_its_keys_at_once_and_by_steps() {
    let cluster = small().await;
    let slot = cluster.slot_of("{flows}:1").await.expect("a slot");
    let from = cluster.owner(slot).await.expect("an owner");
    let to = (from + 1) % 3;
    for key in ["{flows}:1", "{flows}:2", "{flows}:3"] {
        let set = cluster.node(from).command(&["SET", key, key]).await;
        set.expect("SET");
    }

    let step = cluster.begin_move(slot, to).await.expect("begin");
    assert_eq!(cluster.move_keys(step, 1).await.expect("one key"), 1);
    let mut moved = 0;
    for key in ["{flows}:1", "{flows}:2", "{flows}:3"] {
        match cluster.node(from).command(&["GET", key]).await {
            Err(Error::Refused { message, .. }) if message.starts_with("ASK ") => moved += 1,
            answer => assert_eq!(text(answer).as_deref(), Some(key)),
        }
    }
    assert_eq!(moved, 1, "the slot is half moved");
    cluster.cancel_move(step).await.expect("back");
    assert_eq!(cluster.owner(slot).await.expect("an owner"), from);
    let count = ["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()];
    let count = cluster.node(from).command(&count).await.expect("a count");
    assert_eq!(count.integer(), Some(3));

    cluster.move_slot(slot, to).await.expect("move");
    cluster.settled().await.expect("settled");
    assert_eq!(cluster.owner(slot).await.expect("an owner"), to);
    let kept = cluster.node(to).command(&["GET", "{flows}:3"]).await;
    assert_eq!(text(kept).as_deref(), Some("{flows}:3"));
    let error = cluster.node(from).command(&["GET", "{flows}:3"]).await;
    let error = error.expect_err("elsewhere").to_string();
    let address = cluster.node(to).address();
    assert!(
        error.contains(&format!("MOVED {slot} {address}")),
        "{error}"
    );
}

#[tokio::test]
async fn replaces_a_primary_that_was_killed_and_changes_one_when_told() {
    let mut cluster = StoreCluster::builder().start().await.expect("a cluster");
    assert_eq!(cluster.nodes().len(), 6);
    let slot = cluster.slot_of("name").await.expect("a slot");
    let primary = cluster.owner(slot).await.expect("an owner");
    let replica = cluster.replicas_of(primary).await.expect("replicas")[0];
    let mut client = cluster.node(primary).connect().await.expect("connect");
    client
        .command(&["SET", "name", "value"])
        .await
        .expect("SET");
    client.command(&["WAIT", "1", "5000"]).await.expect("WAIT");

    cluster.node_mut(primary).kill().await.expect("kill");
    cluster.promoted(replica).await.expect("another primary");
    let kept = cluster.node(replica).command(&["GET", "name"]).await;
    assert_eq!(text(kept).as_deref(), Some("value"));
    cluster.node_mut(primary).start().await.expect("start");
    cluster.settled().await.expect("the old one as a replica");
    assert_eq!(
        cluster.replicas_of(replica).await.expect("replicas"),
        [primary]
    );

    cluster.failover(primary).await.expect("a failover");
    cluster.settled().await.expect("settled");
    assert_eq!(cluster.owner(slot).await.expect("an owner"), primary);
}

#[tokio::test]
async fn grows_and_shrinks() {
    let mut cluster = small().await;
    let new = cluster.add_primary().await.expect("one more");
    let slot = cluster.slot_of("name").await.expect("a slot");
    cluster.move_slot(slot, new).await.expect("move");
    let from = (0..3).find(|index| *index != new).expect("another");
    cluster.move_slot(slot, from).await.expect("move back");
    cluster.forget(new).await.expect("forget");
    cluster.settled().await.expect("settled");
    let nodes = cluster.node(0).command(&["CLUSTER", "NODES"]).await;
    assert!(!text(nodes).expect("nodes").contains(cluster.id(new)));
}

#[tokio::test]
async fn without_full_coverage_it_goes_on_with_what_is_left() {
    for full in [true, false] {
        let builder = StoreCluster::builder().replicas(0);
        let builder = if full {
            builder
        } else {
            builder.partial_coverage()
        };
        let mut cluster = builder.start().await.expect("a cluster");
        let slot = cluster.slot_of("name").await.expect("a slot");
        let owner = cluster.owner(slot).await.expect("an owner");
        let dead = (owner + 1) % 3;
        cluster.node_mut(dead).kill().await.expect("kill");
        cluster.taken_for_dead(dead).await.expect("a failed node");
        let set = cluster.node(owner).command(&["SET", "name", "value"]).await;
        match set {
            Err(Error::Refused { message, .. }) if full => {
                assert!(message.starts_with("CLUSTERDOWN"), "{message}");
            }
            answer => assert_eq!((full, text(answer).as_deref()), (false, Some("OK"))),
        }
    }
}

#[tokio::test]
async fn speaks_tls_to_clients_on_the_ports_that_nodes_name() {
    let builder = StoreCluster::builder().tls().password("s3cret");
    let cluster = builder.start().await.expect("a cluster");
    let trusted = cluster.certificates().expect("certificates");
    let slot = cluster.slot_of("name").await.expect("a slot");
    let owner = cluster.owner(slot).await.expect("an owner");
    let other = (0..3).find(|index| *index != owner).expect("another");
    for (node, expected) in [
        (owner, "$-1".to_owned()),
        (
            other,
            format!("-MOVED {slot} {}", cluster.node(owner).address()),
        ),
    ] {
        let address = cluster.node(node).address();
        let stream = tls::connect(address, "127.0.0.1", trusted, None).await;
        let mut stream = stream.expect("a handshake");
        assert_eq!(ask(&mut stream, "AUTH s3cret").await.expect("AUTH"), "+OK");
        assert_eq!(
            ask(&mut stream, "GET name").await.expect("an answer"),
            expected
        );
    }
    // Its keys go to another node by the same port.
    let set = cluster.node(owner).command(&["SET", "name", "value"]).await;
    set.expect("SET");
    cluster.move_slot(slot, other).await.expect("move");
    let kept = cluster.node(other).command(&["GET", "name"]).await;
    assert_eq!(text(kept).as_deref(), Some("value"));
}

#[tokio::test]
async fn leaves_nothing_behind() {
    let cluster = small().await;
    let addresses = cluster.addresses();
    drop(cluster);
    for address in addresses {
        let connected = timeout(SOON, TcpStream::connect(address)).await;
        connected.expect("an answer").expect_err("refused");
    }
}
