//! The only place that writes to standard output and standard error.
//!
//! One thread owns both, so lines never interleave and a slow terminal never blocks the runtime.
//! Lines of the instances wait for room in the queue (a terminal that does not keep up slows them
//! down, as it would without us); what the supervisor itself says never waits, or it could not
//! react to a stop while the terminal is held.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::environment::Environment;

/// Lines of instances that may wait to be written.
const QUEUE_LINES: usize = 1024;
/// How long the end of the program waits for a terminal that is held.
const FINISH_LIMIT: Duration = Duration::from_secs(2);
/// Pause before writing again to a descriptor that JavaScript made non-blocking.
const FULL_PIPE_PAUSE: Duration = Duration::from_millis(5);

/// How text is dressed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// Whether colour codes are written.
    pub(crate) colours: bool,
    /// Columns of the line that is rewritten in place; `None` where there is no terminal to do so.
    pub(crate) progress_width: Option<usize>,
}

/// Terminals that do not tell their width are taken to have the classic one.
const USUAL_WIDTH: usize = 80;

impl Style {
    /// Colours on a terminal unless NO_COLOR (<https://no-color.org>) or a dumb terminal says
    /// otherwise; FORCE_COLOR asks for them elsewhere too.
    pub(crate) fn of(environment: &Environment) -> Self {
        let output = environment.standard_output;
        let capable = output.terminal && environment.variable("TERM") != Some("dumb");
        let forced = environment
            .variable("FORCE_COLOR")
            .is_some_and(|value| value != "0");
        Self {
            colours: environment.variable("NO_COLOR").is_none() && (capable || forced),
            progress_width: capable.then(|| output.width.unwrap_or(USUAL_WIDTH)),
        }
    }

    /// `text` in a colour, or as it is where colours are off.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if self.colours {
            format!("\x1b[{}m{text}\x1b[0m", colour as u8)
        } else {
            text.to_owned()
        }
    }
}

/// Colours by their ANSI code.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Magenta = 35,
    Cyan = 36,
}

impl Colour {
    /// The colour of the `index`-th instance. Red is left out: it is for errors.
    pub(crate) fn of_instance(index: usize) -> Self {
        const CYCLE: [Colour; 5] = [
            Colour::Cyan,
            Colour::Green,
            Colour::Magenta,
            Colour::Blue,
            Colour::Yellow,
        ];
        CYCLE[index % CYCLE.len()]
    }
}

enum Message {
    Line(String, Option<OwnedSemaphorePermit>),
    Error(String),
    Progress(Option<String>),
    Finish(oneshot::Sender<()>),
}

/// A handle to the writing thread; clones share it.
#[derive(Clone)]
pub(crate) struct Terminal {
    queue: mpsc::UnboundedSender<Message>,
    room: Arc<Semaphore>,
    style: Style,
}

impl Terminal {
    /// Starts the writing thread, which ends with the last handle.
    pub(crate) fn open(
        output: Box<dyn Write + Send>,
        errors: Box<dyn Write + Send>,
        style: Style,
    ) -> Self {
        let (queue, messages) = mpsc::unbounded_channel();
        let writer = Writer {
            output,
            errors,
            width: style.progress_width,
            progress: None,
        };
        thread::spawn(move || writer.run(messages));
        Self {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_LINES)),
            style,
        }
    }

    /// How text is to be dressed.
    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Writes a line of the supervisor's own to standard output.
    pub(crate) fn line(&self, text: &str) {
        self.send(Message::Line(text.to_owned(), None));
    }

    /// Writes a line to standard error.
    pub(crate) fn error(&self, text: &str) {
        self.send(Message::Error(text.to_owned()));
    }

    /// Writes a line of an instance to standard output, once there is room for it.
    pub(crate) async fn output(&self, text: String) {
        let room = Arc::clone(&self.room);
        // The semaphore is never closed; a line would rather be late than lost.
        let permit = room.acquire_owned().await.ok();
        self.send(Message::Line(text, permit));
    }

    /// Shows a text in the line that is rewritten in place, below everything else; `None` removes
    /// it. Nothing where standard output is no terminal.
    pub(crate) fn progress(&self, text: Option<String>) {
        self.send(Message::Progress(text));
    }

    /// Waits until everything sent so far is written, or until it is clear that the terminal is
    /// held and nobody will ever read it.
    pub(crate) async fn finish(&self) {
        let (written, done) = oneshot::channel();
        self.send(Message::Finish(written));
        tokio::time::timeout(FINISH_LIMIT, done).await.ok();
    }

    fn send(&self, message: Message) {
        // The thread ends only after the last handle; nothing to report to if it panicked.
        self.queue.send(message).ok();
    }
}

