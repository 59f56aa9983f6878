//! What a revision is: a number that counts deploys, an id that is its own, and how it was made.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};

/// How a deploy was made in the editor, and so how much of a worker it restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployType {
    /// Only the nodes that changed restart.
    Nodes,
    /// Only the flows (tabs) that changed restart.
    Flows,
    /// Everything restarts.
    Full,
    /// The same flows, loaded and started anew: everything restarts.
    Reload,
}

impl DeployType {
    /// The name as Node-RED writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            DeployType::Nodes => "nodes",
            DeployType::Flows => "flows",
            DeployType::Full => "full",
            DeployType::Reload => "reload",
        }
    }

    /// Reads Node-RED's name; anything unknown restarts everything, which is always correct.
    pub fn from_name(name: &str) -> Self {
        match name {
            "nodes" => DeployType::Nodes,
            "flows" => DeployType::Flows,
            "reload" => DeployType::Reload,
            _ => DeployType::Full,
        }
    }

    /// The deploy that does the work of both: what a follower that skipped one must do.
    #[must_use]
    pub fn combined(self, other: Self) -> Self {
        self.max(other)
    }
}

/// Whether the cluster's flows run, as the editor's start and stop buttons say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The flows run.
    #[default]
    Start,
    /// The flows are stopped.
    Stop,
}

impl RunState {
    /// The name as Node-RED writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Start => "start",
            RunState::Stop => "stop",
        }
    }

    /// Reads Node-RED's name.
    ///
    /// # Errors
    /// Any other word.
    pub fn from_name(name: &str) -> crate::error::Result<Self> {
        match name {
            "start" => Ok(RunState::Start),
            "stop" => Ok(RunState::Stop),
            other => Err(Error::new(
                Code::InvalidRequest,
                format!("the run state is \"start\" or \"stop\", not {other:?}"),
            )),
        }
    }
}

/// Everything about a revision but its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Counts deploys, from 1. Two revisions may bear one number where the store lost data; ids tell.
    pub number: u64,
    /// Unique to this revision.
    pub id: String,
    /// SHA-256 of the flows' JSON text, hexadecimal: what Node-RED's editor knows as `rev`.
    pub hash: String,
    /// Keyed digest of the credentials in clear, hexadecimal: tells a change without telling anything else.
    pub credentials_hash: String,
    /// How it was deployed.
    #[serde(rename = "type")]
    pub deploy_type: DeployType,
    /// The editor's user, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// When, as RFC 3339 in UTC.
    pub time: String,
    /// The instance that saved it.
    pub instance: String,
}

impl Revision {
    /// The number and the beginning of the hash, for log lines.
    pub fn label(&self) -> String {
        format!(
            "{} ({})",
            self.number,
            self.hash.get(..8).unwrap_or(&self.hash)
        )
    }
}

/// What the store calls newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The newest revision.
    pub revision: Revision,
    /// Whether the flows run.
    pub state: RunState,
    /// What vouches for it, where whoever saved it has a signing key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seal: Option<Box<Seal>>,
}

/// The signatures of a head. The revision and its run state have one each, because the state changes alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seal {
    /// SHA-256 of the credentials' text as it is stored, hexadecimal.
    pub credentials_sha256: String,
    /// Of the revision.
    pub signature: String,
    /// Counts changes of the run state since the deploy.
    pub state_number: u64,
    /// Of the run state.
    pub state_signature: String,
}

/// A revision in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its metadata.
    #[serde(flatten)]
    pub revision: Revision,
    /// As in [`Seal`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credentials_sha256: Option<String>,
    /// As in [`Seal`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<String>,
}

impl Entry {
    /// What stands in the history for this head.
    pub fn of(head: &Head) -> Self {
        let seal = head.seal.as_ref();
        Self {
            revision: head.revision.clone(),
            credentials_sha256: seal.map(|seal| seal.credentials_sha256.clone()),
            signature: seal.map(|seal| seal.signature.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_full_deploy_is_not_forgotten() {
        let combined = [DeployType::Nodes, DeployType::Full, DeployType::Flows]
            .into_iter()
            .reduce(DeployType::combined);
        assert_eq!(combined, Some(DeployType::Full));
        assert_eq!(
            DeployType::Nodes.combined(DeployType::Flows),
            DeployType::Flows
        );
    }

    #[test]
    fn an_unknown_deploy_type_restarts_everything() {
        assert_eq!(DeployType::from_name("x"), DeployType::Full);
    }
}
