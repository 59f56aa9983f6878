//! Context operations at a given rate, by processes of light instances that share their properties.
//!
//! - [`mix`]: which operations there are
//! - [`driver`]: one instance; [`kept`]: what it keeps
//! - [`recorded`], [`report`]: what came of it
//! - `run`: the process that starts all others, `run_part`: one of those

mod driver;
mod kept;
mod mix;
mod recorded;
mod report;

use std::io::BufRead as _;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use fastrand::Rng;
use node_red_cluster_core::keyspace::Scope;
use node_red_cluster_testkit::{Lines, Program};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

use crate::events::{Event, tell};
use crate::settings::Store;
use crate::{Failure, Result};
use driver::{Instance, Pace};
use report::Report;
pub(crate) use report::Summary;

/// What a process says when it can begin, and what it is told then.
const READY: &str = "\"ready\"";
const BEGIN: &str = "begin";

/// What it says when its last operation was answered, and what it is told when all have said so.
const DONE: &str = "\"done\"";
const COMPARE: &str = "compare";

/// What is to be done in all.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    store: Store,
    /// Instances.
    #[arg(long, default_value_t = 50)]
    instances: u32,
    /// Processes that they are in.
    #[arg(long, default_value_t = 50)]
    processes: u32,
    /// Operations a second of all instances together.
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// How long.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

/// What one process does of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Part {
    #[command(flatten)]
    plan: Plan,
    /// Its number, from 0.
    #[arg(long)]
    process: u32,
}

impl Plan {
    /// The numbers of the instances in a process.
    fn instances_of(&self, process: u32) -> impl Iterator<Item = u32> {
        (process..self.instances).step_by(self.processes.max(1) as usize)
    }

    /// When an instance issues its operations.
    fn pace(&self, instance: u32) -> Pace {
        let all = f64::from(self.instances);
        let interval = Duration::from_secs_f64(all / self.rate);
        Pace {
            interval,
            phase: interval.mul_f64(f64::from(instance) / all),
            count: (f64::from(self.seconds) * self.rate / all).floor() as u64,
        }
    }

    fn arguments(&self) -> Vec<String> {
        let Self { store, .. } = self;
        let values = [
            ("--host", store.host.clone()),
            ("--port", store.port.to_string()),
            ("--prefix", store.prefix.clone()),
            ("--instances", self.instances.to_string()),
            ("--processes", self.processes.to_string()),
            ("--rate", self.rate.to_string()),
            ("--seconds", self.seconds.to_string()),
        ];
        values
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }
}

/// Starts all processes, lets them run, and tells what came of it.
///
/// # Errors
/// Whatever kept one of them from running to its end. An operation that failed is counted instead.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    // Of this process nothing is measured.
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let observer = Instance::open(&plan.store, "load-observer")?;
        observer.ready().await?;
        fill(&observer).await?;
        let mut processes = Vec::new();
        for process in 0..plan.processes {
            processes.push(start(plan, process)?);
        }
        for (_, lines) in &mut processes {
            expect(lines, READY).await?;
        }
        tell(&Event::Begun)?;
        for (program, _) in &mut processes {
            program.say(BEGIN).await?;
        }
        for (_, lines) in &mut processes {
            expect(lines, DONE).await?;
        }
        tell(&Event::Ended)?;
        let mut report = Report::default();
        for (program, _) in &mut processes {
            program.say(COMPARE).await?;
        }
        for (_, lines) in &mut processes {
            let line = lines.next().await?.unwrap_or_default();
            report.merge(serde_json::from_str(&line)?);
        }
        let counted = count(&observer).await?;
        let summary = Summary::new(report, plan.seconds as usize, counted);
        tell(&Event::Report(&summary))
    })
}

