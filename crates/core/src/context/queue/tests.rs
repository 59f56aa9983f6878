use std::time::Duration;

use super::*;
use crate::context::operation::Operation;

fn queue() -> Queue {
    Queue::new(Bounds {
        writes: 10,
        bytes: 1000,
    })
}

fn global() -> Scope {
    Scope::new("global")
}

fn plain(name: &str, text: Option<&str>) -> Change {
    let value = (name.to_owned(), text.map(str::to_owned));
    Change::Plain(global(), vec![value], 7)
}

fn update(name: &str) -> Change {
    let step = Step {
        scope: global(),
        name: name.to_owned(),
        rest: Vec::new(),
        operation: Operation::Increment(1.0),
    };
    Change::Update(vec![step], 7)
}

fn callback(id: u32, deadline: Instant) -> Option<Callback> {
    Some(Callback { id, deadline })
}

fn texts(round: &Round) -> Vec<(&str, Option<&str>)> {
    match &round.work {
        Work::Plain { slots, .. } => slots
            .iter()
            .map(|slot| (slot.property.name.as_str(), slot.text.as_deref()))
            .collect(),
        Work::Updates(_) => panic!("a round of updates"),
    }
}

#[test]
fn writes_of_a_key_in_one_round_become_one() {
    let mut queue = queue();
    queue.push(plain("a", Some("1")), None).unwrap();
    queue.push(plain("b", Some("2")), None).unwrap();
    queue.push(plain("a", Some("3")), None).unwrap();
    let round = queue.take().unwrap();
    assert_eq!(texts(&round), [("a", Some("3")), ("b", Some("2"))]);
    assert_eq!(round.last, 3);
    assert!(queue.take_nothing());
}

#[test]
fn a_round_under_way_takes_no_more_writes() {
    let mut queue = queue();
    queue.push(plain("a", Some("1")), None).unwrap();
    let first = queue.take().unwrap();
    queue.push(plain("a", Some("2")), None).unwrap();
    assert_eq!(texts(&first), [("a", Some("1"))]);
    assert_eq!(queue.pending(&global(), "a"), Some(2));
    queue.settle();
    assert_eq!(queue.pending(&global(), "a"), Some(2));
    let second = queue.take().unwrap();
    assert_eq!(texts(&second), [("a", Some("2"))]);
    queue.settle();
    assert_eq!(queue.pending(&global(), "a"), None);
    assert!(queue.is_empty());
    assert_eq!(queue.size(), (0, 0));
}

#[test]
fn an_update_between_plain_writes_keeps_its_place() {
    let mut queue = queue();
    queue.push(plain("a", Some("1")), None).unwrap();
    queue.push(update("a"), None).unwrap();
    queue.push(plain("a", Some("2")), None).unwrap();
    let first = queue.take().unwrap();
    assert_eq!(texts(&first), [("a", Some("1"))]);
    queue.settle();
    let second = queue.take().unwrap();
    assert!(matches!(&second.work, Work::Updates(updates) if updates.len() == 1));
    queue.settle();
    assert_eq!(texts(&queue.take().unwrap()), [("a", Some("2"))]);
}

#[test]
fn deleting_and_setting_again_is_a_new_place_among_the_names() {
    let mut queue = queue();
    queue.push(plain("a", Some("1")), None).unwrap();
    queue.push(plain("a", None), None).unwrap();
    queue.push(plain("a", Some("2")), None).unwrap();
    queue.push(plain("b", Some("2")), None).unwrap();
    let round = queue.take().unwrap();
    let Work::Plain { slots, .. } = round.work else {
        panic!("a plain round");
    };
    assert!(slots[0].renewed);
    assert!(!slots[1].renewed);
}

#[test]
fn beyond_the_bound_a_write_without_a_callback_is_refused_and_one_with_waits() {
    let mut queue = queue();
    let soon = Instant::now() + Duration::from_secs(5);
    for number in 0..10 {
        queue
            .push(plain(&number.to_string(), Some("1")), None)
            .unwrap();
    }
    let refused = queue.push(plain("x", Some("1")), None).unwrap_err();
    assert_eq!(refused.code(), Code::TooManyPendingWrites);
    queue
        .push(plain("x", Some("2")), callback(1, soon))
        .unwrap();
    assert_eq!(queue.pending(&global(), "x"), Some(11));
    let first = queue.take().unwrap();
    assert_eq!(texts(&first).len(), 10);
    queue.settle();
    assert_eq!(texts(&queue.take().unwrap()), [("x", Some("2"))]);
}

