//! Follows the children: tells the operator what happens to them, and decides when to stop.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::failure::Failure;
use crate::stop::{Stop, Urgency};
use crate::terminal::{Colour, Terminal};

use super::child::ChildPlan;
use super::keeper::{Happened, News};
use super::store;

const TICK: Duration = Duration::from_secs(1);
/// How often a start that takes long is explained.
const EXPLAIN_EVERY_TICKS: u64 = 10;

/// What is known of a child.
struct Known {
    name: String,
    /// What is missing as long as it is not ready, in words.
    missing: String,
    pid: Option<u32>,
    ready: bool,
}

/// Why waiting for the children ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// All children are ready.
    Ready,
    /// The operator asked for a stop.
    StopRequested,
}

/// The children and what is heard of them.
pub(super) struct Supervisor {
    children: Vec<Known>,
    news: mpsc::UnboundedReceiver<News>,
    terminal: Terminal,
    /// What the supervisor's own lines begin with.
    label: String,
}

impl Supervisor {
    /// A supervisor that knows no children yet and hears from their keepers through `news`.
    pub(super) fn new(
        news: mpsc::UnboundedReceiver<News>,
        terminal: &Terminal,
        label: String,
    ) -> Self {
        Self {
            children: Vec::new(),
            news,
            terminal: terminal.clone(),
            label,
        }
    }

    /// Makes a child known, before it is started.
    pub(super) fn expect(&mut self, plan: &ChildPlan) {
        self.children.push(Known {
            name: plan.name.clone(),
            missing: plan.readiness.to_string(),
            pid: None,
            ready: false,
        });
    }

    /// The process id of a child that runs.
    pub(super) fn pid_of(&self, name: &str) -> Option<u32> {
        let child = self.children.iter().find(|child| child.name == name)?;
        child.pid
    }

    /// Says something in the supervisor's name.
    pub(super) fn say(&self, text: &str) {
        self.terminal.line(&format!("{}{text}", self.label));
    }

    /// Follows the children until all are ready, showing who is still waited for.
    pub(super) async fn until_ready(&mut self, stop: &mut Stop) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut explained = 0;
        let outcome = loop {
            if self.children.iter().all(|child| child.ready) {
                break Ok(Outcome::Ready);
            }
            self.show_waiting(begun.elapsed());
            tokio::select! {
                () = stop.requested(Urgency::Orderly) => break Ok(Outcome::StopRequested),
                Some(news) = self.news.recv() => {
                    if let Err(failure) = self.note(news, Some(begun)) {
                        break Err(failure);
                    }
                }
                _ = ticks.tick() => {
                    let due = begun.elapsed().as_secs() / EXPLAIN_EVERY_TICKS;
                    if due > explained {
                        explained = due;
                        self.explain_waiting(begun.elapsed());
                    }
                }
            }
        };
        self.terminal.progress(None);
        outcome
    }

    /// Follows the children until the operator asks for a stop.
    pub(super) async fn until_stop(&mut self, stop: &mut Stop) -> Result<(), Failure> {
        loop {
            tokio::select! {
                () = stop.requested(Urgency::Orderly) => return Ok(()),
                Some(news) = self.news.recv() => self.note(news, None)?,
            }
        }
    }

    /// Takes note of one piece of news and passes on what the operator should know. `begun` is
    /// when the present start began, during one.
    fn note(&mut self, news: News, begun: Option<Instant>) -> Result<(), Failure> {
        let News { name, what } = news;
        let Some(child) = self.children.iter_mut().find(|child| child.name == name) else {
            return Ok(());
        };
        let style = self.terminal.style();
        let text = match what {
            Happened::Started { pid } => {
                child.pid = Some(pid);
                return Ok(());
            }
            Happened::Ready => {
                child.ready = true;
                match begun {
                    Some(begun) => {
                        let took = begun.elapsed().as_secs_f32();
                        style.paint(Colour::Green, &format!("{name} is ready ({took:.1} s)"))
                    }
                    None => style.paint(Colour::Green, &format!("{name} is ready again")),
                }
            }
            Happened::Ended { how, again_in } => {
                child.pid = None;
                child.ready = false;
                let seconds = again_in.as_secs();
                style.paint(
                    Colour::Red,
                    &format!("{name} ended ({how}); it is started again in {seconds} s"),
                )
            }
            Happened::GivenUp { how } => return Err(given_up(&name, &how)),
        };
        self.say(&text);
        Ok(())
    }

    fn show_waiting(&self, elapsed: Duration) {
        self.terminal.progress(Some(format!(
            "waiting for {} ({} s)",
            self.waited_for(|child| child.name.clone()),
            elapsed.as_secs(),
        )));
    }

    fn explain_waiting(&self, elapsed: Duration) {
        self.say(&format!(
            "still waiting after {} s for {}",
            elapsed.as_secs(),
            self.waited_for(|child| format!("{} ({})", child.name, child.missing)),
        ));
    }

    fn waited_for(&self, words: impl Fn(&Known) -> String) -> String {
        let waiting = self.children.iter().filter(|child| !child.ready);
        waiting.map(words).collect::<Vec<_>>().join(", ")
    }
}

/// The end of a child that never worked. A store that cannot be had is a reason not to begin; an
/// instance that cannot work has been tried.
fn given_up(name: &str, how: &str) -> Failure {
    if name == store::NAME {
        Failure::Refused(format!(
            "The store did not start ({how}). Its lines above say why; give the URL of another \
             one with --url if it cannot be mended."
        ))
    } else {
        Failure::GaveUp(format!(
            "{name} ended again and again without ever having been ready (last: {how}), so it \
             cannot work as it is configured. Its lines above say why."
        ))
    }
}