fn start(plan: &Plan, process: u32) -> Result<(Program, Lines)> {
    let mut arguments = vec!["load-process".to_owned()];
    arguments.extend(plan.arguments());
    arguments.extend(["--process".to_owned(), process.to_string()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Ok(Program::start(&std::env::current_exe()?, &arguments, [])?)
}

async fn expect(lines: &mut Lines, wanted: &str) -> Result<()> {
    match lines.next().await? {
        Some(line) if line == wanted => Ok(()),
        other => Err(Failure::Late(format!(
            "a process of light instances said {other:?} instead of {wanted}"
        ))),
    }
}

/// Sets everything that is read once, so that no read finds nothing.
async fn fill(observer: &Instance) -> Result<()> {
    let context = observer.context().clone();
    let mut rng = Rng::with_seed(0);
    let settings = (0..mix::SETTINGS).map(mix::setting);
    let scope = Scope::new("global");
    for name in settings.chain((0..mix::STATES).map(mix::state)) {
        context.set(None, scope.clone(), name, Some(mix::value(&mut rng)))?;
    }
    // Reads wait for the writes before them.
    blocking(move || Ok(context.names_now(scope)?)).await?;
    Ok(())
}

/// The sum of all counters.
async fn count(observer: &Instance) -> Result<u64> {
    let context = observer.context().clone();
    let names = (0..mix::COUNTERS).map(mix::counter).collect();
    let read = move || Ok(context.read_now(&Scope::new("global"), names)?);
    let values = blocking(read).await?;
    let numbers = values.into_iter().filter_map(|(text, _)| text);
    Ok(numbers.filter_map(|text| text.parse::<u64>().ok()).sum())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::Late(error.to_string()))?
}

/// Runs the instances of one process, on one worker as the addon does, and says what came of it.
///
/// # Errors
/// The settings', and whatever keeps an instance from connecting.
pub(crate) fn run_part(Part { plan, process }: &Part) -> Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let opened = async {
        let mut opened = Vec::new();
        for number in plan.instances_of(*process) {
            let instance = Instance::open(&plan.store, &format!("load-{number}"))?;
            instance.ready().await?;
            opened.push((number, instance));
        }
        Ok::<_, Failure>(opened)
    };
    let instances = runtime.block_on(opened)?;
    tell(&"ready")?;
    hear(BEGIN)?;
    let begin = Instant::now();
    let cpu_before = cpu();
    let ran = thread::scope(|scope| {
        let threads: Vec<_> = instances
            .iter()
            .map(|(number, instance)| {
                scope.spawn(move || instance.run(plan.pace(*number), begin, u64::from(*number) + 1))
            })
            .collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended.collect::<std::result::Result<Vec<_>, _>>()
    });
    let ran = ran.map_err(|_| Failure::Late("the thread of an instance failed".to_owned()))?;
    let cpu_used = cpu() - cpu_before;
    tell(&"done")?;
    hear(COMPARE)?;
    let mut sum = Report {
        cpu: cpu_used,
        ..Report::default()
    };
    for ((_, instance), (mut report, mut kept)) in instances.iter().zip(ran) {
        (report.compared, report.stale) = instance.compare(&mut kept)?;
        sum.merge(report);
    }
    tell(&sum)
}

/// Seconds that this process has used so far, in all its threads.
fn cpu() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

fn hear(wanted: &str) -> Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == wanted {
        Ok(())
    } else {
        Err(Failure::Late(format!("heard {line:?} instead of {wanted}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(instances: u32, processes: u32) -> Plan {
        Plan {
            store: Store {
                host: String::new(),
                port: 0,
                prefix: String::new(),
            },
            instances,
            processes,
            rate: 20_000.0,
            seconds: 600,
        }
    }

    #[test]
    fn each_instance_is_in_one_process() {
        let plan = plan(50, 8);
        let mut all: Vec<u32> = (0..8)
            .flat_map(|process| plan.instances_of(process))
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn all_instances_together_issue_the_rate_evenly() {
        let plan = plan(50, 50);
        let issued: u64 = (0..50).map(|instance| plan.pace(instance).count).sum();
        assert_eq!(issued, 20_000 * 600);
        assert_eq!(plan.pace(0).interval, Duration::from_micros(2_500));
        assert_eq!(plan.pace(1).phase, Duration::from_micros(50));
    }
}
