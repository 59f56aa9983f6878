//! The rules of the lease, one by one.

use super::*;
use crate::election::memory::Intact;
use crate::election::view::Lock;

const TTL: Duration = Duration::from_secs(10);
const RUN: &str = "run1";
const INTACT: Option<Intact<'static>> = Some(Intact {
    mark: "mark",
    since: Moment::ZERO,
});

fn at(milliseconds: u64) -> Moment {
    Moment::default() + Duration::from_millis(milliseconds)
}

fn candidate(eligibility: Eligibility) -> Lease {
    let candidate = Candidate {
        id: "me".into(),
        ttl: TTL,
        eligibility,
        place: 0.0,
    };
    Lease::new(candidate, 0)
}

/// One that is connected, and whose event loop answers at once.
fn connected() -> Lease {
    let mut lease = candidate(Eligibility::Candidate);
    lease.connected(at(0), Some(RUN.into()));
    lease
}

fn record(token: u64, beat: &str, holder: &str) -> Record {
    Record {
        token,
        beat: beat.into(),
        released: false,
        holder: holder.into(),
        host: format!("host-of-{holder}"),
        ttl: 10_000,
        run: RUN.into(),
        reserve: false,
    }
}

fn view(record: Option<Record>) -> View {
    let lock = match &record {
        Some(record) if !record.released => Lock::Ours {
            token: record.token,
        },
        _ => Lock::Absent,
    };
    View { lock, record }
}

fn reply(verdict: Verdict, record: Option<Record>) -> Reply {
    Reply {
        verdict,
        view: view(record),
    }
}

fn released(token: u64, holder: &str) -> Record {
    Record {
        released: true,
        ..record(token, "ff", holder)
    }
}

fn written(record: &Record) -> Written {
    Written {
        lock: "lock".into(),
        token: record.token,
        beat: record.beat.clone(),
        state: if record.released { "released" } else { "held" }.into(),
        holder: record.holder.clone(),
        run: record.run.clone(),
    }
}

/// What it would send, if its event loop answers at once.
fn request(lease: &mut Lease, now: Moment) -> Option<Request> {
    match lease.next(now, None) {
        Step::Send(Request::Ask) => {
            lease.loop_answered(now);
            match lease.next(now, None) {
                Step::Send(request) => Some(request),
                Step::Wait(_) => None,
            }
        }
        Step::Send(request) => Some(request),
        Step::Wait(_) => None,
    }
}

fn exchange(lease: &mut Lease, sent: Moment, now: Moment, request: &Request, reply: Reply) {
    lease.begin(sent, request);
    lease.replied(now, sent, lease.candidate().ttl, request, reply);
}

fn acquire_now(watched: &str) -> Request {
    Request::Acquire {
        watched: watched.into(),
        memory: None,
    }
}

/// One that leads since it asked at 0, with token 7.
fn leader() -> Lease {
    let mut lease = connected();
    let won = reply(Verdict::Acquired, Some(record(7, "a1", "me")));
    exchange(&mut lease, at(0), at(5), &acquire_now(""), won);
    assert_eq!(lease.holding(at(5)).unwrap().token, 7);
    lease
}

/// One that has seen another leader at 0.
fn follower(record: Record) -> Lease {
    let mut lease = connected();
    let held = reply(Verdict::Held, Some(record));
    exchange(&mut lease, at(0), at(0), &acquire_now(""), held);
    lease
}

#[test]
fn a_leader_believes_from_before_it_asked_and_a_hundredth_less() {
    let mut lease = connected();
    let won = reply(Verdict::Acquired, Some(record(7, "a1", "me")));
    exchange(&mut lease, at(1000), at(4000), &acquire_now(""), won);
    assert!(lease.holding(at(10_899)).is_some());
    assert!(lease.holding(at(10_900)).is_none());
}

#[test]
fn a_grant_that_comes_too_late_is_none() {
    let mut lease = connected();
    let won = reply(Verdict::Acquired, Some(record(7, "a1", "me")));
    exchange(&mut lease, at(0), at(9_950), &acquire_now(""), won);
    assert!(lease.holding(at(9_950)).is_none());
    // The record is its own, so it may ask again at once.
    assert_eq!(request(&mut lease, at(9_950)), Some(acquire_now("")));
}

