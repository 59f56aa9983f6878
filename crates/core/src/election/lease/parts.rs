//! What a lease is made of.

use std::time::Duration;

use crate::config::Standing as Eligibility;
use crate::election::clock::Moment;
use crate::election::view::View;

/// Who stands in an election.
#[derive(Debug, Clone)]
pub(in crate::election) struct Candidate {
    /// Unique to this candidacy of this process.
    pub(in crate::election) id: String,
    pub(in crate::election) ttl: Duration,
    pub(in crate::election) eligibility: Eligibility,
    /// From 0 to 1, different for each process.
    pub(in crate::election) place: f64,
}

/// What can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::election) enum Request {
    /// Ask the event loop whether it lives.
    Ask,
    /// Read what the store has.
    Look,
    /// Take the lease if it is free.
    Acquire {
        /// The state that was watched for long enough; empty for none.
        watched: String,
        /// The mark of a memory that has forgotten nothing.
        memory: Option<String>,
    },
    /// Renew the lease with this token.
    Renew { token: u64 },
    /// Give up the lease with this token.
    Release { token: u64 },
    /// Ask a holder that only stands in to give way.
    Want,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::election) enum Step {
    /// Send this now.
    Send(Request),
    /// Nothing, until this moment or until something happens.
    Wait(Option<Moment>),
}

/// Why a leadership ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::election) enum End {
    /// It was given up.
    Released,
    /// It was given up for somebody who does not only stand in.
    GaveWay,
    /// It could not be renewed in time.
    Expired,
    /// The store says that somebody else leads.
    Lost,
}

/// A leadership that this process believes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::election) struct Holding {
    pub(in crate::election) token: u64,
    pub(in crate::election) until: Moment,
    pub(super) renew_at: Moment,
}

/// What the store was last known to have.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub(super) view: View,
    /// Since when, without a change.
    pub(super) since: Moment,
    /// When that was last confirmed.
    pub(super) checked: Moment,
}

/// What has to be found out before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Curiosity {
    None,
    /// What the store has.
    Look,
    /// The same, and the lease is probably free.
    Try,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Down,
    Up { run: Option<String> },
}
