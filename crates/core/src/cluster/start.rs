//! The start of an instance: the store, the secret, the flows, in this order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::{Cluster, lock};
use crate::config::{Role, Secret};
use crate::error::{Code, Error, Result};
use crate::flows::last_good::Kept;
use crate::flows::revision::RunState;
use crate::flows::{Boot, Source};
use crate::packages::Choice;

/// How long an instance waits for the store before it says so again, and a worker before it starts from
/// its disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts at a store that answered with an error that may pass.
const PAUSE: Duration = Duration::from_secs(1);

/// What a start found out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// Where the flows come from: `store`, `unversioned`, `disk`, `nothing` or `unreadable`.
    pub source: &'static str,
    /// Whether the flows are to run.
    pub state: RunState,
    /// The secret that Node-RED is to find as `_credentialSecret` in its stored settings.
    pub generated_secret: Option<String>,
    /// The number of the revision.
    pub revision: Option<u64>,
}

impl Cluster {
    /// Waits for the store, agrees on the credential secret and finds the flows. A worker that has a
    /// last good revision on its disk does not wait for long. `candidates` are secrets that Node-RED
    /// generated on this admin's disk before it joined the cluster.
    ///
    /// # Errors
    /// What waiting cannot heal: a wrong password, a differing secret. The store's errors that may
    /// pass are waited out.
    pub async fn start(&self, candidates: Vec<Secret>) -> Result<Start> {
        let boot = self.find_flows(candidates).await?;
        let boot = self.prepare_packages(boot).await?;
        let start = Start {
            source: match boot.source {
                Source::Store => "store",
                Source::Unversioned => "unversioned",
                Source::Disk => "disk",
                Source::Nothing => "nothing",
                Source::Unreadable => "unreadable",
            },
            state: boot
                .head
                .as_ref()
                .map_or(RunState::Start, |head| head.state),
            generated_secret: self
                .inner
                .secrets
                .known()
                .and_then(|secret| secret.generated().map(str::to_owned)),
            revision: boot.head.as_ref().map(|head| head.revision.number),
        };
        self.inner.flows.begin(&boot).await?;
        *lock(&self.inner.boot) = Some(Arc::new(boot));
        tokio::spawn(self.inner.packages.clone().run());
        Ok(start)
    }

    async fn find_flows(&self, candidates: Vec<Secret>) -> Result<Boot> {
        let role = self.inner.config.role;
        let began = Instant::now();
        loop {
            let error = match self.inner.connection.ready(PATIENCE).await {
                Ok(()) => match self.find_flows_in_store(candidates.clone()).await {
                    Err(error) if may_pass(&error) => error,
                    outcome => return outcome,
                },
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(error),
            };
            if role == Role::Worker
                && let Some(kept) = self.inner.flows.kept().await
            {
                match self.inner.secrets.assume(kept.secret.clone()) {
                    Ok(()) => return Ok(self.inner.flows.boot_from_disk(kept)),
                    Err(error) => tracing::warn!("{error}"),
                }
            }
            tracing::warn!(
                "waiting for the store at {} since {} s: {error}",
                self.store(),
                began.elapsed().as_secs()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Packages come before the flows that need them. Where they cannot be had, a worker may have to start with
    /// the last flows that ran here.
    async fn prepare_packages(&self, boot: Boot) -> Result<Boot> {
        let packages = &self.inner.packages;
        if self.inner.config.role == Role::Admin {
            packages.prepare_admin().await?;
        } else {
            let of_store = boot.source == Source::Store;
            let last_good = if of_store {
                self.inner.flows.kept().await
            } else {
                None
            };
            let other = |kept: &Kept| {
                boot.head
                    .as_ref()
                    .is_none_or(|head| head.revision.id != kept.head.revision.id)
            };
            let last_good = last_good.filter(other);
            let newest = boot
                .content
                .as_ref()
                .map_or("[]", |content| content.flows.as_str());
            let kept = last_good.as_ref().map(|kept| kept.content.flows.as_str());
            let choice = packages.prepare_worker(newest, kept).await?;
            if let (Choice::LastGood, Some(kept)) = (choice, last_good) {
                return Ok(Boot {
                    source: Source::Disk,
                    head: Some(kept.head),
                    content: Some(kept.content),
                });
            }
        }
        Ok(boot)
    }

    async fn find_flows_in_store(&self, candidates: Vec<Secret>) -> Result<Boot> {
        let boot = self.inner.flows.boot().await?;
        let mut known = self.generated_in_settings().await?;
        if let Some(kept) = self.inner.flows.kept().await {
            known.extend(kept.secret.map(Secret::new));
        }
        known.extend(candidates);
        if boot.source == Source::Unversioned {
            let credentials = boot_credentials(&boot);
            match self.inner.secrets.check_first(&credentials, &mut known) {
                Err(error) if self.inner.config.role == Role::Worker => {
                    // The admin may know better, on its disk; what it publishes is followed.
                    tracing::warn!("waiting for an admin: {error}");
                    return Ok(Boot {
                        source: Source::Nothing,
                        head: None,
                        content: None,
                    });
                }
                checked => checked?,
            }
        }
        let established = self.inner.secrets.establish(known.clone()).await?;
        if established.is_none() && matches!(boot.source, Source::Disk | Source::Unversioned) {
            // A worker in a store that lost the secret, or where no admin has made one of it yet.
            let known = known.first().map(|secret| secret.expose().to_owned());
            if let Err(error) = self.inner.secrets.assume(known) {
                tracing::warn!("{error}");
            }
        }
        Ok(boot)
    }

    /// A secret that Node-RED once generated and saved with its settings.
    async fn generated_in_settings(&self) -> Result<Vec<Secret>> {
        let text = match self.inner.documents.settings().await {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(Vec::new()),
            Err(error) if error.code() == Code::ValueDamaged => {
                tracing::error!("{error}");
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let settings: Value = serde_json::from_str(&text).unwrap_or_default();
        let generated = settings.get("_credentialSecret").and_then(Value::as_str);
        Ok(generated.map(Secret::new).into_iter().collect())
    }
}

fn boot_credentials(boot: &Boot) -> String {
    boot.content
        .as_ref()
        .map_or_else(String::new, |content| content.credentials.clone())
}

fn may_pass(error: &Error) -> bool {
    error.code().is_retriable()
}