#[test]
fn a_lease_is_renewed_after_a_third_and_judged_from_the_renewals_request() {
    let mut lease = leader();
    assert_eq!(
        lease.next(at(3_000), None),
        Step::Wait(Some(at(0) + TTL / 3))
    );
    let renew = Request::Renew { token: 7 };
    assert_eq!(request(&mut lease, at(3_400)), Some(renew.clone()));
    let renewed = reply(Verdict::Renewed, Some(record(7, "a2", "me")));
    exchange(&mut lease, at(3_400), at(9_000), &renew, renewed);
    assert_eq!(lease.holding(at(9_000)).unwrap().until, at(13_300));
}

#[test]
fn without_an_answer_of_the_event_loop_nothing_is_sent() {
    let mut lease = leader();
    assert_eq!(lease.next(at(3_400), None), Step::Send(Request::Ask));
    lease.loop_answered(at(3_500));
    let renew = Step::Send(Request::Renew { token: 7 });
    assert_eq!(lease.next(at(3_500), None), renew);
    assert_eq!(
        lease.next(at(3_600), None),
        Step::Send(Request::Ask),
        "an old answer says nothing"
    );
    lease.expire(at(9_900));
    assert_eq!(lease.take_end(), Some(End::Expired));
}

#[test]
fn a_renewal_that_was_refused_ends_the_belief_at_once() {
    let mut lease = leader();
    let renew = Request::Renew { token: 7 };
    let lost = reply(Verdict::Lost, Some(record(8, "b1", "other")));
    exchange(&mut lease, at(3_400), at(3_410), &renew, lost);
    assert!(lease.holding(at(3_410)).is_none());
    assert_eq!(lease.take_end(), Some(End::Lost));
    assert_eq!(lease.leader(at(3_410)).unwrap().token, 8);
}

#[test]
fn a_renewal_of_a_belief_that_ended_meanwhile_does_not_bring_it_back() {
    let mut lease = leader();
    let renew = Request::Renew { token: 7 };
    lease.begin(at(9_000), &renew);
    lease.expire(at(9_900));
    let renewed = reply(Verdict::Renewed, Some(record(7, "a2", "me")));
    lease.replied(at(9_950), at(9_000), TTL, &renew, renewed);
    assert!(lease.holding(at(9_950)).is_none());
}

#[test]
fn a_shorter_lease_holds_for_the_leader_before_others_can_know_of_it() {
    let mut lease = leader();
    lease.set_ttl(at(100), Duration::from_secs(2));
    let renew = Request::Renew { token: 7 };
    assert_eq!(request(&mut lease, at(100)), Some(renew.clone()));
    lease.begin(at(100), &renew);
    assert_eq!(lease.holding(at(100)).unwrap().until, at(2_080));
}

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
fn who_gave_up_believes_so_before_the_store_knows_and_stands_back_for_a_lease() {
    let mut lease = leader();
    assert!(lease.release(at(1_000)));
    assert!(lease.holding(at(1_000)).is_none());
    let release = Request::Release { token: 7 };
    assert_eq!(request(&mut lease, at(1_000)), Some(release.clone()));
    let told = reply(Verdict::Released { told: 3 }, Some(released(7, "me")));
    exchange(&mut lease, at(1_000), at(1_010), &release, told);
    assert!(!lease.owes());
    assert_eq!(request(&mut lease, at(5_000)), None);
    lease.expire(at(11_000));
    assert!(matches!(
        request(&mut lease, at(11_000)),
        Some(Request::Look | Request::Acquire { .. })
    ));
    assert!(!lease.release(at(11_000)), "it leads no more");
}

#[test]
fn who_is_alone_does_not_stand_back_for_long() {
    let mut lease = leader();
    lease.release(at(1_000));
    let release = Request::Release { token: 7 };
    let told = reply(Verdict::Released { told: 1 }, Some(released(7, "me")));
    exchange(&mut lease, at(1_000), at(1_010), &release, told);
    lease.expire(at(2_010));
    assert_eq!(request(&mut lease, at(2_010)), Some(acquire_now("")));
}

