//! A worker follows the packages of the admin.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::jobs::{Job, Module};
use super::list::PackageList;
use super::name::PackageName;
use super::needs::Needs;
use super::service::{AtStart, Packages, State, lock};
use super::store::{Newest, Published};
use super::tree::{Opening, Tree, links};
use crate::error::{Code, Error, Result};

/// Which flows a worker starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The newest.
    Newest,
    /// The last ones that ran here: the newest need packages that cannot be installed.
    LastGood,
    /// None yet: they need packages that cannot be installed.
    TryAgain,
}

/// The flows that a worker is about to start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starting<'text> {
    /// Those of the store.
    OfStore(&'text str),
    /// Those of its disk, or none.
    Kept(&'text str),
}

impl<'text> Starting<'text> {
    fn text(self) -> &'text str {
        match self {
            Self::OfStore(text) | Self::Kept(text) => text,
        }
    }

    fn needs_store(self) -> bool {
        matches!(self, Self::OfStore(_))
    }
}

/// Whether Node-RED has loaded packages of the tree already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Start,
    Running,
}

impl Packages {
    /// Before Node-RED loads its palette: installs what the admin has. Where that fails, the flows decide: if
    /// they need what is missing, it has to be tried again, unless the `last_good` ones need nothing of it.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn prepare_worker(
        &self,
        flows: Starting<'_>,
        last_good: Option<&str>,
    ) -> Result<Choice> {
        if !self.inner.options.config.sync {
            if self.status().borrow().state != State::Off {
                tracing::info!(
                    "this worker does not follow the admin's packages (syncPackages: false)"
                );
            }
            self.set_status(|status| status.state = State::Off);
            return Ok(Choice::Newest);
        }
        let error = match self.catch_up(flows.needs_store()).await {
            Ok(()) => return Ok(Choice::Newest),
            Err(error) if error.code() == Code::Closed => return Err(error),
            Err(error) => error,
        };
        let lacking = match self.lacking(flows.text()).await {
            Ok(lacking) => lacking,
            // Not knowing what is lacking is no reason to start without it.
            Err(unknown) => {
                tracing::warn!("what the flows need of packages is not known yet: {unknown}");
                return Ok(Choice::TryAgain);
            }
        };
        if lacking.is_empty() {
            tracing::error!(
                "the packages of the admin could not be installed, this worker starts with what it has: {error}"
            );
            return Ok(Choice::Newest);
        }
        let needed = lacking.join(", ");
        if let Some(flows) = last_good
            && self
                .lacking(flows)
                .await
                .is_ok_and(|lacking| lacking.is_empty())
        {
            tracing::error!(
                "the newest flows need {needed}, which could not be installed; this worker starts with the last flows that ran here: {error}"
            );
            return Ok(Choice::LastGood);
        }
        tracing::error!("the flows need {needed}, which could not be installed: {error}");
        Ok(Choice::TryAgain)
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

    /// Compares with the store and does what follows from it.
    pub(super) async fn look_as_worker(&self) -> Result<()> {
        if !self.inner.options.config.sync {
            return Ok(());
        }
        self.link_again().await?;
        if !self.inner.worker.loaded() {
            self.load(Vec::new(), Phase::Start).await?;
        }
        let newest = self.newest().await?;
        if lock(&self.inner.worker.follower).wants(&newest, Instant::now()) {
            self.install_or_fail(&newest, Phase::Running).await?;
        } else if lock(&self.inner.worker.follower).is_at(&newest) {
            self.recovered();
        }
        self.restart_if_due().await
    }

    /// At the start: takes hold of the tree, links what is there, installs what is newer.
    async fn catch_up(&self, needs_store: bool) -> Result<()> {
        self.open_tree(Opening::AtStart).await?;
        self.link_again().await?;
        // The flows come from the disk then, and so do the packages.
        if !needs_store && self.inner.store.is_away() {
            return Ok(());
        }
        let newest = match self.newest().await {
            Ok(newest) => newest,
            Err(error) if !needs_store && error.code().is_retriable() => {
                tracing::warn!("the packages are those of this worker's disk: {error}");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let wants = lock(&self.inner.worker.follower).wants(&newest, Instant::now());
        // What failed a moment ago is tried again here: the flows wait for it.
        let failed = self.status().borrow().error.is_some();
        if !wants && !failed {
            return Ok(());
        }
        self.install_or_fail(&newest, Phase::Start).await?;
        match &self.status().borrow().error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    async fn open_tree(&self, opening: Opening) -> Result<Arc<Tree>> {
        if let Some(Ok(tree)) = &*lock(&self.inner.worker.tree) {
            return Ok(Arc::clone(tree));
        }
        let options = &self.inner.options;
        let (user_directory, folder) = (options.user_directory.clone(), options.folder.clone());
        let key_prefix = options.key_prefix.clone();
        let opened = crate::blocking(move || {
            let (tree, before) = Tree::open(&user_directory, &folder, opening)?;
            let installed = tree.installed();
            let ours = tree.is_of(&key_prefix);
            Ok::<_, Error>((tree, before, installed, ours))
        });
        let (tree, before, installed, ours) = opened.await?.inspect_err(|error| {
            *lock(&self.inner.worker.tree) = Some(Err(error.clone()));
            self.failed(error);
        })?;
        let tree = Arc::new(tree);
        *lock(&self.inner.worker.tree) = Some(Ok(Arc::clone(&tree)));
        self.now_has(installed.as_ref(), before.as_ref());
        if !ours {
            // Numbers of another cluster say nothing about this one's.
            lock(&self.inner.worker.follower).has(None);
        }
        self.inner
            .worker
            .unlinked
            .store(installed.is_some(), Ordering::Release);
        Ok(tree)
    }

    /// Makes the links, where that has not been done or failed.
    async fn link_again(&self) -> Result<()> {
        if !self.inner.worker.unlinked.load(Ordering::Acquire) {
            return Ok(());
        }
        let tree = self.tree().await?;
        let installed = crate::blocking(move || tree.installed()).await?;
        match installed {
            Some(installed) => self.link(&installed.list).await,
            None => Ok(()),
        }
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
        let newest = self.newer_only(self.inner.store.newest().await?)?;
        let before = lock(&self.inner.worker.newest).replace(newest.clone());
        match &newest {
            Newest::Revision(head) => self.set_status(|status| status.wanted = Some(head.number)),
            Newest::SwitchedOff if before.as_ref() != Some(&newest) => {
                tracing::warn!(
                    "the admin does not publish its packages (syncPackages: false there); this worker keeps those it has"
                );
            }
            Newest::Unreadable(_) => return Err(self.inner.store.unreadable()),
            Newest::SwitchedOff | Newest::Nothing | Newest::Refused { .. } => {}
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
        let tree = self.tree().await?;
        let Some(published) = self.inner.store.load().await? else {
            // Gone, or switched off, since it was looked at.
            self.set_status(|status| status.state = State::Waiting);
            return Ok(());
        };
        *lock(&self.inner.worker.wanted) = Some(published.list.clone());
        let installed = {
            let tree = Arc::clone(&tree);
            crate::blocking(move || tree.installed()).await?
        };
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
            self.note_believed(&published.head);
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
        let (tree, key_prefix) = (self.tree().await?, self.inner.options.key_prefix.clone());
        crate::blocking(move || tree.mark(&key_prefix)).await??;
        self.note_believed(&published.head);
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
        self.inner.worker.unlinked.store(true, Ordering::Release);
        let (tree, list) = (self.tree().await?, list.clone());
        let linked = crate::blocking(move || links::link(&tree, &list)).await?;
        let linked = linked.inspect_err(|error| self.failed(error))?;
        self.inner.worker.unlinked.store(false, Ordering::Release);
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
        let Ok(tree) = self.tree().await else {
            return Ok(());
        };
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
            .have_done(Job::Load {
                modules,
                enable,
                disable: Vec::new(),
            })
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

    /// The packages that the flows need and of which nothing is there.
    async fn lacking(&self, flows: &str) -> Result<Vec<String>> {
        let wanted = lock(&self.inner.worker.wanted).clone();
        let list = match wanted {
            Some(list) => list,
            // It failed before the list was read.
            None => match self.inner.store.load().await {
                Ok(Some(published)) => published.list,
                Ok(None) => return Ok(Vec::new()),
                Err(error) if error.code().is_retriable() => return Err(error),
                // One that is damaged tells nothing, and has been reported.
                Err(_) => return Ok(Vec::new()),
            },
        };
        let types = match self.inner.store.types().await {
            Err(error) if error.code().is_retriable() => return Err(error),
            types => types.unwrap_or_default(),
        };
        let flows = flows.to_owned();
        let modules = self.inner.options.user_directory.join("node_modules");
        crate::blocking(move || {
            let needs = Needs::of(&flows);
            let lacks =
                |name: &&PackageName| !modules.join(name.as_str()).join("package.json").exists();
            let needed = needs.among(&list, &types).into_iter();
            needed.filter(lacks).map(ToString::to_string).collect()
        })
        .await
    }

    /// The tree; where it could not be opened at the start, that is tried again, without what an earlier process
    /// left for that start.
    async fn tree(&self) -> Result<Arc<Tree>> {
        self.open_tree(Opening::Later).await
    }
}
