//! When a child that ended is started again. Pure: told how long it ran, decides.

use std::time::Duration;

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A child that ran this long is sound; whatever ended it begins a new count.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// The history of one child.
#[derive(Debug)]
pub(super) struct RestartPolicy {
    /// Ends without ever having been ready after which there is no hope.
    attempts: u32,
    /// Ends in a row, each after less than [`SOUND_AFTER`].
    in_a_row: u32,
    ever_ready: bool,
}

/// What to do about a child that ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// Start it again after this delay.
    Again(Duration),
    /// It has never worked and will not.
    GiveUp,
}

impl RestartPolicy {
    /// A child that has not run yet, and is given up if it ends `attempts` times without ever
    /// becoming ready.
    pub(super) fn new(attempts: u32) -> Self {
        Self {
            attempts,
            in_a_row: 0,
            ever_ready: false,
        }
    }

    /// The child has become ready.
    pub(super) fn ready(&mut self) {
        self.ever_ready = true;
    }

    /// The child ended after having run for `ran`.
    pub(super) fn ended(&mut self, ran: Duration) -> Decision {
        if ran >= SOUND_AFTER {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if !self.ever_ready && self.in_a_row >= self.attempts {
            return Decision::GiveUp;
        }
        let doubled = 2_u32.saturating_pow(self.in_a_row - 1);
        Decision::Again(FIRST_DELAY.saturating_mul(doubled).min(LONGEST_DELAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    fn delays(policy: &mut RestartPolicy, ends: usize) -> Vec<u64> {
        (0..ends)
            .map(|_| match policy.ended(SHORT) {
                Decision::Again(delay) => delay.as_secs(),
                Decision::GiveUp => panic!("gave up"),
            })
            .collect()
    }

    #[test]
    fn the_delay_doubles_up_to_thirty_seconds() {
        let mut policy = RestartPolicy::new(3);
        policy.ready();
        assert_eq!(delays(&mut policy, 7), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(delays(&mut policy, 40).last(), Some(&30));
    }

    #[test]
    fn a_minute_of_running_begins_a_new_count() {
        let mut policy = RestartPolicy::new(3);
        policy.ready();
        delays(&mut policy, 4);
        assert_eq!(
            policy.ended(SOUND_AFTER),
            Decision::Again(Duration::from_secs(1))
        );
        assert_eq!(delays(&mut policy, 1), [2]);
    }

    #[test]
    fn a_child_that_never_worked_is_given_up() {
        let mut policy = RestartPolicy::new(3);
        assert_eq!(delays(&mut policy, 2), [1, 2]);
        assert_eq!(policy.ended(SHORT), Decision::GiveUp);
        assert_eq!(RestartPolicy::new(1).ended(SHORT), Decision::GiveUp);
    }

    #[test]
    fn a_child_that_worked_once_is_never_given_up() {
        let mut policy = RestartPolicy::new(3);
        delays(&mut policy, 2);
        policy.ready();
        delays(&mut policy, 10);
    }
}
