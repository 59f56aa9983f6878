//! The command `migrate-context`: context that the older package left gets its place.
//!
//! What it does with a store is core's [`migrate`](node_red_cluster_core::context::migrate). Here
//! the arguments become a store and a prefix (`target`, `settings_file`), what is found becomes
//! lines, and the outcome a table (`summary`) and an exit code.

mod settings_file;
mod summary;
mod target;

use std::time::Duration;

use node_red_cluster_core::config::Config;
use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::context::migrate::{
    Action, Conflicts, Counts, Event, Migration, Proceed, Report,
};
use node_red_cluster_core::keyspace::Keyspace;

use crate::arguments::{MigrateContextArguments, PROGRAM};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::stop::{Stop, Urgency};
use crate::terminal::{Colour, Terminal};

/// How long a store may take to answer at the beginning.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The command's name in `CLIENT LIST`.
const CLIENT_NAME: &str = "node-red-cluster:migrate-context";
/// Keys were left that the operator has to decide about.
const EXIT_UNDECIDED: i32 = 3;
/// What a shell reports for a program that its user interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// Shows what would be done with older context, or does it. Returns the exit code.
pub(crate) async fn migrate_context(
    arguments: MigrateContextArguments,
    environment: &Environment,
    terminal: &Terminal,
    mut stop: Stop,
) -> Result<i32, Failure> {
    let parsed = target::target(&arguments, environment).await?;
    for warning in &parsed.warnings {
        terminal.error(&format!("{PROGRAM}: {warning}"));
    }
    let connection = Connection::open(
        &parsed.config.connection,
        parsed.config.timeout,
        CLIENT_NAME,
    )
    .map_err(|error| Failure::Refused(error.to_string()))?;
    let mut at_once = stop.clone();
    let exit_code = tokio::select! {
        done = on_store(&arguments, &parsed.config, &connection, terminal, &mut stop) => done,
        // Each change is one step of the store, so there is nothing to clean up.
        () = at_once.requested(Urgency::AtOnce) => Ok(EXIT_INTERRUPTED),
    };
    terminal.progress(None);
    connection.close();
    exit_code
}

async fn on_store(
    arguments: &MigrateContextArguments,
    config: &Config,
    connection: &Connection,
    terminal: &Terminal,
    stop: &mut Stop,
) -> Result<i32, Failure> {
    let place = connection.describe();
    tokio::select! {
        ready = connection.ready(ANSWER_LIMIT) => ready.map_err(|error| {
            Failure::Refused(format!(
                "the store at {place} cannot be used: {error}. Check --settings, --url or the \
                 environment variables, and that the store runs."
            ))
        })?,
        () = stop.requested(Urgency::Orderly) => return Ok(EXIT_INTERRUPTED),
    }
    let keyspace = Keyspace::new(config);
    terminal.line(&format!(
        "Context under {} in the store at {place}",
        keyspace.prefix()
    ));
    let action = if arguments.apply {
        Action::Apply
    } else {
        Action::Preview
    };
    let conflicts = if arguments.overwrite {
        Conflicts::Overwrite
    } else {
        Conflicts::Keep
    };
    let mut migration = Migration::new(connection, &keyspace, action, conflicts);
    let mut reported = false;
    let run = migration.run(|event| {
        match event {
            Event::Searched(keys) => {
                terminal.progress(Some(format!("searching: {keys} keys of context")));
            }
            Event::Done { keys, of } => terminal.progress(Some(format!("{keys} of {of} keys"))),
            Event::Found(finding) => {
                if !std::mem::replace(&mut reported, true) {
                    terminal.line("");
                }
                let line = format!("! {finding}");
                terminal.line(&terminal.style().paint(Colour::Yellow, &line));
            }
        }
        if stop.is_requested(Urgency::Orderly) {
            Proceed::No
        } else {
            Proceed::Yes
        }
    });
    let done = run.await;
    let report = migration.report();
    terminal.progress(None);
    // Where it failed before it saw anything, the error says it all.
    if done.is_ok() || report.total() != Counts::default() {
        for line in summary::summary(report, action, conflicts, terminal.style()) {
            terminal.line(&line);
        }
    }
    done.map_err(|error| {
        Failure::GaveUp(format!(
            "{error}. Run it again once that is remedied; what is done stays done."
        ))
    })?;
    Ok(exit_code(report))
}

fn exit_code(report: &Report) -> i32 {
    if !report.complete {
        EXIT_INTERRUPTED
    } else if report.is_decided() {
        0
    } else {
        EXIT_UNDECIDED
    }
}
