//! What an elector process does: it stands for its locks, says what it believes, and takes orders.
//!
//! It is this test binary, started again. Its clock is that of the election, which all processes of the machine
//! share, so that what they say can be put in order.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use node_red_cluster_core::config::{LockConfig, parse_election};
use node_red_cluster_core::election::{Belief, Candidacy, Elections, EventLoop, Role, clock};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc as asynchronous;

use super::history::{Nanos, Said, Sample};

/// The name of the test below, by which the process is started.
pub(crate) const NAME: &str = "elector::elector";
/// The variable that holds the [`Task`].
pub(crate) const VARIABLE: &str = "ELECTION_CHECKER_TASK";

/// How often it asks itself whether it leads.
const SAMPLING: Duration = Duration::from_millis(3);
/// How many times that is before it says what it saw.
const BATCH: u32 = 10;

/// What a process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The `valkey` block.
    pub(crate) block: Value,
    pub(crate) locks: Vec<String>,
    pub(crate) ttl: Duration,
}

/// An order, a line of JSON on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The event loop answers nobody for a while.
    Block(Duration),
    /// Give up a lock if it leads.
    Release(String),
    /// Stand no more for a lock.
    Leave(String),
    /// Stand for a lock again.
    Join(String),
    /// Give up everything in good order, and end.
    Close,
}

#[test]
#[ignore = "the checker starts it as a process of its own"]
fn elector() {
    let Ok(task) = std::env::var(VARIABLE) else {
        return;
    };
    let task: Task = serde_json::from_str(&task).expect("a task");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(task));
    // Not by way of the test harness: its report is nobody's business.
    std::process::exit(0);
}

type Candidacies = Arc<Mutex<BTreeMap<String, Candidacy>>>;

async fn run(task: Task) {
    // The harness has begun a line of its own.
    let _ = std::io::stdout().write_all(b"\n");
    let settings = parse_election(&task.block.to_string(), "null", &|_| None).expect("settings");
    let (event_loop, blocks) = event_loop();
    let elections =
        Elections::open(settings.settings, event_loop, Box::new(|| {})).expect("elections");
    elections.watch(Box::new(|belief| say(&heard(belief))));

    let join = |lock: &str| {
        let key = lock.to_owned();
        elections.join(&LockConfig { key, ttl: task.ttl })
    };
    let candidacies = task.locks.iter().map(|lock| (lock.clone(), join(lock)));
    let candidacies: Candidacies = Arc::new(Mutex::new(candidacies.collect()));
    thread::spawn({
        let candidacies = Arc::clone(&candidacies);
        move || sample(&candidacies)
    });
    say(&Said::Ready);

    let mut orders = orders();
    // Without anybody to give orders there is nobody to listen either.
    while let Some(order) = orders.recv().await {
        match order {
            Order::Block(duration) => blocks.send(Turn::Block(duration)).expect("a loop"),
            Order::Release(lock) => {
                let released = elections.release(&lock).await;
                say(&Said::Released {
                    at: now(),
                    lock,
                    led: released.is_ok_and(|released| released.released),
                });
            }
            Order::Leave(lock) => {
                let left = guard(&candidacies).remove(&lock);
                if let Some(candidacy) = left {
                    candidacy.leave(true);
                    say(&Said::Left { at: now(), lock });
                }
            }
            Order::Join(lock) => {
                let candidacy = join(&lock);
                guard(&candidacies).insert(lock, candidacy);
            }
            Order::Close => {
                elections.close().await;
                say(&Said::Closed);
                return;
            }
        }
    }
}

/// Reads orders until nobody gives any more.
fn orders() -> asynchronous::UnboundedReceiver<Order> {
    let (sender, orders) = asynchronous::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let order = serde_json::from_str(&line).expect("an order");
            if sender.send(order).is_err() {
                break;
            }
        }
    });
    orders
}

/// What happens in a turn of the event loop.
enum Turn {
    Answer,
    Block(Duration),
}

/// An event loop, as Node-RED's: one thing after the other.
fn event_loop() -> (Arc<EventLoop>, mpsc::Sender<Turn>) {
    let (sender, turns) = mpsc::channel();
    let asking = sender.clone();
    let event_loop = EventLoop::new(Box::new(move || {
        // Nobody is there to answer once the process ends.
        let _ = asking.send(Turn::Answer);
    }));
    thread::spawn({
        let event_loop = Arc::clone(&event_loop);
        move || {
            for turn in turns {
                match turn {
                    Turn::Answer => event_loop.answered(),
                    Turn::Block(duration) => {
                        say(&Said::Blocked { at: now() });
                        thread::sleep(duration);
                        say(&Said::Unblocked { at: now() });
                    }
                }
            }
        }
    });
    (event_loop, sender)
}

/// Asks again and again whether it leads, as a node does at each message, and says so.
fn sample(candidacies: &Candidacies) -> ! {
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen: Vec<Sample> = Vec::new();
    let mut last: BTreeMap<String, Option<u64>> = BTreeMap::new();
    for round in 0_u32.. {
        for (lock, candidacy) in &*guard(candidacies) {
            let before = now();
            let token = candidacy.token();
            let after = now();
            // That it does not lead is told once.
            if last.insert(lock.clone(), token) != Some(token) || token.is_some() {
                let lock = lock.clone();
                seen.push(Sample {
                    lock,
                    before,
                    after,
                    token,
                });
            }
            if round % BATCH == 0
                && let Role::Follower { token, .. } = candidacy.standing().role
                && known.insert(lock.clone(), token) != Some(token)
            {
                let at = now();
                say(&Said::Knows {
                    at,
                    lock: lock.clone(),
                    token,
                });
            }
        }
        if round % BATCH == 0 && !seen.is_empty() {
            say(&Said::Saw(std::mem::take(&mut seen)));
        }
        thread::sleep(SAMPLING);
    }
    unreachable!("it goes on as long as the process does")
}

fn heard(belief: &Belief) -> Said {
    let at = now();
    match belief.clone() {
        Belief::Began { lock, token, until } => {
            let until = until.as_nanos();
            Said::Began {
                at,
                lock,
                token,
                until,
            }
        }
        Belief::Moved { lock, token, until } => {
            let until = until.as_nanos();
            Said::Moved {
                at,
                lock,
                token,
                until,
            }
        }
        Belief::Ended { lock, token } => Said::Ended { at, lock, token },
    }
}

/// Writes a line at once and in one piece, past the test harness.
fn say(said: &Said) {
    let line = serde_json::to_string(said).expect("JSON") + "\n";
    // It fails only when nobody listens any more.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

fn now() -> Nanos {
    clock::now().as_nanos()
}

fn guard(candidacies: &Candidacies) -> std::sync::MutexGuard<'_, BTreeMap<String, Candidacy>> {
    candidacies.lock().unwrap_or_else(PoisonError::into_inner)
}
