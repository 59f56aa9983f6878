//! The child process, its signals and its log.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::error::{Error, IoContext, Result};
use crate::wait::INTERVAL;

/// A server process. Dropped, it is killed and waited for.
///
/// The standard library's child rather than tokio's: its end can be awaited in `Drop`, so that
/// the directory is removed only when nobody writes there any more.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `binary` with a configuration file and options, its output in a new file at `log`.
    pub(super) fn spawn(
        binary: &Path,
        configuration: &Path,
        options: &[&str],
        log: &Path,
        environment: &[(OsString, OsString)],
    ) -> Result<Self> {
        let output = File::create(log).action(format!("write {}", log.display()))?;
        let errors = output.try_clone().action("share the server's log")?;
        let child = Command::new(binary)
            .arg(configuration)
            .args(options)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .action(format!("start {}", binary.display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Sends a signal. The process is a child not yet waited for, so its number cannot have
    /// passed to another process.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(std::io::Error::from)
            .action("send a signal to the server")
    }

    /// [`Error::Exited`] with the log if the process has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.exit_status()? {
            None => Ok(()),
            Some(status) => Err(Error::Exited {
                status,
                log: read_log(&self.log)?,
            }),
        }
    }

    /// Waits until the process has ended, however it ends.
    ///
    /// # Errors
    /// [`Error::Late`] when it still runs after `limit`.
    pub(super) async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let late = Instant::now() >= deadline;
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            if late {
                return Err(Error::Late {
                    what: "the server to end".to_owned(),
                    limit,
                });
            }
            sleep(INTERVAL).await;
        }
    }

    fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().action("look after the server")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is all that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log as far as it has been written.
pub(super) fn read_log(path: &Path) -> Result<String> {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .action(format!("read {}", path.display()))
}
