//! The one runtime of the process: a single worker, so that a core stays with JavaScript.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Starts it at the first use; it lives as long as the process.
pub(crate) fn runtime() -> napi::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let started = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("node-red-cluster")
        .enable_all()
        .build()
        .map_err(|error| napi::Error::from_reason(format!("no thread for the cluster: {error}")))?;
    Ok(RUNTIME.get_or_init(|| started))
}
