//! Histories by hand, right ones and wrong ones.

use super::*;
use crate::protocol::{Deployed, Kind, Operation, Outcome};

/// What was done, one after the other.
#[derive(Default)]
struct Story {
    history: History,
    clock: u64,
    stored: Stored,
    losses: Vec<String>,
}

fn failed() -> Outcome {
    Outcome::Failed("NRC_STORE_UNREACHABLE".to_owned())
}

impl Story {
    fn operation(mut self, instance: usize, kind: Kind, value: u64, outcome: Outcome) -> Self {
        self.clock += 10;
        self.history.operations.push(Operation {
            instance,
            kind,
            key: "k".to_owned(),
            epoch: 0,
            value,
            began: self.clock,
            ended: self.clock + 5,
            outcome,
        });
        self
    }

    fn set(self, value: u64) -> Self {
        self.operation(0, Kind::Set, value, Outcome::Acknowledged)
    }

    fn increment(self, instance: usize, value: u64) -> Self {
        self.operation(instance, Kind::Increment, value, Outcome::Acknowledged)
    }

    fn append(self, instance: usize, value: u64) -> Self {
        self.operation(instance, Kind::Append, value, Outcome::Acknowledged)
    }

    fn read(self, instance: usize, value: u64) -> Self {
        self.operation(instance, Kind::Read, value, Outcome::Acknowledged)
    }

    fn deploy(mut self, label: &str, number: Option<u64>, outcome: Outcome) -> Self {
        self.clock += 10;
        self.history.deploys.push(Deployed {
            instance: 0,
            label: label.to_owned(),
            epoch: 0,
            number,
            hash: number.map(|_| label.to_owned()),
            began: self.clock,
            ended: self.clock + 5,
            outcome,
        });
        self
    }

    fn stored(mut self, text: &str) -> Self {
        self.stored.context.insert("k".to_owned(), text.to_owned());
        self
    }

    fn newest(mut self, label: &str, history: &[(u64, &str)]) -> Self {
        self.stored.label = Some(label.to_owned());
        let history = history
            .iter()
            .map(|(number, label)| (*number, (*label).to_owned()));
        self.stored.history = history.collect();
        self
    }

    fn lost_by(mut self, fault: &str) -> Self {
        self.losses.push(fault.to_owned());
        self
    }

    fn verdict(&self) -> Verdict {
        verify(&self.history, &self.stored, &self.losses)
    }

    #[track_caller]
    fn right(self) {
        let verdict = self.verdict();
        assert_eq!(verdict.violations, Vec::<String>::new());
        assert!(verdict.lost.is_empty(), "{:?}", verdict.lost);
    }

