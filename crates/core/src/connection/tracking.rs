//! What the server says of changed keys, and who hears it.
//!
//! Promises to a listener: everything in the order of the stream, before any reply that came after it;
//! `lost` before the next `established`, and as soon as this process can know; between `established` and
//! `lost` no change of a key under its prefixes goes unheard, and what is kept was right at most
//! [`super::lease::VALIDITY`] ago. It does not promise that every `invalidated` stands for a change.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::watch;

use crate::error::Error;

/// Hears which keys change. All calls come one at a time, from within the link's own work: they must
/// be short, and must not call [`super::Connection::track`] or [`super::Connection::close`].
pub trait Invalidations: Send + Sync + fmt::Debug {
    /// These keys were changed, removed or expired, by whomever.
    fn invalidated(&self, keys: &[&[u8]]);

    /// Every key may have changed: the database was emptied.
    fn all_invalidated(&self);

    /// Tracking is on: what is asked for from now on may be kept. `epoch` is that of the link, which may
    /// still be on the way up; the same epoch comes again after a lease that had run out.
    fn established(&self, epoch: u64);

    /// The link ended, or has been silent for too long: nothing that was kept may be served any more.
    fn lost(&self);

    /// The server cannot or may not track, which this reason explains; the next connect asks again.
    fn unavailable(&self, reason: &Error);
}

/// A listener by the one who registered it.
pub(super) type Holder = u64;

/// One connect to the server, the key to which its pushes and events belong.
pub(super) type SessionNumber = u64;

/// All listeners of a link, and what the server tracks for them.
#[derive(Debug)]
pub(super) struct Tracker {
    state: Mutex<State>,
    /// Bumped with each change of the listeners.
    wishes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    listeners: Vec<Listener>,
    sessions: SessionNumber,
    current: Option<Current>,
    /// Whether the log knows that a server does not track.
    warned: bool,
    closed: bool,
}

#[derive(Debug)]
struct Listener {
    holder: Holder,
    prefixes: Vec<String>,
    hears: Arc<dyn Invalidations>,
    told: Told,
}

/// What a listener knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing, or `lost`.
    Nothing,
    Established,
    /// Of this session.
    Unavailable,
}

/// What is known of the newest session.
#[derive(Debug)]
struct Current {
    session: SessionNumber,
    epoch: u64,
    /// What the server tracks, empty while it does not.
    prefixes: Vec<String>,
    /// Whether the peer has been heard of lately.
    leased: bool,
}

