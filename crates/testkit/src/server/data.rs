//! What a server had on its disk at a moment.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::error::{IoContext, Result};

/// A copy of a server's data, for [`Server::start_with`](crate::Server::start_with).
#[derive(Debug)]
pub struct SavedData(TempDir);

impl SavedData {
    /// Copies a directory that a server may be writing to: its files only grow, and it reads
    /// them up to the last whole command.
    pub(super) fn copy(data: &Path) -> Result<Self> {
        let copy = TempDir::with_prefix("nrc-").action("make a temporary directory")?;
        copy_all(data, copy.path()).action(format!("copy {}", data.display()))?;
        Ok(Self(copy))
    }

    /// Puts the data into an empty directory.
    pub(super) fn restore(&self, data: &Path) -> Result<()> {
        copy_all(self.0.path(), data).action(format!("write {}", data.display()))
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_all(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
