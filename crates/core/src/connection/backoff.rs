//! Pauses between attempts: exponential, with jitter so that a cluster does not come back in step.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
/// Less than half of the default `timeout`: a request that waits sees more than one attempt.
const LONGEST: Duration = Duration::from_secs(2);

/// The sequence of pauses; one per run of failures.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(LONGEST)
    }
}

impl Backoff {
    /// With pauses of `longest` at most.
    pub(super) fn up_to(longest: Duration) -> Self {
        Self {
            failures: 0,
            longest,
        }
    }

    /// The pause before the next attempt: between half and all of 50 ms, 100 ms, ... 2 s.
    pub(super) fn next_pause(&mut self) -> Duration {
        let full = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(self.longest);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// How many attempts have failed since the last success.
    pub(super) fn failures(&self) -> usize {
        self.failures as usize
    }

    /// An attempt succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_start_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let first = backoff.next_pause();
        assert!(first >= FIRST / 2 && first <= FIRST);
        let last = (0..100).map(|_| backoff.next_pause()).last().unwrap();
        assert!(last >= LONGEST / 2 && last <= LONGEST);
        backoff.reset();
        assert!(backoff.next_pause() <= FIRST);
    }
}
