//! The store's clock, as far as this process can know it.
//!
//! Times that several instances compare must come from one clock, and asking the store for each costs a
//! round trip; so it is asked at each greeting and carried on by the local monotonic clock. Promises: in
//! one process the times grow strictly; they are wrong by at most half the round trip of the greeting and
//! the drift since. Where the store may not be asked the clock of this machine is used.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the store's time in microseconds since 1970.
#[derive(Debug)]
pub(super) struct StoreClock {
    start: Instant,
    /// The store's time at `start`.
    at_start: AtomicI64,
    /// The newest time that was told.
    newest: AtomicU64,
}

impl StoreClock {
    /// A clock that shows the local time until the store has been asked.
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            start: Instant::now(),
            at_start: AtomicI64::new(since.map_or(0, |since| whole(since.as_micros()))),
            newest: AtomicU64::new(0),
        }
    }

    /// The store said `micros` in reply to a question sent at `asked` and answered at `answered`.
    pub(super) fn calibrate(&self, micros: u64, asked: Instant, answered: Instant) {
        let before = asked.saturating_duration_since(self.start);
        let under_way = answered.saturating_duration_since(asked) / 2;
        let said = i64::try_from(micros).unwrap_or(i64::MAX);
        let at_start = said.saturating_sub(whole((before + under_way).as_micros()));
        self.at_start.store(at_start, Ordering::Relaxed);
    }

    /// The time, later than all that were told before.
    pub(super) fn now(&self) -> u64 {
        let elapsed = whole(self.start.elapsed().as_micros());
        let at_start = self.at_start.load(Ordering::Relaxed);
        let now = u64::try_from(at_start.saturating_add(elapsed)).unwrap_or(0);
        let told = |newest: u64| Some(now.max(newest.saturating_add(1)));
        let before = self
            .newest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, told);
        let before = before.unwrap_or_else(|same| same);
        now.max(before.saturating_add(1))
    }
}

fn whole(micros: u128) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_grow_strictly_even_when_the_store_goes_back() {
        let clock = StoreClock::new();
        let mut last = clock.now();
        for round in 0..1_000 {
            if round == 500 {
                let now = Instant::now();
                clock.calibrate(1_000_000, now, now);
            }
            let next = clock.now();
            assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn it_shows_the_time_of_the_store_from_the_middle_of_the_round_trip_on() {
        let clock = StoreClock::new();
        let asked = Instant::now();
        let ahead = 4_000_000_000_000_000;
        clock.calibrate(ahead, asked, asked + Duration::from_millis(20));
        let passed = clock.now() + 10_000 - ahead;
        assert!(passed < 5_000_000, "{passed}");
    }
}
