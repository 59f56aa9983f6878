//! Packages as others see them: in the presence record, in the admin's log, on the channel.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::{Cluster, Inner};
use crate::config::Role;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::Result;
use crate::keyspace::Keyspace;
use crate::members::{self, PackagesState, Record};
use crate::packages::jobs::{Job, Outcome};
use crate::packages::message::Note;
use crate::packages::{AtStart, Palette, State, Status};
use crate::supervised::supervised;

/// A worker writes its record before it is looked at: heartbeats bundle changes for so long.
const RECORD_DELAY: Duration = Duration::from_millis(300);

/// How often an admin looks at the workers although none had anything to tell.
const LOOK: Duration = Duration::from_secs(60);

/// Notes in a record, and characters in one: a record is read by everybody, and its size has a limit.
const MOST_NOTES: usize = 20;
const LONGEST_NOTE: usize = 400;

/// Characters of an error in a record: the last lines of npm are in it.
const LONGEST_ERROR: usize = 4_000;

/// More workers than any admin remembers.
const MOST_WORKERS: usize = 10_000;

impl Cluster {
    /// What Node-RED has to know of packages when it loads its palette.
    pub fn packages_at_start(&self) -> AtStart {
        self.inner.packages.at_start()
    }

    /// Waits for something that packages need of Node-RED's own process.
    pub async fn next_packages_job(&self) -> Option<Job> {
        self.inner.packages.next_job().await
    }

    /// The job that was given last ended.
    pub fn packages_job_done(&self, outcome: Outcome) {
        self.inner.packages.job_done(outcome);
        // Packages may be what a revision of the flows waits for.
        self.inner.flows.forgive();
    }

    /// npm changed the admin's user directory.
    pub fn packages_changed(&self) {
        self.inner.packages.changed();
    }

    /// The admin's palette is like this now.
    pub fn palette(&self, palette: Palette) {
        self.inner.packages.palette(palette);
    }

    /// Which of these modules of Function nodes have yet to come from the admin.
    ///
    /// # Errors
    /// `LocalFile`.
    pub async fn lacking_modules(&self, names: Vec<String>) -> Result<Vec<String>> {
        match self.inner.config.role {
            Role::Admin => Ok(Vec::new()),
            Role::Worker => self.inner.packages.lacking_modules(names).await,
        }
    }

    /// Node-RED's start is over; `runs` where its flows do.
    pub(super) fn packages_booted(&self, runs: bool) {
        self.inner.packages.booted();
        if runs {
            self.inner.came_back.notify_one();
        }
    }

    /// Whoever could have missed something looks for itself, and what an instance has to tell is told.
    pub(super) fn listen_for_packages(&self, keyspace: &Keyspace) -> Result<()> {
        let on_message = self.inner.packages.clone();
        let on_resume = self.inner.packages.clone();
        let (told, hear) = tokio::sync::watch::channel(());
        self.inner.connection.subscribe(
            vec![keyspace.package_channel().to_owned()],
            move |message| match Note::parse(&message.payload) {
                Some(note) if note.worker.is_some() => {
                    told.send_replace(());
                }
                Some(_) => on_message.wake(),
                None => tracing::debug!(
                    "ignored a message of {} bytes on {}: it is none about packages",
                    message.payload.len(),
                    message.channel
                ),
            },
            move || on_resume.wake(),
        )?;
        let packages = self.inner.packages.clone();
        let epochs = self.inner.connection.epochs();
        tokio::spawn(supervised("what looks after reconnects", move || {
            let (packages, mut epochs) = (packages.clone(), epochs.clone());
            async move {
                while epochs.changed().await.is_ok() {
                    packages.wake();
                }
            }
        }));
        self.show_packages(keyspace);
        match self.inner.config.role {
            Role::Admin if self.inner.config.packages.sync => {
                let (connection, keyspace) = (self.inner.connection.clone(), keyspace.clone());
                tokio::spawn(supervised(
                    "what looks at the workers' packages",
                    move || {
                        let watch = Watch {
                            connection: connection.clone(),
                            keyspace: keyspace.clone(),
                            known: HashMap::new(),
                        };
                        watch.run(hear.clone())
                    },
                ));
            }
            Role::Admin => {}
            Role::Worker => {
                let weak = Arc::downgrade(&self.inner);
                tokio::spawn(supervised(
                    "what gives the permit to restart back",
                    move || {
                        let weak = Weak::clone(&weak);
                        async move {
                            let came_back = match weak.upgrade() {
                                Some(inner) => Arc::clone(&inner.came_back),
                                None => return,
                            };
                            came_back.notified().await;
                            // Kept for the next, should this one panic.
                            came_back.notify_one();
                            let packages = weak.upgrade().map(|inner| inner.packages.clone());
                            if let Some(packages) = packages {
                                packages.came_back().await;
                            }
                        }
                    },
                ));
            }
        }
        Ok(())
    }

