//! A context store as a process of its own has it: with links that it shares with no other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node_red_cluster_core::config::{ContextSettings, parse_context};
use node_red_cluster_core::context::operation::Operation;
use node_red_cluster_core::context::{Completion, Context, Patience};
use node_red_cluster_core::error::Result;
use node_red_cluster_core::keyspace::Scope;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use crate::support::{SOON, access, until};

/// One context store, and whoever waits for its answers.
pub(crate) struct Process {
    pub(crate) context: Context,
    waiting: Arc<Mutex<HashMap<u32, oneshot::Sender<Completion>>>>,
    next: AtomicU32,
}

static OPENED: AtomicU32 = AtomicU32::new(0);

pub(crate) fn settings(address: SocketAddr, options: Value) -> ContextSettings {
    let mut block = json!({
        "host": address.ip().to_string(),
        "port": address.port(),
        // Links are shared by those who are configured alike.
        "connectionName": format!("context-{}", OPENED.fetch_add(1, Ordering::Relaxed)),
    });
    for (name, value) in options.as_object().into_iter().flatten() {
        block[name] = value.clone();
    }
    access::log_in(&mut block, access::WORKER);
    match parse_context(&block.to_string(), "null", &|_| None) {
        Ok(parsed) => parsed.config,
        Err(error) => panic!("{block} is refused: {error}"),
    }
}

impl Process {
    /// Opens a store and waits until it can serve what it keeps.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::with(address, json!({})).await
    }

    pub(crate) async fn with(address: SocketAddr, options: Value) -> Self {
        let process = Self::begin(settings(address, options), None);
        process
            .context
            .ready(Patience::Endless)
            .await
            .expect("the store");
        if process.context.settings().context.near_cache.enabled {
            until("changes are heard of", async || {
                process.context.counters().near_cache
            })
            .await;
        }
        process
    }

    pub(crate) fn begin(settings: ContextSettings, revision: Option<String>) -> Self {
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        let context = Context::open(
            settings,
            Box::new(move || wake.notify_one()),
            Box::new(move || revision.clone()),
        )
        .expect("options");
        let waiting: Arc<Mutex<HashMap<u32, oneshot::Sender<Completion>>>> = Arc::default();
        let process = Self {
            context: context.clone(),
            waiting: Arc::clone(&waiting),
            next: AtomicU32::new(1),
        };
        tokio::spawn(async move {
            loop {
                woken.notified().await;
                for completion in context.drain() {
                    let sender = waiting.lock().unwrap().remove(&completion.id);
                    if let Some(sender) = sender {
                        let _ = sender.send(completion);
                    }
                }
            }
        });
        process
    }

    pub(crate) async fn read(&self, scope: &str, name: &str) -> Result<Option<String>> {
        self.fetch(scope, name).await.outcome
    }

    /// A read with the generation under which it may be kept.
    pub(crate) async fn fetch(&self, scope: &str, name: &str) -> Completion {
        self.answer(|id| {
            self.context.read(id, Scope::new(scope), name.to_owned());
            Ok(())
        })
        .await
        .expect("a read is never refused")
    }

    pub(crate) async fn names(&self, scope: &str) -> Vec<String> {
        let completion = self.answer(|id| {
            self.context.names(id, Scope::new(scope));
            Ok(())
        });
        let text = completion.await.unwrap().outcome.unwrap().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn set(&self, scope: &str, name: &str, text: Option<&str>) -> Result<()> {
        let completion = self.answer(|id| {
            let text = text.map(str::to_owned);
            self.context
                .set(Some(id), Scope::new(scope), name.to_owned(), text)?;
            Ok(())
        });
        completion.await?.outcome.map(|_| ())
    }

    pub(crate) async fn change(&self, scope: &str, changes: &[(&str, Option<&str>)]) -> Result<()> {
        let completion = self.answer(|id| {
            let changes = changes
                .iter()
                .map(|(expression, text)| ((*expression).to_owned(), text.map(str::to_owned)));
            self.context
                .change(Some(id), &Scope::new(scope), changes.collect())?;
            Ok(())
        });
        completion.await?.outcome.map(|_| ())
    }

    pub(crate) async fn operate(
        &self,
        expression: &str,
        operation: Operation,
    ) -> Result<Option<String>> {
        let completion = self.answer(|id| {
            self.context
                .operate(Some(id), Scope::new("global"), expression, operation)?;
            Ok(())
        });
        completion.await?.outcome
    }

    /// A write that nobody waits for.
    pub(crate) fn put(&self, name: &str, text: &str) -> Result<u64> {
        let text = Some(text.to_owned());
        self.context
            .set(None, Scope::new("global"), name.to_owned(), text)
    }

    async fn answer(&self, ask: impl FnOnce(u32) -> Result<()>) -> Result<Completion> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, sender);
        ask(id)?;
        let answer = tokio::time::timeout(SOON + Duration::from_secs(20), receiver).await;
        Ok(answer.expect("an answer in time").expect("an answer"))
    }
}
