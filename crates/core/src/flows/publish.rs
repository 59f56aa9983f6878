//! An admin saves: one revision whole, compared with what it had seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::content::{self, Content};
use super::revision::{DeployType, Head, Revision, RunState};
use super::service::{Flows, lock};
use crate::config::{Role, Secret};
use crate::credentials::{Key, is_encrypted};
use crate::error::{Code, Error, Result};

/// Between two attempts of a save that waits for the store.
const PAUSE: Duration = Duration::from_secs(1);

/// The credentials of a deploy.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Those of the revision that runs.
    Unchanged,
    /// As Node-RED exported them, encrypted with the cluster's secret (or not at all).
    Exported(String),
    /// As an active project holds them: encrypted with the project's secret, or not at all.
    OfProject {
        /// The exported JSON.
        text: String,
        /// The project's secret, where it has one.
        secret: Option<Secret>,
    },
}

/// A deploy, as the editor made it.
#[derive(Debug)]
pub struct Deploy {
    /// A JSON array of nodes, exactly as Node-RED gave it.
    pub flows: String,
    /// Its credentials.
    pub credentials: Credentials,
    /// How it was made.
    pub deploy_type: DeployType,
    /// The editor's user.
    pub user: Option<String>,
}

/// A revision that lacks only its number.
struct Draft {
    content: Content,
    hash: String,
    credentials_hash: String,
    archive: Vec<u8>,
    deploy_type: DeployType,
    user: Option<String>,
}

/// Whether a save waits for a store that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Somebody waits for the answer.
    None,
    /// It is done as soon as the store is there, unless a newer one takes its place.
    UntilSaved,
}

