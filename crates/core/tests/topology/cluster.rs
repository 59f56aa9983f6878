//! The node of a cluster that has our keys is found and followed.

use std::net::SocketAddr;
use std::time::Duration;

use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::StoreCluster;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use crate::support::ear::{Ear, Event, keys};
use crate::support::{PATIENT, SOON, ask, look, open, text, until, until_refused};

/// The rules of docs/operations.md for an admin in a cluster.
const DOCUMENTED: &str = "on >s3cret resetkeys ~{nodered}:* resetchannels &nodered:* -@all +@read +@write \
     +@connection +@pubsub +@scripting +@transaction -@dangerous +info +time +client|kill +cluster|slots";

/// A key of ours.
pub(crate) const KEY: &str = "{nodered}:a";

/// The block of an instance that knows these nodes of a cluster.
pub(crate) fn block_with(nodes: &[SocketAddr]) -> Value {
    let list: Vec<Value> = nodes
        .iter()
        .map(|address| json!({ "host": address.ip().to_string(), "port": address.port() }))
        .collect();
    json!({ "role": "admin", "cluster": list })
}

pub(crate) fn block(cluster: &StoreCluster) -> Value {
    block_with(&cluster.addresses())
}

pub(crate) async fn connected(block: &Value) -> Connection {
    let connection = open(block, PATIENT);
    connection.ready(SOON).await.expect("the owner of the slot");
    connection
}

/// The index of the node that owns the slot of a key.
pub(crate) async fn owner(cluster: &StoreCluster, key: &str) -> usize {
    let slot = cluster.slot_of(key).await.expect("a slot");
    cluster.owner(slot).await.expect("an owner")
}

#[tokio::test]
async fn keys_are_found_through_any_node_also_a_replica_or_past_a_dead_one() {
    let cluster = StoreCluster::builder().start().await.expect("a cluster");
    let owner = owner(&cluster, KEY).await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    for node in cluster.addresses() {
        let connection = connected(&block_with(&[nobody, node])).await;
        let value = node.to_string();
        ask(&connection, &["SET", KEY, &value])
            .await
            .expect("a reply");
        let written = text(cluster.node(owner), &["GET", KEY]).await;
        assert_eq!(written.as_deref(), Some(value.as_str()));
        connection.close();
    }
}

