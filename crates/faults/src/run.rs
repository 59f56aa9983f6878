//! Rounds: work under faults, then everything healed, then everything checked.

use std::collections::BTreeMap;
use std::time::Duration;

use node_red_cluster_testkit::WallClock;
use tokio::time::{Instant, sleep};

use crate::failure::Result;
use crate::levels::Levels;
use crate::protocol::{History, Lead, Order, Outcome, Report, Task};
use crate::schedule::{Round, Schedule};
use crate::subject::Subject;
use crate::tell;
use crate::verify::{self, Stored, verify, verify_leaders};
use crate::world::World;

const PREFIX: &str = "faults:";
const LOCKS: [&str; 2] = ["faults:leader", "faults:jobs"];
/// The shortest lease that can be configured: many of them end during a fault.
const TTL: Duration = Duration::from_secs(1);
/// How long everything may take to come right after the last fault: links come back within 2 s, leases end, the
/// slow poll of the revision comes within 13 s.
const RECOVERY: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Work without any fault: after it everything that is opened when it is first used is there.
const WARM_UP: Duration = Duration::from_secs(3);
/// Violations that are shown of a round.
const SHOWN: usize = 10;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) suite: &'static str,
    pub(crate) seed: u64,
    pub(crate) duration: Duration,
    pub(crate) minutes: f64,
    /// The subject's.
    pub(crate) command: Vec<String>,
    pub(crate) instances: usize,
}

impl Plan {
    /// What repeats this run.
    fn repeat(&self) -> String {
        format!(
            "npm run test:faults -- --only {} --seed {} --minutes {}",
            self.suite, self.seed, self.minutes
        )
    }
}

/// What a run came to so far.
#[derive(Debug, Default)]
struct Sums {
    rounds: u32,
    acknowledged: BTreeMap<&'static str, usize>,
    errors: BTreeMap<String, usize>,
    lost: BTreeMap<String, usize>,
    leads: Vec<Lead>,
    slowest: Duration,
    /// At the beginning, and now.
    level: Levels,
    now: Levels,
}

/// Runs rounds until the time is over or a promise is broken. Whether all were kept.
///
/// # Errors
/// What keeps the suite from going on; it says nothing about the product.
pub(crate) async fn run(plan: &Plan) -> Result<bool> {
    tell(&format!("{}: {}", plan.suite, plan.repeat()));
    let mut world = World::start(plan.instances).await?;
    for (fault, reason) in world.log.reasons() {
        tell(&format!("skipped: {fault}: {reason}"));
    }
    let task = task(&world);
    let light = plan.suite == "rust";
    let command = [world.network.command(), plan.command.clone()].concat();
    let subject = Subject::start(&command, &task, light).await?;

    let mut sums = Sums::default();
    let quiet = Round {
        store: Vec::new(),
        links: Vec::new(),
    };
    let mut schedule = Schedule::new(plan.seed, plan.instances);
    let mut end = Instant::now();
    let mut violations;
    loop {
        let warm_up = sums.rounds == 0;
        let round = if warm_up {
            quiet.clone()
        } else {
            schedule.next().unwrap_or_else(|| quiet.clone())
        };
        violations = play(&mut world, &subject, &mut sums, &round).await?;
        if !violations.is_empty() {
            report_violations(plan, &sums, &round, &violations);
            for lock in LOCKS {
                tell(&format!("{lock}: {}", world.store.describe(lock).await));
            }
            // So that logs are kept; how it ends is no matter any more.
            let _ = subject.close().await;
            break;
        }
        if warm_up {
            sums.level = sums.now.clone();
            end = Instant::now() + plan.duration;
        }
        sums.rounds += 1;
        if Instant::now() >= end {
            break;
        }
    }
    if violations.is_empty() {
        violations.extend(sums.now.grown(&sums.level));
        if let Err(failure) = subject.close().await {
            violations.push(failure.to_string());
        }
        for violation in &violations {
            tell(&format!(
                "VIOLATION {violation}; to repeat it: {}",
                plan.repeat()
            ));
        }
    }
    summary(plan, &world, &sums);
    Ok(violations.is_empty())
}

fn task(world: &World) -> Task {
    let clock = world.clock.iter().flat_map(WallClock::environment);
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    Task {
        host: world.network.host(),
        ports: world.network.ports(),
        key_prefix: PREFIX.to_owned(),
        locks: LOCKS.map(str::to_owned).to_vec(),
        ttl: u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX),
        clock: clock
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
    }
}

/// One round. Gives the promises that were broken.
async fn play(
    world: &mut World,
    subject: &Subject,
    sums: &mut Sums,
    round: &Round,
) -> Result<Vec<String>> {
    let begin = Order::Begin {
        round: sums.rounds,
        epoch: world.log.epoch(),
    };
    subject.order(&begin).await?;
    if round.store.is_empty() {
        sleep(WARM_UP).await;
    }
    let next = async |epoch| subject.order(&Order::Epoch { epoch }).await;
    world.rage(round, next).await?;
    // Something is to be written after the last loss, too.
    sleep(Duration::from_millis(500)).await;
    let history = subject.halt().await?;
    sums.add(&history);

    let since = Instant::now();
    let keys: Vec<String> = verify::keys(&history.operations).into_iter().collect();
    let settled = settle(world, subject, sums, &keys, since).await?;
    sums.slowest = sums.slowest.max(since.elapsed());
    let verdict = verify(&history, &settled.stored, &world.log.losses());
    for (fault, count) in verdict.lost {
        *sums.lost.entry(fault).or_default() += count;
    }
    verify::merge(&mut sums.leads, history.leads);
    let mut violations = settled.unsettled;
    violations.extend(verdict.violations);
    violations.extend(verify_leaders(&sums.leads));
    Ok(violations)
}

