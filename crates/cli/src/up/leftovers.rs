//! Children of an earlier `up` that was killed before it could end them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::stop::{Stop, Urgency};
use crate::terminal::Terminal;

use super::directory::Directory;
use super::{store, system};

/// How long a process left behind may take to end in order.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a killed process may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Ends what is left, the store last, and forgets it. Only for the holder of the directory.
pub(super) async fn end(directory: &Directory, terminal: &Terminal, stop: &mut Stop) {
    let (stores, instances): (Vec<_>, Vec<_>) = pid_files(directory)
        .into_iter()
        .partition(|file| *file == directory.pid_file(store::NAME));
    for files in [instances, stores] {
        let pids: Vec<u32> = files
            .iter()
            .filter_map(|file| left_behind(file, directory.root()))
            .collect();
        end_processes(&pids, directory.root(), terminal, stop).await;
        for file in files {
            fs::remove_file(file).ok();
        }
    }
}

fn pid_files(directory: &Directory) -> Vec<PathBuf> {
    fs::read_dir(directory.run())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
        .collect()
}

fn left_behind(pid_file: &Path, root: &Path) -> Option<u32> {
    let pid = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    system::belongs_to(pid, root).then_some(pid)
}

async fn end_processes(pids: &[u32], root: &Path, terminal: &Terminal, stop: &mut Stop) {
    for pid in pids {
        terminal.line(&format!(
            "Ending process {pid}, which an earlier `up` left behind."
        ));
        system::ask_to_end(*pid);
    }
    tokio::select! {
        () = gone(pids, root) => return,
        () = stop.requested(Urgency::AtOnce) => {}
        () = sleep(PATIENCE) => {}
    }
    for pid in pids.iter().filter(|pid| system::belongs_to(**pid, root)) {
        system::kill_group(*pid);
    }
    if timeout(KILL_LIMIT, gone(pids, root)).await.is_err() {
        terminal.error("Some of these processes do not even end when killed; going on.");
    }
}

/// Resolves when none of the processes is left. The directory is asked for anew each time, because
/// an id may pass to somebody else.
async fn gone(pids: &[u32], root: &Path) {
    while pids.iter().any(|pid| system::belongs_to(*pid, root)) {
        sleep(PAUSE).await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Stdio;

    use tokio::process::{Child, Command};
    use tokio::sync::watch;

    use crate::terminal::Style;
    use crate::terminal::tests::Screen;

    use super::*;

    fn sleeper(working_directory: &Path) -> Child {
        Command::new("sleep")
            .arg("1000")
            .current_dir(working_directory)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("a system with sleep")
    }

    fn note(directory: &Directory, name: &str, child: &Child) {
        let pid = child.id().expect("not yet waited for").to_string();
        fs::write(directory.pid_file(name), pid).expect("writable");
    }

    #[tokio::test]
    async fn what_an_earlier_run_left_is_ended_and_strangers_are_left_alone() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let elsewhere = tempfile::tempdir().expect("a temporary directory");
        // As the kernel names it: a temporary directory may be behind a symbolic link.
        let root = place.path().canonicalize().expect("it exists");
        let directory = Directory::at(root);
        let _hold = directory.hold().expect("free");
        let mut instance = sleeper(directory.root());
        let mut store = sleeper(&directory.store());
        let mut stranger = sleeper(elsewhere.path());
        note(&directory, "worker-1", &instance);
        note(&directory, store::NAME, &store);
        note(&directory, "worker-2", &stranger);
        fs::write(directory.pid_file("worker-3"), "no number").expect("writable");

        let screen = Screen::default();
        let (_signals, counted) = watch::channel(0);
        let terminal = screen.terminal(Style::default());
        end(&directory, &terminal, &mut Stop::new(counted)).await;

        instance.wait().await.expect("ended");
        store.wait().await.expect("ended");
        assert_eq!(stranger.try_wait().expect("a child of ours"), None);
        assert!(pid_files(&directory).is_empty());
        terminal.finish().await;
        assert_eq!(screen.text().matches("Ending process").count(), 2);
    }
}
