//! The keys with which instances sign what other instances run.

use super::Secret;

/// The shortest key, in characters: as many as 16 random bytes have in hexadecimal digits.
pub const SHORTEST_SIGNING_KEY: usize = 32;

/// The keys of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeys {
    /// Signs, and is accepted.
    pub signs: Secret,
    /// Signs nothing, and is accepted besides: the new one or the former one while keys are changed.
    pub accepted: Option<Secret>,
}
