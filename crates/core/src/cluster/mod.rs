//! The facade: one instance's part in the cluster, from settings.js to the last farewell.
//!
//! - `packages`: what operators see of packages, and who hears of it
//! - [`start`]: waiting for the store, agreeing on the secret, finding the flows
//! - [`shared`]: documents that are saved even if the store is away at first

mod packages;
mod shared;
mod start;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Deserialize;
use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::connection::{self, Connection, Message};
use crate::context::Context;
use crate::credentials::{Configured, SecretKeeper};
use crate::documents::Documents;
use crate::documents::library::Entry;
use crate::election::MemoryWatch;
use crate::error::Result;
use crate::flows::last_good::LastGood;
use crate::flows::revision::{Revision, RunState};
use crate::flows::store::RevisionStore;
use crate::flows::{Boot, Credentials, Deploy, Done, Flows, Job, Patience, Source};
use crate::keyspace::Keyspace;
use crate::members::{self, Heartbeat, Identity};
use crate::packages::npm::Npm;
use crate::packages::{self as core_packages, Packages};
use crate::signing::Keyring;
use crate::supervised::supervised;
use crate::survey::Survey;

use shared::{Document, SharedDocument};
pub use start::Start;

/// Messages on the update channel are small; a larger one is not ours.
const LARGEST_ANNOUNCEMENT: usize = 64 * 1024;

/// What an instance knows of itself before it meets the cluster.
#[derive(Debug)]
pub struct Options {
    /// The parsed `valkey` block.
    pub config: Config,
    /// What settings.js says about the credential secret.
    pub credential_secret: Configured,
    /// Where this instance keeps what it needs to start without the store.
    pub directory: PathBuf,
    /// Node-RED's user directory.
    pub user_directory: PathBuf,
    /// How npm is run.
    pub npm: Npm,
    /// Version of Node-RED.
    pub node_red: String,
    /// Version of Node.js.
    pub node: String,
}

/// One instance's part in the cluster; cheap to clone. Must be used on a tokio runtime.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    connection: Connection,
    flows: Flows,
    packages: Packages,
    secrets: Arc<SecretKeeper>,
    documents: Documents,
    settings: SharedDocument,
    sessions: SharedDocument,
    heartbeat: Mutex<Option<Heartbeat>>,
    /// The id under which this instance is present.
    id: watch::Receiver<Option<String>>,
    /// Rung once the flows run.
    came_back: Arc<Notify>,
    boot: Mutex<Option<Arc<Boot>>>,
    /// Held from the start on, so that the first election of this instance can be decided at once.
    _memory: Arc<MemoryWatch>,
    /// Tells what the store lacks for as long as this instance lives.
    _survey: Arc<Survey>,
}

