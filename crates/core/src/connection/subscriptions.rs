//! Who listens to which channels, and what the one subscribing socket has to be told for it: a state
//! machine without IO. `subscriber` is the shell around it.
//!
//! Promises to a listener: messages of its own channels only, in the order of the stream; `resumed` once
//! all its channels are subscribed in a session, and no message of that session before; a listener that
//! panics loses that call and harms nobody. Listeners are called one at a time, with nothing locked.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::tracking::Holder;
use crate::error::Error;

/// A message from a channel.
#[derive(Debug, Clone)]
pub struct Message {
    /// The channel's name.
    pub channel: String,
    /// What was published, as it came: untrusted.
    pub payload: Vec<u8>,
}

/// Who hears messages.
pub(super) struct Listener {
    receive: Box<dyn Fn(Message) + Send + Sync>,
    resumed: Box<dyn Fn() + Send + Sync>,
}

impl Listener {
    pub(super) fn new(
        receive: impl Fn(Message) + Send + Sync + 'static,
        resumed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            receive: Box::new(receive),
            resumed: Box::new(resumed),
        }
    }

    pub(super) fn receive(&self, message: Message) {
        shielded(|| (self.receive)(message));
    }

    pub(super) fn resumed(&self) {
        shielded(|| (self.resumed)());
    }
}

/// Others share the task that calls listeners.
fn shielded(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        tracing::error!(
            "a part of this program failed on a message of the store; please report this, with the lines before"
        );
    }
}

/// All subscriptions over the links of one configuration.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    state: Mutex<State>,
    /// Bumped with each change of who listens.
    wishes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    subscriptions: Vec<Subscription>,
    /// What the server sends in this session.
    subscribed: BTreeSet<String>,
    /// What the server would not send in this session.
    refused: BTreeSet<String>,
    /// Of which refusals the log knows.
    warned: HashSet<String>,
    closed: bool,
}

struct Subscription {
    holder: Holder,
    channels: Vec<String>,
    listener: Arc<Listener>,
    /// Whether it was told so in this session.
    resumed: bool,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Subscription")
            .field("holder", &self.holder)
            .field("channels", &self.channels)
            .field("resumed", &self.resumed)
            .finish_non_exhaustive()
    }
}

/// What the server has to be asked for so that it sends what the listeners wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// No longer these channels.
    Unsubscribe(Vec<String>),
    /// These channels too.
    Subscribe(Vec<String>),
}

impl Subscriptions {
    /// Changes whenever [`Self::step`] may have something new to say.
    pub(super) fn wishes(&self) -> watch::Receiver<u64> {
        self.wishes.subscribe()
    }

    /// Whether anybody listens.
    pub(super) fn are_wanted(&self) -> bool {
        !self.lock().subscriptions.is_empty()
    }

    /// One more listener.
    pub(super) fn add(&self, holder: Holder, channels: Vec<String>, listener: Listener) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.subscriptions.push(Subscription {
            holder,
            channels,
            listener: Arc::new(listener),
            resumed: false,
        });
        drop(state);
        self.wishes.send_modify(|version| *version += 1);
    }

    /// Forgets the listeners of one holder; a call that is under way comes to its end.
    pub(super) fn remove(&self, holder: Holder) {
        let mut state = self.lock();
        let gone: Vec<Subscription> = state
            .subscriptions
            .extract_if(.., |subscription| subscription.holder == holder)
            .collect();
        // Before they are dropped: what a listener owns may be a holder itself.
        drop(state);
        if !gone.is_empty() {
            self.wishes.send_modify(|version| *version += 1);
        }
    }

    /// No session follows.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let gone = std::mem::take(&mut state.subscriptions);
        drop(state);
        drop(gone);
    }

    /// A new session, in which the server sends nothing yet.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.subscribed.clear();
        state.refused.clear();
        for subscription in &mut state.subscriptions {
            subscription.resumed = false;
        }
    }

    pub(super) fn step(&self) -> Step {
        let mut state = self.lock();
        let State {
            subscriptions,
            subscribed,
            refused,
            ..
        } = &mut *state;
        let wanted: BTreeSet<&String> = subscriptions
            .iter()
            .flat_map(|subscription| &subscription.channels)
            .collect();
        // Taken out before the server is asked, as they cannot be relied on from then on.
        let (kept, surplus): (BTreeSet<_>, BTreeSet<_>) = std::mem::take(subscribed)
            .into_iter()
            .partition(|channel| wanted.contains(channel));
        *subscribed = kept;
        if !surplus.is_empty() {
            return Step::Unsubscribe(surplus.into_iter().collect());
        }
        let missing: Vec<String> = wanted
            .into_iter()
            .filter(|channel| !subscribed.contains(*channel) && !refused.contains(*channel))
            .cloned()
            .collect();
        if missing.is_empty() {
            Step::Keep
        } else {
            Step::Subscribe(missing)
        }
    }

    /// The server sends these channels from now on.
    pub(super) fn subscribed(&self, channels: Vec<String>) {
        let mut state = self.lock();
        for channel in channels {
            state.warned.remove(&channel);
            state.subscribed.insert(channel);
        }
    }

    /// The server does not send this channel, for this reason.
    pub(super) fn refused(&self, channel: String, reason: &Error) {
        let mut state = self.lock();
        if state.warned.insert(channel.clone()) {
            tracing::warn!(
                "the store does not let this process listen to the channel {channel}, trying again until it does: {reason}"
            );
        }
        state.refused.insert(channel);
    }

    /// What was refused is asked for again.
    pub(super) fn retry_refused(&self) {
        self.lock().refused.clear();
    }

    /// Who has to be told that from now on it hears everything.
    pub(super) fn resume(&self) -> Vec<Arc<Listener>> {
        let mut state = self.lock();
        let State {
            subscriptions,
            subscribed,
            ..
        } = &mut *state;
        let mut told = Vec::new();
        for subscription in subscriptions {
            let mut channels = subscription.channels.iter();
            if !subscription.resumed && channels.all(|channel| subscribed.contains(channel)) {
                subscription.resumed = true;
                told.push(Arc::clone(&subscription.listener));
            }
        }
        told
    }

    /// Who hears a message of this channel.
    pub(super) fn listeners(&self, channel: &str) -> Vec<Arc<Listener>> {
        let state = self.lock();
        let hears = |subscription: &&Subscription| {
            let mut channels = subscription.channels.iter();
            subscription.resumed && channels.any(|own| own == channel)
        };
        let subscriptions = state.subscriptions.iter().filter(hears);
        subscriptions
            .map(|subscription| Arc::clone(&subscription.listener))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
