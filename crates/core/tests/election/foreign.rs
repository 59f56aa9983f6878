//! A lock that holds something of others, and messages of others.

use std::time::{Duration, Instant};

use node_red_cluster_core::election::Role;
use node_red_cluster_testkit::Server;

use super::hostile;
use super::instance::{Instance, LOCK, TTL, leaders, lock, throughout};
use crate::support::{look, text, until};

async fn foreign(instance: &Instance) -> (Option<String>, String) {
    until("it says so", async || {
        matches!(instance.role(), Role::Foreign { .. })
    })
    .await;
    match instance.role() {
        Role::Foreign { host, message } => (host, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lock_of_the_older_package_is_followed_until_it_is_gone() {
    let server = Server::start_default().await.expect("a server");
    look(&server, &["SET", LOCK, "host-7", "PX", "1500"]).await;
    let held = Instant::now();
    let instance = Instance::start(server.address());
    let (host, message) = foreign(&instance).await;
    assert_eq!(host.as_deref(), Some("host-7"));
    assert!(message.contains("host-7"), "{message}");
    while text(&server, &["GET", LOCK]).await.as_deref() == Some("host-7") {
        assert!(!instance.leads());
    }
    assert!(
        held.elapsed() >= Duration::from_millis(1_400),
        "nobody overwrote it"
    );
    instance.must_lead().await;
}

#[tokio::test]
async fn what_is_no_lock_is_never_overwritten() {
    let values: [&[&str]; 5] = [
        &["SET", "a", "{\"holder\":1}"],
        &["RPUSH", "b", "one", "two"],
        &["HSET", "c", "token", "7"],
        &["SET", "d:election", "text"],
        &["HSET", "e:election", "token", "many"],
    ];
    let server = Server::start_default().await.expect("a server");
    for value in values {
        look(&server, value).await;
    }
    let dump = async || {
        let mut dumps = Vec::new();
        for value in values {
            dumps.push(look(&server, &["DUMP", value[1]]).await);
        }
        dumps
    };
    let before = dump().await;
    let instance = Instance::start(server.address());
    let locks = values.map(|value| value[1].trim_end_matches(":election"));
    let candidacies = locks.map(|key| instance.elections.join(&lock(key, TTL)));
    instance.must_lead().await;
    for candidacy in &candidacies {
        until("it says so", async || {
            matches!(candidacy.standing().role, Role::Foreign { .. })
        })
        .await;
    }
    throughout(TTL.mul_f64(1.2), || {
        candidacies
            .iter()
            .all(|candidacy| candidacy.token().is_none())
    })
    .await;
    assert_eq!(dump().await, before);
    for value in values {
        look(&server, &["DEL", value[1]]).await;
    }
    until("it leads them all", async || {
        candidacies
            .iter()
            .all(|candidacy| candidacy.token().is_some())
    })
    .await;
}

#[tokio::test]
async fn a_leader_whose_lock_is_taken_by_something_else_leads_no_more() {
    let server = Server::start_default().await.expect("a server");
    let instance = Instance::start(server.address());
    let token = instance.must_lead().await;
    look(&server, &["SET", LOCK, "host-7"]).await;
    foreign(&instance).await;
    assert!(!instance.leads());
    look(&server, &["DEL", LOCK]).await;
    assert!(instance.must_lead().await > token);
}

#[tokio::test]
async fn messages_that_lie_neither_make_a_leader_nor_end_one() {
    let server = Server::start_default().await.expect("a server");
    let leader = Instance::start(server.address());
    let token = leader.must_lead().await;
    let follower = Instance::start(server.address());
    follower.must_follow().await;
    let mut random = fastrand::Rng::with_seed(7);
    let end = Instant::now() + TTL * 3;
    while Instant::now() < end {
        let message = hostile::message(&server, LOCK, &mut random).await;
        let words: [&[u8]; 3] = [b"PUBLISH", b"nodered:elections", &message];
        server.command(&words).await.expect("an answer");
        assert!(leaders(&[&leader, &follower]) <= 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(leader.token(), Some(token));
    // Nor did any of them get into a token.
    leader.hang();
    until("another leads", async || follower.leads()).await;
    assert!(
        follower.token() < Some(token + 60_000),
        "{:?}",
        follower.token()
    );
}