/// What there is after the faults.
struct Settled {
    stored: Stored,
    /// What has not come right.
    unsettled: Vec<String>,
}

/// Waits until everything has come right.
async fn settle(
    world: &World,
    subject: &Subject,
    sums: &mut Sums,
    keys: &[String],
    since: Instant,
) -> Result<Settled> {
    loop {
        let report = subject.report(keys.to_vec()).await?;
        let stored = world
            .store
            .look(PREFIX, keys.iter().cloned(), label_of)
            .await?;
        let connections = world.store.connections().await?;
        sums.now = Levels::of(&report.processes, connections, report.tasks)?;
        let mut unsettled = unsettled(&report, &stored, keys);
        if sums.rounds > 0 {
            unsettled.extend(sums.now.leaks(&sums.level));
        }
        if unsettled.is_empty() || since.elapsed() > RECOVERY {
            return Ok(Settled { stored, unsettled });
        }
        sleep(PAUSE).await;
    }
}

/// What is not as it has to be at the end.
fn unsettled(report: &Report, stored: &Stored, keys: &[String]) -> Vec<String> {
    let mut unsettled = Vec::new();
    for (index, instance) in report.instances.iter().enumerate() {
        if let Some(error) = &instance.error {
            unsettled.push(format!("instance {index} cannot read: {error}"));
        } else if instance.label != stored.label || instance.label.is_none() {
            unsettled.push(format!(
                "instance {index} runs {:?}, the newest revision is {:?}",
                instance.label, stored.label
            ));
        }
        for (key, value) in keys.iter().zip(&instance.values) {
            let value = value
                .as_deref()
                .map(serde_json::from_str::<serde_json::Value>);
            let there = stored
                .context
                .get(key)
                .map(|text| serde_json::from_str(text));
            if value.transpose().ok() != there.transpose().ok() {
                unsettled.push(format!("instance {index} reads an old value of {key}"));
            }
        }
    }
    for lock in LOCKS {
        let leads =
            |instance: &&crate::protocol::Instance| instance.leads.iter().any(|one| one == lock);
        let leaders = report.instances.iter().filter(leads).count();
        if leaders != 1 {
            unsettled.push(format!("{leaders} instances lead {lock}"));
        }
    }
    unsettled
}

/// What tells flows from others: the name of their first comment.
fn label_of(flows: &str) -> Option<String> {
    let flows: Vec<serde_json::Value> = serde_json::from_str(flows).ok()?;
    let comment = flows.iter().find(|node| node["type"] == "comment")?;
    comment["name"].as_str().map(str::to_owned)
}

impl Sums {
    fn add(&mut self, history: &History) {
        let operations = history.operations.iter().map(|one| {
            let kind = match one.kind {
                crate::protocol::Kind::Set => "sets",
                crate::protocol::Kind::Increment => "increments",
                crate::protocol::Kind::Append => "appends",
                crate::protocol::Kind::Read => "reads",
            };
            (kind, &one.outcome)
        });
        let deploys = history.deploys.iter().map(|one| ("deploys", &one.outcome));
        for (kind, outcome) in operations.chain(deploys) {
            match outcome {
                Outcome::Acknowledged => *self.acknowledged.entry(kind).or_default() += 1,
                Outcome::Failed(code) => {
                    *self.errors.entry(format!("{kind}: {code}")).or_default() += 1;
                }
            }
        }
    }
}

fn report_violations(plan: &Plan, sums: &Sums, round: &Round, violations: &[String]) {
    tell(&format!(
        "round {} broke {} promises:",
        sums.rounds,
        violations.len()
    ));
    for violation in violations.iter().take(SHOWN) {
        tell(&format!("VIOLATION {violation}"));
    }
    for (lane, steps) in [("store", &round.store), ("links", &round.links)] {
        let steps = steps.iter().map(|step| {
            format!(
                "{} ({:?} after {:?}, instance {})",
                step.fault.name(),
                step.span,
                step.after,
                step.victim
            )
        });
        tell(&format!("{lane}: {}", steps.collect::<Vec<_>>().join("; ")));
    }
    tell(&format!("to repeat it: {}", plan.repeat()));
}

fn summary(plan: &Plan, world: &World, sums: &Sums) {
    let tokens = sums.leads.len();
    tell(&format!(
        "{}: seed {}, {} rounds, everything right at most {:.1} s after the faults, {tokens} leaderships",
        plan.suite,
        plan.seed,
        sums.rounds,
        sums.slowest.as_secs_f64()
    ));
    tell(&format!("acknowledged: {:?}", sums.acknowledged));
    tell(&format!("errors that work met: {:?}", sums.errors));
    tell(&format!(
        "acknowledged writes that the store itself lost: {:?}",
        sums.lost
    ));
    tell(&format!("faults: {:?}", world.log.counts()));
    tell(&format!(
        "levels at first {:?}, at last {:?}",
        sums.level, sums.now
    ));
}
