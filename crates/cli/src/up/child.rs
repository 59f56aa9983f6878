//! One child process: started in a process group of its own, so that Ctrl-C reaches only us, with
//! its output in lines that carry its name.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child as Process, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::terminal::Terminal;

use super::lines::Lines;
use super::readiness::Readiness;
use super::system;

/// How long the last output of a child that ended may take to arrive.
const LAST_OUTPUT_LIMIT: Duration = Duration::from_millis(500);
const READ_BYTES: usize = 8 * 1024;

/// How to run a child.
#[derive(Clone, Debug)]
pub(super) struct ChildPlan {
    /// Its name in messages and in the name of its pid file.
    pub(super) name: String,
    /// What its lines of output begin with.
    pub(super) label: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) working_directory: PathBuf,
    pub(super) pid_file: PathBuf,
    pub(super) readiness: Readiness,
    /// Ends without ever having been ready after which it is given up.
    pub(super) attempts: u32,
    /// How long it may take to end in order.
    pub(super) patience: Duration,
}

/// A child that runs, or has ended and is not yet forgotten. Dropping it kills it.
pub(super) struct Child {
    process: Process,
    pid: u32,
    pid_file: PathBuf,
    readers: Vec<JoinHandle<()>>,
    ended: bool,
}

impl Child {
    /// Starts the child and follows its output.
    pub(super) fn start(plan: &ChildPlan, terminal: &Terminal) -> io::Result<Self> {
        let mut command = Command::new(&plan.program);
        command
            .args(&plan.arguments)
            .current_dir(&plan.working_directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(windows)]
        {
            const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
            command.creation_flags(CREATE_NEW_PROCESS_GROUP);
        }
        let mut process = command.spawn()?;
        let pid = process
            .id()
            .ok_or_else(|| io::Error::other("it ended before it had an id"))?;
        if let Err(error) = fs::write(&plan.pid_file, pid.to_string()) {
            terminal.error(&format!(
                "Cannot write {}: {error}. If this `up` is killed, {} will stay behind.",
                plan.pid_file.display(),
                plan.name,
            ));
        }
        let mut readers = Vec::new();
        if let Some(output) = process.stdout.take() {
            readers.push(follow(output, plan, terminal));
        }
        if let Some(errors) = process.stderr.take() {
            readers.push(follow(errors, plan, terminal));
        }
        Ok(Self {
            process,
            pid,
            pid_file: plan.pid_file.clone(),
            readers,
            ended: false,
        })
    }

    /// The process id, which is also that of its process group.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the child has ended and says how. What it leaves of its group is killed, and
    /// its last output is waited for. May be dropped and called anew before it resolves.
    pub(super) async fn ended(&mut self) -> String {
        let how = match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => format!("it cannot be waited for: {error}"),
        };
        if !self.ended {
            self.forget();
        }
        while let Some(reader) = self.readers.last_mut() {
            if timeout(LAST_OUTPUT_LIMIT, &mut *reader).await.is_err() {
                // A process that left the group still holds the pipe.
                reader.abort();
            }
            self.readers.pop();
        }
        how
    }

    /// Asks the child to end in order.
    pub(super) fn ask_to_end(&self) {
        // Once it has ended, its id may be somebody else's.
        if !self.ended {
            system::ask_to_end(self.pid);
        }
    }

    /// Kills the child and its group.
    pub(super) fn kill(&mut self) {
        if self.ended {
            return;
        }
        system::kill_group(self.pid);
        // For where there are no groups; fails only if it has ended.
        self.process.start_kill().ok();
    }

    fn forget(&mut self) {
        system::kill_group(self.pid);
        fs::remove_file(&self.pid_file).ok();
        self.ended = true;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            self.forget();
        }
    }
}

/// Carries one of the child's outputs to the terminal until it is closed.
fn follow(
    mut source: impl AsyncRead + Send + Unpin + 'static,
    plan: &ChildPlan,
    terminal: &Terminal,
) -> JoinHandle<()> {
    let label = plan.label.clone();
    let terminal = terminal.clone();
    tokio::spawn(async move {
        // Left-over colours of a cut line would run into the next one.
        let end = if terminal.style().colours {
            "\x1b[0m"
        } else {
            ""
        };
        let mut lines = Lines::default();
        let mut bytes = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = source.read(&mut bytes).await {
            for line in lines.push(&bytes[..count]) {
                terminal.output(format!("{label}{line}{end}")).await;
            }
        }
        if let Some(line) = lines.finish() {
            terminal.output(format!("{label}{line}{end}")).await;
        }
    })
}