impl Cluster {
    /// Begins to connect; [`Cluster::start`] waits for it.
    ///
    /// # Errors
    /// TLS settings that cannot be read, a topology that this version does not serve.
    pub fn open(options: Options) -> Result<Self> {
        let Options {
            config,
            credential_secret,
            directory,
            user_directory,
            npm,
            node_red,
            node,
        } = options;
        let name = format!("node-red-cluster:{}", config.role.as_str());
        let connection = connection::shared(&config.connection, config.timeout, &name)?;
        let keyspace = Keyspace::new(&config);
        let identity = Identity::of_this_process(config.role, &node_red, &node);
        let instance = format!("{}:{}", identity.host, identity.pid);
        let place = format!("{}:{}", identity.host, user_directory.display());
        let signing = config.signing.as_ref();
        let keyring = signing.map(|keys| Keyring::new(keys, &config.key_prefix));
        let secrets = Arc::new(SecretKeeper::new(
            connection.clone(),
            keyspace.clone(),
            credential_secret,
            config.role,
        ));
        let flows = Flows::new(
            RevisionStore::new(connection.clone(), keyspace.clone(), config.compression),
            LastGood::new(&directory, keyspace.prefix()),
            Arc::clone(&secrets),
            config.role,
            instance.clone(),
            keyring.clone(),
        );
        let documents = Documents::new(
            connection.clone(),
            keyspace.clone(),
            config.compression,
            config.session_ttl,
        );
        let heartbeat = Heartbeat::start(
            &connection,
            &keyspace,
            &config.monitoring,
            identity,
            members::Status::default(),
        );
        let packages = Packages::new(
            core_packages::Options {
                config: config.packages,
                role: config.role,
                key_prefix: config.key_prefix.clone(),
                place,
                instance,
                user_directory,
                folder: directory.join("packages"),
                npm,
                compression: config.compression,
            },
            &connection,
            &keyspace,
            heartbeat.id(),
            keyring,
        );
        let shared =
            |document| SharedDocument::new(document, documents.clone(), connection.clone());
        let cluster = Self {
            inner: Arc::new(Inner {
                _memory: MemoryWatch::shared(&connection, &config.key_prefix),
                _survey: Survey::shared(&connection),
                settings: shared(Document::Settings),
                sessions: shared(Document::Sessions),
                config,
                connection,
                flows,
                packages,
                secrets,
                documents,
                id: heartbeat.id(),
                came_back: Arc::default(),
                heartbeat: Mutex::new(Some(heartbeat)),
                boot: Mutex::default(),
            }),
        };
        cluster.listen(&keyspace)?;
        cluster.listen_for_packages(&keyspace)?;
        Ok(cluster)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Where the store is looked for, without secrets.
    pub fn store(&self) -> String {
        self.inner.connection.describe()
    }

    /// What an instance starts with, after [`Cluster::start`].
    pub fn boot(&self) -> Option<Arc<Boot>> {
        lock(&self.inner.boot).clone()
    }

    /// The flows that run here, encrypted credentials: those of the newest revision that this instance
    /// runs, at the start those it starts with.
    pub fn credentials(&self) -> String {
        self.inner.flows.running_credentials().unwrap_or_else(|| {
            self.boot()
                .and_then(|boot| {
                    boot.content
                        .as_ref()
                        .map(|content| content.credentials.clone())
                })
                .unwrap_or_else(|| "{}".to_owned())
        })
    }

    /// Node-RED's start is over: it runs what [`Cluster::boot`] said, unless node types are missing.
    pub fn booted(&self, missing_types: Vec<String>) {
        let source = self.boot().map_or(Source::Nothing, |boot| boot.source);
        self.update_presence(|status| {
            status.source = match source {
                Source::Store | Source::Unversioned => members::Source::Store,
                Source::Disk => members::Source::Disk,
                Source::Nothing | Source::Unreadable => members::Source::None,
            };
            status.state = members::State::Waiting;
        });
        let runs = missing_types.is_empty();
        self.inner.flows.booted(missing_types);
        self.show_flows();
        self.packages_booted(runs);
    }

    /// See [`Flows::next_job`].
    pub async fn next_job(&self) -> Option<Job> {
        self.inner.flows.next_job().await
    }

    /// See [`Flows::done`].
    ///
    /// # Errors
    /// A fault of this program only.
    pub async fn done(&self, job: Job, done: Done) -> Result<()> {
        if matches!((&job, &done), (Job::Apply(_), Done::Applied)) {
            self.update_presence(|status| status.source = members::Source::Store);
            self.inner.came_back.notify_one();
        }
        self.inner.flows.done(job, done).await
    }

    /// Node-RED did not start the flows of its start, because these modules of Function nodes are missing.
    pub fn stalled(&self, missing_modules: Vec<String>) {
        self.booted(missing_modules);
        self.inner.flows.stalled();
    }

    /// A node type was registered, or a module installed.
    pub fn forgive(&self) {
        self.inner.flows.forgive();
    }

    /// See [`Flows::publish`].
    ///
    /// # Errors
    /// As there.
    pub async fn publish(&self, deploy: Deploy, patience: Patience) -> Result<Revision> {
        self.inner.flows.publish(deploy, patience).await
    }

    /// See [`Flows::publish_state`].
    ///
    /// # Errors
    /// The store's.
    pub async fn publish_state(&self, state: RunState) -> Result<()> {
        self.inner.flows.publish_state(state).await
    }

    /// See [`Flows::is_news`].
    ///
    /// # Errors
    /// As there.
    pub async fn is_news(&self, hash: &str, credentials: &Credentials) -> Result<bool> {
        self.inner.flows.is_news(hash, credentials).await
    }

    /// Node-RED's stored settings, JSON text; none in an empty store.
    ///
    /// # Errors
    /// The store's, `ValueDamaged`.
    pub async fn settings(&self) -> Result<Option<String>> {
        self.inner.settings.read().await
    }

    /// Saves Node-RED's settings, merged with what other admins changed meanwhile. While the store is
    /// away this succeeds and the save is done later.
    ///
    /// # Errors
    /// `InvalidRequest`, `ValueTooLarge`, and what retrying cannot heal.
    pub async fn save_settings(&self, settings: String) -> Result<()> {
        self.inner.settings.save(settings).await
    }

    /// The editor sessions, JSON text.
    ///
    /// # Errors
    /// The store's.
    pub async fn sessions(&self) -> Result<String> {
        Ok(self
            .inner
            .sessions
            .read()
            .await?
            .unwrap_or_else(|| "{}".to_owned()))
    }

    /// Saves the editor sessions, as [`Cluster::save_settings`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn save_sessions(&self, sessions: String) -> Result<()> {
        self.inner.sessions.save(sessions).await
    }

    /// See [`Documents::library_entry`].
    ///
    /// # Errors
    /// As there.
    pub async fn library_entry(&self, kind: &str, path: &str) -> Result<Entry> {
        self.inner.documents.library_entry(kind, path).await
    }