/// The state of the writing thread.
struct Writer {
    output: Box<dyn Write + Send>,
    errors: Box<dyn Write + Send>,
    width: Option<usize>,
    progress: Option<String>,
}

impl Writer {
    fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::Line(text, _room) => self.above_progress(|writer| {
                    write_fully(&mut writer.output, format!("{text}\n").as_bytes());
                }),
                Message::Error(text) => self.above_progress(|writer| {
                    write_fully(&mut writer.errors, format!("{text}\n").as_bytes());
                }),
                Message::Progress(text) => {
                    self.clear_progress();
                    self.progress = text;
                    self.draw_progress();
                }
                Message::Finish(written) => {
                    self.clear_progress();
                    self.progress = None;
                    written.send(()).ok();
                }
            }
        }
    }

    fn above_progress(&mut self, write: impl FnOnce(&mut Self)) {
        self.clear_progress();
        write(self);
        self.draw_progress();
    }

    fn clear_progress(&mut self) {
        if self.width.is_some() && self.progress.is_some() {
            write_fully(&mut self.output, b"\r\x1b[2K");
        }
    }

    fn draw_progress(&mut self) {
        if let (Some(width), Some(text)) = (self.width, &self.progress) {
            // A full last column would wrap, and a wrapped line cannot be rewritten in place.
            let visible: String = text.chars().take(width.saturating_sub(1)).collect();
            write_fully(&mut self.output, visible.as_bytes());
        }
    }
}

/// Writes all bytes and flushes. A reader that has gone away is no reason to stop a cluster, so
/// other errors than a full pipe end the attempt in silence.
fn write_fully(target: &mut Box<dyn Write + Send>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match target.write(bytes) {
            Ok(0) => return,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(FULL_PIPE_PAUSE);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
    while let Err(error) = target.flush() {
        match error.kind() {
            io::ErrorKind::WouldBlock => thread::sleep(FULL_PIPE_PAUSE),
            io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::environment::StandardOutput;

    /// What a test's terminal has been given to show.
    #[derive(Clone, Default)]
    pub(crate) struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Screen {
        /// A terminal that writes here, output and errors alike.
        pub(crate) fn terminal(&self, style: Style) -> Terminal {
            Terminal::open(Box::new(self.clone()), Box::new(self.clone()), style)
        }

        pub(crate) fn text(&self) -> String {
            let bytes = self.0.lock().expect("no writer panicked");
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("no reader panicked")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn style(terminal: bool, variables: &[(&str, &str)]) -> Style {
        Style::of(&Environment {
            node: "node".into(),
            package_root: "/".into(),
            working_directory: "/".into(),
            node_red: None,
            standard_output: StandardOutput {
                terminal,
                width: Some(40),
            },
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(style(true, &[]).colours);
        assert!(!style(false, &[]).colours);
        assert!(!style(true, &[("NO_COLOR", "1")]).colours);
        assert!(!style(true, &[("TERM", "dumb")]).colours);
        assert!(style(true, &[("NO_COLOR", "")]).colours);
        assert!(style(false, &[("FORCE_COLOR", "1")]).colours);
        assert!(!style(false, &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]).colours);
    }

    #[tokio::test]
    async fn lines_go_above_the_progress_line_which_is_cut_to_the_width() {
        let screen = Screen::default();
        let terminal = screen.terminal(Style {
            colours: false,
            progress_width: Some(8),
        });
        terminal.progress(Some("waiting for the store".to_owned()));
        terminal.line("hello");
        terminal.progress(None);
        terminal.finish().await;
        assert_eq!(screen.text(), "waiting\r\x1b[2Khello\nwaiting\r\x1b[2K");
    }

    #[tokio::test]
    async fn without_a_terminal_there_is_no_progress_line() {
        let screen = Screen::default();
        let terminal = screen.terminal(Style::default());
        terminal.progress(Some("waiting".to_owned()));
        terminal.error("no");
        terminal.finish().await;
        assert_eq!(screen.text(), "no\n");
    }
}