/// What has to be asked of the server so that it tracks what the listeners wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// No listener is left.
    Off,
    /// Exactly these prefixes, none of which begins with another.
    Track(Vec<String>),
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            wishes: watch::Sender::new(0),
        }
    }

    /// Changes whenever [`Tracker::step`] may have something new to say.
    pub(super) fn wishes(&self) -> watch::Receiver<u64> {
        self.wishes.subscribe()
    }

    /// One more listener. Where the server tracks its prefixes already it is established at once.
    pub(super) fn add(&self, holder: Holder, prefixes: Vec<String>, hears: Arc<dyn Invalidations>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.listeners.push(Listener {
            holder,
            prefixes,
            hears,
            told: Told::Nothing,
        });
        state.establish();
        drop(state);
        self.wishes.send_modify(|version| *version += 1);
    }

    /// Forgets the listeners of one holder.
    pub(super) fn remove(&self, holder: Holder) {
        let mut state = self.lock();
        let before = state.listeners.len();
        state.listeners.retain_mut(|listener| {
            let stays = listener.holder != holder;
            if !stays {
                listener.lose();
            }
            stays
        });
        let changed = state.listeners.len() != before;
        drop(state);
        if changed {
            self.wishes.send_modify(|version| *version += 1);
        }
    }

    /// A new connect begins, which ends the one before. Its pushes count from now on.
    pub(super) fn begin(&self, epoch: u64) -> SessionNumber {
        let mut state = self.lock();
        state.lose();
        for listener in &mut state.listeners {
            listener.told = Told::Nothing;
        }
        state.sessions += 1;
        let session = state.sessions;
        state.current = Some(Current {
            session,
            epoch,
            prefixes: Vec::new(),
            leased: false,
        });
        session
    }

    /// What has to be asked of the server. Before a changed set of prefixes is asked for everything is
    /// declared lost: the server cannot exchange one for another without a gap.
    pub(super) fn step(&self, session: SessionNumber) -> Step {
        let mut state = self.lock();
        let wanted = minimal(&state.listeners);
        let mut listeners = state.listeners.iter();
        let all_refused = listeners.all(|listener| listener.told == Told::Unavailable);
        let Some(current) = state.current_of(session) else {
            return Step::Keep;
        };
        if wanted.is_empty() {
            let tracks = !current.prefixes.is_empty();
            current.prefixes.clear();
            return if tracks { Step::Off } else { Step::Keep };
        }
        let mut prefixes = wanted.iter();
        let tracked = prefixes.all(|prefix| covers(&current.prefixes, prefix));
        if tracked || all_refused {
            return Step::Keep;
        }
        current.prefixes.clear();
        state.lose();
        Step::Track(wanted)
    }

    /// The server tracks these prefixes, and was heard of lately.
    pub(super) fn tracked(&self, session: SessionNumber, prefixes: Vec<String>) {
        let mut state = self.lock();
        if let Some(current) = state.current_of(session) {
            current.prefixes = prefixes;
            current.leased = true;
            state.establish();
        }
    }

    /// The server does not track, for this reason.
    pub(super) fn refused(&self, session: SessionNumber, reason: &Error) {
        let mut state = self.lock();
        if state.current_of(session).is_none() {
            return;
        }
        if std::mem::replace(&mut state.warned, true) {
            tracing::debug!("the store still does not tell which keys change: {reason}");
        } else {
            tracing::warn!(
                "the store does not tell which keys change, so every value is read from it anew: {reason}"
            );
        }
        for listener in &mut state.listeners {
            if listener.told != Told::Unavailable {
                listener.told = Told::Unavailable;
                listener.hears.unavailable(reason);
            }
        }
    }

    /// Nothing was heard of the peer for too long, or it was heard of again.
    pub(super) fn set_leased(&self, session: SessionNumber, leased: bool) {
        let mut state = self.lock();
        let Some(current) = state.current_of(session) else {
            return;
        };
        current.leased = leased;
        if leased {
            state.establish();
        } else {
            state.lose();
        }
    }

    /// Nothing may be kept for the time being, though the peer is heard.
    pub(super) fn suspend(&self) {
        let mut state = self.lock();
        if let Some(current) = &mut state.current {
            current.leased = false;
            state.lose();
        }
    }

    /// The session is over. What still comes on its connection is not for anybody.
    pub(super) fn end(&self, session: SessionNumber) {
        let mut state = self.lock();
        if state.current_of(session).is_some() {
            state.current = None;
            state.lose();
        }
    }

    /// No session follows.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.current = None;
        state.closed = true;
        state.lose();
        state.listeners.clear();
    }

    /// What came by itself on the connection of a session.
    pub(super) fn push(&self, session: SessionNumber, push: &PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.end(session),
            PushKind::Invalidate => {
                let mut state = self.lock();
                if state.current_of(session).is_some() {
                    state.invalidate(push.data.first());
                }
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn current_of(&mut self, session: SessionNumber) -> Option<&mut Current> {
        let current = self.current.as_mut();
        current.filter(|current| current.session == session)
    }

    /// Tells everyone whose prefixes are tracked that what he asks for may be kept.
    fn establish(&mut self) {
        let Some(current) = self.current.as_ref().filter(|current| current.leased) else {
            return;
        };
        for listener in &mut self.listeners {
            let mut prefixes = listener.prefixes.iter();
            let tracked = prefixes.all(|prefix| covers(&current.prefixes, prefix));
            if tracked && listener.told != Told::Established {
                listener.told = Told::Established;
                listener.hears.established(current.epoch);
            }
        }
    }

    fn lose(&mut self) {
        for listener in &mut self.listeners {
            listener.lose();
        }
    }

    fn invalidate(&self, said: Option<&Value>) {
        let keys: Option<Vec<&[u8]>> = match said {
            Some(Value::Array(keys)) => Some(keys.iter().filter_map(bytes).collect()),
            Some(other) => bytes(other).map(|key| vec![key]),
            None => None,
        };
        for listener in &self.listeners {
            match &keys {
                Some(keys) => {
                    let own: Vec<&[u8]> = keys
                        .iter()
                        .copied()
                        .filter(|key| listener.wants(key))
                        .collect();
                    if !own.is_empty() {
                        listener.hears.invalidated(&own);
                    }
                }
                // Nil, which is how an emptied database is told. A shape that nobody knows is taken for
                // it too: it costs a few reads, while overhearing a change would cost the truth.
                None => listener.hears.all_invalidated(),
            }
        }
    }
}

impl Listener {
    fn wants(&self, key: &[u8]) -> bool {
        let mut prefixes = self.prefixes.iter();
        prefixes.any(|prefix| key.starts_with(prefix.as_bytes()))
    }

    fn lose(&mut self) {
        if self.told == Told::Established {
            self.told = Told::Nothing;
            self.hears.lost();
        }
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// All prefixes of the listeners without those that begin with another one: the server refuses
/// prefixes that overlap.
fn minimal(listeners: &[Listener]) -> Vec<String> {
    let mut all: Vec<&String> = listeners
        .iter()
        .flat_map(|listener| &listener.prefixes)
        .collect();
    // A prefix sorts before everything that begins with it.
    all.sort_unstable();
    let mut kept: Vec<String> = Vec::new();
    for prefix in all {
        if !covers(&kept, prefix) {
            kept.push(prefix.clone());
        }
    }
    kept
}

fn covers(prefixes: &[String], key: &str) -> bool {
    prefixes.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
#[path = "tracking_tests.rs"]
mod tests;
