//! The clock by which leases are judged: it never goes back, nobody can set it, and where the system offers
//! it, it goes on while the machine is suspended. The plain monotonic clock of Linux stands still then, and a
//! leader that woke up would believe in a lease that ended long ago.

use std::ops::Add;
use std::time::Duration;

/// A moment on the clock of this machine; comparable between the processes of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The clock's beginning.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Nanoseconds since the clock's beginning, which is usually the start of the machine.
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The moment at so many nanoseconds, see [`Moment::as_nanos`].
    pub fn from_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }

    /// How long ago `earlier` was; nothing if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// The present moment.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Moment(Duration::new(seconds, nanos))
}

/// The present moment.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn now() -> Moment {
    use std::sync::LazyLock;
    use std::time::Instant;

    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    Moment(BEGINNING.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_never_goes_back() {
        let first = now();
        let second = now();
        assert!(second >= first);
        assert_eq!(first.since(first + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(Moment::from_nanos(first.as_nanos()), first);
    }
}
