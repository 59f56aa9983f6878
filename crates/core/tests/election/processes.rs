//! Real processes that are killed and frozen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use node_red_cluster_testkit::{Proxy, Server};

use super::history::Said;
use super::life::{Chronicle, Home, now};
use super::verify::verify;
use crate::support::until;

const TTL: Duration = Duration::from_secs(1);
const LOCK: &str = "nodered:leader";

/// Two processes, the first of which leads.
async fn homes(server: &Server, chronicle: &Chronicle) -> [Home; 2] {
    let mut homes = Vec::new();
    for index in 0..2 {
        let proxy = Proxy::start(server.address()).await.expect("a proxy");
        let name = format!("p{index}");
        let locks = [LOCK.to_owned()];
        let task = ("nodered:", &locks[..], TTL);
        let mut home = Home::new(name, Arc::new(proxy), None, chronicle.clone(), task);
        home.start();
        until("a leader", async || chronicle.leaders(LOCK) == 1).await;
        homes.push(home);
    }
    until("a follower", async || {
        let history = chronicle.history();
        history.lives.len() == 2
            && history.lives[1]
                .said
                .iter()
                .any(|said| matches!(said, Said::Knows { .. }))
    })
    .await;
    homes.try_into().unwrap_or_else(|_| panic!("two"))
}

fn assert_kept(chronicle: &Chronicle) {
    let ttl = u64::try_from(TTL.as_nanos()).expect("a short time");
    let verdict = verify(&chronicle.history(), ttl, 0);
    assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    assert_eq!(verdict.intervals, 2);
    assert_eq!(verdict.changes, 1);
}

#[tokio::test]
async fn a_leader_that_is_killed_is_replaced_within_its_lease_and_a_tenth() {
    let server = Server::start_default().await.expect("a server");
    let chronicle = Chronicle::default();
    let [mut first, mut second] = homes(&server, &chronicle).await;
    let killed = Instant::now();
    first.kill().await;
    until("another leader", async || chronicle.leaders(LOCK) == 1).await;
    let gap = killed.elapsed();
    assert!(gap <= TTL.mul_f64(1.1), "{gap:?}");
    second.close().await;
    assert_kept(&chronicle);
}

#[tokio::test]
async fn a_leader_that_was_frozen_for_longer_than_its_lease_leads_at_no_moment_afterwards() {
    let server = Server::start_default().await.expect("a server");
    let chronicle = Chronicle::default();
    let [mut first, mut second] = homes(&server, &chronicle).await;
    first.pause();
    let frozen = now();
    until("another leader", async || {
        chronicle
            .leader(LOCK)
            .is_some_and(|name| name.starts_with("p1"))
    })
    .await;
    first.resume();
    until("it follows", async || {
        chronicle.history().lives[0]
            .said
            .iter()
            .any(|said| matches!(said, Said::Knows { at, .. } if *at > frozen))
    })
    .await;
    first.close().await;
    second.close().await;
    assert_kept(&chronicle);
}
