//! A program under test as a process of its own, which tests talk to in lines.

use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::error::{Error, IoContext, Result};

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub struct Program {
    child: Child,
    id: Pid,
    input: ChildStdin,
}

/// What a program writes to its standard output. It stays readable to its end when the program is
/// killed.
#[derive(Debug)]
pub struct Lines(tokio::io::Lines<BufReader<ChildStdout>>);

impl Program {
    /// Starts a program. What it writes to its standard error appears with the test's.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be started.
    pub fn start(
        path: &Path,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Lines)> {
        let mut child = Command::new(path)
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .action(format!("start {}", path.display()))?;
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        let (Some(id), Some(input), Some(output)) = (
            number.and_then(Pid::from_raw),
            child.stdin.take(),
            child.stdout.take(),
        ) else {
            return Err(Error::NotRunning);
        };
        let lines = Lines(BufReader::new(output).lines());
        Ok((Self { child, id, input }, lines))
    }

    /// Writes a line to its standard input. A program that is frozen reads it once it goes on.
    ///
    /// # Errors
    /// [`Error::Io`] when the program has ended.
    pub async fn say(&mut self, line: &str) -> Result<()> {
        let line = format!("{line}\n");
        let written = self.input.write_all(line.as_bytes()).await;
        written.action("write to the program")
    }

    /// Freezes it (SIGSTOP): its connections stay open, and its clocks go on.
    ///
    /// # Errors
    /// [`Error::Io`] when the program has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen program go on (SIGCONT).
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it on the spot (SIGKILL), and returns once it has ended.
    ///
    /// # Errors
    /// [`Error::Io`] when the operating system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.action("kill the program")
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// [`Error::Late`] when it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        match timeout(limit, self.child.wait()).await {
            Ok(status) => status.action("wait for the program"),
            Err(_) => Err(Error::Late {
                what: "the program to end".to_owned(),
                limit,
            }),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Before it has been waited for its number cannot have passed to another process.
        if self.child.id().is_none() {
            return Err(Error::NotRunning);
        }
        kill_process(self.id, signal)
            .map_err(std::io::Error::from)
            .action("send a signal to the program")
    }
}

impl Lines {
    /// The next line, or `None` once the program has closed its output.
    ///
    /// # Errors
    /// [`Error::Io`] when it is not UTF-8.
    pub async fn next(&mut self) -> Result<Option<String>> {
        self.0
            .next_line()
            .await
            .action("read what the program says")
    }
}
