//! No two leaders: neither at one moment, nor with one token.

use std::collections::BTreeMap;

use crate::protocol::Lead;

/// Verifies the leaderships of a whole run, each of which is there once.
pub(crate) fn verify(leads: &[Lead]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut by_lock: BTreeMap<&str, Vec<&Lead>> = BTreeMap::new();
    for lead in leads {
        by_lock.entry(&lead.lock).or_default().push(lead);
    }
    for (lock, mut leads) in by_lock {
        leads.sort_by_key(|lead| lead.from);
        let mut longest: Option<&Lead> = None;
        let mut largest: Option<&Lead> = None;
        for lead in leads {
            if let Some(before) = longest.filter(|before| lead.from < before.until) {
                violations.push(format!(
                    "two lead {lock} at a time, for {} ms: {} and {}",
                    (before.until.min(lead.until) - lead.from) / 1_000_000,
                    show(before),
                    show(lead),
                ));
            }
            if let Some(before) = largest.filter(|before| lead.token <= before.token) {
                violations.push(format!(
                    "the token of {lock} did not grow: {} after {}",
                    show(lead),
                    show(before),
                ));
            }
            longest = longest.filter(|one| one.until >= lead.until).or(Some(lead));
            largest = largest.filter(|one| one.token >= lead.token).or(Some(lead));
        }
    }
    violations
}

fn show(lead: &Lead) -> String {
    format!(
        "instance {} with token {} from {} to {} ms",
        lead.instance,
        lead.token,
        lead.from / 1_000_000,
        lead.until / 1_000_000
    )
}
