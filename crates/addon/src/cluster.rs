//! The handle on the cluster that the JavaScript layer holds. Structured values cross as JSON text,
//! flows as bytes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::{Buffer, FnArgs, Function, Null, PromiseRaw};
use napi::{Either, Env};
use napi_derive::napi;
use node_red_cluster_core::cluster::{Cluster, Options};
use node_red_cluster_core::config::{self, Role, Secret};
use node_red_cluster_core::credentials::Configured;
use node_red_cluster_core::documents::library::{Entry, Item};
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::flows::revision::{DeployType, RunState};
use node_red_cluster_core::flows::{Credentials, Deploy, Done, Job, Patience};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::logging;
use crate::promise::{guarded, promise};
use crate::runtime::runtime;

/// What `openCluster` takes, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpenRequest {
    /// The `valkey` block as JSON text.
    settings: String,
    /// `credentialSecret` of settings.js: a text, false, or null.
    credential_secret: Value,
    directory: PathBuf,
    node_red: String,
    node: String,
}

/// What `publish` takes beside the flows, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PublishRequest {
    #[serde(rename = "type")]
    deploy_type: String,
    user: Option<String>,
    #[serde(default)]
    patient: bool,
    credentials: GivenCredentials,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
enum GivenCredentials {
    Unchanged,
    Exported {
        text: String,
    },
    Project {
        text: String,
        secret: Option<String>,
    },
}

/// What `done` takes, as JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Outcome {
    #[serde(rename_all = "camelCase")]
    MissingTypes {
        missing_types: Vec<String>,
    },
    Failed {
        error: String,
    },
    Applied {
        #[serde(rename = "applied")]
        _applied: bool,
    },
}

/// What `about` gives, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'cluster> {
    role: &'static str,
    store: String,
    key_prefix: &'cluster str,
    warnings: &'cluster [String],
}

/// What `nextJob` resolves to.
#[napi(object)]
pub struct JobForJs {
    /// `apply`, `state` or `refill`.
    pub kind: String,
    /// How the revision was deployed.
    #[napi(js_name = "type")]
    pub deploy_type: Option<String>,
    /// Who deployed it.
    pub user: Option<String>,
    /// Whether the flows run.
    pub state: Option<String>,
    /// The flows: UTF-8 of JSON arrays, in order.
    pub flows: Option<Vec<Buffer>>,
    /// The credentials in clear, JSON text.
    pub credentials: Option<String>,
}

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

    /// The flows to start with: UTF-8 of JSON arrays, in order.
    #[napi(catch_unwind)]
    pub fn boot_flows(&self, env: &Env) -> napi::Result<Vec<Buffer>> {
        guarded(env, || {
            let boot = self.cluster.boot();
            let slices = match boot.as_ref().and_then(|boot| boot.content.as_ref()) {
                Some(content) => content.slices()?,
                None => Vec::new(),
            };
            Ok(buffers(slices))
        })
    }

    /// The credentials of the flows that run, encrypted, JSON text.
    #[napi(catch_unwind)]
    pub fn credentials(&self) -> String {
        self.cluster.credentials()
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
        let job = self
            .job
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
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
    pub fn forgive(&self) {
        self.cluster.forgive();
    }

    /// Saves a deploy; resolves to the revision's metadata, as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn publish<'env>(
        &self,
        env: &'env Env,
        flows: Buffer,
        deploy: String,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let cluster = self.cluster.clone();
        promise(
            env,
            async move {
                let request: PublishRequest = parse(&deploy)?;
                let flows = tokio::task::spawn_blocking(move || String::from_utf8(flows.to_vec()))
                    .await
                    .map_err(|error| Error::new(Code::Internal, error.to_string()))?
                    .map_err(|_| Error::new(Code::InvalidRequest, "the flows are not UTF-8"))?;
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
    pub fn stopping(&self) {
        self.cluster.stopping();
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

impl From<GivenCredentials> for Credentials {
    fn from(given: GivenCredentials) -> Self {
        match given {
            GivenCredentials::Unchanged => Credentials::Unchanged,
            GivenCredentials::Exported { text } => Credentials::Exported(text),
            GivenCredentials::Project { text, secret } => Credentials::OfProject {
                text,
                secret: secret.map(Secret::new),
            },
        }
    }
}

/// A job on its way to JavaScript's thread, where alone buffers can be made.
struct Described {
    kind: &'static str,
    deploy_type: Option<DeployType>,
    user: Option<String>,
    state: Option<RunState>,
    flows: Option<Vec<String>>,
    credentials: Option<String>,
}

/// Takes out of a job what only JavaScript needs.
fn describe(job: &mut Job) -> Described {
    let bare = |kind| Described {
        kind,
        deploy_type: None,
        user: None,
        state: None,
        flows: None,
        credentials: None,
    };
    match job {
        Job::Apply(apply) => Described {
            deploy_type: Some(apply.deploy_type),
            user: apply.head.revision.user.clone(),
            state: Some(apply.head.state),
            flows: Some(std::mem::take(&mut apply.flows)),
            credentials: Some(std::mem::take(&mut apply.credentials)),
            ..bare("apply")
        },
        Job::State(state) => Described {
            state: Some(*state),
            ..bare("state")
        },
        Job::Refill => bare("refill"),
    }
}

impl Described {
    fn into_js(self) -> JobForJs {
        JobForJs {
            kind: self.kind.to_owned(),
            deploy_type: self.deploy_type.map(|name| name.as_str().to_owned()),
            user: self.user,
            state: self.state.map(|name| name.as_str().to_owned()),
            flows: self.flows.map(buffers),
            credentials: self.credentials,
        }
    }
}

fn buffers(slices: Vec<String>) -> Vec<Buffer> {
    slices
        .into_iter()
        .map(|slice| Buffer::from(slice.into_bytes()))
        .collect()
}

fn describe_entry(entry: Entry) -> Result<Value, Error> {
    Ok(match entry {
        Entry::File { body } => json!({ "body": body }),
        Entry::Folder(items) => {
            let items: Result<Vec<Value>, Error> = items.into_iter().map(describe_item).collect();
            json!({ "items": items? })
        }
    })
}

fn describe_item(item: Item) -> Result<Value, Error> {
    match item {
        Item::Folder(name) => Ok(Value::String(name)),
        Item::File { name, meta } => {
            let mut described: Map<String, Value> = parse(&meta)?;
            described.insert("fn".to_owned(), Value::String(name));
            Ok(Value::Object(described))
        }
    }
}

fn configured(secret: Value) -> Result<Configured, Error> {
    match secret {
        Value::Null => Ok(Configured::Unset),
        Value::Bool(false) => Ok(Configured::Disabled),
        Value::String(text) if !text.is_empty() => Ok(Configured::Text(Secret::new(text))),
        _ => Err(Error::new(
            Code::ConfigInvalid,
            "`credentialSecret` in settings.js must be a text, or false to store credentials in clear",
        )),
    }
}

fn runtime_of_core() -> Result<&'static tokio::runtime::Runtime, Error> {
    runtime().map_err(|error| Error::new(Code::Internal, error.reason))
}

fn parse<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(
            Code::InvalidRequest,
            format!("the JavaScript layer sent something unexpected: {error}"),
        )
    })
}

fn to_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new(Code::Internal, error.to_string()))
}
