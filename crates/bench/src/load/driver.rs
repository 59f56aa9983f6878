//! One instance under load: a thread that stands for its event loop issues operations at set times, whatever
//! became of those before them, and takes the answers.
//!
//! A latency counts from the moment at which the operation was to begin, so that one that had to wait because
//! the instance or the machine was busy is late by that, too: nothing is omitted.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use fastrand::Rng;
use node_red_cluster_core::context::operation::Operation as Update;
use node_red_cluster_core::context::{Completion, Context, Patience};
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::keyspace::Scope;

use super::kept::Kept;
use super::mix::{self, Kind, Operation};
use super::report::Report;
use crate::settings::Store;
use crate::{Failure, Result};

/// How long the last answers are waited for: longer than any operation may take.
const FAREWELL: Duration = Duration::from_secs(15);

/// How long what was heard of last may take to arrive, and changes to be heard of at first.
const SOON: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// When an instance issues its operations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two of them.
    pub(crate) interval: Duration,
    /// Before the first, so that not all instances issue at the same moment.
    pub(crate) phase: Duration,
    /// How many there are.
    pub(crate) count: u64,
}

/// One light instance.
#[derive(Debug)]
pub(crate) struct Instance {
    context: Context,
    /// The thread that its answers wake.
    thread: Arc<OnceLock<Thread>>,
}

/// What was issued and is not answered.
struct Issued {
    kind: Kind,
    name: String,
    intended: Instant,
}

impl Instance {
    /// Opens a context store over links of its own. Must be called on a runtime.
    ///
    /// # Errors
    /// The settings'.
    pub(crate) fn open(store: &Store, name: &str) -> Result<Self> {
        let thread = Arc::new(OnceLock::<Thread>::new());
        let woken = Arc::clone(&thread);
        let wake = move || {
            if let Some(thread) = woken.get() {
                thread.unpark();
            }
        };
        let settings = store.context(name)?;
        let context = Context::open(settings, Box::new(wake), Box::new(|| None))?;
        Ok(Self { context, thread })
    }

    /// Waits until it hears of changes.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn ready(&self) -> Result<()> {
        self.context.ready(Patience::Endless).await?;
        let limit = Instant::now() + SOON;
        while !self.context.counters().near_cache {
            if Instant::now() > limit {
                return Err(Failure::Late("the store tells of no changes".to_owned()));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Does everything at its time, on this thread, and waits for the answers.
    pub(crate) fn run(&self, pace: Pace, begin: Instant, seed: u64) -> (Report, Kept) {
        let _ = self.thread.set(thread::current());
        let mut driver = Driver {
            context: &self.context,
            kept: Kept::new(&self.context),
            scope: Scope::new("global"),
            waiting: HashMap::new(),
            report: Report::default(),
            next_id: 0,
            begin,
        };
        let mut rng = Rng::with_seed(seed);
        let intended = |number: u64| begin + pace.phase + pace.interval.mul_f64(number as f64);
        let mut issued = 0;
        while issued < pace.count {
            driver.take_answers();
            let at = intended(issued);
            let now = Instant::now();
            if at > now {
                // An answer wakes it earlier.
                thread::park_timeout(at - now);
                continue;
            }
            driver.issue(mix::next(&mut rng), at);
            issued += 1;
        }
        driver.finish()
    }

    /// Compares what would still be served with the store, where nobody writes any more: how many values, and
    /// how many of them differ. What was heard of last may still be arriving.
    pub(crate) fn compare(&self, kept: &mut Kept) -> Result<(u64, u64)> {
        let scope = Scope::new("global");
        let limit = Instant::now() + SOON;
        loop {
            let served: Vec<(String, Option<String>)> = kept
                .names()
                .into_iter()
                .filter_map(|name| {
                    let text = kept.find(&name)?.map(str::to_owned);
                    Some((name, text))
                })
                .collect();
            let names = served.iter().map(|(name, _)| name.clone()).collect();
            let stored = self.context.read_now(&scope, names)?;
            let differ = served.iter().zip(&stored);
            let differ = differ.filter(|((_, here), (there, _))| here != there);
            let stale = differ.count() as u64;
            if stale == 0 || Instant::now() > limit {
                return Ok((served.len() as u64, stale));
            }
            thread::sleep(LOOK);
        }
    }
}

/// The event loop of an instance.
struct Driver<'instance> {
    context: &'instance Context,
    kept: Kept,
    scope: Scope,
    waiting: HashMap<u32, Issued>,
    report: Report,
    next_id: u32,
    begin: Instant,
}

impl Driver<'_> {
    fn issue(&mut self, operation: Operation, intended: Instant) {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let scope = self.scope.clone();
        let (kind, name, refused) = match operation {
            Operation::Read(name) => {
                if self.kept.find(&name).is_some() {
                    self.answered(Kind::ReadKept, intended);
                    return;
                }
                self.context.read(id, scope, name.clone());
                (Kind::ReadStore, name, None)
            }
            Operation::Set(name, text) => {
                let sent = self
                    .context
                    .set(Some(id), scope, name.clone(), Some(text.clone()));
                let sent = sent.map(|number| self.kept.wrote(name.clone(), text, number));
                (Kind::Set, name, sent.err())
            }
            Operation::Increment(name) => {
                self.kept.forget(&name);
                let update = Update::Increment(1.0);
                let sent = self.context.operate(Some(id), scope, &name, update);
                (Kind::Increment, name, sent.err())
            }
        };
        if let Some(error) = refused {
            self.failed(kind, &error);
            return;
        }
        let issued = Issued {
            kind,
            name,
            intended,
        };
        self.waiting.insert(id, issued);
        self.report.in_flight = self.report.in_flight.max(self.waiting.len());
    }

