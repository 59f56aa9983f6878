//! What the electors of an instance are told to be.

use std::time::Duration;

use super::ConnectionConfig;

/// The name of the default lock under the default `keyPrefix`. A leader node that still carries it means
/// the default lock of its own cluster, whatever that cluster's prefix is.
pub const DEFAULT_LOCK_KEY: &str = "nodered:leader";

/// What [`super::parse_election`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedElection {
    /// The checked configuration.
    pub settings: ElectionSettings,
    /// Sentences for the log, as in [`super::Parsed`]. Those on options of the `valkey` block that
    /// are not known are word for word what [`super::parse`] says of it.
    pub warnings: Vec<String>,
}

/// The configuration of the elections on one store, every value checked. Leader nodes whose settings are
/// equal share a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionSettings {
    /// First part of every key and channel but the locks'. Ends with `:`.
    pub key_prefix: String,
    /// Limit of one operation that somebody waits for.
    pub timeout: Duration,
    /// Where the store is and how it is reached.
    pub connection: ConnectionConfig,
    /// Whether this instance may lead.
    pub standing: Standing,
}

/// Whether an instance may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Standing {
    /// As any other.
    #[default]
    Candidate,
    /// Only while no other candidate is there.
    Reserve,
    /// Never; it knows who leads.
    Observer,
}

/// One lock as a leader node is told to hold it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockConfig {
    /// The key in the store.
    pub key: String,
    /// How long a leader is believed without a sign of life.
    pub ttl: Duration,
}
