//! Sentinels that cannot or will not help, and how that is said; logins and TLS of both kinds of servers.

use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::SentinelGroup;
use serde_json::json;

use crate::sentinel::block;
use crate::support::{PATIENT, SOON, ask, look, open, server_knows, text, until_refused};

/// The rules of docs/operations.md.
const DOCUMENTED: &str = "on >sentinel-secret resetchannels &+switch-master -@all +auth +hello +ping +subscribe \
     +sentinel|master +sentinel|sentinels";

#[tokio::test]
async fn a_group_that_nobody_watches_is_waited_for_and_named() {
    let group = SentinelGroup::builder()
        .name("nodered")
        .replicas(0)
        .start()
        .await;
    let group = group.expect("a group");
    let mut block = block(&group);
    block["name"] = json!("other");
    let connection = open(&block, PATIENT);
    let refusal = "it watches no group other; check `name`";
    until_refused(&connection, Code::StoreUnreachable, refusal).await;

    // An operator mends it at the sentinels.
    let master = group.current_master_address().await.expect("a master");
    let port = master.port().to_string();
    for sentinel in group.sentinels() {
        look(
            sentinel,
            &["SENTINEL", "MONITOR", "other", "127.0.0.1", &port, "1"],
        )
        .await;
    }
    connection.ready(SOON).await.expect("found");
}

#[tokio::test]
async fn a_replica_is_not_taken_for_the_master_that_a_stale_sentinel_names() {
    let group = SentinelGroup::builder()
        .name("nodered")
        .replicas(1)
        .start()
        .await;
    let group = group.expect("a group");
    // Sentinels that watch a replica by mistake name it as the master.
    let port = group.server(1).port().to_string();
    for sentinel in group.sentinels() {
        look(sentinel, &["SENTINEL", "REMOVE", "nodered"]).await;
        look(
            sentinel,
            &["SENTINEL", "MONITOR", "wrong", "127.0.0.1", &port, "1"],
        )
        .await;
    }
    let mut block = block(&group);
    block["name"] = json!("wrong");
    let connection = open(&block, PATIENT);
    until_refused(&connection, Code::StoreNotReady, "is a replica").await;
}

#[tokio::test]
async fn logins_and_tls_of_servers_and_sentinels_are_told_apart() {
    if !server_knows(6, 2) {
        return; // Users at sentinels came with 6.2.
    }
    let group = SentinelGroup::builder()
        .name("nodered")
        .replicas(1)
        .acl_user("cluster", "on >data-secret ~* &* +@all")
        .sentinel_acl_user("watcher", DOCUMENTED)
        .tls()
        .sentinel_tls()
        .start()
        .await
        .expect("a group");
    let authority = group.certificates().expect("TLS").authority.text.clone();
    let mut block = block(&group);
    block["username"] = json!("cluster");
    block["password"] = json!("data-secret");
    block["sentinelUsername"] = json!("watcher");
    block["tls"] = json!({ "ca": authority });
    block["sentinelTLS"] = json!({ "ca": authority });
    block["sentinelPassword"] = json!("wrong");
    let connection = open(&block, PATIENT);
    let error = connection.ready(SOON).await.expect_err("refused");
    assert_eq!(error.code(), Code::StoreAuthentication, "{error}");
    assert!(error.message().contains("`sentinelPassword`"), "{error}");
    assert!(!error.message().contains("wrong"), "{error}");

    block["sentinelPassword"] = json!("sentinel-secret");
    let connection = open(&block, PATIENT);
    connection.ready(SOON).await.expect("the master");
    ask(&connection, &["SET", "tls", "yes"])
        .await
        .expect("a reply");
    let master = group.master().await.expect("a master");
    assert_eq!(text(master, &["GET", "tls"]).await.as_deref(), Some("yes"));

    block["password"] = json!("wrong");
    let connection = open(&block, PATIENT);
    let error = connection.ready(SOON).await.expect_err("refused");
    assert_eq!(error.code(), Code::StoreAuthentication, "{error}");
    assert!(
        error.message().contains("`username` and `password`"),
        "{error}"
    );
}
