//! The cluster, in pure Rust: no Node.js, no Node-RED, no printing. Everything that decides is here.
//!
//! # Layout
//! - [`config`]: the `valkey` block of settings.js, parsed, defaulted, validated
//! - [`error`]: one error type with stable codes
//! - [`fault`]: a panic is a line in the log and an error, never the end of the process
//! - [`keyspace`]: the only place that builds a key or a channel name
//! - [`codec`]: stored values: plain or gzip
//! - [`context`]: the context that all instances share
//! - [`credentials`]: Node-RED's encryption, and the cluster's one secret
//! - [`connection`]: the managed links to the store
//! - [`election`]: one leader of many instances
//! - [`flows`]: revisions, deploys and followers
//! - [`documents`]: settings, sessions, library
//! - [`members`]: who is there, and what each is doing
//! - [`signing`]: signatures of what instances run
//! - [`packages`]: palette packages of the admin on every worker
//! - [`survey`]: what a store does not allow or may throw away, said once
//! - `supervised`: tasks that begin anew after a panic

pub mod cluster;
pub mod codec;
pub mod config;
pub mod connection;
pub mod context;
pub mod credentials;
pub mod documents;
pub mod election;
pub mod error;
pub mod fault;
pub mod flows;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
pub mod keyspace;
pub mod members;
mod object;
pub mod packages;
pub mod signing;
mod slots;
mod supervised;
pub mod survey;

use error::Result;

/// Runs work that takes the CPU for longer than a moment (compression, hashes, files) off the runtime's
/// only worker, and turns a panic in it into an error.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|ended| fault::of_task(&ended))
}
