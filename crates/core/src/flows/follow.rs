//! An instance is told what to do next: one job at a time, always the newest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::content::Content;
use super::follower::{Decision, Outcome};
use super::revision::{DeployType, Head, RunState};
use super::service::{Flows, lock};
use crate::config::Role;
use crate::error::{Code, Error, Result};
use crate::fault;

/// How often the store is asked although no message came.
const POLL: Duration = Duration::from_secs(10);

/// The same while something waits for time to pass.
const POLL_WAITING: Duration = Duration::from_secs(1);

/// While the store is away its errors are logged at most this often.
const REMIND: Duration = Duration::from_secs(60);

/// What to do next.
#[derive(Debug)]
pub enum Job {
    /// Run this revision.
    Apply(Box<Apply>),
    /// Start or stop the flows.
    State(RunState),
    /// The store was emptied and has its flows back: put back settings and library as well.
    Refill,
}

/// A revision to run.
#[derive(Debug)]
pub struct Apply {
    /// Which, and whether its flows run.
    pub head: Head,
    /// What it restarts.
    pub deploy_type: DeployType,
    /// The flows as JSON arrays of about 64 KB, in order.
    pub flows: Vec<String>,
    /// The credentials in clear: a JSON object by node id.
    pub credentials: String,
    content: Arc<Content>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was done.
    Applied,
    /// Node types are missing here: what ran goes on running until they are registered.
    MissingTypes(Vec<String>),
    /// It failed.
    Failed(Error),
}

/// A revision that is being loaded to be applied. Dropped, it is not applied any more: whoever waited
/// for it gave up.
struct Preparation<'flows>(&'flows Flows);

impl Drop for Preparation<'_> {
    fn drop(&mut self) {
        lock(&self.0.inner.follower).abandon();
    }
}

/// The end of an apply.
struct Applying<'flows>(&'flows Flows);

impl Drop for Applying<'_> {
    fn drop(&mut self) {
        *lock(&self.0.inner.applying) = None;
        // A panic came before the outcome: nobody knows what runs, and it is tried again from the ground up.
        let mut follower = lock(&self.0.inner.follower);
        if follower.is_applying() {
            self.0.inner.needs_full.store(true, Ordering::Release);
            follower.applied(Outcome::Postponed, Instant::now());
        }
    }
}

