//! The handle on the cluster that the JavaScript layer holds.

use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::{Buffer, FnArgs, Function, Null, PromiseRaw};
use napi::{Either, Env};
use napi_derive::napi;
use node_red_cluster_core::cluster::{Cluster, Options};
use node_red_cluster_core::config::{self, Role, Secret};
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::fault;
use node_red_cluster_core::flows::revision::{DeployType, RunState};
use node_red_cluster_core::flows::{Deploy, Done, Job, Patience};
use node_red_cluster_core::packages::npm::Npm;

use crate::logging;
use crate::promise::{guarded, promise};
use crate::runtime::runtime;
use crate::wire::{
    About, GivenCredentials, JobForJs, OpenRequest, Outcome, PublishRequest, buffers, configured,
    describe, describe_entry, join, parse, to_json,
};

/// One instance's part in the cluster.
#[napi(js_name = "NativeCluster")]
pub struct ClusterHandle {
    cluster: Cluster,
    warnings: Vec<String>,
    job: Arc<Mutex<Option<Job>>>,
}

/// Opens the cluster as settings.js says; `log` is called with a level and a line.
///
/// # Errors
/// Settings that cannot work, with `code` `NRC_CONFIG_INVALID`.
#[napi(catch_unwind)]
pub fn open_cluster(
    env: &Env,
    options: String,
    log: Function<'_, FnArgs<(&'static str, String)>, ()>,
) -> napi::Result<ClusterHandle> {
    logging::send_to(&log)?;
    guarded(env, || {
        let request: OpenRequest = parse(&options)?;
        let environment = |name: &str| std::env::var(name).ok();
        let parsed = config::parse(&request.settings, &environment)
            .map_err(|error| Error::new(Code::ConfigInvalid, error.to_string()))?;
        let _runtime = runtime_of_core()?.enter();
        let cluster = Cluster::open(Options {
            config: parsed.config,
            credential_secret: configured(request.credential_secret)?,
            directory: request.directory,
            user_directory: request.user_directory,
            npm: Npm::new(request.npm.node, request.npm.cli),
            node_red: request.node_red,
            node: request.node,
        })?;
        Ok(ClusterHandle {
            cluster,
            warnings: parsed.warnings,
            job: Arc::default(),
        })
    })
}

#[napi]
impl ClusterHandle {
    /// Role, store, prefix and warnings about the settings, as JSON.
    #[napi(catch_unwind)]
    pub fn about(&self, env: &Env) -> napi::Result<String> {
        guarded(env, || {
            let config = self.cluster.config();
            to_json(&About {
                role: match config.role {
                    Role::Admin => "admin",
                    Role::Worker => "worker",
                },
                store: self.cluster.store(),
                key_prefix: &config.key_prefix,
                warnings: &self.warnings,
            })
        })
    }

