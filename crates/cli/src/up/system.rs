//! What the operating system is asked about processes: signals to them, and whose they are.

use std::path::Path;

/// Asks a process to end in order. Windows knows no such request for a process without a window,
/// so there the process is left to be killed.
pub(super) fn ask_to_end(pid: u32) {
    #[cfg(unix)]
    if let Some(pid) = unix_pid(pid) {
        // Fails only if the process has ended already.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }
    #[cfg(not(unix))]
    let _ = pid;
}

/// Ends all processes of the group that the process leads, at once. Nothing on Windows.
pub(super) fn kill_group(pid: u32) {
    #[cfg(unix)]
    if let Some(pid) = unix_pid(pid) {
        // Fails only if nothing is left of the group.
        rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
    }
    #[cfg(not(unix))]
    let _ = pid;
}

#[cfg(unix)]
fn unix_pid(pid: u32) -> Option<rustix::process::Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
}

/// Whether a live process of this id works in `directory` or names a path below it in its command
/// line. A process id alone proves nothing: it may long be somebody else's.
#[cfg(target_os = "linux")]
pub(super) fn belongs_to(pid: u32, directory: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    // Empty for a process that has ended and was not yet reaped.
    let command_line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let working_directory = std::fs::read_link(process.join("cwd"));
    mentions(&command_line, directory)
        || working_directory.is_ok_and(|path| path.starts_with(directory))
}

/// As on Linux, through the tools that every other Unix has. A store overwrites its command line,
/// hence the second question.
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) fn belongs_to(pid: u32, directory: &Path) -> bool {
    use std::process::Command;

    let pid = pid.to_string();
    let ask = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .output()
            .map(|output| output.stdout)
            .unwrap_or_default()
    };
    if mentions(&ask("ps", &["-o", "command=", "-p", &pid]), directory) {
        return true;
    }
    let listing = ask("lsof", &["-a", "-p", &pid, "-d", "cwd", "-Fn"]);
    String::from_utf8_lossy(&listing)
        .lines()
        .filter_map(|line| line.strip_prefix('n'))
        .any(|path| Path::new(path).starts_with(directory))
}

/// Windows ends the children with their parent's console; none is looked for.
#[cfg(not(unix))]
pub(super) fn belongs_to(_pid: u32, _directory: &Path) -> bool {
    false
}

/// Whether a command line names a path below `directory`: there, and not merely as a part of a
/// longer name.
#[cfg(unix)]
fn mentions(command_line: &[u8], directory: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;

    let below = [directory.as_os_str().as_bytes(), b"/"].concat();
    command_line
        .windows(below.len())
        .enumerate()
        .any(|(start, part)| {
            part == below
                && start
                    .checked_sub(1)
                    .is_none_or(|before| matches!(command_line[before], 0 | b' ' | b'='))
        })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_must_name_the_directory_itself() {
        let directory = Path::new("/data/a");
        assert!(mentions(
            b"node\0red.js\0--userDir\0/data/a/admin\0",
            directory
        ));
        assert!(mentions(b"node-red-cluster /data/a/admin", directory));
        assert!(!mentions(b"node\0--userDir\0/data/a2/admin\0", directory));
        assert!(!mentions(
            b"node\0--userDir\0/more/data/a/admin\0",
            directory
        ));
        assert!(!mentions(b"", directory));
    }

    #[test]
    fn this_process_belongs_to_where_it_works() {
        let here = std::env::current_dir().expect("a working directory");
        assert!(belongs_to(std::process::id(), &here));
        assert!(!belongs_to(std::process::id(), Path::new("/nowhere")));
    }
}
