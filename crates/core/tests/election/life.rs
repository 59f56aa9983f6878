//! Elector processes from outside: each stands behind a proxy and has a wall clock of its own; it can be
//! started again, and all that it said is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use node_red_cluster_core::election::clock;
use node_red_cluster_testkit::{Lines, Program, Proxy, WallClock};
use serde_json::json;
use tokio::task::JoinHandle;

use super::elector::{NAME, Order, Task, VARIABLE};
use super::history::{Deed, History, Life, Nanos, Recorded, Said};
use crate::support::SOON;

/// All that is known of the run so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chronicle(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    history: History,
    /// Who believes that it leads which lock until when, by index of its life.
    beliefs: BTreeMap<(usize, String), Nanos>,
}

/// A place for an elector process: one after the other lives there.
pub(crate) struct Home {
    pub(crate) name: String,
    pub(crate) proxy: Arc<Proxy>,
    /// Where clocks can be set.
    pub(crate) wall_clock: Option<WallClock>,
    chronicle: Chronicle,
    locks: Vec<String>,
    ttl: Duration,
    prefix: String,
    lives: usize,
    tenant: Option<Tenant>,
}

struct Tenant {
    life: usize,
    program: Program,
    listener: JoinHandle<()>,
}

pub(crate) fn now() -> Nanos {
    clock::now().as_nanos()
}

impl Chronicle {
    /// Notes something that is done to the world now.
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.deed(what.into(), false, None);
    }

    /// Notes something after which the store may know less.
    pub(crate) fn note_loss(&self, what: impl Into<String>) {
        self.deed(what.into(), true, None);
    }

    /// Notes that the store's clock is ahead by so many milliseconds from now on.
    pub(crate) fn note_clock(&self, what: impl Into<String>, ahead: i64) {
        self.deed(what.into(), false, Some(ahead));
    }

    fn deed(&self, what: String, forgets: bool, clock: Option<i64>) {
        let at = now();
        let deed = Deed {
            at,
            what,
            forgets,
            clock,
        };
        self.known().history.deeds.push(deed);
    }

    /// Notes which token the store has for a lock.
    pub(crate) fn record(&self, lock: &str, token: u64) {
        let (at, lock) = (now(), lock.to_owned());
        self.known()
            .history
            .recorded
            .push(Recorded { at, lock, token });
    }

    /// How many processes believe at this moment that they lead a lock.
    pub(crate) fn leaders(&self, lock: &str) -> usize {
        let now = now();
        let known = self.known();
        let of_it = known.beliefs.iter().filter(|((_, of), _)| of == lock);
        of_it.filter(|(_, until)| now < **until).count()
    }

    /// The name of a process that believes at this moment that it leads a lock.
    pub(crate) fn leader(&self, lock: &str) -> Option<String> {
        let now = now();
        let known = self.known();
        let mut beliefs = known.beliefs.iter();
        let leader = beliefs.find(|((_, of), until)| of == lock && now < **until);
        leader.map(|((life, _), _)| known.history.lives[*life].name.clone())
    }

    /// A copy of all that is known.
    pub(crate) fn history(&self) -> History {
        self.known().history.clone()
    }

    fn hear(&self, life: usize, said: Said) {
        let mut known = self.known();
        match &said {
            Said::Began { lock, until, .. } | Said::Moved { lock, until, .. } => {
                known.beliefs.insert((life, lock.clone()), *until);
            }
            Said::Ended { lock, .. } => {
                known.beliefs.remove(&(life, lock.clone()));
            }
            _ => {}
        }
        known.history.lives[life].said.push(said);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Home {
    pub(crate) fn new(
        name: String,
        proxy: Arc<Proxy>,
        wall_clock: Option<WallClock>,
        chronicle: Chronicle,
        (prefix, locks, ttl): (&str, &[String], Duration),
    ) -> Self {
        Self {
            name,
            proxy,
            wall_clock,
            chronicle,
            locks: locks.to_vec(),
            ttl,
            prefix: prefix.to_owned(),
            lives: 0,
            tenant: None,
        }
    }

    /// Starts a process that stands for all locks.
    pub(crate) fn start(&mut self) {
        self.lives += 1;
        let task = Task {
            block: json!({
                "host": self.proxy.address().ip().to_string(),
                "port": self.proxy.port(),
                "keyPrefix": self.prefix,
                "timeout": 1_000,
            }),
            locks: self.locks.clone(),
            ttl: self.ttl,
        };
        let task = serde_json::to_string(&task).expect("JSON");
        let clock = self.wall_clock.iter().flat_map(WallClock::environment);
        let binary = std::env::current_exe().expect("this test binary");
        let (program, lines) = Program::start(
            &binary,
            &["--exact", NAME, "--ignored", "--nocapture"],
            clock.chain([(VARIABLE.into(), task.into())]),
        )
        .expect("an elector");
        let life = {
            let lives = &mut self.chronicle.known().history.lives;
            lives.push(Life {
                name: format!("{}#{}", self.name, self.lives),
                ..Life::default()
            });
            lives.len() - 1
        };
        let listener = tokio::spawn(listen(lines, self.chronicle.clone(), life));
        self.tenant = Some(Tenant {
            life,
            program,
            listener,
        });
    }

    /// Gives an order, if anybody is there.
    pub(crate) async fn order(&mut self, order: &Order) {
        if let Some(tenant) = &mut self.tenant {
            let order = serde_json::to_string(order).expect("JSON");
            tenant
                .program
                .say(&order)
                .await
                .expect("an elector that listens");
        }
    }

    pub(crate) fn pause(&self) {
        let tenant = self.tenant.as_ref().expect("an elector");
        tenant.program.pause().expect("it lives");
    }

    pub(crate) fn resume(&self) {
        let tenant = self.tenant.as_ref().expect("an elector");
        tenant.program.resume().expect("it lives");
    }

    /// Kills the process, and returns once all that it said is known.
    pub(crate) async fn kill(&mut self) {
        let Some(mut tenant) = self.tenant.take() else {
            return;
        };
        {
            let mut known = self.chronicle.known();
            known.history.lives[tenant.life].killed = Some(now());
            known.beliefs.retain(|(life, _), _| *life != tenant.life);
        }
        tenant.program.kill().await.expect("it can be killed");
        tenant.listener.await.expect("all that it said");
        let beliefs = &mut self.chronicle.known().beliefs;
        beliefs.retain(|(life, _), _| *life != tenant.life);
    }

    /// Lets the process end in good order.
    pub(crate) async fn close(&mut self) {
        self.order(&Order::Close).await;
        if let Some(mut tenant) = self.tenant.take() {
            let status = tenant.program.ended(SOON).await.expect("it ends");
            assert!(status.success(), "{}: {status}", self.name);
            tenant.listener.await.expect("all that it said");
        }
    }
}

async fn listen(mut lines: Lines, chronicle: Chronicle, life: usize) {
    while let Some(line) = lines.next().await.expect("text") {
        // The test harness has its say, too.
        if line.starts_with(['{', '"']) {
            let said = serde_json::from_str(&line);
            let said = said.unwrap_or_else(|error| panic!("{line}: {error}"));
            chronicle.hear(life, said);
        }
    }
}
