//! The configuration of an instance: from what an operator wrote to what the rest of this crate
//! uses.
//!
//! [`parse`] takes the `valkey` block of `settings.js`, as JSON text, and the process environment.
//! It returns a [`Config`] in which every value has been checked, or a [`ConfigError`] that says
//! which option is wrong and what to do about it. Nothing here does IO, and nothing here depends on
//! the rest of the crate.
//!
//! Connection options carry the names that ioredis gives them, because operators paste them. What
//! has no meaning here is accepted; what looks like a slip of the pen is reported among the
//! warnings.
//!
//! # Layout
//!
//! Values, in the order in which they contain each other:
//! - `instance`: [`Config`], [`Role`], [`Monitoring`], [`Compression`], [`PackagesConfig`]
//! - `context`: [`ContextConfig`] in it, [`ContextSettings`] beside it
//! - `election`: [`ElectionSettings`], [`LockConfig`], which stand beside it too
//! - `connection`: [`ConnectionConfig`], [`Topology`] and the addresses in it
//! - `tls`: [`TlsConfig`], [`Verify`]
//! - `signing`: [`SigningKeys`]
//! - `secret`: [`Secret`], [`SecretBytes`], which no message ever shows
//! - `error`: [`ConfigError`]
//!
//! Reading, from JSON to those values:
//! - `options`: the table of all options; `nearest`: the right name of a misspelt one
//! - `read`: [`parse`], [`parse_connection`], [`parse_context`], [`parse_election`] and [`parse_lock`],
//!   on top of
//!   - `instance`, `connection`: the two halves of a block; `packages`, `signing`: parts of the first, `tls`,
//!     `address`: of the second; `prefix`: what both have to do with keys
//!   - `context`: options of the context store, from a block and what is laid over it
//!   - `election`: the same for leader nodes, and the lock that one of them names
//!   - `layers`: options of one block laid over those of another
//!   - `written`: connection options of one source and how sources are laid over each other
//!   - `url`, `environment`: the sources besides the block
//!   - `source`, `value`: options of one source by name, and one JSON value as JavaScript sends it

mod connection;
mod context;
mod election;
mod error;
mod instance;
mod nearest;
mod options;
mod read;
mod secret;
mod signing;
mod tls;

pub use connection::{
    ClusterConfig, ConnectionConfig, Endpoint, Family, HostPort, SentinelConfig, Topology,
};
pub use context::{ContextConfig, ContextSettings, NearCache, OfflineReads, ParsedContext};
pub use election::{DEFAULT_LOCK_KEY, ElectionSettings, LockConfig, ParsedElection, Standing};
pub use error::ConfigError;
pub use instance::{
    Compression, Config, InstallScripts, Monitoring, PackageSource, PackagesConfig, Parsed,
    RestartPolicy, Role,
};
pub use options::{
    ADDRESS_OPTIONS, KnownOption, MONITORING_OPTIONS, NEAR_CACHE_OPTIONS, OPTIONS, Purpose,
    TLS_OPTIONS,
};
pub use read::{parse, parse_connection, parse_context, parse_election, parse_lock};
pub use secret::{Secret, SecretBytes};
pub use signing::{SHORTEST_SIGNING_KEY, SigningKeys};
pub use tls::{TlsConfig, Verify};
