//! What an admin decides about its packages and those of others: pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::admin::Palette;
use super::list::{LeftOut, Package, PackageList, is_set_id};
use super::lock::Lock;
use super::name::PackageName;
use super::snapshot::Snapshot;
use super::store::Types;
use super::tarball::Digest;

/// The revision that the user directory stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Of which cluster, by its key prefix.
    #[serde(default)]
    pub(super) key_prefix: String,
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) packages: BTreeMap<PackageName, Package>,
    #[serde(default)]
    pub(super) disabled: BTreeSet<String>,
    /// It was taken over: npm fitted it in here in its own way, which is no news for anybody.
    #[serde(default)]
    pub(super) taken_over: bool,
}

/// What an admin has to change in its user directory to have what the store has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) install: BTreeMap<PackageName, Package>,
    pub(super) remove: BTreeSet<PackageName>,
}

/// What has to change so that `mine` takes over the step from `base` to `theirs`, and keeps what changed here.
pub(super) fn changes(
    base: &BTreeMap<PackageName, Package>,
    theirs: &BTreeMap<PackageName, Package>,
    mine: &BTreeMap<PackageName, Package>,
) -> Changes {
    let mut changes = Changes::default();
    for (name, package) in theirs {
        let here = mine.get(name);
        if here != Some(package) && base.get(name) != Some(package) {
            changes.install.insert(name.clone(), package.clone());
        }
    }
    for (name, package) in base {
        if !theirs.contains_key(name) && mine.get(name) == Some(package) {
            changes.remove.insert(name.clone());
        }
    }
    changes
}

/// What is disabled: by the palette, and of modules that Node-RED does not have here at present, as it was.
pub(super) fn disabled(palette: &Palette, record: &Record) -> BTreeSet<String> {
    let of_module = |id: &str| id.rsplit_once('/').map(|(module, _)| module.to_owned());
    let unknown = record.disabled.iter().filter(|id| {
        of_module(id).is_some_and(|module| {
            record.packages.keys().any(|name| name.as_str() == module)
                && !palette.types.contains_key(&module)
        })
    });
    let now = palette.disabled.iter().filter(|id| is_set_id(id));
    now.chain(unknown).cloned().collect()
}

/// Packages can be put into the store only under a hash that their lock file knows.
pub(super) fn leave_out_unhashed(snapshot: &mut Snapshot) {
    let lock = &snapshot.lock;
    let mut unhashed = BTreeMap::new();
    for name in snapshot.list.packages.keys() {
        let needed = lock.needed_by([name]);
        let lacks = |path: &&&super::lock::PackagePath| {
            lock.get(path)
                .is_some_and(|entry| !entry.in_bundle && entry.digest().is_none())
        };
        if let Some(path) = needed.iter().find(lacks) {
            unhashed.insert(name.clone(), path.name().to_owned());
        }
    }
    for (name, culprit) in unhashed {
        snapshot.list.packages.remove(&name);
        snapshot.list.left_out.push(LeftOut {
            name: name.to_string(),
            reason: format!(
                "cannot be put into the store: the lock file has no SHA-512 of {culprit}"
            ),
        });
    }
    let keep = snapshot.lock.needed_by(snapshot.list.packages.keys());
    let keep = keep.into_iter().cloned().collect();
    snapshot.lock.retain(&keep);
}

pub(super) fn tarballs_of(lock: &Lock) -> impl Iterator<Item = Digest> {
    let packages = lock.iter().filter(|(_, entry)| !entry.in_bundle);
    packages.filter_map(|(_, entry)| entry.digest())
}

pub(super) fn types_of(palette: &Palette, list: &PackageList) -> Types {
    let types = palette.types.iter().filter_map(|(name, types)| {
        let name = PackageName::parse(name).ok()?;
        list.packages
            .contains_key(&name)
            .then(|| (name, types.clone()))
    });
    types.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(list: &[(&str, &str)]) -> BTreeMap<PackageName, Package> {
        let package = |(name, version): &(&str, &str)| {
            let package = Package {
                version: (*version).to_owned(),
                upload: None,
            };
            (PackageName::parse(name).unwrap(), package)
        };
        list.iter().map(package).collect()
    }

    fn changed(
        base: &[(&str, &str)],
        theirs: &[(&str, &str)],
        mine: &[(&str, &str)],
    ) -> (String, String) {
        let changes = changes(&packages(base), &packages(theirs), &packages(mine));
        let install: Vec<_> = changes
            .install
            .iter()
            .map(|(n, p)| format!("{n}@{}", p.version))
            .collect();
        let remove: Vec<_> = changes.remove.iter().map(ToString::to_string).collect();
        (install.join(" "), remove.join(" "))
    }

    fn of(install: &str, remove: &str) -> (String, String) {
        (install.to_owned(), remove.to_owned())
    }

    #[test]
    fn a_disk_that_was_lost_gets_everything_back() {
        let theirs = [("a", "1.0.0"), ("b", "1.0.0")];
        assert_eq!(changed(&[], &theirs, &[]), of("a@1.0.0 b@1.0.0", ""));
        assert_eq!(
            changed(&[], &theirs, &[("a", "0.9.0"), ("own", "1.0.0")]),
            of("a@1.0.0 b@1.0.0", "")
        );
    }

    #[test]
    fn what_another_admin_changed_is_taken_over_and_what_changed_here_is_kept() {
        let base = [("a", "1.0.0"), ("b", "1.0.0"), ("c", "1.0.0")];
        let theirs = [("a", "2.0.0"), ("b", "1.0.0"), ("d", "1.0.0")];
        let mine = [
            ("a", "1.0.0"),
            ("b", "1.5.0"),
            ("c", "1.0.0"),
            ("e", "1.0.0"),
        ];
        assert_eq!(changed(&base, &theirs, &mine), of("a@2.0.0 d@1.0.0", "c"));
        assert_eq!(
            changed(&base, &base, &[("a", "1.0.0")]),
            of("", ""),
            "removed here, and nothing there"
        );
        assert_eq!(changed(&base, &theirs, &theirs), of("", ""));
    }
}
