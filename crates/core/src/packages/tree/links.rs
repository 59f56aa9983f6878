//! Where Node-RED finds the packages of the cluster: `node_modules/<name>` of the user directory is a link into
//! the tree, and package.json names the exact version, so that Function nodes may use it and npm leaves it alone.
//!
//! What stands there already belongs to the worker's owner and stays as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Tree, local};
use crate::error::Result;
use crate::packages::list::PackageList;
use crate::packages::manifest::{Manifest, write};
use crate::packages::name::PackageName;

/// The file that says which dependencies in package.json are the cluster's, and how they were written.
const OURS: &str = "links.json";

/// What became of the links.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Links {
    /// Packages of the admin that are the owner's here at another version, and why they stay.
    pub conflicts: BTreeMap<PackageName, String>,
}

/// Makes the links of a worker those of a list.
///
/// # Errors
/// `LocalFile`.
pub fn link(tree: &Tree, list: &PackageList) -> Result<Links> {
    let modules = tree.user_directory.join("node_modules");
    let ours_file = tree.folder.join(OURS);
    let ours = read_ours(&ours_file);
    let mut manifest = Manifest::read(&tree.user_directory)?;
    let dependencies = manifest.dependencies();
    let mut links = Links::default();
    let mut wanted = BTreeMap::new();
    for (name, package) in &list.packages {
        let at = modules.join(name.as_str());
        let version = &package.version;
        let written = dependencies.get(name.as_str());
        let written_here = written.is_some() && ours.get(name.as_str()) == written;
        let there = fs::symlink_metadata(&at).is_ok();
        if written_here && there && !is_link_into(&at, tree) {
            // npm, run by hand in the user directory, put a copy in the place of the link.
            fs::remove_dir_all(&at).map_err(|error| local(&at, &error))?;
        } else if (there || (written.is_some() && !written_here)) && !is_link_into(&at, tree) {
            let own = version_at(&at);
            if own.as_ref() != Some(version) {
                let own = own.unwrap_or_else(|| "not installed".to_owned());
                links.conflicts.insert(
                    name.clone(),
                    format!("{name} is this worker's own ({own}) and is left alone; the admin has {version}"),
                );
            }
            continue;
        }
        make(&at, &tree.package(name)).map_err(|error| local(&at, &error))?;
        wanted.insert(name.as_str().to_owned(), version.clone());
    }
    remove_others(&modules, tree, &wanted).map_err(|error| local(&modules, &error))?;
    if wanted == ours
        && wanted
            .iter()
            .all(|(name, version)| dependencies.get(name) == Some(version))
    {
        return Ok(links);
    }
    let mut written = dependencies.clone();
    written.retain(|name, version| ours.get(name) != Some(version));
    written.extend(wanted.clone());
    // First, so that whatever happens nothing in package.json is taken for the owner's that is not.
    write(&ours_file, &serde_json::json!(wanted).to_string())?;
    if written != dependencies {
        manifest.set_dependencies(&written)?;
        manifest.write()?;
    }
    let lock_file = tree.user_directory.join("package-lock.json");
    if written == wanted && !wanted.is_empty() && !lock_file.exists() {
        // Where there is none, npm run by hand in the user directory installs into what the links lead to.
        write(
            &lock_file,
            r#"{"lockfileVersion":3,"requires":true,"packages":{}}"#,
        )?;
    }
    Ok(links)
}

/// Whether Node-RED finds this package in the tree, and not another one of the owner's.
pub fn is_linked(tree: &Tree, name: &PackageName) -> bool {
    let modules = tree.user_directory.join("node_modules");
    is_link_into(&modules.join(name.as_str()), tree)
}

/// What of the `names` of modules stands in no package.json of this user directory.
///
/// # Errors
/// `LocalFile`.
pub fn lacking(user_directory: &Path, names: Vec<String>) -> Result<Vec<String>> {
    let dependencies = crate::packages::snapshot::dependencies(user_directory)?;
    let lacks = |name: &String| !dependencies.contains_key(name);
    Ok(names.into_iter().filter(lacks).collect())
}

/// The version of the package in a folder.
fn version_at(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Manifest {
        version: String,
    }
    let text = fs::read(folder.join("package.json")).ok()?;
    serde_json::from_slice::<Manifest>(&text)
        .ok()
        .map(|manifest| manifest.version)
}

/// Whether there is a link into the tree of the cluster, in this place of it or a former one.
fn is_link_into(at: &Path, tree: &Tree) -> bool {
    let Ok(target) = fs::read_link(at) else {
        return false;
    };
    let target = at.parent().unwrap_or(at).join(target);
    without_dots(&target).starts_with(without_dots(&tree.tree()))
}

/// A path without `.` and `..`, by its text alone: the tree need not be there.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

fn make(at: &Path, target: &Path) -> io::Result<()> {
    let above = at.parent().unwrap_or(at);
    fs::create_dir_all(above)?;
    let target = relative(above, target);
    if fs::read_link(at).is_ok_and(|now| now == target) {
        return Ok(());
    }
    unlink(at)?;
    symlink(&target, at)
}

/// The way from one folder to another below a common one, so that a user directory can be moved.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to) = (without_dots(from), without_dots(to));
    let common = from
        .components()
        .zip(to.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = from.components().skip(common).map(|_| PathBuf::from(".."));
    let down = to
        .components()
        .skip(common)
        .map(|part| PathBuf::from(part.as_os_str()));
    up.chain(down).collect()
}

/// Removes the links into the tree that are not wanted any more.
fn remove_others(modules: &Path, tree: &Tree, wanted: &BTreeMap<String, String>) -> io::Result<()> {
    for (name, at) in names_in(modules)? {
        if !wanted.contains_key(&name) && is_link_into(&at, tree) {
            unlink(&at)?;
        }
    }
    Ok(())
}

/// The packages in a folder `node_modules`, those in scopes too.
fn names_in(modules: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(modules) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('@') && entry.file_type()?.is_dir() {
            for inner in fs::read_dir(entry.path())? {
                let inner = inner?;
                let inner_name = inner.file_name().to_string_lossy().into_owned();
                names.push((format!("{name}/{inner_name}"), inner.path()));
            }
        } else {
            names.push((name, entry.path()));
        }
    }
    Ok(names)
}

fn read_ours(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn unlink(at: &Path) -> io::Result<()> {
    let removed = fs::remove_file(at);
    #[cfg(windows)]
    let removed = removed.or_else(|_| fs::remove_dir(at));
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(windows)]
fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    // Links to folders need a privilege there, junctions none; they know absolute paths only.
    let absolute = without_dots(&at.parent().unwrap_or(at).join(target));
    junction::create(absolute, at)
}
