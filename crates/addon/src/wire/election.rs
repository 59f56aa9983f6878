//! What crosses of elections, as JSON.

use node_red_cluster_core::config::{ElectionSettings, LockConfig};
use node_red_cluster_core::election::{Released, Role, Standing, Trial};
use node_red_cluster_core::error::{Code, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the elections of this process take, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ElectionRequest {
    /// The `valkey` block as JSON text.
    pub(crate) settings: String,
    /// The options of the config node as JSON text, which win.
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) lock_key: Value,
    #[serde(default, rename = "lockTTL")]
    pub(crate) lock_ttl: Value,
}

/// What a leader node's settings come to, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AboutElection<'settings> {
    store: String,
    key_prefix: &'settings str,
    lock_key: &'settings str,
    /// In ms.
    #[serde(rename = "lockTTL")]
    lock_ttl: u128,
    warnings: &'settings [String],
}

impl<'settings> AboutElection<'settings> {
    pub(crate) fn new(
        settings: &'settings ElectionSettings,
        lock: &'settings LockConfig,
        warnings: &'settings [String],
    ) -> Self {
        Self {
            store: settings.connection.describe(),
            key_prefix: &settings.key_prefix,
            lock_key: &lock.key,
            lock_ttl: lock.ttl.as_millis(),
            warnings,
        }
    }
}

/// How this process stands in an election, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DescribedStanding {
    state: &'static str,
    lock_key: String,
    host: String,
    leader_host: Option<String>,
    leader_token: Option<u64>,
    code: Option<&'static str>,
    message: Option<String>,
}

impl DescribedStanding {
    pub(crate) fn new(standing: Standing) -> Self {
        let Standing {
            lock,
            host,
            role,
            warning,
        } = standing;
        let bare = Self {
            state: "none",
            lock_key: lock,
            host,
            leader_host: None,
            leader_token: None,
            code: None,
            message: warning,
        };
        match role {
            Role::Leader { token } => Self {
                state: "leader",
                leader_host: Some(bare.host.clone()),
                leader_token: Some(token),
                ..bare
            },
            Role::Follower { host, token } => Self {
                state: "follower",
                leader_host: Some(host),
                leader_token: Some(token),
                ..bare
            },
            Role::Nobody => bare,
            // An instance of the older package leads: its lock names its host.
            Role::Foreign {
                host: Some(host),
                message,
            } => Self {
                state: "follower",
                leader_host: Some(host),
                message: Some(message),
                ..bare
            },
            Role::Foreign {
                host: None,
                message,
            } => Self {
                state: "error",
                code: Some(Code::ValueDamaged.as_str()),
                message: Some(message),
                ..bare
            },
            Role::Unreachable(error) => Self {
                state: "error",
                code: Some(error.code().as_str()),
                message: Some(error.message().to_owned()),
                ..bare
            },
        }
    }
}

/// What a release came to, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DescribedRelease {
    released: bool,
    released_by: String,
    lock_key: String,
    current_leader: Option<String>,
}

impl DescribedRelease {
    pub(crate) fn new(released: Released, lock_key: String) -> Self {
        Self {
            released: released.released,
            released_by: released.host,
            lock_key,
            current_leader: released.current_leader,
        }
    }
}

/// What a trial found, as JSON.
#[derive(Serialize)]
pub(crate) struct DescribedTrial {
    ok: bool,
    store: String,
    steps: Vec<DescribedStep>,
    message: String,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct DescribedStep {
    ok: bool,
    text: String,
}

impl DescribedTrial {
    pub(crate) fn new(trial: Trial) -> Self {
        let steps = trial.steps.into_iter().map(|step| DescribedStep {
            ok: step.passed,
            text: step.text,
        });
        let described = Self {
            ok: true,
            store: trial.store,
            steps: steps.collect(),
            message: String::new(),
            code: None,
        };
        match trial.failure {
            Some(error) => described.failed(&error),
            None => described,
        }
    }

    /// Settings that cannot even be tried.
    pub(crate) fn refused(error: &Error) -> Self {
        let described = Self {
            ok: false,
            store: String::new(),
            steps: Vec::new(),
            message: String::new(),
            code: None,
        };
        described.failed(error)
    }

    fn failed(self, error: &Error) -> Self {
        Self {
            ok: false,
            message: error.message().to_owned(),
            code: Some(error.code().as_str()),
            ..self
        }
    }
}
