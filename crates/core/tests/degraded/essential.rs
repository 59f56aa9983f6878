//! Commands that nothing stands in for.

use node_red_cluster_core::cluster::{Cluster, Options};
use node_red_cluster_core::config::Secret;
use node_red_cluster_core::credentials::Configured;
use node_red_cluster_core::packages::npm::Npm;
use node_red_cluster_core::survey::ESSENTIAL;
use node_red_cluster_testkit::Server;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{SOON, block, configuration};

/// What the start of an instance ends with.
async fn start(block: &Value) -> Result<(), String> {
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::open(Options {
        config: configuration(block),
        credential_secret: Configured::Text(Secret::new("a secret of the cluster")),
        directory: directory.path().to_owned(),
        user_directory: directory.path().to_owned(),
        npm: Npm::new("node".into(), None),
        node_red: "4.0.0".to_owned(),
        node: "20.0.0".to_owned(),
    })
    .expect("options");
    let started = timeout(SOON, cluster.start(Vec::new())).await;
    started
        .expect("at once")
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_renamed_command_ends_the_start_with_its_name() {
    // PING and EVAL serve the testkit's own connection no further than its first answer.
    for command in ["EVAL", "EVALSHA", "SET", "HGETALL", "MULTI", "ZRANGE"] {
        let line = format!("rename-command {command} \"\"");
        let server = Server::builder().configuration_line(line).start().await;
        let server = server.expect("a server");
        let mut block = block(server.address());
        block["syncPackages"] = json!(false);
        let error = start(&block).await.expect_err(command);
        assert!(error.contains(&format!("has no {command} ")), "{error}");
        assert!(error.contains("docs/operations.md"), "{error}");
    }
}

#[tokio::test]
async fn a_forbidden_command_ends_the_start_with_its_name() {
    for command in ["evalsha", "hmget", "get"] {
        let rules = format!("on >limited ~* &* +@all -{command}");
        let server = Server::builder().acl_user("limited", rules).start().await;
        let server = server.expect("a server");
        let mut block = block(server.address());
        block["username"] = json!("limited");
        block["password"] = json!("limited");
        let error = start(&block).await.expect_err(command);
        assert!(error.contains(command), "{error}");
        assert!(error.contains("NRC_STORE_PERMISSION"), "{error}");
    }
}

#[tokio::test]
async fn a_whole_store_is_started_with() {
    let server = Server::start_default().await.expect("a server");
    start(&block(server.address())).await.expect("a start");
    assert!(ESSENTIAL.is_sorted());
}