impl Flows {
    /// Saves a deploy as the next revision and announces it.
    ///
    /// # Errors
    /// `VersionMismatch` where another admin deployed meanwhile (the follower then brings its
    /// revision here); `SecretMismatch` where the credentials are not encrypted with the cluster's
    /// secret; `InvalidRequest` on a worker; the store's. Nothing is saved then.
    pub async fn publish(&self, deploy: Deploy, patience: Patience) -> Result<Revision> {
        if self.inner.role == Role::Worker {
            return Err(Error::new(
                Code::InvalidRequest,
                "a worker does not save flows; deploy on the admin",
            ));
        }
        let ticket = self.inner.publishes.fetch_add(1, Ordering::AcqRel) + 1;
        let deploy = Arc::new(deploy);
        loop {
            let error = match self.publish_now(&deploy).await {
                Err(error) if patience == Patience::UntilSaved && error.code().is_retriable() => {
                    error
                }
                outcome => return outcome,
            };
            if self.inner.publishes.load(Ordering::Acquire) != ticket {
                return Err(error.while_doing("a newer deploy takes its place"));
            }
            tracing::warn!("the flows are saved as soon as the store is back: {error}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn publish_now(&self, deploy: &Arc<Deploy>) -> Result<Revision> {
        let draft = self.draft(Arc::clone(deploy)).await?;
        let _turn = self.inner.turn.lock().await;
        match self.save(&draft).await {
            Ok(head) => {
                tracing::info!(
                    "revision {} is saved ({} deploy, {} bytes of flows)",
                    head.revision.label(),
                    head.revision.deploy_type.as_str(),
                    draft.content.flows.len()
                );
                let revision = head.revision.clone();
                self.now_runs(head, &draft.content, draft.archive).await;
                Ok(revision)
            }
            Err(error) => {
                self.wake();
                Err(error)
            }
        }
    }

    /// Everything about a revision that needs no store: checked, hashed, compressed, its credentials
    /// encrypted with the cluster's secret.
    async fn draft(&self, deploy: Arc<Deploy>) -> Result<Draft> {
        let secret = self.inner.secrets.secret().await?;
        let unchanged = self.running_credentials();
        crate::blocking(move || {
            let (stored, plain) = match &deploy.credentials {
                Credentials::Unchanged => {
                    let stored = unchanged.unwrap_or_else(|| "{}".to_owned());
                    let plain = secret.decrypt(&stored)?;
                    (stored, plain)
                }
                Credentials::Exported(text) if is_encrypted(text) => {
                    (text.clone(), secret.decrypt(text)?)
                }
                Credentials::Exported(text) => (secret.encrypt(text)?, text.clone()),
                Credentials::OfProject { text, secret: own } => {
                    let plain = open_project(text, own.as_ref())?;
                    (secret.encrypt(&plain)?, plain)
                }
            };
            let content = Content {
                flows: deploy.flows.clone(),
                credentials: stored,
            };
            content.check()?;
            Ok(Draft {
                hash: content.hash(),
                credentials_hash: secret.digest(&plain),
                archive: content.archive(),
                content,
                deploy_type: deploy.deploy_type,
                user: deploy.user.clone(),
            })
        })
        .await?
    }

    /// Saves on top of what this instance runs; or of what is left of it, where the store lost some.
    async fn save(&self, draft: &Draft) -> Result<Head> {
        let (running, state) = {
            let follower = lock(&self.inner.follower);
            (follower.running().cloned(), follower.state())
        };
        let number = running.as_ref().map_or(1, |running| running.number + 1);
        let seen = running.as_ref().map(|running| running.id.clone());
        let head = self.head_of(draft, number, state);
        let mismatch = match self.save_on(seen.as_deref(), &head, draft).await {
            Err(error) if error.code() == Code::VersionMismatch => error,
            outcome => return outcome.map(|()| head),
        };
        let Some(running) = running else {
            return Err(mismatch);
        };
        let stored = self.inner.store.head().await?;
        let is_newer = |stored: &Head| stored.revision.number >= running.number;
        if stored.as_ref().is_some_and(is_newer) {
            return Err(mismatch);
        }
        tracing::warn!(
            "the store lost revision {}; the deploy is saved on top of it",
            running.label()
        );
        self.inner.secrets.restore().await?;
        let seen = stored.map(|stored| stored.revision.id);
        let head = self.head_of(draft, number, state);
        self.save_on(seen.as_deref(), &head, draft).await?;
        Ok(head)
    }

    async fn save_on(&self, seen: Option<&str>, head: &Head, draft: &Draft) -> Result<()> {
        self.inner
            .store
            .save(seen, head, &draft.content, &draft.archive)
            .await
    }

    fn head_of(&self, draft: &Draft, number: u64, state: RunState) -> Head {
        Head {
            revision: Revision {
                number,
                id: uuid::Uuid::new_v4().to_string(),
                hash: draft.hash.clone(),
                credentials_hash: draft.credentials_hash.clone(),
                deploy_type: draft.deploy_type,
                user: draft.user.clone(),
                time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                instance: self.inner.instance.clone(),
            },
            state,
        }
    }

    /// Starts or stops the flows of the cluster, as the editor's button says.
    ///
    /// # Errors
    /// The store's.
    pub async fn publish_state(&self, state: RunState) -> Result<()> {
        let _turn = self.inner.turn.lock().await;
        let Some(head) = self.inner.store.head().await? else {
            return Ok(());
        };
        self.inner.store.set_state(&head, state).await?;
        lock(&self.inner.follower).set_state(state);
        self.set_status(|status| status.state = state);
        Ok(())
    }

    /// Whether what an active project loaded (without saving it) is something new.
    ///
    /// # Errors
    /// `SecretMismatch` where the credentials cannot be read.
    pub async fn is_news(&self, hash: &str, credentials: &Credentials) -> Result<bool> {
        let running = lock(&self.inner.follower).running().cloned();
        let Some(running) = running else {
            // Nothing, in a cluster that has nothing, must not become a revision that workers obey.
            return Ok(hash != content::hash("[]"));
        };
        if running.hash != hash {
            return Ok(true);
        }
        let secret = self.inner.secrets.secret().await?;
        let plain = match credentials {
            Credentials::Unchanged => return Ok(false),
            Credentials::Exported(text) => secret.decrypt(text)?,
            Credentials::OfProject { text, secret: own } => open_project(text, own.as_ref())?,
        };
        Ok(running.credentials_hash != secret.digest(&plain))
    }
}

/// A project's credentials in clear.
fn open_project(text: &str, secret: Option<&Secret>) -> Result<String> {
    match secret {
        Some(secret) if is_encrypted(text) => Key::from_secret(secret).decrypt(text),
        _ => Ok(text.to_owned()),
    }
}
