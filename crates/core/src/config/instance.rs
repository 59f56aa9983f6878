//! What one instance of Node-RED is told to be.

use std::time::Duration;

use super::{ConnectionConfig, ContextConfig, SigningKeys};

/// What [`super::parse`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The checked configuration.
    pub config: Config,
    /// Sentences for the log, one for each thing that works but is probably not what was meant.
    /// Without secrets.
    pub warnings: Vec<String>,
}

/// The configuration of one instance, every value checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Who this instance is.
    pub role: Role,
    /// First part of every key. Ends with `:`.
    pub key_prefix: String,
    /// Channel that announces a new revision of the flows.
    pub update_channel: String,
    /// Channel that announces a change of the installed palette packages.
    pub package_channel: String,
    /// Channel of forwarded debug messages.
    pub debug_channel: String,
    /// Palette packages and modules of Function nodes.
    pub packages: PackagesConfig,
    /// With what revisions of flows and packages are signed; none where they are not.
    pub signing: Option<SigningKeys>,
    /// Whether large values are stored compressed.
    pub compression: Compression,
    /// Lifetime of editor sessions, in whole seconds.
    pub session_ttl: Duration,
    /// Limit of one context operation.
    pub timeout: Duration,
    /// Presence of this instance.
    pub monitoring: Monitoring,
    /// The shared context as it is held in this process.
    pub context: ContextConfig,
    /// Where the store is and how it is reached.
    pub connection: ConnectionConfig,
}

/// Who an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Has the editor and saves the flows.
    Admin,
    /// Runs the flows that the admin saved.
    Worker,
}

impl Role {
    /// The word in `settings.js`, in presence records and in `cluster.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }
}

/// Whether values over 1 KB are compressed when they are written. Both kinds are always read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Values are stored as they are.
    Off,
    /// Values over 1 KB are stored compressed.
    On,
}

/// How an instance shows that it is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Monitoring {
    /// Whether it does so at all.
    pub enabled: bool,
    /// Time from one heartbeat to the next.
    pub heartbeat_interval: Duration,
    /// Time after a heartbeat at which the instance counts as gone. Longer than
    /// `heartbeat_interval`.
    pub heartbeat_ttl: Duration,
}

/// How an instance publishes or follows packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackagesConfig {
    /// Whether an admin publishes its packages, whether a worker installs them.
    pub sync: bool,
    /// Where tarballs come from.
    pub source: PackageSource,
    /// What a worker does when a change needs a restart.
    pub restart: RestartPolicy,
    /// Whether install scripts of packages run.
    pub scripts: InstallScripts,
}

/// Where the tarballs of packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageSource {
    /// From the registry that npm is configured for.
    Registry,
    /// From the store: an admin packs them there, workers need no registry.
    Store,
}

/// What a worker does when a change of packages needs a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// It ends with 0, one worker after the other, and whoever runs it starts it again.
    Exit,
    /// It says so and waits for the operator.
    Manual,
}

/// Whether install scripts of packages run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallScripts {
    /// As npm does by default.
    Run,
    /// npm's `--ignore-scripts`.
    Ignore,
}
