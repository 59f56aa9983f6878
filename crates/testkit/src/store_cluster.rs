//! Primaries that share the slots of a cluster among them, with their replicas.
//!
//! - `builder`: [`StoreClusterBuilder`], what to start, and how nodes become a cluster.
//! - `nodes`: [`NodeView`], what one node says of all.
//! - `slots`: [`SlotMove`], slots that pass from one primary to another.

mod builder;
mod nodes;
mod slots;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use builder::Settings;
pub use builder::StoreClusterBuilder;
pub use nodes::NodeView;
pub use slots::SlotMove;

use crate::certificates::Certificates;
use crate::error::{Error, Result};
use crate::resp::Value;
use crate::server::Server;
use crate::wait::eventually;

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;

/// How long a change may take until all nodes know it, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// After which a node has given up a failover that it was told to make, which it does after 5
/// seconds, and may be told again.
const FAILOVER_LIMIT: Duration = Duration::from_secs(8);

/// A cluster of real servers, made by their own commands.
///
/// Every node is a [`Server`]: kill, freeze, start and look at it by
/// [`node_mut`](Self::node_mut). Started again, it has its place in the cluster, and its data if
/// it is [append-only](StoreClusterBuilder::append_only).
#[derive(Debug)]
pub struct StoreCluster {
    nodes: Vec<Server>,
    /// Of each node, as it named itself.
    ids: Vec<String>,
    settings: Settings,
    certificates: Option<Arc<Certificates>>,
}

impl StoreCluster {
    /// Options for a cluster that is to be started.
    pub fn builder() -> StoreClusterBuilder {
        StoreClusterBuilder::default()
    }

    /// All nodes: at the start first the primaries, then their replicas, one of each primary in
    /// turn.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// A node.
    pub fn node(&self, index: usize) -> &Server {
        &self.nodes[index]
    }

    /// A node, to kill it or to start it.
    pub fn node_mut(&mut self, index: usize) -> &mut Server {
        &mut self.nodes[index]
    }

