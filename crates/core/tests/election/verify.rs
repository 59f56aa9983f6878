//! Decides whether a history keeps the promises of the election. Pure: it looks at nothing else.
//!
//! - **One at most**: the intervals of a lock never overlap, and no process sees itself lead within an
//!   interval of another. Both are judged by one clock, which all processes of the machine share.
//! - **Agreement**: who sees itself lead was told so, and its lease had not ended.
//! - **Tokens grow** with each interval. They may not only where everything that knew an earlier one is gone
//!   (the store lost or forgot its data, and the process that leads now never heard of it) and the store's wall
//!   clock was set back behind it as well. Such tokens are counted, as [`Verdict::unavoidable`].
//! - **The store's record never goes back** while the store forgets nothing: no leader of the past takes the
//!   lock from a later one.
//! - **A hung event loop leads no longer** than one lease.

use std::collections::BTreeMap;

use super::history::{History, Interval, Life, Nanos};

/// What there is to say of a history.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    pub(crate) intervals: usize,
    /// How often another process led than before.
    pub(crate) changes: usize,
    pub(crate) samples: usize,
    /// Tokens that did not grow, where nothing could have made them.
    pub(crate) unavoidable: usize,
}

/// A promise that was broken.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) at: Nanos,
    pub(crate) lock: String,
    pub(crate) text: String,
}

/// How long the answer of an event loop counts, and then some for a machine that is busy.
const GRACE: Nanos = 300_000_000;

/// Verifies a history of leases of this length, in nanoseconds. `epoch` is what a wall clock that is right
/// shows, in milliseconds, where the shared clock shows nothing.
pub(crate) fn verify(history: &History, ttl: Nanos, epoch: i64) -> Verdict {
    let mut verdict = Verdict::default();
    let all = history.intervals();
    for (lock, intervals) in &all {
        verdict.intervals += intervals.len();
        let pairs = intervals.windows(2);
        verdict.changes += pairs.filter(|pair| pair[0].life != pair[1].life).count();
        one_at_most(history, lock, intervals, &mut verdict);
        tokens_grow(history, lock, intervals, epoch, &mut verdict);
        records_grow(history, lock, &mut verdict);
    }
    for (index, life) in history.lives.iter().enumerate() {
        samples_agree(history, index, life, &all, &mut verdict);
        hung_ones_stop(life, ttl, &mut verdict);
    }
    verdict.violations.sort_by_key(|violation| violation.at);
    verdict
}

fn one_at_most(history: &History, lock: &str, intervals: &[Interval], verdict: &mut Verdict) {
    let mut longest: Option<&Interval> = None;
    for interval in intervals {
        if let Some(before) = longest.filter(|before| interval.began < before.ended) {
            verdict.violations.push(Violation {
                at: interval.began,
                lock: lock.to_owned(),
                text: format!(
                    "two lead for {} ms: {} and {}",
                    (before.ended.min(interval.ended) - interval.began) / 1_000_000,
                    history.show(before),
                    history.show(interval),
                ),
            });
        }
        longest = longest
            .filter(|before| before.ended >= interval.ended)
            .or(Some(interval));
    }
}

fn tokens_grow(
    history: &History,
    lock: &str,
    intervals: &[Interval],
    epoch: i64,
    verdict: &mut Verdict,
) {
    let mut largest: Option<&Interval> = None;
    for interval in intervals {
        if let Some(before) = largest.filter(|before| interval.token <= before.token) {
            if before.life == interval.life && before.token == interval.token {
                continue;
            }
            if !history.could_not_know(lock, before, interval, epoch) {
                verdict.violations.push(Violation {
                    at: interval.began,
                    lock: lock.to_owned(),
                    text: format!(
                        "the token did not grow: {} after {}",
                        history.show(interval),
                        history.show(before),
                    ),
                });
                continue;
            }
            verdict.unavoidable += 1;
        }
        // What nothing remembers is no measure for what comes after.
        largest = Some(interval);
    }
}

fn records_grow(history: &History, lock: &str, verdict: &mut Verdict) {
    let mut recorded = history.recorded.iter().filter(|seen| seen.lock == lock);
    let Some(mut before) = recorded.next() else {
        return;
    };
    for seen in recorded {
        if seen.token < before.token && !history.forgot(before.at, seen.at) {
            verdict.violations.push(Violation {
                at: seen.at,
                lock: lock.to_owned(),
                text: format!(
                    "the store has token {} after token {}, which it had at {} ms before",
                    seen.token,
                    before.token,
                    (seen.at - before.at) / 1_000_000,
                ),
            });
        }
        before = seen;
    }
}

fn samples_agree(
    history: &History,
    index: usize,
    life: &Life,
    all: &BTreeMap<String, Vec<Interval>>,
    verdict: &mut Verdict,
) {
    let none = Vec::new();
    for sample in life.samples() {
        verdict.samples += 1;
        let Some(token) = sample.token else { continue };
        let intervals = all.get(&sample.lock).unwrap_or(&none);
        let mut violation = |text: String| {
            verdict.violations.push(Violation {
                at: sample.before,
                lock: sample.lock.clone(),
                text,
            });
        };
        // Those that began later than this are after it in the list.
        let started = intervals.partition_point(|interval| interval.began <= sample.before);
        let other = intervals[..started]
            .iter()
            .rev()
            .take(20)
            .find(|other| other.life != index && sample.after < other.ended);
        if let Some(other) = other {
            violation(format!(
                "{} sees itself lead with token {token} while {} leads",
                life.name,
                history.show(other),
            ));
        }
        let mut own = intervals
            .iter()
            .filter(|own| own.life == index && own.token == token)
            .peekable();
        // What a process was told just before it was killed may not have got out of it.
        let unheard = own.peek().is_none() && life.killed.is_some();
        if !unheard && !own.any(|own| sample.before < own.ended) {
            violation(format!(
                "{} sees itself lead with token {token} when its lease has ended or never began",
                life.name,
            ));
        }
    }
}

fn hung_ones_stop(life: &Life, ttl: Nanos, verdict: &mut Verdict) {
    for (began, ended) in life.blocks() {
        let latest = began + ttl + GRACE;
        for sample in life.samples() {
            if sample.token.is_some() && sample.before > latest && sample.after < ended {
                verdict.violations.push(Violation {
                    at: sample.before,
                    lock: sample.lock.clone(),
                    text: format!(
                        "{} leads although its event loop hangs since {} ms",
                        life.name,
                        (sample.before - began) / 1_000_000,
                    ),
                });
            }
        }
    }
}

impl History {
    /// Whether nothing of an earlier token was left when a later leader got a lower one.
    fn could_not_know(&self, lock: &str, before: &Interval, now: &Interval, epoch: i64) -> bool {
        let forgotten = self.forgot(before.began, now.began);
        let ahead = self
            .deeds
            .iter()
            .take_while(|deed| deed.at <= now.began)
            .filter_map(|deed| deed.clock)
            .last();
        let store = epoch + i64::try_from(now.began / 1_000_000).unwrap_or(i64::MAX);
        let behind = i64::try_from(before.token).unwrap_or(i64::MAX) >= store + ahead.unwrap_or(0);
        let ignorant = !self.lives[now.life].knew(lock, before.token, now.began);
        forgotten && behind && ignorant
    }
}
