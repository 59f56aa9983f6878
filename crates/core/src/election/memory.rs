//! Whether the store has forgotten anything: a mark in it that is there as long as its data is.
//!
//! Where there is no record of an election, there never was a leader, or the store forgot it. A process that
//! has seen the same mark, in the same run of the same server, for the length of a lease knows that whoever led
//! before the store forgot believes so no more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::{self, Moment};
use super::scripts;
use crate::connection::Connection;
use crate::keyspace::Keyspace;
use crate::supervised::supervised;

/// Between two attempts to mark the store's memory that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the reply to one may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The watches of this process. They are few: a process has one store, rarely two.
static SHARED: Mutex<Vec<Weak<MemoryWatch>>> = Mutex::new(Vec::new());

/// A memory that has forgotten nothing for the length of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Intact<'memory> {
    pub(super) mark: &'memory str,
    /// Since when that can be said.
    pub(super) since: Moment,
}

/// The mark, as this process knows it.
#[derive(Debug, Default, Clone)]
pub(super) struct Memory {
    seen: Option<Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    run: String,
    mark: String,
    since: Moment,
}

impl Memory {
    /// The store has this mark now.
    fn saw(&mut self, now: Moment, run: Option<&str>, mark: String) {
        let Some(run) = run else {
            self.seen = None;
            return;
        };
        let same = |seen: &Seen| seen.run == run && seen.mark == mark;
        if !self.seen.as_ref().is_some_and(same) {
            self.seen = Some(Seen {
                run: run.to_owned(),
                mark,
                since: now,
            });
        }
    }

    /// What is known if the mark has been there for the length of a lease, in this run of the server.
    pub(super) fn intact(
        &self,
        now: Moment,
        run: Option<&str>,
        ttl: Duration,
    ) -> Option<Intact<'_>> {
        let seen = self.seen.as_ref()?;
        let since = seen.since + ttl;
        (run == Some(seen.run.as_str()) && now >= since).then_some(Intact {
            mark: &seen.mark,
            since,
        })
    }

    /// When it will have been there for so long; none if it is not known.
    pub(super) fn intact_at(&self, ttl: Duration) -> Option<Moment> {
        self.seen.as_ref().map(|seen| seen.since + ttl)
    }
}

/// Keeps an eye on the memory of one store for everybody in this process who takes part in elections there;
/// best from the start of the process on, so that it knows enough when the first election comes.
#[derive(Debug)]
pub struct MemoryWatch {
    connection: Connection,
    key: String,
    memory: Mutex<Memory>,
    changes: watch::Sender<u64>,
    doubts: watch::Sender<u64>,
}

impl MemoryWatch {
    /// The watch of the store behind `connection` and of the keys with this prefix; begins where there is
    /// none yet, and ends when nobody holds it any more. Must be called on a tokio runtime.
    pub fn shared(connection: &Connection, key_prefix: &str) -> Arc<Self> {
        let key = Keyspace::under(key_prefix).election_memory();
        let mut shared = lock(&SHARED);
        shared.retain(|watch| watch.strong_count() > 0);
        let same = shared.iter().filter_map(Weak::upgrade).find(|watch| {
            let same_store = watch.connection.config() == connection.config();
            watch.key == key && same_store && !watch.connection.is_closed()
        });
        if let Some(watch) = same {
            return watch;
        }
        let watch = Arc::new(Self {
            connection: connection.clone(),
            key,
            memory: Mutex::default(),
            changes: watch::Sender::new(0),
            doubts: watch::Sender::new(0),
        });
        shared.push(Arc::downgrade(&watch));
        let (weak, connection) = (Arc::downgrade(&watch), connection.clone());
        tokio::spawn(supervised("what marks the store's memory", move || {
            keep(Weak::clone(&weak), connection.clone())
        }));
        watch
    }

    /// What is known at this moment.
    pub(super) fn memory(&self) -> Memory {
        lock(&self.memory).clone()
    }

    /// Changes when something else is known.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The store has another mark than was thought.
    pub(super) fn doubt(&self) {
        self.know(|memory| *memory = Memory::default());
        self.doubts.send_modify(|count| *count += 1);
    }

    fn know(&self, change: impl FnOnce(&mut Memory)) {
        change(&mut lock(&self.memory));
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Marks the store's memory in each session, and reads the mark.
async fn keep(watch: Weak<MemoryWatch>, connection: Connection) {
    let mut epochs = connection.epochs();
    let Some(mut doubts) = watch.upgrade().map(|watch| watch.doubts.subscribe()) else {
        return;
    };
    loop {
        let session = connection.session().filter(|session| !session.clustered);
        if let (Some(session), Some(held)) = (session, watch.upgrade()) {
            let request = scripts::memory(&held.key);
            let answer = connection.run_on::<String>(&session, &request, LIMIT);
            match answer.await {
                Ok(mark) => {
                    let run = scripts::run_of(&session);
                    held.know(|memory| memory.saw(clock::now(), run, mark));
                }
                Err(error) => {
                    held.know(|memory| *memory = Memory::default());
                    drop(held);
                    tracing::debug!("the memory of the store cannot be marked: {error}");
                    tokio::time::sleep(PAUSE).await;
                    if error.code().is_retriable() {
                        continue;
                    }
                }
            }
        }
        // An error means that nobody holds the watch, or that the links are closed.
        let ended = tokio::select! {
            changed = epochs.changed() => changed.is_err(),
            changed = doubts.changed() => changed.is_err(),
        };
        if ended {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_mark_counts_once_it_was_there_for_a_lease() {
        let mut memory = Memory::default();
        memory.saw(at(1), Some("run"), "mark".into());
        assert_eq!(memory.intact(at(10), Some("run"), TTL), None);
        memory.saw(at(10), Some("run"), "mark".into());
        let intact = memory.intact(at(11), Some("run"), TTL);
        let since = at(11);
        let mark = "mark";
        assert_eq!(intact, Some(Intact { mark, since }));
        assert_eq!(memory.intact_at(TTL), Some(at(11)));
    }

    #[test]
    fn another_mark_and_another_run_begin_anew() {
        let mut memory = Memory::default();
        memory.saw(at(1), Some("run"), "mark".into());
        assert_eq!(memory.intact(at(20), Some("other"), TTL), None);
        memory.saw(at(20), Some("run"), "other".into());
        assert_eq!(memory.intact(at(21), Some("run"), TTL), None);
        memory.saw(at(40), Some("later"), "other".into());
        assert_eq!(memory.intact(at(41), Some("later"), TTL), None);
        memory.saw(at(60), None, "other".into());
        assert_eq!(memory.intact(at(99), None, TTL), None);
        assert_eq!(memory.intact_at(TTL), None);
    }
}
