//! Deploys that an instance could not apply, and deploys that wait.

use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::flows::revision::DeployType;
use node_red_cluster_core::flows::{Done, Job, Patience};
use node_red_cluster_testkit::Server;

use crate::cluster::{Instance, deploy, named};
use crate::support::{SOON, access, look, server_knows, text, until};

async fn pair() -> (Server, Instance, Instance) {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    let worker = Instance::worker(&server).await;
    (server, admin, worker)
}

#[tokio::test]
async fn a_revision_that_failed_is_told_and_not_tried_again() {
    let (_server, admin, worker) = pair().await;
    admin
        .deploy(&named("bad"), DeployType::Nodes)
        .await
        .expect("saved");
    let job = Job::Apply(worker.apply().await);
    let error = Error::new(Code::InvalidRequest, "a node threw");
    worker.end(job, Done::Failed(error)).await;
    let status = worker.flows.status().borrow().clone();
    assert_eq!((status.running, status.wanted), (Some(1), Some(2)));
    assert!(
        status
            .error
            .expect("told")
            .message()
            .contains("a node threw")
    );
    worker.rests().await;

    admin
        .deploy(&named("good"), DeployType::Nodes)
        .await
        .expect("saved");
    let applied = worker.follow().await;
    // Nobody knows what the failed apply left behind.
    assert_eq!((applied.number, applied.deploy_type), (3, DeployType::Full));
    let status = worker.flows.status().borrow().clone();
    assert_eq!((status.running, status.error), (Some(3), None));
}

#[tokio::test]
async fn a_revision_with_missing_types_waits_for_them() {
    let (_server, admin, worker) = pair().await;
    admin
        .deploy(&named("second"), DeployType::Nodes)
        .await
        .expect("saved");
    let job = Job::Apply(worker.apply().await);
    worker
        .end(job, Done::MissingTypes(vec!["knx-in".to_owned()]))
        .await;
    let status = worker.flows.status().borrow().clone();
    assert_eq!(status.missing_types, ["knx-in"]);
    assert!(status.error.expect("told").message().contains("knx-in"));
    worker.rests().await;

    worker.flows.forgive();
    let applied = worker.follow().await;
    assert_eq!(
        (applied.number, applied.deploy_type),
        (2, DeployType::Nodes)
    );
    assert!(worker.flows.status().borrow().missing_types.is_empty());
    worker.rests().await;
}

#[tokio::test]
async fn a_patient_deploy_is_saved_when_the_store_is_back() {
    if !server_knows(6, 2) {
        return; // A server before 6.2 does not tell what it refused.
    }
    let mut server = access::guarded(Server::builder())
        .append_only()
        .start()
        .await
        .expect("a server");
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    look(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let patient = admin.flows.publish(
        deploy(&named("second"), DeployType::Full),
        Patience::UntilSaved,
    );
    let (saved, ()) = tokio::join!(tokio::time::timeout(SOON, patient), async {
        // Full first, then away, then back.
        until("the first attempt", async || {
            let errors = text(&server, &["INFO", "errorstats"]).await;
            errors.is_some_and(|errors| errors.contains("errorstat_OOM"))
        })
        .await;
        server.kill().await.expect("killed");
        server.start().await.expect("started");
    });
    assert_eq!(saved.expect("in time").expect("saved").number, 2);
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("second")
    );
    admin.rests().await;
}

#[tokio::test]
async fn a_patient_deploy_gives_way_to_a_newer_one() {
    if !server_knows(6, 2) {
        return; // A server before 6.2 does not tell what it refused.
    }
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    look(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let older = admin.flows.publish(
        deploy(&named("older"), DeployType::Full),
        Patience::UntilSaved,
    );
    let (older, newer) = tokio::join!(tokio::time::timeout(SOON, older), async {
        until("the first attempt", async || {
            let errors = text(&server, &["INFO", "errorstats"]).await;
            errors.is_some_and(|errors| errors.contains("errorstat_OOM"))
        })
        .await;
        look(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
        admin.deploy(&named("newer"), DeployType::Full).await
    });
    older.expect("in time").expect_err("another took its place");
    assert_eq!(newer.expect("saved").number, 1);
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("newer")
    );
}
