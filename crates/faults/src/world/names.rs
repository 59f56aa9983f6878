//! A name of the store that only the subject knows, and that can move.
//!
//! The subject runs in a mount namespace of its own in which a file of the suite's lies over `/etc/hosts`. That
//! takes Linux, `unshare` and the right to mount.

use std::fs::{self, File};

use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::failure::Result;

/// How the subject knows the store.
pub(crate) const NAME: &str = "store.faults.test";

/// Enters the namespace, then becomes the program that follows.
const ENTER: &str = r#"mount --bind "$0" /etc/hosts && exec "$@""#;

/// The hosts file.
#[derive(Debug)]
pub(crate) struct Names {
    path: PathBuf,
    _directory: TempDir,
    others: String,
}

impl Names {
    /// Makes the file, if a subject can be given one here; otherwise says why not.
    pub(crate) fn private() -> std::result::Result<Self, String> {
        let directory = TempDir::with_prefix("nrc-").map_err(|error| error.to_string())?;
        let path = directory.path().join("hosts");
        let others = fs::read_to_string("/etc/hosts").unwrap_or_default();
        fs::write(&path, &others).map_err(|error| error.to_string())?;
        let names = Self {
            path,
            _directory: directory,
            others,
        };
        let [program, arguments @ ..] = &names.command()[..] else {
            return Err("no command".to_owned());
        };
        match Command::new(program).args(arguments).arg("true").output() {
            Ok(output) if output.status.success() => Ok(names),
            Ok(output) => Err(format!(
                "a process cannot be given a hosts file of its own here: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => Err(format!(
                "a process cannot be given a hosts file of its own here: unshare: {error}"
            )),
        }
    }

    /// What stands before the command of a program that is to know the name.
    pub(crate) fn command(&self) -> Vec<String> {
        let path = self.path.to_string_lossy();
        ["unshare", "--mount", "sh", "-c", ENTER, &path]
            .map(str::to_owned)
            .to_vec()
    }

    /// Gives the name an address. In place, because what is mounted is this very file.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn point(&self, address: IpAddr) -> Result<()> {
        let text = format!("{address} {NAME}\n{}", self.others);
        let file = File::options().write(true).open(&self.path)?;
        file.write_all_at(text.as_bytes(), 0)?;
        file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
        Ok(())
    }
}
