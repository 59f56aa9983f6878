//! What operators are told of an election: how this process stands, and what goes to the log.

use std::time::Duration;

use super::clock::Moment;
use super::lease::{End, Lease, Request};
use super::standing::{Role, Standing};
use super::view::{Lock, View};
use crate::error::Error;

/// Leases that differ for longer are a mistake; for shorter, a deploy that reached one instance before another.
const DEPLOYED: Duration = Duration::from_secs(2);

/// The reporter of one election.
#[derive(Debug)]
pub(super) struct Report {
    lock: String,
    host: String,
    /// The store is away, and why.
    pub(super) outage: Option<Error>,
    /// Whether nodes of this process want leases of different lengths.
    pub(super) disagree: bool,
    /// Since when the leader's lease has another length.
    differs_since: Option<Moment>,
    said: Said,
}

/// What was logged last, so that the log hears of each thing once.
#[derive(Debug, Default)]
struct Said {
    trouble: Option<Error>,
    foreign: Option<String>,
    warning: Option<String>,
}

impl Report {
    pub(super) fn new(lock: String, host: String, outage: Option<Error>) -> Self {
        Self {
            lock,
            host,
            outage,
            disagree: false,
            differs_since: None,
            said: Said::default(),
        }
    }

    /// How this process stands; the log hears of what it did not know.
    pub(super) fn standing(&mut self, lease: &Lease, now: Moment) -> Standing {
        let role = self.role(lease, now);
        let warning = self.warning(lease, now);
        self.log(lease, &role, warning.as_deref());
        Standing {
            lock: self.lock.clone(),
            host: self.host.clone(),
            role,
            warning,
        }
    }

    fn role(&self, lease: &Lease, now: Moment) -> Role {
        if let Some(holding) = lease.holding(now) {
            return Role::Leader {
                token: holding.token,
            };
        }
        if let Some(error) = self.outage.as_ref().or(lease.trouble()) {
            return Role::Unreachable(error.clone());
        }
        if let Some((View { lock, .. }, _)) = lease.sight()
            && let Lock::Foreign { what, .. } = lock
        {
            return self.foreign(what);
        }
        match lease.leader(now) {
            Some(leader) => Role::Follower {
                host: leader.host.clone(),
                token: leader.token,
            },
            None => Role::Nobody,
        }
    }

    /// A lock that is not ours. That of the older package holds a host's name.
    fn foreign(&self, what: &str) -> Role {
        let lock = &self.lock;
        let (host, message) = match what {
            "record" => (
                None,
                format!(
                    "the key beside the lock, which ends with \":election\", holds something that node-red-cluster did not write; delete it, or use another lock than {lock}"
                ),
            ),
            "list" | "set" | "zset" | "hash" | "stream" => (
                None,
                format!(
                    "the key {lock} holds a {what} and no lock; use another lock, or delete it if nobody needs it"
                ),
            ),
            text if host_in(text).is_some() => (
                host_in(text),
                format!(
                    "the lock {lock} is held by {text} in the manner of the older package; this instance follows until it is gone"
                ),
            ),
            _ => (
                None,
                format!(
                    "the key {lock} holds something that is no lock of node-red-cluster; use another lock, or delete it if nobody needs it"
                ),
            ),
        };
        Role::Foreign { host, message }
    }

    fn warning(&mut self, lease: &Lease, now: Moment) -> Option<String> {
        let own = lease.candidate().ttl;
        let lock = &self.lock;
        if self.disagree {
            return Some(format!(
                "nodes of this instance give the lock {lock} leases of different lengths; the longest, {} s, is used",
                own.as_secs_f64()
            ));
        }
        let leader = lease.leader(now)?;
        let other = Duration::from_millis(leader.ttl);
        if other == own {
            self.differs_since = None;
            return None;
        }
        let since = *self.differs_since.get_or_insert(now);
        (now.since(since) >= DEPLOYED).then(|| {
            format!(
                "the lock {lock} has a lease of {} s at its leader on {} and of {} s here; give all nodes with this lock the same",
                other.as_secs_f64(),
                leader.host,
                own.as_secs_f64()
            )
        })
    }

    /// Warnings are for whoever stands in the election, who says them where its user looks.
    fn log(&mut self, lease: &Lease, role: &Role, warning: Option<&str>) {
        let lock = &self.lock;
        let foreign = match role {
            Role::Foreign {
                host: None,
                message,
            } => Some(message.clone()),
            _ => None,
        };
        if foreign.is_some() && foreign != self.said.foreign {
            tracing::warn!("{}", foreign.as_deref().unwrap_or_default());
        }
        let trouble = lease.trouble().cloned();
        if let Some(error) = &trouble
            && trouble != self.said.trouble
        {
            tracing::error!("cannot take part in the election of {lock}: {error}");
        }
        if let Some(warning) = warning
            && self.said.warning.as_deref() != Some(warning)
        {
            tracing::debug!("{warning}");
            self.said.warning = Some(warning.to_owned());
        }
        self.said.foreign = foreign;
        self.said.trouble = trouble;
    }

    /// A leadership began.
    pub(super) fn log_begin(&self, token: u64, ttl: Duration) {
        tracing::info!(
            "this instance leads {}, with token {token} and a lease of {} s",
            self.lock,
            ttl.as_secs_f64()
        );
    }

    /// A leadership ended. `waits_for` is the request that was under way.
    pub(super) fn log_end(&self, end: Option<End>, token: u64, waits_for: Option<&Request>) {
        let lock = &self.lock;
        match end {
            Some(End::Released) | None => {
                tracing::info!("this instance gave up {lock} (token {token})");
            }
            Some(End::GaveWay) => {
                tracing::info!("this instance gave up {lock} (token {token}): a worker takes over")
            }
            Some(End::Lost) => tracing::warn!(
                "this instance no longer leads {lock} (token {token}): the store has another leader, or something else in the lock"
            ),
            Some(End::Expired) => {
                let why = match waits_for {
                    Some(Request::Ask) => "the event loop of this process was blocked",
                    _ => "the lease could not be renewed in time",
                };
                tracing::warn!("this instance no longer leads {lock} (token {token}): {why}");
            }
        }
    }
}

/// The host's name in a lock of the older package, which holds nothing else.
pub(super) fn host_in(what: &str) -> Option<String> {
    let fits = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
    let is_type = matches!(what, "list" | "set" | "zset" | "hash" | "stream" | "record");
    let is_host = !is_type && !what.is_empty() && what.chars().all(fits);
    is_host.then(|| what.to_owned())
}