    /// Addresses of all nodes, with those that do not run.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Server::address).collect()
    }

    /// The id by which the cluster knows a node.
    pub fn id(&self, index: usize) -> &str {
        &self.ids[index]
    }

    /// Certificates of all nodes of a cluster with TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_deref()
    }

    /// The slot of a key.
    ///
    /// # Errors
    /// As [`Server::command`], [`Error::Topology`] when no node answers.
    pub async fn slot_of(&self, key: &str) -> Result<u16> {
        let node = &self.nodes[self.answering()?];
        let slot = node.command(&["CLUSTER", "KEYSLOT", key]).await?.integer();
        slot.and_then(|slot| u16::try_from(slot).ok())
            .ok_or_else(|| Error::Protocol("a slot that is no number of one".to_owned()))
    }

    /// Index of the primary that has a slot, as the first node that answers sees it.
    ///
    /// # Errors
    /// [`Error::Topology`] when no node has it or none answers.
    pub async fn owner(&self, slot: u16) -> Result<usize> {
        let view = nodes::seen_by(&self.nodes[self.answering()?]).await?;
        let owner = view.iter().find(|node| node.has(slot));
        owner
            .and_then(|node| self.index(&node.id))
            .ok_or_else(|| Error::Topology(format!("no node of the cluster has slot {slot}")))
    }

    /// Indices of the replicas of a primary, as the first node that answers sees it.
    ///
    /// # Errors
    /// [`Error::Topology`] when no node answers.
    pub async fn replicas_of(&self, primary: usize) -> Result<Vec<usize>> {
        let view = nodes::seen_by(&self.nodes[self.answering()?]).await?;
        let replicas = view
            .iter()
            .filter(|node| node.primary.as_deref() == Some(self.id(primary)));
        Ok(replicas.filter_map(|node| self.index(&node.id)).collect())
    }

    /// Has a replica take the place of its primary, and returns once all nodes know it.
    ///
    /// # Errors
    /// [`Error::Refused`] when the node is no replica, [`Error::Late`] when the primary does not
    /// let go.
    pub async fn failover(&self, replica: usize) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let command = ["CLUSTER", "FAILOVER"];
            let ordered = self.nodes[replica].command(&command).await;
            match self.promoted_within(replica, FAILOVER_LIMIT).await {
                Ok(()) => return Ok(()),
                // One that took over, and that not all know yet, refuses to do it again.
                Err(Error::Late { .. }) if Instant::now() < deadline => {}
                Err(late) => return ordered.and(Err(late)),
            }
        }
    }

    /// Waits until a replica has become a primary, in the eyes of all nodes that answer.
    ///
    /// # Errors
    /// [`Error::Late`] when it does not happen.
    pub async fn promoted(&self, replica: usize) -> Result<()> {
        self.promoted_within(replica, LIMIT).await
    }

    async fn promoted_within(&self, replica: usize, limit: Duration) -> Result<()> {
        self.all_see("the replica to take over", limit, |view| {
            let node = view.iter().find(|node| node.id == self.id(replica));
            node.is_some_and(|node| node.is_primary() && node.has_slots())
        })
        .await
    }

    /// Waits until all nodes that answer have agreed that a node is dead.
    ///
    /// # Errors
    /// [`Error::Late`] when it does not happen.
    pub async fn taken_for_dead(&self, index: usize) -> Result<()> {
        self.all_see("the nodes to take one for dead", LIMIT, |view| {
            let node = view.iter().find(|node| node.id == self.id(index));
            node.is_some_and(NodeView::is_dead)
        })
        .await
    }

    /// Starts one more primary, without slots, and returns its index once all nodes know it.
    ///
    /// # Errors
    /// As [`StoreClusterBuilder::start`].
    pub async fn add_primary(&mut self) -> Result<usize> {
        let node = self
            .settings
            .node(self.certificates.as_ref())
            .start()
            .await?;
        let known = self.answering()?;
        builder::meet(&self.nodes[known], &node).await?;
        self.ids.push(builder::id_of(&node).await?);
        self.nodes.push(node);
        self.settled().await?;
        Ok(self.nodes.len() - 1)
    }

    /// Kills a node for good and has all others forget it. It keeps its index and may not be
    /// started again.
    ///
    /// # Errors
    /// [`Error::Refused`] when a node cannot forget it, as its own primary.
    pub async fn forget(&mut self, index: usize) -> Result<()> {
        if self.nodes[index].answers() {
            self.nodes[index].kill().await?;
        }
        let command = ["CLUSTER", "FORGET", &self.ids[index]];
        for node in self.nodes.iter().filter(|node| node.answers()) {
            node.command(&command).await?;
        }
        Ok(())
    }

    /// Waits until everything that runs is well: every node finds the cluster well and sees every
    /// other, all agree on whose the slots are, and all replicas have their primary's data.
    ///
    /// # Errors
    /// [`Error::Late`] when that does not come.
    pub async fn settled(&self) -> Result<()> {
        eventually("the cluster to settle", LIMIT, async || {
            self.is_settled().await.ok()?.then_some(())
        })
        .await
    }

    async fn is_settled(&self) -> Result<bool> {
        let mut owners: Option<BTreeMap<String, String>> = None;
        for node in self.nodes.iter().filter(|node| node.answers()) {
            let info = node.command(&["CLUSTER", "INFO"]).await?;
            if !(info.text().unwrap_or_default()).contains("cluster_state:ok") {
                return Ok(false);
            }
            let view = nodes::seen_by(node).await?;
            let here = nodes::owners(&view);
            if *owners.get_or_insert_with(|| here.clone()) != here || !self.sees_all(&view) {
                return Ok(false);
            }
            let role = node.command(&["ROLE"]).await?;
            let follows = role.elements().get(3).and_then(Value::text);
            if follows.is_some_and(|state| state != "connected") {
                return Ok(false);
            }
        }
        Ok(owners.is_some())
    }

    /// Whether a node sees every node that answers, and nothing wrong with it.
    fn sees_all(&self, view: &[NodeView]) -> bool {
        let mut running = (self.nodes.iter().zip(&self.ids)).filter(|(node, _)| node.answers());
        running.all(|(_, id)| view.iter().any(|seen| seen.id == *id && seen.is_well()))
    }

    /// Waits until every node that answers sees something.
    async fn all_see(
        &self,
        what: &str,
        limit: Duration,
        is_seen: impl Fn(&[NodeView]) -> bool,
    ) -> Result<()> {
        eventually(what, limit, async || {
            for node in self.nodes.iter().filter(|node| node.answers()) {
                let view = nodes::seen_by(node).await.ok()?;
                is_seen(&view).then_some(())?;
            }
            Some(())
        })
        .await
    }

    /// Index of the first node that answers.
    fn answering(&self) -> Result<usize> {
        (self.nodes.iter().position(Server::answers))
            .ok_or_else(|| Error::Topology("no node of the cluster runs".to_owned()))
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }
}
