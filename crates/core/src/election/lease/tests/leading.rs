//! A leader: how long it believes, and what ends its belief.

use super::*;

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
