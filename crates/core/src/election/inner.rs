//! What the electors of one store share.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::elector::{Command, Handle};
use super::event_loop::EventLoop;
use super::memory::MemoryWatch;
use super::standing::Belief;
use crate::config::ElectionSettings;
use crate::connection::{self, Connection};
use crate::error::Error;
use crate::survey::Survey;

/// How often it is looked whether the link is up; a look at a flag in this process.
const LINK_CHECK: Duration = Duration::from_millis(250);

/// How often the server is asked for the name of its history.
const REVIEW: Duration = Duration::from_secs(5);

/// Hears of each change of belief.
pub(super) type Watcher = Box<dyn Fn(&Belief) + Send + Sync>;

/// An elector and the candidacies that it serves.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) handle: Arc<Handle>,
    pub(super) task: JoinHandle<()>,
    /// How long each wants the lease to be, by its number.
    pub(super) wishes: HashMap<u64, Duration>,
}

/// What the electors of one store share.
pub(super) struct Inner {
    pub(super) settings: ElectionSettings,
    pub(super) connection: Connection,
    /// In a cluster, the links to those nodes that own the slots of locks outside of the prefix, by lock.
    pub(super) elsewhere: Mutex<HashMap<String, Connection>>,
    pub(super) channel: String,
    pub(super) host: String,
    pub(super) event_loop: Arc<EventLoop>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) electors: Mutex<HashMap<String, Entry>>,
    pub(super) outage: Mutex<Option<Error>>,
    pub(super) changes: Mutex<BTreeSet<String>>,
    pub(super) tell_change: Box<dyn Fn() + Send + Sync>,
    pub(super) watchers: Mutex<Vec<Watcher>>,
    pub(super) memory: Arc<MemoryWatch>,
    /// The largest token of each lock, for as long as this process knows.
    pub(super) floors: Mutex<HashMap<String, u64>>,
    /// Tells what the store lacks for as long as it is used.
    pub(super) _survey: Arc<Survey>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inner")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// The links that serve a lock.
    pub(super) fn connection_for(&self, name: &str) -> Connection {
        let config = self.settings.connection.for_slot_of(name);
        if config == self.settings.connection {
            return self.connection.clone();
        }
        let mut elsewhere = lock(&self.elsewhere);
        if let Some(connection) = elsewhere.get(name) {
            return connection.clone();
        }
        let _on_runtime = self.runtime.enter();
        let connection =
            connection::shared(&config, self.settings.timeout, "node-red-cluster:leader")
                .expect("links with these options were opened before");
        elsewhere.insert(name.to_owned(), connection.clone());
        connection
    }

    /// Closes all links.
    pub(super) fn close(&self) {
        for connection in lock(&self.elsewhere).values() {
            connection.close();
        }
        self.connection.close();
    }

    /// The standing in an election changed.
    pub(super) fn changed(&self, name: &str) {
        lock(&self.changes).insert(name.to_owned());
        (self.tell_change)();
    }

    /// Why the store is away, where that is known.
    pub(super) fn known_outage(&self) -> Option<Error> {
        lock(&self.outage).clone()
    }

    /// A belief changed.
    pub(super) fn believe(&self, belief: &Belief) {
        for watcher in lock(&self.watchers).iter() {
            watcher(belief);
        }
    }

    /// Tells all electors.
    pub(super) fn tell_all(&self, command: impl Fn() -> Command) {
        for entry in lock(&self.electors).values() {
            entry.handle.tell(command());
        }
    }

    /// The largest token of a lock that this process knows of, also from electors that ended.
    pub(super) fn floor(&self, name: &str) -> u64 {
        lock(&self.floors).get(name).copied().unwrap_or_default()
    }

    /// A token of a lock was seen.
    pub(super) fn raise_floor(&self, name: &str, token: u64) {
        let mut floors = lock(&self.floors);
        match floors.get_mut(name) {
            Some(floor) => *floor = token.max(*floor),
            None if token > 0 => {
                floors.insert(name.to_owned(), token);
            }
            None => {}
        }
    }

    /// Shows the electors an outage of the link and its end.
    pub(super) async fn watch_link(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LINK_CHECK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outage = self.connection.known_down();
            let mut known = lock(&self.outage);
            // Another reason for the same outage is no news.
            if outage.is_some() != known.is_some() {
                known.clone_from(&outage);
                drop(known);
                self.tell_all(|| Command::Outage(outage.clone()));
            }
        }
    }

    /// Keeps all sessions that serve locks at one name for one history of the server: a record that was written
    /// under another name than a candidate's looks to it like one from before a failover.
    pub(super) async fn review_sessions(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REVIEW).await;
            if lock(&self.electors).is_empty() {
                continue;
            }
            let elsewhere: Vec<Connection> = lock(&self.elsewhere).values().cloned().collect();
            for connection in elsewhere.iter().chain([&self.connection]) {
                if let Some(session) = connection.session() {
                    connection.review(&session).await;
                }
            }
        }
    }

    /// Tells the electors what becomes known of the store's memory.
    pub(super) async fn watch_memory(self: Arc<Self>) {
        let mut changes = self.memory.changes();
        while changes.changed().await.is_ok() {
            self.tell_all(|| Command::Memory);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
