//! The context that all instances share: values in the store, a near cache in this process.
//!
//! # Layout
//! - [`path`]: property expressions as Node-RED writes them
//! - [`json`]: reading and changing JSON text without building values
//! - [`operation`]: what a flow can do to a value in one step
//! - [`near`]: what may be kept of what was read, and for how long (pure)
//! - `listener`: what the store says of changed keys
//! - `queue`: writes that the store has not answered yet, in rounds (pure)
//! - `stored`: how a value lies in the store, and how a change of it is recognised (pure)
//! - `reader`, `writer`, `commit`: the tasks that talk to the store
//! - `inner`: what these share with the handle
//! - `peers`: other stores of the same process
//! - `requests`: who asked, and how the answer gets there
//! - `clean`: deleting whole scopes
//! - `migrate`: taking over what the older package left
//! - `counters`: what operators see
//!
//! # Promises
//! A read sees every write that this process issued before it. Per property, reads never go back in time.
//! A write of another instance is seen within one network delay after the store carried it out, and in any
//! case after the link's next reconnect; a peer that fell silent is given up after three seconds. Writes of
//! one process reach the store in the order in which they were issued. A write is acknowledged when the
//! store has it. An update (nested property, atomic operation) is carried out once or not at all.
//!
//! Not promised: that a plain write whose reply was lost is not carried out twice in a row; and nothing
//! survives an asynchronous failover of the store that the new master had not heard of.

mod clean;
mod commit;
mod counters;
mod inner;
pub mod json;
mod listener;
pub mod migrate;
pub mod near;
pub mod operation;
pub mod path;
mod peers;
mod queue;
mod reader;
mod requests;
mod stored;
mod writer;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use stored::fuzz as fuzz_stored;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::config::ContextSettings;
use crate::connection;
use crate::error::{Code, Error, Result};
use crate::fault;
use crate::keyspace::{ContextKey, Keyspace, Scope};
use crate::supervised::supervised;
use crate::survey::Survey;

pub use counters::Counts;
use inner::{Inner, State, keep_house};
use json::check;
use listener::Listener;
use operation::Operation;
use path::Path;
use queue::{Bounds, Callback, Change, Queue, Step};
use reader::{Read, Reads};
pub use requests::Completion;
use requests::{Asker, Completions, Task, Waiter};

/// How long a store that is not there yet is waited for before the log hears of it again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long closing waits for the writes that are on their way.
const FAREWELL: Duration = Duration::from_secs(4);

/// How long a start waits for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// However long it takes.
    Endless,
    /// Not once it is known to be away: whoever starts has waited for it already.
    Short,
}

/// What JavaScript counts, one 64-bit float each: reads answered there, bytes kept, values kept, values given
/// up.
pub type Usage = [AtomicU64; 4];

