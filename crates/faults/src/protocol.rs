//! What the suite and the subject say to each other: lines of JSON on the subject's standard input and output.
//!
//! A subject is a program that runs instances and work on them: the light instances of this program, or
//! `tests/faults/node-red.js` with real Node-REDs. Whatever it does is told in these terms, so that one checker
//! judges all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The variable of the environment that holds the [`Task`].
pub(crate) const VARIABLE: &str = "FAULTS_TASK";

/// A moment on a clock of the subject's that nobody sets, in nanoseconds.
pub(crate) type Nanos = u64;

/// What a subject is to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Task {
    /// How the store is named.
    pub(crate) host: String,
    /// One port for each instance, which is a way to the store of its own.
    pub(crate) ports: Vec<u16>,
    pub(crate) key_prefix: String,
    pub(crate) locks: Vec<String>,
    /// Of a lease, in milliseconds.
    pub(crate) ttl: u64,
    /// Further environment of processes whose time of day is to follow the suite's clock.
    pub(crate) clock: BTreeMap<String, String>,
}

/// What the suite says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "camelCase")]
pub(crate) enum Order {
    /// Work on keys of this round and this epoch.
    Begin { round: u32, epoch: u32 },
    /// From now on work on keys of this epoch: what the store lost does not touch them.
    Epoch { epoch: u32 },
    /// Begin nothing more, wait for everything that is under way, and tell all of it: [`Said::Halted`].
    Halt,
    /// Tell how things are, with what each instance reads at these keys: [`Said::Report`].
    Report { keys: Vec<String> },
    /// End in good order: [`Said::Closed`].
    Close,
}

/// What the subject says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "camelCase")]
pub(crate) enum Said {
    /// All instances run.
    Ready,
    Halted(History),
    Report(Report),
    Closed,
}

/// What was done since it was last told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    pub(crate) deploys: Vec<Deployed>,
    pub(crate) leads: Vec<Lead>,
    /// What nobody may see, such as a panic or a process that ended.
    pub(crate) alarms: Vec<String>,
}

/// What was done to the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    /// A property that one instance alone sets, to a larger number each time.
    Set,
    /// One to be added to a number, by all instances.
    Increment,
    /// A text to be added to a list, by all instances.
    Append,
    /// A number was read.
    Read,
}

/// One operation on the context.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) instance: usize,
    pub(crate) kind: Kind,
    /// The property, as an expression.
    pub(crate) key: String,
    /// Of the key.
    pub(crate) epoch: u32,
    /// What was set or read (0 for nothing), what the number became, the how-manieth addition of the instance.
    pub(crate) value: u64,
    pub(crate) began: Nanos,
    pub(crate) ended: Nanos,
    pub(crate) outcome: Outcome,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// Without an error.
    Acknowledged,
    /// With the error of this code: it may have been carried out or not.
    Failed(String),
}

/// A deploy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deployed {
    pub(crate) instance: usize,
    /// What tells its flows from those of all others.
    pub(crate) label: String,
    pub(crate) epoch: u32,
    /// The revision's number and the hash of its flows, where the subject is told.
    pub(crate) number: Option<u64>,
    pub(crate) hash: Option<String>,
    pub(crate) began: Nanos,
    pub(crate) ended: Nanos,
    pub(crate) outcome: Outcome,
}

/// An instance took itself for the leader, at least from a moment to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Lead {
    pub(crate) instance: usize,
    pub(crate) lock: String,
    pub(crate) token: u64,
    pub(crate) from: Nanos,
    pub(crate) until: Nanos,
}

/// How things are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) instances: Vec<Instance>,
    /// Tasks of the runtime that are alive, where the subject can count them.
    pub(crate) tasks: Option<usize>,
    /// Processes that run instances.
    pub(crate) processes: Vec<u32>,
}

/// How one instance is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// What tells the flows that run; `None` where it does not answer.
    pub(crate) label: Option<String>,
    /// The locks that it leads.
    pub(crate) leads: Vec<String>,
    /// What it reads at the keys that were asked for, as JSON text; `None` is nothing.
    pub(crate) values: Vec<Option<String>>,
    /// Why it could not read.
    pub(crate) error: Option<String>,
}
