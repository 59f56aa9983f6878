//! What operators can see of the context: numbers since the start of the process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lock;

/// One number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See [`Counts`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Values that were asked of the store.
    pub(super) fetched: Counter,
    /// Writes that the store took.
    pub(super) written: Counter,
    /// Writes that came to nothing.
    pub(super) write_errors: Counter,
    /// Reads that came to nothing.
    pub(super) read_errors: Counter,
    /// Commits that had to be done again because somebody else was faster.
    pub(super) conflicts: Counter,
    /// Times at which everything kept was forgotten.
    pub(super) losses: Counter,
    slowest: Mutex<Slowest>,
}

/// The slowest operation since the start.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slowest {
    /// `read` or `write`; empty where there was none.
    pub what: String,
    /// Whose: ``context `x` of global``, or how many.
    pub place: String,
    /// How long it took.
    pub microseconds: u64,
}

/// What [`super::Context::counters`] tells.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Prefix of the keys.
    pub key_prefix: String,
    /// Reads that were answered in this process.
    pub hits: u64,
    /// Values that were asked of the store.
    pub misses: u64,
    /// Changes that were heard of: those by others, and those that updates of this process made.
    pub invalidations: u64,
    /// Times at which everything kept was forgotten because the link was lost.
    pub losses: u64,
    /// Values that were given up for want of room.
    pub evictions: u64,
    /// Values kept, and their bytes.
    pub entries: u64,
    /// Bytes of the values kept, as JSON.
    pub bytes: u64,
    /// Writes that wait for the store.
    pub pending_writes: u64,
    /// Bytes of the writes that wait.
    pub pending_bytes: u64,
    /// Writes that the store took.
    pub writes: u64,
    /// Writes that came to nothing.
    pub write_errors: u64,
    /// Reads that came to nothing.
    pub read_errors: u64,
    /// Updates done again because another instance was faster.
    pub conflicts: u64,
    /// Whether reads can be answered in this process at this moment.
    pub near_cache: bool,
    /// The slowest operation.
    pub slowest: Slowest,
}

impl Counters {
    /// An operation took so long; `place` is asked only if it is the slowest.
    pub(super) fn took(&self, what: &'static str, time: Duration, place: impl FnOnce() -> String) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut slowest = lock(&self.slowest);
        if microseconds > slowest.microseconds {
            *slowest = Slowest {
                what: what.to_owned(),
                place: place(),
                microseconds,
            };
        }
    }

    pub(super) fn slowest(&self) -> Slowest {
        lock(&self.slowest).clone()
    }
}
