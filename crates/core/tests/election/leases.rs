//! One leads, goes on to lead, and is replaced: with a store that works.

use std::time::{Duration, Instant};

use node_red_cluster_core::election::Role;
use node_red_cluster_testkit::{Server, Value};
use serde_json::json;

use super::instance::{Instance, LOCK, TTL, leaders, lock, throughout};
use crate::support::{look, text, until};

/// What wakes a follower takes less; the rest is for a machine that is busy.
const AT_ONCE: Duration = Duration::from_millis(50);

async fn record(server: &Server, field: &str) -> String {
    let field = text(server, &["HGET", "nodered:leader:election", field]).await;
    field.unwrap_or_default()
}

#[tokio::test]
async fn one_leads_and_the_lock_tells_operators_who() {
    let server = Server::start_default().await.expect("a server");
    let first = Instance::start(server.address());
    let token = first.must_lead().await;
    let second = Instance::start(server.address());
    assert_eq!(second.must_follow().await, token);
    assert_eq!(first.role(), Role::Leader { token });

    let held = text(&server, &["GET", LOCK]).await.expect("the lock");
    let held: serde_json::Value = serde_json::from_str(&held).expect("JSON");
    assert_eq!(held["token"], token);
    assert_eq!(held["host"], first.candidacy.standing().host);
    assert_eq!(held["holder"], record(&server, "holder").await);
    assert_eq!(record(&server, "state").await, "held");
    let left = look(&server, &["PTTL", LOCK])
        .await
        .integer()
        .expect("a time");
    assert!((1..=1_000).contains(&left), "{left}");
    let lasts = look(&server, &["TTL", "nodered:leader:election"]).await;
    assert_eq!(lasts.integer(), Some(-1), "the record outlives the lock");
}

#[tokio::test]
async fn a_leader_renews_before_a_third_of_its_lease_is_over_twice_and_keeps_its_token() {
    let server = Server::start_default().await.expect("a server");
    let leader = Instance::start(server.address());
    let token = leader.must_lead().await;
    let follower = Instance::start(server.address());
    let began = Instant::now();
    leader.must_renew(6).await;
    // A third of a second each; twice that would leave no room for a failure.
    assert!(began.elapsed() < TTL * 4, "{:?}", began.elapsed());
    assert_eq!(leader.token(), Some(token));
    assert_eq!(follower.follows(), Some(token));
    assert!(!follower.leads());
}

