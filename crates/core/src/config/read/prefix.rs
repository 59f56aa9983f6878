//! The option `keyPrefix`: what keys begin with, and what channels do.

use super::instance::name_fault;
use super::source::Source;
use crate::config::{ConfigError, ConnectionConfig, Topology};
use crate::slots;

pub(super) const DEFAULT_KEY_PREFIX: &str = "nodered:";

/// Longest `keyPrefix`, in bytes: it stands before every key, and keys are sent with every command.
const LONGEST_KEY_PREFIX: usize = 200;

/// The option `keyPrefix`, with its final colon. Braces may stand around all of the name: `{nodered}`.
pub(super) fn read_key_prefix(source: &Source<'_>) -> Result<Option<String>, ConfigError> {
    let Some(text) = source.text("keyPrefix")? else {
        return Ok(None);
    };
    let prefix = if text.ends_with(':') {
        text.to_owned()
    } else {
        format!("{text}:")
    };
    let name = slots::without_braces(&prefix);
    let name = name.strip_suffix(':').unwrap_or(&name);
    if name.is_empty() {
        return Err(source.refuse("keyPrefix", "put a name before the colon, such as nodered:"));
    }
    if let Some(remedy) = name_fault(name, LONGEST_KEY_PREFIX) {
        return Err(source.refuse("keyPrefix", remedy));
    }
    Ok(Some(prefix))
}

/// The prefix of all keys of a connection. In a cluster it has braces, so that all of them lie in one slot, in
/// which the connection then has its home.
pub(super) fn settle(key_prefix: Option<String>, connection: &mut ConnectionConfig) -> String {
    let key_prefix = key_prefix.unwrap_or_else(|| DEFAULT_KEY_PREFIX.to_owned());
    match &mut connection.topology {
        Topology::Cluster(cluster) => {
            let key_prefix = slots::together(&key_prefix);
            cluster.home = format!("{key_prefix}slot");
            key_prefix
        }
        Topology::Standalone(_) | Topology::Sentinel(_) => key_prefix,
    }
}
