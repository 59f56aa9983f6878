//! Why a command could not do its work: one sentence for the operator and an exit code.

use thiserror::Error;

/// The end of a command that did not do its work. The text says what failed, where, why, and what
/// to do about it.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The command cannot begin as it was asked: exit code 2.
    #[error("{0}")]
    Refused(String),
    /// The command began and could not go on: exit code 1.
    #[error("{0}")]
    GaveUp(String),
}

impl Failure {
    /// The exit code that tells scripts which kind of failure it was.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::Refused(_) => 2,
            Self::GaveUp(_) => 1,
        }
    }
}
