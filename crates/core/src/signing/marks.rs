//! The newest that was ever believed here: nothing older is believed later, however well it is signed.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The highest number and the latest time of revisions that were believed.
///
/// Both, because each can go back for an honest reason: numbers where a store and its admin lost data, times
/// where a clock was put right. A replay is behind in both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<SystemTime>,
}

impl Marks {
    /// Whether a revision goes beyond all that were believed.
    pub fn are_exceeded_by(&self, number: u64, time: &str) -> bool {
        number > self.number || parsed(time) > self.time
    }

    /// Whether something that only has a time is older than the latest that was believed.
    pub fn are_behind(&self, time: &str) -> bool {
        parsed(time) < self.time
    }

    /// A time after all that were believed: now, unless the clock of another admin is ahead.
    pub fn next_time(&self, now: SystemTime) -> SystemTime {
        let next = self.time.map(|time| time + Duration::from_millis(1));
        next.map_or(now, |next| next.max(now))
    }

    /// A revision is believed.
    pub fn note(&mut self, number: u64, time: &str) {
        self.number = self.number.max(number);
        self.time = self.time.max(parsed(time));
    }

    /// What was believed in an earlier life.
    pub fn include(&mut self, other: &Self) {
        self.number = self.number.max(other.number);
        self.time = self.time.max(other.time);
    }
}

fn parsed(time: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORNING: &str = "2026-01-31T08:00:00.000Z";
    const NOON: &str = "2026-01-31T12:00:00.000Z";
    const EVENING: &str = "2026-01-31T18:00:00.000Z";

    fn at(number: u64, time: &str) -> Marks {
        let mut marks = Marks::default();
        marks.note(number, time);
        marks
    }

    #[test]
    fn the_next_revision_is_believed_and_an_earlier_one_not() {
        let marks = at(5, NOON);
        assert!(marks.are_exceeded_by(6, EVENING));
        assert!(!marks.are_exceeded_by(5, NOON));
        assert!(!marks.are_exceeded_by(4, MORNING));
        assert!(Marks::default().are_exceeded_by(1, MORNING));
    }

    #[test]
    fn a_clock_that_was_put_right_and_a_number_that_was_lost_do_no_harm() {
        assert!(at(5, EVENING).are_exceeded_by(6, NOON));
        assert!(at(5, NOON).are_exceeded_by(4, EVENING));
    }

    #[test]
    fn a_branch_that_was_left_is_not_gone_back_to() {
        let mut marks = at(5, NOON);
        marks.note(4, EVENING);
        assert!(!marks.are_exceeded_by(5, NOON));
    }

    #[test]
    fn a_time_that_is_none_counts_for_nothing() {
        assert!(!at(5, NOON).are_exceeded_by(4, "soon"));
        assert!(at(5, "soon").are_exceeded_by(6, "later"));
    }

    #[test]
    fn an_admin_whose_clock_is_behind_is_believed() {
        let marks = at(0, EVENING);
        let noon = parsed(NOON).unwrap();
        let next = humantime::format_rfc3339_millis(marks.next_time(noon)).to_string();
        assert!(!marks.are_behind(&next) && marks.are_exceeded_by(0, &next));
        assert_eq!(at(0, MORNING).next_time(noon), noon);
    }

    #[test]
    fn marks_outlive_a_restart() {
        let marks = at(5, NOON);
        let text = serde_json::to_string(&marks).unwrap();
        let mut read = Marks::default();
        read.include(&serde_json::from_str(&text).unwrap());
        assert_eq!(read, marks);
    }
}
