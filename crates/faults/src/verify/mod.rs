//! Decides whether what a subject did and what is left of it keep the promises. Pure: it looks at nothing else.
//!
//! - `context`: every acknowledged write is there, none twice, and no read goes back
//! - `deploys`: every acknowledged deploy is there
//! - `leaders`: no two leaders, and tokens that grow
//!
//! Where the store itself lost what it had acknowledged, the loss is counted and named instead: each such loss
//! begins a new epoch, and the keys of earlier epochs are those that may have been lost. A write to a key of
//! the newest epoch was issued after the last loss was over.

mod context;
mod deploys;
mod leaders;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::protocol::{History, Lead};

pub(crate) use context::{element, keys};
pub(crate) use leaders::verify as verify_leaders;

/// What the store has once everything is healed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    /// JSON texts of the context's properties by name.
    pub(crate) context: BTreeMap<String, String>,
    /// What tells the newest revision's flows.
    pub(crate) label: Option<String>,
    /// Hashes of the revisions in the history, by number.
    pub(crate) history: BTreeMap<u64, String>,
}

/// What there is to say of a round.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Broken promises.
    pub(crate) violations: Vec<String>,
    /// Acknowledged writes that the store lost, by the fault that made it lose them.
    pub(crate) lost: BTreeMap<String, usize>,
}

/// Verifies one round. `losses` names what ended each epoch but the last.
pub(crate) fn verify(history: &History, stored: &Stored, losses: &[String]) -> Verdict {
    let mut verdict = Verdict::default();
    let judge = &mut Judge {
        verdict: &mut verdict,
        losses,
    };
    context::verify(&history.operations, stored, judge);
    deploys::verify(&history.deploys, stored, judge);
    verdict.violations.extend(history.alarms.iter().cloned());
    verdict
}

/// Tells what may have been lost from what may not.
struct Judge<'verdict> {
    verdict: &'verdict mut Verdict,
    losses: &'verdict [String],
}

impl Judge<'_> {
    /// What made the store lose the keys of an epoch.
    fn loss(&self, epoch: u32) -> Option<&String> {
        self.losses
            .get(usize::try_from(epoch).unwrap_or(usize::MAX))
    }

    /// So many acknowledged writes to a key of an epoch are missing.
    fn missing(&mut self, epoch: u32, count: usize, violation: impl FnOnce() -> String) {
        match self.loss(epoch).cloned() {
            Some(loss) => *self.verdict.lost.entry(loss).or_default() += count,
            None => self.verdict.violations.push(violation()),
        }
    }

    fn violation(&mut self, text: String) {
        self.verdict.violations.push(text);
    }
}

/// Leaderships of the whole run, with those of one more round.
pub(crate) fn merge(known: &mut Vec<Lead>, more: Vec<Lead>) {
    for lead in more {
        let same = known.iter_mut().rev().find(|one| {
            (one.instance, one.token) == (lead.instance, lead.token) && one.lock == lead.lock
        });
        match same {
            // It is the same leadership: the token changes with each.
            Some(one) => {
                one.from = one.from.min(lead.from);
                one.until = one.until.max(lead.until);
            }
            None => known.push(lead),
        }
    }
}