    /// Waits for the store; resolves to what the start found out, as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn start<'env>(
        &self,
        env: &'env Env,
        candidates: Vec<String>,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let cluster = self.cluster.clone();
        let candidates = candidates.into_iter().map(Secret::new).collect();
        promise(
            env,
            async move { to_json(&cluster.start(candidates).await?) },
            |_, json| Ok(json),
        )
    }

    /// Resolves to the flows to start with: UTF-8 of JSON arrays, in order.
    #[napi(catch_unwind, ts_return_type = "Promise<Buffer[]>")]
    pub fn boot_flows<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Vec<Buffer>>> {
        let boot = self.cluster.boot();
        promise(
            env,
            blocking(
                move || match boot.as_ref().and_then(|boot| boot.content.as_ref()) {
                    Some(content) => content.slices(),
                    None => Ok(Vec::new()),
                },
            ),
            |_, slices| Ok(buffers(slices)),
        )
    }

    /// The credentials of the flows that run, encrypted, JSON text.
    #[napi(catch_unwind)]
    pub fn credentials(&self, env: &Env) -> napi::Result<String> {
        guarded(env, || Ok(self.cluster.credentials()))
    }

    /// Node-RED's start is over.
    #[napi(catch_unwind)]
    pub fn booted(&self, env: &Env, missing_types: Vec<String>) -> napi::Result<()> {
        guarded(env, || {
            self.cluster.booted(missing_types);
            Ok(())
        })
    }

    /// Waits for something to do; resolves to null when the cluster is closed.
    #[napi(catch_unwind, ts_return_type = "Promise<JobForJs | null>")]
    pub fn next_job<'env>(
        &self,
        env: &'env Env,
    ) -> napi::Result<PromiseRaw<'env, Either<JobForJs, Null>>> {
        let cluster = self.cluster.clone();
        let current = Arc::clone(&self.job);
        promise(
            env,
            async move {
                let left = current
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(left) = left {
                    // It did not reach JavaScript, or its end was not understood.
                    let error = Error::new(Code::Internal, "it was not carried out");
                    cluster.done(left, Done::Failed(error)).await?;
                }
                let mut job = cluster.next_job().await;
                let described = job.as_mut().map(describe);
                *current.lock().unwrap_or_else(PoisonError::into_inner) = job;
                Ok(described)
            },
            |_, described| {
                Ok(match described {
                    Some(job) => Either::A(job.into_js()),
                    None => Either::B(Null),
                })
            },
        )
    }

    /// Says how the job ended.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn done<'env>(
        &self,
        env: &'env Env,
        outcome: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let cluster = self.cluster.clone();
        let current = Arc::clone(&self.job);
        promise(
            env,
            async move {
                let done = match parse::<Outcome>(&outcome)? {
                    Outcome::Applied { .. } => Done::Applied,
                    Outcome::MissingTypes { missing_types } => Done::MissingTypes(missing_types),
                    Outcome::Failed { error } => {
                        Done::Failed(Error::new(Code::InvalidRequest, error))
                    }
                };
                let job = current
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                match job {
                    Some(job) => cluster.done(job, done).await,
                    None => Ok(()),
                }
            },
            |_, ()| Ok(()),
        )
    }

    /// A node type was registered.
    #[napi(catch_unwind)]
    pub fn forgive(&self, env: &Env) -> napi::Result<()> {
        guarded(env, || {
            self.cluster.forgive();
            Ok(())
        })
    }

    /// Saves a deploy, whose flows come as slices of their UTF-8; resolves to the revision's metadata, as
    /// JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn publish<'env>(
        &self,
        env: &'env Env,
        flows: Vec<Buffer>,
        deploy: String,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move {
                let request: PublishRequest = parse(&deploy)?;
                let flows = blocking(move || join(&flows)).await?;
                let patience = if request.patient {
                    Patience::UntilSaved
                } else {
                    Patience::None
                };
                let deploy = Deploy {
                    flows,
                    credentials: request.credentials.into(),
                    deploy_type: DeployType::from_name(&request.deploy_type),
                    user: request.user,
                };
                to_json(&cluster.publish(deploy, patience).await?)
            },
            |_, json| Ok(json),
        )
    }

    /// Starts or stops the flows of the cluster.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn publish_state<'env>(
        &self,
        env: &'env Env,
        state: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move { cluster.publish_state(RunState::from_name(&state)?).await },
            |_, ()| Ok(()),
        )
    }

    /// Whether flows with this hash and these credentials differ from those of the running revision.
    #[napi(catch_unwind, ts_return_type = "Promise<boolean>")]
    pub fn is_news<'env>(
        &self,
        env: &'env Env,
        hash: String,
        credentials: String,
    ) -> napi::Result<PromiseRaw<'env, bool>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move {
                let given: GivenCredentials = parse(&credentials)?;
                cluster.is_news(&hash, &given.into()).await
            },
            |_, news| Ok(news),
        )
    }

    /// Node-RED's stored settings, JSON text, or null.
    #[napi(catch_unwind, ts_return_type = "Promise<string | null>")]
    pub fn read_settings<'env>(
        &self,
        env: &'env Env,
    ) -> napi::Result<PromiseRaw<'env, Either<String, Null>>> {
        let cluster = self.cluster.clone();
        promise(env, async move { cluster.settings().await }, |_, text| {
            Ok(text.map_or(Either::B(Null), Either::A))
        })
    }

    /// Saves Node-RED's settings, JSON text.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save_settings<'env>(
        &self,
        env: &'env Env,
        settings: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move { cluster.save_settings(settings).await },
            |_, ()| Ok(()),
        )
    }

    /// The editor sessions, JSON text.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn read_sessions<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, String>> {
        let cluster = self.cluster.clone();
        promise(env, async move { cluster.sessions().await }, |_, text| {
            Ok(text)
        })
    }

    /// Saves the editor sessions, JSON text.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save_sessions<'env>(
        &self,
        env: &'env Env,
        sessions: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move { cluster.save_sessions(sessions).await },
            |_, ()| Ok(()),
        )
    }

    /// A library entry `{"body": ...}` or a folder `{"items": [...]}`, as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn library_entry<'env>(
        &self,
        env: &'env Env,
        kind: String,
        path: String,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move { to_json(&describe_entry(cluster.library_entry(&kind, &path).await?)?) },
            |_, json| Ok(json),
        )
    }

    /// Saves a library entry; `meta` is a JSON object.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn save_library_entry<'env>(
        &self,
        env: &'env Env,
        kind: String,
        path: String,
        meta: String,
        body: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move { cluster.save_library_entry(&kind, &path, &meta, &body).await },
            |_, ()| Ok(()),
        )
    }

    /// The process is about to end.
    #[napi(catch_unwind)]
    pub fn stopping(&self, env: &Env) -> napi::Result<()> {
        guarded(env, || {
            self.cluster.stopping();
            Ok(())
        })
    }

    /// Leaves the cluster.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move {
                cluster.close().await;
                Ok(())
            },
            |_, ()| Ok(()),
        )
    }
}

impl ClusterHandle {
    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster.clone()
    }
}

pub(crate) fn runtime_of_core() -> Result<&'static tokio::runtime::Runtime, Error> {
    runtime().map_err(|error| Error::new(Code::Internal, error.reason))
}

/// Runs what takes the CPU for longer than a moment off the runtime's only worker.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|ended| fault::of_task(&ended))?
}
