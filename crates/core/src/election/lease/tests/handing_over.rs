//! Giving up, standing back, giving way.

use super::*;

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
    let seen = |token| {
        let admin = Record {
            token,
            ..admin.clone()
        };
        reply(Verdict::Seen, Some(admin))
    };
    exchange(&mut lease, at(600), at(600), &Request::Look, seen(8));
    assert_eq!(request(&mut lease, at(700)), None);
    // In case that it was mended meanwhile.
    let later = at(100_010);
    exchange(&mut lease, later, later, &Request::Look, seen(9));
    assert_eq!(request(&mut lease, later), Some(Request::Want));
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