/// Tells the id of the revision of the flows that this process applies or runs.
pub type RevisionInUse = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// One context store; cheap to clone. Must be opened on a tokio runtime; what is not async may be called
/// from any thread.
#[derive(Debug, Clone)]
pub struct Context {
    inner: Arc<Inner>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Context {
    /// Begins to connect, over the links that this process already has with the same configuration. `wake` is
    /// called, from any thread, when [`Context::drain`] has something.
    ///
    /// # Errors
    /// As [`connection::shared`].
    pub fn open(
        settings: ContextSettings,
        wake: Box<dyn Fn() + Send + Sync>,
        revision: RevisionInUse,
    ) -> Result<Self> {
        let connection = connection::shared(
            &settings.connection,
            settings.timeout,
            "node-red-cluster:context",
        )?;
        let keyspace = Keyspace::under(&settings.key_prefix);
        let bounds = Bounds {
            writes: settings.context.max_pending_writes,
            bytes: settings.context.max_pending_bytes,
        };
        let prefixes = keyspace.context_prefixes().to_vec();
        let inner = Arc::new(Inner {
            connection: connection.clone(),
            keyspace,
            near: Arc::default(),
            state: Mutex::new(State {
                queue: Queue::new(bounds),
                reads: Reads::default(),
                closed: false,
            }),
            reads_wait: Notify::new(),
            writes_wait: Notify::new(),
            progress: Notify::new(),
            completions: Completions::new(wake),
            counters: Arc::default(),
            usage: Usage::default(),
            revision,
            begun: Instant::now(),
            _survey: Survey::shared(&connection),
            settings,
        });
        if inner.settings.context.near_cache.enabled {
            let listener = Listener {
                near: Arc::clone(&inner.near),
                keyspace: inner.keyspace.clone(),
                counters: Arc::clone(&inner.counters),
            };
            connection.track(prefixes, Arc::new(listener))?;
        }
        peers::join(&inner);
        let tasks = vec![
            tokio::spawn(supervised("the reader of the context", {
                let inner = Arc::clone(&inner);
                move || {
                    inner.completions.fail(Task::Reader);
                    inner.reads_wait.notify_one();
                    reader::run(Arc::clone(&inner))
                }
            })),
            tokio::spawn(supervised("the writer of the context", {
                let inner = Arc::clone(&inner);
                move || {
                    // What one before had taken is not going to be written.
                    inner.completions.fail(Task::Writer);
                    inner.near.forget_all();
                    lock(&inner.state).queue.settle();
                    inner.make_progress();
                    inner.writes_wait.notify_one();
                    writer::run(Arc::clone(&inner))
                }
            })),
            tokio::spawn(supervised("the clock of the context", {
                let inner = Arc::clone(&inner);
                move || keep_house(Arc::clone(&inner))
            })),
        ];
        Ok(Self {
            inner,
            tasks: Arc::new(Mutex::new(tasks)),
        })
    }

    /// Waits until the store has answered once.
    ///
    /// # Errors
    /// What waiting cannot heal: a wrong password, a forbidden database; `Closed`.
    pub async fn ready(&self, patience: Patience) -> Result<()> {
        loop {
            if patience == Patience::Short && self.inner.connection.known_down().is_some() {
                tracing::warn!(
                    "the flows start although the store of the context at {} is away",
                    self.store()
                );
                return Ok(());
            }
            match self.inner.connection.ready(PATIENCE).await {
                Err(error) if error.code().is_retriable() => tracing::warn!(
                    "the context waits for the store at {} since {} s: {error}",
                    self.store(),
                    self.inner.begun.elapsed().as_secs()
                ),
                outcome => return outcome,
            }
        }
    }

    /// The settings of this store.
    pub fn settings(&self) -> &ContextSettings {
        &self.inner.settings
    }

    /// Where the store is, without secrets.
    pub fn store(&self) -> String {
        self.inner.connection.describe()
    }

    /// The words that say what may be served of what is kept. They live as long as this.
    pub fn words(&self) -> &near::Words {
        self.inner.near.words()
    }

    /// Where JavaScript counts.
    pub fn usage(&self) -> &Usage {
        &self.inner.usage
    }

    /// Scope and name of every property that changed since the last call; an empty name stands for the list
    /// of the scope's names.
    pub fn take_invalidated(&self) -> Vec<(Scope, String)> {
        let keys = self.inner.near.take_invalidated().into_iter();
        keys.filter_map(|key| match key {
            ContextKey::Value(scope, name) => Some((scope, name)),
            ContextKey::Names(scope) => Some((scope, String::new())),
            ContextKey::Scopes => None,
        })
        .collect()
    }

    /// The answers since the last call.
    pub fn drain(&self) -> Vec<Completion> {
        self.inner.completions.take(&self.inner.near)
    }

    /// Asks for a property; the answer comes by [`Context::drain`].
    pub fn read(&self, id: u32, scope: Scope, name: String) {
        self.ask(ContextKey::Value(scope, name), Asker::Request(id));
    }

    /// Asks for the names of a scope's properties, in the order in which they were first set: a JSON array.
    pub fn names(&self, id: u32, scope: Scope) {
        self.ask(ContextKey::Names(scope), Asker::Request(id));
    }

    /// Reads properties while the caller waits, at most `timeout`: values with the generation under which each
    /// may be kept.
    ///
    /// # Errors
    /// At once where the link is known to be down.
    pub fn read_now(
        &self,
        scope: &Scope,
        names: Vec<String>,
    ) -> Result<Vec<(Option<String>, i32)>> {
        let keys = names
            .into_iter()
            .map(|name| ContextKey::Value(scope.clone(), name));
        self.wait_for(keys.collect())
    }

    /// Reads the names of a scope's properties while the caller waits.
    ///
    /// # Errors
    /// As [`Context::read_now`].
    pub fn names_now(&self, scope: Scope) -> Result<(Option<String>, i32)> {
        let mut answers = self.wait_for(vec![ContextKey::Names(scope)])?;
        Ok(answers.pop().unwrap_or((None, near::NOT_KEPT)))
    }

    /// Sets or deletes a whole property. `id` is that of a request that waits for it; without one, errors go
    /// to the log and the counters. Returns the write's number.
    ///
    /// # Errors
    /// Whatever can be known at once; nothing is written then.
    pub fn set(
        &self,
        id: Option<u32>,
        scope: Scope,
        name: String,
        text: Option<String>,
    ) -> Result<u64> {
        fault::point("context set");
        self.check_size(&scope, &name, text.as_deref())?;
        self.inner.near.poison(&scope, &name);
        let since = self.inner.connection.store_time();
        self.write(id, Change::Plain(scope, vec![(name, text)], since))
    }

    /// Sets or deletes what expressions address, all together or nothing.
    ///
    /// # Errors
    /// As [`Context::set`]; `InvalidExpression`.
    pub fn change(
        &self,
        id: Option<u32>,
        scope: &Scope,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<u64> {
        let mut parsed = Vec::with_capacity(changes.len());
        for (expression, text) in changes {
            let path = Path::parse(&expression)?;
            self.check_size(scope, path.root(), text.as_deref())?;
            parsed.push((path, text));
        }
        for (path, _) in &parsed {
            self.inner.near.poison(scope, path.root());
        }
        let since = self.times(parsed.len());
        if parsed.iter().all(|(path, _)| path.rest().is_empty()) {
            let values = parsed
                .into_iter()
                .map(|(path, text)| (path.root().to_owned(), text));
            return self.write(id, Change::Plain(scope.clone(), values.collect(), since));
        }
        let steps = parsed.into_iter().map(|(path, text)| Step {
            scope: scope.clone(),
            name: path.root().to_owned(),
            rest: path.rest().to_vec(),
            operation: text.map_or(Operation::Delete, Operation::Set),
        });
        self.write(id, Change::Update(steps.collect(), since))
    }

    /// Carries out one operation on what an expression addresses; its result comes by [`Context::drain`].
    ///
    /// # Errors
    /// As [`Context::change`].
    pub fn operate(
        &self,
        id: Option<u32>,
        scope: Scope,
        expression: &str,
        operation: Operation,
    ) -> Result<u64> {
        let path = Path::parse(expression)?;
        for text in operation.texts() {
            check(text)?;
            self.check_size(&scope, path.root(), Some(text))?;
        }
        self.inner.near.poison(&scope, path.root());
        let since = self.inner.connection.store_time();
        let step = Step {
            scope,
            name: path.root().to_owned(),
            rest: path.rest().to_vec(),
            operation,
        };
        self.write(id, Change::Update(vec![step], since))
    }

    /// What operators see.
    pub fn counters(&self) -> Counts {
        self.inner.counts()
    }

    /// Tells what operators see for as long as this store is there.
    pub fn gauge(&self) -> impl Fn() -> Option<Counts> + Send + Sync + 'static {
        let weak = Arc::downgrade(&self.inner);
        move || weak.upgrade().map(|inner| inner.counts())
    }

    /// Waits for the writes that are on their way, some seconds at most, then leaves. May be called again.
    pub async fn close(&self) {
        let first = {
            let mut state = lock(&self.inner.state);
            !std::mem::replace(&mut state.closed, true)
        };
        let settled = tokio::time::timeout(FAREWELL, self.inner.settled()).await;
        if !first {
            return;
        }
        if settled.is_err() {
            let (writes, _) = lock(&self.inner.state).queue.size();
            self.inner.counters.write_errors.add(writes as u64);
            tracing::error!(
                "{writes} writes of the context are lost: the store did not take them before this process ended"
            );
        }
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
        self.inner.near.lost();
        self.inner.connection.close();
        let waiting = lock(&self.inner.state).reads.drain();
        self.inner.answer_all(waiting, &closed());
    }

    fn ask(&self, key: ContextKey, asker: Asker) {
        let read = Read {
            key,
            asker,
            asked: Instant::now(),
        };
        let mut state = lock(&self.inner.state);
        if state.closed {
            drop(state);
            self.inner.answer_all(vec![read], &closed());
            return;
        }
        let behind = match &read.key {
            ContextKey::Value(scope, name) => state.queue.pending(scope, name),
            // Any write may change the names.
            ContextKey::Names(_) | ContextKey::Scopes => {
                (!state.queue.is_empty()).then(|| state.queue.issued())
            }
        };
        state.reads.push(read, behind);
        drop(state);
        if behind.is_none() {
            self.inner.reads_wait.notify_one();
        }
    }

    fn wait_for(&self, keys: Vec<ContextKey>) -> Result<Vec<(Option<String>, i32)>> {
        if let Some(error) = self.inner.connection.known_down() {
            self.inner.counters.read_errors.add(1);
            return Err(error);
        }
        let deadline = Instant::now() + self.inner.settings.timeout;
        let waiter = Waiter::new(keys.len());
        for (at, key) in keys.into_iter().enumerate() {
            self.ask(key, Asker::Waiter(Arc::clone(&waiter), at));
        }
        waiter.wait(deadline, &self.inner.near)
    }

    fn write(&self, id: Option<u32>, change: Change) -> Result<u64> {
        let callback = id.map(|id| Callback {
            id,
            deadline: Instant::now() + self.inner.settings.timeout,
        });
        let mut state = lock(&self.inner.state);
        if state.closed {
            return Err(closed());
        }
        let number = state.queue.push(change, callback)?;
        drop(state);
        self.inner.writes_wait.notify_one();
        Ok(number)
    }

    /// The first of so many moments of the store's time that no other property gets: the order of names.
    fn times(&self, count: usize) -> u64 {
        let first = self.inner.connection.store_time();
        for _ in 1..count {
            self.inner.connection.store_time();
        }
        first
    }

    fn check_size(&self, scope: &Scope, name: &str, text: Option<&str>) -> Result<()> {
        let limit = self.inner.settings.context.max_value_bytes;
        match text {
            Some(text) if text.len() > limit => {
                Err(commit::too_large(scope, name, text.len(), limit))
            }
            _ => Ok(()),
        }
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "this context store is closed")
}

/// A panic while one of these short locks was held leaves nothing half-done behind it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
