//! The flows of one instance: what it runs, what the store wants, and the way from one to the other.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use super::content::Content;
use super::follower::Follower;
use super::guard::Guard;
use super::last_good::LastGood;
use super::revision::{Head, RunState};
use super::store::RevisionStore;
use crate::config::Role;
use crate::credentials::{ClusterSecret, SecretKeeper};
use crate::error::Error;
use crate::signing::Keyring;

/// What operators see of an instance's flows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The number of the newest revision known.
    pub wanted: Option<u64>,
    /// The number of the revision that runs.
    pub running: Option<u64>,
    /// Why the wanted one does not run.
    pub error: Option<Error>,
    /// Node types that the wanted revision uses and this instance lacks.
    pub missing_types: Vec<String>,
    /// Whether the flows run.
    pub state: RunState,
}

/// The flows of one instance; cheap to clone.
#[derive(Debug, Clone)]
pub struct Flows {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: RevisionStore,
    pub(super) last_good: LastGood,
    pub(super) role: Role,
    /// Judges what the store says, where there is a signing key.
    pub(super) guard: Option<Guard>,
    /// Who saves: the instance's id in the cluster.
    pub(super) instance: String,
    pub(super) follower: Mutex<Follower>,
    pub(super) snapshot: Mutex<Option<Arc<Snapshot>>>,
    pub(super) secrets: Arc<SecretKeeper>,
    /// Held while the store is compared or saved to, so that a follower never mistakes a revision
    /// that this process is just saving for somebody else's.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// An apply failed or node types were missing: the next apply restarts everything.
    pub(super) needs_full: AtomicBool,
    /// The flows of the start stand still, until what they lack was installed.
    pub(super) stalled: AtomicBool,
    /// The id of the revision that is being applied.
    pub(super) applying: Mutex<Option<String>>,
    /// Counts revisions of others that were applied here, so that a deploy that was made before is not
    /// saved over one of them.
    pub(super) followed: AtomicU64,
    /// The id of a revision in the store that neither the store nor this instance can read any more.
    pub(super) beyond_repair: Mutex<Option<String>>,
    /// Held while the last good revision is written.
    pub(super) disk: tokio::sync::Mutex<()>,
    /// Counts saves, so that one that waits for the store gives way to a newer one.
    pub(super) publishes: AtomicU64,
    pub(super) wake: Notify,
    pub(super) status: watch::Sender<Status>,
    pub(super) stop: watch::Sender<bool>,
}

/// The revision that runs, kept small: what an emptied store is refilled with.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) head: Head,
    pub(super) credentials: String,
    pub(super) archive: Vec<u8>,
}

impl Snapshot {
    /// The same content under another head.
    pub(super) fn with_head(&self, head: Head) -> Self {
        Self {
            head,
            credentials: self.credentials.clone(),
            archive: self.archive.clone(),
        }
    }
}

impl Flows {
    /// The flows of an instance that runs nothing yet.
    pub fn new(
        store: RevisionStore,
        last_good: LastGood,
        secrets: Arc<SecretKeeper>,
        role: Role,
        instance: String,
        signing: Option<Keyring>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                last_good,
                role,
                guard: signing.map(Guard::new),
                instance,
                follower: Mutex::new(Follower::new(role)),
                snapshot: Mutex::default(),
                secrets,
                turn: tokio::sync::Mutex::default(),
                needs_full: AtomicBool::new(false),
                stalled: AtomicBool::new(false),
                applying: Mutex::default(),
                followed: AtomicU64::new(0),
                beyond_repair: Mutex::default(),
                disk: tokio::sync::Mutex::default(),
                publishes: AtomicU64::new(0),
                wake: Notify::new(),
                status: watch::channel(Status::default()).0,
                stop: watch::channel(false).0,
            }),
        }
    }

    /// What operators see, and its changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    /// Looks at the store soon: a message came, the link is back, a node type was registered.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Ends whoever waits in [`Flows::next_job`].
    pub fn close(&self) {
        self.inner.stop.send_replace(true);
    }

    /// Waits until what is being written to the disk is there, so that a process that ends leaves the newest.
    pub async fn flush(&self) {
        drop(self.inner.disk.lock().await);
    }

    /// SHA-256 of the flows that run, hexadecimal; what the editor knows as `rev`.
    pub fn running_hash(&self) -> Option<String> {
        lock(&self.inner.follower)
            .running()
            .map(|revision| revision.hash.clone())
    }

    /// The id of the revision that is being applied, else of the one that runs: that of the flows which
    /// Node-RED holds at this moment.
    pub fn revision_in_use(&self) -> Option<String> {
        let applying = lock(&self.inner.applying).clone();
        applying.or_else(|| {
            lock(&self.inner.follower)
                .running()
                .map(|revision| revision.id.clone())
        })
    }

    /// The credentials of the revision that runs, encrypted.
    pub fn running_credentials(&self) -> Option<String> {
        lock(&self.inner.snapshot)
            .as_ref()
            .map(|snapshot| snapshot.credentials.clone())
    }

    /// The instance runs this revision now: remembered here, and on the disk for a start without the store.
    pub(super) async fn now_runs(&self, head: Head, content: &Content, archive: Vec<u8>) {
        self.set_status(|status| {
            status.running = Some(head.revision.number);
            status.wanted = Some(head.revision.number);
            status.error = None;
            status.missing_types.clear();
            status.state = head.state;
        });
        lock(&self.inner.follower).runs(&head);
        *lock(&self.inner.snapshot) = Some(Arc::new(Snapshot {
            head,
            credentials: content.credentials.clone(),
            archive,
        }));
        self.keep().await;
    }

    /// Writes the newest snapshot to the disk; a failure is the operator's to know, not the flows'.
    pub(super) async fn keep(&self) {
        let _disk = self.inner.disk.lock().await;
        let Some(snapshot) = lock(&self.inner.snapshot).clone() else {
            return;
        };
        let marks = self
            .inner
            .guard
            .as_ref()
            .map(|guard| guard.note(&snapshot.head));
        let last_good = self.inner.last_good.clone();
        let secret = self.inner.secrets.known();
        let written = crate::blocking(move || {
            let secret = secret.as_deref().and_then(ClusterSecret::generated);
            last_good.write(&snapshot.head, &snapshot.archive, secret, marks)
        })
        .await;
        if let Err(error) | Ok(Err(error)) = written {
            tracing::warn!("the last good revision is not kept: {error}");
        }
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
