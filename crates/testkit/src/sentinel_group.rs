//! A primary, its replicas and the Sentinels that watch them.
//!
//! - `builder`: [`SentinelGroupBuilder`], what to start.
//! - `view`: what one Sentinel says.

mod builder;
mod view;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use builder::SentinelGroupBuilder;
use builder::Settings;

use crate::certificates::Certificates;
use crate::error::{Error, Result};
use crate::server::Server;
use crate::wait::{INTERVAL, eventually};

/// How long a failover and what follows it may take on a busy machine. Sentinels tell one another
/// what they know every two seconds, and look at the replicas every ten.
const LIMIT: Duration = Duration::from_secs(60);

/// After which Sentinels have given up a failover that they were told to make, which they do after
/// the failover-timeout of 3 seconds, and may be told again.
const ORDER_LIMIT: Duration = Duration::from_secs(8);

/// Real servers under the watch of real Sentinels.
///
/// Every server is a [`Server`]: kill, freeze, start and look at it by
/// [`server_mut`](Self::server_mut) and [`sentinel_mut`](Self::sentinel_mut). Started again, it
/// has the configuration that it had rewritten itself, and its data if it is
/// [append-only](SentinelGroupBuilder::append_only).
#[derive(Debug)]
pub struct SentinelGroup {
    sentinels: Vec<Server>,
    servers: Vec<Server>,
    settings: Settings,
    certificates: Option<Arc<Certificates>>,
}

impl SentinelGroup {
    /// Options for a group that is to be started.
    pub fn builder() -> SentinelGroupBuilder {
        SentinelGroupBuilder::default()
    }

    /// The name by which Sentinels know the group.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Addresses of all Sentinels, with those that do not run.
    pub fn sentinel_addresses(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(Server::address).collect()
    }

