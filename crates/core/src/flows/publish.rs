//! An admin saves: one revision whole, compared with what it had seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::content::{self, Content};
use super::guard::Guard;
use super::revision::{DeployType, Head, Revision, RunState};
use super::service::{Flows, lock};
use crate::config::{Role, Secret};
use crate::credentials::{Key, is_encrypted};
use crate::error::{Code, Error, Result};

/// Between two attempts of a save that waits for the store.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a start or stop is signed anew because another admin was faster.
const ATTEMPTS: usize = 10;

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
    /// The same in each attempt, by which the store knows one that it has saved already.
    id: String,
    content: Content,
    hash: String,
    credentials_hash: String,
    credentials_sha256: String,
    archive: Vec<u8>,
    deploy_type: DeployType,
    user: Option<String>,
}

/// What the attempts to save one deploy have in common.
struct Attempts {
    /// Which save of this instance it is, from 1.
    number: u64,
    /// How many revisions of others had been applied here when it was made.
    followed: u64,
    deploy: Arc<Deploy>,
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
        self.check_role()?;
        let attempts = Attempts {
            number: self.inner.publishes.fetch_add(1, Ordering::AcqRel) + 1,
            followed: self.inner.followed.load(Ordering::Acquire),
            deploy: Arc::new(deploy),
        };
        let mut draft = None;
        loop {
            let outcome = self.publish_now(&attempts, &mut draft).await;
            let error = match outcome {
                Err(error) if patience == Patience::UntilSaved && error.code().is_retriable() => {
                    error
                }
                outcome => return outcome,
            };
            tracing::warn!("the flows are saved as soon as the store is back: {error}");
            tokio::time::sleep(PAUSE).await;
            if self.inner.publishes.load(Ordering::Acquire) != attempts.number {
                return Err(error.while_doing("a newer deploy takes its place"));
            }
        }
    }

    async fn publish_now(
        &self,
        attempts: &Attempts,
        draft: &mut Option<Draft>,
    ) -> Result<Revision> {
        let draft = match draft {
            Some(draft) => draft,
            None => draft.insert(self.draft(Arc::clone(&attempts.deploy)).await?),
        };
        let _turn = self.inner.turn.lock().await;
        match self.save(draft, attempts.followed).await {
            Ok(head) => {
                tracing::info!(
                    "revision {} is saved ({} deploy, {} bytes of flows)",
                    head.revision.label(),
                    head.revision.deploy_type.as_str(),
                    draft.content.flows.len()
                );
                let revision = head.revision.clone();
                self.now_runs(head, &draft.content, draft.archive.clone())
                    .await;
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
                id: uuid::Uuid::new_v4().to_string(),
                hash: content.hash(),
                credentials_hash: secret.digest(&plain),
                credentials_sha256: content::hash(&content.credentials),
                archive: content.archive(),
                content,
                deploy_type: deploy.deploy_type,
                user: deploy.user.clone(),
            })
        })
        .await?
    }

    /// Saves on top of what this instance runs; or of what is left of it, where the store lost some.
    async fn save(&self, draft: &Draft, followed: u64) -> Result<Head> {
        let (running, state) = {
            let follower = lock(&self.inner.follower);
            (follower.running().cloned(), follower.state())
        };
        if let Some(revision) = running.as_ref().filter(|running| running.id == draft.id) {
            // An attempt whose reply was lost was saved all the same, and came back as news.
            let revision = revision.clone();
            let snapshot = lock(&self.inner.snapshot).clone();
            let seal = snapshot
                .filter(|snapshot| snapshot.head.revision.id == revision.id)
                .and_then(|snapshot| snapshot.head.seal.clone());
            return Ok(Head {
                revision,
                state,
                seal,
            });
        }
        if self.inner.followed.load(Ordering::Acquire) != followed {
            return Err(Error::new(
                Code::VersionMismatch,
                "another admin's revision was applied here meanwhile; review its flows before deploying over them",
            ));
        }
        let number = running.as_ref().map_or(1, |running| running.number + 1);
        let seen = running.as_ref().map(|running| running.id.clone());
        let head = self.head_of(draft, number, state);
        let mismatch = match self.save_on(seen.as_deref(), &head, draft).await {
            Err(error) if error.code() == Code::VersionMismatch => error,
            outcome => return outcome.map(|()| head),
        };
        let stored = self.inner.store.head().await?;
        let guard = self.inner.guard.as_ref();
        let forged = stored
            .as_ref()
            .is_some_and(|head| guard.is_some_and(|guard| guard.judge(head).is_err()));
        let stored = stored.map(|head| head.revision);
        if !forged && !self.may_replace(stored.as_ref(), running.as_ref()) {
            return Err(mismatch);
        }
        tracing::warn!(
            "the store lost the newest revision, or what was saved in it; the deploy is saved on top of what is left"
        );
        self.inner.secrets.restore().await?;
        // What nobody signed may bear any number.
        let trusted = stored.as_ref().filter(|_| !forged);
        let newest = trusted.map_or(0, |stored| stored.number);
        let seen = stored.map(|stored| stored.id);
        let head = self.head_of(draft, number.max(newest + 1), state);
        self.save_on(seen.as_deref(), &head, draft).await?;
        Ok(head)
    }

    /// Whether what the store calls newest is older than what runs here, or cannot be read by anybody:
    /// then nothing of another admin is lost.
    fn may_replace(&self, stored: Option<&Revision>, running: Option<&Revision>) -> bool {
        let Some(stored) = stored else {
            return running.is_some();
        };
        let beyond_repair = lock(&self.inner.beyond_repair).as_ref() == Some(&stored.id);
        beyond_repair || running.is_some_and(|running| stored.number < running.number)
    }

    async fn save_on(&self, seen: Option<&str>, head: &Head, draft: &Draft) -> Result<()> {
        self.inner
            .store
            .save(seen, head, &draft.content, &draft.archive)
            .await
    }

    fn head_of(&self, draft: &Draft, number: u64, state: RunState) -> Head {
        let revision = Revision {
            number,
            id: draft.id.clone(),
            hash: draft.hash.clone(),
            credentials_hash: draft.credentials_hash.clone(),
            deploy_type: draft.deploy_type,
            user: draft.user.clone(),
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            instance: self.inner.instance.clone(),
        };
        match &self.inner.guard {
            Some(guard) => guard.seal(revision, draft.credentials_sha256.clone(), state, 0),
            None => Head {
                revision,
                state,
                seal: None,
            },
        }
    }

    fn check_role(&self) -> Result<()> {
        match self.inner.role {
            Role::Admin => Ok(()),
            Role::Worker => Err(Error::new(
                Code::InvalidRequest,
                "a worker does not save flows or their state; use the admin",
            )),
        }
    }

    /// Starts or stops the flows of the cluster, as the editor's button says.
    ///
    /// # Errors
    /// `InvalidRequest` on a worker; the store's.
    pub async fn publish_state(&self, state: RunState) -> Result<()> {
        self.check_role()?;
        let _turn = self.inner.turn.lock().await;
        let Some(head) = self.inner.store.head().await? else {
            return Ok(());
        };
        match &self.inner.guard {
            Some(guard) => self.sign_state(guard, head, state).await?,
            None => self.inner.store.set_state(&head, state).await?,
        }
        lock(&self.inner.follower).set_state(state);
        self.set_status(|status| status.state = state);
        Ok(())
    }

    /// Starts or stops the flows of a revision that somebody with a key saved.
    async fn sign_state(&self, guard: &Guard, mut seen: Head, state: RunState) -> Result<()> {
        for _ in 0..ATTEMPTS {
            guard.judge_revision(&seen).map_err(|error| {
                error.while_doing("the flows are not started or stopped, deploy them first")
            })?;
            let credentials = seen.seal.as_ref();
            let credentials =
                credentials.map_or_else(String::new, |seal| seal.credentials_sha256.clone());
            let number = guard.next_state_number(&seen);
            let head = guard.seal(seen.revision.clone(), credentials, state, number);
            if self.inner.store.set_signed_state(&seen, &head).await? {
                return Ok(());
            }
            // Another admin was faster.
            match self.inner.store.head().await? {
                Some(head) => seen = head,
                None => return Ok(()),
            }
        }
        Err(Error::new(
            Code::VersionMismatch,
            "other admins start, stop or deploy at the same moment; try again",
        ))
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
