//! What flows do with the context in an instance.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use node_red_cluster_core::cluster::Cluster;
use node_red_cluster_core::config::ContextSettings;
use node_red_cluster_core::context::operation::Operation as Update;
use node_red_cluster_core::context::{Completion, Context, Patience};
use node_red_cluster_core::error::Result;
use node_red_cluster_core::keyspace::Scope;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::Phase;
use super::tally::{Tally, now};
use crate::protocol::{Kind, Operation, Outcome};
use crate::verify::element;

/// Between two operations of an instance.
const PACE: Duration = Duration::from_millis(10);
/// What is not answered by then never is: requests are given up after 10 s.
const LIMIT: Duration = Duration::from_secs(60);
const SCOPE: &str = "global";

/// The context of an instance.
pub(super) struct Values {
    index: usize,
    context: Context,
    waiting: Arc<Mutex<HashMap<u32, oneshot::Sender<Completion>>>>,
    next: AtomicU32,
    /// What was set last, larger each time.
    number: AtomicU64,
    tally: Arc<Tally>,
}

impl Values {
    pub(super) fn open(
        index: usize,
        settings: ContextSettings,
        cluster: &Cluster,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let woken = Arc::new(Notify::new());
        let (wake, revision) = (Arc::clone(&woken), cluster.clone());
        let context = Context::open(
            settings,
            Box::new(move || wake.notify_one()),
            Box::new(move || revision.revision_in_use()),
        )?;
        let waiting: Arc<Mutex<HashMap<u32, oneshot::Sender<Completion>>>> = Arc::default();
        tokio::spawn({
            let (context, waiting) = (context.clone(), Arc::clone(&waiting));
            async move {
                loop {
                    woken.notified().await;
                    for completion in context.drain() {
                        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(sender) = waiting.remove(&completion.id) {
                            let _ = sender.send(completion);
                        }
                    }
                }
            }
        });
        Ok(Self {
            index,
            context,
            waiting,
            next: AtomicU32::new(1),
            number: AtomicU64::new(0),
            tally,
        })
    }

    pub(super) async fn ready(&self) -> Result<()> {
        self.context.ready(Patience::Endless).await
    }

    pub(super) async fn close(&self) {
        self.context.close().await;
    }

    /// Reads properties, one after the other.
    pub(super) async fn look(&self, keys: &[String]) -> Result<Vec<Option<String>>> {
        let mut values = Vec::new();
        for key in keys {
            values.push(self.fetch(key).await?);
        }
        Ok(values)
    }

    /// Writes until there is no work any more.
    pub(super) async fn write(self: Arc<Self>, phase: watch::Receiver<Phase>) {
        let mut random = fastrand::Rng::new();
        loop {
            let Some((round, epoch)) = *phase.borrow() else {
                return;
            };
            let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
            let index = self.index;
            let at = format!("r{round}_e{epoch}");
            let text = number.to_string();
            let (kind, key, update) = match random.u32(..4) {
                0 => (Kind::Set, format!("set_{at}_p{index}"), None),
                1 => (
                    Kind::Set,
                    format!("object_{at}.p{index}"),
                    Some(Update::Set(text.clone())),
                ),
                2 => (
                    Kind::Increment,
                    format!("sum_{at}"),
                    Some(Update::Increment(1.0)),
                ),
                _ => {
                    let value = format!("\"{}\"", element(index, number));
                    let update = Update::Append { value, limit: None };
                    (Kind::Append, format!("list_{at}"), Some(update))
                }
            };
            let began = now();
            let result = self
                .answer(|id| match update {
                    None => self
                        .context
                        .set(Some(id), Scope::new(SCOPE), key.clone(), Some(text)),
                    Some(update) => self
                        .context
                        .operate(Some(id), Scope::new(SCOPE), &key, update),
                })
                .await;
            let value = match (kind, &result) {
                (Kind::Increment, Ok(sum)) => parse(sum.as_deref()),
                _ => number,
            };
            self.record(kind, key, epoch, value, began, &result);
            sleep(PACE).await;
        }
    }

    /// Reads until there is no work any more.
    pub(super) async fn read(self: Arc<Self>, phase: watch::Receiver<Phase>) {
        let mut random = fastrand::Rng::new();
        loop {
            let Some((round, epoch)) = *phase.borrow() else {
                return;
            };
            let at = format!("r{round}_e{epoch}");
            let key = match random.u32(..3) {
                0 => format!("sum_{at}"),
                1 => format!("set_{at}_p{}", self.index),
                _ => format!("set_{at}_p0"),
            };
            let began = now();
            let result = self.fetch(&key).await;
            let value = result.as_ref().map_or(0, |text| parse(text.as_deref()));
            self.record(Kind::Read, key, epoch, value, began, &result);
            sleep(PACE).await;
        }
    }

    fn record(
        &self,
        kind: Kind,
        key: String,
        epoch: u32,
        value: u64,
        began: u64,
        result: &Result<Option<String>>,
    ) {
        self.tally.operation(Operation {
            instance: self.index,
            kind,
            key,
            epoch,
            value,
            began,
            ended: now(),
            outcome: match result {
                Ok(_) => Outcome::Acknowledged,
                Err(error) => Outcome::Failed(error.code().as_str().to_owned()),
            },
        });
    }

    async fn fetch(&self, key: &str) -> Result<Option<String>> {
        self.answer(|id| {
            self.context.read(id, Scope::new(SCOPE), key.to_owned());
            Ok(0)
        })
        .await
    }

    /// Asks, and waits for the answer. That none comes is an alarm.
    async fn answer(&self, ask: impl FnOnce(u32) -> Result<u64>) -> Result<Option<String>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting().insert(id, sender);
        if let Err(error) = ask(id) {
            waiting().remove(&id);
            return Err(error);
        }
        match timeout(LIMIT, receiver).await {
            Ok(Ok(completion)) => completion.outcome,
            _ => {
                self.tally.alarm(format!(
                    "instance {}: the context did not answer within {LIMIT:?}",
                    self.index
                ));
                Err(node_red_cluster_core::error::Error::new(
                    node_red_cluster_core::error::Code::Internal,
                    "no answer",
                ))
            }
        }
    }
}

fn parse(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
