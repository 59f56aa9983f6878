//! The directory that `up` keeps everything in.
//!
//! ```text
//! admin/ worker-1/ ...   user directories of the instances
//! settings.js            the user's own, merged over those of every instance (optional)
//! store/                 data of the store
//! run/lock               held while an `up` works here
//! run/<name>.pid         process id of each child that runs
//! run/store-port         port that the store had last
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The layout, whether or not it exists yet.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

/// The right to work in a directory; given up when dropped, or with the process however it ends.
#[derive(Debug)]
pub(super) struct Hold {
    _lock: File,
}

impl Directory {
    /// The directory at an absolute path.
    pub(super) fn at(path: PathBuf) -> Self {
        // Removes "." and "..", so that one directory has one name in command lines.
        Self {
            root: normalized(&path),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The user's own settings.
    pub(super) fn own_settings(&self) -> PathBuf {
        self.root.join("settings.js")
    }

    /// The data directory of the store.
    pub(super) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The port that the store had last.
    pub(super) fn store_port(&self) -> PathBuf {
        self.run().join("store-port")
    }

    /// Where the process ids are.
    pub(super) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The file with the process id of the child of this name.
    pub(super) fn pid_file(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.pid"))
    }

    /// Creates the directory if need be, and makes sure that no other `up` works in it.
    pub(super) fn hold(&self) -> Result<Hold, Failure> {
        self.create(&self.run())?;
        self.create(&self.store())?;
        let path = self.run().join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| not_writable(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Hold { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Failure::Refused(format!(
                "Another `up` is running with {}. Stop it first, or give this one its own \
                 directory and ports with --dir and --port.",
                self.root.display(),
            ))),
            Err(TryLockError::Error(error)) => Err(not_writable(&path, &error)),
        }
    }

    /// Creates a directory below this one.
    pub(super) fn create(&self, path: &Path) -> Result<(), Failure> {
        fs::create_dir_all(path).map_err(|error| not_writable(path, &error))
    }

    /// Writes a file that only its owner may read: settings can hold the store's password.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        write_private(path, text).map_err(|error| not_writable(path, &error))
    }
}

/// The sentence for a path that cannot be written.
fn not_writable(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!(
        "Cannot write {}: {error}. Make it writable for this user, or choose another directory \
         with --dir.",
        path.display(),
    ))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, text.as_bytes())
}

fn normalized(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut result, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            part => result.push(part),
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_directory_has_one_name() {
        let directory = Directory::at("/home/me/./project/../.node-red-cluster".into());
        assert_eq!(directory.root(), Path::new("/home/me/.node-red-cluster"));
    }

    #[test]
    fn only_one_may_hold_a_directory() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::at(place.path().join("cluster"));
        let hold = directory.hold().expect("nobody else holds it");
        let refusal = directory.hold().expect_err("held").to_string();
        assert!(refusal.contains("Another `up` is running"), "{refusal}");
        drop(hold);
        directory.hold().expect("free again");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let file = place.path().join("file");
        fs::write(&file, "").expect("writable");
        let refusal = Directory::at(file.join("cluster"))
            .hold()
            .expect_err("below a file")
            .to_string();
        assert!(refusal.contains("Cannot write"), "{refusal}");
        assert!(refusal.contains("--dir"), "{refusal}");
    }
}
