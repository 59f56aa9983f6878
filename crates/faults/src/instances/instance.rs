//! One light instance: its part in the cluster, its context and its candidacies, over links of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use node_red_cluster_core::cluster::{Cluster, Options};
use node_red_cluster_core::config::{LockConfig, Secret, parse, parse_context, parse_election};
use node_red_cluster_core::credentials::Configured;
use node_red_cluster_core::election::{Candidacy, Elections, EventLoop};
use node_red_cluster_core::packages::npm::Npm;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Phase;
use super::context::Values;
use super::flows::Runtime;
use super::tally::Tally;
use crate::failure::{Failure, Result};
use crate::protocol::{self, Task};

/// How long a read for a report may take: instances that are in order answer at once.
const READ_LIMIT: Duration = Duration::from_secs(15);

/// One of them.
pub(super) struct Instance {
    index: usize,
    admin: bool,
    cluster: Cluster,
    runtime: Arc<Runtime>,
    values: Arc<Values>,
    elections: Elections,
    _candidacies: Vec<Candidacy>,
    tally: Arc<Tally>,
    _directory: TempDir,
}

impl Instance {
    /// Starts one, which then runs what the cluster runs.
    ///
    /// # Errors
    /// Those of the product.
    pub(super) async fn start(
        index: usize,
        port: u16,
        admin: bool,
        task: &Task,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let block = json!({
            "role": if admin { "admin" } else { "worker" },
            "host": task.host,
            "port": port,
            "keyPrefix": task.key_prefix,
            // Links are shared by those who are configured alike.
            "connectionName": format!("faults-{index}"),
            "family": 4,
        })
        .to_string();
        let invalid =
            |error: node_red_cluster_core::config::ConfigError| Failure::new(error.to_string());
        let failed = |error: node_red_cluster_core::error::Error| {
            Failure::new(format!("instance {index}: {error}"))
        };
        let directory = TempDir::with_prefix("nrc-")?;
        let user_directory: PathBuf = directory.path().join("user");
        std::fs::create_dir(&user_directory)?;
        let cluster = Cluster::open(Options {
            config: parse(&block, &|_| None).map_err(invalid)?.config,
            credential_secret: Configured::Text(Secret::new("the cluster's secret")),
            directory: user_directory.join(".node-red-cluster"),
            user_directory,
            npm: Npm::new(PathBuf::from("node"), None),
            node_red: "4.1.15".to_owned(),
            node: "22.0.0".to_owned(),
        })
        .map_err(failed)?;
        cluster.start(Vec::new()).await.map_err(failed)?;
        cluster.booted(Vec::new());

        let context = parse_context(&block, "null", &|_| None)
            .map_err(invalid)?
            .config;
        let values = Values::open(index, context, &cluster, Arc::clone(&tally)).map_err(failed)?;
        values.ready().await.map_err(failed)?;

        let election = parse_election(&block, "null", &|_| None)
            .map_err(invalid)?
            .settings;
        let elections =
            Elections::open(election, EventLoop::always(), Box::new(|| {})).map_err(failed)?;
        elections.watch(Box::new({
            let tally = Arc::clone(&tally);
            move |belief| tally.leads.hear(index, belief)
        }));
        let ttl = Duration::from_millis(task.ttl);
        let join = |key: &String| {
            elections.join(&LockConfig {
                key: key.clone(),
                ttl,
            })
        };
        Ok(Self {
            index,
            admin,
            runtime: Runtime::start(index, cluster.clone(), Arc::clone(&tally)),
            cluster,
            values: Arc::new(values),
            _candidacies: task.locks.iter().map(join).collect(),
            elections,
            tally,
            _directory: directory,
        })
    }

    /// Works until there is no work any more.
    pub(super) fn work(&self, phase: &watch::Sender<Phase>) -> Vec<JoinHandle<()>> {
        let mut tasks = vec![
            tokio::spawn(Arc::clone(&self.values).write(phase.subscribe())),
            tokio::spawn(Arc::clone(&self.values).read(phase.subscribe())),
        ];
        if self.admin {
            tasks.push(tokio::spawn(
                Arc::clone(&self.runtime).deploy(phase.subscribe()),
            ));
        }
        tasks
    }

    pub(super) async fn report(&self, keys: &[String]) -> protocol::Instance {
        let values = tokio::time::timeout(READ_LIMIT, self.values.look(keys)).await;
        let (values, error) = match values {
            Ok(Ok(values)) => (values, None),
            Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
            Err(_) => (Vec::new(), Some(format!("no answer within {READ_LIMIT:?}"))),
        };
        protocol::Instance {
            label: self.runtime.label(),
            leads: self.elections.leads(),
            values,
            error,
        }
    }

    pub(super) async fn close(&self) {
        self.elections.close().await;
        self.values.close().await;
        self.cluster.close().await;
        if !self.runtime.has_ended().await {
            self.tally.alarm(format!(
                "instance {} still waits for jobs after its end",
                self.index
            ));
        }
    }
}
