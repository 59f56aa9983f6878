//! Log lines of the core reach JavaScript: Node-RED's log, or whoever asked for them.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use napi::Status;
use napi::bindgen_prelude::{FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use node_red_cluster_core::fault;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Called with a level (`error`, `warn`, `info`, `debug`) and a line.
type Sink = ThreadsafeFunction<
    FnArgs<(&'static str, String)>,
    (),
    FnArgs<(&'static str, String)>,
    Status,
    false,
    true,
>;

static SINK: Mutex<Option<Arc<Sink>>> = Mutex::new(None);

/// Log lines go to `log` from now on; it does not keep the process alive.
pub(crate) fn send_to(log: &Function<'_, FnArgs<(&'static str, String)>, ()>) -> napi::Result<()> {
    let sink = log.build_threadsafe_function().weak::<true>().build()?;
    *SINK.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sink));
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let subscriber = tracing_subscriber::registry().with(ToJavaScript);
        // Fails only where another subscriber is installed, and then that one has the lines.
        let _ = tracing::subscriber::set_global_default(subscriber);
        fault::log_panics();
    });
    Ok(())
}

struct ToJavaScript;

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for ToJavaScript {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _context: Context<'_, S>) -> bool {
        metadata.target().starts_with("node_red_cluster") && *metadata.level() <= Level::DEBUG
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => "debug",
        };
        let sink = SINK.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sink) = sink {
            sink.call(
                (level, line.0).into(),
                ThreadsafeFunctionCallMode::NonBlocking,
            );
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
}
