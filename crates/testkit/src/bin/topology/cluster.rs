//! A cluster.

use std::time::Duration;

use node_red_cluster_testkit::{Result, SlotMove, StoreCluster};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{self, Deed};

/// What to start. What is absent is as `StoreCluster::builder` has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Options {
    primaries: Option<usize>,
    replicas: Option<usize>,
    password: Option<String>,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    append_only: bool,
    #[serde(default)]
    partial_coverage: bool,
    /// Milliseconds.
    node_timeout: Option<u64>,
}

/// What to do.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Order {
    /// How everything is now.
    Describe,
    SlotOf {
        key: String,
    },
    /// Index of the primary that has a slot.
    Owner {
        slot: u16,
    },
    ReplicasOf {
        index: usize,
    },
    Settled,
    /// Has a replica become a primary.
    Failover {
        index: usize,
    },
    /// Waits until a replica has become a primary.
    Promoted {
        index: usize,
    },
    TakenForDead {
        index: usize,
    },
    /// Gives the index of the new one.
    AddPrimary,
    Forget {
        index: usize,
    },
    MoveSlot {
        slot: u16,
        to: usize,
    },
    /// Gives the move, for the three that follow.
    BeginMove {
        slot: u16,
        to: usize,
    },
    /// Gives how many keys were moved.
    MoveKeys {
        step: Step,
        limit: usize,
    },
    FinishMove {
        step: Step,
    },
    CancelMove {
        step: Step,
    },
    Node {
        index: usize,
        deed: Deed,
    },
    Command {
        index: usize,
        words: Vec<String>,
    },
}

/// A slot on its way.
#[derive(Deserialize)]
pub(crate) struct Step {
    slot: u16,
    from: usize,
    to: usize,
}

impl From<Step> for SlotMove {
    fn from(Step { slot, from, to }: Step) -> Self {
        Self { slot, from, to }
    }
}

impl Options {
    pub(crate) async fn start(self) -> Result<StoreCluster> {
        let mut builder = StoreCluster::builder();
        if let Some(count) = self.primaries {
            builder = builder.primaries(count);
        }
        if let Some(count) = self.replicas {
            builder = builder.replicas(count);
        }
        if let Some(password) = self.password {
            builder = builder.password(password);
        }
        if self.tls {
            builder = builder.tls();
        }
        if self.append_only {
            builder = builder.append_only();
        }
        if self.partial_coverage {
            builder = builder.partial_coverage();
        }
        if let Some(silence) = self.node_timeout {
            builder = builder.node_timeout(Duration::from_millis(silence));
        }
        builder.start().await
    }
}

pub(crate) fn describe(cluster: &StoreCluster) -> Value {
    json!({
        "nodes": server::describe(cluster.nodes()),
        "authority": cluster.certificates().map(|made| &made.authority.path),
    })
}

pub(crate) async fn obey(cluster: &mut StoreCluster, order: Order) -> Result<Value> {
    Ok(match order {
        Order::Describe => describe(cluster),
        Order::SlotOf { key } => json!(cluster.slot_of(&key).await?),
        Order::Owner { slot } => json!(cluster.owner(slot).await?),
        Order::ReplicasOf { index } => json!(cluster.replicas_of(index).await?),
        Order::Settled => json!(cluster.settled().await?),
        Order::Failover { index } => json!(cluster.failover(index).await?),
        Order::Promoted { index } => json!(cluster.promoted(index).await?),
        Order::TakenForDead { index } => json!(cluster.taken_for_dead(index).await?),
        Order::AddPrimary => json!(cluster.add_primary().await?),
        Order::Forget { index } => json!(cluster.forget(index).await?),
        Order::MoveSlot { slot, to } => json!(cluster.move_slot(slot, to).await?),
        Order::BeginMove { slot, to } => {
            let SlotMove { slot, from, to } = cluster.begin_move(slot, to).await?;
            json!({ "slot": slot, "from": from, "to": to })
        }
        Order::MoveKeys { step, limit } => json!(cluster.move_keys(step.into(), limit).await?),
        Order::FinishMove { step } => json!(cluster.finish_move(step.into()).await?),
        Order::CancelMove { step } => json!(cluster.cancel_move(step.into()).await?),
        Order::Node { index, deed } => server::obey(cluster.node_mut(index), deed).await?,
        Order::Command { index, words } => server::command(cluster.node(index), &words).await?,
    })
}
