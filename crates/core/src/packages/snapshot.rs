//! What an admin has: its user directory, read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::list::{LeftOut, Package, PackageList};
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
    /// Uploaded tarballs, whose bytes nobody else has.
    pub uploads: BTreeMap<Digest, Vec<u8>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

/// The `dependencies` of the package.json in a user directory; none where there is no such file.
///
/// # Errors
/// `LocalFile` where it cannot be read or is none.
pub fn dependencies(user_directory: &Path) -> Result<BTreeMap<String, String>> {
    let file = user_directory.join("package.json");
    match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice::<Manifest>(&bytes)
            .map(|manifest| manifest.dependencies)
            .map_err(|error| local(&file, &error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(local(&file, &error.to_string())),
    }
}

/// Reads a user directory. Blocks.
///
/// # Errors
/// `LocalFile` where a file is there and cannot be read.
pub fn read(user_directory: &Path) -> Result<Snapshot> {
    let wanted = dependencies(user_directory)?;
    if wanted.keys().all(|name| is_own(name)) {
        return Ok(Snapshot::default());
    }
    let upload = |file: &str| {
        let path = user_directory.join("nodes").join(file);
        let metadata = fs::metadata(&path).map_err(|error| error.to_string())?;
        if metadata.len() > TARBALL_LIMIT as u64 {
            return Err(format!("more than {TARBALL_LIMIT} bytes"));
        }
        fs::read(&path).map_err(|error| error.to_string())
    };
    Ok(match read_lock(user_directory)? {
        Some(lock) => of(&wanted, &lock, upload),
        None => without_lock(&wanted),
    })
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

/// What of the `wanted` dependencies can follow, with its part of the lock file. `upload` gives the bytes of
/// an uploaded tarball.
fn of(
    wanted: &BTreeMap<String, String>,
    lock: &Lock,
    upload: impl Fn(&str) -> std::result::Result<Vec<u8>, String>,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut lock = lock.clone();
    for (name, specification) in wanted {
        if is_own(name) {
            continue;
        }
        match follow(name, specification, &mut lock, &upload) {
            Ok((name, package, bytes)) => {
                if let (Some(digest), Some(bytes)) = (package.digest(), bytes) {
                    snapshot.uploads.insert(digest, bytes);
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

type Followed = (PackageName, Package, Option<Vec<u8>>);

fn follow(
    name: &str,
    specification: &str,
    lock: &mut Lock,
    upload: &impl Fn(&str) -> std::result::Result<Vec<u8>, String>,
) -> std::result::Result<Followed, String> {
    let name = PackageName::parse(name)?;
    let top = PackagePath::top(&name);
    let uploaded = specification.strip_prefix(UPLOADS);
    if uploaded.is_none()
        && (!asks_the_registry(specification) || specification.starts_with("npm:"))
    {
        return Err(format!(
            "is installed from {:?}, which only this admin has; publish it in a registry, or upload it as a tarball in the palette",
            shortened(specification)
        ));
    }
    let entry = lock.get(&top).ok_or(
        "stands in package.json and is not installed; run `npm install` in the user directory",
    )?;
    let mut package = Package {
        version: entry.version.clone(),
        upload: None,
    };
    let mut bytes = None;
    if let Some(file) = uploaded {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
        if file.starts_with('.') || !file.bytes().all(harmless) {
            return Err(format!(
                "was uploaded under an odd name, {:?}",
                shortened(file)
            ));
        }
        let found = upload(file).map_err(|why| {
            format!("was uploaded, and its tarball nodes/{file} cannot be read ({why})")
        })?;
        let digest = Digest::of(&found);
        if entry.digest() != Some(digest) {
            return Err(format!(
                "was uploaded, and its tarball nodes/{file} is not the one that is installed; upload it again"
            ));
        }
        package.upload = Some(digest.to_string());
        bytes = Some(found);
    }
    let all: Vec<PackagePath> = lock.needed_by([&name]).into_iter().cloned().collect();
    for path in &all {
        let Some(entry) = lock.get(path) else {
            continue;
        };
        let elsewhere = entry.resolved.as_deref().is_some_and(|resolved| {
            *path != top && !resolved.starts_with("http") && Digest::of_source(resolved).is_none()
        });
        let fault = entry
            .fault()
            .or_else(|| elsewhere.then(|| "does not come from the registry".to_owned()));
        match fault {
            Some(fault) if *path == top => return Err(fault),
            Some(fault) => return Err(format!("needs {}, which {fault}", path.name())),
            None => {}
        }
    }
    if let (Some(digest), Some(entry)) = (package.digest(), lock.get_mut(&top)) {
        entry.resolved = Some(digest.as_source());
    }
    Ok((name, package, bytes))
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
        of(&wanted, &lock, |file| match file {
            "up-1.0.0.tgz" => Ok(b"upload".to_vec()),
            _ => Err("not found".to_owned()),
        })
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
        assert!(reasons["folder"].contains("file:../folder"));
        assert!(reasons["deep"].contains("from-git"), "{reasons:?}");
        assert!(reasons["absent"].contains("not installed"));
        assert!(reasons["lost"].contains("nodes/lost-1.0.0.tgz"));
    }

    #[test]
    fn an_upload_goes_as_bytes_with_their_hash() {
        let entry = |bytes: &[u8]| json!({"node_modules/up": {"version": "1.0.0", "resolved": "file:nodes/up-1.0.0.tgz", "integrity": integrity(bytes)}});
        let wanted = json!({"up": "file:nodes/up-1.0.0.tgz"});
        let good = snapshot(&wanted, &entry(b"upload"));
        let digest = super::Digest::of(b"upload");
        assert_eq!(
            good.uploads.get(&digest).map(Vec::as_slice),
            Some(b"upload".as_slice())
        );
        assert_eq!(
            good.list.roots().into_values().next(),
            Some(digest.as_source())
        );
        Lock::from_store(&good.lock.to_text().unwrap()).unwrap();
        let replaced = snapshot(&wanted, &entry(b"other"));
        assert!(replaced.list.left_out[0].reason.contains("upload it again"));
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
