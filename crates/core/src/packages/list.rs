//! What an admin publishes: its packages by exact version, which node sets it disabled, and what of it cannot
//! follow.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::lock::{Lock, PackagePath};
use super::name::{PackageName, asks_the_registry, is_exact_version, shortened};
use super::tarball::Digest;
use crate::error::{Code, Error, Result};

/// The longest list that is read, in bytes.
pub const LIST_LIMIT: usize = 1024 * 1024;

/// More packages than any palette has.
const MOST_PACKAGES: usize = 2_000;

/// More node sets than any palette has disabled.
const MOST_DISABLED: usize = 5_000;

/// Deeper than anybody overrides.
const DEEPEST_OVERRIDE: usize = 10;

/// npm's `overrides`.
pub type Overrides = serde_json::Map<String, Value>;

/// The longest id of a node set.
const LONGEST_SET: usize = 512;

/// The packages of an admin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageList {
    /// What stands in the admin's own package.json and can follow.
    pub packages: BTreeMap<PackageName, Package>,
    /// The ids of the node sets that are disabled in the palette: `<module>/<set>`.
    #[serde(default)]
    pub disabled: BTreeSet<String>,
    /// Whether the tarballs of all packages lie in the store.
    #[serde(default)]
    pub packed: bool,
    /// npm's `overrides` of the admin's package.json: which versions it takes against what packages ask for.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
    /// What cannot follow, and why: for people.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// One package of an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Exact.
    pub version: String,
    /// The SHA-512 of its tarball, hexadecimal, where it was uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
}

/// A package of the admin that cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name, as it stands in the admin's package.json.
    pub name: String,
    /// Why, to follow the name.
    pub reason: String,
}

impl Package {
    /// The specification for npm.
    pub fn specification(&self) -> String {
        match self.digest() {
            Some(digest) => digest.as_source(),
            None => self.version.clone(),
        }
    }

    /// The hash of its tarball, where it was uploaded.
    pub fn digest(&self) -> Option<Digest> {
        self.upload.as_deref().and_then(Digest::parse)
    }
}

impl PackageList {
    /// Reads a list that came from the store, and refuses all of it where any part is malformed.
    ///
    /// # Errors
    /// `ValueDamaged`, naming the part.
    pub fn from_store(text: &str) -> Result<Self> {
        if text.len() > LIST_LIMIT {
            return Err(damaged(&format!("it is longer than {LIST_LIMIT} bytes")));
        }
        let list: Self = serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))?;
        if list.packages.len() > MOST_PACKAGES || list.disabled.len() > MOST_DISABLED {
            return Err(damaged("it has more entries than any palette"));
        }
        for (name, package) in &list.packages {
            if name.is_own() {
                return Err(damaged(&format!(
                    "{name} is never installed by the cluster"
                )));
            }
            if !is_exact_version(&package.version) {
                return Err(damaged(&format!(
                    "the version {:?} of {name} is not exact",
                    shortened(&package.version)
                )));
            }
            if package.upload.is_some() && package.digest().is_none() {
                return Err(damaged(&format!("the hash of the upload {name} is none")));
            }
        }
        if let Some(fault) = overrides_fault(&list.overrides, 0) {
            return Err(damaged(&fault));
        }
        if let Some(id) = list.disabled.iter().find(|id| !is_set_id(id)) {
            return Err(damaged(&format!("{:?} is no node set", shortened(id))));
        }
        Ok(list)
    }

    /// Checks that the lock file has each package at the version that the list says.
    ///
    /// # Errors
    /// `ValueDamaged`, naming the first that differs.
    pub fn check_lock(&self, lock: &Lock) -> Result<()> {
        for (name, package) in &self.packages {
            let locked = lock.get(&PackagePath::top(name));
            let agrees = locked.is_some_and(|entry| {
                entry.version == package.version
                    && (package.upload.is_none() || entry.digest() == package.digest())
            });
            if !agrees {
                return Err(damaged(&format!(
                    "{name} {} does not stand in the lock file beside it",
                    package.version
                )));
            }
        }
        Ok(())
    }

    /// The dependencies of a package.json that has these packages.
    pub fn roots(&self) -> BTreeMap<PackageName, String> {
        let specification =
            |(name, package): (&PackageName, &Package)| (name.clone(), package.specification());
        self.packages.iter().map(specification).collect()
    }

    /// Name to version: what operators read.
    pub fn versions(&self) -> BTreeMap<&str, &str> {
        let version = |(name, package)| {
            let (name, package): (&PackageName, &Package) = (name, package);
            (name.as_str(), package.version.as_str())
        };
        self.packages.iter().map(version).collect()
    }

    /// SHA-256 over all that workers go by, hexadecimal.
    ///
    /// # Errors
    /// A fault of this program only.
    pub fn hash(&self, lock: &Lock) -> Result<String> {
        let followed = Self {
            left_out: Vec::new(),
            ..self.clone()
        };
        let list = to_json(&followed)?;
        let digest = Sha256::new()
            .chain_update(list.as_bytes())
            .chain_update([0])
            .chain_update(lock.to_text()?.as_bytes())
            .finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text to publish.
    ///
    /// # Errors
    /// A fault of this program only.
    pub fn to_text(&self) -> Result<String> {
        to_json(self)
    }
}

