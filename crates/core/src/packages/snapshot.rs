//! What an admin has: its user directory, read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::list::{LeftOut, Overrides, Package, PackageList, overrides_fault};
use super::lock::{Lock, PackagePath};
use super::name::{PackageName, asks_the_registry, shortened};
use super::tarball::{Digest, TARBALL_LIMIT};
use crate::error::{Code, Error, Result};

/// Where Node-RED keeps the tarballs that were uploaded to it, as npm writes it into package.json.
const UPLOADS: &str = "file:nodes/";

/// The packages of an admin, ready to be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What is there; without what the palette disabled, which no file says.
    pub list: PackageList,
    /// The part of the lock file that belongs to it.
    pub lock: Lock,
    /// Uploaded tarballs, whose bytes nobody else has: where they lie.
    pub uploads: BTreeMap<Digest, PathBuf>,
}

#[derive(Default, Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
    #[serde(default)]
    overrides: Overrides,
}

/// The `dependencies` of the package.json in a user directory; none where there is no such file.
///
/// # Errors
/// `LocalFile` where it cannot be read or is none.
pub fn dependencies(user_directory: &Path) -> Result<BTreeMap<String, String>> {
    manifest(user_directory).map(|manifest| manifest.dependencies)
}

fn manifest(user_directory: &Path) -> Result<Manifest> {
    let file = user_directory.join("package.json");
    match fs::read(&file) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| local(&file, &error.to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Manifest::default()),
        Err(error) => Err(local(&file, &error.to_string())),
    }
}

/// Reads a user directory. Blocks.
///
/// # Errors
/// `LocalFile` where a file is there and cannot be read.
pub fn read(user_directory: &Path) -> Result<Snapshot> {
    let Manifest {
        dependencies: wanted,
        overrides,
    } = manifest(user_directory)?;
    if wanted.keys().all(|name| is_own(name)) {
        return Ok(Snapshot::default());
    }
    let modules = user_directory.join("node_modules");
    let is_there = |name: &PackageName| modules.join(name.as_str()).join("package.json").exists();
    let mut snapshot = match read_lock(user_directory)? {
        Some(lock) => of(&wanted, &lock, is_there),
        None => without_lock(&wanted),
    };
    for file in snapshot.uploads.values_mut() {
        *file = user_directory.join("nodes").join(&file);
    }
    if let Some(fault) = overrides_fault(&overrides, 0) {
        snapshot.list.left_out.push(LeftOut {
            name: "overrides".to_owned(),
            reason: format!("in package.json are not followed: {fault}"),
        });
    } else if !snapshot.list.packages.is_empty() {
        snapshot.list.overrides = overrides;
    }
    Ok(snapshot)
}

/// The bytes of an uploaded tarball. Blocks.
///
/// # Errors
/// `LocalFile` where it cannot be read, or is another one than the one that is installed.
pub fn read_upload(file: &Path, digest: Digest) -> Result<Vec<u8>> {
    let metadata = fs::metadata(file).map_err(|error| local(file, &error.to_string()))?;
    if metadata.len() > TARBALL_LIMIT as u64 {
        return Err(local(
            file,
            &format!("it has more than {TARBALL_LIMIT} bytes"),
        ));
    }
    let bytes = fs::read(file).map_err(|error| local(file, &error.to_string()))?;
    if Digest::of(&bytes) == digest {
        Ok(bytes)
    } else {
        Err(local(
            file,
            "it is not the tarball that is installed; remove the package in the palette and upload it again",
        ))
    }
}

