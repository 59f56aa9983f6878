//! What never changes about an instance.

use std::time::SystemTime;

use crate::config::Role;
use crate::host::host_name;

use super::record::{Record, Status};

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
            host: host_name(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_instances_of_one_process_are_two() {
        let one = Identity::of_this_process(Role::Worker, "4.1.0", "22.0.0");
        let other = Identity::of_this_process(Role::Worker, "4.1.0", "22.0.0");
        assert_ne!(one.instance, other.instance);
        assert_eq!(one.host, other.host);
        assert!(!one.host.is_empty());
    }
}