    fn take_answers(&mut self) {
        for completion in self.context.drain() {
            self.take(completion);
        }
    }

    fn take(&mut self, completion: Completion) {
        let Some(issued) = self.waiting.remove(&completion.id) else {
            return;
        };
        match completion.outcome {
            Ok(text) => {
                if issued.kind == Kind::Increment {
                    self.report.acknowledged += 1;
                }
                self.answered(issued.kind, issued.intended);
                if issued.kind == Kind::ReadStore {
                    self.kept.keep(issued.name, text, completion.generation);
                }
            }
            Err(error) => self.failed(issued.kind, &error),
        }
    }

    fn answered(&mut self, kind: Kind, intended: Instant) {
        let now = Instant::now();
        let second = now.saturating_duration_since(self.begin).as_secs();
        self.report
            .count_second(usize::try_from(second).unwrap_or(usize::MAX - 1));
        let recorded = self.report.kinds.entry(kind).or_default();
        recorded.add(now.saturating_duration_since(intended));
    }

    fn failed(&mut self, kind: Kind, error: &Error) {
        let unknown = matches!(error.code(), Code::OutcomeUnknown | Code::StoreUnreachable);
        if kind == Kind::Increment && unknown {
            self.report.uncertain += 1;
        }
        let code = error.code().as_str().to_owned();
        *self.report.errors.entry(code).or_default() += 1;
    }

    /// Waits for what is not answered; what stays so is an error.
    fn finish(mut self) -> (Report, Kept) {
        let limit = Instant::now() + FAREWELL;
        loop {
            self.take_answers();
            let left = limit.saturating_duration_since(Instant::now());
            if self.waiting.is_empty() || left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        for issued in self.waiting.values() {
            let code = "unanswered".to_owned();
            *self.report.errors.entry(code).or_default() += 1;
            if issued.kind == Kind::Increment {
                self.report.uncertain += 1;
            }
        }
        let counts = self.context.counters();
        self.report.conflicts = counts.conflicts;
        self.report.invalidations = counts.invalidations;
        (self.report, self.kept)
    }
}
