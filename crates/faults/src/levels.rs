//! What the subject holds: connections, open files and sockets, tasks, memory. It may hold no more of it after
//! a round than before the first fault.

use std::fs;

use crate::failure::{Failure, Result};

/// Open files and sockets that come and go without a fault: connections of HTTP, a file that is being written.
const SPARE_FILES: usize = 6;

/// What memory may grow by for other reasons than a leak: heaps that are collected late, buffers of a busy
/// moment. In bytes, besides a quarter of what it was.
const SPARE_MEMORY: u64 = 64 << 20;

/// How much there is of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    /// Connections that the store has.
    pub(crate) connections: usize,
    /// Open files and sockets of all processes.
    pub(crate) files: usize,
    /// Tasks of the runtime, where they can be counted.
    pub(crate) tasks: Option<usize>,
    /// Resident memory of all processes, in bytes.
    pub(crate) memory: u64,
}

impl Levels {
    /// Counts what processes hold.
    ///
    /// # Errors
    /// A process that is not there any more.
    pub(crate) fn of(processes: &[u32], connections: usize, tasks: Option<usize>) -> Result<Self> {
        let mut levels = Self {
            connections,
            tasks,
            ..Self::default()
        };
        for process in processes {
            let gone = |error| Failure::new(format!("process {process} cannot be seen: {error}"));
            levels.files += fs::read_dir(format!("/proc/{process}/fd"))
                .map_err(gone)?
                .count();
            let status = fs::read_to_string(format!("/proc/{process}/status")).map_err(gone)?;
            levels.memory += resident(&status);
        }
        Ok(levels)
    }

    /// What there is more of than there was, in words; memory is judged by [`Levels::grown`].
    pub(crate) fn leaks(&self, before: &Self) -> Vec<String> {
        let mut leaks = Vec::new();
        if self.connections != before.connections {
            leaks.push(format!(
                "the store has {} connections of instances instead of {}",
                self.connections, before.connections
            ));
        }
        if self.files > before.files + SPARE_FILES {
            leaks.push(format!(
                "{} files and sockets are open instead of {}",
                self.files, before.files
            ));
        }
        if let (Some(tasks), Some(usual)) = (self.tasks, before.tasks)
            && tasks > usual
        {
            leaks.push(format!("{tasks} tasks are alive instead of {usual}"));
        }
        leaks
    }

    /// Whether memory is above its level.
    pub(crate) fn grown(&self, before: &Self) -> Option<String> {
        let most = before.memory + before.memory / 4 + SPARE_MEMORY;
        (self.memory > most).then(|| {
            format!(
                "{} MiB of memory are in use, after {} MiB at the beginning",
                self.memory >> 20,
                before.memory >> 20
            )
        })
    }
}

/// Resident memory by `/proc/<pid>/status`, in bytes.
fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_a_leak_and_less_is_none() {
        let before = Levels {
            connections: 10,
            files: 50,
            tasks: Some(30),
            memory: 100 << 20,
        };
        assert!(before.leaks(&before).is_empty());
        let more = Levels {
            connections: 11,
            files: 50 + SPARE_FILES + 1,
            tasks: Some(31),
            memory: 200 << 20,
        };
        assert_eq!(more.leaks(&before).len(), 3);
        assert!(more.grown(&before).is_some() && before.grown(&before).is_none());
        let less = Levels {
            connections: 9,
            ..before.clone()
        };
        assert_eq!(less.leaks(&before).len(), 1, "an instance lacks a link");
    }

    #[test]
    fn this_process_holds_something() {
        let levels = Levels::of(&[std::process::id()], 0, None).expect("it is there");
        assert!(levels.files > 2 && levels.memory > 1 << 20, "{levels:?}");
        assert_eq!(resident("VmPeak: 9 kB\nVmRSS:\t    12 kB\n"), 12 << 10);
    }
}
