//! Slots that pass from one primary to another, in the steps of a live reshard.

use super::{LIMIT, StoreCluster, nodes};
use crate::error::{Error, Result};
use crate::resp::Value;
use crate::server::{OWN_PASSWORD, OWN_USER};

/// Keys asked for and moved at once.
const BATCH: usize = 100;

/// Milliseconds for one `MIGRATE`.
const MIGRATE_TIMEOUT: &str = "5000";

/// A slot on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a slot stays on its way until it is finished or cancelled"]
pub struct SlotMove {
    /// The slot.
    pub slot: u16,
    /// Index of the primary that has it.
    pub from: usize,
    /// Index of the primary that is to have it.
    pub to: usize,
}

impl StoreCluster {
    /// Moves a slot with its keys to another primary while clients use it.
    ///
    /// # Errors
    /// As the single steps.
    pub async fn move_slot(&self, slot: u16, to: usize) -> Result<()> {
        let step = self.begin_move(slot, to).await?;
        while self.move_keys(step, BATCH).await? > 0 {}
        self.finish_move(step).await
    }

    /// First step: from now on the owner answers `ASK` for keys that it does not have, and the
    /// other one takes commands after `ASKING`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the two cannot do it, as when the owner is
    /// the target.
    pub async fn begin_move(&self, slot: u16, to: usize) -> Result<SlotMove> {
        let from = self.owner(slot).await?;
        self.set_slot(to, slot, &["IMPORTING", self.id(from)])
            .await?;
        self.set_slot(from, slot, &["MIGRATING", self.id(to)])
            .await?;
        Ok(SlotMove { slot, from, to })
    }

    /// Second step, as often as needed: moves up to `limit` keys, and returns how many it were.
    ///
    /// # Errors
    /// As [`Server::command`](crate::Server::command).
    pub async fn move_keys(&self, step: SlotMove, limit: usize) -> Result<usize> {
        let source = self.node(step.from);
        let (slot, limit) = (step.slot.to_string(), limit.to_string());
        let command = ["CLUSTER", "GETKEYSINSLOT", &slot, &limit];
        let keys = source.command(&command).await?;
        let keys: Vec<&[u8]> = keys.elements().iter().filter_map(Value::bytes).collect();
        if keys.is_empty() {
            return Ok(0);
        }
        let target = self.node(step.to).address();
        let (ip, port) = (target.ip().to_string(), target.port().to_string());
        let options = [
            "MIGRATE",
            &ip,
            &port,
            "",
            "0",
            MIGRATE_TIMEOUT,
            "AUTH2",
            OWN_USER,
            OWN_PASSWORD,
            "KEYS",
        ];
        let mut command: Vec<&[u8]> = options.iter().map(|word| word.as_bytes()).collect();
        command.extend(&keys);
        source.command(&command).await?;
        Ok(keys.len())
    }

    /// Last step: the slot is the target's, and all nodes know it.
    ///
    /// # Errors
    /// [`Error::Refused`] when the source still has keys of the slot.
    pub async fn finish_move(&self, step: SlotMove) -> Result<()> {
        let owner = ["NODE", self.id(step.to)];
        // The target first: were the source to end after it had given the slot away, and before
        // the target had it, it would be nobody's.
        self.set_slot(step.to, step.slot, &owner).await?;
        match self.set_slot(step.from, step.slot, &owner).await {
            // It had heard of it before, and as its last slot is gone it follows the target.
            Err(Error::Refused { message, .. }) if message.contains("only with masters") => {}
            outcome => outcome?,
        }
        for index in 0..self.nodes().len() {
            if index != step.to && index != step.from && self.is_primary(index).await? {
                self.set_slot(index, step.slot, &owner).await?;
            }
        }
        self.all_see("all nodes to know the slot's owner", LIMIT, |view| {
            (view.iter()).any(|node| node.id == self.id(step.to) && node.has(step.slot))
        })
        .await
    }

    /// Instead of the last step: the slot stays where it is. Keys that were moved come back.
    ///
    /// # Errors
    /// As [`Server::command`](crate::Server::command).
    pub async fn cancel_move(&self, step: SlotMove) -> Result<()> {
        let back = SlotMove {
            slot: step.slot,
            from: step.to,
            to: step.from,
        };
        // First the owner, which then takes keys as it does of any slot of its own.
        self.set_slot(step.from, step.slot, &["STABLE"]).await?;
        while self.move_keys(back, BATCH).await? > 0 {}
        self.set_slot(step.to, step.slot, &["STABLE"]).await
    }

    async fn set_slot(&self, node: usize, slot: u16, rest: &[&str]) -> Result<()> {
        let slot = slot.to_string();
        let mut command = vec!["CLUSTER", "SETSLOT", &slot];
        command.extend(rest);
        self.node(node).command(&command).await.map(drop)
    }

    /// Whether a node answers and is a primary in its own eyes.
    async fn is_primary(&self, index: usize) -> Result<bool> {
        if !self.node(index).answers() {
            return Ok(false);
        }
        let view = nodes::seen_by(self.node(index)).await?;
        Ok((view.iter()).any(|node| node.id == self.id(index) && node.is_primary()))
    }
}