/// What is wrong with overrides: names, with a range or without, to ranges or to further overrides.
pub fn overrides_fault(overrides: &Overrides, depth: usize) -> Option<String> {
    if depth > DEEPEST_OVERRIDE {
        return Some("the overrides are nested too deeply".to_owned());
    }
    overrides.iter().find_map(|(key, value)| {
        let at = key
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '@')
            .map(|(at, _)| at);
        let (name, range) = key.split_at(at.unwrap_or(key.len()));
        let named = key == "." || PackageName::parse(name).is_ok();
        let ranged = asks_the_registry(range.trim_start_matches('@'));
        let fault = match value {
            Value::String(range) => !asks_the_registry(
                range
                    .strip_prefix('$')
                    .filter(|name| PackageName::parse(name).is_ok())
                    .map_or(range.as_str(), |_| ""),
            ),
            Value::Object(inner) => return overrides_fault(inner, depth + 1),
            _ => true,
        };
        (fault || !named || !ranged).then(|| {
            format!(
                "the override of {:?} is none of packages of the registry",
                shortened(key)
            )
        })
    })
}

/// Whether a text is the id of a node set, `<module>/<set>`, and one that is harmless as the name of a
/// property in JavaScript.
pub fn is_set_id(id: &str) -> bool {
    let Some((module, set)) = id.rsplit_once('/') else {
        return false;
    };
    id.len() <= LONGEST_SET
        && PackageName::parse(module).is_ok()
        && !set.is_empty()
        && !matches!(set, "__proto__" | "constructor" | "prototype")
        && !set.contains(char::is_control)
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(Code::Internal, error.to_string()))
}

fn damaged(why: &str) -> Error {
    Error::new(Code::ValueDamaged, format!("the list of packages: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(list: &serde_json::Value) -> Result<PackageList> {
        PackageList::from_store(&list.to_string())
    }

    #[test]
    fn a_list_comes_back_as_it_was() {
        let text = json!({
            "packages": {"@a/b": {"version": "2.0.0", "upload": Digest::of(b"x").to_string()}, "a": {"version": "1.0.0"}},
            "disabled": ["@a/b/set", "node-red/exec"], "packed": true, "leftOut": [{"name": "c", "reason": "is odd"}],
        });
        let list = read(&text).unwrap();
        assert_eq!(serde_json::to_value(&list).unwrap(), text);
        assert_eq!(
            list.versions(),
            BTreeMap::from([("@a/b", "2.0.0"), ("a", "1.0.0")])
        );
        let roots: Vec<_> = list.roots().into_values().collect();
        assert_eq!(roots, [Digest::of(b"x").as_source(), "1.0.0".to_owned()]);
    }

    #[test]
    fn what_the_store_says_is_untrusted() {
        for hostile in [
            json!([]),
            json!({"packages": {"../x": {"version": "1.0.0"}}}),
            json!({"packages": {"-g": {"version": "1.0.0"}}}),
            json!({"packages": {"a": {"version": "^1.0.0"}}}),
            json!({"packages": {"a": {"version": "git+ssh://evil/x"}}}),
            json!({"packages": {"a": {"version": "1.0.0", "upload": "../x"}}}),
            json!({"packages": {"node-red-cluster": {"version": "9.9.9"}}}),
            json!({"packages": {"node-red": {"version": "9.9.9"}}}),
            json!({"packages": {}, "disabled": ["a/__proto__"]}),
            json!({"packages": {}, "disabled": ["__proto__/a"]}),
            json!({"packages": {}, "disabled": ["a"]}),
            json!({"packages": {}, "overrides": {"a": "git+ssh://evil/x"}}),
            json!({"packages": {}, "overrides": {"a": {"../b": "1.0.0"}}}),
            json!({"packages": {}, "overrides": {"a@file:x": "1.0.0"}}),
            json!({"packages": {}, "overrides": {"a": "$../x"}}),
        ] {
            assert_eq!(
                read(&hostile).unwrap_err().code(),
                Code::ValueDamaged,
                "{hostile}"
            );
        }
        let long = format!("{{\"packages\":{{}},\"x\":\"{}\"}}", "a".repeat(LIST_LIMIT));
        assert!(PackageList::from_store(&long).is_err());
    }

    #[test]
    fn overrides_are_those_of_packages_of_the_registry() {
        let overrides = json!({"a": "1.0.0", "@s/b@^2": {".": "2.1.0", "c": "$a"}});
        let list = read(&json!({"packages": {}, "overrides": overrides})).unwrap();
        assert_eq!(json!(list.overrides), overrides);
    }

    #[test]
    fn list_and_lock_must_agree() {
        let list = read(&json!({"packages": {"a": {"version": "1.0.0"}}})).unwrap();
        let lock = |version: &str| {
            let text = json!({"packages": {"node_modules/a": {"version": version}}});
            Lock::from_store(&text.to_string()).unwrap()
        };
        assert!(list.check_lock(&lock("1.0.0")).is_ok());
        assert!(list.check_lock(&lock("1.0.1")).is_err());
        assert!(list.check_lock(&Lock::default()).is_err());
    }

    #[test]
    fn what_cannot_follow_makes_no_new_revision() {
        let mut list = PackageList::default();
        let before = list.hash(&Lock::default()).unwrap();
        list.left_out.push(LeftOut {
            name: "a".into(),
            reason: "is odd".into(),
        });
        assert_eq!(list.hash(&Lock::default()).unwrap(), before);
        list.disabled.insert("node-red/exec".into());
        assert_ne!(list.hash(&Lock::default()).unwrap(), before);
    }
}
