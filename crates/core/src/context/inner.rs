//! What the tasks of a context store and its handle share.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::counters::{Counters, Counts};
use super::near::Near;
use super::queue::{Expired, Queue, Step};
use super::reader::{Read, Reads};
use super::requests::{Answer, Asker, Completions};
use super::{RevisionInUse, Usage, lock};
use crate::config::ContextSettings;
use crate::connection::Connection;
use crate::error::{Code, Error};
use crate::keyspace::{ContextKey, Keyspace};
use crate::survey::Survey;

/// How often deadlines are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(250);

pub(super) struct Inner {
    pub(super) settings: ContextSettings,
    pub(super) connection: Connection,
    pub(super) keyspace: Keyspace,
    pub(super) near: Arc<Near>,
    pub(super) state: Mutex<State>,
    /// There may be something to fetch.
    pub(super) reads_wait: Notify,
    /// There may be something to write.
    pub(super) writes_wait: Notify,
    /// A round of writes has ended, or waiting ones were given up.
    pub(super) progress: Notify,
    pub(super) completions: Completions,
    pub(super) counters: Arc<Counters>,
    pub(super) usage: Usage,
    pub(super) revision: RevisionInUse,
    pub(super) begun: Instant,
    /// Tells what the store lacks for as long as it is used.
    pub(super) _survey: Arc<Survey>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    pub(super) reads: Reads,
    pub(super) closed: bool,
}

impl Inner {
    /// Until everything that was issued before is settled, whatever is issued meanwhile.
    pub(super) async fn settled(&self) {
        let newest = lock(&self.state).queue.issued();
        loop {
            let progress = self.progress.notified();
            if lock(&self.state).queue.settled() >= newest {
                return;
            }
            progress.await;
        }
    }

    /// Readers who waited for writes go on where those are settled.
    pub(super) fn make_progress(&self) {
        let mut state = lock(&self.state);
        let settled = state.queue.settled();
        // Wraps, as the words do.
        self.near
            .words()
            .settled
            .store(settled as i32, Ordering::Release);
        if state.reads.release(settled) {
            self.reads_wait.notify_one();
        }
        self.progress.notify_waiters();
    }

    pub(super) fn counts(&self) -> Counts {
        let (pending_writes, pending_bytes) = lock(&self.state).queue.size();
        let [hits, bytes, entries, evictions] =
            [0, 1, 2, 3].map(|at| f64::from_bits(self.usage[at].load(Ordering::Relaxed)) as u64);
        Counts {
            key_prefix: self.settings.key_prefix.clone(),
            hits,
            misses: self.counters.fetched.get(),
            invalidations: self.near.heard(),
            losses: self.counters.losses.get(),
            evictions,
            entries,
            bytes,
            pending_writes: pending_writes as u64,
            pending_bytes,
            writes: self.counters.written.get(),
            write_errors: self.counters.write_errors.get(),
            read_errors: self.counters.read_errors.get(),
            conflicts: self.counters.conflicts.get(),
            near_cache: self.near.is_serving(),
            slowest: self.counters.slowest(),
        }
    }

    pub(super) fn report_failed_write(&self, place: &str, error: &Error) {
        self.counters.write_errors.add(1);
        if error.message().contains(place) {
            tracing::error!("not written: {error}");
        } else {
            tracing::error!("{place} was not written: {error}");
        }
    }

    /// What this process kept of what it meant to write is not what the store holds.
    pub(super) fn invalidate_steps(&self, steps: &[Step]) {
        for step in steps {
            self.near
                .invalidate(ContextKey::Value(step.scope.clone(), step.name.clone()));
        }
    }

    /// Tells whoever waited too long for a write.
    pub(super) fn give_up(&self, expired: Expired, because: Option<&Error>) {
        for (scope, name) in expired.properties {
            self.near.invalidate(ContextKey::Value(scope, name));
        }
        if expired.callbacks.is_empty() {
            return;
        }
        self.counters
            .write_errors
            .add(expired.callbacks.len() as u64);
        let limit = self.settings.timeout.as_millis();
        let error = match because {
            Some(error) => Error::new(
                error.code(),
                format!("not confirmed within {limit} ms: {}", error.message()),
            ),
            None => Error::new(
                Code::StoreUnreachable,
                format!("not written within {limit} ms: earlier writes still wait for the store"),
            ),
        };
        let answers = expired.callbacks.into_iter();
        self.completions
            .extend(answers.map(|callback| (callback.id, Answer::of(Err(error.clone())))));
    }

    pub(super) fn answer_all(&self, reads: Vec<Read>, error: &Error) {
        let mut answers = Vec::new();
        for read in reads {
            let answer = Answer::of(Err(error.clone()));
            match read.asker {
                Asker::Request(id) => answers.push((id, answer)),
                Asker::Waiter(waiter, at) => drop(waiter.give(at, answer)),
            }
        }
        self.completions.extend(answers);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The coarse clock, and the deadlines of whatever waits.
pub(super) async fn keep_house(inner: Arc<Inner>) {
    let mut pace = tokio::time::interval(HOUSEKEEPING);
    loop {
        pace.tick().await;
        let seconds = inner.begun.elapsed().as_secs() as i32;
        inner.near.words().tick.store(seconds, Ordering::Relaxed);
        let (expired, late) = {
            let mut state = lock(&inner.state);
            let expired = state.queue.expire(Instant::now());
            (expired, state.reads.expire(inner.settings.timeout))
        };
        inner.give_up(expired, None);
        inner.make_progress();
        if late.is_empty() {
            continue;
        }
        inner.counters.read_errors.add(late.len() as u64);
        let error = inner.connection.known_down().unwrap_or_else(|| {
            let limit = inner.settings.timeout.as_millis();
            Error::new(
                Code::StoreUnreachable,
                format!("the store did not answer within {limit} ms"),
            )
        });
        inner.answer_all(late, &error);
    }
}