    /// Puts the state of the packages into the presence record; a worker says on the channel that it did.
    fn show_packages(&self, keyspace: &Keyspace) {
        let weak = Arc::downgrade(&self.inner);
        let status = self.inner.packages.status();
        let channel = keyspace.package_channel().to_owned();
        tokio::spawn(supervised("what shows the packages to others", move || {
            let mut status = status.clone();
            status.mark_changed();
            Self::show_changes(Weak::clone(&weak), status, channel.clone())
        }));
    }

    async fn show_changes(weak: Weak<Inner>, mut status: watch::Receiver<Status>, channel: String) {
        let mut told = Status::default();
        while status.changed().await.is_ok() {
            let now = status.borrow_and_update().clone();
            let Some(inner) = weak.upgrade() else { return };
            let cluster = Self { inner };
            cluster.update_presence(|record| record.packages = Some(described(&now)));
            let is_worker = cluster.inner.config.role == Role::Worker;
            if is_worker && is_worth_telling(&told, &now) {
                told = now;
                cluster.tell(&channel).await;
            }
        }
    }

    async fn tell(&self, channel: &str) {
        let mut id = self.inner.id.clone();
        let Ok(id) = id.wait_for(Option::is_some).await.map(|id| id.clone()) else {
            return;
        };
        let Ok(text) = Note::of_worker(&id.unwrap_or_default()).to_text() else {
            return;
        };
        let mut command = redis::cmd("PUBLISH");
        command.arg(channel).arg(text);
        let told: Result<u64> = self
            .inner
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await;
        if let Err(error) = told {
            // The admin looks at the records by itself, too.
            tracing::debug!("the admin was not told to look at this worker: {error}");
        }
    }
}

/// Whether the admins are to look at this worker's record at once. Not where all is well and was before: the
/// message reaches every instance, and all workers start or follow at the same time.
fn is_worth_telling(told: &Status, now: &Status) -> bool {
    let changed = (now.state, &now.error, &now.notes) != (told.state, &told.error, &told.notes);
    is_final(now.state) && changed && (is_out_of_the_ordinary(now) || is_out_of_the_ordinary(told))
}

fn is_final(state: State) -> bool {
    !matches!(state, State::Waiting | State::Installing)
}

/// What was never told anything of is as it should be.
fn is_out_of_the_ordinary(status: &Status) -> bool {
    !matches!(status.state, State::Waiting | State::Current)
        || status.error.is_some()
        || !status.notes.is_empty()
}

fn described(status: &Status) -> members::Packages {
    members::Packages {
        state: match status.state {
            State::Off => PackagesState::Off,
            State::Waiting => PackagesState::Waiting,
            State::Installing => PackagesState::Installing,
            State::Current => PackagesState::Current,
            State::RestartRequired => PackagesState::RestartRequired,
            State::Restarting => PackagesState::Restarting,
            State::Failed => PackagesState::Failed,
        },
        wanted: status.wanted,
        running: status.running,
        error: status.error.as_ref().map(|error| members::Failure {
            code: error.code().as_str().to_owned(),
            message: error.message().chars().take(LONGEST_ERROR).collect(),
        }),
        notes: shortened(&status.notes),
    }
}

