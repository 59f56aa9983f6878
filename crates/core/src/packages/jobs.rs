//! What only Node-RED's own process can do about packages, one thing after the other.

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::name::PackageName;
use crate::error::{Code, Error, Result};

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Job {
    /// Let Node-RED load these modules, unless it has, and enable these node sets.
    Load {
        /// The modules.
        modules: Vec<Module>,
        /// Ids of node sets.
        enable: Vec<String>,
        /// Ids of node sets, on an admin.
        disable: Vec<String>,
    },
    /// End this process in good order: it is started again with other packages.
    Restart {
        /// Why, for the log.
        reason: String,
    },
    /// Tell the users of the editor.
    Tell {
        /// One sentence a line.
        text: String,
    },
}

/// A module of Node-RED as it is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Module {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: String,
}

/// How a job ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    /// Modules that run at another version, which only a restart changes.
    pub restart: Vec<String>,
    /// Modules that could not be loaded, with the reason.
    pub failed: Vec<String>,
}

/// Hands jobs over and takes their outcomes.
#[derive(Debug)]
pub(super) struct Jobs {
    give: mpsc::UnboundedSender<Given>,
    take: Mutex<mpsc::UnboundedReceiver<Given>>,
    running: std::sync::Mutex<Option<oneshot::Sender<Outcome>>>,
}

type Given = (Job, oneshot::Sender<Outcome>);

impl Default for Jobs {
    fn default() -> Self {
        let (give, take) = mpsc::unbounded_channel();
        Self {
            give,
            take: Mutex::new(take),
            running: std::sync::Mutex::default(),
        }
    }
}

impl Jobs {
    /// Has a job done.
    pub(super) async fn have_done(&self, job: Job) -> Result<Outcome> {
        let (ended, outcome) = oneshot::channel();
        let gone = || Error::new(Code::Closed, "nobody carries out what packages need");
        self.give.send((job, ended)).map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())
    }

    /// Waits for the next job.
    pub(super) async fn next(&self) -> Option<Job> {
        let (job, ended) = self.take.lock().await.recv().await?;
        *self.running() = Some(ended);
        Some(job)
    }

    /// The job that was taken last ended.
    pub(super) fn done(&self, outcome: Outcome) {
        if let Some(ended) = self.running().take() {
            // Whoever gave the job may have gone with the cluster.
            let _ = ended.send(outcome);
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Outcome>>> {
        self.running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
