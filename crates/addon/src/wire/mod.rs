//! What crosses to and from JavaScript: structured values as JSON text, flows as bytes. (`election`: of leader
//! nodes.)

mod election;

use std::collections::BTreeSet;
use std::path::PathBuf;

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use node_red_cluster_core::config::{ContextSettings, Secret};
use node_red_cluster_core::context::operation::Operation;
use node_red_cluster_core::credentials::Configured;
use node_red_cluster_core::documents::library::{Entry, Item};
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::flows::revision::{DeployType, RunState};
use node_red_cluster_core::flows::{Credentials, Job};
use node_red_cluster_core::packages::AtStart;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(crate) use election::{
    AboutElection, DescribedRelease, DescribedStanding, DescribedTrial, ElectionRequest,
};

/// What `openCluster` takes, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OpenRequest {
    /// The `valkey` block as JSON text.
    pub(crate) settings: String,
    /// `credentialSecret` of settings.js: a text, false, or null.
    pub(crate) credential_secret: Value,
    pub(crate) directory: PathBuf,
    pub(crate) user_directory: PathBuf,
    pub(crate) npm: GivenNpm,
    pub(crate) node_red: String,
    pub(crate) node: String,
}

/// How npm is run, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenNpm {
    /// Node.js.
    pub(crate) node: PathBuf,
    /// `npm-cli.js`; null: the program `npm` of the PATH.
    pub(crate) cli: Option<PathBuf>,
}

/// What `packagesAtStart` gives, as JSON.
#[derive(Serialize)]
pub(crate) struct DescribedAtStart {
    disable: BTreeSet<String>,
    enable: BTreeSet<String>,
    forget: BTreeSet<String>,
}

impl From<AtStart> for DescribedAtStart {
    fn from(at_start: AtStart) -> Self {
        let AtStart {
            disable,
            enable,
            forget,
        } = at_start;
        Self {
            disable,
            enable,
            forget,
        }
    }
}

/// What `openContext` takes, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OpenContextRequest {
    /// The `valkey` block as JSON text.
    pub(crate) settings: String,
    /// The options of the context store as JSON text, which win.
    pub(crate) config: String,
}

/// What `about` of a context store gives, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AboutContext<'context> {
    store: String,
    key_prefix: &'context str,
    warnings: &'context [String],
    near_cache: AboutNearCache,
    offline_reads: &'static str,
    max_value_bytes: usize,
    /// In ms.
    timeout: u128,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AboutNearCache {
    enabled: bool,
    max_bytes: u64,
    /// In ms.
    max_age: u128,
}

impl<'context> AboutContext<'context> {
    pub(crate) fn new(
        settings: &'context ContextSettings,
        store: String,
        warnings: &'context [String],
    ) -> Self {
        let near_cache = &settings.context.near_cache;
        Self {
            store,
            key_prefix: &settings.key_prefix,
            warnings,
            near_cache: AboutNearCache {
                enabled: near_cache.enabled,
                max_bytes: near_cache.max_bytes,
                max_age: near_cache.max_age.as_millis(),
            },
            offline_reads: settings.context.offline_reads.as_str(),
            max_value_bytes: settings.context.max_value_bytes,
            timeout: settings.timeout.as_millis(),
        }
    }
}

/// An operation of a flow, as JSON; values in it are JSON texts.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum OperationRequest {
    Increment {
        /// As JavaScript prints the number.
        by: String,
    },
    Append {
        value: String,
        #[serde(default)]
        limit: Option<usize>,
    },
    CompareAndSet {
        expected: Option<String>,
        value: Option<String>,
    },
    GetAndSet {
        value: Option<String>,
    },
    DeleteIf {
        expected: Option<String>,
    },
}

impl TryFrom<OperationRequest> for Operation {
    type Error = Error;

    fn try_from(request: OperationRequest) -> Result<Self, Error> {
        Ok(match request {
            OperationRequest::Increment { by } => match by.parse() {
                Ok(by) => Self::Increment(by),
                Err(_) => {
                    return Err(Error::new(
                        Code::ValueInvalid,
                        format!("a value is incremented by a number, which {by:?} is not"),
                    ));
                }
            },
            OperationRequest::Append { value, limit } => Self::Append { value, limit },
            OperationRequest::CompareAndSet { expected, value } => {
                Self::CompareAndSet { expected, value }
            }
            OperationRequest::GetAndSet { value } => Self::GetAndSet(value),
            OperationRequest::DeleteIf { expected } => Self::DeleteIf(expected),
        })
    }
}

/// What `publish` takes beside the flows, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PublishRequest {
    #[serde(rename = "type")]
    pub(crate) deploy_type: String,
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) patient: bool,
    pub(crate) credentials: GivenCredentials,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum GivenCredentials {
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
pub(crate) enum Outcome {
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
pub(crate) struct About<'cluster> {
    pub(crate) role: &'static str,
    pub(crate) store: String,
    pub(crate) key_prefix: &'cluster str,
    pub(crate) warnings: &'cluster [String],
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
pub(crate) struct Described {
    kind: &'static str,
    deploy_type: Option<DeployType>,
    user: Option<String>,
    state: Option<RunState>,
    flows: Option<Vec<String>>,
    credentials: Option<String>,
}

/// Takes out of a job what only JavaScript needs.
pub(crate) fn describe(job: &mut Job) -> Described {
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
    pub(crate) fn into_js(self) -> JobForJs {
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

/// Slices of UTF-8 text, put together.
pub(crate) fn join(slices: &[Buffer]) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
    for slice in slices {
        bytes.extend_from_slice(slice);
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::new(Code::InvalidRequest, "the flows are not UTF-8"))
}

pub(crate) fn buffers(slices: Vec<String>) -> Vec<Buffer> {
    slices
        .into_iter()
        .map(|slice| Buffer::from(slice.into_bytes()))
        .collect()
}

pub(crate) fn describe_entry(entry: Entry) -> Result<Value, Error> {
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

pub(crate) fn configured(secret: Value) -> Result<Configured, Error> {
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

pub(crate) fn parse<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(
            Code::InvalidRequest,
            format!("the JavaScript layer sent something unexpected: {error}"),
        )
    })
}

pub(crate) fn to_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new(Code::Internal, error.to_string()))
}
