//! Stored flows that something damaged: the next best is taken, and said.

use std::sync::Arc;

use node_red_cluster_core::config::Role;
use node_red_cluster_core::error::Code;
use node_red_cluster_core::flows::Source;
use node_red_cluster_core::flows::revision::DeployType;
use node_red_cluster_testkit::Server;
use tempfile::TempDir;

use crate::cluster::{Instance, Options, named};
use crate::support::{access, look, text};

/// A server with revision 2, and the disk of an instance that ran it.
async fn with_two_revisions() -> (Server, Arc<TempDir>) {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    admin
        .deploy(&named("second"), DeployType::Full)
        .await
        .expect("saved");
    (server, Arc::clone(&admin.disk))
}

fn again(role: Role, server: &Server, disk: Option<Arc<TempDir>>) -> Instance {
    let options = Options {
        disk,
        ..Options::at(server)
    };
    Instance::new(role, options)
}

/// Cut, garbage, of a foreign make, and another list of nodes than was saved.
fn damages() -> [&'static str; 5] {
    [
        r#"[{"id":"n1","ty"#,
        "\u{1f}garbage",
        r#"{"flows":[]}"#,
        "gzip:AAAA",
        r#"[{"id":"other"}]"#,
    ]
}

#[tokio::test]
async fn the_history_stands_in_for_damaged_flows() {
    for damage in damages() {
        let (server, _) = with_two_revisions().await;
        look(&server, &["SET", "nodered:flows", damage]).await;
        let worker = again(Role::Worker, &server, None);
        let boot = worker.start().await;
        assert_eq!(boot.source, Source::Store, "{damage}");
        assert_eq!(boot.content.expect("flows").flows, named("second"));
        assert_eq!(worker.running(), Some(2));
        // A worker writes nothing; an admin repairs.
        assert_eq!(
            text(&server, &["GET", "nodered:flows"]).await.unwrap(),
            damage
        );
        again(Role::Admin, &server, None).start().await;
        assert_eq!(
            text(&server, &["GET", "nodered:flows"]).await.unwrap(),
            named("second")
        );
    }
}

#[tokio::test]
async fn flows_of_a_foreign_type_are_read_from_the_history_and_repaired() {
    let (server, _) = with_two_revisions().await;
    look(&server, &["DEL", "nodered:flows"]).await;
    look(&server, &["HSET", "nodered:flows", "a", "b"]).await;
    let admin = again(Role::Admin, &server, None);
    let boot = admin.start().await;
    assert_eq!(boot.content.expect("flows").flows, named("second"));
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("second")
    );
}

#[tokio::test]
async fn damaged_credentials_are_read_from_the_history() {
    for damage in ["{\"$\":", "[]"] {
        let (server, _) = with_two_revisions().await;
        let whole = text(&server, &["GET", "nodered:credentials"]).await;
        look(&server, &["SET", "nodered:credentials", damage]).await;
        let boot = again(Role::Worker, &server, None).start().await;
        assert_eq!(
            boot.content.map(|content| content.credentials),
            whole,
            "{damage}"
        );
    }
}

#[tokio::test]
async fn the_disk_stands_in_for_a_damaged_history_of_the_same_revision() {
    let (server, disk) = with_two_revisions().await;
    look(&server, &["DEL", "nodered:flows"]).await;
    look(
        &server,
        &["HSET", "nodered:history:content", "2", "garbage"],
    )
    .await;
    let admin = again(Role::Admin, &server, Some(disk));
    let boot = admin.start().await;
    assert_eq!(boot.head.expect("a revision").revision.number, 2);
    assert_eq!(boot.content.expect("flows").flows, named("second"));
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("second")
    );
    admin.rests().await;
}

#[tokio::test]
async fn an_older_disk_runs_on_while_the_newest_revision_is_beyond_repair() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    let disk = Arc::clone(&Instance::worker(&server).await.disk);
    admin
        .deploy(&named("second"), DeployType::Full)
        .await
        .expect("saved");
    look(&server, &["SET", "nodered:flows", "garbage"]).await;
    look(&server, &["DEL", "nodered:history:content"]).await;

    let worker = again(Role::Worker, &server, Some(disk));
    let boot = worker.start().await;
    assert_eq!(boot.source, Source::Disk);
    let status = worker.flows.status().borrow().clone();
    assert_eq!((status.running, status.wanted), (Some(1), Some(2)));
    assert_eq!(status.error.expect("told").code(), Code::ValueDamaged);
    worker.rests().await;

    // The admin that still runs the revision saves the next one, which heals everything.
    admin
        .deploy(&named("third"), DeployType::Nodes)
        .await
        .expect("saved");
    worker.flows.wake();
    assert_eq!(worker.follow().await.flows, named("third"));
    assert_eq!(worker.flows.status().borrow().error, None);
}

#[tokio::test]
async fn an_admin_can_deploy_over_what_is_beyond_repair() {
    let (server, _) = with_two_revisions().await;
    look(&server, &["SET", "nodered:flows", "garbage"]).await;
    look(&server, &["DEL", "nodered:history:content"]).await;
    let admin = again(Role::Admin, &server, None);
    let boot = admin.start().await;
    assert_eq!(boot.source, Source::Unreadable);
    admin.rests().await;
    let saved = admin
        .deploy(&named("anew"), DeployType::Full)
        .await
        .expect("saved");
    assert_eq!(saved.number, 3, "workers at revision 2 go forward");
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("anew")
    );
}

#[tokio::test]
async fn a_head_that_is_none_is_told() {
    let (server, _) = with_two_revisions().await;
    look(&server, &["HDEL", "nodered:revision", "number"]).await;
    let worker = again(Role::Worker, &server, None);
    worker.keeper.establish(Vec::new()).await.expect("a secret");
    let error = worker.flows.boot().await.expect_err("no revision");
    assert_eq!(error.code(), Code::ValueDamaged, "{error}");
    assert!(error.message().contains("nodered:revision"), "{error}");
}
