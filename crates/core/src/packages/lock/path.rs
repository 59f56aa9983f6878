//! Where a package lies: `node_modules/a/node_modules/@b/c`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::packages::name::{PackageName, shortened};

/// The folder that every segment of a path begins with.
const FOLDER: &str = "node_modules/";

/// Deeper than any tree that npm builds.
const DEEPEST: usize = 32;

/// The path of a package below the folder that it is installed in, with slashes on every platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagePath(String);

impl PackagePath {
    /// Reads a path and checks each name in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = |why: &str| format!("the path {:?} {why}", shortened(text));
        let mut rest = text;
        for _ in 0..DEEPEST {
            let Some(named) = rest.strip_prefix(FOLDER) else {
                return Err(fault("does not lead through node_modules"));
            };
            let (name, after) = match named.split_once("/node_modules/") {
                Some((name, _)) => (name, &named[name.len() + 1..]),
                None => (named, ""),
            };
            PackageName::parse(name).map_err(|why| fault(&format!("has a name that {why}")))?;
            if after.is_empty() {
                return Ok(Self(text.to_owned()));
            }
            rest = after;
        }
        Err(fault("is too deep"))
    }

    /// The path of a package that lies at the top.
    pub fn top(name: &PackageName) -> Self {
        Self(format!("{FOLDER}{name}"))
    }

    /// The path of a package inside of this one.
    pub fn child(&self, name: &PackageName) -> Self {
        Self(format!("{}/{FOLDER}{name}", self.0))
    }

    /// The packages that this one lies in, the nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        let mut end = self.0.len();
        std::iter::from_fn(move || {
            end = self.0[..end].rfind("/node_modules/")?;
            Some(Self(self.0[..end].to_owned()))
        })
    }

    /// The last name in it.
    pub fn name(&self) -> &str {
        let last = self.0.rsplit("node_modules/").next();
        last.unwrap_or_default()
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below a folder of this machine.
    pub fn below(&self, folder: &Path) -> PathBuf {
        self.0
            .split('/')
            .fold(folder.to_owned(), |path, part| path.join(part))
    }
}

impl fmt::Display for PackagePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for PackagePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<PackagePath> for String {
    fn from(path: PackagePath) -> Self {
        path.0
    }
}
