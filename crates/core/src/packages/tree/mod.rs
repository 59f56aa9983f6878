//! The packages of the cluster on a worker's disk: a folder of their own, so that what the worker's owner or
//! its image installed is never touched, and so that npm can build exactly what the lock file says.
//!
//! ```text
//! packages/hold         held by the process that works here
//! packages/cluster      the key prefix of the cluster that it is for
//! packages/tree/        what this process runs: package.json, package-lock.json, node_modules, installed.json
//! packages/next/        the same for the next start, whole, where a change needs one
//! packages/stage-<id>/  being built; of no use to anybody if its process ends
//! packages/old-<id>/    being removed
//! ```
//!
//! A tree is built aside, checked, and put in its place by renaming. Packages that are only added are moved into
//! the tree that runs, one folder after the other; nothing that is already there is changed under a running
//! process. `installed.json`, written last, says what a folder holds. All functions here block.
//!
//! - [`links`]: where Node-RED finds the packages
//! - `copy`: a second tree at the cost of its directories

mod copy;
pub mod links;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::lock::{LOCK_LIMIT, Lock};
use super::name::PackageName;
use super::store::Published;
use super::tarball::{Digest, FOLDER as TARBALLS};
use crate::error::{Code, Error, Result};

const TREE: &str = "tree";
const NEXT: &str = "next";
const STAGE: &str = "stage-";
const OLD: &str = "old-";
const CLUSTER: &str = "cluster";
const INSTALLED: &str = "installed.json";
const MODULES: &str = "node_modules";
const HIDDEN_LOCK: &str = ".package-lock.json";

/// The packages on the disk of one worker; held by one process at a time.
#[derive(Debug)]
pub struct Tree {
    folder: PathBuf,
    user_directory: PathBuf,
    _hold: File,
}

/// When a tree is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Before Node-RED loads anything of it.
    AtStart,
    /// It may have loaded what is in place; that stays.
    Later,
}

/// A tree that is being built.
#[derive(Debug, Clone)]
pub struct Stage {
    folder: PathBuf,
}

impl Tree {
    /// Takes hold of `folder`, puts in place what an earlier process left for this start, and removes what
    /// was left half-done. Returns what that process had, too.
    ///
    /// # Errors
    /// `LocalFile` where the folder cannot be written, or another process works in it.
    pub fn open(
        user_directory: &Path,
        folder: &Path,
        opening: Opening,
    ) -> Result<(Self, Option<Published>)> {
        let opened = || -> io::Result<File> {
            fs::create_dir_all(folder)?;
            let hold = File::options()
                .create(true)
                .append(true)
                .open(folder.join("hold"))?;
            match hold.try_lock() {
                Ok(()) => Ok(hold),
                Err(fs::TryLockError::WouldBlock) => Err(io::Error::other(
                    "another process works in it; give each instance a user directory of its own",
                )),
                Err(fs::TryLockError::Error(error)) => Err(error),
            }
        };
        let tree = Self {
            folder: folder.to_owned(),
            user_directory: user_directory.to_owned(),
            _hold: opened().map_err(|error| local(folder, &error))?,
        };
        let before = tree.installed();
        if opening == Opening::AtStart {
            tree.swap()?;
        }
        sweep(folder);
        Ok((tree, before))
    }

    /// What the tree holds that this process runs.
    pub fn installed(&self) -> Option<Published> {
        read_installed(&self.tree())
    }

    /// Whether the tree was installed for the cluster with this key prefix.
    pub fn is_of(&self, key_prefix: &str) -> bool {
        fs::read_to_string(self.folder.join(CLUSTER)).is_ok_and(|text| text == key_prefix)
    }

