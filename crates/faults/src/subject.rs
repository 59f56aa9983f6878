//! The subject as a process: it is told what to do, and tells what it did.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use node_red_cluster_testkit::{Lines, Program};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::failure::{Failure, Result};
use crate::protocol::{History, Order, Report, Said, Task, VARIABLE};

/// How long a subject may take for its start.
const START: Duration = Duration::from_secs(90);
/// How long for anything else: writes that wait for the store are given up long before.
const LIMIT: Duration = Duration::from_secs(90);

/// A subject that runs.
pub(crate) struct Subject {
    program: Mutex<Program>,
    lines: Mutex<Lines>,
}

impl Subject {
    /// Starts a subject, and waits until its instances run. `light` makes its own time of day follow the clock
    /// of the task; other subjects give that to the processes that they start.
    ///
    /// # Errors
    /// One that cannot be started, or is not ready in time.
    pub(crate) async fn start(command: &[String], task: &Task, light: bool) -> Result<Self> {
        let [program, arguments @ ..] = command else {
            return Err(Failure::new("a subject needs a command"));
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut environment: BTreeMap<OsString, OsString> = BTreeMap::new();
        environment.insert(VARIABLE.into(), serde_json::to_string(task)?.into());
        if light {
            let clock = task.clock.iter();
            environment.extend(clock.map(|(name, value)| (name.into(), value.into())));
        }
        let (program, lines) = Program::start(&PathBuf::from(program), &arguments, environment)?;
        let subject = Self {
            program: Mutex::new(program),
            lines: Mutex::new(lines),
        };
        match subject.hear(START).await? {
            Said::Ready => Ok(subject),
            other => Err(Failure::new(format!("the subject begins with {other:?}"))),
        }
    }

    /// Gives an order that has no answer.
    ///
    /// # Errors
    /// A subject that has ended.
    pub(crate) async fn order(&self, order: &Order) -> Result<()> {
        let order = serde_json::to_string(order)?;
        Ok(self.program.lock().await.say(&order).await?)
    }

    /// All that was done since it was last asked; nothing is under way any more.
    ///
    /// # Errors
    /// A subject that has ended or does not answer.
    pub(crate) async fn halt(&self) -> Result<History> {
        self.order(&Order::Halt).await?;
        match self.hear(LIMIT).await? {
            Said::Halted(history) => Ok(history),
            other => Err(Failure::new(format!(
                "the subject does not halt: {other:?}"
            ))),
        }
    }

    /// How things are.
    ///
    /// # Errors
    /// As [`Subject::halt`].
    pub(crate) async fn report(&self, keys: Vec<String>) -> Result<Report> {
        self.order(&Order::Report { keys }).await?;
        match self.hear(LIMIT).await? {
            Said::Report(report) => Ok(report),
            other => Err(Failure::new(format!(
                "the subject does not report: {other:?}"
            ))),
        }
    }

    /// Ends the subject in good order.
    ///
    /// # Errors
    /// As [`Subject::halt`], and one that ends with an error.
    pub(crate) async fn close(&self) -> Result<()> {
        self.order(&Order::Close).await?;
        match self.hear(LIMIT).await? {
            Said::Closed => {}
            other => {
                return Err(Failure::new(format!(
                    "the subject does not close: {other:?}"
                )));
            }
        }
        let status = self.program.lock().await.ended(LIMIT).await?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("the subject ended with {status}")))
    }

    async fn hear(&self, limit: Duration) -> Result<Said> {
        let mut lines = self.lines.lock().await;
        let line = timeout(limit, lines.next())
            .await
            .map_err(|_| Failure::new(format!("the subject says nothing within {limit:?}")))??;
        let line = line.ok_or_else(|| Failure::new("the subject has ended"))?;
        serde_json::from_str(&line)
            .map_err(|error| Failure::new(format!("the subject says {line}: {error}")))
    }
}
