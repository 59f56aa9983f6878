//! Which operations there are, and how many of each.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// Properties that are read often and set seldom, such as set points.
pub(crate) const SETTINGS: usize = 200;

/// Properties that are set often, such as the last value of a sensor.
pub(crate) const STATES: usize = 2_000;

/// Properties that are counted up.
pub(crate) const COUNTERS: usize = 500;

/// Of 1,000 operations, reads of settings and of states, sets of settings and of states; the rest counts up.
const READS_OF_SETTINGS: usize = 760;
const READS_OF_STATES: usize = 40;
const SETS_OF_SETTINGS: usize = 2;
const SETS_OF_STATES: usize = 148;

/// Characters of a value that is set, about those of a small JSON object.
const LENGTH: usize = 120;

/// What an operation turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    /// A read that this process could answer.
    ReadKept,
    /// A read that the store had to answer.
    ReadStore,
    /// A property was set.
    Set,
    /// A property was counted up.
    Increment,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Read(String),
    Set(String, String),
    Increment(String),
}

/// The next operation of an instance.
pub(crate) fn next(rng: &mut Rng) -> Operation {
    let [one, two, three] = [
        READS_OF_SETTINGS,
        READS_OF_SETTINGS + READS_OF_STATES,
        READS_OF_SETTINGS + READS_OF_STATES + SETS_OF_SETTINGS,
    ];
    let dice = rng.usize(..1_000);
    if dice < one {
        Operation::Read(setting(rng.usize(..SETTINGS)))
    } else if dice < two {
        Operation::Read(state(rng.usize(..STATES)))
    } else if dice < three {
        Operation::Set(setting(rng.usize(..SETTINGS)), value(rng))
    } else if dice < three + SETS_OF_STATES {
        Operation::Set(state(rng.usize(..STATES)), value(rng))
    } else {
        Operation::Increment(counter(rng.usize(..COUNTERS)))
    }
}

pub(crate) fn setting(number: usize) -> String {
    format!("setting-{number}")
}

pub(crate) fn state(number: usize) -> String {
    format!("state-{number}")
}

pub(crate) fn counter(number: usize) -> String {
    format!("counter-{number}")
}

/// A JSON object that nobody else writes.
pub(crate) fn value(rng: &mut Rng) -> String {
    let text: String = (0..LENGTH).map(|_| rng.lowercase()).collect();
    format!(r#"{{"value":{},"text":"{text}"}}"#, rng.u32(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_80_reads_15_sets_and_5_increments_of_100() {
        let mut rng = Rng::with_seed(7);
        let mut counts = [0_u32; 3];
        for _ in 0..100_000 {
            counts[match next(&mut rng) {
                Operation::Read(_) => 0,
                Operation::Set(..) => 1,
                Operation::Increment(_) => 2,
            }] += 1;
        }
        for (count, wanted) in counts.into_iter().zip([80_000, 15_000, 5_000]) {
            assert!(count.abs_diff(wanted) < 500, "{count} instead of {wanted}");
        }
    }
}