#[test]
fn bytes_are_bounded_too_but_one_value_always_fits() {
    let mut queue = queue();
    let large = "x".repeat(2000);
    queue.push(plain("a", Some(&large)), None).unwrap();
    assert!(queue.push(plain("b", Some("1")), None).is_err());
    queue.take().unwrap();
    queue.settle();
    queue.push(plain("b", Some("1")), None).unwrap();
}

#[test]
fn a_write_whose_caller_was_told_that_it_failed_is_given_up() {
    let mut queue = queue();
    let now = Instant::now();
    queue.push(plain("a", Some("1")), callback(1, now)).unwrap();
    for number in 0..9 {
        queue
            .push(plain(&number.to_string(), Some("1")), None)
            .unwrap();
    }
    queue
        .push(plain("late", Some("1")), callback(2, now))
        .unwrap();
    let expired = queue.expire(now);
    let mut told: Vec<u32> = expired.callbacks.iter().map(|one| one.id).collect();
    told.sort_unstable();
    assert_eq!(told, [1, 2]);
    assert!(expired.properties.contains(&(global(), "late".to_owned())));
    assert!(expired.properties.contains(&(global(), "a".to_owned())));
    let round = queue.take().unwrap();
    let Work::Plain { slots, .. } = round.work else {
        panic!("a plain round");
    };
    let abandoned: Vec<&str> = slots
        .iter()
        .filter(|slot| slot.abandoned)
        .map(|slot| slot.property.name.as_str())
        .collect();
    assert_eq!(abandoned, ["a"]);
    queue.settle();
    assert_eq!(queue.pending(&global(), "late"), None);
}

#[test]
fn a_write_that_was_given_up_while_it_waited_holds_up_no_reader() {
    let mut queue = queue();
    let now = Instant::now();
    for number in 0..10 {
        queue
            .push(plain(&number.to_string(), Some("1")), None)
            .unwrap();
    }
    queue.push(plain("0", Some("2")), callback(1, now)).unwrap();
    queue.expire(now);
    // Behind the older write of the property, and not one moment longer.
    assert!(queue.pending(&global(), "0").is_some());
    queue.take().unwrap();
    queue.settle();
    assert_eq!(queue.pending(&global(), "0"), None);
    assert_eq!(queue.settled(), queue.issued());
}

#[test]
fn a_write_that_waited_for_room_takes_the_place_of_the_older_one_in_its_round() {
    let mut queue = Queue::new(Bounds {
        writes: 2,
        bytes: 1000,
    });
    let soon = Instant::now() + Duration::from_secs(5);
    queue.push(plain("first", Some("1")), None).unwrap();
    queue.take().unwrap();
    queue.push(plain("a", None), None).unwrap();
    queue
        .push(plain("a", Some("2")), callback(1, soon))
        .unwrap();
    queue.settle();
    assert_eq!(texts(&queue.take().unwrap()), [("a", Some("2"))]);
}

#[test]
fn giving_up_a_write_does_not_lose_what_another_wrote_there() {
    let mut queue = queue();
    let now = Instant::now();
    queue.push(plain("a", Some("1")), None).unwrap();
    queue.push(plain("a", Some("2")), callback(1, now)).unwrap();
    queue.push(plain("b", Some("1")), callback(2, now)).unwrap();
    queue.expire(now);
    queue.push(plain("b", Some("2")), None).unwrap();
    let Work::Plain { slots, .. } = queue.take().unwrap().work else {
        panic!("a plain round");
    };
    assert!(slots.iter().all(|slot| !slot.abandoned));
}

#[test]
fn updates_of_many_properties_do_not_share_a_round() {
    let mut queue = Queue::new(Bounds {
        writes: 1000,
        bytes: 1_000_000,
    });
    for number in 0..MOST_UPDATED + 1 {
        queue.push(update(&number.to_string()), None).unwrap();
    }
    let first = queue.take().unwrap();
    assert!(matches!(&first.work, Work::Updates(updates) if updates.len() == MOST_UPDATED));
}

impl Queue {
    fn take_nothing(&mut self) -> bool {
        self.rounds.is_empty()
    }
}