    /// Certificates of all servers and Sentinels that speak TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_deref()
    }

    /// The servers with data. The first was the primary at the start.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// A server with data.
    pub fn server(&self, index: usize) -> &Server {
        &self.servers[index]
    }

    /// A server with data, to kill it or to start it.
    pub fn server_mut(&mut self, index: usize) -> &mut Server {
        &mut self.servers[index]
    }

    /// The Sentinels.
    pub fn sentinels(&self) -> &[Server] {
        &self.sentinels
    }

    /// A Sentinel.
    pub fn sentinel(&self, index: usize) -> &Server {
        &self.sentinels[index]
    }

    /// A Sentinel, to kill it or to start it.
    pub fn sentinel_mut(&mut self, index: usize) -> &mut Server {
        &mut self.sentinels[index]
    }

    /// The primary that all Sentinels that answer name.
    ///
    /// # Errors
    /// [`Error::Late`] when they do not come to agree.
    pub async fn current_master_address(&self) -> Result<SocketAddr> {
        eventually("the Sentinels to name one primary", LIMIT, || {
            self.agreed_master()
        })
        .await
    }

    /// Index of the primary that the Sentinels name, which need not run.
    ///
    /// # Errors
    /// As [`current_master_address`](Self::current_master_address).
    pub async fn master_index(&self) -> Result<usize> {
        let address = self.current_master_address().await?;
        self.servers
            .iter()
            .position(|server| server.address() == address)
            .ok_or_else(|| {
                Error::Topology(format!("{address} is the primary and not of this group"))
            })
    }

    /// The primary that the Sentinels name.
    ///
    /// # Errors
    /// As [`master_index`](Self::master_index).
    pub async fn master(&self) -> Result<&Server> {
        Ok(&self.servers[self.master_index().await?])
    }

    /// Has the Sentinels make a replica the primary, and returns its index once all Sentinels name
    /// it and it takes writes.
    ///
    /// # Errors
    /// [`Error::Late`] when no replica can take over.
    pub async fn failover(&self) -> Result<usize> {
        let before = self.current_master_address().await?;
        let deadline = Instant::now() + LIMIT;
        loop {
            eventually("a Sentinel that begins a failover", LIMIT, async || {
                let sentinel = self.answering_sentinels().next()?;
                let command = ["SENTINEL", "FAILOVER", self.name()];
                sentinel.command(&command).await.ok()
            })
            .await?;
            // Sentinels give up a failover that they do not see happen in its time, and do not try again.
            match self.other_within(before, ORDER_LIMIT).await {
                Err(Error::Late { .. }) if Instant::now() < deadline => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits until the Sentinels have replaced a primary, and returns the index of the new one.
    ///
    /// # Errors
    /// [`Error::Late`] when it does not happen.
    pub async fn other_master_than(&self, before: SocketAddr) -> Result<usize> {
        self.other_within(before, LIMIT).await
    }

    async fn other_within(&self, before: SocketAddr, limit: Duration) -> Result<usize> {
        eventually("another primary that takes writes", limit, async || {
            let address = self.agreed_master().await.filter(|now| *now != before)?;
            let index = (self.servers.iter()).position(|server| server.address() == address)?;
            view::is_master(&self.servers[index]).await.then_some(index)
        })
        .await
    }

    /// Starts one more Sentinel, and returns its index once the group has settled.
    ///
    /// # Errors
    /// As [`SentinelGroupBuilder::start`].
    pub async fn add_sentinel(&mut self) -> Result<usize> {
        let master = self.current_master_address().await?;
        let certificates = self.certificates.as_ref();
        let sentinel = self.settings.start_sentinel(master, certificates).await?;
        self.sentinels.push(sentinel);
        self.settled().await?;
        Ok(self.sentinels.len() - 1)
    }

    /// Ends a Sentinel for good and has the others forget it, as an operator does. The Sentinels
    /// after it move up.
    ///
    /// # Errors
    /// [`Error::Late`] when the group does not settle.
    pub async fn remove_sentinel(&mut self, index: usize) -> Result<()> {
        drop(self.sentinels.remove(index));
        for sentinel in self.answering_sentinels() {
            let command = ["SENTINEL", "RESET", self.name()];
            sentinel.command(&command).await?;
        }
        self.settled().await
    }

    /// Waits until everything that runs is well: all Sentinels know one another and name one
    /// primary, which takes writes, and all other servers replicate it.
    ///
    /// # Errors
    /// [`Error::Late`] when that does not come.
    pub async fn settled(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let last = Instant::now() >= deadline;
            match self.unsettled().await {
                None => return Ok(()),
                Some(missing) if last => {
                    return Err(Error::Late {
                        what: format!("the group to settle: {missing}"),
                        limit: LIMIT,
                    });
                }
                Some(_) => sleep(INTERVAL).await,
            }
        }
    }

    /// What is not well, if anything.
    async fn unsettled(&self) -> Option<String> {
        let Some(master) = self.agreed_master().await else {
            return Some("the Sentinels name no primary, or several".to_owned());
        };
        let mut replicas = BTreeSet::new();
        for server in self.servers.iter().filter(|server| server.answers()) {
            let address = server.address();
            if address == master {
                if !view::is_master(server).await {
                    return Some(format!("{address} is not the primary that it should be"));
                }
            } else {
                replicas.insert(address);
                if !view::is_replica_of(server, master).await {
                    return Some(format!("{address} does not follow {master}"));
                }
            }
        }
        let sentinels: BTreeSet<_> = self.answering_sentinels().map(Server::address).collect();
        for sentinel in self.answering_sentinels() {
            let mut others = sentinels.clone();
            others.remove(&sentinel.address());
            match view::seen_by(sentinel, self.name()).await {
                Ok(seen) if seen.shows(&replicas, &others) => {}
                seen => {
                    let address = sentinel.address();
                    return Some(format!(
                        "the Sentinel {address} has not {replicas:?} and {others:?} but {seen:?}"
                    ));
                }
            }
        }
        None
    }

    /// The primary if all Sentinels that answer name the same.
    async fn agreed_master(&self) -> Option<SocketAddr> {
        let mut agreed = None;
        for sentinel in self.answering_sentinels() {
            let named = view::master_named_by(sentinel, self.name()).await?;
            if *agreed.get_or_insert(named) != named {
                return None;
            }
        }
        agreed
    }

    fn answering_sentinels(&self) -> impl Iterator<Item = &Server> {
        self.sentinels.iter().filter(|sentinel| sentinel.answers())
    }
}