    #[track_caller]
    fn wrong(self, text: &str) {
        let violations = self.verdict().violations;
        assert!(
            violations.len() == 1 && violations[0].contains(text),
            "{violations:?}"
        );
    }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    Story::default()
        .set(1)
        .read(1, 1)
        .set(2)
        .read(1, 1)
        .read(0, 2)
        .stored("2")
        .right();
    Story::default()
        .increment(0, 1)
        .increment(1, 2)
        .read(1, 2)
        .stored("2")
        .right();
    Story::default()
        .append(0, 1)
        .append(1, 1)
        .stored(r#"["0-1","1-1"]"#)
        .right();
    Story::default().right();
}

#[test]
fn what_failed_may_be_there_or_not() {
    let sets = || Story::default().set(1).operation(0, Kind::Set, 2, failed());
    sets().stored("1").right();
    sets().stored("2").right();
    let counted = || {
        Story::default()
            .increment(0, 1)
            .operation(1, Kind::Increment, 0, failed())
    };
    counted().stored("1").right();
    counted().stored("2").right();
    let appended = || Story::default().operation(1, Kind::Append, 1, failed());
    appended().right();
    appended().stored(r#"["1-1"]"#).right();
}

#[test]
fn lost_sets_are_found() {
    Story::default()
        .set(1)
        .set(2)
        .stored("1")
        .wrong("2 was set and acknowledged");
    Story::default().set(1).wrong("1 was set and acknowledged");
}

#[test]
fn lost_and_doubled_increments_are_found() {
    Story::default()
        .increment(0, 1)
        .increment(1, 2)
        .stored("1")
        .wrong("1 of 2 acknowledged");
    Story::default()
        .increment(0, 1)
        .increment(1, 2)
        .stored("3")
        .wrong("counted twice");
    Story::default()
        .increment(0, 1)
        .increment(1, 1)
        .stored("2")
        .wrong("both came to 1");
}

#[test]
fn lost_doubled_and_strange_elements_are_found() {
    let one = || Story::default().append(0, 1);
    one().stored("[]").wrong("lacks");
    one().stored(r#"["0-1","0-1"]"#).wrong("twice");
    one().stored(r#"["0-1","7-7"]"#).wrong("nobody appended");
    one().stored("5").wrong("no list");
}

#[test]
fn values_that_nobody_wrote_are_found() {
    Story::default().set(1).stored("9").wrong("only 1 was set");
    Story::default()
        .set(1)
        .stored(r#""x""#)
        .wrong("nobody wrote");
    Story::default().set(1).stored("{").wrong("no JSON");
}

#[test]
fn reads_that_are_wrong_are_found() {
    Story::default()
        .set(1)
        .set(2)
        .read(1, 2)
        .read(1, 1)
        .stored("2")
        .wrong("and then 1");
    Story::default()
        .set(1)
        .set(2)
        .read(0, 1)
        .stored("2")
        .wrong("after its own write");
    Story::default()
        .read(1, 1)
        .set(1)
        .stored("1")
        .wrong("before anybody");
    Story::default()
        .increment(0, 1)
        .read(1, 2)
        .increment(0, 2)
        .stored("2")
        .wrong("before anybody");
}

#[test]
fn an_own_set_that_the_store_refuses_is_read_until_then() {
    let refused = || Story::default().set(1).operation(0, Kind::Set, 2, failed());
    refused().read(0, 2).read(0, 1).stored("1").right();
    let of_another = refused().read(1, 2).read(1, 1).stored("1");
    of_another.wrong("and then 1");
}

#[test]
fn what_the_store_lost_is_counted_and_named() {
    let story = Story::default()
        .increment(0, 1)
        .increment(0, 2)
        .increment(0, 3)
        .stored("1");
    let verdict = story.lost_by("FLUSHALL").verdict();
    assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    assert_eq!(verdict.lost, BTreeMap::from([("FLUSHALL".to_owned(), 2)]));
}

#[test]
fn what_was_written_after_a_loss_has_to_be_there() {
    let mut story = Story::default().set(1).lost_by("FLUSHALL");
    story.history.operations[0].epoch = 1;
    story.wrong("acknowledged");
}

#[test]
fn deploys_that_are_there_are_right() {
    let two = || {
        let story = Story::default().deploy("a", Some(1), Outcome::Acknowledged);
        story.deploy("b", Some(2), Outcome::Acknowledged)
    };
    two().newest("b", &[(1, "a"), (2, "b")]).right();
    let unknown = || two().deploy("c", None, failed());
    unknown().newest("b", &[(1, "a"), (2, "b")]).right();
    unknown()
        .newest("c", &[(1, "a"), (2, "b"), (3, "c")])
        .right();
    let verdict = two().newest("b", &[(2, "b")]).lost_by("FLUSHALL").verdict();
    assert!(verdict.violations.is_empty(), "the history is not restored");
}

#[test]
fn lost_deploys_are_found() {
    let one = || Story::default().deploy("a", Some(1), Outcome::Acknowledged);
    let two = || one().deploy("b", Some(2), Outcome::Acknowledged);
    two()
        .newest("a", &[(1, "a"), (2, "b")])
        .wrong("b was deployed later");
    two().newest("b", &[(1, "a")]).wrong("as revision 2");
    one()
        .newest("earlier", &[(1, "a")])
        .wrong("a was deployed later");
    one()
        .newest("earlier", &[])
        .lost_by("FLUSHALL")
        .wrong("a was deployed later");
    let same = one().deploy("b", Some(1), Outcome::Acknowledged);
    assert_eq!(same.newest("b", &[(1, "b")]).verdict().violations.len(), 2);
}

#[test]
fn alarms_are_violations() {
    let mut story = Story::default();
    story.history.alarms.push("worker-1 ended".to_owned());
    story.wrong("worker-1 ended");
}

fn lead(instance: usize, token: u64, from: u64, until: u64) -> Lead {
    let lock = "leader".to_owned();
    Lead {
        instance,
        lock,
        token,
        from,
        until,
    }
}

#[test]
fn leaders_one_after_the_other_are_right() {
    let leads = [lead(0, 1, 0, 10), lead(1, 2, 10, 20), lead(0, 3, 25, 30)];
    assert_eq!(verify_leaders(&leads), Vec::<String>::new());
}

#[test]
fn two_leaders_are_found_by_time_and_by_token() {
    let found = verify_leaders(&[lead(0, 1, 0, 11), lead(1, 2, 10, 20)]);
    assert!(
        found.len() == 1 && found[0].contains("two lead"),
        "{found:?}"
    );
    let found = verify_leaders(&[lead(0, 1, 0, 99), lead(1, 2, 10, 20), lead(2, 3, 30, 40)]);
    assert_eq!(found.len(), 2, "a long one overlaps both: {found:?}");
    let found = verify_leaders(&[lead(0, 2, 0, 10), lead(1, 2, 10, 20)]);
    assert!(
        found.len() == 1 && found[0].contains("did not grow"),
        "{found:?}"
    );
}

#[test]
fn parts_of_one_leadership_are_put_together() {
    let mut known = vec![lead(0, 1, 5, 10)];
    merge(&mut known, vec![lead(0, 1, 9, 20), lead(1, 2, 15, 16)]);
    assert_eq!(known.len(), 2);
    assert_eq!((known[0].from, known[0].until), (5, 20));
    assert_eq!(verify_leaders(&known).len(), 1);
}
