//! npm's lock file (`lockfileVersion` 2 and 3, the map `packages`), as far as the cluster needs it: which
//! package at which path at which version, and what each depends on.
//!
//! Fields that are not listed here are dropped, addresses of tarballs among them: a worker asks the registry
//! that it is configured for, and `integrity` sees to it that it gets the same bytes.

mod entry;
mod path;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use entry::Entry;
pub use path::PackagePath;

use super::name::PackageName;
use crate::error::{Code, Error, Result};

/// The longest lock file that is published and read, in bytes: some 20,000 packages.
pub const LOCK_LIMIT: usize = 8 * 1024 * 1024;

/// More packages than any Node-RED has.
const MOST_ENTRIES: usize = 20_000;

/// Packages by the path at which Node.js finds them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lock {
    packages: BTreeMap<PackagePath, Entry>,
}

/// What a lock file says that matters here; everything else in it is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    lockfile_version: u64,
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
}

impl Lock {
    /// Reads npm's own file, `package-lock.json` or `node_modules/.package-lock.json`. Paths outside of
    /// `node_modules` (the root, workspaces) are passed over.
    ///
    /// # Errors
    /// `ValueDamaged` where it is no lock file, or one of npm 6.
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| damaged(&format!("it is no lock file of npm: {error}")))?;
        if file.lockfile_version < 2 {
            return Err(damaged(
                "it is a lock file of npm 6 or older; run `npm install` once with a newer npm",
            ));
        }
        let packages = file
            .packages
            .into_iter()
            .filter_map(|(path, entry)| Some((PackagePath::parse(&path).ok()?, entry)));
        Ok(Self {
            packages: packages.collect(),
        })
    }

    /// Reads what an admin published, and refuses all of it where any part is not plainly packages of the
    /// registry or uploads.
    ///
    /// # Errors
    /// `ValueDamaged`, naming the part.
    pub fn from_store(text: &str) -> Result<Self> {
        let lock: Self = serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
        if lock.packages.len() > MOST_ENTRIES {
            return Err(damaged(&format!("more than {MOST_ENTRIES} packages")));
        }
        for (path, entry) in &lock.packages {
            let own = PackageName::parse(path.name()).is_ok_and(|name| name.is_own());
            let fault = entry.fault().or_else(|| entry.source_fault());
            if let Some(fault) =
                fault.or_else(|| own.then(|| "is never installed by the cluster".to_owned()))
            {
                return Err(damaged(&format!("{path} {fault}")));
            }
        }
        Ok(lock)
    }

    /// The text to publish.
    ///
    /// # Errors
    /// A fault of this program only.
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::new(Code::Internal, error.to_string()))
    }

    /// The text of a `package-lock.json` for a folder that depends on `roots`, by name and specification. `name`
    /// and `version` stand in its package.json too, or npm would put the name of the folder there.
    pub fn to_file(
        &self,
        name: &str,
        version: &str,
        roots: &BTreeMap<PackageName, String>,
    ) -> String {
        let mut packages = serde_json::Map::new();
        let root = json!({ "name": name, "version": version, "dependencies": roots });
        packages.insert(String::new(), root);
        for (path, entry) in &self.packages {
            packages.insert(path.as_str().to_owned(), json!(entry));
        }
        json!({
            "name": name,
            "version": version,
            "lockfileVersion": 3,
            "requires": true,
            "packages": packages,
        })
        .to_string()
    }

    /// Whether there is no package at all.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// The package at a path.
    pub fn get(&self, path: &PackagePath) -> Option<&Entry> {
        self.packages.get(path)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, path: &PackagePath) -> Option<&mut Entry> {
        self.packages.get_mut(path)
    }

    /// All packages.
    pub fn iter(&self) -> impl Iterator<Item = (&PackagePath, &Entry)> {
        self.packages.iter()
    }

    /// All packages, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&PackagePath, &mut Entry)> {
        self.packages.iter_mut()
    }

    /// The paths that `roots` need, directly or not: what each depends on is looked for as Node.js does, in
    /// its own folder first and then upwards. What a package brings along in its tarball belongs to it.
    pub fn needed_by<'name>(
        &self,
        roots: impl IntoIterator<Item = &'name PackageName>,
    ) -> BTreeSet<&PackagePath> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&PackagePath> = roots
            .into_iter()
            .filter_map(|name| self.key(&PackagePath::top(name)))
            .collect();
        while let Some(path) = open.pop() {
            if !found.insert(path) {
                continue;
            }
            let Some(entry) = self.packages.get(path) else {
                continue;
            };
            open.extend(entry.needs().filter_map(|name| self.resolve(path, name)));
        }
        for (path, entry) in &self.packages {
            if entry.in_bundle && path.ancestors().any(|above| found.contains(&above)) {
                found.insert(path);
            }
        }
        found
    }

    /// Keeps only these paths.
    pub fn retain(&mut self, keep: &BTreeSet<PackagePath>) {
        self.packages.retain(|path, _| keep.contains(path));
    }

    /// Whether all of this stands unchanged in `newer`, which may have more.
    pub fn is_part_of(&self, newer: &Self) -> bool {
        self.packages.iter().all(|(path, entry)| {
            newer
                .get(path)
                .is_some_and(|other| other.is_same_package(entry))
        })
    }

    /// The paths that `newer` has and this has not; only the topmost where one lies in another.
    pub fn added_by<'newer>(&self, newer: &'newer Self) -> Vec<&'newer PackagePath> {
        let is_new = |path: &PackagePath| newer.get(path).is_some() && self.get(path).is_none();
        newer
            .packages
            .keys()
            .filter(|path| is_new(path) && !path.ancestors().any(|above| is_new(&above)))
            .collect()
    }

    /// How what npm installed, by its own record, differs from this; `None` if it is exactly this. Optional
    /// packages may be missing, where they are for other platforms or could not be built.
    pub fn drift(&self, installed: &Self) -> Option<String> {
        for (path, entry) in &self.packages {
            match installed.get(path) {
                None if entry.optional => {}
                None => return Some(format!("{path} is missing")),
                Some(other) if other.version != entry.version => {
                    return Some(format!(
                        "{path} is {} instead of {}",
                        other.version, entry.version
                    ));
                }
                Some(_) => {}
            }
        }
        let extra = installed
            .packages
            .keys()
            .find(|path| self.get(path).is_none());
        extra.map(|path| format!("{path} is there although the admin does not have it"))
    }

    fn resolve(&self, from: &PackagePath, name: &str) -> Option<&PackagePath> {
        let name = PackageName::parse(name).ok()?;
        let places = std::iter::once(from.clone()).chain(from.ancestors());
        places
            .map(|place| place.child(&name))
            .chain([PackagePath::top(&name)])
            .find_map(|path| self.key(&path))
    }

    fn key(&self, path: &PackagePath) -> Option<&PackagePath> {
        self.packages.get_key_value(path).map(|(path, _)| path)
    }
}

fn damaged(why: &str) -> Error {
    Error::new(
        Code::ValueDamaged,
        format!("the lock file of the packages: {why}"),
    )
}

#[cfg(test)]
#[path = "lock/tests.rs"]
mod tests;
