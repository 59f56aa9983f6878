//! What never changes about an instance.

use std::time::SystemTime;

use crate::config::Role;

use super::record::{Record, Status};

/// The longest host name that DNS knows.
const LONGEST_HOST: usize = 253;

/// What an instance calls itself where its host has no name.
const NAMELESS: &str = "host";

/// What never changes about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Unique to this process: two instances on one host are two.
    pub instance: String,
    /// Who it is.
    pub role: Role,
    /// The host's name, cleaned for keys.
    pub host: String,
    /// The process's id on its host.
    pub pid: u32,
    /// When it started, RFC 3339 in UTC.
    pub started: String,
    /// Version of Node-RED.
    pub node_red: String,
    /// Version of Node.js.
    pub node: String,
}

impl Identity {
    /// This process, under a new unique id and with the name of its host.
    pub fn of_this_process(role: Role, node_red: &str, node: &str) -> Self {
        Self {
            instance: uuid::Uuid::new_v4().to_string(),
            role,
            host: clean_host(&gethostname::gethostname().to_string_lossy()),
            pid: std::process::id(),
            started: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            node_red: node_red.to_owned(),
            node: node.to_owned(),
        }
    }

    /// The record of this instance at a place.
    pub(super) fn record(&self, id: &str, status: &Status) -> Record {
        Record {
            id: id.to_owned(),
            instance: self.instance.clone(),
            role: self.role.as_str().to_owned(),
            host: self.host.clone(),
            pid: self.pid,
            started: self.started.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_red: self.node_red.clone(),
            node: self.node.clone(),
            status: status.clone(),
        }
    }
}

/// A host name of letters, digits, dots, hyphens and underscores: it becomes part of keys and log lines.
fn clean_host(name: &str) -> String {
    let clean: String = name
        .trim()
        .chars()
        .map(|character| match character {
            '.' | '-' | '_' => character,
            _ if character.is_ascii_alphanumeric() => character,
            _ => '-',
        })
        .take(LONGEST_HOST)
        .collect();
    if clean.is_empty() {
        NAMELESS.to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_fit_for_keys() {
        assert_eq!(clean_host("node-1.example_x"), "node-1.example_x");
        assert_eq!(clean_host(" a b:c\n*é\u{0}"), "a-b-c----");
        assert_eq!(clean_host(" "), "host");
        assert_eq!(clean_host(&"x".repeat(1000)).len(), 253);
    }

    #[test]
    fn two_instances_of_one_process_are_two() {
        let one = Identity::of_this_process(Role::Worker, "4.1.0", "22.0.0");
        let other = Identity::of_this_process(Role::Worker, "4.1.0", "22.0.0");
        assert_ne!(one.instance, other.instance);
        assert_eq!(one.host, other.host);
        assert!(!one.host.is_empty());
    }
}
