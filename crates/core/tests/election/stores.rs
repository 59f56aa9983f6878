//! One leads at most while the store, its data, its clock or the way to it are lost.

use std::time::{Duration, Instant};

use node_red_cluster_core::election::{Belief, Role};
use node_red_cluster_testkit::{Clocks, Direction, Proxy, Server, Shift, Value};
use serde_json::json;

use super::instance::{Instance, LOCK, TTL, leaders, lock, throughout};
use crate::support::{look, text, until};

const RECORD: &str = "nodered:leader:election";

/// Longer than a busy machine takes to start a server again, and links to find it.
const LONG: Duration = TTL.saturating_mul(5);

/// A leader and a follower that knows it.
async fn pair(server: &Server) -> (Instance, Instance) {
    pair_with(server, TTL).await
}

async fn pair_with(server: &Server, ttl: Duration) -> (Instance, Instance) {
    let start = || Instance::with(server.address(), &json!({}), &lock(LOCK, ttl));
    let leader = start();
    leader.must_lead().await;
    let follower = start();
    follower.must_follow().await;
    (leader, follower)
}

/// Waits until one of two leads, and checks at each look that not both do.
async fn one_leads<'a>(one: &'a Instance, other: &'a Instance) -> &'a Instance {
    let begin = Instant::now();
    loop {
        assert!(leaders(&[one, other]) <= 1, "two lead");
        assert!(begin.elapsed() < TTL * 8, "nobody leads");
        match (one.leads(), other.leads()) {
            (true, false) => return one,
            (false, true) => return other,
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[tokio::test]
async fn without_the_store_a_leader_leads_until_its_lease_ends_and_then_nobody() {
    let mut server = Server::start_default().await.expect("a server");
    let (leader, follower) = pair(&server).await;
    leader.must_renew(1).await;
    server.kill().await.expect("it ends");
    let gone = Instant::now();
    assert!(leader.leads(), "its lease has not ended");
    // The moment before the last look that found it leading.
    let mut last = gone;
    until("it leads no more", || {
        let look = Instant::now();
        let leads = leader.leads();
        if leads {
            last = look;
        }
        std::future::ready(!leads)
    })
    .await;
    assert!(last <= gone + TTL, "{:?}", last - gone);
    throughout(TTL * 2, || leaders(&[&leader, &follower]) == 0).await;
    until("it says why", async || {
        matches!(leader.role(), Role::Unreachable(_))
    })
    .await;

    server.start().await.expect("it starts");
    one_leads(&leader, &follower).await;
}

#[tokio::test]
async fn a_store_that_restarts_with_its_data_keeps_the_leader() {
    let mut server = Server::builder()
        .append_only()
        .start()
        .await
        .expect("a server");
    let (leader, follower) = pair_with(&server, LONG).await;
    let token = leader.token();
    leader.must_renew(1).await;
    server.kill().await.expect("it ends");
    server.start().await.expect("it starts");
    leader.must_renew(2).await;
    assert_eq!(leader.token(), token);
    assert_eq!(
        leader
            .beliefs()
            .iter()
            .filter(|(_, belief)| is_begin(belief))
            .count(),
        1
    );
    assert!(!follower.leads());
}

#[tokio::test]
async fn a_store_that_restarts_without_its_data_keeps_the_leader_and_is_told_again() {
    let mut server = Server::start_default().await.expect("a server");
    let (leader, follower) = pair_with(&server, LONG).await;
    let token = leader.token();
    leader.must_renew(1).await;
    server.kill().await.expect("it ends");
    server.start_empty().await.expect("it starts");
    leader.must_renew(2).await;
    assert_eq!(leader.token(), token);
    assert!(!follower.leads());
    let recorded = text(&server, &["HGET", RECORD, "token"]).await;
    assert_eq!(recorded.and_then(|token| token.parse().ok()), token);
}

#[tokio::test]
async fn a_store_that_is_emptied_keeps_the_leader() {
    let server = Server::start_default().await.expect("a server");
    let (leader, follower) = pair(&server).await;
    let token = leader.token();
    look(&server, &["FLUSHALL"]).await;
    leader.must_renew(3).await;
    assert_eq!(leader.token(), token);
    assert!(!follower.leads());
}

#[tokio::test]
async fn keys_that_are_deleted_by_hand_come_back_with_the_same_leader() {
    let server = Server::start_default().await.expect("a server");
    let (leader, follower) = pair(&server).await;
    let token = leader.token();
    for keys in [&[LOCK][..], &[RECORD], &[LOCK, RECORD]] {
        for key in keys {
            look(&server, &["DEL", key]).await;
        }
        leader.must_renew(2).await;
        assert_eq!(leader.token(), token, "{keys:?}");
        assert!(!follower.leads(), "{keys:?}");
        assert_eq!(
            look(&server, &["EXISTS", LOCK, RECORD]).await,
            Value::Integer(2)
        );
    }
}

#[tokio::test]
async fn a_store_that_lost_its_data_together_with_the_leader_has_a_later_token() {
    let mut server = Server::start_default().await.expect("a server");
    let (leader, follower) = pair(&server).await;
    let token = leader.token();
    leader.hang();
    server.kill().await.expect("it ends");
    server.start_empty().await.expect("it starts");
    let next = one_leads_after(&leader, &follower).await;
    assert!(follower.leads());
    assert!(next > token);
}

/// Waits until the first, which cannot renew, is replaced; the second one's token.
async fn one_leads_after(first: &Instance, second: &Instance) -> Option<u64> {
    until("the lease ends", async || !first.leads() || second.leads()).await;
    assert!(!(first.leads() && second.leads()), "two lead");
    one_leads(first, second).await.token()
}

#[tokio::test]
async fn a_store_that_went_back_in_time_to_a_released_lock_does_not_make_a_second_leader() {
    let mut server = Server::builder()
        .append_only()
        .configuration_line("appendfsync always")
        .start()
        .await
        .expect("a server");
    let (leader, follower) = pair(&server).await;
    assert!(leader.release().await);
    // What is saved says that nobody leads, and anybody may.
    follower.must_lead().await;
    assert!(follower.release().await);
    let saved = server.save_data().expect("a copy");
    let leader = one_leads(&leader, &follower).await;
    let other = [&follower]
        .into_iter()
        .find(|one| !std::ptr::eq(*one, leader));
    leader.must_renew(2).await;
    let token = leader.token();
    server.kill().await.expect("it ends");
    server.start_with(&saved).await.expect("it starts");
    let third = Instance::start(server.address());
    throughout(TTL.mul_f64(1.5), || {
        let count = leaders(&[leader, &third]) + other.map_or(0, |one| leaders(&[one]));
        count <= 1
    })
    .await;
    assert_eq!(leader.token(), token, "it leads on");
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_another_begins() {
    let directions = [Direction::Both, Direction::ToServer, Direction::ToClient];
    futures_util::future::join_all(directions.map(cut_off)).await;
}

async fn cut_off(direction: Direction) {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let leader = Instance::start(proxy.address());
    let token = leader.must_lead().await;
    let follower = Instance::start(server.address());
    follower.must_follow().await;
    proxy.blackhole(direction);
    let cut = Instant::now();
    while !follower.leads() {
        assert!(leaders(&[&leader, &follower]) <= 1, "{direction:?}");
        assert!(cut.elapsed() < TTL * 3, "{direction:?}: nobody took over");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!leader.leads(), "{direction:?}");
    assert!(follower.token() > Some(token));
    let next = follower.token();
    proxy.heal().await.expect("heal");
    // What it had sent arrives now, and must not take the lock back.
    leader.must_follow().await;
    follower.must_renew(3).await;
    assert_eq!(follower.token(), next, "{direction:?}");
    assert!(!leader.leads());
}

#[tokio::test]
async fn a_grant_that_comes_late_is_worth_nothing() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let holder = Instance::start(server.address());
    holder.must_lead().await;
    let late = Instance::start(proxy.address());
    late.must_follow().await;
    let other = Instance::start(server.address());
    other.must_follow().await;
    // The lock falls to whoever asks first, and nothing comes back to one of them.
    proxy.blackhole(Direction::ToClient);
    let silent = Instant::now();
    assert!(holder.release().await);
    let end = silent + TTL.mul_f64(1.5);
    while Instant::now() < end {
        assert!(!late.leads(), "it cannot know");
        assert!(leaders(&[&holder, &late, &other]) <= 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.heal().await.expect("heal");
    let end = Instant::now() + TTL;
    while Instant::now() < end {
        assert!(leaders(&[&holder, &late, &other]) <= 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_clock_of_the_store_decides_nothing() {
    if !Clocks::POSSIBLE {
        return;
    }
    const HOUR: Duration = Duration::from_secs(3_600);
    let clocks = Clocks::new().expect("a C compiler");
    let clock = clocks.clock("store").expect("a clock");
    let server = Server::builder()
        .wall_clock(&clock)
        .start()
        .await
        .expect("a server");
    let (leader, follower) = pair(&server).await;
    let token = leader.token();
    for shift in [Shift::Ahead(HOUR), Shift::Behind(HOUR), Shift::NONE] {
        clock.set(shift).expect("a clock");
        leader.must_renew(4).await;
        assert_eq!(leader.token(), token, "{shift:?}");
        assert!(!follower.leads(), "{shift:?}");
    }
    // Nor does it keep a dead leader alive or make a token fall.
    clock.set(Shift::Behind(HOUR)).expect("a clock");
    leader.must_renew(1).await;
    leader.hang();
    let hung = Instant::now();
    let next = one_leads_after(&leader, &follower).await;
    assert!(hung.elapsed() < TTL.mul_f64(1.5), "{:?}", hung.elapsed());
    assert!(next > token);
}

#[tokio::test]
async fn a_store_that_is_paused_has_no_second_leader_when_it_goes_on() {
    let server = Server::start_default().await.expect("a server");
    let (leader, follower) = pair(&server).await;
    let token = leader.token();
    for pause in [TTL / 2, TTL * 2] {
        server.pause().expect("it runs");
        throughout(pause, || leaders(&[&leader, &follower]) <= 1).await;
        server.resume().expect("it runs");
        throughout(TTL / 2, || leaders(&[&leader, &follower]) <= 1).await;
        let next = one_leads(&leader, &follower).await;
        assert!(next.token() >= token);
    }
}

#[tokio::test]
async fn slow_links_do_not_cost_the_leader_its_lock() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    proxy.delay_between(Duration::from_millis(50), Duration::from_millis(100));
    let leader = Instance::start(proxy.address());
    let token = leader.must_lead().await;
    let follower = Instance::start(proxy.address());
    leader.must_renew(6).await;
    assert_eq!(leader.token(), Some(token));
    assert!(!follower.leads());
}

fn is_begin(belief: &Belief) -> bool {
    matches!(belief, Belief::Began { .. })
}
