//! Stores of several servers: groups under the watch of sentinels, and clusters.

#[path = "../support/mod.rs"]
mod support;

#[path = "../election/instance.rs"]
#[allow(dead_code, reason = "elections have tests of their own")]
mod instance;
#[path = "../context/process.rs"]
#[allow(dead_code, reason = "the context has tests of its own")]
mod process;

mod cluster;
mod election;
mod reshard;
mod sentinel;
mod sentinel_refusals;
