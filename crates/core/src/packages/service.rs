//! The packages of one instance: what an admin and a worker have in common.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::admin::Palette;
use super::follower::Follower;
use super::jobs::{Job, Jobs, Outcome};
use super::list::PackageList;
use super::npm::Npm;
use super::permit::RestartPermit;
use super::store::{Newest, PackageStore};
use super::tree::Tree;
use crate::config::{Compression, PackagesConfig, RestartPolicy, Role};
use crate::connection::Connection;
use crate::error::{Code, Error, Result};
use crate::fault;
use crate::keyspace::Keyspace;
use crate::signing::Keyring;

/// How often the store is asked although no message came.
const POLL: Duration = Duration::from_secs(10);

/// The same while something waits for time to pass, or for the permit to restart.
const POLL_WAITING: Duration = Duration::from_secs(1);

/// What an instance is told about its surroundings.
#[derive(Debug)]
pub struct Options {
    /// Whether and how it takes part.
    pub config: PackagesConfig,
    /// Who it is.
    pub role: Role,
    /// Of which cluster.
    pub key_prefix: String,
    /// How its admin is called in revisions.
    pub instance: String,
    /// Where it runs: its host and user directory.
    pub place: String,
    /// Node-RED's user directory.
    pub user_directory: PathBuf,
    /// A folder of its own, below that.
    pub folder: PathBuf,
    /// How npm is run.
    pub npm: Npm,
    /// Whether the lock file is stored compressed.
    pub compression: Compression,
}

/// What operators see of an instance's packages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// What the instance does about them.
    pub state: State,
    /// The number of the newest revision known.
    pub wanted: Option<u64>,
    /// The number of the revision that runs.
    pub running: Option<u64>,
    /// Why the wanted one does not run.
    pub error: Option<Error>,
    /// What is otherwise than on the admin, and why.
    pub notes: Vec<String>,
}

/// What an instance does about packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It neither publishes nor follows.
    Off,
    /// There is nothing to follow yet.
    #[default]
    Waiting,
    /// npm is at work.
    Installing,
    /// It has what the admin has.
    Current,
    /// It has it from its next start on.
    RestartRequired,
    /// It ends in order to be started again.
    Restarting,
    /// It could not be done and is tried again.
    Failed,
}

/// The packages of one instance; cheap to clone.
#[derive(Debug, Clone)]
pub struct Packages {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) options: Options,
    pub(super) store: PackageStore,
    pub(super) permit: RestartPermit,
    /// The id under which this instance is present; none before the store was reached.
    pub(super) id: watch::Receiver<Option<String>>,
    pub(super) jobs: Jobs,
    pub(super) wake: Notify,
    /// Set once Node-RED has loaded its palette and started its flows.
    pub(super) booted: watch::Sender<bool>,
    pub(super) status: watch::Sender<Status>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) worker: OfWorker,
    pub(super) admin: OfAdmin,
}

/// What only a worker has.
#[derive(Debug, Default)]
pub(super) struct OfWorker {
    /// The tree, or why it cannot be used as long as this process lives.
    pub(super) tree: Mutex<Option<Result<Arc<Tree>>>>,
    pub(super) follower: Mutex<Follower>,
    /// What the store said last.
    pub(super) newest: Mutex<Option<Newest>>,
    /// The newest list that could be read.
    pub(super) wanted: Mutex<Option<PackageList>>,
    pub(super) at_start: Mutex<AtStart>,
    /// Why this process has to be started again.
    pub(super) restart: Mutex<Option<String>>,
    /// Set once the permit to restart was given back.
    pub(super) came_back: AtomicBool,
    /// Set once Node-RED was asked what it loaded at its start.
    loaded: AtomicBool,
    /// Set while the links are not those of the tree.
    pub(super) unlinked: AtomicBool,
}

impl OfWorker {
    pub(super) fn loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub(super) fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }
}

/// What Node-RED has to know of packages when it loads its palette.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AtStart {
    /// Node sets to disable.
    pub disable: BTreeSet<String>,
    /// Node sets that were disabled for the cluster and are not any more.
    pub enable: BTreeSet<String>,
    /// Modules that are gone, which Node-RED would install anew.
    pub forget: BTreeSet<String>,
}

