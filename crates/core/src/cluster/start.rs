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
use crate::packages::{Choice, Starting};
use crate::supervised::supervised;
use crate::survey;

/// How long an instance waits for the store before it says so again, and a worker before it starts from
/// its disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts at a store that answered with an error that may pass.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause of a worker whose flows need packages that cannot be installed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
        let boot = self.find_runnable_flows(candidates).await?;
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
        let packages = self.inner.packages.clone();
        tokio::spawn(supervised("what keeps the packages", move || {
            packages.clone().run()
        }));
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

    /// The flows, with the packages that they need. A worker whose flows need what cannot be installed looks
    /// again, as both may change; where its last flows need nothing of it, it starts with those.
    async fn find_runnable_flows(&self, candidates: Vec<Secret>) -> Result<Boot> {
        let packages = &self.inner.packages;
        let mut pause = PAUSE;
        loop {
            let boot = self.find_flows(candidates.clone()).await?;
            if self.inner.config.role == Role::Admin {
                packages.prepare_admin().await?;
                return Ok(boot);
            }
            let newest = boot
                .content
                .as_ref()
                .map_or("[]", |content| content.flows.as_str());
            let (flows, last_good) = if boot.source == Source::Store {
                (Starting::OfStore(newest), self.last_good(&boot).await)
            } else {
                (Starting::Kept(newest), None)
            };
            let kept = last_good.as_ref().map(|kept| kept.content.flows.as_str());
            match (packages.prepare_worker(flows, kept).await?, last_good) {
                (Choice::LastGood, Some(kept)) => {
                    return Ok(Boot {
                        source: Source::Disk,
                        head: Some(kept.head),
                        content: Some(kept.content),
                    });
                }
                (Choice::TryAgain, _) => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tracing::warn!(
                        "this worker starts its flows later, trying again in {} s",
                        pause.as_secs()
                    );
                    self.inner.packages.wait(pause).await?;
                }
                (Choice::Newest | Choice::LastGood, _) => return Ok(boot),
            }
        }
    }

    /// The last flows that ran here, if they are others than these.
    async fn last_good(&self, boot: &Boot) -> Option<Kept> {
        let kept = self.inner.flows.kept().await?;
        let newest = boot.head.as_ref().map(|head| &head.revision.id);
        (newest != Some(&kept.head.revision.id)).then_some(kept)
    }

    async fn find_flows_in_store(&self, candidates: Vec<Secret>) -> Result<Boot> {
        survey::check(&self.inner.connection).await?;
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
