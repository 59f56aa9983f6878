//! Every acknowledged deploy is there: it is the newest revision, or a newer one took its place.

use std::collections::BTreeMap;

use super::{Judge, Stored};
use crate::protocol::{Deployed, Outcome};

pub(super) fn verify(deploys: &[Deployed], stored: &Stored, judge: &mut Judge<'_>) {
    let acknowledged = || {
        deploys
            .iter()
            .filter(|deploy| deploy.outcome == Outcome::Acknowledged)
    };
    newest_is_there(deploys, stored, judge);
    let mut numbers: BTreeMap<u64, &Deployed> = BTreeMap::new();
    for deploy in acknowledged() {
        let Some(number) = deploy.number else {
            continue;
        };
        if judge.loss(deploy.epoch).is_some() {
            continue;
        }
        if let Some(other) = numbers.insert(number, deploy) {
            judge.violation(format!(
                "two deploys were both acknowledged as revision {number}: {} and {}",
                other.label, deploy.label
            ));
        }
        let found = stored.history.get(&number);
        if found != deploy.hash.as_ref() {
            judge.violation(format!(
                "the history has {found:?} as revision {number}, but {} was acknowledged as that",
                deploy.label
            ));
        }
    }
}

/// The newest revision is none that was over before an acknowledged one began. It holds also where the store
/// lost everything, because an admin puts it back.
fn newest_is_there(deploys: &[Deployed], stored: &Stored, judge: &mut Judge<'_>) {
    let newest = stored.label.as_deref();
    let known = deploys
        .iter()
        .find(|deploy| Some(deploy.label.as_str()) == newest);
    for deploy in deploys {
        if deploy.outcome != Outcome::Acknowledged || Some(deploy.label.as_str()) == newest {
            continue;
        }
        // What is not of this round is older than anything of it.
        if known.is_none_or(|known| known.ended <= deploy.began) {
            judge.violation(format!(
                "the newest revision is {newest:?}, but {} was deployed later and acknowledged",
                deploy.label
            ));
        }
    }
}
