//! A user directory that has nothing gets what was published: built beside it and moved there when it is whole,
//! because a restore that failed must not be taken for what an admin has. Blocks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::list::Overrides;
use super::lock::Lock;
use super::manifest::{Manifest, write};
use super::name::PackageName;
use super::snapshot::dependencies;
use super::tree::local;
use crate::error::Result;

const MODULES: &str = "node_modules";
const LOCK_FILE: &str = "package-lock.json";

/// Whether a user directory has never had a package.
pub(super) fn is_fresh(user_directory: &Path) -> Result<bool> {
    let entries = fs::read_dir(user_directory.join(MODULES));
    let empty = entries.map_or(true, |mut entries| entries.next().is_none());
    let no_lock = !user_directory.join(LOCK_FILE).exists();
    Ok(empty && no_lock && dependencies(user_directory)?.is_empty())
}

/// Tells npm in `stage` what to build for a user directory.
pub(super) fn prepare(
    user_directory: &Path,
    stage: &Path,
    dependencies: &BTreeMap<PackageName, String>,
    overrides: &Overrides,
    lock: &Lock,
) -> Result<()> {
    let mut manifest = Manifest::read(user_directory)?;
    let named = dependencies
        .iter()
        .map(|(name, specification)| (name.as_str().to_owned(), specification.clone()));
    manifest.set_dependencies(&named.collect())?;
    if !overrides.is_empty() {
        manifest.set("overrides", overrides)?;
    }
    let lock = lock.to_file(
        &manifest.field("name"),
        &manifest.field("version"),
        dependencies,
    );
    let prepared = || -> io::Result<()> {
        fs::create_dir_all(stage.join("nodes"))?;
        fs::write(stage.join("package.json"), manifest.text())?;
        fs::write(stage.join(LOCK_FILE), lock)?;
        for upload in fs::read_dir(user_directory.join("nodes"))
            .into_iter()
            .flatten()
        {
            let upload = upload?;
            if upload.file_type()?.is_file() {
                fs::copy(upload.path(), stage.join("nodes").join(upload.file_name()))?;
            }
        }
        match fs::copy(user_directory.join(".npmrc"), stage.join(".npmrc")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    };
    prepared().map_err(|error| local(stage, &error))
}

/// Moves what npm built to the user directory; package.json, which says that it is there, comes last.
pub(super) fn finish(stage: &Path, user_directory: &Path) -> Result<()> {
    let moved = || -> io::Result<()> {
        let modules = user_directory.join(MODULES);
        // It is empty, or was left by a process that was killed here.
        match fs::remove_dir_all(&modules) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(stage.join(MODULES), modules)?;
        fs::rename(stage.join(LOCK_FILE), user_directory.join(LOCK_FILE))
    };
    moved().map_err(|error| local(user_directory, &error))?;
    let file = stage.join("package.json");
    let text = fs::read_to_string(&file).map_err(|error| local(&file, &error))?;
    write(&user_directory.join("package.json"), &text)
}
