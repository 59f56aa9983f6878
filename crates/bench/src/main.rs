//! Many light instances on one store: the core library as a Node-RED process uses it, without Node-RED.
//! `bench/load` and `bench/idle` run this and say what it measured.
//!
//! # Layout
//! - [`settings`]: how an instance is configured, so that it shares links with no other
//! - [`load`]: context operations at a given rate, and how long each took
//! - [`idle`]: instances that stand still
//! - [`events`]: what the benches are told

mod events;
mod idle;
mod load;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use node_red_cluster_core::error::Error;

/// Everything that ends a run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Core(#[from] Error),
    #[error("{0}")]
    Settings(#[from] node_red_cluster_core::config::ConfigError),
    #[error("{0}")]
    Process(#[from] node_red_cluster_testkit::Error),
    #[error("{0}")]
    System(#[from] std::io::Error),
    #[error("what an instance said cannot be read: {0}")]
    Report(#[from] serde_json::Error),
    #[error("{0}")]
    Late(String),
}

/// What went well or ended the run.
type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Processes of light instances that do context operations, and what came of it.
    Load(load::Plan),
    /// One of these processes; waits for the word to begin.
    LoadProcess(load::Part),
    /// Instances that stand still until the input ends.
    Idle(idle::Plan),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Load(plan) => load::run(&plan),
        Command::LoadProcess(part) => load::run_part(&part),
        Command::Idle(plan) => idle::run(&plan),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            events::complain(&failure);
            ExitCode::FAILURE
        }
    }
}
