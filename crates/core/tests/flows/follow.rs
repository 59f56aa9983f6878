//! An instance is brought to the newest revision, however it hears of it.

use futures_util::FutureExt as _;
use node_red_cluster_core::config::Role;
use node_red_cluster_core::flows::revision::{DeployType, RunState};
use node_red_cluster_core::flows::{Done, Job};
use node_red_cluster_testkit::{Proxy, Server};
use tokio::time::{Duration, timeout};

use crate::cluster::{Instance, Options, named};
use crate::support::{access, block, look, until};

/// Longest time from one look at the store to the next without any message: the interval, its
/// variation, and slack for a busy machine.
const POLLED: Duration = Duration::from_secs(13);

async fn pair() -> (Server, Instance, Instance) {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    let worker = Instance::worker(&server).await;
    assert_eq!(worker.running(), Some(1));
    (server, admin, worker)
}

async fn subscribers(server: &Server) -> Option<i64> {
    let counts = look(server, &["PUBSUB", "NUMSUB", "nodered:flows:updated"]).await;
    counts.elements()[1].integer()
}

#[tokio::test]
async fn a_message_brings_the_revision_as_it_was_deployed() {
    let (server, admin, worker) = pair().await;
    until("the subscription", async || {
        subscribers(&server).await == Some(1)
    })
    .await;
    for (number, deploy_type) in [
        DeployType::Nodes,
        DeployType::Flows,
        DeployType::Full,
        DeployType::Reload,
    ]
    .into_iter()
    .enumerate()
    {
        let flows = named(&format!("{number}"));
        let saved = admin.deploy(&flows, deploy_type).await.expect("saved");
        let applied = worker.follow().await;
        assert_eq!((applied.number, applied.id), (saved.number, saved.id));
        assert_eq!((applied.deploy_type, applied.flows), (deploy_type, flows));
        assert_eq!(applied.credentials, r#"{"n1":{"password":"pw"}}"#);
    }
    worker.rests().await;
    assert_eq!(worker.flows.running_hash(), admin.flows.running_hash());
}

#[tokio::test]
async fn a_message_missed_in_an_outage_is_made_up_for() {
    let server = access::server().await;
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    let mut options = Options::at(&server);
    options.block = block(proxy.address());
    let worker = Instance::new(Role::Worker, options);
    worker.start().await;
    worker.listen();
    until("the subscription", async || {
        subscribers(&server).await == Some(1)
    })
    .await;
    worker.rests().await;

    proxy.refuse().await;
    until("the end of the subscription", async || {
        subscribers(&server).await == Some(0)
    })
    .await;
    admin
        .deploy(&named("missed"), DeployType::Nodes)
        .await
        .expect("saved");
    proxy.accept().await.expect("the network is back");
    assert_eq!(worker.follow().await.flows, named("missed"));
}

#[tokio::test]
async fn a_killed_subscription_misses_nothing() {
    let (server, admin, worker) = pair().await;
    until("the subscription", async || {
        subscribers(&server).await == Some(1)
    })
    .await;
    for round in 0..3 {
        look(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        let flows = named(&format!("{round}"));
        admin
            .deploy(&flows, DeployType::Nodes)
            .await
            .expect("saved");
        assert_eq!(worker.follow().await.flows, flows);
    }
}

#[tokio::test]
async fn without_any_message_the_store_is_polled() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    let deaf = Instance::new(Role::Worker, Options::at(&server));
    deaf.start().await;
    deaf.rests().await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let job = timeout(POLLED, deaf.flows.next_job())
        .await
        .expect("in time");
    assert!(matches!(job, Some(Job::Apply(_))), "{job:?}");
}

#[tokio::test]
async fn ten_deploys_during_an_apply_are_one_more_apply() {
    let (_server, admin, worker) = pair().await;
    admin
        .deploy(&named("second"), DeployType::Nodes)
        .await
        .expect("saved");
    let slow = worker.apply().await;
    for number in 3..=12 {
        let deploy_type = if number == 7 {
            DeployType::Flows
        } else {
            DeployType::Nodes
        };
        admin
            .deploy(&named(&format!("r{number}")), deploy_type)
            .await
            .expect("saved");
    }
    worker.end(Job::Apply(slow), Done::Applied).await;
    let applied = worker.follow().await;
    assert_eq!((applied.number, applied.flows), (12, named("r12")));
    assert_eq!(
        applied.deploy_type,
        DeployType::Flows,
        "the strongest of those skipped"
    );
    worker.rests().await;
}

#[tokio::test]
async fn a_gap_in_the_history_restarts_everything() {
    let (server, admin, worker) = pair().await;
    worker.rests().await;
    let slow = {
        admin
            .deploy(&named("second"), DeployType::Nodes)
            .await
            .expect("saved");
        worker.apply().await
    };
    for name in ["third", "fourth"] {
        admin
            .deploy(&named(name), DeployType::Nodes)
            .await
            .expect("saved");
    }
    look(&server, &["HDEL", "nodered:history", "3"]).await;
    worker.end(Job::Apply(slow), Done::Applied).await;
    assert_eq!(worker.follow().await.deploy_type, DeployType::Full);
}

#[tokio::test]
async fn the_flows_are_stopped_and_started_everywhere() {
    let (_server, admin, worker) = pair().await;
    for state in [RunState::Stop, RunState::Start] {
        admin.flows.publish_state(state).await.expect("published");
        let job = worker.job().await;
        assert!(matches!(job, Job::State(seen) if seen == state), "{job:?}");
        worker.end(job, Done::Applied).await;
        assert_eq!(worker.flows.status().borrow().state, state);
    }
    admin.rests().await;
    worker.rests().await;
}

#[tokio::test]
async fn a_deploy_while_stopped_stays_stopped() {
    let (_server, admin, worker) = pair().await;
    admin
        .flows
        .publish_state(RunState::Stop)
        .await
        .expect("published");
    let job = worker.job().await;
    worker.end(job, Done::Applied).await;
    admin
        .deploy(&named("second"), DeployType::Full)
        .await
        .expect("saved");
    let apply = worker.apply().await;
    assert_eq!(apply.head.state, RunState::Stop);
}

#[tokio::test]
async fn closing_ends_whoever_waits() {
    let (_server, _admin, worker) = pair().await;
    let (job, ()) = tokio::join!(timeout(POLLED, worker.flows.next_job()), async {
        worker.flows.close();
    });
    assert!(job.expect("at once").is_none());
    assert!(worker.flows.next_job().await.is_none());
}

#[tokio::test]
async fn a_wait_for_work_that_was_given_up_takes_no_work_with_it() {
    let (_server, admin, worker) = pair().await;
    worker.rests().await;
    for number in 2..=30 {
        admin
            .deploy(&named(&format!("r{number}")), DeployType::Nodes)
            .await
            .expect("saved");
        // Given up at another point of the look each time.
        let limit = Duration::from_micros(200 * (number - 1));
        if let Ok(Some(job)) = timeout(limit, worker.flows.next_job()).await {
            worker.end(job, Done::Applied).await;
        }
    }
    worker.flows.wake();
    if worker.running() != Some(30) {
        assert_eq!(worker.follow().await.number, 30);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn whoever_ends_waits_for_the_revision_that_is_being_kept() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    let worker = Instance::worker(&server).await;
    // What is written to a pipe waits for a reader.
    let pipe = worker.disk.path().join("last-good-revision.new");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let deployed = admin.deploy(&named("a"), DeployType::Full).await;
    let hash = Some(deployed.expect("saved").hash);
    let (_, (waits, kept)) = tokio::join!(worker.follow(), async {
        until("it runs", async || worker.flows.running_hash() == hash).await;
        let waits = worker.flows.flush().now_or_never().is_none();
        let read = tokio::task::spawn_blocking(move || std::fs::read(pipe));
        worker.flows.flush().await;
        (waits, read.await.expect("a reader").expect("what was kept"))
    });
    assert!(waits);
    assert!(!kept.is_empty());
}
