//! What listeners hear, and in which order.

use super::*;
use crate::error::Code;

#[derive(Debug, Default)]
struct Ear(Mutex<Vec<String>>);

impl Ear {
    /// What was heard since the last look.
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn hear(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl Invalidations for Ear {
    fn invalidated(&self, keys: &[&[u8]]) {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| String::from_utf8_lossy(key))
            .collect();
        self.hear(keys.join(" "));
    }

    fn all_invalidated(&self) {
        self.hear("all");
    }

    fn established(&self, epoch: u64) {
        self.hear(format!("established {epoch}"));
    }

    fn lost(&self) {
        self.hear("lost");
    }

    fn unavailable(&self, _: &Error) {
        self.hear("unavailable");
    }
}

fn listen(tracker: &Tracker, holder: Holder, prefixes: &[&str]) -> Arc<Ear> {
    let ear = Arc::new(Ear::default());
    let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
    tracker.add(holder, prefixes, Arc::clone(&ear) as Arc<dyn Invalidations>);
    ear
}

/// Does what the tracker asks for, as a server does that tracks.
fn comply(tracker: &Tracker, session: SessionNumber) -> Step {
    let step = tracker.step(session);
    if let Step::Track(prefixes) = &step {
        tracker.tracked(session, prefixes.clone());
    }
    step
}

fn track(prefixes: &[&str]) -> Step {
    Step::Track(prefixes.iter().map(|&prefix| prefix.to_owned()).collect())
}

fn invalidate(keys: Value) -> PushInfo {
    PushInfo {
        kind: PushKind::Invalidate,
        data: vec![keys],
    }
}

fn keys(keys: &[&str]) -> PushInfo {
    let key = |key: &&str| Value::BulkString(key.as_bytes().to_vec());
    invalidate(Value::Array(keys.iter().map(key).collect()))
}

fn disconnection() -> PushInfo {
    PushInfo {
        kind: PushKind::Disconnection,
        data: Vec::new(),
    }
}

#[test]
fn a_session_begins_with_established_and_ends_with_lost_once() {
    let tracker = Tracker::new();
    let ear = listen(&tracker, 1, &["a:"]);
    let first = tracker.begin(1);
    assert!(ear.heard().is_empty());
    assert_eq!(comply(&tracker, first), track(&["a:"]));
    assert_eq!(comply(&tracker, first), Step::Keep);
    assert_eq!(ear.heard(), ["established 1"]);
    tracker.push(first, &disconnection());
    tracker.end(first);
    assert_eq!(ear.heard(), ["lost"]);

    let second = tracker.begin(2);
    comply(&tracker, second);
    assert_eq!(ear.heard(), ["established 2"]);
    // The end of the first connection is noticed late, by somebody else.
    tracker.end(first);
    tracker.push(first, &keys(&["a:1"]));
    tracker.set_leased(first, false);
    assert!(ear.heard().is_empty());
    // And a connect without an end before it ends what was.
    let third = tracker.begin(3);
    comply(&tracker, third);
    assert_eq!(ear.heard(), ["lost", "established 3"]);
    tracker.close();
    assert_eq!(ear.heard(), ["lost"]);
}

#[test]
fn everyone_hears_of_his_own_keys() {
    let tracker = Tracker::new();
    let (left, right) = (
        listen(&tracker, 1, &["a:", "x"]),
        listen(&tracker, 2, &["b:"]),
    );
    let session = tracker.begin(1);
    assert_eq!(comply(&tracker, session), track(&["a:", "b:", "x"]));
    left.heard();
    right.heard();
    tracker.push(session, &keys(&["a:1", "b:1", "x", "c"]));
    tracker.push(session, &keys(&["b:2"]));
    assert_eq!(left.heard(), ["a:1 x"]);
    assert_eq!(right.heard(), ["b:1", "b:2"]);
    tracker.push(session, &invalidate(Value::Nil));
    assert_eq!(
        (left.heard(), right.heard()),
        (vec!["all".into()], vec!["all".into()])
    );
}

#[test]
fn a_listener_that_comes_late_is_established_at_once_where_its_keys_are_tracked() {
    let tracker = Tracker::new();
    let first = listen(&tracker, 1, &["a:"]);
    let session = tracker.begin(1);
    comply(&tracker, session);
    first.heard();
    let covered = listen(&tracker, 2, &["a:b:"]);
    assert_eq!(covered.heard(), ["established 1"]);
    assert_eq!(comply(&tracker, session), Step::Keep);

    let wider = listen(&tracker, 3, &["b", "a"]);
    assert!(wider.heard().is_empty());
    assert_eq!(comply(&tracker, session), track(&["a", "b"]));
    assert_eq!(wider.heard(), ["established 1"]);
    assert_eq!(first.heard(), ["lost", "established 1"]);
    assert_eq!(covered.heard(), ["lost", "established 1"]);
}

#[test]
fn a_listener_that_goes_hears_that_all_is_lost_and_then_nothing() {
    let tracker = Tracker::new();
    let (stays, goes) = (listen(&tracker, 1, &["a:"]), listen(&tracker, 2, &["b:"]));
    let session = tracker.begin(1);
    comply(&tracker, session);
    stays.heard();
    goes.heard();
    tracker.remove(2);
    assert_eq!(comply(&tracker, session), Step::Keep);
    tracker.push(session, &keys(&["a:1", "b:1"]));
    assert_eq!(goes.heard(), ["lost"]);
    assert_eq!(stays.heard(), ["a:1"]);
    tracker.remove(1);
    assert_eq!(comply(&tracker, session), Step::Off);
    assert_eq!(comply(&tracker, session), Step::Keep);
}

#[test]
fn without_a_lease_nobody_is_established_and_changes_are_heard_all_the_same() {
    let tracker = Tracker::new();
    let ear = listen(&tracker, 1, &["a:"]);
    let session = tracker.begin(1);
    comply(&tracker, session);
    tracker.set_leased(session, false);
    tracker.push(session, &keys(&["a:1"]));
    let late = listen(&tracker, 2, &["a:"]);
    assert!(late.heard().is_empty());
    tracker.set_leased(session, true);
    assert_eq!(
        ear.heard(),
        ["established 1", "lost", "a:1", "established 1"]
    );
    assert_eq!(late.heard(), ["established 1"]);
}

#[test]
fn a_server_that_refuses_is_asked_again_for_a_new_listener_and_in_a_new_session() {
    let tracker = Tracker::new();
    let ear = listen(&tracker, 1, &["a:"]);
    let reason = Error::new(Code::StorePermission, "no");
    let first = tracker.begin(1);
    assert_eq!(tracker.step(first), track(&["a:"]));
    tracker.refused(first, &reason);
    assert_eq!(tracker.step(first), Step::Keep);
    let late = listen(&tracker, 2, &["a:"]);
    assert_eq!(tracker.step(first), track(&["a:"]));
    tracker.refused(first, &reason);
    assert_eq!(ear.heard(), ["unavailable"]);
    assert_eq!(late.heard(), ["unavailable"]);
    let second = tracker.begin(2);
    comply(&tracker, second);
    assert_eq!(ear.heard(), ["established 2"]);
}
