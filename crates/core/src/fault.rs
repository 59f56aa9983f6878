//! Faults of this program: a panic is one line in the log, and an error for whoever waits.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use tokio::task::JoinError;

use crate::error::{Code, Error};

/// Characters of a panic's message that are logged: it may quote any part of what was worked on.
const LONGEST_MESSAGE: usize = 300;

tokio::task_local! {
    static NAME: &'static str;
}

/// From now on a panic is a line in the log, and not one on the standard error output.
pub fn log_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        panic::set_hook(Box::new(|panic| tracing::error!("{}", describe(panic))));
    });
}

/// Runs a future under a name that is logged with a panic in it.
pub(crate) async fn named<T>(name: &'static str, task: impl Future<Output = T>) -> T {
    NAME.scope(name, task).await
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let mut line = "a fault of node-red-cluster, please report it: ".to_owned();
    if let Ok(name) = NAME.try_with(|name| *name) {
        line.push_str(name);
        line.push_str(" failed, ");
    }
    let payload = panic.payload();
    let message = match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload
            .downcast_ref::<String>()
            .map_or("no message", String::as_str),
    };
    line.extend(message.chars().take(LONGEST_MESSAGE));
    if let Some(place) = panic.location() {
        line.push_str(&format!(" ({place})"));
    }
    line.push_str(&format!(" [{}]", Code::Internal.as_str()));
    // Captured where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        line.push_str(&format!("\n{backtrace}"));
    }
    line
}

/// What whoever waited for the work is told. Where it happened stands in the log.
pub fn error() -> Error {
    Error::new(
        Code::Internal,
        "a fault of node-red-cluster; the log has the place, please report it",
    )
}

/// The end of a task that gave no result.
pub fn of_task(ended: &JoinError) -> Error {
    if ended.is_panic() {
        error()
    } else {
        Error::new(Code::Closed, "the work was ended with this instance")
    }
}

/// A place where a test of a whole instance may ask for a panic: in a build for development, by a file with this
/// name in it, which `NODE_RED_CLUSTER_TEST_FAULT` names. One that is there is taken away.
#[cfg(debug_assertions)]
#[track_caller]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::{env, fs, path::PathBuf};

    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| env::var_os("NODE_RED_CLUSTER_TEST_FAULT").map(PathBuf::from));
    let Some(file) = file else { return };
    let asked = fs::read_to_string(file).is_ok_and(|wanted| wanted.trim() == name);
    if asked && fs::remove_file(file).is_ok() {
        panic!("a test asked for it");
    }
}

/// Nothing in a build for use.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &str) {}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_task_that_panics_gets_an_error() {
        let task: JoinHandle<()> = tokio::spawn(async { panic!("asked for by the test") });
        let error = of_task(&task.await.expect_err("it panics"));
        assert_eq!(error.code(), Code::Internal);
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        let error = of_task(&task.await.expect_err("it was aborted"));
        assert_eq!(error.code(), Code::Closed);
    }
}
