//! The lines that an operator reads.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::access;

/// The password of users whom one command is forbidden.
pub(crate) const LIMITED: &str = "of-the-limited-user";

/// Everything from `info` on that is logged on this thread, which is all of a test with one thread.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Log {
    /// Begins to listen, until it is dropped.
    pub(crate) fn begin() -> Self {
        let lines = Arc::default();
        let guard = set_default(Collector(Arc::clone(&lines)));
        Self {
            lines,
            _guard: guard,
        }
    }

    /// All lines so far that have this word.
    pub(crate) fn with(&self, word: &str) -> Vec<String> {
        let mut lines = self.all();
        lines.retain(|line| line.contains(word));
        lines
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }
}

/// No line shows a password.
impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for line in self.all() {
            let shown = [access::PASSWORD, LIMITED]
                .iter()
                .any(|word| line.contains(word));
            assert!(!shown, "a password is in the log: {line}");
        }
    }
}

struct Collector(Arc<Mutex<Vec<String>>>);

struct Sentence(String);

impl Visit for Sentence {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("node_red_cluster")
    }

    fn event(&self, event: &Event<'_>) {
        let mut sentence = Sentence(format!("{} ", event.metadata().level()));
        event.record(&mut sentence);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(sentence.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