/// What only an admin has.
#[derive(Debug, Default)]
pub(super) struct OfAdmin {
    pub(super) palette: Mutex<Option<Palette>>,
    /// Something changed since the last look at the user directory.
    pub(super) dirty: AtomicBool,
    /// A user did, and not another admin.
    pub(super) touched: AtomicBool,
    pub(super) told: Mutex<Vec<String>>,
    /// Failures in a row, and until when nothing is tried after them.
    pub(super) failures: Mutex<u32>,
    pub(super) retry_at: Mutex<Option<Instant>>,
}

impl Packages {
    /// The packages of an instance that has not looked at them yet.
    pub fn new(
        options: Options,
        connection: &Connection,
        keyspace: &Keyspace,
        id: watch::Receiver<Option<String>>,
        signing: Option<Keyring>,
    ) -> Self {
        let store = PackageStore::new(connection.clone(), keyspace.clone(), options.compression)
            .signed(signing);
        Self {
            inner: Arc::new(Inner {
                store,
                permit: RestartPermit::new(connection.clone(), keyspace.clone()),
                options,
                id,
                jobs: Jobs::default(),
                wake: Notify::new(),
                booted: watch::channel(false).0,
                status: watch::channel(Status::default()).0,
                stop: watch::channel(false).0,
                worker: OfWorker::default(),
                admin: OfAdmin::default(),
            }),
        }
    }

    /// What operators see, and its changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    /// Looks at the store soon: a message came, the link is back.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Node-RED has loaded its palette: from now on [`Packages::next_job`] is asked.
    pub fn booted(&self) {
        self.inner.booted.send_replace(true);
    }

    /// Waits for something that Node-RED has to do; `None` after [`Packages::close`]. Call
    /// [`Packages::job_done`] before asking again.
    pub async fn next_job(&self) -> Option<Job> {
        let mut stop = self.inner.stop.subscribe();
        tokio::select! {
            job = self.inner.jobs.next() => job,
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }

    /// The job that was given last ended.
    pub fn job_done(&self, outcome: Outcome) {
        self.inner.jobs.done(outcome);
    }

    /// Ends npm, and whoever waits.
    pub fn close(&self) {
        self.inner.stop.send_replace(true);
        self.inner.options.npm.stop();
    }

    /// Keeps the packages of this instance as long as it lives.
    pub async fn run(self) {
        let mut stop = self.inner.stop.subscribe();
        tokio::select! {
            () = self.keep() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn keep(&self) {
        let mut booted = self.inner.booted.subscribe();
        if booted.wait_for(|booted| *booted).await.is_err() {
            return;
        }
        let mut complained: Option<Error> = None;
        loop {
            fault::point("packages");
            let looked = match self.inner.options.role {
                Role::Admin => self.look_as_admin().await,
                Role::Worker => self.look_as_worker().await,
            };
            match looked {
                Ok(()) => complained = None,
                Err(error) if error.code() == Code::Closed => return,
                Err(error) => {
                    // The same again is no news.
                    if complained.as_ref() == Some(&error) {
                        tracing::debug!("{error}");
                    } else {
                        tracing::warn!("packages: {error}; trying again");
                    }
                    if !error.code().is_retriable() {
                        self.set_status(|status| {
                            status.state = State::Failed;
                            status.error = Some(error.clone());
                        });
                    }
                    complained = Some(error);
                }
            }
            let pause = if complained.is_some() || self.is_waiting() {
                POLL_WAITING.mul_f64(1.0 + fastrand::f64())
            } else {
                // Instances that started together must not ask together forever.
                POLL.mul_f64(0.9 + fastrand::f64() / 5.0)
            };
            tokio::select! {
                () = self.inner.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn is_waiting(&self) -> bool {
        match self.inner.options.role {
            Role::Admin => self.admin_is_waiting(),
            Role::Worker => {
                let exits = self.inner.options.config.restart == RestartPolicy::Exit;
                lock(&self.inner.worker.follower).is_waiting()
                    || (exits && lock(&self.inner.worker.restart).is_some())
            }
        }
    }

    /// Waits, unless the instance is closed meanwhile.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn wait(&self, duration: Duration) -> Result<()> {
        let mut stop = self.inner.stop.subscribe();
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            _ = stop.wait_for(|stop| *stop) => Err(Error::new(
                Code::Closed,
                "the cluster connection of this process is closed",
            )),
        }
    }

    /// What failed is of no consequence any more: there is what there should be.
    pub(super) fn recovered(&self) {
        self.set_status(|status| {
            if status.state == State::Failed {
                status.state = State::Current;
                status.error = None;
            }
        });
    }

    pub(super) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        self.inner.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }
}

/// A panic while one of these short locks was held leaves nothing half-done behind it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
