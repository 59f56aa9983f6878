//! The store loses what it had: all of it, or the newest part.

use node_red_cluster_core::error::Code;
use node_red_cluster_core::flows::revision::DeployType;
use node_red_cluster_core::flows::{Done, Job};
use node_red_cluster_testkit::Server;

use crate::cluster::{Instance, field, named};
use crate::support::{access, look, text, until};

/// Copies a key from outside: `COPY` came with Redis 6.2.
async fn copy(server: &Server, from: &str, to: &str) {
    let script = "redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]), 'REPLACE')";
    look(server, &["EVAL", script, "2", from, to]).await;
}

async fn refilled(admin: &Instance) {
    admin.flows.wake();
    let job = admin.job().await;
    assert!(matches!(job, Job::Refill), "{job:?}");
    admin.end(job, Done::Applied).await;
}

#[tokio::test]
async fn an_emptied_store_stops_nobody_and_is_refilled_by_an_admin() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    let saved = admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let credentials = text(&server, &["GET", "nodered:credentials"]).await;
    let worker = Instance::worker(&server).await;
    worker.rests().await;
    look(&server, &["FLUSHALL"]).await;
    worker.rests().await;
    assert_eq!(worker.running(), Some(1));

    refilled(&admin).await;
    assert_eq!(
        field(&server, "id").await,
        Some(saved.id),
        "the very same revision"
    );
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("a")
    );
    assert_eq!(
        text(&server, &["GET", "nodered:credentials"]).await,
        credentials
    );
    assert_eq!(
        look(&server, &["EXISTS", "nodered:secret"]).await.integer(),
        Some(1)
    );
    admin.rests().await;
    worker.rests().await;
}

#[tokio::test]
async fn a_store_that_comes_back_empty_is_refilled_without_any_help() {
    let mut server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin.listen();
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    server.kill().await.expect("killed");
    server.start_empty().await.expect("started");
    let job = admin.job().await;
    assert!(matches!(job, Job::Refill), "{job:?}");
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("a")
    );
}

#[tokio::test]
async fn two_admins_refill_a_store_once() {
    let server = access::server().await;
    let first = Instance::admin(&server).await;
    let saved = first
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let second = Instance::admin(&server).await;
    look(&server, &["FLUSHALL"]).await;
    first.flows.wake();
    second.flows.wake();
    let (one, other) = tokio::join!(first.job(), second.job());
    for (admin, job) in [(&first, one), (&second, other)] {
        admin.end(job, Done::Applied).await;
        admin.rests().await;
    }
    assert_eq!(field(&server, "id").await, Some(saved.id));
    assert_eq!(
        look(&server, &["HLEN", "nodered:history"]).await.integer(),
        Some(1)
    );
}

#[tokio::test]
async fn a_store_that_went_back_in_time_is_brought_forward() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let keys = [
        "nodered:flows",
        "nodered:credentials",
        "nodered:revision",
        "nodered:history",
    ];
    for key in keys {
        copy(&server, key, &format!("backup:{key}")).await;
    }
    let newest = admin
        .deploy(&named("b"), DeployType::Nodes)
        .await
        .expect("saved");
    let worker = Instance::worker(&server).await;
    worker.rests().await;
    for key in keys {
        copy(&server, &format!("backup:{key}"), key).await;
    }
    assert_eq!(field(&server, "number").await.unwrap(), "1");
    worker.rests().await;
    assert_eq!(
        worker.running(),
        Some(2),
        "not at once back to the older one"
    );

    refilled(&admin).await;
    assert_eq!(field(&server, "id").await, Some(newest.id));
    worker.rests().await;
}

#[tokio::test]
async fn a_deploy_on_a_store_that_lost_its_base_is_saved() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    look(&server, &["FLUSHALL"]).await;
    let saved = admin
        .deploy(&named("b"), DeployType::Nodes)
        .await
        .expect("saved");
    assert_eq!(saved.number, 2, "workers at revision 1 go forward");
    assert_eq!(
        look(&server, &["EXISTS", "nodered:secret"]).await.integer(),
        Some(1)
    );
    let worker = Instance::worker(&server).await;
    assert_eq!(worker.running(), Some(2));
    admin.rests().await;
}

#[tokio::test]
async fn a_store_that_got_another_secret_is_not_filled_with_what_nobody_can_read() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    look(&server, &["FLUSHALL"]).await;
    look(
        &server,
        &["HSET", "nodered:secret", "fingerprint", "another's"],
    )
    .await;
    let error = admin
        .deploy(&named("b"), DeployType::Full)
        .await
        .expect_err("another secret");
    assert_eq!(error.code(), Code::SecretMismatch, "{error}");
    admin.rests().await;
    assert_eq!(
        look(&server, &["EXISTS", "nodered:flows", "nodered:revision"])
            .await
            .integer(),
        Some(0)
    );
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash_of_the_store() {
    let mut server = access::guarded(Server::builder())
        .append_only()
        .start()
        .await
        .expect("a server");
    let admin = Instance::admin(&server).await;
    for number in 1..=5 {
        let saved = admin
            .deploy(&named(&format!("r{number}")), DeployType::Nodes)
            .await;
        let saved = saved.expect("saved");
        server.kill().await.expect("killed");
        server.start().await.expect("started");
        assert_eq!(field(&server, "id").await, Some(saved.id));
        let flows = text(&server, &["GET", "nodered:flows"]).await.unwrap();
        assert_eq!(flows, named(&format!("r{number}")));
    }
    until("the link is back", async || admin.connection.is_up()).await;
    admin.rests().await;
}
