//! Keeps one child running: starts it, says when it is ready, starts it again when it ends, and
//! ends it when the time has come.

use std::pin::pin;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::stop::{Stop, Urgency};
use crate::terminal::Terminal;

use super::child::{Child, ChildPlan};
use super::restart::{Decision, RestartPolicy};

/// What a keeper has to tell, with the name of its child.
#[derive(Debug)]
pub(super) struct News {
    pub(super) name: String,
    pub(super) what: Happened,
}

/// What happened to a child.
#[derive(Debug)]
pub(super) enum Happened {
    Started {
        pid: u32,
    },
    Ready,
    /// It ended, for this reason, and is started again after the delay.
    Ended {
        how: String,
        again_in: std::time::Duration,
    },
    /// It ended and is not started again: it was never ready, and this was the last attempt.
    GivenUp {
        how: String,
    },
}

/// What is wanted of the children of a group. Only ever goes forward.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Run,
    End,
    Kill,
}

/// Children that are started and ended together. Dropping it kills them.
pub(super) struct Group {
    stage: watch::Sender<Stage>,
    keepers: JoinSet<()>,
    terminal: Terminal,
    news: mpsc::UnboundedSender<News>,
}

impl Group {
    /// A group without children, whose keepers will report to `news`.
    pub(super) fn new(terminal: &Terminal, news: &mpsc::UnboundedSender<News>) -> Self {
        Self {
            stage: watch::Sender::new(Stage::Run),
            keepers: JoinSet::new(),
            terminal: terminal.clone(),
            news: news.clone(),
        }
    }

    /// Adds a child and keeps it running.
    pub(super) fn keep(&mut self, plan: ChildPlan) {
        let keeper = Keeper {
            policy: RestartPolicy::new(plan.attempts),
            plan,
            terminal: self.terminal.clone(),
            stage: self.stage.subscribe(),
            news: self.news.clone(),
        };
        self.keepers.spawn(keeper.keep());
    }

    /// Ends all children, in order, or at once as soon as the operator asks for it. Returns when
    /// none is left.
    pub(super) async fn end(&mut self, stop: &mut Stop) {
        self.stage.send_replace(Stage::End);
        loop {
            let killing = *self.stage.borrow() == Stage::Kill;
            tokio::select! {
                keeper = self.keepers.join_next() => if keeper.is_none() { return },
                () = stop.requested(Urgency::AtOnce), if !killing => {
                    self.stage.send_replace(Stage::Kill);
                }
            }
        }
    }
}

struct Keeper {
    plan: ChildPlan,
    policy: RestartPolicy,
    terminal: Terminal,
    stage: watch::Receiver<Stage>,
    news: mpsc::UnboundedSender<News>,
}

impl Keeper {
    async fn keep(mut self) {
        while *self.stage.borrow() == Stage::Run {
            let begun = Instant::now();
            let how = match Child::start(&self.plan, &self.terminal) {
                Ok(child) => match self.run(child).await {
                    Some(how) => how,
                    None => return,
                },
                Err(error) => format!(
                    "cannot start {} in {}: {error}",
                    self.plan.program.display(),
                    self.plan.working_directory.display(),
                ),
            };
            match self.policy.ended(begun.elapsed()) {
                Decision::Again(again_in) => {
                    self.report(Happened::Ended { how, again_in });
                    tokio::select! {
                        () = sleep(again_in) => {}
                        () = reached(&mut self.stage, Stage::End) => return,
                    }
                }
                Decision::GiveUp => return self.report(Happened::GivenUp { how }),
            }
        }
    }

    /// Runs the child to its end. Says how it ended, or `None` if it was made to.
    async fn run(&mut self, mut child: Child) -> Option<String> {
        self.report(Happened::Started { pid: child.pid() });
        let readiness = self.plan.readiness.clone();
        let mut became_ready = pin!(readiness.reached());
        let mut ready = false;
        loop {
            tokio::select! {
                how = child.ended() => return Some(how),
                () = &mut became_ready, if !ready => {
                    ready = true;
                    self.policy.ready();
                    self.report(Happened::Ready);
                }
                () = reached(&mut self.stage, Stage::End) => {
                    self.end(child).await;
                    return None;
                }
            }
        }
    }

    async fn end(&mut self, mut child: Child) {
        if *self.stage.borrow() == Stage::End {
            child.ask_to_end();
            tokio::select! {
                _ = child.ended() => return,
                () = reached(&mut self.stage, Stage::Kill) => {}
                () = sleep(self.plan.patience) => self.terminal.error(&format!(
                    "{} did not end within {:?} and is killed.",
                    self.plan.name, self.plan.patience,
                )),
            }
        }
        child.kill();
        child.ended().await;
    }

    fn report(&self, what: Happened) {
        let name = self.plan.name.clone();
        // Nobody listens any more while everything is being ended.
        self.news.send(News { name, what }).ok();
    }
}

/// Resolves when the group has reached the stage; also when the group is gone, which ends its
/// children as surely.
async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    stage.wait_for(|now| *now >= wanted).await.ok();
}

#[cfg(all(test, unix))]
#[path = "keeper_tests.rs"]
mod tests;
