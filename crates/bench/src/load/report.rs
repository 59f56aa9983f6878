//! What came of a run: told by each process, put together, summed up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mix::Kind;
use super::recorded::{Latencies, Recorded};

/// How long a window is, in seconds.
pub(crate) const WINDOW: usize = 10;

/// What came of the operations of one process, or of all.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Latencies since the moment at which each was to begin.
    pub(crate) kinds: BTreeMap<Kind, Recorded>,
    /// Errors by their codes.
    pub(crate) errors: BTreeMap<String, u64>,
    /// How many were answered in each second of the run.
    pub(crate) seconds: Vec<u64>,
    /// Increments that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Increments of which nobody knows.
    pub(crate) uncertain: u64,
    /// The most that waited for an answer at one moment, over the instances.
    pub(crate) in_flight: usize,
    /// Commits that somebody else was faster than.
    pub(crate) conflicts: u64,
    /// Changes by others that were heard of.
    pub(crate) invalidations: u64,
    /// Values that would still be served after the run and are not what the store has.
    pub(crate) stale: u64,
    /// Values that were compared for this.
    pub(crate) compared: u64,
    /// Seconds of CPU of the processes.
    pub(crate) cpu: f64,
}

impl Report {
    /// Takes that of another instance.
    pub(crate) fn merge(&mut self, other: Self) {
        for (kind, recorded) in other.kinds {
            self.kinds.entry(kind).or_default().merge(&recorded);
        }
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize(other.seconds.len(), 0);
        }
        for (sum, count) in self.seconds.iter_mut().zip(other.seconds) {
            *sum += count;
        }
        self.acknowledged += other.acknowledged;
        self.uncertain += other.uncertain;
        self.in_flight += other.in_flight;
        self.conflicts += other.conflicts;
        self.invalidations += other.invalidations;
        self.stale += other.stale;
        self.compared += other.compared;
        self.cpu += other.cpu;
    }

    /// An operation ended in this second of the run.
    pub(crate) fn count_second(&mut self, second: usize) {
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, 0);
        }
        self.seconds[second] += 1;
    }
}

/// Operations a second in each whole window of a run that was to last `seconds`. A run shorter than a window is
/// one.
pub(crate) fn windows(counts: &[u64], seconds: usize) -> Vec<f64> {
    let length = WINDOW.min(seconds).max(1);
    let mut counts = counts.to_vec();
    counts.resize(counts.len().max(seconds), 0);
    let whole = counts[..seconds].chunks_exact(length);
    whole
        .map(|window| window.iter().sum::<u64>() as f64 / length as f64)
        .collect()
}

/// What the bench is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) latencies: BTreeMap<Kind, Latencies>,
    pub(crate) all: Latencies,
    pub(crate) errors: BTreeMap<String, u64>,
    /// Operations a second of each window.
    pub(crate) windows: Vec<f64>,
    pub(crate) acknowledged: u64,
    pub(crate) uncertain: u64,
    /// The sum of all counters in the store.
    pub(crate) counted: u64,
    pub(crate) in_flight: usize,
    pub(crate) conflicts: u64,
    pub(crate) invalidations: u64,
    pub(crate) stale: u64,
    pub(crate) compared: u64,
    pub(crate) cpu: f64,
}

impl Summary {
    pub(crate) fn new(report: Report, seconds: usize, counted: u64) -> Self {
        let mut all = Recorded::default();
        for recorded in report.kinds.values() {
            all.merge(recorded);
        }
        let latencies = report.kinds.iter();
        Self {
            latencies: latencies
                .map(|(kind, recorded)| (*kind, recorded.summary()))
                .collect(),
            all: all.summary(),
            windows: windows(&report.seconds, seconds),
            errors: report.errors,
            acknowledged: report.acknowledged,
            uncertain: report.uncertain,
            counted,
            in_flight: report.in_flight,
            conflicts: report.conflicts,
            invalidations: report.invalidations,
            stale: report.stale,
            compared: report.compared,
            cpu: report.cpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_window_is_the_average_of_its_seconds_and_one_bad_second_is_seen() {
        let mut counts = vec![100; 30];
        counts[14] = 0;
        assert_eq!(windows(&counts, 30), [100.0, 90.0, 100.0]);
    }

    #[test]
    fn seconds_in_which_nothing_was_answered_count_and_those_after_the_end_do_not() {
        let mut late = vec![100; 10];
        late.extend([0; 10]);
        late.push(1_000);
        assert_eq!(windows(&late, 20), [100.0, 0.0]);
        assert_eq!(windows(&[100; 10], 20), [100.0, 0.0]);
    }

    #[test]
    fn a_run_shorter_than_a_window_is_one() {
        assert_eq!(windows(&[10, 20, 30, 99], 3), [20.0]);
    }

    #[test]
    fn reports_are_added_up() {
        let report = |seconds: Vec<u64>| {
            let mut recorded = Recorded::default();
            recorded.add(Duration::from_millis(1));
            Report {
                kinds: BTreeMap::from([(Kind::Set, recorded)]),
                errors: BTreeMap::from([("NRC_TEST".to_owned(), 2)]),
                seconds,
                acknowledged: 3,
                in_flight: 4,
                stale: 5,
                ..Report::default()
            }
        };
        let mut sum = report(vec![1]);
        sum.merge(report(vec![10, 20]));
        assert_eq!(sum.seconds, [11, 20]);
        assert_eq!(sum.errors["NRC_TEST"], 4);
        assert_eq!((sum.acknowledged, sum.in_flight, sum.stale), (6, 8, 10));
        assert_eq!(sum.kinds[&Kind::Set].count(), 2);
    }
}