    /// Remembers for which cluster the tree is.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn mark(&self, key_prefix: &str) -> Result<()> {
        let file = self.folder.join(CLUSTER);
        if self.is_of(key_prefix) {
            return Ok(());
        }
        fs::write(&file, key_prefix).map_err(|error| local(&file, &error))
    }

    /// What is ready for the next start.
    pub fn next(&self) -> Option<Published> {
        read_installed(&self.folder.join(NEXT))
    }

    /// Begins to build a tree: with all that is there already, so that npm has to fetch only what differs; with
    /// nothing where nothing is wanted.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn begin(&self, published: &Published, lock: &Lock) -> Result<Stage> {
        let stage = Stage {
            folder: self.unique(STAGE),
        };
        self.fill(&stage.folder, published, lock)
            .inspect_err(|_| stage.discard_quietly())
            .map_err(|error| local(&stage.folder, &error))?;
        Ok(stage)
    }

    fn fill(&self, stage: &Path, published: &Published, lock: &Lock) -> io::Result<()> {
        fs::create_dir(stage)?;
        for base in [self.folder.join(NEXT), self.tree()] {
            if !lock.is_empty() && base.join(INSTALLED).exists() {
                // Scripts may write into packages that are there already.
                let shared = if scripts_run(read_installed(&base).as_ref(), lock) {
                    copy::Files::Copied
                } else {
                    copy::Files::Linked
                };
                copy::tree(&base.join(MODULES), &stage.join(MODULES), shared)?;
                copy::tree(
                    &base.join(TARBALLS),
                    &stage.join(TARBALLS),
                    copy::Files::Linked,
                )?;
                break;
            }
        }
        fs::create_dir_all(stage.join(TARBALLS))?;
        write_manifest(stage, published, lock)?;
        // The owner's registry, proxy and login for npm hold here too.
        match fs::copy(self.user_directory.join(".npmrc"), stage.join(".npmrc")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The tree holds this revision too, which differs in nothing that npm has to do with.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn relabel(&self, published: &Published) -> Result<()> {
        write_installed(&self.tree(), published)
    }

    /// Makes a finished stage the tree of the next start, in place of one that was.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn leave_for_next(&self, stage: Stage) -> Result<()> {
        self.drop_next()?;
        let next = self.folder.join(NEXT);
        fs::rename(&stage.folder, &next).map_err(|error| local(&next, &error))
    }

    /// Forgets what was ready for the next start.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn drop_next(&self) -> Result<()> {
        self.put_away(&self.folder.join(NEXT))
    }

    /// Puts what is ready for the next start in place: this is that start.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn swap(&self) -> Result<()> {
        let (tree, next) = (self.tree(), self.folder.join(NEXT));
        if read_installed(&next).is_none() {
            return Ok(());
        }
        self.put_away(&tree)?;
        fs::rename(&next, &tree).map_err(|error| local(&tree, &error))
    }

    /// Moves what a finished stage has more into the tree that this process runs.
    ///
    /// # Errors
    /// `LocalFile`; what was moved until then is of no harm, and done again next time.
    pub fn add(&self, stage: Stage, published: &Published) -> Result<()> {
        let tree = self.tree();
        let added = match self.installed() {
            Some(installed) => self.merge(&stage.folder, &installed.lock, &published.lock),
            None => self
                .put_away(&tree)
                .and_then(|()| fs::rename(&stage.folder, &tree).map_err(|e| local(&tree, &e))),
        };
        added.inspect_err(|_| stage.discard_quietly())?;
        stage.discard_quietly();
        Ok(())
    }

    fn merge(&self, stage: &Path, before: &Lock, after: &Lock) -> Result<()> {
        let tree = self.tree();
        let merged = || -> io::Result<()> {
            for path in before.added_by(after) {
                let (from, to) = (path.below(stage), path.below(&tree));
                if from.exists() {
                    move_over(&from, &to)?;
                }
            }
            move_missing(
                &stage.join(MODULES).join(".bin"),
                &tree.join(MODULES).join(".bin"),
            )?;
            // What scripts put beside the packages.
            move_missing(&stage.join(MODULES), &tree.join(MODULES))?;
            move_missing(&stage.join(TARBALLS), &tree.join(TARBALLS))?;
            // What says what is there comes last.
            for file in [
                Path::new(MODULES).join(HIDDEN_LOCK),
                "package-lock.json".into(),
                "package.json".into(),
                INSTALLED.into(),
            ] {
                // npm leaves no record of nothing.
                if stage.join(&file).exists() {
                    fs::rename(stage.join(&file), tree.join(&file))?;
                }
            }
            Ok(())
        };
        merged().map_err(|error| local(&tree, &error))
    }

    /// The modules among the packages that Node-RED can load, with the version that lies there.
    pub fn node_red_modules<'name>(
        &self,
        names: impl IntoIterator<Item = &'name PackageName>,
    ) -> Vec<PackageName> {
        let is_module = |name: &PackageName| {
            let file = self.package(name).join("package.json");
            let text = fs::read(file).unwrap_or_default();
            serde_json::from_slice::<serde_json::Value>(&text)
                .is_ok_and(|manifest| manifest.get("node-red").is_some())
        };
        let modules = names.into_iter().filter(|name| is_module(name));
        modules.cloned().collect()
    }

    /// Where a package of the cluster lies.
    pub fn package(&self, name: &PackageName) -> PathBuf {
        super::lock::PackagePath::top(name).below(&self.tree())
    }

    /// The folder whose packages this process runs.
    pub fn tree(&self) -> PathBuf {
        self.folder.join(TREE)
    }

    /// Moves a folder out of the way and removes it.
    fn put_away(&self, folder: &Path) -> Result<()> {
        let old = self.unique(OLD);
        match fs::rename(folder, &old) {
            Ok(()) => {
                remove(&old);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(local(folder, &error)),
        }
    }

    fn unique(&self, beginning: &str) -> PathBuf {
        self.folder
            .join(format!("{beginning}{}", uuid::Uuid::new_v4().simple()))
    }
}

impl Stage {
    /// Where npm is to work.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a tarball is there already.
    pub fn has_tarball(&self, digest: Digest) -> bool {
        self.tarball(digest).exists()
    }

