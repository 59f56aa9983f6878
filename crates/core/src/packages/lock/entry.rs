//! One package in a lock file.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::packages::name::{PackageName, asks_the_registry, is_exact_version, shortened};
use crate::packages::tarball::Digest;

/// One package: what it is, what it needs, where it may run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// Where the path says another name than the package has: an alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Exact.
    pub version: String,
    /// Where the tarball is. Published only for uploads, see [`Digest::as_source`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// The hash of the tarball, as in Subresource Integrity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity: Option<String>,
    /// A link to a folder of the machine, which no other machine has.
    #[serde(skip_serializing_if = "is_false")]
    pub link: bool,
    /// It came in the tarball of the package that it lies in.
    #[serde(skip_serializing_if = "is_false")]
    pub in_bundle: bool,
    /// It may be missing.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
    /// It is there because others name it as a peer.
    #[serde(skip_serializing_if = "is_false")]
    pub peer: bool,
    /// It has scripts that run when it is installed.
    #[serde(skip_serializing_if = "is_false")]
    pub has_install_script: bool,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient"
    )]
    dependencies: BTreeMap<String, String>,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient"
    )]
    optional_dependencies: BTreeMap<String, String>,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient"
    )]
    peer_dependencies: BTreeMap<String, String>,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient"
    )]
    peer_dependencies_meta: BTreeMap<String, PeerMeta>,
    /// What it brings along in its own tarball.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    bundle_dependencies: Vec<String>,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient"
    )]
    bin: BTreeMap<String, String>,
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "lenient"
    )]
    engines: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    os: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    cpu: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    libc: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct PeerMeta {
    optional: bool,
}

impl Entry {
    /// Forgets peers that the cluster never installs: Node-RED is there.
    pub fn drop_own_peers(&mut self) {
        let is_own = |name: &str| PackageName::parse(name).is_ok_and(|name| name.is_own());
        self.peer_dependencies.retain(|name, _| !is_own(name));
    }

    /// The names that it depends on.
    pub(super) fn needs(&self) -> impl Iterator<Item = &str> {
        let all = [
            &self.dependencies,
            &self.optional_dependencies,
            &self.peer_dependencies,
        ];
        all.into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// Whether it is the same package, byte for byte as far as hashes are known.
    pub fn is_same_package(&self, other: &Self) -> bool {
        self.version == other.version && self.integrity == other.integrity
    }

    /// Why it cannot be given to npm on another machine, to follow the package's name.
    pub fn fault(&self) -> Option<String> {
        if self.link {
            return Some("is a link to a folder of the admin".to_owned());
        }
        if !is_exact_version(&self.version) {
            return Some(format!(
                "has no exact version ({:?})",
                shortened(&self.version)
            ));
        }
        if let Some(name) = &self.name
            && let Err(why) = PackageName::parse(name)
        {
            return Some(format!("stands for a package whose name {why}"));
        }
        let specifications = [
            &self.dependencies,
            &self.optional_dependencies,
            &self.peer_dependencies,
        ];
        for (name, range) in specifications.into_iter().flatten() {
            if PackageName::parse(name).is_err() {
                return Some(format!(
                    "depends on {:?}, which is no name of a package",
                    shortened(name)
                ));
            }
            if !asks_the_registry(range) {
                // Its text may hold a login.
                return Some(format!(
                    "depends on {name} from somewhere else than the registry"
                ));
            }
        }
        if self
            .bundle_dependencies
            .iter()
            .any(|name| PackageName::parse(name).is_err())
        {
            return Some("brings along something that is no package".to_owned());
        }
        let is_hash = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=- ".contains(&byte);
        if self
            .integrity
            .as_ref()
            .is_some_and(|text| text.len() > 1024 || !text.bytes().all(is_hash))
        {
            return Some("has an integrity that is no hash".to_owned());
        }
        let leaves = |path: &str| {
            path.starts_with('/')
                || path.contains(['\\', ':', '\0'])
                || path.split('/').any(|part| part == "..")
        };
        let fault = self
            .bin
            .iter()
            .any(|(name, path)| PackageName::parse(name).is_err() || leaves(path));
        fault.then(|| "has commands outside of its own folder".to_owned())
    }

    /// Why what it says of its tarball cannot come from a store.
    pub(super) fn source_fault(&self) -> Option<String> {
        match &self.resolved {
            Some(resolved) if Digest::of_source(resolved).is_none() => Some(
                "comes from an address, which is neither the registry nor an upload".to_owned(),
            ),
            Some(_) if self.digest().is_none() => {
                Some("is an upload without the hash that it must have".to_owned())
            }
            _ => None,
        }
    }

    /// The SHA-512 of its tarball, where the lock file says it.
    pub fn digest(&self) -> Option<Digest> {
        self.integrity.as_deref().and_then(Digest::of_integrity)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Old packages have fields of odd shapes, which npm passes over too.
fn lenient<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}
