//! What Node-RED does in an instance: it runs what it is told to run, and an admin deploys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use node_red_cluster_core::cluster::Cluster;
use node_red_cluster_core::flows::content::hash;
use node_red_cluster_core::flows::revision::DeployType;
use node_red_cluster_core::flows::{Credentials, Deploy, Done, Job, Patience};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Phase;
use super::tally::{Tally, now};
use crate::protocol::{Deployed, Outcome};

/// Between two deploys.
const PACE: Duration = Duration::from_millis(400);
/// A deploy that is not answered by then never is.
const LIMIT: Duration = Duration::from_secs(60);

/// The flows that run in an instance.
pub(super) struct Runtime {
    index: usize,
    cluster: Cluster,
    /// What tells the flows of each revision that ran here, by the revision's id.
    labels: Mutex<BTreeMap<String, String>>,
    tally: Arc<Tally>,
    jobs: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Runtime {
    pub(super) fn start(index: usize, cluster: Cluster, tally: Arc<Tally>) -> Arc<Self> {
        let runtime = Arc::new(Self {
            index,
            cluster,
            labels: Mutex::default(),
            tally,
            jobs: tokio::sync::Mutex::default(),
        });
        let jobs = tokio::spawn(Arc::clone(&runtime).follow());
        if let Ok(mut place) = runtime.jobs.try_lock() {
            *place = Some(jobs);
        }
        runtime
    }

    /// What tells the flows that run.
    pub(super) fn label(&self) -> Option<String> {
        let revision = self.cluster.revision_in_use()?;
        self.labels().get(&revision).cloned()
    }

    fn labels(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it follows no more, after the cluster was closed.
    pub(super) async fn has_ended(&self) -> bool {
        match self.jobs.lock().await.take() {
            Some(jobs) => timeout(LIMIT, jobs).await.is_ok(),
            None => true,
        }
    }

    async fn follow(self: Arc<Self>) {
        while let Some(job) = self.cluster.next_job().await {
            if let Job::Apply(apply) = &job {
                let label = label_of(&apply.flows);
                let id = apply.head.revision.id.clone();
                self.labels().extend(label.map(|label| (id, label)));
            }
            if let Err(error) = self.cluster.done(job, Done::Applied).await {
                self.tally
                    .alarm(format!("instance {}: {error}", self.index));
            }
        }
    }

    /// Deploys at a steady pace, one after the other.
    pub(super) async fn deploy(self: Arc<Self>, phase: watch::Receiver<Phase>) {
        for number in 0.. {
            let Some((round, epoch)) = *phase.borrow() else {
                return;
            };
            let label = format!("round {round}, instance {}, deploy {number}", self.index);
            let flows = format!(r#"[{{"id":"n1","type":"comment","name":"{label}"}}]"#);
            let began = now();
            let published = self.cluster.publish(
                Deploy {
                    flows: flows.clone(),
                    credentials: Credentials::Exported("{}".to_owned()),
                    deploy_type: DeployType::Nodes,
                    user: None,
                },
                Patience::None,
            );
            let published = match timeout(LIMIT, published).await {
                Ok(published) => published,
                Err(_) => {
                    self.tally
                        .alarm(format!("deploy {label} was not answered within {LIMIT:?}"));
                    return;
                }
            };
            let (number, outcome) = match published {
                Ok(revision) => {
                    self.labels().insert(revision.id, label.clone());
                    (Some(revision.number), Outcome::Acknowledged)
                }
                Err(error) => (None, Outcome::Failed(error.code().as_str().to_owned())),
            };
            self.tally.deploy(Deployed {
                instance: self.index,
                hash: number.map(|_| hash(&flows)),
                label,
                epoch,
                number,
                began,
                ended: now(),
                outcome,
            });
            sleep(PACE).await;
        }
    }
}

/// The name of the comment in flows that come in slices.
fn label_of(slices: &[String]) -> Option<String> {
    slices.iter().find_map(|slice| {
        let nodes: Vec<serde_json::Value> = serde_json::from_str(slice).ok()?;
        nodes.first()?.get("name")?.as_str().map(str::to_owned)
    })
}
