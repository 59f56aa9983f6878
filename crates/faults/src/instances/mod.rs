//! The light subject: instances of the core in one process, each with links of its own, and work on them.
//!
//! - `instance`: what one instance is
//! - `flows`: it follows revisions and deploys; `context`: it writes and reads
//! - `leads`: what it believes of its leadership
//! - `tally`: what all of them did

mod context;
mod flows;
mod instance;
mod leads;
mod tally;

use std::io::Write;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::failure::{Failure, Result};
use crate::protocol::{Order, Report, Said, Task, VARIABLE};
use instance::Instance;
use tally::Tally;

/// So many of the instances are admins.
const ADMINS: usize = 2;

/// Round and epoch, while there is work; `None` while there is none.
pub(crate) type Phase = Option<(u32, u32)>;

/// Runs instances until it is told to close, or until nobody gives orders any more.
///
/// # Errors
/// A task that cannot be read, instances that cannot start.
pub(crate) async fn run() -> Result<()> {
    let task = std::env::var(VARIABLE).map_err(|_| {
        Failure::new(format!(
            "{VARIABLE} is not set: the suite starts this by itself"
        ))
    })?;
    let task: Task = serde_json::from_str(&task)?;
    let tally = Arc::new(Tally::default());
    tally.hear_panics();
    let started = task.ports.iter().enumerate().map(|(index, port)| {
        Instance::start(index, *port, index < ADMINS, &task, Arc::clone(&tally))
    });
    let started = join_all(started)
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let instances: Vec<Arc<Instance>> = started.into_iter().map(Arc::new).collect();
    say(&Said::Ready)?;

    let phase = watch::Sender::new(None);
    let mut working: Vec<JoinHandle<()>> = Vec::new();
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        match order? {
            Order::Begin { round, epoch } => {
                phase.send_replace(Some((round, epoch)));
                for instance in &instances {
                    working.extend(instance.work(&phase));
                }
            }
            Order::Epoch { epoch } => phase.send_modify(|phase| {
                if let Some((_, old)) = phase {
                    *old = epoch;
                }
            }),
            Order::Halt => {
                phase.send_replace(None);
                join_all(working.drain(..)).await;
                say(&Said::Halted(tally.take()))?;
            }
            Order::Report { keys } => {
                let reports = join_all(instances.iter().map(|one| one.report(&keys))).await;
                say(&Said::Report(Report {
                    instances: reports,
                    tasks: Some(
                        tokio::runtime::Handle::current()
                            .metrics()
                            .num_alive_tasks(),
                    ),
                    processes: vec![std::process::id()],
                }))?;
            }
            Order::Close => {
                join_all(instances.iter().map(|one| one.close())).await;
                say(&Said::Closed)?;
                break;
            }
        }
    }
    Ok(())
}

/// Reads orders on a thread of its own, as reading the standard input cannot be given up.
fn orders() -> mpsc::UnboundedReceiver<Result<Order>> {
    let (sender, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
            let order = serde_json::from_str(&line).map_err(Failure::from);
            if sender.send(order).is_err() {
                break;
            }
        }
    });
    orders
}

fn say(said: &Said) -> Result<()> {
    let line = serde_json::to_string(said)? + "\n";
    Ok(std::io::stdout().lock().write_all(line.as_bytes())?)
}
