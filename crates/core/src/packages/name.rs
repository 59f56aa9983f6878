//! Names, versions and specifications of packages. They come from the store, so they are untrusted: what is
//! not plainly a name of the registry or an exact version never reaches npm.

use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

/// npm's own limit of a name (validate-npm-package-name).
const LONGEST_NAME: usize = 214;

/// npm's own limit of a version (semver).
const LONGEST_VERSION: usize = 256;

/// A longer specification of a dependency is none that a package needs.
const LONGEST_RANGE: usize = 1024;

/// Packages that the cluster never installs: Node-RED is what it runs in, and it is itself the other.
const OWN: &[&str] = &["node-red", "node-red-cluster"];

/// The name of a package, as npm allows it: a path of one or two harmless segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(String);

impl PackageName {
    /// The name, if npm would take it and no shell, path or option parser could take it for something else.
    ///
    /// # Errors
    /// What is wrong with it, to follow the words `the name x`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST_NAME {
            return Err(format!("is longer than {LONGEST_NAME} characters"));
        }
        let (scope, name) = match text.strip_prefix('@') {
            Some(rest) => match rest.split_once('/') {
                Some((scope, name)) => (Some(scope), name),
                None => return Err("has a scope and nothing after it".to_owned()),
            },
            None => (None, text),
        };
        for segment in scope.into_iter().chain([name]) {
            check_segment(segment)?;
        }
        if scope.is_none() && matches!(name, "node_modules" | "favicon.ico") {
            return Err("is reserved".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a package that the cluster never installs: itself and Node-RED.
    pub fn is_own(&self) -> bool {
        OWN.contains(&self.0.as_str())
    }
}

fn check_segment(segment: &str) -> Result<(), String> {
    if segment.is_empty() {
        return Err("has an empty part".to_owned());
    }
    if segment.starts_with(['.', '_', '-']) {
        return Err("begins with a dot, an underscore or a dash".to_owned());
    }
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~');
    if segment.bytes().all(allowed) {
        Ok(())
    } else {
        Err("has characters that no name of a package has".to_owned())
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for PackageName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|why| format!("the name {:?} {why}", shortened(&text)))
    }
}

impl From<PackageName> for String {
    fn from(name: PackageName) -> Self {
        name.0
    }
}

/// Whether a text is one exact version, `1.2.3` or `1.2.3-beta.1`, and no range, tag or address.
pub fn is_exact_version(text: &str) -> bool {
    text.len() <= LONGEST_VERSION && Version::parse(text).is_ok()
}

/// Whether a specification asks the registry: a range, an exact version, a tag, or an alias of such.
/// Addresses, git and files do not.
pub fn asks_the_registry(specification: &str) -> bool {
    if specification.len() > LONGEST_RANGE {
        return false;
    }
    let range = match specification.strip_prefix("npm:") {
        None => specification,
        Some(alias) => {
            let at = alias.char_indices().skip(1).find(|(_, c)| *c == '@');
            let (name, range) = match at {
                Some((at, _)) => (&alias[..at], &alias[at + 1..]),
                None => (alias, ""),
            };
            if PackageName::parse(name).is_err() {
                return false;
            }
            range
        }
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" .+-*^~<>=|,_\t".contains(&byte);
    // A path that has no slash: npm takes what begins with a dot or a tilde and a slash for one.
    range.bytes().all(allowed) && !range.trim_start().starts_with('.') && !range.ends_with(".tgz")
}

/// The beginning of a text that may be of any length, for a message.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_registry_are_names() {
        for name in [
            "lodash",
            "node-red-node-random",
            "@scope/name",
            "@flowfuse/node-red-dashboard",
            "JSONStream",
            "a.b_c~d",
            "7zip",
        ] {
            assert!(PackageName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn nothing_else_is() {
        let long = "a".repeat(LONGEST_NAME + 1);
        for name in [
            "",
            "-g",
            "--prefix=/",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc",
            "@",
            "@a",
            "@a/",
            "@/a",
            "@a/b/c",
            "@-a/b",
            "@a/-b",
            "@a/../b",
            "_x",
            ".bin",
            "a b",
            "a;b",
            "a$b",
            "a\n",
            "a\0",
            "a\\b",
            "C:x",
            "node_modules",
            "a@1",
            "é",
            "a%2fb",
            long.as_str(),
        ] {
            assert!(PackageName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_version_is_one_and_exact() {
        for version in ["0.0.1", "1.2.3", "1.2.3-beta.1", "1.2.3+build.5"] {
            assert!(is_exact_version(version), "{version}");
        }
        let long = format!("1.2.3-{}", "a".repeat(LONGEST_VERSION));
        for version in [
            "",
            "1",
            "1.2",
            "^1.2.3",
            "~1.2.3",
            "1.x",
            "latest",
            "v1.2.3",
            "=1.2.3",
            "1.2.3 || 2",
            "-1.2.3",
            "file:x",
            "git+ssh://x",
            "http://x/y.tgz",
            "1.2.3\n",
            &long,
        ] {
            assert!(!is_exact_version(version), "{version:?}");
        }
    }

    #[test]
    fn a_dependency_may_be_a_range_a_tag_or_an_alias_and_nothing_that_leaves_the_registry() {
        for range in [
            "",
            "*",
            "^1.2.3",
            ">=1 <2 || ~3.0",
            "latest",
            "1.x",
            "npm:other@^1",
            "npm:@a/b@1.0.0",
            "npm:other",
            "1.2.3 - 2.0.0",
        ] {
            assert!(asks_the_registry(range), "{range:?}");
        }
        for other in [
            "git+ssh://git@host/x.git",
            "github:a/b",
            "a/b",
            "file:../x",
            "./x",
            "..",
            "/x",
            "~/x",
            "http://host/x.tgz",
            "x.tgz",
            "npm:../x@1",
            "npm:a@npm:b@1",
            "link:../x",
            "workspace:*",
            "C:\\x",
            "1;x",
            "$(x)",
        ] {
            assert!(!asks_the_registry(other), "{other:?}");
        }
    }
}