/// npm's own lock file; where npm was told to keep none, the record that it leaves beside what it installed.
fn read_lock(user_directory: &Path) -> Result<Option<Lock>> {
    let hidden = Path::new("node_modules").join(".package-lock.json");
    for name in [Path::new("package-lock.json"), &hidden] {
        let file = user_directory.join(name);
        match fs::read(&file) {
            Ok(bytes) => {
                return Lock::from_file(&bytes)
                    .map(Some)
                    .map_err(|error| local(&file, error.message()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(local(&file, &error.to_string())),
        }
    }
    Ok(None)
}

fn without_lock(wanted: &BTreeMap<String, String>) -> Snapshot {
    let reason =
        "cannot be described exactly, since npm left no lock file; was it installed by npm?";
    let left_out = wanted
        .keys()
        .filter(|name| !is_own(name))
        .map(|name| LeftOut {
            name: shortened(name),
            reason: reason.to_owned(),
        });
    let list = PackageList {
        left_out: left_out.collect(),
        ..PackageList::default()
    };
    Snapshot {
        list,
        ..Snapshot::default()
    }
}

/// What of the `wanted` dependencies can follow, with its part of the lock file; `is_there` tells whether a
/// package has its folder. Uploads are named by their files.
fn of(
    wanted: &BTreeMap<String, String>,
    lock: &Lock,
    is_there: impl Fn(&PackageName) -> bool,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut lock = lock.clone();
    for (_, entry) in lock.iter_mut() {
        entry.drop_own_peers();
    }
    // Uploads first: others may need them.
    let mut all: Vec<_> = wanted.iter().filter(|(name, _)| !is_own(name)).collect();
    all.sort_by_key(|(_, specification)| !specification.starts_with(UPLOADS));
    for (name, specification) in all {
        match follow(name, specification, &mut lock, &is_there) {
            Ok((name, package, file)) => {
                if let (Some(digest), Some(file)) = (package.digest(), file) {
                    snapshot.uploads.insert(digest, PathBuf::from(file));
                }
                snapshot.list.packages.insert(name, package);
            }
            Err(reason) => snapshot.list.left_out.push(LeftOut {
                name: shortened(name),
                reason,
            }),
        }
    }
    let needed: BTreeSet<PackagePath> = lock
        .needed_by(snapshot.list.packages.keys())
        .into_iter()
        .cloned()
        .collect();
    lock.retain(&needed);
    for (_, entry) in lock.iter_mut() {
        // Addresses of tarballs are the admin's own affair: a worker has a registry of its own.
        let uploaded = entry.resolved.as_deref().and_then(Digest::of_source);
        entry.resolved = uploaded.map(|digest| digest.as_source());
    }
    snapshot.lock = lock;
    snapshot
}

type Followed = (PackageName, Package, Option<String>);

fn follow(
    name: &str,
    specification: &str,
    lock: &mut Lock,
    is_there: &impl Fn(&PackageName) -> bool,
) -> std::result::Result<Followed, String> {
    let name = PackageName::parse(name)?;
    let top = PackagePath::top(&name);
    let uploaded = specification.strip_prefix(UPLOADS);
    if uploaded.is_none()
        && (!asks_the_registry(specification) || specification.starts_with("npm:"))
    {
        return Err(format!(
            "is installed from {}; publish it in a registry, or upload it as a tarball in the palette",
            kind_of(specification)
        ));
    }
    let entry = lock.get(&top).filter(|_| is_there(&name)).ok_or(
        "stands in package.json and is not installed; run `npm install` in the user directory",
    )?;
    let mut package = Package {
        version: entry.version.clone(),
        upload: None,
    };
    if let Some(file) = uploaded {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
        if file.starts_with('.') || !file.bytes().all(harmless) {
            return Err(format!(
                "was uploaded under an odd name, {:?}",
                shortened(file)
            ));
        }
        let digest = entry.digest().ok_or(
            "was uploaded, and the lock file has no SHA-512 of its tarball; remove it and upload it again",
        )?;
        package.upload = Some(digest.to_string());
        if let Some(entry) = lock.get_mut(&top) {
            entry.resolved = Some(digest.as_source());
        }
    }
    let all: Vec<PackagePath> = lock.needed_by([&name]).into_iter().cloned().collect();
    for path in &all {
        let Some(entry) = lock.get(path) else {
            continue;
        };
        let elsewhere = entry.resolved.as_deref().is_some_and(|resolved| {
            !resolved.starts_with("http") && Digest::of_source(resolved).is_none()
        });
        let own = PackageName::parse(path.name()).is_ok_and(|name| name.is_own());
        let fault = entry
            .fault()
            .or_else(|| elsewhere.then(|| "does not come from the registry".to_owned()))
            .or_else(|| own.then(|| "is never installed by the cluster".to_owned()));
        match fault {
            Some(fault) if *path == top => return Err(fault),
            Some(fault) => return Err(format!("needs {}, which {fault}", path.name())),
            None => {}
        }
    }
    Ok((name, package, uploaded.map(str::to_owned)))
}

/// Where a package comes from, without the text, which may hold a login.
fn kind_of(specification: &str) -> &'static str {
    let begins = |with: &[&str]| with.iter().any(|with| specification.starts_with(with));
    if begins(&["npm:"]) {
        "another package under this name, an alias"
    } else if begins(&["file:", "link:", ".", "/", "~"]) {
        "a folder or file that only this admin has"
    } else if begins(&["http:", "https:"]) {
        "an address"
    } else {
        "a git repository"
    }
}

fn is_own(name: &str) -> bool {
    PackageName::parse(name).is_ok_and(|name| name.is_own())
}

fn local(file: &Path, why: &str) -> Error {
    Error::new(
        Code::LocalFile,
        format!("{} cannot be used: {why}", file.display()),
    )
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;
    use sha2::{Digest as _, Sha512};

    use super::*;

    fn integrity(bytes: &[u8]) -> String {
        format!("sha512-{}", STANDARD.encode(Sha512::digest(bytes)))
    }

    fn snapshot(dependencies: &serde_json::Value, packages: &serde_json::Value) -> Snapshot {
        let wanted = serde_json::from_value(dependencies.clone()).unwrap();
        let file = json!({"lockfileVersion": 3, "packages": packages}).to_string();
        let lock = Lock::from_file(file.as_bytes()).unwrap();
        of(&wanted, &lock, |name| name.as_str() != "absent")
    }

    #[test]
    fn packages_of_the_registry_follow_with_what_they_need_and_nothing_else() {
        let snapshot = snapshot(
            &json!({"a": "~1.0.0", "node-red-cluster": "^0.1.0"}),
            &json!({
                "node_modules/a": {"version": "1.0.2", "resolved": "https://host/a.tgz", "dependencies": {"b": "1"}},
                "node_modules/b": {"version": "1.0.0", "resolved": "http://other/b.tgz"},
                "node_modules/node-red-cluster": {"version": "0.1.0", "dependencies": {"c": "1"}},
                "node_modules/c": {"version": "1.0.0"},
            }),
        );
        assert_eq!(snapshot.list.versions(), BTreeMap::from([("a", "1.0.2")]));
        assert!(snapshot.list.left_out.is_empty());
        let text = snapshot.lock.to_text().unwrap();
        assert!(
            !text.contains("host") && !text.contains("node_modules/c"),
            "{text}"
        );
        snapshot
            .list
            .check_lock(&Lock::from_store(&text).unwrap())
            .unwrap();
    }

    #[test]
    fn what_cannot_follow_is_named_with_its_reason_and_the_rest_follows() {
        let snapshot = snapshot(
            &json!({
                "ok": "1.0.0", "folder": "file:../folder", "git": "github:a/b", "url": "https://host/x.tgz",
                "alias": "npm:ok@1.0.0", "absent": "1.0.0", "deep": "1.0.0", "linked": "1.0.0",
                "lost": "file:nodes/lost-1.0.0.tgz", "-odd": "1.0.0",
            }),
            &json!({
                "node_modules/ok": {"version": "1.0.0"},
                "node_modules/absent": {"version": "1.0.0"},
                "node_modules/deep": {"version": "1.0.0", "dependencies": {"from-git": "*"}},
                "node_modules/from-git": {"version": "1.0.0", "resolved": "git+ssh://git@host/x.git#a"},
                "node_modules/linked": {"version": "1.0.0", "link": true},
                "node_modules/lost": {"version": "1.0.0"},
            }),
        );
        assert_eq!(snapshot.list.versions(), BTreeMap::from([("ok", "1.0.0")]));
        let reasons: BTreeMap<_, _> = snapshot
            .list
            .left_out
            .iter()
            .map(|left| (left.name.as_str(), left.reason.as_str()))
            .collect();
        assert_eq!(reasons.len(), 9, "{reasons:?}");
        assert!(reasons["folder"].contains("folder or file"));
        assert!(reasons["git"].contains("git repository"));
        assert!(reasons["url"].contains("an address"));
        assert!(reasons["deep"].contains("from-git"), "{reasons:?}");
        assert!(reasons["absent"].contains("not installed"));
        assert!(reasons["lost"].contains("SHA-512"));
    }

    #[test]
    fn an_upload_goes_by_its_hash_and_so_does_what_needs_it() {
        let digest = super::Digest::of(b"upload");
        let snapshot = snapshot(
            &json!({"a-first": "1.0.0", "up": "file:nodes/up-1.0.0.tgz"}),
            &json!({
                "node_modules/a-first": {"version": "1.0.0", "dependencies": {"up": "1.0.0"}, "peerDependencies": {"node-red": "*"}},
                "node_modules/node-red": {"version": "4.0.0", "peer": true},
                "node_modules/up": {"version": "1.0.0", "resolved": "file:nodes/up-1.0.0.tgz", "integrity": integrity(b"upload")},
            }),
        );
        assert_eq!(snapshot.list.left_out, []);
        assert_eq!(
            snapshot.uploads,
            BTreeMap::from([(digest, "up-1.0.0.tgz".into())])
        );
        assert_eq!(
            snapshot.list.roots().into_values().nth(1),
            Some(digest.as_source())
        );
        let text = snapshot.lock.to_text().unwrap();
        assert!(!text.contains("node-red"), "{text}");
        Lock::from_store(&text).unwrap();
    }

    #[test]
    fn the_bytes_of_an_upload_are_those_that_are_installed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("up-1.0.0.tgz");
        fs::write(&file, b"upload").unwrap();
        let digest = super::Digest::of(b"upload");
        assert_eq!(read_upload(&file, digest).unwrap(), b"upload");
        fs::write(&file, b"other").unwrap();
        let error = read_upload(&file, digest).unwrap_err();
        assert!(error.message().contains("upload it again"), "{error}");
    }

    #[test]
    fn a_user_directory_without_packages_has_none_and_one_without_lock_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), Snapshot::default());
        fs::write(
            directory.path().join("package.json"),
            r#"{"dependencies":{"a":"1.0.0"}}"#,
        )
        .unwrap();
        let snapshot = read(directory.path()).unwrap();
        assert!(snapshot.list.left_out[0].reason.contains("lock file"));
        fs::write(directory.path().join("package.json"), "{").unwrap();
        assert_eq!(read(directory.path()).unwrap_err().code(), Code::LocalFile);
    }
}
