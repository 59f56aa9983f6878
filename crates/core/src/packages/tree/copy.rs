//! A second tree at the cost of its directories: files are linked, not copied. npm replaces packages as whole
//! folders and writes into no file of one that it leaves alone; only its own record is written in place.

use std::fs;
use std::io;
use std::path::Path;

/// npm's record of what it installed, in `node_modules`. It believes it only if no package is newer.
const RECORD: &str = ".package-lock.json";

/// Whether a copy shares its files with what it was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Linked,
    Copied,
}

/// Makes `to` what `from` is; nothing where that is not there.
pub(super) fn tree(from: &Path, to: &Path, files: Files) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    fs::create_dir(to)?;
    let mut record = None;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            tree(&source, &target, files)?;
        } else if kind.is_symlink() {
            symlink(&fs::read_link(&source)?, &target)?;
        } else if entry.file_name() == RECORD {
            record = Some((source, target));
        } else if files == Files::Copied || fs::hard_link(&source, &target).is_err() {
            // Not every file system has links.
            fs::copy(&source, &target)?;
        }
    }
    // Last, so that it is newer than all that it tells of; and a file of its own, as npm writes it in place.
    if let Some((source, target)) = record {
        fs::write(target, fs::read(source)?)?;
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(not(unix))]
fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    // npm makes none to files there, but scripts.
    let target = at.parent().unwrap_or(at).join(to);
    fs::copy(target, at).map(|_| ())
}
