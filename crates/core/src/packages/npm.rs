//! Runs npm: without a shell, with a limit, its output in the log.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};

/// How long one run may take: packages that are built from source take minutes on small machines.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Between two looks at a run. A thread waits here, because the signal of a child's end belongs to Node.js.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the last output may take after the end of npm.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

/// Lines of output that an error repeats.
const LINES_SHOWN: usize = 24;

/// A longer line of output is cut, in bytes.
const LONGEST_LINE: u64 = 2_000;

/// Options of every run: the same packages whatever the machine's npm is configured for, and nothing that asks
/// other services. What npm is told about registries, proxies and caches holds.
const OPTIONS: &[&str] = &[
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--no-global",
    "--no-dry-run",
    "--package-lock",
    "--omit=dev",
    "--include=optional",
    "--include=peer",
    "--engine-strict",
    "--no-progress",
    "--no-color",
    "--loglevel=warn",
];

/// How npm is started.
#[derive(Debug, Clone)]
pub struct Npm {
    /// Node.js.
    pub node: PathBuf,
    /// npm's `npm-cli.js`; without it the program `npm` of the PATH is run.
    pub cli: Option<PathBuf>,
    stop: Arc<AtomicBool>,
}

impl Npm {
    /// npm by the paths of Node.js and of `npm-cli.js`.
    pub fn new(node: PathBuf, cli: Option<PathBuf>) -> Self {
        Self {
            node,
            cli,
            stop: Arc::default(),
        }
    }

    /// Ends what runs, and lets nothing more run.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Runs npm in a folder, which has a package.json.
    ///
    /// # Errors
    /// `PackagesFailed` with the last lines of its output where it failed or took too long, could not unpack a
    /// file, or where there is no npm; `Closed` after [`Npm::stop`].
    pub async fn run(&self, folder: &Path, command: &[&str], more: &[String]) -> Result<()> {
        let npm = self.clone();
        let folder = folder.to_owned();
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let more = more.to_vec();
        crate::blocking(move || npm.run_here(&folder, &command, &more)).await?
    }

    fn run_here(&self, folder: &Path, command: &[String], more: &[String]) -> Result<()> {
        let mut child = self.start(folder, command, more)?;
        let told = Arc::new(Told::default());
        let ends = [
            collect(child.stdout.take(), Arc::clone(&told)),
            collect(child.stderr.take(), Arc::clone(&told)),
        ];
        let status = self.wait(&mut child);
        for end in ends {
            // A process that left the group may still hold the pipe.
            let _ = end.recv_timeout(LAST_OUTPUT);
        }
        let status = status?;
        if status.success() && !told.cut_off.load(Ordering::Acquire) {
            return Ok(());
        }
        let lines: Vec<String> = lock(&told.last).iter().cloned().collect();
        let lines = lines.join(" | ");
        Err(failed(if status.success() {
            format!(
                "npm could not write all files in {}: {lines}; make room on the disk, or let this process write there",
                folder.display()
            )
        } else {
            format!("npm ended with {status}: {lines}")
        }))
    }

    fn start(&self, folder: &Path, command: &[String], more: &[String]) -> Result<Child> {
        if self.stop.load(Ordering::Acquire) {
            return Err(closed());
        }
        let mut process = match &self.cli {
            Some(cli) => {
                let mut process = Command::new(&self.node);
                process.arg(cli);
                process
            }
            None => Command::new("npm"),
        };
        process
            .args(command)
            .args(OPTIONS)
            .args(more)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Scripts of packages have no business with the store, nor with the key that signs.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("REDIS_")
                || text.starts_with("VALKEY_")
                || text.starts_with("NODE_RED_CLUSTER_SIGNING_KEY")
            {
                process.env_remove(&name);
            }
        }
        // A group of its own, so that what npm starts ends with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut process, 0);
        tracing::debug!("npm {} in {}", command.join(" "), folder.display());
        process.spawn().map_err(|error| match &self.cli {
            Some(cli) => failed(format!("npm cannot be started ({}: {error})", cli.display())),
            None => failed(format!(
                "there is no npm: neither Node-RED nor Node.js brings one, and `npm` cannot be started ({error}); install npm, or set syncPackages to false"
            )),
        })
    }

    fn wait(&self, child: &mut Child) -> Result<std::process::ExitStatus> {
        let begun = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(error) => {
                    kill(child);
                    return Err(failed(format!("npm was lost sight of ({error})")));
                }
            }
            let stopped = self.stop.load(Ordering::Acquire);
            if stopped || begun.elapsed() >= LIMIT {
                kill(child);
                return Err(if stopped {
                    closed()
                } else {
                    failed(format!(
                        "npm was not done within {} minutes",
                        LIMIT.as_secs() / 60
                    ))
                });
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Ends npm and what it started.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// What npm printed that matters later.
#[derive(Default)]
struct Told {
    /// The last lines, errors before all others.
    last: Mutex<VecDeque<String>>,
    /// A file could not be written, which npm takes for a warning.
    cut_off: AtomicBool,
}

impl Told {
    fn note(&self, line: &str) {
        let unpacking = line.contains("TAR_ENTRY_ERROR");
        if unpacking {
            self.cut_off.store(true, Ordering::Release);
        }
        let error = line.strip_prefix("npm error ");
        let worth = error.is_some() || unpacking || !line.starts_with("npm ");
        // It names a file of this machine with the time in it, so that no two failures are the same.
        if !worth || line.contains("A complete log of this run") || line.contains("-debug-") {
            return;
        }
        let mut last = lock(&self.last);
        last.push_back(error.unwrap_or(line).to_owned());
        if last.len() > LINES_SHOWN {
            last.pop_front();
        }
    }
}

/// Reads a pipe to its end, line by line, into the log.
fn collect(pipe: Option<impl Read + Send + 'static>, told: Arc<Told>) -> mpsc::Receiver<()> {
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let Some(pipe) = pipe else { return };
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line);
            if matches!(read, Ok(0) | Err(_)) {
                // Whoever waited for it may have given up.
                let _ = ended.send(());
                return;
            }
            let text = without_login(String::from_utf8_lossy(&line).trim_end());
            if !text.is_empty() {
                tracing::debug!("npm: {text}");
                told.note(&text);
            }
        }
    });
    end
}