impl Flows {
    /// Waits for something to do; `None` after [`Flows::close`]. Call [`Flows::done`] before asking
    /// again. A wait that is given up takes no job with it.
    pub async fn next_job(&self) -> Option<Job> {
        let mut stop = self.inner.stop.subscribe();
        tokio::select! {
            job = self.look_for_job() => Some(job),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }

    async fn look_for_job(&self) -> Job {
        let mut reported: Option<Instant> = None;
        loop {
            match self.look().await {
                Ok(Some(job)) => return job,
                Ok(None) => reported = None,
                Err(error) => {
                    if reported.is_none_or(|at| at.elapsed() >= REMIND) {
                        reported = Some(Instant::now());
                        tracing::warn!(
                            "cannot compare revisions with the store, trying again: {error}"
                        );
                    }
                }
            }
            let pause = if lock(&self.inner.follower).is_waiting() {
                POLL_WAITING
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

    async fn look(&self) -> Result<Option<Job>> {
        let turn = self.inner.turn.lock().await;
        fault::point("follower");
        let stored = self.inner.store.head().await?;
        if let Some(stored) = &stored {
            if !self.admits(stored) {
                return Ok(None);
            }
            self.set_status(|status| status.wanted = Some(stored.revision.number));
        }
        let decision = lock(&self.inner.follower).decide(stored.as_ref(), Instant::now());
        match decision {
            Decision::Rest | Decision::Hold => {
                drop(turn);
                if let Some(stored) = &stored
                    && lock(&self.inner.follower).state() == stored.state
                {
                    self.absorb(stored).await;
                }
                Ok(None)
            }
            Decision::SetState(state) => Ok(Some(Job::State(state))),
            Decision::Restore => {
                self.restore(stored).await?;
                Ok(Some(Job::Refill))
            }
            Decision::Apply(_) => {
                drop(turn);
                let preparation = Preparation(self);
                let prepared = self.prepare().await;
                std::mem::forget(preparation);
                match prepared {
                    Ok(apply) => {
                        *lock(&self.inner.applying) = Some(apply.head.revision.id.clone());
                        Ok(Some(Job::Apply(Box::new(apply))))
                    }
                    Err(error) => {
                        self.postpone(&error);
                        Err(error)
                    }
                }
            }
        }
    }

    /// Loads the newest revision, ready to be applied.
    async fn prepare(&self) -> Result<Apply> {
        let stored = self.inner.store.load().await?;
        let head = stored.head.ok_or_else(|| {
            Error::new(
                Code::StoreNotReady,
                "the flows vanished from the store while they were read",
            )
        })?;
        if !self.admits(&head) {
            return Err(Error::new(
                Code::StoreNotReady,
                "the newest revision became one that is refused while it was read",
            ));
        }
        lock(&self.inner.follower).retarget(&head);
        let content = match self.vouched(&head, stored.content).await? {
            Some(Ok(content)) => content,
            Some(Err(error)) => self.recover(&head, &error).await?,
            None => {
                let error = Error::new(Code::ValueDamaged, "the flows are gone from the store");
                self.recover(&head, &error).await?
            }
        };
        let running = lock(&self.inner.follower).running().cloned();
        let deploy_type = match running {
            Some(running) if !self.inner.needs_full.load(Ordering::Acquire) => {
                self.inner
                    .store
                    .deploy_type_between(running.number, &head.revision, |entry| {
                        let guard = self.inner.guard.as_ref();
                        guard.is_none_or(|guard| guard.believes(entry))
                    })
                    .await?
            }
            _ => DeployType::Full,
        };
        let secret = self.inner.secrets.secret().await?;
        let content = Arc::new(content);
        let shared = Arc::clone(&content);
        let (flows, credentials) = crate::blocking(move || {
            Ok::<_, Error>((shared.slices()?, secret.decrypt(&shared.credentials)?))
        })
        .await??;
        Ok(Apply {
            head,
            deploy_type,
            flows,
            credentials,
            content,
        })
    }

    /// A job of [`Flows::next_job`] ended.
    ///
    /// # Errors
    /// A fault of this program only.
    pub async fn done(&self, job: Job, done: Done) -> Result<()> {
        // Reset once `running` has followed.
        let _applying = matches!(job, Job::Apply(_)).then(|| Applying(self));
        fault::point("end of an apply");
        match (job, done) {
            (Job::Apply(apply), Done::Applied) => {
                let content = Arc::clone(&apply.content);
                let archive = crate::blocking(move || content.archive()).await?;
                self.inner.needs_full.store(false, Ordering::Release);
                self.inner.stalled.store(false, Ordering::Release);
                self.inner.followed.fetch_add(1, Ordering::AcqRel);
                lock(&self.inner.follower).applied(Outcome::Applied, Instant::now());
                tracing::info!("revision {} runs", apply.head.revision.label());
                self.now_runs(apply.head, &apply.content, archive).await;
            }
            (Job::Apply(apply), Done::MissingTypes(types)) => {
                // Nothing was touched, so the types of the next deploy still tell what to restart.
                lock(&self.inner.follower).applied(Outcome::Refused, Instant::now());
                let error = Error::new(
                    Code::InvalidRequest,
                    format!(
                        "revision {} needs node types that are not installed here: {}; what ran before goes on running until they are",
                        apply.head.revision.label(),
                        types.join(", ")
                    ),
                );
                tracing::error!("{error}");
                self.set_status(|status| {
                    status.error = Some(error);
                    status.missing_types = types;
                });
            }
            (Job::Apply(apply), Done::Failed(error)) => {
                self.inner.needs_full.store(true, Ordering::Release);
                lock(&self.inner.follower).applied(Outcome::Refused, Instant::now());
                let error = error.while_doing(&format!(
                    "revision {} could not be applied",
                    apply.head.revision.label()
                ));
                tracing::error!("{error}");
                self.set_status(|status| status.error = Some(error));
            }
            (Job::State(state), Done::Applied) => {
                lock(&self.inner.follower).set_state(state);
                self.set_status(|status| status.state = state);
            }
            (Job::State(state), Done::Failed(error)) => {
                tracing::error!(
                    "the flows could not be set to {:?}: {error}",
                    state.as_str()
                );
                lock(&self.inner.follower).set_state(state);
            }
            (Job::Refill, Done::Failed(error)) => {
                tracing::error!(
                    "settings and library could not be put back into the store: {error}"
                );
            }
            (Job::State(_) | Job::Refill, _) => {}
        }
        self.wake();
        Ok(())
    }

    /// A node type was registered, or a module installed: a revision that was refused may be applied now.
    pub fn forgive(&self) {
        let mut follower = lock(&self.inner.follower);
        follower.forgive();
        if self.inner.stalled.load(Ordering::Acquire) {
            follower.runs_nothing();
        }
        drop(follower);
        self.wake();
    }

    /// The revision could not be read or decrypted; the store may be better later.
    fn postpone(&self, error: &Error) {
        lock(&self.inner.follower).applied(Outcome::Postponed, Instant::now());
        self.set_status(|status| status.error = Some(error.clone()));
    }

    /// Puts back the revision that runs here, which the store lost.
    async fn restore(&self, stored: Option<Head>) -> Result<()> {
        debug_assert_eq!(self.inner.role, Role::Admin);
        let Some(snapshot) = lock(&self.inner.snapshot).clone() else {
            return Ok(());
        };
        let archive = snapshot.archive.clone();
        let content = crate::blocking(move || Content::from_archive(&archive)).await??;
        // First, so that no follower finds credentials without the secret that opens them.
        self.inner.secrets.restore().await?;
        let seen = stored.map(|stored| stored.revision.id);
        let head = match &self.inner.guard {
            Some(guard) => guard.resealed(&snapshot.head, &content),
            None => snapshot.head.clone(),
        };
        let restored = self
            .inner
            .store
            .save(seen.as_deref(), &head, &content, &snapshot.archive)
            .await;
        match restored {
            Ok(()) => {
                tracing::warn!(
                    "the store had lost revision {}; it is put back",
                    snapshot.head.revision.label()
                );
                Ok(())
            }
            // Another admin was faster; the next look finds its revision.
            Err(error) if error.code() == Code::VersionMismatch => Ok(()),
            Err(error) => Err(error),
        }
    }
}
