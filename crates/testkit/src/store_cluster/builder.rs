//! What to start, and how nodes become a cluster.

use std::sync::Arc;
use std::time::Duration;

use super::{LIMIT, SLOTS, StoreCluster, nodes};
use crate::certificates::Certificates;
use crate::error::{Error, Result};
use crate::ports::TO_BUS;
use crate::server::{Part, Server, ServerBuilder};
use crate::wait::eventually;

/// Options for a [`StoreCluster`]. Without any, it has three primaries with a replica each,
/// without password and TLS.
#[derive(Debug, Default)]
#[must_use = "a cluster runs only once start() is called"]
pub struct StoreClusterBuilder {
    settings: Settings,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Settings {
    primaries: usize,
    replicas: usize,
    password: Option<String>,
    /// Name and rules of ACL users.
    users: Vec<(String, String)>,
    tls: bool,
    append_only: bool,
    node_timeout: Duration,
    /// Whether the cluster refuses everything while a slot is nobody's.
    full_coverage: bool,
    /// Further lines of the configuration.
    lines: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            primaries: 3,
            replicas: 1,
            password: None,
            users: Vec::new(),
            tls: false,
            append_only: false,
            node_timeout: Duration::from_millis(1500),
            full_coverage: true,
            lines: Vec::new(),
        }
    }
}

impl StoreClusterBuilder {
    /// How many primaries share the slots, 3 unless given.
    pub fn primaries(mut self, count: usize) -> Self {
        self.settings.primaries = count;
        self
    }

    /// How many replicas each primary has, 1 unless given.
    pub fn replicas(mut self, count: usize) -> Self {
        self.settings.replicas = count;
        self
    }

    /// Password of the user `default` of all nodes.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.settings.password = Some(password.into());
        self
    }

    /// Adds an ACL user to all nodes, with the server's own rules.
    pub fn acl_user(mut self, name: impl Into<String>, rules: impl Into<String>) -> Self {
        self.settings.users.push((name.into(), rules.into()));
        self
    }

    /// All nodes speak TLS with clients.
    pub fn tls(mut self) -> Self {
        self.settings.tls = true;
        self
    }

    /// Keeps every write of every node in an append-only file.
    pub fn append_only(mut self) -> Self {
        self.settings.append_only = true;
        self
    }

    /// How long a node may be silent until others take it for dead, 1.5 seconds unless given.
    pub fn node_timeout(mut self, silence: Duration) -> Self {
        self.settings.node_timeout = silence;
        self
    }

    /// Goes on with the other slots while some are nobody's (`cluster-require-full-coverage no`).
    pub fn partial_coverage(mut self) -> Self {
        self.settings.full_coverage = false;
        self
    }

    /// Adds a line to the configuration of all nodes.
    pub fn configuration_line(mut self, line: impl Into<String>) -> Self {
        self.settings.lines.push(line.into());
        self
    }

    /// Starts all nodes, makes them a cluster, and returns once it has
    /// [settled](StoreCluster::settled).
    ///
    /// # Errors
    /// As [`ServerBuilder::start`] for each node, and [`Error::Late`] when the cluster does not
    /// settle.
    pub async fn start(self) -> Result<StoreCluster> {
        let Self { settings } = self;
        let certificates = settings.tls.then(Certificates::shared).transpose()?;
        let primaries = settings.primaries;
        let mut nodes = Vec::new();
        let mut ids = Vec::new();
        for _ in 0..primaries * (settings.replicas + 1) {
            let node = settings.node(certificates.as_ref()).start().await?;
            ids.push(id_of(&node).await?);
            nodes.push(node);
        }
        give_slots(&nodes[..primaries]).await?;
        for node in &nodes[1..] {
            meet(&nodes[0], node).await?;
        }
        for (index, replica) in nodes.iter().enumerate().skip(primaries) {
            replicate(replica, &ids[index % primaries]).await?;
        }
        let cluster = StoreCluster {
            nodes,
            ids,
            settings,
            certificates,
        };
        cluster.settled().await?;
        Ok(cluster)
    }
}

impl Settings {
    pub(super) fn node(&self, certificates: Option<&Arc<Certificates>>) -> ServerBuilder {
        let coverage = if self.full_coverage { "yes" } else { "no" };
        let mut builder = Server::builder()
            .part(Part::Node)
            .tls_with(certificates)
            .configuration_line(format!(
                "cluster-node-timeout {}",
                self.node_timeout.as_millis()
            ))
            .configuration_line(format!("cluster-require-full-coverage {coverage}"));
        if let Some(password) = &self.password {
            builder = builder.password(password);
        }
        if self.append_only {
            builder = builder.append_only();
        }
        for (name, rules) in &self.users {
            builder = builder.acl_user(name, rules);
        }
        for line in &self.lines {
            builder = builder.configuration_line(line);
        }
        builder
    }
}

/// The id that a node has given itself.
pub(super) async fn id_of(node: &Server) -> Result<String> {
    let id = node.command(&["CLUSTER", "MYID"]).await?;
    (id.text().map(str::to_owned)).ok_or_else(|| Error::Protocol("a node without an id".to_owned()))
}

/// Shares the slots among primaries that do not know one another yet. Each gets an epoch of its
/// own, as two with the same would have to quarrel about it first.
async fn give_slots(primaries: &[Server]) -> Result<()> {
    let count = primaries.len();
    let first = |index: usize| usize::from(SLOTS) * index / count;
    for (index, primary) in primaries.iter().enumerate() {
        let epoch = (index + 1).to_string();
        let command = ["CLUSTER", "SET-CONFIG-EPOCH", &epoch];
        primary.command(&command).await?;
        // One by one, as ranges can be given from 7.0 only.
        let mut command = vec!["CLUSTER".to_owned(), "ADDSLOTS".to_owned()];
        command.extend((first(index)..first(index + 1)).map(|slot| slot.to_string()));
        primary.command(&command).await?;
    }
    Ok(())
}

/// Makes two nodes known to each other, and to all others in time.
pub(super) async fn meet(known: &Server, new: &Server) -> Result<()> {
    let port = new.port().to_string();
    let bus = (new.plain_port() + TO_BUS).to_string();
    let ip = new.address().ip().to_string();
    let command = ["CLUSTER", "MEET", &ip, &port, &bus];
    known.command(&command).await.map(drop)
}

/// Makes a node the replica of another as soon as it knows it.
async fn replicate(replica: &Server, primary: &str) -> Result<()> {
    eventually("a node to know its primary", LIMIT, async || {
        let view = nodes::seen_by(replica).await.ok()?;
        (view.iter().any(|node| node.id == primary && node.is_well())).then_some(())
    })
    .await?;
    let command = ["CLUSTER", "REPLICATE", primary];
    replica.command(&command).await.map(drop)
}
