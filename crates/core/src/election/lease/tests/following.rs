//! A candidate: what it watches, what it takes at its word, when it takes over.

use super::*;

#[test]
fn a_held_lease_is_taken_only_if_nothing_changed_for_its_whole_length() {
    let mut lease = follower(record(7, "a1", "other"));
    assert_eq!(request(&mut lease, at(6_000)), None);
    assert_eq!(request(&mut lease, at(7_000)), Some(Request::Look));
    let seen = reply(Verdict::Seen, Some(record(7, "a1", "other")));
    exchange(&mut lease, at(7_000), at(7_000), &Request::Look, seen);
    assert_eq!(request(&mut lease, at(9_999)), None);
    let watched = acquire_now("7 a1 held other run1");
    assert_eq!(request(&mut lease, at(10_000)), Some(watched));
}

#[test]
fn a_new_beat_begins_the_watch_anew_whether_it_was_read_or_heard() {
    let mut lease = follower(record(7, "a1", "other"));
    lease.heard(at(3_000), written(&record(7, "a2", "other")));
    assert_eq!(request(&mut lease, at(9_600)), None);
    let seen = reply(Verdict::Seen, Some(record(7, "a3", "other")));
    exchange(&mut lease, at(9_700), at(9_700), &Request::Look, seen);
    assert_eq!(request(&mut lease, at(13_000)), None);
    assert_eq!(lease.leader(at(13_000)).unwrap().host, "host-of-other");
}

#[test]
fn a_message_cannot_shorten_the_watch() {
    let mut lease = follower(record(7, "a1", "other"));
    // The beat that is known, again; another token; a release that never was.
    lease.heard(at(1_000), written(&record(7, "a1", "other")));
    lease.heard(at(1_000), written(&record(99, "x", "forged")));
    lease.heard(at(1_000), written(&released(7, "other")));
    assert_eq!(
        request(&mut lease, at(1_000)),
        Some(acquire_now("")),
        "it only asks, and claims to have watched nothing"
    );
    let held = reply(Verdict::Held, Some(record(7, "a1", "other")));
    exchange(&mut lease, at(1_000), at(1_001), &acquire_now(""), held);
    assert_eq!(lease.floor(), 7, "a token that was only heard is no token");
    assert_eq!(request(&mut lease, at(6_000)), None);
    let seen = reply(Verdict::Seen, Some(record(7, "a1", "other")));
    exchange(&mut lease, at(8_000), at(8_000), &Request::Look, seen);
    assert_eq!(
        request(&mut lease, at(10_000)),
        Some(acquire_now("7 a1 held other run1")),
        "nor lengthen it by what is known already"
    );
}

#[test]
fn a_record_that_was_seen_and_is_gone_was_deleted_under_a_leader() {
    let mut lease = follower(record(7, "a1", "other"));
    let gone = reply(Verdict::Seen, None);
    exchange(&mut lease, at(100), at(100), &Request::Look, gone);
    assert!(matches!(lease.next(at(200), INTACT), Step::Wait(_)));
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut lease = follower(record(7, "a1", "other"));
    lease.heard(at(500), written(&released(7, "other")));
    assert_eq!(request(&mut lease, at(500)), Some(acquire_now("")));
}

#[test]
fn what_was_written_in_another_run_of_the_server_is_watched_even_if_it_says_released() {
    let mut old = released(7, "other");
    old.run = "run0".into();
    let mut lease = follower(old);
    assert_eq!(request(&mut lease, at(6_000)), None);
    let seen = lease.sight().unwrap().0.clone();
    let look = Reply {
        verdict: Verdict::Seen,
        view: seen,
    };
    exchange(&mut lease, at(7_000), at(7_000), &Request::Look, look);
    assert_eq!(
        request(&mut lease, at(10_000)),
        Some(acquire_now("7 ff released other run0"))
    );
}