    /// Puts a tarball where the lock file says that it is.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn put_tarball(&self, digest: Digest, bytes: &[u8]) -> Result<()> {
        let file = self.tarball(digest);
        fs::write(&file, bytes).map_err(|error| local(&file, &error))
    }

    fn tarball(&self, digest: Digest) -> PathBuf {
        self.folder.join(TARBALLS).join(digest.file_name())
    }

    /// Checks that npm built exactly what the lock file says, and marks the tree as whole.
    ///
    /// # Errors
    /// `PackagesFailed` where something differs, `LocalFile`.
    pub fn finish(&self, published: &Published) -> Result<()> {
        if let Some(drift) = self.drift(&published.lock)? {
            return Err(Error::new(
                Code::PackagesFailed,
                format!("npm installed something else than the admin has: {drift}"),
            ));
        }
        // It may hold a login, and is read anew for each stage.
        let _ = fs::remove_file(self.folder.join(".npmrc"));
        write_installed(&self.folder, published)
    }

    /// Puts back what npm was told, where a run of it changed that.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn reset(&self, published: &Published, lock: &Lock) -> Result<()> {
        write_manifest(&self.folder, published, lock).map_err(|error| local(&self.folder, &error))
    }

    /// How what npm built differs from the lock file.
    ///
    /// # Errors
    /// `LocalFile`.
    pub fn drift(&self, lock: &Lock) -> Result<Option<String>> {
        let file = self.folder.join(MODULES).join(HIDDEN_LOCK);
        let record = match fs::read(&file) {
            Ok(bytes) => Lock::from_file(&bytes)?,
            // npm leaves no record of nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Lock::default(),
            Err(error) => return Err(local(&file, &error)),
        };
        if let Some(drift) = lock.drift(&record) {
            return Ok(Some(drift));
        }
        let is_there = |path: &super::lock::PackagePath| path.below(&self.folder).is_dir();
        let lost = record.iter().find(|(path, _)| !is_there(path));
        Ok(lost.map(|(path, _)| format!("{path} has no folder")))
    }

    /// Removes it.
    pub fn discard(self) {
        self.discard_quietly();
    }

    fn discard_quietly(&self) {
        remove(&self.folder);
    }
}

/// Whether install scripts run on the way from what a tree has to a lock file.
fn scripts_run(installed: Option<&Published>, lock: &Lock) -> bool {
    lock.iter().any(|(path, entry)| {
        let before = installed.and_then(|installed| installed.lock.get(path));
        entry.has_install_script && !before.is_some_and(|before| before.is_same_package(entry))
    })
}

/// Tells npm what to build in a folder.
fn write_manifest(folder: &Path, published: &Published, lock: &Lock) -> io::Result<()> {
    let roots = published.list.roots();
    let (name, version) = ("packages-of-the-cluster", "0.0.0");
    let manifest = serde_json::json!({
        "name": name,
        "version": version,
        "private": true,
        "dependencies": roots,
        "overrides": published.list.overrides,
    });
    fs::write(folder.join("package.json"), manifest.to_string())?;
    fs::write(
        folder.join("package-lock.json"),
        lock.to_file(name, version, &roots),
    )
}

fn write_installed(folder: &Path, published: &Published) -> Result<()> {
    let file = folder.join(INSTALLED);
    let text = serde_json::to_vec(published)
        .map_err(|error| Error::new(Code::Internal, error.to_string()))?;
    let written = || -> io::Result<()> {
        let temporary = file.with_extension("new");
        fs::write(&temporary, text)?;
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, &file)
    };
    written().map_err(|error| local(&file, &error))
}

fn read_installed(folder: &Path) -> Option<Published> {
    let file = folder.join(INSTALLED);
    let bytes = fs::read(&file).ok()?;
    if bytes.len() > 2 * LOCK_LIMIT {
        return None;
    }
    match serde_json::from_slice(&bytes) {
        Ok(published) => Some(published),
        Err(error) => {
            tracing::warn!(
                "{} is damaged, the packages are installed anew ({error})",
                file.display()
            );
            None
        }
    }
}

/// Moves a folder or file to a place, whatever is there.
fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::rename(from, to)
}

/// Moves what a folder has and the other has not.
fn move_missing(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if fs::symlink_metadata(&place).is_err() {
            fs::rename(entry.path(), place)?;
        }
    }
    Ok(())
}

/// Removes what earlier processes left half-done in a folder.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(STAGE) || name.starts_with(OLD) {
            remove(&entry.path());
        }
    }
}

/// Removes a folder; what stays is tried again at the next start.
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!("{} cannot be removed yet: {error}", folder.display());
    }
}

pub(super) fn local(path: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; packages of the admin are installed in the user directory, which this process must be able to write; or set syncPackages to false"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        _ => "",
    };
    Error::new(
        Code::LocalFile,
        format!("{} cannot be used ({error}){remedy}", path.display()),
    )
}

#[cfg(test)]
mod tests;
