//! Elections on servers of all sorts: a cluster's, one that tells little, one with the older protocol.

use node_red_cluster_testkit::{Server, Value};
use serde_json::json;

use super::instance::{Instance, LOCK, TTL, leaders, lock};
use crate::support::{look, until};

/// Makes a node a whole cluster. Ranges of slots can be taken from Redis 7.0 on only.
async fn take_all_slots(server: &Server) {
    let slots: Vec<String> = (0..16_384).map(|slot| slot.to_string()).collect();
    let mut command = vec!["CLUSTER", "ADDSLOTS"];
    command.extend(slots.iter().map(String::as_str));
    look(server, &command).await;
}

/// A leader dies, and another one follows it.
async fn one_after_the_other(server: &Server, options: &serde_json::Value) {
    let start = || Instance::with(server.address(), options, &lock(LOCK, TTL));
    let first = start();
    let token = first.must_lead().await;
    let second = start();
    second.must_follow().await;
    first.must_renew(3).await;
    assert_eq!(first.token(), Some(token));
    first.hang();
    until("another leads", async || {
        assert!(leaders(&[&first, &second]) <= 1);
        second.leads()
    })
    .await;
    assert!(second.token() > Some(token));
    first.go_on();
    first.must_follow().await;
    let token = second.token();
    assert!(second.release().await);
    // The other one has its turn, also where it does not hear that there is one.
    assert!(Some(first.must_lead().await) > token);
    assert!(!second.leads());
}

#[tokio::test]
async fn odd_names_of_locks_fit_a_cluster() {
    let server = Server::builder()
        .configuration_line("cluster-enabled yes")
        .start()
        .await
        .expect("a server");
    take_all_slots(&server).await;
    until("the cluster", async || {
        let info = look(&server, &["CLUSTER", "INFO"]).await;
        info.text()
            .is_some_and(|info| info.contains("cluster_state:ok"))
    })
    .await;
    let long = "x".repeat(1_024);
    let keys = [
        "nodered:leader",
        "a{b}c",
        "}{",
        "a}b",
        "{}x",
        "{}",
        "{",
        "{{a}}",
        "a{}{b}",
        "Zürich/日本 1",
        &long,
    ];
    let instances = [0; 2].map(|_| Instance::start(server.address()));
    let stand = |instance: &Instance| keys.map(|key| instance.elections.join(&lock(key, TTL)));
    let [ones, others] = instances.each_ref().map(stand);
    for ((key, one), other) in keys.iter().zip(&ones).zip(&others) {
        until(key, async || {
            one.token().is_some() || other.token().is_some()
        })
        .await;
        assert!(one.token().is_none() || other.token().is_none(), "{key}");
        let slot = look(&server, &["CLUSTER", "KEYSLOT", key]).await;
        let slot = slot.integer().expect("a slot").to_string();
        let in_slot = look(&server, &["CLUSTER", "GETKEYSINSLOT", &slot, "10"]).await;
        let in_slot: Vec<_> = in_slot.elements().iter().filter_map(Value::text).collect();
        assert!(in_slot.contains(key), "{key}: {in_slot:?}");
        let record = in_slot.iter().any(|name| name.ends_with(":election"));
        assert!(record, "{key}: {in_slot:?}");
    }
}

#[tokio::test]
async fn a_cluster_has_one_leader_after_the_other() {
    let server = Server::builder()
        .configuration_line("cluster-enabled yes")
        .start()
        .await
        .expect("a server");
    take_all_slots(&server).await;
    one_after_the_other(&server, &json!({})).await;
}

#[tokio::test]
async fn a_server_that_may_not_be_asked_what_it_is_has_one_leader_after_the_other() {
    let server = Server::builder()
        .acl_user("quiet", "on >secret ~* &* +@all -info -hello -client")
        .start()
        .await
        .expect("a server");
    let options = json!({ "username": "quiet", "password": "secret" });
    one_after_the_other(&server, &options).await;
}

#[tokio::test]
async fn a_server_that_speaks_the_older_protocol_has_one_leader_after_the_other() {
    let server = Server::builder()
        .configuration_line("rename-command HELLO \"\"")
        .start()
        .await
        .expect("a server");
    one_after_the_other(&server, &json!({})).await;
}

#[tokio::test]
async fn without_the_right_to_publish_followers_find_out_by_themselves() {
    let server = Server::builder()
        .acl_user("mute", "on >secret ~* &* +@all -publish")
        .start()
        .await
        .expect("a server");
    let options = json!({ "username": "mute", "password": "secret" });
    one_after_the_other(&server, &options).await;
}

#[tokio::test]
async fn without_the_right_to_listen_followers_find_out_by_themselves() {
    let server = Server::builder()
        .acl_user("deaf", "on >secret ~* resetchannels +@all")
        .start()
        .await
        .expect("a server");
    let options = json!({ "username": "deaf", "password": "secret" });
    one_after_the_other(&server, &options).await;
}

#[tokio::test]
async fn a_replica_that_attaches_keeps_nobody_from_leading() {
    let server = Server::start_default().await.expect("a server");
    // Two admins that know the server from before it had a replica, and workers from after: it has given
    // its history another name in between, as a master does for its first replica.
    let admins = [
        Instance::reserve(server.address()),
        Instance::reserve(server.address()),
    ];
    until("an admin stands in", async || {
        leaders(&[&admins[0], &admins[1]]) == 1
    })
    .await;
    let replica = Server::builder().replica_of(&server).start().await;
    let _replica = replica.expect("a replica");
    until("the replica", async || {
        let info = look(&server, &["INFO", "replication"]).await;
        info.text()
            .is_some_and(|info| info.contains("state=online"))
    })
    .await;
    let worker = Instance::start(server.address());
    worker.must_lead().await;
    worker.must_renew(6).await;
    assert_eq!(leaders(&[&admins[0], &admins[1]]), 0);
}