#[tokio::test]
async fn a_leader_is_judged_by_its_lease_alone_and_a_follower_waits_for_its_end() {
    let server = Server::start_default().await.expect("a server");
    let leader = Instance::start(server.address());
    let token = leader.must_lead().await;
    let follower = Instance::start(server.address());
    follower.must_follow().await;
    leader.must_renew(1).await;

    leader.hang();
    let hung = Instant::now();
    // At no moment do two lead.
    while !follower.leads() {
        assert!(hung.elapsed() < TTL * 3, "nobody took over");
        assert!(leaders(&[&leader, &follower]) <= 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let gap = hung.elapsed();
    assert!(!leader.leads());
    assert!(gap > TTL / 2, "after {gap:?} the lease cannot have ended");
    // The lease was renewed at most just after the loop hung; then come the margin and a busy machine.
    assert!(gap < TTL.mul_f64(1.3), "it took {gap:?}");
    assert!(follower.token() > Some(token));

    leader.go_on();
    leader.must_follow().await;
    assert!(!leader.leads());
}

#[tokio::test]
async fn a_lock_that_is_released_is_taken_at_once_by_another() {
    let server = Server::start_default().await.expect("a server");
    // One more than there are releases: whoever released stands back for a while.
    let instances = [0; 10].map(|_| Instance::start(server.address()));
    let all = instances.each_ref();
    let mut gaps = Vec::new();
    for _ in 0..9 {
        until("one leads and all others follow", async || {
            let followers = all.iter().filter(|each| each.follows().is_some());
            leaders(&all) == 1 && followers.count() == all.len() - 1
        })
        .await;
        let leader = all.iter().find(|each| each.leads()).expect("a leader");
        let token = leader.token();
        let at = Instant::now();
        assert!(leader.release().await);
        assert!(!leader.leads());
        until("another leads", async || leaders(&all) == 1).await;
        let next = all.iter().find(|each| each.leads()).expect("a leader");
        assert!(next.token() > token, "tokens grow");
        assert!(!std::ptr::eq(*next, *leader), "it stands back");
        gaps.push(next.began().expect("it began") - at);
    }
    gaps.sort();
    assert!(gaps[gaps.len() / 2] < AT_ONCE, "{gaps:?}");
}

#[tokio::test]
async fn who_released_stands_back_while_others_are_there() {
    let server = Server::start_default().await.expect("a server");
    let first = Instance::start(server.address());
    first.must_lead().await;
    let second = Instance::start(server.address());
    second.must_follow().await;
    assert!(first.release().await);
    second.must_lead().await;
    // It is the only other one: it does not leave the job undone for long.
    let released = Instant::now();
    assert!(second.release().await);
    first.must_lead().await;
    assert!(
        released.elapsed() < TTL.mul_f64(1.2),
        "{:?}",
        released.elapsed()
    );
    assert!(!second.leads());
}

#[tokio::test]
async fn who_released_and_is_alone_leads_again_soon() {
    let server = Server::start_default().await.expect("a server");
    let alone = Instance::start(server.address());
    let token = alone.must_lead().await;
    let released = Instant::now();
    assert!(alone.release().await);
    assert!(alone.must_lead().await > token);
    assert!(released.elapsed() < TTL, "{:?}", released.elapsed());
}

#[tokio::test]
async fn a_follower_has_nothing_to_release_and_says_who_leads() {
    let server = Server::start_default().await.expect("a server");
    let leader = Instance::start(server.address());
    let token = leader.must_lead().await;
    let follower = Instance::start(server.address());
    follower.must_follow().await;
    let released = follower.elections.release(LOCK).await.expect("an answer");
    assert!(!released.released);
    assert_eq!(released.current_leader, Some(released.host));
    assert_eq!(leader.token(), Some(token));
}

#[tokio::test]
async fn who_closes_is_replaced_at_once() {
    let server = Server::start_default().await.expect("a server");
    let first = Instance::start(server.address());
    first.must_lead().await;
    let second = Instance::start(server.address());
    second.must_follow().await;
    let at = Instant::now();
    first.elections.close().await;
    assert!(!first.leads());
    second.must_lead().await;
    let gap = second.began().expect("it began") - at;
    assert!(gap < TTL / 2, "{gap:?}: it waited for the lease to end");
}

#[tokio::test]
async fn a_deploy_keeps_the_lock_and_a_node_that_is_removed_gives_it_up() {
    let server = Server::start_default().await.expect("a server");
    let instance = Instance::start(server.address());
    let token = instance.must_lead().await;
    instance.candidacy.leave(false);
    let again = instance.elections.join(&lock(LOCK, TTL));
    instance.elections.settle();
    instance.must_renew(2).await;
    assert_eq!(again.token(), Some(token));

    again.leave(false);
    assert_eq!(again.token(), Some(token), "until the flows have started");
    instance.elections.settle();
    until("the lock is given up", async || {
        record(&server, "state").await == "released"
    })
    .await;
    assert_eq!(again.token(), None);
    assert_eq!(instance.elections.leads(), Vec::<String>::new());
}

#[tokio::test]
async fn forty_candidacies_are_one_candidate_on_one_connection() {
    let server = Server::start_default().await.expect("a server");
    let clients = async || {
        let list = text(&server, &["CLIENT", "LIST"]).await.unwrap_or_default();
        list.lines()
            .filter(|line| line.contains("name=election-"))
            .count()
    };
    let instance = Instance::start(server.address());
    let token = instance.must_lead().await;
    let before = clients().await;
    let more: Vec<_> = (0..39)
        .map(|_| instance.elections.join(&lock(LOCK, TTL)))
        .collect();
    let keys: Vec<String> = (0..10).map(|number| format!("job:{number}")).collect();
    let others: Vec<_> = keys
        .iter()
        .map(|key| instance.elections.join(&lock(key, TTL)))
        .collect();
    until("all lead", async || {
        others.iter().all(|one| one.token().is_some())
    })
    .await;
    assert!(more.iter().all(|one| one.token() == Some(token)));
    assert_eq!(clients().await, before);
    assert!(before <= 2, "one for commands, one to listen: {before}");
}

#[tokio::test]
async fn a_follower_learns_of_renewals_without_asking() {
    let server = Server::start_default().await.expect("a server");
    let leader = Instance::start(server.address());
    leader.must_lead().await;
    let follower = Instance::start(server.address());
    follower.must_follow().await;
    leader.must_renew(2).await;
    let before = evals_of(&server).await;
    leader.must_renew(6).await;
    let asked = evals_of(&server).await - before;
    assert!((6..=8).contains(&asked), "{asked} scripts for 6 renewals");
}

/// How many scripts the server has run.
async fn evals_of(server: &Server) -> i64 {
    let info = look(server, &["INFO", "commandstats"]).await;
    let info = info.text().expect("text").to_owned();
    let calls = info.lines().filter_map(|line| {
        let line = line.strip_prefix("cmdstat_eval")?;
        let calls = line.split("calls=").nth(1)?.split(',').next()?;
        calls.parse::<i64>().ok()
    });
    calls.sum()
}

#[tokio::test]
async fn a_reserve_leads_alone_and_gives_way_to_others() {
    let server = Server::start_default().await.expect("a server");
    let reserve = Instance::reserve(server.address());
    let token = reserve.must_lead().await;
    let worker = Instance::start(server.address());
    let at = Instant::now();
    assert!(worker.must_lead().await > token);
    assert!(at.elapsed() < TTL / 2, "{:?}", at.elapsed());
    reserve.must_follow().await;
    // It does not take it back.
    worker.must_renew(4).await;
    assert!(worker.leads() && !reserve.leads());
}

#[tokio::test]
async fn a_worker_goes_before_a_reserve_when_a_leader_dies() {
    let server = Server::start_default().await.expect("a server");
    let leader = Instance::start(server.address());
    leader.must_lead().await;
    let reserve = Instance::reserve(server.address());
    let worker = Instance::start(server.address());
    reserve.must_follow().await;
    worker.must_follow().await;
    leader.hang();
    until("another leads", async || reserve.leads() || worker.leads()).await;
    assert!(worker.leads() && !reserve.leads());
}

#[tokio::test]
async fn an_admin_that_may_not_lead_only_watches() {
    let server = Server::start_default().await.expect("a server");
    let options = json!({ "role": "admin", "adminMayLead": false });
    let observer = Instance::with(server.address(), &options, &lock(LOCK, TTL));
    throughout(TTL * 2, || !observer.leads()).await;
    assert_eq!(look(&server, &["GET", LOCK]).await, Value::Nil);
    let worker = Instance::start(server.address());
    let token = worker.must_lead().await;
    assert_eq!(observer.must_follow().await, token);
}

#[tokio::test]
async fn leases_of_different_lengths_are_a_warning_and_stay_safe() {
    let server = Server::start_default().await.expect("a server");
    let short = Instance::start(server.address());
    short.must_lead().await;
    let long = Instance::with(server.address(), &json!({}), &lock(LOCK, TTL * 2));
    long.must_follow().await;
    until("a warning", async || {
        long.candidacy.standing().warning.is_some()
    })
    .await;
    let warning = long.candidacy.standing().warning.expect("a warning");
    assert!(warning.contains(LOCK), "{warning}");
    short.hang();
    while !long.leads() {
        assert!(leaders(&[&short, &long]) <= 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!short.leads());
}
