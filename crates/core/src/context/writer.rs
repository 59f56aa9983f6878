//! Writes to the store, round by round, until the store took them.
//!
//! What heals by itself is waited out: a round stays at the head of the queue, and what is written meanwhile
//! waits behind it. Whoever waits for a write is told after `timeout` that it failed, and it is given up.

mod plan;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use self::plan::Plan;
use super::commit::{Attempt, Committed, Committer, place};
use super::inner::Inner;
use super::lock;
use super::queue::{Callback, Expired, Property, Round, Slot, Update, Work};
use super::requests::{Answer, Task};
use crate::codec;
use crate::connection::{Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::fault;
use crate::keyspace::{ContextKey, Scope};

/// Between two attempts at a store that refuses at once.
const PAUSE: Duration = Duration::from_millis(100);

/// While writes cannot be delivered, the log is reminded this often.
const REMIND: Duration = Duration::from_secs(30);

/// Texts together larger than this are compressed off the runtime's only worker.
const LARGE: usize = 64 * 1024;

/// Writes until the context is closed.
pub(super) async fn run(inner: Arc<Inner>) {
    let committer = Committer::new(
        inner.connection.clone(),
        inner.keyspace.clone(),
        inner.settings.compression,
        inner.settings.context.max_value_bytes,
    );
    let mut writer = Writer {
        inner,
        committer,
        registered: HashSet::new(),
        registered_at: None,
        reminded: None,
    };
    loop {
        writer.inner.writes_wait.notified().await;
        loop {
            let round = lock(&writer.inner.state).queue.take();
            let Some(round) = round else { break };
            writer.carry_out(round).await;
        }
    }
}

struct Writer {
    inner: Arc<Inner>,
    committer: Committer,
    /// Scopes that are known to be in the set of scopes.
    registered: HashSet<Scope>,
    /// The changes of that set that were known then.
    registered_at: Option<u64>,
    reminded: Option<Instant>,
}

impl Writer {
    async fn carry_out(&mut self, round: Round) {
        let begun = Instant::now();
        self.inner
            .completions
            .take_over(Task::Writer, round.work.callbacks());
        fault::point("context writer");
        match round.work {
            Work::Plain { slots, callbacks } => self.write_plain(slots, callbacks, begun).await,
            Work::Updates(updates) => self.update(updates, begun).await,
        }
        // Readers of this process see the write settled only after everything that speaks against what
        // they kept of it has been told.
        lock(&self.inner.state).queue.settle();
        self.inner.make_progress();
    }

    async fn write_plain(&mut self, slots: Vec<Slot>, callbacks: Vec<Callback>, begun: Instant) {
        let mut work = Work::Plain { slots, callbacks };
        let refused = self.deliver(&mut work).await;
        let Work::Plain { slots, callbacks } = work else {
            return;
        };
        let mut errors: HashMap<u32, Error> = HashMap::new();
        if let Some(error) = refused {
            // One that is refused must not take the others with it.
            for (slot, error) in self.deliver_apart(slots, error).await {
                self.failed(&slot, &error);
                let owners = slot.owners.iter();
                let Property { scope, name } = &*slot.property;
                let error = at(&place(scope, name), error);
                errors.extend(owners.map(|owner| (*owner, error.clone())));
            }
        } else {
            self.took(begun, &slots);
        }
        let answers = callbacks.into_iter().map(|callback| {
            let outcome = errors.remove(&callback.id).map_or(Ok(None), Err);
            (callback.id, Answer::of(outcome))
        });
        self.inner.completions.extend(answers);
    }

    /// Tries until the store took the writes, or refused them for good.
    async fn deliver(&mut self, work: &mut Work) -> Option<Error> {
        loop {
            let Work::Plain { slots, .. } = &*work else {
                return None;
            };
            let live: Vec<&Slot> = slots.iter().filter(|slot| !slot.abandoned).collect();
            match self.try_plain(&live).await {
                Ok(()) => {
                    self.inner.counters.written.add(live.len() as u64);
                    return None;
                }
                Err(error) if heals(&error) => self.wait_out(work, &error).await,
                Err(error) => return Some(error),
            }
        }
    }

    /// Writes of a round that was refused, each by itself; returns those that are refused again.
    async fn deliver_apart(&mut self, slots: Vec<Slot>, error: Error) -> Vec<(Slot, Error)> {
        let mut writes: BTreeMap<u64, Vec<Slot>> = BTreeMap::new();
        for slot in slots.into_iter().filter(|slot| !slot.abandoned) {
            writes.entry(slot.number).or_default().push(slot);
        }
        let alone = writes.len() == 1;
        let mut refused = Vec::new();
        for slots in writes.into_values() {
            let mut work = Work::Plain {
                slots,
                callbacks: Vec::new(),
            };
            let outcome = if alone {
                Some(error.clone())
            } else {
                self.deliver(&mut work).await
            };
            if let (Some(error), Work::Plain { slots, .. }) = (outcome, work) {
                refused.extend(slots.into_iter().map(|slot| (slot, error.clone())));
            }
        }
        refused
    }

    async fn try_plain(&mut self, slots: &[&Slot]) -> Result<()> {
        if slots.is_empty() {
            return Ok(());
        }
        let packed = self.pack(slots).await?;
        let changes = self.inner.near.scopes_changed();
        if changes.is_none() || changes != self.registered_at {
            self.registered.clear();
            self.registered_at = changes;
        }
        let plan = Plan::new(&self.inner.keyspace, slots, &packed, &self.registered);
        let request = Request::Transaction(plan.pipeline);
        let reply: Vec<Value> = self
            .inner
            .connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await?;
        self.inner.tell_peers(|| {
            let keys = slots.iter().flat_map(|slot| {
                let (scope, name) = (slot.property.scope.clone(), slot.property.name.clone());
                [
                    ContextKey::Value(scope.clone(), name),
                    ContextKey::Names(scope),
                ]
            });
            keys.collect()
        });
        for (at, scope) in plan.renamings {
            if matches!(reply.get(at), Some(Value::Int(count)) if *count > 0) {
                // With NOLOOP the store tells of such a change nobody but the others, who may have changed
                // the names in the same moment.
                self.inner.near.invalidate(ContextKey::Names(scope));
            }
        }
        self.registered.extend(plan.scopes);
        for slot in slots {
            self.committer
                .forget(&slot.property.scope, &slot.property.name);
        }
        Ok(())
    }

    /// The compressed values of those that are stored compressed.
    async fn pack(&self, slots: &[&Slot]) -> Result<Vec<Option<Vec<u8>>>> {
        let compression = self.inner.settings.compression;
        let large = slots.iter().map(|slot| {
            let text = slot.text.as_ref();
            text.filter(|text| codec::is_compressed(text.len(), compression))
                .cloned()
        });
        let large: Vec<Option<String>> = large.collect();
        let size: usize = large.iter().flatten().map(String::len).sum();
        let work = move || {
            let packed = large.into_iter();
            packed
                .map(|text| text.map(|text| codec::gzip(text.as_bytes())))
                .collect()
        };
        if size > LARGE {
            crate::blocking(work).await
        } else {
            Ok(work())
        }
    }

    async fn update(&mut self, updates: Vec<Update>, begun: Instant) {
        let mut work = Work::Updates(updates);
        let mut attempt = Attempt::default();
        loop {
            let Work::Updates(updates) = &mut work else {
                return;
            };
            let outcome = match self.committer.resolve(&mut attempt).await {
                Ok(Some(committed)) => Ok((std::mem::take(updates), committed)),
                Ok(None) => {
                    updates.retain(|update| !update.abandoned);
                    if updates.is_empty() {
                        return;
                    }
                    let live = std::mem::take(updates);
                    self.committer
                        .commit(live, &mut attempt, &self.inner.counters)
                        .await
                }
                Err(error) => Err((std::mem::take(updates), error)),
            };
            match outcome {
                Ok((updates, committed)) => return self.committed(updates, committed, begun),
                Err((updates, error)) if heals(&error) || error.code() == Code::OutcomeUnknown => {
                    work = Work::Updates(updates);
                    let error = if attempt.is_unknown() {
                        unknown(&error)
                    } else {
                        error
                    };
                    self.wait_out(&mut work, &error).await;
                }
                // One that is refused must not take the others with it.
                Err((updates, _)) if updates.len() > 1 => {
                    for update in updates {
                        Box::pin(self.update(vec![update], begun)).await;
                    }
                    return;
                }
                Err((updates, error)) => return self.refused(&updates, &error),
            }
        }
    }

    fn committed(&mut self, updates: Vec<Update>, committed: Committed, begun: Instant) {
        for scope in committed.renamed {
            self.inner.near.invalidate(ContextKey::Names(scope));
        }
        self.delivered();
        self.inner.counters.took("write", begun.elapsed(), || {
            updates.iter().map(describe).collect::<Vec<_>>().join(", ")
        });
        let mut results = committed.results.into_iter();
        let mut answers = Vec::new();
        for update in updates {
            let result = results.next().unwrap_or_else(|| {
                Err(Error::new(
                    Code::Internal,
                    "the update was lost, please report it",
                ))
            });
            match (&result, update.callback) {
                (Ok(_), _) => self.inner.counters.written.add(1),
                (Err(error), None) => {
                    self.inner.invalidate_steps(&update.steps);
                    self.inner.report_failed_write(&describe(&update), error);
                }
                (Err(_), Some(_)) => {
                    self.inner.invalidate_steps(&update.steps);
                    self.inner.counters.write_errors.add(1);
                }
            }
            answers.extend(
                update
                    .callback
                    .map(|callback| (callback.id, Answer::of(result))),
            );
        }
        self.inner.completions.extend(answers);
    }

    fn refused(&self, updates: &[Update], error: &Error) {
        let mut answers = Vec::new();
        for update in updates {
            self.inner.invalidate_steps(&update.steps);
            match update.callback {
                Some(callback) => {
                    self.inner.counters.write_errors.add(1);
                    let error = at(&describe(update), error.clone());
                    answers.push((callback.id, Answer::of(Err(error))));
                }
                None => self.inner.report_failed_write(&describe(update), error),
            }
        }
        self.inner.completions.extend(answers);
    }

    /// The store cannot serve at the moment: whoever waited long enough is told, and then it is tried again.
    async fn wait_out(&mut self, work: &mut Work, error: &Error) {
        if self.reminded.is_none_or(|at| at.elapsed() >= REMIND) {
            self.reminded = Some(Instant::now());
            let (writes, _) = lock(&self.inner.state).queue.size();
            tracing::warn!("{writes} writes of the context wait for the store: {error}");
        }
        let mut expired = Expired::default();
        work.expire(Instant::now(), &mut expired);
        self.inner.give_up(expired, Some(error));
        tokio::time::sleep(PAUSE).await;
    }

    fn failed(&self, slot: &Slot, error: &Error) {
        let Property { scope, name } = &*slot.property;
        self.inner
            .near
            .invalidate(ContextKey::Value(scope.clone(), name.clone()));
        if slot.owners.is_empty() {
            self.inner.report_failed_write(&place(scope, name), error);
        } else {
            self.inner.counters.write_errors.add(1);
        }
    }

    fn delivered(&mut self) {
        if self.reminded.take().is_some() {
            tracing::info!("the writes of the context that waited are in the store");
        }
    }

    fn took(&mut self, begun: Instant, slots: &[Slot]) {
        self.delivered();
        self.inner
            .counters
            .took("write", begun.elapsed(), || match slots {
                [slot] => place(&slot.property.scope, &slot.property.name),
                _ => format!("{} properties", slots.len()),
            });
    }
}

/// Whether waiting may help, however long. A password that is refused while the process runs is being
/// changed; at the start it ends the process.
fn heals(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::StoreUnreachable
            | Code::StoreNotReady
            | Code::StoreReadOnly
            | Code::StoreAuthentication
    )
}

/// Of a try whose reply was lost, while nobody can be asked what became of it.
fn unknown(error: &Error) -> Error {
    Error::new(
        Code::OutcomeUnknown,
        format!(
            "it may or may not have been carried out ({})",
            error.message()
        ),
    )
}

/// An error that names the place, once.
fn at(place: &str, error: Error) -> Error {
    if error.message().contains(place) {
        error
    } else {
        error.while_doing(place)
    }
}

fn describe(update: &Update) -> String {
    let places = update
        .steps
        .iter()
        .map(|step| place(&step.scope, &step.name));
    places.collect::<Vec<_>>().join(", ")
}
