//! Servers, proxies and access rules without one of the commands that are used: what still works, what does
//! not, and the one line of the log that says so. The table of docs/operations.md, "What a store must allow".

#[path = "../flows/cluster.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod cluster;
#[path = "../election/instance.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod instance;
mod log;
#[path = "../context/process.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod process;
#[path = "../support/mod.rs"]
mod support;

mod essential;
mod eviction;
mod helps;
mod sources;
