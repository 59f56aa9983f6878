//! Latencies of one kind of operation, over all processes.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Digits that a latency is exact to.
const DIGITS: u8 = 3;

/// The longest latency that is told apart, an hour in nanoseconds: no operation may take so long.
const LONGEST: u64 = 3_600_000_000_000;

/// Percentiles that are told.
const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// All latencies, in nanoseconds. Told as pairs of a value and how often it was, which loses nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub(crate) struct Recorded(Histogram<u64>);

impl Default for Recorded {
    fn default() -> Self {
        // These bounds are allowed; what takes longer is recorded as the longest.
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Self(histogram.unwrap_or_else(|error| unreachable!("{error:?}")))
    }
}

impl Recorded {
    /// One more.
    pub(crate) fn add(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanoseconds);
    }

    /// Those of another process.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (value, count) in other.pairs() {
            self.0.saturating_record_n(value, count);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The percentiles that are told, then the longest, in milliseconds.
    pub(crate) fn summary(&self) -> Latencies {
        let [p50, p90, p99, p999] =
            PERCENTILES.map(|percentile| milliseconds(self.0.value_at_percentile(percentile)));
        Latencies {
            count: self.count(),
            p50,
            p90,
            p99,
            p999,
            max: milliseconds(self.0.max()),
        }
    }

    fn pairs(&self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        recorded
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect()
    }
}

impl From<Vec<(u64, u64)>> for Recorded {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        let mut recorded = Self::default();
        for (value, count) in pairs {
            recorded.0.saturating_record_n(value, count);
        }
        recorded
    }
}

impl From<Recorded> for Vec<(u64, u64)> {
    fn from(recorded: Recorded) -> Self {
        recorded.pairs()
    }
}

/// What is told of many latencies, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Latencies {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

fn milliseconds(nanoseconds: u64) -> f64 {
    // Rounded to what the histogram tells apart anyway.
    (nanoseconds as f64 / 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Recorded {
        let mut recorded = Recorded::default();
        for latency in milliseconds {
            recorded.add(Duration::from_millis(latency));
        }
        recorded
    }

    fn near(measured: f64, wanted: f64) -> bool {
        (measured - wanted).abs() <= wanted / 500.0
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let told = of(1..=1_000).summary();
        assert_eq!(told.count, 1_000);
        assert!(near(told.p50, 500.0), "{told:?}");
        assert!(near(told.p90, 900.0), "{told:?}");
        assert!(near(told.p99, 990.0), "{told:?}");
        assert!(near(told.p999, 999.0), "{told:?}");
        assert!(near(told.max, 1_000.0), "{told:?}");
    }

    #[test]
    fn merged_histograms_are_the_histogram_of_all_values_also_when_told_from_process_to_process() {
        let mut merged = of((1..=1_000).step_by(2));
        let told = serde_json::to_string(&of((2..=1_000).step_by(2))).unwrap();
        merged.merge(&serde_json::from_str(&told).unwrap());
        assert_eq!(merged.summary(), of(1..=1_000).summary());
    }
}
