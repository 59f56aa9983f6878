//! Who asked for a value or waits for a write, and how the answer gets there.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::lock;
use super::near::{NOT_KEPT, Near, Ticket};
use crate::error::{Code, Error, Result};
use crate::fault;
use crate::keyspace::ContextKey;

/// What came of a request, with what decides whether a value that was read may be kept.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Result<Option<String>>,
    pub(super) fetched: Option<(ContextKey, Ticket)>,
}

impl Answer {
    /// Of a read that did not get as far as a fetch, and of everything that is no read.
    pub(super) fn of(outcome: Result<Option<String>>) -> Self {
        Self {
            outcome,
            fetched: None,
        }
    }

    /// To be called where the value is kept, at that moment.
    fn settle(self, near: &Near) -> (Result<Option<String>>, i32) {
        let generation = self
            .fetched
            .map_or(NOT_KEPT, |(key, ticket)| near.settle(&key, ticket));
        (self.outcome, generation)
    }
}

/// The answer to one request with an id.
#[derive(Debug)]
pub struct Completion {
    /// The request's id.
    pub id: u32,
    /// What was read, the result of an operation, or nothing.
    pub outcome: Result<Option<String>>,
    /// The generation under which a value may be kept.
    pub generation: i32,
}

/// Answers that wait for JavaScript's thread.
pub(super) struct Completions {
    waiting: Mutex<Waiting>,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Waiting {
    answers: Vec<(u32, Answer)>,
    /// The requests that a task has taken and not answered yet, so that they get an answer also if it panics.
    taken: HashMap<u32, Task>,
}

/// What carries out requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Reader,
    Writer,
}

impl Completions {
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            waiting: Mutex::default(),
            wake,
        }
    }

    /// One wake for all that come together, and none while an earlier one was not heeded.
    pub(super) fn extend(&self, answers: impl IntoIterator<Item = (u32, Answer)>) {
        let mut waiting = lock(&self.waiting);
        let Waiting {
            answers: given,
            taken,
        } = &mut *waiting;
        let idle = given.is_empty();
        given.extend(answers.into_iter().inspect(|(id, _)| {
            taken.remove(id);
        }));
        let woken = idle && !given.is_empty();
        drop(waiting);
        if woken {
            (self.wake)();
        }
    }

    /// A task is going to answer these.
    pub(super) fn take_over(&self, task: Task, ids: impl IntoIterator<Item = u32>) {
        let ids = ids.into_iter().map(|id| (id, task));
        lock(&self.waiting).taken.extend(ids);
    }

    /// A fault of this program ended the task: what it had taken is answered with that.
    pub(super) fn fail(&self, task: Task) {
        let mut waiting = lock(&self.waiting);
        let taken = std::mem::take(&mut waiting.taken);
        let (failed, others) = taken.into_iter().partition(|(_, of)| *of == task);
        waiting.taken = others;
        drop(waiting);
        let failed: HashMap<u32, Task> = failed;
        self.extend(
            failed
                .into_keys()
                .map(|id| (id, Answer::of(Err(fault::error())))),
        );
    }

    pub(super) fn take(&self, near: &Near) -> Vec<Completion> {
        let answers = std::mem::take(&mut lock(&self.waiting).answers);
        let settled = answers.into_iter().map(|(id, answer)| {
            let (outcome, generation) = answer.settle(near);
            Completion {
                id,
                outcome,
                generation,
            }
        });
        settled.collect()
    }
}

impl std::fmt::Debug for Completions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Completions")
            .finish_non_exhaustive()
    }
}

/// Who is to get a value.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    /// JavaScript, later.
    Request(u32),
    /// A thread that waits, for one of several values.
    Waiter(Arc<Waiter>, usize),
}

/// A thread that waits for values, until a deadline of its own: it does not need the runtime to wake.
#[derive(Debug)]
pub(super) struct Waiter {
    answers: Mutex<Waited>,
    all_there: Condvar,
}

#[derive(Debug)]
struct Waited {
    answers: Vec<Option<Answer>>,
    missing: usize,
    /// Nobody waits any more.
    gone: bool,
}

impl Waiter {
    pub(super) fn new(values: usize) -> Arc<Self> {
        let mut answers = Vec::new();
        answers.resize_with(values, || None);
        Arc::new(Self {
            answers: Mutex::new(Waited {
                answers,
                missing: values,
                gone: false,
            }),
            all_there: Condvar::new(),
        })
    }

    /// Returns the answer where nobody waits for it any more.
    pub(super) fn give(&self, at: usize, answer: Answer) -> Option<Answer> {
        let mut waited = lock(&self.answers);
        if waited.gone {
            return Some(answer);
        }
        let slot = &mut waited.answers[at];
        if slot.replace(answer).is_none() {
            waited.missing -= 1;
        }
        if waited.missing == 0 {
            self.all_there.notify_one();
        }
        None
    }

    /// Blocks until all answers are there, at most until `deadline`.
    ///
    /// # Errors
    /// The first error among the answers, or `StoreUnreachable` at the deadline.
    pub(super) fn wait(
        &self,
        deadline: Instant,
        near: &Near,
    ) -> Result<Vec<(Option<String>, i32)>> {
        let mut waited = lock(&self.answers);
        while waited.missing > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waited = self
                .all_there
                .wait_timeout(waited, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        waited.gone = true;
        let complete = waited.missing == 0;
        let answers = std::mem::take(&mut waited.answers);
        drop(waited);
        let settled: Vec<_> = answers
            .into_iter()
            .flatten()
            .map(|answer| answer.settle(near))
            .collect();
        if !complete {
            return Err(Error::new(
                Code::StoreUnreachable,
                "the store did not answer in time (`timeout`)",
            ));
        }
        settled
            .into_iter()
            .map(|(outcome, generation)| Ok((outcome?, generation)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(text: &str) -> Answer {
        Answer::of(Ok(Some(text.to_owned())))
    }

    #[test]
    fn answers_reach_a_waiter_in_the_order_of_its_questions() {
        let waiter = Waiter::new(2);
        assert!(waiter.give(1, text("b")).is_none());
        assert!(waiter.give(0, text("a")).is_none());
        let answers = waiter.wait(Instant::now(), &Near::default()).unwrap();
        let texts: Vec<_> = answers.iter().map(|(text, _)| text.as_deref()).collect();
        assert_eq!(texts, [Some("a"), Some("b")]);
    }

    #[test]
    fn a_waiter_leaves_at_its_deadline_and_later_answers_come_back() {
        let waiter = Waiter::new(1);
        let deadline = Instant::now() + Duration::from_millis(5);
        let error = waiter.wait(deadline, &Near::default()).unwrap_err();
        assert_eq!(error.code(), Code::StoreUnreachable);
        assert!(waiter.give(0, text("late")).is_some());
    }

    #[test]
    fn many_answers_wake_once() {
        let wakes = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&wakes);
        let completions = Completions::new(Box::new(move || *lock(&counted) += 1));
        completions.extend([(1, text("a"))]);
        completions.extend([(2, text("b"))]);
        assert_eq!(*lock(&wakes), 1);
        assert_eq!(completions.take(&Near::default()).len(), 2);
        completions.extend([(3, text("c"))]);
        assert_eq!(*lock(&wakes), 2);
    }
}
