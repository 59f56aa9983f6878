//! What the context store is told to be.

use std::time::Duration;

use super::{Compression, ConnectionConfig};

/// How context is held in this process and how much of it; part of every [`super::Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextConfig {
    /// Values kept in this process.
    pub near_cache: NearCache,
    /// What a synchronous read does while the link to the store is known to be down.
    pub offline_reads: OfflineReads,
    /// Longest text of one property, in bytes before compression.
    pub max_value_bytes: usize,
    /// How many writes may wait for the store.
    pub max_pending_writes: usize,
    /// How many bytes the writes that wait for the store may hold.
    pub max_pending_bytes: u64,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self {
            near_cache: NearCache::default(),
            offline_reads: OfflineReads::default(),
            max_value_bytes: 64 << 20,
            max_pending_writes: 100_000,
            max_pending_bytes: 256 << 20,
        }
    }
}

/// Values of the shared context that are kept in this process, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearCache {
    /// Whether any are kept.
    pub enabled: bool,
    /// How many bytes they may take.
    pub max_bytes: u64,
    /// The age at which one is read anew although nothing was heard of a change.
    pub max_age: Duration,
}

impl Default for NearCache {
    fn default() -> Self {
        Self {
            enabled: true,
            max_bytes: 64 << 20,
            max_age: Duration::from_secs(60),
        }
    }
}

/// What a synchronous read does while the link to the store is known to be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OfflineReads {
    /// It throws at once.
    #[default]
    Fail,
    /// It returns what was last known here, and throws where nothing is.
    LastKnown,
}

impl OfflineReads {
    /// The word in `settings.js`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::LastKnown => "last-known",
        }
    }
}

/// What [`super::parse_context`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedContext {
    /// The checked configuration.
    pub config: ContextSettings,
    /// Sentences for the log, as in [`super::Parsed`]. Those on options of the `valkey` block that
    /// are not known are word for word what [`super::parse`] says of it.
    pub warnings: Vec<String>,
}

/// The configuration of one context store, every value checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSettings {
    /// First part of every key. Ends with `:`.
    pub key_prefix: String,
    /// Whether large values are stored compressed.
    pub compression: Compression,
    /// Limit of one context operation.
    pub timeout: Duration,
    /// How context is held in this process.
    pub context: ContextConfig,
    /// Where the store is and how it is reached.
    pub connection: ConnectionConfig,
}