#[tokio::test]
async fn a_master_that_was_lost_is_replaced_by_its_promoted_replica() {
    let mut cluster = StoreCluster::builder().start().await.expect("a cluster");
    let connection = connected(&block(&cluster)).await;
    let ear = Ear::on(&connection, &["{nodered}:context:"]);
    ear.until_last(Event::Established(1)).await;
    let (sender, mut messages) = unbounded_channel();
    let receive = move |message| sender.send(message).expect("a listener");
    connection
        .subscribe(vec!["news".into()], receive, || {})
        .expect("a subscription");

    let old = owner(&cluster, KEY).await;
    let replica = cluster.replicas_of(old).await.expect("replicas")[0];
    cluster.node_mut(old).kill().await.expect("killed");
    let write = async {
        loop {
            if ask(&connection, &["SET", KEY, "after"]).await.is_ok() {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), write)
        .await
        .expect("a write after the failover");
    let new = cluster.node(replica);
    assert_eq!(text(new, &["GET", KEY]).await.as_deref(), Some("after"));
    until("tracking at the new master", async || {
        matches!(ear.last(), Some(Event::Established(_)))
    })
    .await;
    ear.forget();
    look(new, &["SET", "{nodered}:context:x", "1"]).await;
    ear.until_last(keys("{nodered}:context:x")).await;
    // A message reaches all nodes, whichever it is published at.
    let any = (0..6)
        .find(|index| *index != old && *index != replica)
        .expect("a node");
    until("a message", || {
        let received = messages.try_recv().is_ok();
        let node = cluster.node(any);
        async move {
            look(node, &["PUBLISH", "news", "hello"]).await;
            received
        }
    })
    .await;
}

#[tokio::test]
async fn a_master_that_steps_down_is_left_without_an_error() {
    let cluster = StoreCluster::builder().start().await.expect("a cluster");
    let connection = connected(&block(&cluster)).await;
    let old = owner(&cluster, KEY).await;
    let replica = cluster.replicas_of(old).await.expect("replicas")[0];
    cluster.failover(replica).await.expect("a failover");
    ask(&connection, &["SET", KEY, "after"])
        .await
        .expect("a write");
    assert_eq!(owner(&cluster, KEY).await, replica);
    assert_eq!(
        text(cluster.node(replica), &["GET", KEY]).await.as_deref(),
        Some("after")
    );

    // Also without anybody asking: a link that only listens has to notice.
    let ear = Ear::on(&connection, &["{nodered}:"]);
    until("tracking", async || {
        matches!(ear.last(), Some(Event::Established(_)))
    })
    .await;
    ear.forget();
    cluster.failover(old).await.expect("a failover back");
    until("the old master", async || {
        matches!(ear.last(), Some(Event::Established(_)))
    })
    .await;
    ear.forget();
    look(cluster.node(old), &["SET", KEY, "outside"]).await;
    ear.until_last(keys(KEY)).await;
}

#[tokio::test]
async fn a_master_that_froze_is_left() {
    let cluster = StoreCluster::builder().start().await.expect("a cluster");
    let connection = connected(&block(&cluster)).await;
    let old = owner(&cluster, KEY).await;
    let replica = cluster.replicas_of(old).await.expect("replicas")[0];
    cluster.node(old).pause().expect("frozen");
    cluster.promoted(replica).await.expect("promoted");
    ask(&connection, &["SET", KEY, "after"])
        .await
        .expect("a write");
    cluster.node(old).resume().expect("goes on");
    cluster.settled().await.expect("settled");
    ask(&connection, &["SET", KEY, "at last"])
        .await
        .expect("a write");
    assert_eq!(
        text(cluster.node(replica), &["GET", KEY]).await.as_deref(),
        Some("at last")
    );
}

#[tokio::test]
async fn with_login_and_tls() {
    let cluster = StoreCluster::builder()
        .replicas(0)
        .acl_user("nodered", DOCUMENTED)
        .tls()
        .start()
        .await
        .expect("a cluster");
    let mut block = block(&cluster);
    block["tls"] = json!({ "ca": cluster.certificates().expect("TLS").authority.text.clone() });
    block["username"] = json!("nodered");
    block["password"] = json!("s3cret");
    let connection = connected(&block).await;
    ask(&connection, &["SET", KEY, "yes"])
        .await
        .expect("a reply");
    let owner = owner(&cluster, KEY).await;
    assert_eq!(
        text(cluster.node(owner), &["GET", KEY]).await.as_deref(),
        Some("yes")
    );

    block["password"] = json!("wrong");
    let connection = open(&block, PATIENT);
    let error = connection.ready(SOON).await.expect_err("refused");
    assert_eq!(error.code(), Code::StoreAuthentication, "{error}");
}

#[tokio::test]
async fn a_node_that_is_given_as_a_single_server_is_told_from_one() {
    let cluster = StoreCluster::builder()
        .replicas(0)
        .start()
        .await
        .expect("a cluster");
    let owner = owner(&cluster, KEY).await;
    let other = cluster.node((owner + 1) % 3);
    let connection = connected(&crate::support::block(other.address())).await;
    let error = ask(&connection, &["SET", KEY, "no"])
        .await
        .expect_err("elsewhere");
    assert_eq!(error.code(), Code::ConfigInvalid, "{error}");
    assert!(
        error.message().contains("cluster: [{host, port}]"),
        "{error}"
    );

    // And the other way round.
    let server = node_red_cluster_testkit::Server::start_default()
        .await
        .expect("a server");
    let connection = open(&block_with(&[server.address()]), PATIENT);
    let refusal = "it is no node of a cluster";
    until_refused(&connection, Code::StoreUnreachable, refusal).await;
}

#[tokio::test]
async fn a_cluster_that_is_down_is_waited_for() {
    let mut cluster = StoreCluster::builder()
        .replicas(0)
        .start()
        .await
        .expect("a cluster");
    let connection = connected(&block(&cluster)).await;
    let owner = owner(&cluster, KEY).await;
    let other = (owner + 1) % 3;
    cluster.node_mut(other).kill().await.expect("killed");
    cluster
        .taken_for_dead(other)
        .await
        .expect("the others know");
    let write = ask(&connection, &["SET", KEY, "after"]);
    let (write, ()) = tokio::join!(write, async {
        cluster.node_mut(other).start().await.expect("started");
    });
    write.expect("it waited");
}
