//! What others see of an election: who leads, and when this process believed that it did.

use super::clock::Moment;
use crate::error::Error;

/// How this process stands in an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The key of the lock.
    pub lock: String,
    /// The name of this host.
    pub host: String,
    /// What this process is.
    pub role: Role,
    /// What an operator should mend although the election goes on.
    pub warning: Option<String>,
}

/// What a process is in an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader {
        /// The fencing token of this leadership.
        token: u64,
    },
    /// Another one leads.
    Follower {
        /// Where the leader runs.
        host: String,
        /// Its fencing token.
        token: u64,
    },
    /// Nobody is known to lead.
    Nobody,
    /// The lock is not one of ours, and is left alone.
    Foreign {
        /// The host in it, where it looks like a lock of the older package.
        host: Option<String>,
        /// What it is and what to do.
        message: String,
    },
    /// The store cannot be asked.
    Unreachable(Error),
}

/// What [`super::Elections::release`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Whether this process led, and does not any more.
    pub released: bool,
    /// The name of this host.
    pub host: String,
    /// Where the leader runs as the store has it, if there is one; none where this process gave up.
    pub current_leader: Option<String>,
}

/// A change of what this process believes about itself, for logs and checkers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belief {
    /// It leads from now on, until `until` unless the lease is renewed.
    Began {
        /// The key of the lock.
        lock: String,
        /// The fencing token.
        token: u64,
        /// When the lease ends by this machine's clock.
        until: Moment,
    },
    /// The end of the lease was moved, mostly to a later moment.
    Moved {
        /// The key of the lock.
        lock: String,
        /// The fencing token.
        token: u64,
        /// When the lease ends by this machine's clock.
        until: Moment,
    },
    /// It no longer leads. This may be noticed late; belief ended at `until` or at this moment, whichever
    /// came first.
    Ended {
        /// The key of the lock.
        lock: String,
        /// The fencing token.
        token: u64,
    },
}