#[test]
fn where_messages_do_not_get_through_nobody_is_taken_to_be_alone() {
    let mut lease = leader();
    lease.release(at(1_000));
    let release = Request::Release { token: 7 };
    let told = reply(Verdict::Released { told: 0 }, Some(released(7, "me")));
    exchange(&mut lease, at(1_000), at(1_010), &release, told);
    assert_eq!(request(&mut lease, at(7_000)), None);
}

#[test]
fn who_gave_up_stands_again_once_another_had_its_turn() {
    let mut lease = leader();
    lease.release(at(1_000));
    let release = Request::Release { token: 7 };
    let told = reply(Verdict::Released { told: 3 }, Some(released(7, "me")));
    exchange(&mut lease, at(1_000), at(1_010), &release, told);
    let next = reply(Verdict::Seen, Some(record(8, "b1", "other")));
    exchange(&mut lease, at(1_020), at(1_030), &Request::Look, next);
    lease.heard(at(2_000), written(&released(8, "other")));
    assert_eq!(request(&mut lease, at(2_000)), Some(acquire_now("")));
}

#[test]
fn a_grant_that_was_read_after_a_long_stop_brings_nothing_back() {
    let mut lease = leader();
    let renew = Request::Renew { token: 7 };
    lease.begin(at(3_400), &renew);
    // Nothing told it that time passed: the process did not run.
    let renewed = reply(Verdict::Renewed, Some(record(7, "a2", "me")));
    lease.replied(at(10_000), at(3_400), TTL, &renew, renewed);
    assert!(lease.holding(at(10_000)).is_none());
    assert_eq!(lease.take_end(), Some(End::Expired));
}

#[test]
fn a_release_is_repeated_until_the_store_knows_or_the_lease_is_over() {
    let mut lease = leader();
    lease.release(at(1_000));
    let release = Request::Release { token: 7 };
    lease.begin(at(1_000), &release);
    let lost = Error::new(Code::OutcomeUnknown, "lost");
    lease.failed(at(1_100), &release, lost);
    assert_eq!(request(&mut lease, at(1_200)), None);
    assert_eq!(request(&mut lease, at(1_700)), Some(release));
    lease.expire(at(11_000));
    assert!(!lease.owes());
}

#[test]
fn one_that_only_stands_in_lets_others_go_first_and_gives_way() {
    let mut lease = candidate(Eligibility::Reserve);
    lease.connected(at(0), Some(RUN.into()));
    assert_eq!(request(&mut lease, at(0)), Some(Request::Look));
    let seen = reply(Verdict::Seen, Some(released(7, "other")));
    exchange(&mut lease, at(0), at(0), &Request::Look, seen);
    assert_eq!(request(&mut lease, at(900)), None);
    assert_eq!(request(&mut lease, at(1_000)), Some(acquire_now("")));
    let won = reply(Verdict::Acquired, Some(record(8, "b1", "me")));
    exchange(&mut lease, at(1_000), at(1_000), &acquire_now(""), won);
    lease.wanted(at(2_000), "worker");
    assert!(lease.holding(at(2_000)).is_none());
    assert_eq!(lease.take_end(), Some(End::GaveWay));
}

