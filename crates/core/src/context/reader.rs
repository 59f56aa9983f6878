//! Reads of the store: whatever was asked for while a fetch was under way goes out as the next one.
//!
//! One fetch at a time, so per key no read ever sees an older state than the read before it; and a property
//! that this process is writing is read only when the write is settled, so every read sees the writes that
//! were issued before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit::place;
use super::inner::Inner;
use super::lock;
use super::near::Ticket;
use super::requests::{Answer, Asker, Task};
use super::stored::STAMP;
use crate::codec;
use crate::connection::{Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::fault;
use crate::keyspace::ContextKey;

/// Keys of one fetch.
const LARGEST_FETCH: usize = 256;

/// Stored bytes above this are unpacked off the runtime's only worker.
const LARGE: usize = 64 * 1024;

/// One thing that is asked for.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: ContextKey,
    pub(super) asker: Asker,
    pub(super) asked: Instant,
}

/// The reads that wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    ready: VecDeque<Read>,
    /// With the write that each waits for.
    behind: Vec<(u64, Read)>,
}

impl Reads {
    /// Waits for a write of this process where `behind` says so.
    pub(super) fn push(&mut self, read: Read, behind: Option<u64>) {
        match behind {
            Some(number) => self.behind.push((number, read)),
            None => self.ready.push_back(read),
        }
    }

    /// All writes up to this one are settled; whether there is something to read now.
    pub(super) fn release(&mut self, settled: u64) -> bool {
        let mut released = false;
        for (number, read) in std::mem::take(&mut self.behind) {
            if number <= settled {
                self.ready.push_back(read);
                released = true;
            } else {
                self.behind.push((number, read));
            }
        }
        released
    }

    fn take(&mut self) -> Vec<Read> {
        let count = self.ready.len().min(LARGEST_FETCH);
        self.ready.drain(..count).collect()
    }

    /// Takes what waits for longer than `limit`.
    pub(super) fn expire(&mut self, limit: Duration) -> Vec<Read> {
        if self.ready.is_empty() && self.behind.is_empty() {
            return Vec::new();
        }
        let mut expired = Vec::new();
        for read in std::mem::take(&mut self.ready) {
            if read.asked.elapsed() >= limit {
                expired.push(read);
            } else {
                self.ready.push_back(read);
            }
        }
        for (number, read) in std::mem::take(&mut self.behind) {
            if read.asked.elapsed() >= limit {
                expired.push(read);
            } else {
                self.behind.push((number, read));
            }
        }
        expired
    }

    /// Takes everything.
    pub(super) fn drain(&mut self) -> Vec<Read> {
        let behind = self.behind.drain(..).map(|(_, read)| read);
        self.ready.drain(..).chain(behind).collect()
    }
}

/// Reads until the context is closed.
pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        inner.reads_wait.notified().await;
        loop {
            let batch = lock(&inner.state).reads.take();
            if batch.is_empty() {
                break;
            }
            fetch(&inner, batch).await;
        }
    }
}

async fn fetch(inner: &Inner, batch: Vec<Read>) {
    inner.counters.fetched.add(batch.len() as u64);
    inner.completions.take_over(
        Task::Reader,
        batch.iter().filter_map(|read| match read.asker {
            Asker::Request(id) => Some(id),
            Asker::Waiter(..) => None,
        }),
    );
    fault::point("context reader");
    // Before anything is sent: a change that is heard of from here on is newer than what will be read.
    let tickets: Vec<Ticket> = batch
        .iter()
        .map(|read| inner.near.begin(&read.key))
        .collect();
    let begun = Instant::now();
    let (values, names) = tokio::join!(fetch_values(inner, &batch), fetch_names(inner, &batch));
    let count = batch.len();
    inner
        .counters
        .took("read", begun.elapsed(), || match &batch[0].key {
            ContextKey::Value(scope, name) if count == 1 => place(scope, name),
            _ => format!("{count} properties"),
        });
    let (mut values, mut names) = (values.into_iter(), names.into_iter());
    let mut completions = Vec::new();
    for (read, ticket) in batch.into_iter().zip(tickets) {
        let outcome = match &read.key {
            ContextKey::Value(..) => values.next(),
            ContextKey::Names(_) | ContextKey::Scopes => names.next(),
        };
        let outcome = outcome.unwrap_or_else(|| {
            Err(Error::new(
                Code::StoreReply,
                "the store answered with too few values",
            ))
        });
        if outcome.is_err() {
            inner.counters.read_errors.add(1);
        }
        let answer = Answer {
            outcome,
            fetched: Some((read.key, ticket)),
        };
        match read.asker {
            Asker::Request(id) => completions.push((id, answer)),
            Asker::Waiter(waiter, at) => {
                if let Some(Answer {
                    fetched: Some((key, ticket)),
                    ..
                }) = waiter.give(at, answer)
                {
                    inner.near.settle(&key, ticket);
                }
            }
        }
    }
    inner.completions.extend(completions);
}

async fn fetch_values(inner: &Inner, batch: &[Read]) -> Vec<Result<Option<String>>> {
    let mut command = redis::cmd("MGET");
    let mut wanted = Vec::new();
    for read in batch {
        if let ContextKey::Value(scope, name) = &read.key {
            command.arg(inner.keyspace.context_value(scope, name));
            wanted.push((scope, name));
        }
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let reply: Result<Vec<Option<Vec<u8>>>> = inner
        .connection
        .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
        .await;
    let values = match reply {
        Ok(values) => values,
        Err(error) => return vec![Err(error); wanted.len()],
    };
    let limit = inner.settings.context.max_value_bytes;
    let mut texts = Vec::with_capacity(wanted.len());
    for (value, (scope, name)) in values.into_iter().zip(wanted) {
        let text = match value {
            Some(bytes) => decode(bytes, limit).await.map(Some),
            None => Ok(None),
        };
        texts.push(text.map_err(|error| error.while_doing(&place(scope, name))));
    }
    texts
}

async fn decode(bytes: Vec<u8>, limit: usize) -> Result<String> {
    let limit = limit.saturating_add(STAMP);
    if codec::is_plain(&bytes) || bytes.len() < LARGE {
        return codec::decode_text(bytes, limit);
    }
    crate::blocking(move || codec::decode_text(bytes, limit)).await?
}

async fn fetch_names(inner: &Inner, batch: &[Read]) -> Vec<Result<Option<String>>> {
    let mut lists = Vec::new();
    for read in batch {
        let command = match &read.key {
            ContextKey::Value(..) => continue,
            ContextKey::Names(scope) => {
                let mut command = redis::cmd("ZRANGE");
                command
                    .arg(inner.keyspace.context_names(scope))
                    .arg(0)
                    .arg(-1);
                command
            }
            ContextKey::Scopes => {
                let mut command = redis::cmd("SMEMBERS");
                command.arg(inner.keyspace.context_scopes());
                command
            }
        };
        let names: Result<Vec<String>> = inner
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await;
        lists.push(names.and_then(|names| {
            let text = serde_json::to_string(&names);
            text.map(Some)
                .map_err(|error| Error::new(Code::Internal, error.to_string()))
        }));
    }
    lists
}
