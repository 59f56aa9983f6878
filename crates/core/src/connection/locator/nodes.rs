//! The nodes of a cluster, asked for the owner of our slot.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::question::{Asker, gather};
use super::slots::{self, View};
use crate::config::{ClusterConfig, ConnectionConfig, HostPort};
use crate::connection::stream::Connector;
use crate::error::{Code, Error, Result};
use crate::slots::slot_of;

/// As many nodes are asked at once. A cluster can have hundreds, and a few agree or disagree as well as all.
const AT_ONCE: usize = 5;

/// As many nodes are remembered at most.
const MOST: usize = 64;

/// The nodes of one cluster.
pub(super) struct Nodes {
    asker: Asker,
    home: String,
    configured: Vec<HostPort>,
    learnt: Mutex<Vec<HostPort>>,
}

impl Nodes {
    /// # Errors
    /// Certificates or keys that cannot be read.
    pub(super) fn new(config: &ConnectionConfig, cluster: &ClusterConfig) -> Result<Self> {
        Ok(Self {
            asker: Asker::new(
                Connector::new(config)?,
                config.username.as_deref(),
                config.password.as_ref(),
                "`username`, `password` and the ACL lines in docs/operations.md",
            ),
            home: cluster.home.clone(),
            configured: cluster.nodes.clone(),
            learnt: Mutex::default(),
        })
    }

    /// A key in our slot.
    pub(super) fn home(&self) -> &str {
        &self.home
    }

    /// The master that owns our slot.
    ///
    /// # Errors
    /// What each node said or did.
    pub(super) async fn owner(&self) -> Result<HostPort> {
        let mut reasons = Vec::new();
        let mut all_refused = true;
        for asked in self.known().chunks(AT_ONCE) {
            let answers = gather(asked, |node| self.ask(node)).await;
            reasons.extend(answers.reasons());
            all_refused &= answers.all_refused();
            let views: Vec<View> = answers.given.into_iter().map(|(_, view)| view).collect();
            if let Some(owner) = slots::choose(&views) {
                self.learn(&views);
                return Ok(owner.clone());
            }
            if !views.is_empty() {
                reasons.push(format!("nobody owns slot {}", slot_of(&self.home)));
            }
        }
        let code = if all_refused {
            Code::StoreAuthentication
        } else {
            Code::StoreUnreachable
        };
        let reasons = reasons.join("; ");
        Err(Error::new(
            code,
            format!("no node of the cluster says where our keys are ({reasons})"),
        ))
    }

    /// Nodes in the order in which they are asked: some that were learnt, as configured ones may have left the
    /// cluster, the configured ones, the rest.
    fn known(&self) -> Vec<HostPort> {
        let mut learnt = self.learnt().clone();
        fastrand::shuffle(&mut learnt);
        let rest = learnt.split_off(learnt.len().min(AT_ONCE - 1));
        let mut known: Vec<HostPort> = Vec::new();
        for node in learnt.iter().chain(&self.configured).chain(&rest) {
            if !known.contains(node) {
                known.push(node.clone());
            }
        }
        known
    }

    async fn ask(&self, node: &HostPort) -> Result<View> {
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        let replies = self.asker.ask(node, &[question]).await?;
        let reply = replies.first().unwrap_or(&redis::Value::Nil);
        View::read(reply, slot_of(&self.home), node)
            .map_err(|why| Error::new(Code::StoreReply, why))
    }

    fn learn(&self, views: &[View]) {
        let mut learnt: Vec<HostPort> = Vec::new();
        for node in views.iter().flat_map(|view| &view.nodes) {
            if learnt.len() < MOST && !learnt.contains(node) {
                learnt.push(node.clone());
            }
        }
        *self.learnt() = learnt;
    }

    fn learnt(&self) -> MutexGuard<'_, Vec<HostPort>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
