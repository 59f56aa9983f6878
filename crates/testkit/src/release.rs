//! Which server a binary is, as older ones know less.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, IoContext, Result};
use crate::store_binary;

/// A server's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Whose server it is.
    pub family: Family,
    /// First number of the version.
    pub major: u32,
    /// Second number of the version.
    pub minor: u32,
}

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Redis.
    Redis,
    /// Valkey, which began as Redis 7.2 and counts on.
    Valkey,
}

impl Release {
    /// The version of the server that tests run.
    ///
    /// # Errors
    /// [`Error::NoServerBinary`] before set-up, [`Error::Release`] when it does not say its
    /// version.
    pub fn under_test() -> Result<Self> {
        Self::of(&store_binary::find()?)
    }

    /// Asks a binary for its version, once in this process.
    ///
    /// # Errors
    /// [`Error::Io`] when it does not run, [`Error::Release`] when it says something else.
    pub(crate) fn of(binary: &Path) -> Result<Self> {
        static KNOWN: Mutex<BTreeMap<PathBuf, Release>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(release) = known.get(binary) {
            return Ok(release.clone());
        }
        let release = Self::ask(binary)?;
        known.insert(binary.to_owned(), release.clone());
        Ok(release)
    }

    fn ask(binary: &Path) -> Result<Self> {
        let output = Command::new(binary)
            .arg("--version")
            .output()
            .action(format!("run {}", binary.display()))?;
        String::from_utf8_lossy(&output.stdout).parse()
    }

    /// Whether the server is as new as this version of Redis, and so knows what came with it.
    pub fn knows(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// The rules of an ACL user without those that the server does not know: on a server without
    /// rules for channels every user may use every channel.
    pub(crate) fn rules(&self, rules: &str) -> String {
        if self.knows(6, 2) {
            return rules.to_owned();
        }
        let known = rules
            .split_whitespace()
            .filter(|rule| !rule.starts_with('&') && !rule.ends_with("channels"));
        known.collect::<Vec<_>>().join(" ")
    }
}

impl FromStr for Release {
    type Err = Error;

    /// Reads what `--version` prints, such as `Valkey server v=9.1.2 sha=...`.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::Release(text.trim().to_owned());
        let mut words = text.split_whitespace();
        let family = match words.next() {
            Some("Redis") => Family::Redis,
            Some("Valkey") => Family::Valkey,
            _ => return Err(unknown()),
        };
        let version = words.find_map(|word| word.strip_prefix("v="));
        let mut numbers = version
            .unwrap_or_default()
            .split('.')
            .map(|number| number.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self {
                family,
                major,
                minor,
            }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            family,
            major,
            minor,
        } = self;
        write!(formatter, "{family:?} {major}.{minor}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().expect("a release")
    }

    #[test]
    fn reads_what_servers_print() {
        let valkey = release("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64\n");
        assert_eq!(valkey.to_string(), "Valkey 9.1");
        let redis = release("Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1\n");
        assert_eq!(redis.to_string(), "Redis 6.0");
        let error = "nginx version: 1.22".parse::<Release>();
        assert!(matches!(error, Err(Error::Release(text)) if text == "nginx version: 1.22"));
    }

    #[test]
    fn leaves_out_rules_that_the_server_does_not_know() {
        let rules = "on >w0rker ~nodered:* resetchannels &nodered:* +@all";
        assert_eq!(release("Redis server v=6.2.0").rules(rules), rules);
        assert_eq!(
            release("Redis server v=6.0.16").rules(rules),
            "on >w0rker ~nodered:* +@all"
        );
    }
}
