//! A worker follows the packages of the admin.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::jobs::{Job, Module};
use super::list::PackageList;
use super::name::PackageName;
use super::needs::Needs;
use super::service::{AtStart, Packages, State, lock, pause};
use super::store::{Newest, Published};
use super::tree::{Tree, links};
use crate::config::RestartPolicy;
use crate::error::{Code, Error, Result};

/// First and longest pause before a worker that cannot start its flows tries again.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// Which flows a worker starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The newest.
    Newest,
    /// The last ones that ran here: the newest need packages that cannot be installed.
    LastGood,
}

/// Whether Node-RED has loaded packages of the tree already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Start,
    Running,
}

impl Packages {
    /// Before Node-RED loads its palette: installs what the admin has. Where that fails, `flows` decide: if they
    /// need what is missing, this waits and tries again, unless `last_good` need nothing of it.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn prepare_worker(&self, flows: &str, last_good: Option<&str>) -> Result<Choice> {
        if !self.inner.options.config.sync {
            tracing::info!(
                "this worker does not follow the admin's packages (syncPackages: false)"
            );
            self.set_status(|status| status.state = State::Off);
            return Ok(Choice::Newest);
        }
        let needs = Needs::of(flows);
        let mut retry = RETRY_FIRST;
        loop {
            let error = match self.catch_up().await {
                Ok(()) => return Ok(Choice::Newest),
                Err(error) if error.code() == Code::Closed => return Err(error),
                Err(error) => error,
            };
            let lacking = self.lacking(&needs).await;
            if lacking.is_empty() {
                tracing::error!(
                    "the packages of the admin could not be installed, this worker starts with what it has: {error}"
                );
                return Ok(Choice::Newest);
            }
            let needed = lacking.join(", ");
            if let Some(flows) = last_good
                && self.lacking(&Needs::of(flows)).await.is_empty()
            {
                tracing::error!(
                    "the newest flows need {needed}, which could not be installed; this worker starts with the last flows that ran here: {error}"
                );
                return Ok(Choice::LastGood);
            }
            tracing::error!(
                "the flows need {needed}, which could not be installed; trying again in {} s: {error}",
                retry.as_secs()
            );
            pause(self, retry).await?;
            retry = (retry * 2).min(RETRY_LONGEST);
        }
    }

    /// What Node-RED has to know when it loads its palette.
    pub fn at_start(&self) -> AtStart {
        lock(&self.inner.worker.at_start).clone()
    }

    /// Which of these modules of Function nodes are not installed here and come from the admin.
    ///
    /// # Errors
    /// `LocalFile`.
    pub async fn lacking_modules(&self, names: Vec<String>) -> Result<Vec<String>> {
        let off = *lock(&self.inner.worker.newest) == Some(Newest::SwitchedOff);
        if off || !self.inner.options.config.sync || names.is_empty() {
            return Ok(Vec::new());
        }
        let user_directory = self.inner.options.user_directory.clone();
        crate::blocking(move || links::lacking(&user_directory, names)).await?
    }

    /// The flows run here: if this is the end of a restart, the next worker may.
    pub async fn came_back(&self) {
        let worker = &self.inner.worker;
        if !self.inner.options.config.sync || worker.came_back.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut id = self.inner.id.clone();
        let Ok(id) = id.wait_for(Option::is_some).await.map(|id| id.clone()) else {
            return;
        };
        let id = id.unwrap_or_default();
        let file = self.permit_file();
        let token = std::fs::read_to_string(&file).ok();
        let token = token.as_deref().map(str::trim);
        let given = self.inner.permit.give_back(&id, token);
        match given.await {
            Ok(true) => tracing::info!("restarted with new packages; the next worker may restart"),
            Ok(false) => {}
            Err(error) => tracing::warn!("the permit to restart is left to expire: {error}"),
        }
        // Of no use any more, and another one is written in its place.
        let _ = std::fs::remove_file(file);
    }

    /// Compares with the store and does what follows from it.
    pub(super) async fn look_as_worker(&self) -> Result<()> {
        if !self.inner.options.config.sync {
            return Ok(());
        }
        if !self.inner.worker.loaded() {
            self.load(Vec::new(), Phase::Start).await?;
        }
        let newest = self.newest().await?;
        if lock(&self.inner.worker.follower).wants(&newest, Instant::now()) {
            self.install_or_fail(&newest, Phase::Running).await?;
        }
        self.restart_if_due().await
    }

    /// At the start: takes hold of the tree, links what is there, installs what is newer.
    async fn catch_up(&self) -> Result<()> {
        self.open_tree().await?;
        // The flows come from the disk then, and so do the packages.
        if self.inner.store.is_away() {
            return Ok(());
        }
        let newest = match self.newest().await {
            Ok(newest) => newest,
            Err(error) if error.code().is_retriable() => {
                tracing::warn!("the packages are those of this worker's disk: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let has = self.tree()?.installed().map(|installed| installed.head.id);
        match &newest {
            Newest::Revision(head) if Some(&head.id) != has.as_ref() => {}
            _ => return Ok(()),
        }
        if !lock(&self.inner.worker.follower).wants(&newest, Instant::now())
            && self.status().borrow().error.is_none()
        {
            // The store went back; an admin may know better.
            return Ok(());
        }
        self.install_or_fail(&newest, Phase::Start).await?;
        match &self.status().borrow().error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    async fn open_tree(&self) -> Result<()> {
        if lock(&self.inner.worker.tree)
            .as_ref()
            .is_some_and(Result::is_ok)
        {
            return Ok(());
        }
        let options = &self.inner.options;
        let (user_directory, folder) = (options.user_directory.clone(), options.folder.clone());
        let opened = crate::blocking(move || Tree::open(&user_directory, &folder)).await?;
        let (tree, before) = opened.inspect_err(|error| {
            *lock(&self.inner.worker.tree) = Some(Err(error.clone()));
            self.failed(error);
        })?;
        let installed = tree.installed();
        *lock(&self.inner.worker.tree) = Some(Ok(Arc::new(tree)));
        self.now_has(installed.as_ref(), before.as_ref());
        if let Some(installed) = installed {
            self.link(&installed.list).await?;
        }
        Ok(())
    }

    /// The tree holds this now, and Node-RED has not looked at it yet; `before` is what an earlier process had.
    fn now_has(&self, installed: Option<&Published>, before: Option<&Published>) {
        let mut follower = lock(&self.inner.worker.follower);
        follower.has(installed.map(|installed| installed.head.clone()));
        drop(follower);
        let disabled = |published: Option<&Published>| {
            published.map_or_else(Default::default, |published| {
                published.list.disabled.clone()
            })
        };
        let names = |published: Option<&Published>| {
            let list = published.map(|published| published.list.packages.keys());
            list.into_iter()
                .flatten()
                .map(|name| name.as_str().to_owned())
                .collect()
        };
        let mut at_start = lock(&self.inner.worker.at_start);
        let former: std::collections::BTreeSet<String> = names(before);
        at_start.forget.extend(former);
        for name in names(installed) {
            let name: String = name;
            at_start.forget.remove(&name);
        }
        let now = disabled(installed);
        let former: Vec<String> = disabled(before).difference(&now).cloned().collect();
        at_start.enable.extend(former);
        at_start.enable.retain(|id| !now.contains(id));
        at_start.disable = now;
        drop(at_start);
        self.set_status(|status| {
            status.running = installed.map(|installed| installed.head.number);
            if installed.is_some() {
                status.state = State::Current;
            }
        });
    }

    async fn newest(&self) -> Result<Newest> {
        let newest = self.inner.store.newest().await?;
        let before = lock(&self.inner.worker.newest).replace(newest.clone());
        match &newest {
            Newest::Revision(head) => self.set_status(|status| status.wanted = Some(head.number)),
            Newest::SwitchedOff if before.as_ref() != Some(&newest) => {
                tracing::warn!(
                    "the admin does not publish its packages (syncPackages: false there); this worker keeps those it has"
                );
            }
            Newest::SwitchedOff | Newest::Nothing => {}
        }
        Ok(newest)
    }

    /// Installs; a failure is shown and tried again later, and nothing is changed by it.
    async fn install_or_fail(&self, newest: &Newest, phase: Phase) -> Result<()> {
        let Newest::Revision(head) = newest else {
            return Ok(());
        };
        self.set_status(|status| status.state = State::Installing);
        match self.install(phase).await {
            Ok(()) => Ok(()),
            Err(error) if error.code() == Code::Closed => Err(error),
            Err(error) => {
                let retry = lock(&self.inner.worker.follower).failed(&head.id, Instant::now());
                let error = error.while_doing(&format!("packages revision {}", head.number));
                if phase == Phase::Running {
                    tracing::error!(
                        "{error}; what runs goes on, trying again in {} s",
                        retry.as_secs()
                    );
                }
                self.failed(&error);
                Ok(())
            }
        }
    }

    fn failed(&self, error: &Error) {
        self.set_status(|status| {
            status.state = State::Failed;
            status.error = Some(error.clone());
        });
    }

    async fn install(&self, phase: Phase) -> Result<()> {
        let tree = self.tree()?;
        let Some(published) = self.inner.store.load().await? else {
            return Ok(());
        };
        *lock(&self.inner.worker.wanted) = Some(published.list.clone());
        let installed = tree.installed();
        let began = Instant::now();
        let fresh = Published {
            head: published.head.clone(),
            list: PackageList::default(),
            lock: super::lock::Lock::default(),
        };
        let before = installed.as_ref().unwrap_or(&fresh);
        let same = before.lock == published.lock && before.list.roots() == published.list.roots();
        let needs_restart = phase == Phase::Running && self.needs_restart(before, &published);
        let finished = if same && installed.is_some() && !needs_restart {
            // Only what is enabled differs, or who published it.
            let (tree, published) = (Arc::clone(&tree), published.clone());
            crate::blocking(move || {
                tree.relabel(&published)?;
                tree.drop_next()
            })
            .await??;
            None
        } else {
            Some(self.build(&tree, &published).await?)
        };
        if needs_restart && let Some(stage) = finished {
            let tree = Arc::clone(&tree);
            crate::blocking(move || tree.leave_for_next(stage)).await??;
            lock(&self.inner.worker.follower).has(Some(published.head.clone()));
            let reason = format!(
                "packages revision {} changes what runs",
                published.head.number
            );
            tracing::info!("{reason}: this worker needs a restart");
            *lock(&self.inner.worker.restart) = Some(reason);
            self.set_status(|status| {
                status.state = State::RestartRequired;
                status.error = None;
            });
            return Ok(());
        }
        if let Some(stage) = finished {
            let (tree, published) = (Arc::clone(&tree), published.clone());
            crate::blocking(move || match phase {
                Phase::Start => {
                    tree.leave_for_next(stage)?;
                    tree.swap()
                }
                Phase::Running => {
                    tree.add(stage, &published)?;
                    tree.drop_next()
                }
            })
            .await??;
        }
        tracing::info!(
            "packages revision {} is installed ({:.1} s, {} in all)",
            published.head.number,
            began.elapsed().as_secs_f64(),
            published.list.packages.len()
        );
        self.installed(&published, installed.as_ref(), phase).await
    }

    /// Whether a revision cannot be put into a process that runs another.
    fn needs_restart(&self, before: &Published, after: &Published) -> bool {
        let loaded = lock(&self.inner.worker.at_start).disable.clone();
        let removed = |name: &PackageName| !after.list.packages.contains_key(name);
        !before.lock.is_part_of(&after.lock)
            || before.list.packages.keys().any(removed)
            || !after.list.disabled.is_subset(&loaded)
    }

    /// The tree holds this revision now.
    async fn installed(
        &self,
        published: &Published,
        before: Option<&Published>,
        phase: Phase,
    ) -> Result<()> {
        *lock(&self.inner.worker.restart) = None;
        self.link(&published.list).await?;
        self.set_status(|status| {
            status.state = State::Current;
            status.error = None;
            status.running = Some(published.head.number);
        });
        if phase == Phase::Start {
            self.now_has(Some(published), before);
            return Ok(());
        }
        lock(&self.inner.worker.follower).has(Some(published.head.clone()));
        let enable = {
            let mut at_start = lock(&self.inner.worker.at_start);
            let now = &published.list.disabled;
            let enable: Vec<String> = at_start.disable.difference(now).cloned().collect();
            at_start.disable.retain(|id| now.contains(id));
            enable
        };
        self.load(enable, Phase::Running).await
    }

    async fn link(&self, list: &PackageList) -> Result<()> {
        let (tree, list) = (self.tree()?, list.clone());
        let linked = crate::blocking(move || links::link(&tree, &list)).await?;
        let linked = linked.inspect_err(|error| self.failed(error))?;
        let notes: Vec<String> = linked.conflicts.into_values().collect();
        for note in &notes {
            tracing::warn!("{note}");
        }
        self.set_status(|status| status.notes = notes);
        Ok(())
    }

    /// Lets Node-RED load the modules that it has not loaded yet.
    async fn load(&self, enable: Vec<String>, phase: Phase) -> Result<()> {
        self.inner.worker.set_loaded();
        // Where the tree cannot be used, that has been said.
        let Ok(tree) = self.tree() else { return Ok(()) };
        let found = crate::blocking(move || {
            let installed = tree.installed()?;
            let names = installed.list.packages.iter();
            let linked = names.filter(|(name, _)| links::is_linked(&tree, name));
            let modules = tree.node_red_modules(linked.map(|(name, _)| name));
            Some(
                modules
                    .into_iter()
                    .filter_map(|name| {
                        let version = installed.list.packages.get(&name)?.version.clone();
                        Some(Module { name, version })
                    })
                    .collect::<Vec<_>>(),
            )
        })
        .await?;
        let Some(modules) = found else { return Ok(()) };
        let outcome = self
            .inner
            .jobs
            .have_done(Job::Load { modules, enable })
            .await?;
        let mut failed = outcome.failed;
        match (outcome.restart.is_empty(), phase) {
            (true, _) => {}
            // A restart would change nothing: it is just over.
            (false, Phase::Start) => failed.extend(outcome.restart),
            (false, Phase::Running) => {
                let reason = format!("another version runs of {}", outcome.restart.join(", "));
                tracing::info!("{reason}: this worker needs a restart");
                *lock(&self.inner.worker.restart) = Some(reason);
                self.set_status(|status| status.state = State::RestartRequired);
            }
        }
        for note in &failed {
            tracing::warn!("{note}");
        }
        self.set_status(|status| status.notes.extend(failed));
        Ok(())
    }

    /// Takes the permit, if this worker is to restart by itself, and restarts.
    async fn restart_if_due(&self) -> Result<()> {
        let Some(reason) = lock(&self.inner.worker.restart).clone() else {
            return Ok(());
        };
        if self.inner.options.config.restart == RestartPolicy::Manual {
            return Ok(());
        }
        let Some(id) = self.inner.id.borrow().clone() else {
            return Ok(());
        };
        let file = self.permit_file();
        let token = match std::fs::read_to_string(&file) {
            Ok(token) => token,
            Err(_) => {
                let token = uuid::Uuid::new_v4().to_string();
                // Without it the id serves.
                let _ = std::fs::write(&file, &token);
                token
            }
        };
        if !self.inner.permit.take(&id, token.trim()).await? {
            return Ok(());
        }
        tracing::info!("{reason}: this worker has the permit to restart and ends");
        self.set_status(|status| status.state = State::Restarting);
        let restarted = self.inner.jobs.have_done(Job::Restart { reason });
        restarted.await.map(|_| ())
    }

    /// The packages that the flows need and of which nothing is there.
    async fn lacking(&self, needs: &Needs) -> Vec<String> {
        let Some(list) = lock(&self.inner.worker.wanted).clone() else {
            return Vec::new();
        };
        let types = self.inner.store.types().await.unwrap_or_default();
        let modules = self.inner.options.user_directory.join("node_modules");
        let lacks =
            |name: &&PackageName| !modules.join(name.as_str()).join("package.json").exists();
        let needed = needs.among(&list, &types).into_iter();
        needed.filter(lacks).map(ToString::to_string).collect()
    }

    pub(super) fn tree(&self) -> Result<Arc<Tree>> {
        let not_open = || Error::new(Code::Internal, "the folder of the packages is not open");
        lock(&self.inner.worker.tree).clone().ok_or_else(not_open)?
    }

    fn permit_file(&self) -> PathBuf {
        self.inner.options.folder.join("permit")
    }
}
