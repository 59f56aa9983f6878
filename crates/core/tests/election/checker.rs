//! The checker: at most one leads, whatever happens, and one does once nothing happens any more.
//!
//! It runs for [`SECONDS`], or as long as `ELECTION_CHECKER_SECONDS` says, with a seed of its own or
//! `ELECTION_CHECKER_SEED`. A seed tells which faults come in which order; when exactly they meet a process is
//! up to the machine. `--nocapture` shows each round.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use node_red_cluster_testkit::{Clocks, Proxy, Server, eventually};
use tokio::time::Instant;

use super::life::{Chronicle, Home, now};
use super::nemesis::World;
use super::verify::{Verdict, verify};

/// How long it runs if nobody says otherwise.
const SECONDS: u64 = 30;
/// How long faults are made before everything has to come right again.
const ROUND: Duration = Duration::from_secs(5);
const PROCESSES: usize = 4;
const TTL: Duration = Duration::from_secs(1);
const PREFIX: &str = "checker:";
/// After the last fault links may take so long to come back, besides the leases that have to end.
const RECOVERY: Duration = Duration::from_secs(4);
/// A round without at least so many changes of leader, taken together, proves nothing.
const CHANGES_PER_ROUND: usize = 3;
/// How many violations are shown with all that happened around them.
const SHOWN: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_one_leads_whatever_happens() {
    let seconds = number("ELECTION_CHECKER_SECONDS").unwrap_or(SECONDS);
    let seed = number("ELECTION_CHECKER_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut random = Rng::with_seed(seed);
    tell(&format!("seed {seed}, {seconds} s, {PROCESSES} processes"));
    if !Clocks::POSSIBLE {
        tell("clocks cannot be set on this system: that fault is left out");
    }

    let world = world().await;
    for home in &world.homes {
        home.lock().await.start();
    }
    one_leads(&world, seed).await;

    let end = Instant::now() + Duration::from_secs(seconds);
    let mut slowest = Duration::ZERO;
    let mut rounds = 0;
    let mut verdict = Verdict::default();
    while Instant::now() < end && verdict.violations.is_empty() {
        rounds += 1;
        let left = end.saturating_duration_since(Instant::now());
        world.rage(left.min(ROUND), &mut random).await;
        world.chronicle.note("everything is healed");
        slowest = slowest.max(one_leads(&world, seed).await);
        verdict = judge(&world);
        tell(&format!("round {rounds}: {}", summary(&verdict)));
    }
    for home in &world.homes {
        home.lock().await.close().await;
    }
    verdict = judge(&world);
    tell(&format!(
        "seed {seed}: {rounds} rounds, {}; a leader at most {slowest:?} after the faults; {:?}",
        summary(&verdict),
        world.done(),
    ));
    fail_on(&verdict, &world, seed);
    assert!(
        verdict.changes >= rounds * CHANGES_PER_ROUND,
        "only {} changes of leader in {rounds} rounds of seed {seed}",
        verdict.changes
    );
}

async fn world() -> World {
    let clocks = Clocks::POSSIBLE.then(|| Clocks::new().expect("a C compiler"));
    let clock = |name: &str| {
        let clocks = clocks.as_ref()?;
        Some(clocks.clock(name).expect("a clock"))
    };
    let store_clock = clock("store");
    let mut builder = Server::builder()
        .append_only()
        .configuration_line("appendfsync always");
    if let Some(clock) = &store_clock {
        builder = builder.wall_clock(clock);
    }
    let server = builder.start().await.expect("a server");
    let chronicle = Chronicle::default();
    let locks = ["leader", "jobs", "a{b}c", "}{", "Zürich 1", "x:election"]
        .map(|name| format!("{PREFIX}{name}"));
    let mut homes = Vec::new();
    for index in 0..PROCESSES {
        let proxy = Proxy::start(server.address()).await.expect("a proxy");
        let name = format!("p{index}");
        homes.push(Home::new(
            name.clone(),
            Arc::new(proxy),
            clock(&name),
            chronicle.clone(),
            (PREFIX, &locks, TTL),
        ));
    }
    let channel = format!("{PREFIX}elections");
    World::new(
        server,
        store_clock,
        homes,
        (locks.to_vec(), channel, TTL),
        chronicle,
    )
}

/// Waits until each lock has its leader, and returns how long that took.
async fn one_leads(world: &World, seed: u64) -> Duration {
    let since = Instant::now();
    let limit = 2 * TTL + RECOVERY;
    for lock in &world.locks {
        let leaders = || async move { (world.chronicle.leaders(lock) == 1).then_some(()) };
        let what = format!("a leader of {lock}");
        let left = limit.saturating_sub(since.elapsed());
        if let Err(error) = eventually(&what, left, leaders).await {
            fail_on(&judge(world), world, seed);
            let history = world.chronicle.history();
            panic!(
                "{error} after everything was healed, seed {seed}\n{}",
                history.around(lock, now())
            );
        }
    }
    since.elapsed()
}

fn judge(world: &World) -> Verdict {
    let history = world.chronicle.history();
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    let millis = |moment: u128| i64::try_from(moment).expect("a time of this age");
    let epoch = millis(wall.as_millis()) - millis(u128::from(now() / 1_000_000));
    let ttl = u64::try_from(TTL.as_nanos()).expect("a short time");
    verify(&history, ttl, epoch)
}

fn fail_on(verdict: &Verdict, world: &World, seed: u64) {
    if verdict.violations.is_empty() {
        return;
    }
    let history = world.chronicle.history();
    let shown = verdict.violations.iter().take(SHOWN).map(|violation| {
        let around = history.around(&violation.lock, violation.at);
        format!("{} of {}:\n{around}", violation.text, violation.lock)
    });
    let shown: Vec<String> = shown.collect();
    panic!(
        "{} violations, seed {seed}\n{}",
        verdict.violations.len(),
        shown.join("\n")
    );
}

fn summary(verdict: &Verdict) -> String {
    let Verdict {
        violations,
        intervals,
        changes,
        samples,
        unavoidable,
    } = verdict;
    format!(
        "{intervals} leaderships, {changes} changes of leader, {samples} looks, {unavoidable} tokens that nothing remembered, {} violations",
        violations.len()
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
    )
}

/// Past the test harness: the figures of a run that passed are worth as much as those of one that did not.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "election checker: {line}");
}
