//! Instances that stand still: whatever a worker with shared context and a leader node has, and nothing to do.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use node_red_cluster_core::cluster::{Cluster, Options};
use node_red_cluster_core::config::LockConfig;
use node_red_cluster_core::context::{Context, Patience};
use node_red_cluster_core::credentials::Configured;
use node_red_cluster_core::election::{Candidacy, Elections, EventLoop, Role};
use node_red_cluster_core::flows::Done;
use node_red_cluster_core::packages::jobs::Outcome;
use node_red_cluster_core::packages::npm::Npm;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use crate::events::{Event, tell};
use crate::settings::Store;
use crate::{Failure, Result};

/// That of the leader nodes' default settings.
const TTL: Duration = Duration::from_secs(10);

/// How long all instances together may take to know who leads.
const LIMIT: Duration = Duration::from_secs(300);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(100);

/// What is to stand still.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    store: Store,
    /// Workers, all in this process.
    #[arg(long)]
    instances: u32,
    /// Version of Node-RED that they say they are, as records are as long as what they say.
    #[arg(long, default_value = "4.1.15")]
    node_red: String,
    /// The same of Node.js.
    #[arg(long, default_value = "20.20.2")]
    node: String,
}

/// One light worker. What it has is held only.
struct Instance {
    context: Context,
    candidacy: Candidacy,
    _elections: Elections,
    _cluster: Cluster,
    _directory: TempDir,
}

/// Starts the instances, says when all are there, and ends with the input.
///
/// # Errors
/// Whatever keeps one from starting.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let instances = runtime.block_on(async {
        let mut instances = Vec::new();
        for number in 0..plan.instances {
            instances.push(Instance::start(plan, number).await?);
        }
        until_settled(&instances).await?;
        Ok::<_, Failure>(instances)
    })?;
    tell(&Event::Ready)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    // As instances that are killed: what matters has been measured.
    runtime.shutdown_background();
    drop(instances);
    Ok(())
}

impl Instance {
    async fn start(plan: &Plan, number: u32) -> Result<Self> {
        let name = format!("idle-{number}");
        let directory = tempfile::tempdir()?;
        let config = plan.store.cluster(&name)?;
        let cluster = Cluster::open(Options {
            config,
            credential_secret: Configured::Unset,
            directory: directory.path().join("node-red-cluster"),
            user_directory: directory.path().to_owned(),
            npm: Npm::new(PathBuf::from("node"), None),
            node_red: plan.node_red.clone(),
            node: plan.node.clone(),
        })?;
        cluster.start(Vec::new()).await?;
        let context = Context::open(
            plan.store.context(&name)?,
            Box::new(|| {}),
            Box::new({
                let cluster = cluster.clone();
                move || cluster.revision_in_use()
            }),
        )?;
        cluster.show_context(&context);
        context.ready(Patience::Short).await?;
        let (elections, changed) = elect(plan, &name)?;
        let lock = LockConfig {
            key: format!("{}leader", plan.store.prefix),
            ttl: TTL,
        };
        let candidacy = elections.join(&lock);
        show_leads(&cluster, &elections, changed);
        cluster.booted(Vec::new());
        tokio::spawn(follow(cluster.clone()));
        tokio::spawn(follow_packages(cluster.clone()));
        Ok(Self {
            context,
            candidacy,
            _elections: elections,
            _cluster: cluster,
            _directory: directory,
        })
    }

    fn is_settled(&self) -> bool {
        let role = self.candidacy.standing().role;
        self.context.counters().near_cache
            && matches!(role, Role::Leader { .. } | Role::Follower { .. })
    }
}

/// Elections of an event loop that answers at once.
fn elect(plan: &Plan, name: &str) -> Result<(Elections, mpsc::UnboundedReceiver<()>)> {
    let (ask, mut asked) = mpsc::unbounded_channel();
    let event_loop = EventLoop::new(Box::new(move || {
        let _ = ask.send(());
    }));
    let answers = Arc::clone(&event_loop);
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            answers.answered();
        }
    });
    let (change, changed) = mpsc::unbounded_channel();
    let tell_change = move || {
        let _ = change.send(());
    };
    let settings = plan.store.election(name)?;
    let elections = Elections::open(settings, event_loop, Box::new(tell_change))?;
    Ok((elections, changed))
}

fn show_leads(cluster: &Cluster, elections: &Elections, mut changed: mpsc::UnboundedReceiver<()>) {
    let (cluster, elections) = (cluster.clone(), elections.clone());
    tokio::spawn(async move {
        while changed.recv().await.is_some() {
            elections.take_changed();
            cluster.show_leads(|| elections.leads());
        }
    });
}

/// Does as if it ran what the cluster has.
async fn follow(cluster: Cluster) {
    while let Some(job) = cluster.next_job().await {
        if let Err(error) = cluster.done(job, Done::Applied).await {
            crate::events::complain(&error);
        }
    }
}

async fn follow_packages(cluster: Cluster) {
    while cluster.next_packages_job().await.is_some() {
        cluster.packages_job_done(Outcome::default());
    }
}

async fn until_settled(instances: &[Instance]) -> Result<()> {
    let limit = Instant::now() + LIMIT;
    loop {
        let missing = instances.iter().filter(|one| !one.is_settled()).count();
        if missing == 0 {
            return Ok(());
        }
        if Instant::now() > limit {
            return Err(Failure::Late(format!(
                "{missing} of {} instances do not know who leads",
                instances.len()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}
