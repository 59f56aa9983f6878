//! The operator's wish to stop, as a value to wait for.

use std::future;

use tokio::sync::watch;

/// How far the operator has gone in asking for a stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Urgency {
    /// Finish what is under way, then stop.
    Orderly,
    /// Stop now, whatever is lost.
    AtOnce,
}

impl Urgency {
    /// How many signals mean it.
    fn signals(self) -> u32 {
        match self {
            Self::Orderly => 1,
            Self::AtOnce => 2,
        }
    }
}

/// The count of stop signals, seen as an urgency.
#[derive(Clone)]
pub(crate) struct Stop {
    signals: watch::Receiver<u32>,
}

impl Stop {
    /// `signals` counts the stop signals received so far.
    pub(crate) fn new(signals: watch::Receiver<u32>) -> Self {
        Self { signals }
    }

    /// Whether a stop at least as urgent as `urgency` has been asked for.
    pub(crate) fn is_requested(&self, urgency: Urgency) -> bool {
        *self.signals.borrow() >= urgency.signals()
    }

    /// Resolves as soon as a stop at least as urgent as `urgency` has been asked for. Never
    /// resolves if it has not and the sending side is gone, for then no signal can come any more.
    pub(crate) async fn requested(&mut self, urgency: Urgency) {
        let asked = self.signals.wait_for(|count| *count >= urgency.signals());
        if asked.await.is_err() {
            future::pending::<()>().await;
        }
    }
}
