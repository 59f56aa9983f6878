//! The task that keeps an instance's presence: claims a place once the store is there, renews the record
//! in time, at each change and after each reconnect, and removes it at the end.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::identity::Identity;
use super::presence::{Presence, Publication};
use super::record::Status;
use crate::config::Monitoring;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::fault;
use crate::keyspace::Keyspace;
use crate::supervised::supervised;

/// Between two writes, so that many changes at once become few writes.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the removal at the end may take: the record expires anyway, and Node-RED wants to exit.
const FAREWELL: Duration = Duration::from_secs(1);

/// Fills in what changes all the time and is shown as it is at a heartbeat.
pub type Gauge = Box<dyn Fn(&mut Status) + Send + Sync>;

/// Keeps the presence of this instance until it is stopped or dropped.
#[derive(Debug)]
pub struct Heartbeat {
    status: watch::Sender<Status>,
    id: watch::Receiver<Option<String>>,
    stop: watch::Sender<bool>,
    gauges: Gauges,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Gauges(Arc<Mutex<Vec<Gauge>>>);

/// What the task works with.
#[derive(Clone)]
struct Keeper {
    connection: Connection,
    keyspace: Keyspace,
    monitoring: Monitoring,
    identity: Identity,
    /// Kept where a fault ends the task, so that the next one keeps the place.
    presence: Arc<Mutex<Option<Presence>>>,
    id: watch::Sender<Option<String>>,
    gauges: Gauges,
    /// Whether the last attempt failed, so that only the first failure in a row is a warning.
    failing: bool,
}

impl Gauges {
    fn lock(&self) -> MutexGuard<'_, Vec<Gauge>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gauges").finish_non_exhaustive()
    }
}

impl Heartbeat {
    /// Starts the task on the current runtime. It waits for the store by itself.
    pub fn start(
        connection: &Connection,
        keyspace: &Keyspace,
        monitoring: &Monitoring,
        identity: Identity,
        status: Status,
    ) -> Self {
        let (status, changes) = watch::channel(status);
        let (id_sender, id) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let gauges = Gauges::default();
        let keeper = Keeper {
            connection: connection.clone(),
            keyspace: keyspace.clone(),
            monitoring: *monitoring,
            identity,
            presence: Arc::default(),
            id: id_sender,
            gauges: gauges.clone(),
            failing: false,
        };
        let task = tokio::spawn(supervised("the presence", move || {
            keeper.clone().run(changes.clone(), stopped.clone())
        }));
        Self {
            status,
            id,
            stop,
            gauges,
            task,
        }
    }

    /// The id of this instance, `<hostname>-<n>`: none before the store was reached. It changes where the
    /// instance was away for so long that another took its place.
    pub fn id(&self) -> watch::Receiver<Option<String>> {
        self.id.clone()
    }

    /// Changes what the record says; it is written soon, and only if something did change.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }

    /// From now on each heartbeat asks this gauge too. It must be quick.
    pub fn ask(&self, gauge: Gauge) {
        self.gauges.lock().push(gauge);
    }

    /// Ends the task and removes the record.
    pub async fn stop(self) {
        // Neither the task having ended already nor a panic in it keeps the process from ending.
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

impl Keeper {
    async fn run(mut self, changes: watch::Receiver<Status>, mut stopped: watch::Receiver<bool>) {
        tokio::select! {
            () = self.keep(changes) => {}
            // An error means that the handle was dropped, which is an end as well.
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        let Some(presence) = self.presence() else {
            return;
        };
        if !self.connection.is_up() {
            tracing::debug!(
                "the presence of {} is left to expire, as the store is away",
                presence.id()
            );
            return;
        }
        match tokio::time::timeout(FAREWELL, presence.remove()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("the presence record is left to expire: {error}"),
            Err(_) => {
                tracing::debug!("the presence record is left to expire, as the store is slow")
            }
        }
    }

    /// Beats until the connection or the handle is closed.
    async fn keep(&mut self, mut changes: watch::Receiver<Status>) {
        let mut epochs = self.connection.epochs();
        loop {
            fault::point("presence");
            let next = Instant::now() + self.monitoring.heartbeat_interval;
            epochs.mark_unchanged();
            let mut status = changes.borrow_and_update().clone();
            for gauge in &*self.gauges.lock() {
                gauge(&mut status);
            }
            let outcome = self.beat(&status).await;
            self.report(outcome);
            tokio::time::sleep(PAUSE).await;
            let alive = tokio::select! {
                () = tokio::time::sleep_until(next) => true,
                changed = changes.changed() => changed.is_ok(),
                reconnected = epochs.changed() => reconnected.is_ok(),
            };
            if !alive {
                return;
            }
        }
    }

    /// Writes the record, at a new place where there is none yet or where it was lost.
    async fn beat(&mut self, status: &Status) -> Result<()> {
        if let Some(presence) = self.presence() {
            if presence.publish(status).await? == Publication::Published {
                return Ok(());
            }
            tracing::info!(
                "another instance took the id {} while this one was away, taking a new one",
                presence.id()
            );
            self.set_presence(None);
        }
        let presence = Presence::claim(
            &self.connection,
            &self.keyspace,
            &self.monitoring,
            self.identity.clone(),
            status,
        )
        .await?;
        self.id.send_replace(Some(presence.id().to_owned()));
        self.set_presence(Some(presence));
        Ok(())
    }

    fn presence(&self) -> Option<Presence> {
        self.presence
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_presence(&self, presence: Option<Presence>) {
        *self.presence.lock().unwrap_or_else(PoisonError::into_inner) = presence;
    }

    fn report(&mut self, outcome: std::result::Result<(), Error>) {
        match outcome {
            Ok(()) => self.failing = false,
            Err(error) if self.failing => tracing::debug!("{error}"),
            Err(error) => {
                self.failing = true;
                tracing::warn!("other instances do not see this one: {error}");
            }
        }
    }
}
