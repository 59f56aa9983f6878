//! The command line of node-red-cluster, as a library: [`run`] is called by the package's native
//! addon, so that one artefact ships and the program itself is a few lines of JavaScript.
//!
//! # Layout
//!
//! - `environment`: what the JavaScript side tells about the machine.
//! - `arguments`: the arguments as typed.
//! - `failure`: why a command could not do its work, and its exit code.
//! - `terminal`: the only place that writes to standard output and standard error.
//! - `stop`: the operator's wish to stop, as a value to wait for.
//! - `up`: the command `up`, a supervisor for a cluster on one machine.
//! - `migrate_context`: the command `migrate-context`, for what the older package left.
//!
//! The library installs no signal handlers: inside a Node.js process the signals belong to
//! JavaScript, which counts them into the channel given to [`run`].

mod arguments;
mod environment;
mod failure;
mod migrate_context;
mod stop;
mod terminal;
mod up;

use std::io;

use clap::Parser as _;
use tokio::sync::watch;

use arguments::{Arguments, Command};
pub use environment::{Environment, StandardOutput};
use stop::Stop;
use terminal::{Style, Terminal};

/// Runs one command line to its end and returns the exit code of the process: 0 for success, 1 for
/// a failure while working, 2 when the command cannot begin as asked, 3 when it left something for
/// the operator to decide, 130 when the operator did not wait for its end.
///
/// `arguments` are those after the program's name. `stop` carries the number of stop signals seen
/// so far: the first asks for an orderly stop, the second for one at once.
pub async fn run(
    arguments: Vec<String>,
    environment: Environment,
    stop: watch::Receiver<u32>,
) -> i32 {
    let style = Style::of(&environment);
    let terminal = Terminal::open(Box::new(io::stdout()), Box::new(io::stderr()), style);
    let exit_code = run_on(&terminal, arguments, environment, Stop::new(stop)).await;
    terminal.finish().await;
    exit_code
}

/// [`run`] on a terminal that the caller opened and finishes.
async fn run_on(
    terminal: &Terminal,
    arguments: Vec<String>,
    environment: Environment,
    stop: Stop,
) -> i32 {
    let words = std::iter::once(arguments::PROGRAM.to_owned()).chain(arguments);
    let command = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments.command,
        Err(answer) => {
            // Also how clap delivers --help and --version, which are no errors.
            let text = answer.render();
            let text = if terminal.style().colours {
                text.ansi().to_string()
            } else {
                text.to_string()
            };
            if answer.use_stderr() {
                terminal.error(text.trim_end());
            } else {
                terminal.line(text.trim_end());
            }
            return answer.exit_code();
        }
    };
    let done = match command {
        Command::Up(arguments) => up::up(arguments, &environment, terminal, stop).await,
        Command::MigrateContext(arguments) => {
            migrate_context::migrate_context(arguments, &environment, terminal, stop).await
        }
    };
    match done {
        Ok(exit_code) => exit_code,
        Err(failure) => {
            terminal.error(&format!("{}: {failure}", arguments::PROGRAM));
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests;