#[test]
fn another_run_of_the_server_begins_every_watch_anew() {
    let mut lease = follower(record(7, "a1", "other"));
    lease.disconnected();
    lease.connected(at(9_000), Some("run2".into()));
    let held = reply(Verdict::Held, Some(record(7, "a1", "other")));
    exchange(&mut lease, at(9_000), at(9_000), &acquire_now(""), held);
    assert_eq!(request(&mut lease, at(14_000)), None);
}

#[test]
fn a_server_that_does_not_say_which_run_it_is_could_be_another_after_each_reconnect() {
    let mut lease = candidate(Eligibility::Candidate);
    lease.connected(at(0), None);
    let held = reply(Verdict::Held, Some(released(7, "other")));
    exchange(&mut lease, at(0), at(0), &acquire_now(""), held);
    assert_eq!(request(&mut lease, at(1_000)), None, "released, but when?");
    lease.disconnected();
    lease.connected(at(9_000), None);
    assert!(lease.sight().is_none());
}

#[test]
fn where_there_never_was_a_record_only_a_memory_that_is_whole_is_believed() {
    let mut lease = connected();
    let absent = reply(Verdict::Held, None);
    exchange(&mut lease, at(0), at(0), &acquire_now(""), absent);
    assert!(matches!(lease.next(at(100), None), Step::Wait(_)));
    lease.loop_answered(at(100));
    let try_it = Request::Acquire {
        watched: String::new(),
        memory: Some("mark".into()),
    };
    assert_eq!(lease.next(at(100), INTACT), Step::Send(try_it));
}

#[test]
fn one_that_only_stands_in_counts_its_courtesy_from_when_others_may_try() {
    let mut lease = candidate(Eligibility::Reserve);
    lease.connected(at(0), Some(RUN.into()));
    let seen = reply(Verdict::Seen, None);
    exchange(&mut lease, at(0), at(0), &Request::Look, seen);
    let memory = Some(Intact {
        mark: "mark",
        since: at(5_000),
    });
    assert_eq!(lease.next(at(5_000), memory), Step::Wait(Some(at(6_000))));
}

#[test]
fn an_observer_never_asks_for_the_lease() {
    let mut lease = candidate(Eligibility::Observer);
    lease.connected(at(0), Some(RUN.into()));
    let seen = reply(Verdict::Seen, Some(released(7, "other")));
    exchange(&mut lease, at(0), at(0), &Request::Look, seen);
    for now in (0..60_000).step_by(100) {
        let request = request(&mut lease, at(now));
        assert!(matches!(request, None | Some(Request::Look)));
    }
}

#[test]
fn what_is_not_ours_is_looked_at_and_never_taken() {
    let mut lease = connected();
    let foreign = Reply {
        verdict: Verdict::Foreign,
        view: View {
            lock: Lock::Foreign {
                what: "host".into(),
                ttl: Some(3_000),
            },
            record: None,
        },
    };
    exchange(&mut lease, at(0), at(0), &acquire_now(""), foreign);
    assert_eq!(lease.next(at(0), INTACT), Step::Wait(Some(at(3_000))));
    assert_eq!(request(&mut lease, at(3_000)), Some(Request::Look));
}

#[test]
fn what_may_have_been_a_record_in_between_begins_the_watch_of_absence_anew() {
    let mut lease = connected();
    let absent = reply(Verdict::Held, None);
    exchange(&mut lease, at(0), at(0), &acquire_now(""), absent);
    lease.heard(at(4_000), written(&record(7, "a1", "other")));
    let still = reply(Verdict::Seen, None);
    exchange(&mut lease, at(4_010), at(4_010), &Request::Look, still);
    let again = reply(Verdict::Seen, None);
    exchange(&mut lease, at(10_000), at(10_000), &Request::Look, again);
    assert_eq!(request(&mut lease, at(10_500)), None);
    assert_eq!(
        request(&mut lease, at(14_000)),
        Some(acquire_now("absent "))
    );
}
