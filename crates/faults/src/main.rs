//! The fault suite: breaks a store and the ways to it under a cluster at work, and checks what became of it.
//!
//! Which fault comes when follows from a seed alone; when exactly it meets an operation is up to the machine.
//!
//! # Layout
//! - [`schedule`]: which fault comes when (pure)
//! - [`world`]: the store, the ways to it, and how each fault is made
//! - [`instances`]: light instances of this process, which is started again as the subject
//! - [`protocol`]: what the suite and a subject say to each other; `tests/faults/node-red.js` is the other
//!   subject, with real Node-REDs
//! - [`subject`]: a subject as a process
//! - [`verify`]: whether what was done and what is left keep the promises (pure)
//! - [`levels`]: whether anything leaks
//! - [`run`]: rounds of all this; [`failure`]: why the suite itself could not go on

mod failure;
mod instances;
mod levels;
mod protocol;
mod run;
mod schedule;
mod subject;
mod verify;
mod world;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use run::{Plan, run};

/// Breaks a store and the network under a cluster, and checks what became of it.
#[derive(Debug, Parser)]
#[command(name = "node-red-cluster-faults")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Light instances: the core in one process.
    Rust(Length),
    /// Real Node-REDs: an admin and two workers.
    NodeRed {
        #[command(flatten)]
        length: Length,
        /// The program that runs them, and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// What the suite starts for light instances.
    #[command(hide = true)]
    Instances,
}

#[derive(Debug, clap::Args)]
struct Length {
    /// Which faults come when.
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults are made.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
}

const LIGHT_INSTANCES: usize = 5;
const NODE_REDS: usize = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&format!("no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = match arguments.what {
        What::Instances => runtime.block_on(instances::run()).map(|()| true),
        What::Rust(length) => {
            let command = std::env::current_exe().map(|path| path.to_string_lossy().into_owned());
            let command = vec![command.unwrap_or_default(), "instances".to_owned()];
            runtime.block_on(run(&plan("rust", &length, command, LIGHT_INSTANCES)))
        }
        What::NodeRed { length, command } => {
            runtime.block_on(run(&plan("node-red", &length, command, NODE_REDS)))
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            tell(&format!("the suite could not go on: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn plan(suite: &'static str, length: &Length, command: Vec<String>, instances: usize) -> Plan {
    Plan {
        suite,
        seed: length.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        duration: Duration::from_secs_f64(length.minutes.max(0.0) * 60.0),
        minutes: length.minutes,
        command,
        instances,
    }
}

/// Writes a line of the report.
fn tell(line: &str) {
    // Without anybody who reads it there is nobody to tell that either.
    let _ = writeln!(std::io::stderr(), "faults: {line}");
}