fn shortened(notes: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = notes
        .iter()
        .take(MOST_NOTES)
        .map(|note| note.chars().take(LONGEST_NOTE).collect())
        .collect();
    if notes.len() > MOST_NOTES {
        shown.push(format!(
            "and {} more, see the log",
            notes.len() - MOST_NOTES
        ));
    }
    shown
}

/// Looks at the workers for the admin, whose log is where an operator looks first.
struct Watch {
    connection: Connection,
    keyspace: Keyspace,
    /// What was said of each worker last.
    known: HashMap<String, members::Packages>,
}

impl Watch {
    async fn run(mut self, mut hear: watch::Receiver<()>) {
        loop {
            tokio::select! {
                heard = hear.changed() => if heard.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
            tokio::time::sleep(RECORD_DELAY).await;
            match members::list(&self.connection, &self.keyspace).await {
                Ok(records) => self.report(records),
                Err(error) => tracing::debug!("the workers cannot be looked at: {error}"),
            }
        }
    }

    fn report(&mut self, records: Vec<Record>) {
        let workers = records
            .into_iter()
            .filter(|record| record.role == Role::Worker.as_str());
        let mut now = HashMap::new();
        for record in workers.take(MOST_WORKERS) {
            let Some(packages) = record.status.packages else {
                continue;
            };
            let before = self.known.get(&record.id);
            say(&record.id, before, &packages);
            now.insert(record.id, packages);
        }
        self.known = now;
    }
}

/// Says what is new of a worker.
fn say(worker: &str, before: Option<&members::Packages>, now: &members::Packages) {
    let state_before = before.map(|before| before.state);
    let error_before = before.and_then(|before| before.error.as_ref());
    match (&now.error, now.state) {
        (Some(error), _) if error_before != Some(error) => tracing::error!(
            "worker {worker} does not have the packages of this admin, and tries again: {} [{}]",
            error.message,
            error.code
        ),
        (None, PackagesState::Off) if state_before != Some(PackagesState::Off) => tracing::warn!(
            "worker {worker} does not follow the packages of this admin (syncPackages: false there)"
        ),
        (None, PackagesState::RestartRequired)
            if state_before != Some(PackagesState::RestartRequired) =>
        {
            tracing::info!(
                "worker {worker} needs a restart for packages revision {}",
                now.wanted.unwrap_or_default()
            );
        }
        (None, PackagesState::Current) if error_before.is_some() => tracing::info!(
            "worker {worker} has packages revision {} now",
            now.running.unwrap_or_default()
        ),
        _ => {}
    }
    let told = before
        .map(|before| before.notes.as_slice())
        .unwrap_or_default();
    for note in now.notes.iter().filter(|note| !told.contains(note)) {
        tracing::warn!("worker {worker}: {note}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};

    fn status(state: State) -> Status {
        Status {
            state,
            ..Status::default()
        }
    }

    #[test]
    fn a_worker_with_which_all_is_well_says_nothing() {
        let nothing_told = Status::default();
        for quiet in [State::Waiting, State::Installing, State::Current] {
            assert!(
                !is_worth_telling(&nothing_told, &status(quiet)),
                "{quiet:?}"
            );
        }
    }

    #[test]
    fn what_an_admin_logs_is_told_and_its_end_as_well() {
        let well = status(State::Current);
        let failed = Status {
            error: Some(Error::new(Code::PackagesFailed, "npm failed")),
            ..status(State::Failed)
        };
        let noted = Status {
            notes: vec!["otherwise than on the admin".to_owned()],
            ..status(State::Current)
        };
        let news = [State::Off, State::RestartRequired, State::Restarting].map(status);
        for news in news.into_iter().chain([failed, noted]) {
            assert!(is_worth_telling(&Status::default(), &news), "{news:?}");
            assert!(is_worth_telling(&news, &well), "the end of {news:?}");
            assert!(!is_worth_telling(&news, &news), "{news:?} again");
            assert!(!is_worth_telling(&news, &status(State::Installing)));
        }
    }
}