#[test]
fn a_candidate_asks_one_that_stands_in_to_give_way_and_asks_again() {
    let mut lease = follower(Record {
        reserve: true,
        ..record(7, "a1", "admin")
    });
    assert_eq!(request(&mut lease, at(0)), Some(Request::Want));
    lease.begin(at(0), &Request::Want);
    assert_eq!(request(&mut lease, at(3_000)), None);
    assert_eq!(request(&mut lease, at(3_400)), Some(Request::Want));
    let mut other = leader();
    other.wanted(at(100), "worker");
    assert!(
        other.holding(at(100)).is_some(),
        "only who stands in gives way"
    );
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
fn a_leader_renews_as_soon_as_the_link_is_back() {
    let mut lease = leader();
    lease.disconnected();
    assert_eq!(lease.next(at(500), None), Step::Wait(Some(at(9_900))));
    lease.connected(at(600), Some("run2".into()));
    assert_eq!(
        request(&mut lease, at(600)),
        Some(Request::Renew { token: 7 })
    );
}

#[test]
fn who_cannot_take_the_lease_does_not_ask_for_it() {
    let admin = Record {
        reserve: true,
        ..record(7, "a1", "admin")
    };
    let mut lease = follower(admin.clone());
    assert_eq!(
        lease.next(at(0), None),
        Step::Send(Request::Ask),
        "its event loop may hang"
    );
    let forbidden = Error::new(Code::StorePermission, "no");
    lease.failed(at(10), &acquire_now(""), forbidden);
    exchange(
        &mut lease,
        at(600),
        at(600),
        &Request::Look,
        reply(Verdict::Seen, Some(released(7, "admin"))),
    );
    let seen = reply(Verdict::Seen, Some(Record { token: 8, ..admin }));
    lease.failed(
        at(700),
        &acquire_now(""),
        Error::new(Code::StorePermission, "no"),
    );
    lease.begin(at(1_300), &Request::Look);
    lease.replied(at(1_300), at(1_300), TTL, &Request::Look, seen);
    assert!(
        lease.trouble().is_none(),
        "a leader that lives is no trouble"
    );
}

#[test]
fn a_read_does_not_heal_what_only_a_write_can_show() {
    let mut lease = follower(released(7, "other"));
    let forbidden = Error::new(Code::StorePermission, "no");
    lease.failed(at(10), &acquire_now(""), forbidden);
    let still = reply(Verdict::Held, Some(released(7, "other")));
    exchange(&mut lease, at(600), at(600), &acquire_now(""), still);
    assert!(lease.trouble().is_some());
    let won = reply(Verdict::Acquired, Some(record(8, "a1", "me")));
    exchange(&mut lease, at(700), at(700), &acquire_now(""), won);
    assert!(lease.trouble().is_none());
}

#[test]
fn a_leader_that_finds_a_foreign_lock_stops_before_it_says_so() {
    let mut lease = leader();
    let renew = Request::Renew { token: 7 };
    let foreign = Reply {
        verdict: Verdict::Foreign,
        view: View {
            lock: Lock::Foreign {
                what: "host".into(),
                ttl: None,
            },
            record: Some(record(7, "a1", "me")),
        },
    };
    exchange(&mut lease, at(3_400), at(3_500), &renew, foreign);
    assert!(lease.holding(at(3_500)).is_none());
    let release = Some(Request::Release { token: 7 });
    assert_eq!(request(&mut lease, at(3_500)), release);
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

#[test]
fn a_lease_that_grows_while_it_is_asked_for_is_renewed_in_time() {
    let mut lease = connected();
    let acquire = acquire_now("");
    lease.begin(at(0), &acquire);
    lease.set_ttl(at(1), Duration::from_secs(3_600));
    let won = reply(Verdict::Acquired, Some(record(7, "a1", "me")));
    lease.replied(at(5), at(0), TTL, &acquire, won);
    assert_eq!(
        request(&mut lease, at(3_400)),
        Some(Request::Renew { token: 7 })
    );
}

#[test]
fn who_gave_up_lets_one_that_stands_in_have_its_turn() {
    let mut lease = leader();
    lease.release(at(1_000));
    let release = Request::Release { token: 7 };
    let told = reply(Verdict::Released { told: 3 }, Some(released(7, "me")));
    exchange(&mut lease, at(1_000), at(1_010), &release, told);
    let admin = Record {
        reserve: true,
        ..record(8, "b1", "admin")
    };
    let seen = reply(Verdict::Seen, Some(admin));
    exchange(&mut lease, at(2_000), at(2_000), &Request::Look, seen);
    assert_eq!(request(&mut lease, at(2_100)), None);
}

#[test]
fn who_stops_gives_up_also_what_it_is_granted_later() {
    let mut lease = connected();
    lease.begin(at(0), &acquire_now(""));
    lease.stop(at(10));
    let won = reply(Verdict::Acquired, Some(record(7, "a1", "me")));
    lease.replied(at(20), at(0), TTL, &acquire_now(""), won);
    assert!(lease.holding(at(20)).is_none());
    assert_eq!(
        request(&mut lease, at(20)),
        Some(Request::Release { token: 7 })
    );
}
