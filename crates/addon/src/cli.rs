//! The command line, run in the Node.js process of `bin/node-red-cluster.js`.

use std::sync::{Mutex, PoisonError};

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use node_red_cluster_cli::Environment;
use node_red_cluster_core::error::{Code, Error};
use serde::Deserialize;
use tokio::sync::watch;

use crate::promise::promise;

/// What `cli` takes, as JSON.
#[derive(Deserialize)]
struct Request {
    arguments: Vec<String>,
    environment: Environment,
}

/// Counts the stop signals of the command that runs.
static STOP: Mutex<Option<watch::Sender<u32>>> = Mutex::new(None);

/// Runs a command; resolves to its exit code.
#[napi(catch_unwind, ts_return_type = "Promise<number>")]
pub fn cli<'env>(env: &'env Env, request: String) -> napi::Result<PromiseRaw<'env, i32>> {
    let (sender, stop) = watch::channel(0);
    *STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    promise(
        env,
        async move {
            let request: Request = serde_json::from_str(&request)
                .map_err(|error| Error::new(Code::InvalidRequest, error.to_string()))?;
            Ok(node_red_cluster_cli::run(request.arguments, request.environment, stop).await)
        },
        |_, code| Ok(code),
    )
}

/// A stop signal came: the first asks the command to stop, the second to stop at once.
#[napi(catch_unwind)]
pub fn cli_stop() {
    if let Some(sender) = &*STOP.lock().unwrap_or_else(PoisonError::into_inner) {
        sender.send_modify(|count| *count += 1);
    }
}
