//! A Sentinel group.

use std::time::Duration;

use node_red_cluster_testkit::{Result, SentinelGroup};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{self, Deed};

/// What to start. What is absent is as `SentinelGroup::builder` has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {
    name: Option<String>,
    replicas: Option<usize>,
    sentinels: Option<usize>,
    password: Option<String>,
    sentinel_password: Option<String>,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    sentinel_tls: bool,
    #[serde(default)]
    append_only: bool,
    /// Milliseconds.
    down_after: Option<u64>,
}

/// What to do.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Order {
    /// How everything is now.
    Describe,
    /// Index of the primary.
    Master,
    /// Makes a replica the primary, and gives its index.
    Failover,
    /// Waits until another server than this one is the primary, and gives its index.
    OtherMasterThan {
        index: usize,
    },
    Settled,
    /// Gives the index of the new one.
    AddSentinel,
    RemoveSentinel {
        index: usize,
    },
    Server {
        index: usize,
        deed: Deed,
    },
    Sentinel {
        index: usize,
        deed: Deed,
    },
    /// On a server with data.
    Command {
        index: usize,
        words: Vec<String>,
    },
}

impl Options {
    pub(crate) async fn start(self) -> Result<SentinelGroup> {
        let mut builder = SentinelGroup::builder();
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        if let Some(count) = self.replicas {
            builder = builder.replicas(count);
        }
        if let Some(count) = self.sentinels {
            builder = builder.sentinels(count);
        }
        if let Some(password) = self.password {
            builder = builder.password(password);
        }
        if let Some(password) = self.sentinel_password {
            builder = builder.sentinel_password(password);
        }
        if self.tls {
            builder = builder.tls();
        }
        if self.sentinel_tls {
            builder = builder.sentinel_tls();
        }
        if self.append_only {
            builder = builder.append_only();
        }
        if let Some(silence) = self.down_after {
            builder = builder.down_after(Duration::from_millis(silence));
        }
        builder.start().await
    }
}

pub(crate) fn describe(group: &SentinelGroup) -> Value {
    json!({
        "name": group.name(),
        "servers": server::describe(group.servers()),
        "sentinels": server::describe(group.sentinels()),
        "authority": group.certificates().map(|made| &made.authority.path),
    })
}

pub(crate) async fn obey(group: &mut SentinelGroup, order: Order) -> Result<Value> {
    Ok(match order {
        Order::Describe => describe(group),
        Order::Master => json!(group.master_index().await?),
        Order::Failover => json!(group.failover().await?),
        Order::OtherMasterThan { index } => {
            let before = group.server(index).address();
            json!(group.other_master_than(before).await?)
        }
        Order::Settled => json!(group.settled().await?),
        Order::AddSentinel => json!(group.add_sentinel().await?),
        Order::RemoveSentinel { index } => json!(group.remove_sentinel(index).await?),
        Order::Server { index, deed } => server::obey(group.server_mut(index), deed).await?,
        Order::Sentinel { index, deed } => server::obey(group.sentinel_mut(index), deed).await?,
        Order::Command { index, words } => server::command(group.server(index), &words).await?,
    })
}