    /// See [`Documents::save_library_entry`].
    ///
    /// # Errors
    /// As there.
    pub async fn save_library_entry(
        &self,
        kind: &str,
        path: &str,
        meta: &str,
        body: &str,
    ) -> Result<()> {
        self.inner
            .documents
            .save_library_entry(kind, path, meta, body)
            .await
    }

    /// The id of the revision of the flows that is being applied here, else of the one that runs.
    pub fn revision_in_use(&self) -> Option<String> {
        self.inner.flows.revision_in_use()
    }

    /// Shows a context store of this process in the presence record.
    pub fn show_context(&self, context: &Context) {
        let counts = context.gauge();
        if let Some(heartbeat) = &*lock(&self.inner.heartbeat) {
            heartbeat.ask(Box::new(move |status| status.context.extend(counts())));
        }
    }

    /// Shows the locks that this instance leads in the presence record, at once. They are asked for when the
    /// record is changed, so that the newest answer stays.
    pub fn show_leads(&self, leads: impl FnOnce() -> Vec<String>) {
        self.update_presence(|status| status.leads = leads());
    }

    /// The process is about to end.
    pub fn stopping(&self) {
        self.update_presence(|status| status.state = members::State::Stopping);
    }

    /// Leaves the cluster: what is pending is saved, the presence removed, the links closed.
    pub async fn close(&self) {
        self.inner.flows.close();
        self.inner.packages.close();
        self.inner.settings.flush().await;
        self.inner.sessions.flush().await;
        let heartbeat = lock(&self.inner.heartbeat).take();
        if let Some(heartbeat) = heartbeat {
            heartbeat.stop().await;
        }
        self.inner.connection.close();
        // Last, as a disk that hangs is no reason to leave anything behind in the store.
        self.inner.flows.flush().await;
    }

    /// Whoever could have missed something looks for itself: on a message, on a new subscription, on a
    /// new link.
    fn listen(&self, keyspace: &Keyspace) -> Result<()> {
        let on_message = self.inner.flows.clone();
        let on_resume = self.inner.flows.clone();
        self.inner.connection.subscribe(
            vec![keyspace.update_channel().to_owned()],
            move |message| {
                if is_announcement(&message) {
                    on_message.wake();
                } else {
                    tracing::debug!(
                        "ignored a message of {} bytes on {}: it announces no revision",
                        message.payload.len(),
                        message.channel
                    );
                }
            },
            move || on_resume.wake(),
        )?;
        let flows = self.inner.flows.clone();
        let epochs = self.inner.connection.epochs();
        tokio::spawn(supervised("what looks after reconnects", move || {
            let (flows, mut epochs) = (flows.clone(), epochs.clone());
            async move {
                while epochs.changed().await.is_ok() {
                    flows.wake();
                }
            }
        }));
        let weak = Arc::downgrade(&self.inner);
        let status = self.inner.flows.status();
        tokio::spawn(supervised("what shows the flows to others", move || {
            let (weak, mut status) = (Weak::clone(&weak), status.clone());
            async move {
                while status.changed().await.is_ok() {
                    status.borrow_and_update();
                    let Some(inner) = weak.upgrade() else { return };
                    Self { inner }.show_flows();
                }
            }
        }));
        Ok(())
    }

    /// What operators see of the flows goes into the presence record.
    fn show_flows(&self) {
        let flows = self.inner.flows.status().borrow().clone();
        self.update_presence(|status| {
            status.revision = members::Revisions {
                wanted: flows.wanted,
                running: flows.running,
                error: flows.error.map(|error| members::Failure {
                    code: error.code().as_str().to_owned(),
                    message: error.message().to_owned(),
                }),
                missing_types: flows.missing_types,
            };
            if flows.running.is_some() && status.source == members::Source::None {
                status.source = members::Source::Store;
            }
            let started = !matches!(
                status.state,
                members::State::Starting | members::State::Stopping
            );
            if started {
                status.state = match (flows.running, flows.state) {
                    (None, _) => members::State::Waiting,
                    (Some(_), RunState::Start) => members::State::Running,
                    (Some(_), RunState::Stop) => members::State::Stopped,
                };
            }
        });
    }

    fn update_presence(&self, change: impl FnOnce(&mut members::Status)) {
        if let Some(heartbeat) = &*lock(&self.inner.heartbeat) {
            heartbeat.update(change);
        }
    }
}

#[derive(Deserialize)]
struct Announced {
    #[serde(rename = "revision")]
    _revision: u64,
}

fn is_announcement(message: &Message) -> bool {
    message.payload.len() <= LARGEST_ANNOUNCEMENT
        && serde_json::from_slice::<Announced>(&message.payload).is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(payload: &[u8]) {
    let announced = is_announcement(&Message {
        channel: "flows:updated".to_owned(),
        payload: payload.to_vec(),
    });
    assert!(!announced || payload.len() <= LARGEST_ANNOUNCEMENT);
}
