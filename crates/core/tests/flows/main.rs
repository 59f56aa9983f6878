//! Revisions, deploys and followers on a real server, with several instances in one process.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod damage;
mod deploys;
mod follow;
mod loss;
mod publish;
mod refusals;
mod signing;
mod start;