/// A line without the login of an address in it: `https://user:password@host` is one to a registry.
fn without_login(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\''))
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(login) => &after[login + 1..],
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

fn failed(why: String) -> Error {
    Error::new(Code::PackagesFailed, why)
}

fn closed() -> Error {
    Error::new(Code::Closed, "npm was ended, because this process ends")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A program in place of npm: these tests are about running one, not about npm.
    fn program(text: &str) -> (tempfile::TempDir, Npm) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        std::fs::write(&file, format!("#!/bin/sh\nshift\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let npm = Npm::new(file, Some("npm-cli.js".into()));
        (folder, npm)
    }

    #[tokio::test]
    async fn no_shell_reads_the_words_and_nothing_can_be_asked() {
        let (folder, npm) = program(r#"printf '%s\n' "$2" "$#" > words; cat"#);
        npm.run(folder.path(), &["install"], &["$(touch x); *".to_owned()])
            .await
            .unwrap();
        let expected = format!("--no-audit\n{}\n", OPTIONS.len() + 2);
        let words = std::fs::read_to_string(folder.path().join("words")).unwrap();
        assert_eq!(words, expected);
        assert!(!folder.path().join("x").exists());
    }

    #[tokio::test]
    async fn a_failure_tells_the_last_lines_and_no_login() {
        let (folder, npm) = program(
            "for i in $(seq 1 50); do echo \"npm error line $i\" >&2; done; echo 'npm error at https://me:secret@host/x' >&2; exit 7",
        );
        let error = npm.run(folder.path(), &["install"], &[]).await.unwrap_err();
        assert_eq!(error.code(), Code::PackagesFailed);
        let text = error.message();
        assert!(text.contains("line 50 | at https://host/x"), "{text}");
        assert!(
            !text.contains("line 1 ") && !text.contains("secret"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn files_that_could_not_be_unpacked_are_a_failure_though_npm_only_warns() {
        let (folder, npm) = program(
            "echo 'npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left' >&2; echo 'npm warn deprecated x' >&2",
        );
        let error = npm.run(folder.path(), &["install"], &[]).await.unwrap_err();
        assert!(
            error.message().contains("could not write") && error.message().contains("ENOSPC"),
            "{error}"
        );
        assert!(!error.message().contains("deprecated"), "{error}");
    }

    #[tokio::test]
    async fn without_npm_the_error_says_what_to_do() {
        let npm = Npm::new("/nowhere/node".into(), Some("/nowhere/npm-cli.js".into()));
        let error = npm
            .run(Path::new("/"), &["install"], &[])
            .await
            .unwrap_err();
        assert!(error.message().contains("/nowhere/npm-cli.js"), "{error}");
    }

    #[tokio::test]
    async fn a_stop_ends_npm_and_what_it_started() {
        let (folder, npm) = program("sleep 600 & echo $! > pid; wait");
        let pid_file = folder.path().join("pid");
        let running = tokio::spawn({
            let (npm, folder) = (npm.clone(), folder.path().to_owned());
            async move { npm.run(&folder, &["install"], &[]).await }
        });
        let pid = loop {
            match std::fs::read_to_string(&pid_file) {
                Ok(text) if text.ends_with('\n') => break text.trim().parse::<i32>().unwrap(),
                _ => tokio::time::sleep(PAUSE).await,
            }
        };
        npm.stop();
        assert_eq!(running.await.unwrap().unwrap_err().code(), Code::Closed);
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let begun = Instant::now();
        while rustix::process::test_kill_process(pid).is_ok() {
            // A zombie counts as there until whoever adopted it has noticed.
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
            if stat.is_ok_and(|stat| stat.contains(") Z ")) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "sleep goes on");
            tokio::time::sleep(PAUSE).await;
        }
        let error = npm.run(folder.path(), &["install"], &[]).await.unwrap_err();
        assert_eq!(error.code(), Code::Closed);
    }
}
