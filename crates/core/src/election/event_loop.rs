//! Whether the program that leads can do its job: its event loop is asked before each renewal.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// The event loop of the program; shared by all elections of a process.
pub struct EventLoop {
    ask: Box<dyn Fn() + Send + Sync>,
    answers: watch::Sender<u64>,
    always: bool,
}

impl EventLoop {
    /// `ask` makes the loop call [`EventLoop::answered`] at its next turn. It is called from any thread and
    /// must not wait.
    pub fn new(ask: Box<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Self {
            ask,
            answers: watch::Sender::new(0),
            always: false,
        })
    }

    /// For programs without an event loop that could hang.
    pub fn always() -> Arc<Self> {
        Arc::new(Self {
            ask: Box::new(|| {}),
            answers: watch::Sender::new(0),
            always: true,
        })
    }

    /// The loop is alive.
    pub fn answered(&self) {
        self.answers
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Asks, and returns when the loop has answered after it was asked: never, as long as it hangs.
    pub(super) async fn answer(&self) {
        if self.always {
            return;
        }
        let mut answers = self.answers.subscribe();
        (self.ask)();
        // The sender lives as long as this.
        let _ = answers.changed().await;
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EventLoop").finish_non_exhaustive()
    }
}
