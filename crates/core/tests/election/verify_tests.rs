//! The checker itself has to see what it looks for.

use super::history::{Deed, History, Life, Nanos, Recorded, Said, Sample};
use super::verify::{Verdict, verify};

const LOCK: &str = "lock";
const SECOND: Nanos = 1_000_000_000;

/// Milliseconds.
fn ms(millis: u64) -> Nanos {
    millis * 1_000_000
}

fn began(at: u64, token: u64, until: u64) -> Said {
    let lock = LOCK.to_owned();
    let (at, until) = (ms(at), ms(until));
    Said::Began {
        at,
        lock,
        token,
        until,
    }
}

fn moved(at: u64, token: u64, until: u64) -> Said {
    let lock = LOCK.to_owned();
    let (at, until) = (ms(at), ms(until));
    Said::Moved {
        at,
        lock,
        token,
        until,
    }
}

fn ended(at: u64, token: u64) -> Said {
    let lock = LOCK.to_owned();
    Said::Ended {
        at: ms(at),
        lock,
        token,
    }
}

fn knows(at: u64, token: u64) -> Said {
    let lock = LOCK.to_owned();
    Said::Knows {
        at: ms(at),
        lock,
        token,
    }
}

fn saw(before: u64, after: u64, token: Option<u64>) -> Said {
    let lock = LOCK.to_owned();
    let (before, after) = (ms(before), ms(after));
    Said::Saw(vec![Sample {
        lock,
        before,
        after,
        token,
    }])
}

fn history(said: &[&[Said]]) -> History {
    let lives = said.iter().enumerate().map(|(index, said)| Life {
        name: format!("p{index}"),
        killed: None,
        said: said.to_vec(),
    });
    History {
        lives: lives.collect(),
        ..History::default()
    }
}

fn judge(history: &History) -> Verdict {
    // Tokens of these tests are far ahead of the time.
    verify(history, SECOND, 0)
}

fn texts(history: &History) -> Vec<String> {
    let violations = judge(history).violations.into_iter();
    violations.map(|violation| violation.text).collect()
}

#[track_caller]
fn assert_kept(said: &[&[Said]]) {
    let texts = texts(&history(said));
    assert!(texts.is_empty(), "{texts:?}");
}

#[track_caller]
fn assert_caught(said: &[&[Said]], what: &str) {
    let texts = texts(&history(said));
    assert!(texts.iter().any(|text| text.contains(what)), "{texts:?}");
}

#[test]
fn one_after_the_other_is_as_it_should_be() {
    let verdict = judge(&history(&[
        &[
            began(0, 1, 1_000),
            moved(300, 1, 1_300),
            saw(1_290, 1_291, Some(1)),
        ],
        &[began(1_300, 2, 2_300), ended(1_500, 2)],
        &[began(1_500, 3, 2_500)],
    ]));
    assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    assert_eq!(
        (verdict.intervals, verdict.changes, verdict.samples),
        (3, 2, 1)
    );
}

#[test]
fn two_at_once_are_caught_however_short() {
    assert_caught(
        &[&[began(0, 1, 1_000)], &[began(999, 2, 2_000)]],
        "two lead",
    );
    // Also where one lies within the other, and a third comes after that one.
    assert_caught(
        &[
            &[began(0, 1, 5_000)],
            &[began(10, 2, 20)],
            &[began(4_000, 3, 6_000)],
        ],
        "p0 with token 1 from 0.000 to 5.000 and p2",
    );
}

#[test]
fn a_lease_that_was_prolonged_after_its_end_is_another_interval() {
    let prolonged = history(&[
        &[began(0, 2, 1_000), moved(2_000, 2, 3_000)],
        &[began(1_200, 3, 1_800)],
    ]);
    // Nobody led at the same time, but an older token came after a newer one.
    assert!(texts(&prolonged)[0].contains("did not grow"));
}

#[test]
fn who_was_killed_leads_no_more() {
    let mut history = history(&[&[began(0, 1, 1_000)], &[began(600, 2, 1_600)]]);
    assert_eq!(texts(&history).len(), 1);
    history.lives[0].killed = Some(ms(500));
    assert!(texts(&history).is_empty());
}

#[test]
fn what_a_process_sees_counts_as_much_as_what_it_was_told() {
    assert_caught(
        &[
            &[began(0, 1, 1_000), saw(1_200, 1_201, Some(1))],
            &[began(1_100, 2, 2_000)],
        ],
        "while p1 with token 2",
    );
    assert_caught(
        &[&[began(0, 1, 1_000), saw(1_001, 1_002, Some(1))]],
        "its lease has ended",
    );
    assert_caught(&[&[saw(1, 2, Some(9))]], "never began");
    // It may have asked before the other began.
    assert_kept(&[
        &[began(0, 1, 1_000), saw(999, 1_500, Some(1))],
        &[began(1_000, 2, 2_000), saw(1_100, 1_101, Some(2))],
    ]);
}

#[test]
fn tokens_that_do_not_grow_are_caught() {
    assert_caught(
        &[&[began(0, 5, 1_000)], &[began(1_000, 5, 2_000)]],
        "did not grow",
    );
    assert_caught(
        &[&[began(0, 5, 1_000)], &[began(1_000, 4, 2_000)]],
        "did not grow",
    );
}

#[test]
fn tokens_may_fall_only_where_nothing_could_remember_them() {
    let falls = |knowing: bool, forgets: bool, clock: Option<i64>| {
        let known = [knows(500, 5_000)];
        let knows = if knowing { &known[..] } else { &[] };
        let second = [knows, &[began(1_000, 4_000, 2_000)]].concat();
        let mut history = history(&[&[began(0, 5_000, 1_000)], &second]);
        history.deeds.push(Deed {
            at: ms(700),
            what: String::new(),
            forgets,
            clock,
        });
        let verdict = judge(&history);
        (verdict.violations.len(), verdict.unavoidable)
    };
    assert_eq!(falls(false, true, Some(-3_600_000)), (0, 1));
    assert_eq!(falls(true, true, Some(-3_600_000)), (1, 0), "it knew");
    assert_eq!(
        falls(false, false, Some(-3_600_000)),
        (1, 0),
        "the store knew"
    );
    assert_eq!(
        falls(false, true, Some(3_600_000)),
        (1, 0),
        "the time is later"
    );
}

#[test]
fn a_hung_event_loop_that_leads_on_is_caught() {
    let blocked = Said::Blocked { at: ms(100) };
    let unblocked = Said::Unblocked { at: ms(3_000) };
    let leads = |before: u64| {
        [
            began(0, 1, 9_000),
            blocked.clone(),
            saw(before, before + 1, Some(1)),
            unblocked.clone(),
        ]
    };
    assert_kept(&[&leads(1_000)]);
    assert_caught(&[&leads(1_500)], "event loop hangs");
    assert_kept(&[&leads(3_000)]);
}

#[test]
fn a_record_that_goes_back_is_caught_unless_the_store_forgot() {
    let mut history = history(&[&[began(0, 1, 10)]]);
    let recorded = [(100, 7), (200, 8), (300, 8), (400, 7)];
    history.recorded = recorded
        .map(|(at, token)| Recorded {
            at: ms(at),
            lock: LOCK.to_owned(),
            token,
        })
        .to_vec();
    assert!(texts(&history)[0].contains("token 7 after token 8"));
    history.deeds.push(Deed {
        at: ms(350),
        what: String::new(),
        forgets: true,
        clock: None,
    });
    assert!(texts(&history).is_empty());
}
