//! Everything that can fail in the testkit, in words that say what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A result of the testkit.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server, a proxy or a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server binary in any of the places where one is looked for.
    #[error(
        "no Valkey or Redis server found: NODE_RED_CLUSTER_STORE is not set, PATH has neither \
         valkey-server nor redis-server, and no folder from {} upwards has \
         .cache/store/valkey-server; run `npm run setup`", searched_from.display()
    )]
    NoServerBinary {
        /// Folder where the search upwards began.
        searched_from: PathBuf,
    },

    /// `NODE_RED_CLUSTER_STORE` names something that cannot be run.
    #[error(
        "NODE_RED_CLUSTER_STORE names {}, which is not an executable file; correct it, or unset \
         it and run `npm run setup`", path.display()
    )]
    NotExecutable {
        /// What the variable says.
        path: PathBuf,
    },

    /// A server binary does not say its version as Valkey and Redis do.
    #[error("the server's version cannot be read; `--version` prints: {0}")]
    Release(String),

    /// The operating system refused something.
    #[error("could not {action}: {source}")]
    Io {
        /// What was tried, to be read after "could not".
        action: String,
        /// What the operating system said.
        source: io::Error,
    },

    /// A certificate could not be made.
    #[error("could not make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),

    /// The certificates could not be used for TLS.
    #[error("could not set up TLS: {0}")]
    Tls(String),

    /// A wall clock cannot be set for a process.
    #[error("could not make a wall clock that can be set: {0}")]
    Clock(String),

    /// The server ended while it was expected to run.
    #[error("the server ended with {status} instead of answering; its log:\n{log}")]
    Exited {
        /// How the process ended.
        status: ExitStatus,
        /// All that the server wrote since it was started.
        log: String,
    },

    /// The server or program is not running, so this cannot be done to it.
    #[error("it is not running; start it first")]
    NotRunning,

    /// The server is running already.
    #[error("the server is running already; call stop() or kill() first")]
    AlreadyRunning,

    /// Something did not happen in time.
    #[error("waited {limit:?} in vain for {what}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },

    /// Several servers are not as they would have to be for what was asked.
    #[error("the servers are not so that this can be done: {0}")]
    Topology(String),

    /// The server answered a command with an error.
    #[error("{command} was refused: {message}")]
    Refused {
        /// First word of the command; the rest may hold secrets.
        command: String,
        /// The server's own words, beginning with its error code, such as `WRONGTYPE`.
        message: String,
    },

    /// The server sent what is not RESP2.
    #[error("the server sent what is not RESP2: {0}")]
    Protocol(String),
}

/// Adds what was tried to an error of the operating system.
pub(crate) trait IoContext<T> {
    /// `action` is read after "could not".
    fn action(self, action: impl Into<String>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn action(self, action: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Io {
            action: action.into(),
            source,
        })
    }
}
