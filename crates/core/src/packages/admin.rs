//! An admin publishes its packages, and takes over those of the store that it lacks: its disk is not the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use super::jobs::{Job, Module};
use super::list::{LeftOut, PackageList};
use super::merge::{Changes, Record, changes, disabled, leave_out_unhashed, tarballs_of, types_of};
use super::service::{Packages, State, lock};
use super::snapshot::{self, Snapshot};
use super::store::{Head, Newest, Published, Saved};
use super::tarball::Digest;
use crate::config::PackageSource;
use crate::error::{Code, Error, Result};

/// The file that says which revision the user directory of this admin stands for.
const RECORD: &str = "published.json";

/// First and longest pause before what failed is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_secs(300);

/// How often tarballs that are missing are put before it counts as a failure: others collect them meanwhile.
const ATTEMPTS: usize = 3;

/// What only Node-RED knows of its palette.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Palette {
    /// Ids of the node sets that are disabled.
    pub disabled: BTreeSet<String>,
    /// Node types by module.
    pub types: BTreeMap<String, Vec<String>>,
}

/// Whether the store has what belongs to the newest revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    There,
    Lost,
}

impl Packages {
    /// Before Node-RED loads its palette: installs what the store has and this admin's disk has lost. What
    /// fails is tried again later; the admin starts without it.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn prepare_admin(&self) -> Result<()> {
        if !self.inner.options.config.sync {
            tracing::info!("this admin does not publish its packages (syncPackages: false)");
            self.set_status(|status| status.state = State::Off);
            return Ok(());
        }
        self.sweep().await;
        self.inner.admin.dirty.store(true, Ordering::Release);
        match self.take_over().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Code::Closed => Err(error),
            Err(error) => {
                tracing::error!(
                    "the packages of the cluster could not be brought back to this admin, trying again: {error}"
                );
                self.show_failure(&error);
                Ok(())
            }
        }
    }

    /// Somebody had npm change the user directory.
    pub fn changed(&self) {
        self.inner.admin.touched.store(true, Ordering::Release);
        *lock(&self.inner.admin.retry_at) = None;
        self.look_again();
    }

    fn look_again(&self) {
        self.inner.admin.dirty.store(true, Ordering::Release);
        self.wake();
    }

    /// The palette is like this now.
    pub fn palette(&self, palette: Palette) {
        let before = lock(&self.inner.admin.palette).replace(palette.clone());
        if before != Some(palette) {
            self.look_again();
        }
    }

    pub(super) fn admin_is_waiting(&self) -> bool {
        self.inner.options.config.sync
            && (self.inner.admin.dirty.load(Ordering::Acquire)
                || lock(&self.inner.admin.retry_at).is_some())
    }

    /// Compares with the store and does what follows from it.
    pub(super) async fn look_as_admin(&self) -> Result<()> {
        if !self.inner.options.config.sync {
            if self.inner.store.switch(false).await? {
                tracing::info!(
                    "the workers are told that this admin does not publish its packages"
                );
            }
            return Ok(());
        }
        if lock(&self.inner.admin.retry_at).is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let looked = async {
            let newest = self.take_over().await?;
            let content = if self.content_was_lost(&newest).await? {
                Content::Lost
            } else {
                Content::There
            };
            let dirty = self.inner.admin.dirty.load(Ordering::Acquire);
            if dirty || content == Content::Lost || self.was_lost(&newest) {
                self.publish(&newest, content).await?;
            }
            Ok(())
        };
        let looked: Result<()> = looked.await;
        let mut failures = lock(&self.inner.admin.failures);
        match &looked {
            Ok(()) => {
                *failures = 0;
                *lock(&self.inner.admin.retry_at) = None;
                self.recovered();
            }
            Err(error) => {
                self.show_failure(error);
                if error.code() != Code::PackagesFailed {
                    return looked;
                }
                // npm is not asked again and again.
                let pause = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(*failures));
                *failures += 1;
                let pause = pause.min(RETRY_LONGEST);
                *lock(&self.inner.admin.retry_at) = Some(Instant::now() + pause);
            }
        }
        looked
    }

    fn show_failure(&self, error: &Error) {
        self.set_status(|status| {
            status.state = State::Failed;
            status.error = Some(error.clone());
        });
    }

    /// Whether the store has something else than what this admin published or took over last.
    fn was_lost(&self, newest: &Newest) -> bool {
        match newest {
            Newest::Revision(head) => head.id != self.record().id,
            Newest::Nothing
            | Newest::SwitchedOff
            | Newest::Unreadable(_)
            | Newest::Refused { .. } => true,
        }
    }

    /// Whether the newest revision is this admin's, and what belongs to it is gone.
    async fn content_was_lost(&self, newest: &Newest) -> Result<bool> {
        match newest {
            Newest::Revision(head) if head.id == self.record().id => {
                Ok(self.inner.store.content_id().await?.as_ref() != Some(&head.id))
            }
            _ => Ok(false),
        }
    }

    /// Takes over what another admin published, or this one before it lost its disk.
    async fn take_over(&self) -> Result<Newest> {
        let newest = self.inner.store.newest().await?;
        let record = self.record();
        if matches!(newest, Newest::Unreadable(_))
            && !self.inner.admin.dirty.load(Ordering::Acquire)
        {
            return Err(self.inner.store.unreadable());
        }
        if let Newest::Refused { error, .. } = &newest {
            self.may_replace_refused(&record.id, error)?;
        }
        let Newest::Revision(head) = &newest else {
            return Ok(newest);
        };
        if head.id == record.id {
            self.inner.store.sign_again(head).await?;
        }
        if head.id == record.id || head.number < record.number {
            return Ok(newest);
        }
        let published = match self.inner.store.load().await {
            Ok(Some(published)) => published,
            Ok(None) => return Ok(Newest::Nothing),
            // Only a change that somebody makes here may take its place.
            Err(error)
                if matches!(error.code(), Code::ValueDamaged | Code::ValueTooLarge)
                    && self.inner.admin.dirty.load(Ordering::Acquire) =>
            {
                tracing::error!(
                    "packages revision {} cannot be read and is replaced by what this admin has: {error}",
                    head.number
                );
                return Ok(newest);
            }
            Err(error) => return Err(error),
        };
        let mine = self.snapshot().await?;
        let changes = changes(
            &record.packages,
            &published.list.packages,
            &mine.list.packages,
        );
        let newest = Newest::Revision(published.head.clone());
        if changes != Changes::default() {
            self.set_status(|status| status.state = State::Installing);
            self.change(&changes, &published)
                .await
                .map_err(|error| error.while_doing("taking over the packages of the cluster"))?;
            self.inner.admin.dirty.store(true, Ordering::Release);
            tracing::info!(
                "packages revision {} of the cluster is taken over ({} installed, {} removed)",
                published.head.number,
                changes.install.len(),
                changes.remove.len()
            );
        }
        self.write_record(&published.head, &published.list, true)?;
        self.set_status(|status| {
            status.state = State::Current;
            status.error = None;
            status.wanted = Some(published.head.number);
            status.running = Some(published.head.number);
        });
        if *self.inner.booted.borrow() {
            self.load_here(&published.list, &record.disabled).await?;
        }
        Ok(newest)
    }

    /// Lets the Node-RED that runs here load what was installed under it.
    async fn load_here(&self, list: &PackageList, before: &BTreeSet<String>) -> Result<()> {
        let modules = list.packages.iter().map(|(name, package)| Module {
            name: name.clone(),
            version: package.version.clone(),
        });
        let job = Job::Load {
            modules: modules.collect(),
            enable: before.difference(&list.disabled).cloned().collect(),
            disable: list.disabled.difference(before).cloned().collect(),
        };
        let outcome = self.inner.jobs.have_done(job).await?;
        if !outcome.restart.is_empty() {
            let text = format!(
                "Restart this Node-RED: another admin changed {}",
                outcome.restart.join(", ")
            );
            self.inner.jobs.have_done(Job::Tell { text }).await?;
        }
        Ok(())
    }

    /// Publishes what is in the user directory, unless the store has just that.
    async fn publish(&self, newest: &Newest, content: Content) -> Result<()> {
        let Some(palette) = lock(&self.inner.admin.palette).clone() else {
            // Node-RED has not told yet what is disabled.
            return Ok(());
        };
        // Before it is read, so that what changes meanwhile is looked at again.
        self.inner.admin.dirty.store(false, Ordering::Release);
        let published = self.publish_now(newest, &palette, content).await;
        if published.is_err() {
            self.inner.admin.dirty.store(true, Ordering::Release);
        }
        published
    }

    async fn publish_now(
        &self,
        newest: &Newest,
        palette: &Palette,
        content: Content,
    ) -> Result<()> {
        let mut snapshot = self.snapshot().await?;
        let record = self.record();
        snapshot.list.disabled = disabled(palette, &record);
        if self.inner.options.config.source == PackageSource::Store {
            leave_out_unhashed(&mut snapshot);
            snapshot.list.packed = true;
        }
        self.tell_left_out(&snapshot.list.left_out).await?;
        let types = types_of(palette, &snapshot.list);
        if self.inner.store.types().await.ok().as_ref() != Some(&types) {
            self.inner.store.save_types(&types).await?;
        }
        let (list, lock_file) = (snapshot.list.clone(), snapshot.lock.clone());
        let hash = crate::blocking(move || list.hash(&lock_file)).await??;
        let touched = self.inner.admin.touched.load(Ordering::Acquire);
        if let Newest::Revision(head) = newest
            && head.id == record.id
            && content == Content::There
        {
            // What npm fitted in here in its own way is the same list still, until somebody changes it here.
            let same = snapshot.list.packages == record.packages
                && snapshot.list.disabled == record.disabled;
            if head.hash == hash || (record.taken_over && same && !touched) {
                self.now_published(head);
                return Ok(());
            }
        }
        let (seen, stored) = match newest {
            Newest::Revision(head) => (Some(head.id.clone()), head.number),
            // Switched off, the revision before stands there still.
            Newest::SwitchedOff => {
                self.inner.store.switch(true).await?;
                self.wake();
                self.inner.admin.dirty.store(true, Ordering::Release);
                return Ok(());
            }
            Newest::Nothing => (None, 0),
            Newest::Refused { id, error } => {
                if *id == record.id && error.code() == Code::SignatureMissing {
                    tracing::info!("the packages of this admin are signed from now on");
                } else {
                    tracing::error!("{error}; it is replaced by what this admin has");
                }
                (Some(id.clone()), 0)
            }
            Newest::Unreadable(id) => {
                tracing::error!(
                    "{}; it is replaced by what this admin has",
                    self.inner.store.unreadable()
                );
                (Some(id.clone()), 0)
            }
        };
        let fresh = Head {
            number: record.number.max(stored).saturating_add(1),
            id: uuid::Uuid::new_v4().to_string(),
            hash,
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            instance: self.inner.options.instance.clone(),
        };
        let head = match newest {
            // Put back as it was, it is no news for anybody.
            Newest::Revision(head) if content == Content::Lost && head.hash == fresh.hash => {
                head.clone()
            }
            _ => fresh,
        };
        let Snapshot {
            list,
            lock,
            uploads,
        } = snapshot;
        let published = Published { head, list, lock };
        if self.save(seen.as_deref(), &published, &uploads).await? == Saved::Mismatch {
            self.inner.admin.dirty.store(true, Ordering::Release);
            self.wake();
            return Ok(());
        }
        self.inner.admin.touched.store(false, Ordering::Release);
        self.write_record(&published.head, &published.list, false)?;
        tracing::info!(
            "packages revision {} is published ({} in all, {} of them uploads)",
            published.head.number,
            published.list.packages.len(),
            uploads.len()
        );
        self.now_published(&published.head);
        Ok(())
    }

    async fn save(
        &self,
        seen: Option<&str>,
        published: &Published,
        uploads: &BTreeMap<Digest, PathBuf>,
    ) -> Result<Saved> {
        let mut needed: BTreeSet<Digest> = uploads.keys().copied().collect();
        if published.list.packed {
            needed.extend(tarballs_of(&published.lock));
        }
        for _ in 0..ATTEMPTS {
            let missing = match self.inner.store.save(seen, published, &needed).await? {
                Saved::Missing(missing) => missing,
                saved => return Ok(saved),
            };
            let (uploaded, others): (Vec<_>, Vec<_>) = missing
                .into_iter()
                .partition(|digest| uploads.contains_key(digest));
            for digest in uploaded {
                let file = uploads[&digest].clone();
                let bytes = crate::blocking(move || snapshot::read_upload(&file, digest)).await??;
                self.inner.store.put(digest, &bytes).await?;
            }
            self.pack(&published.lock, others.into_iter().collect())
                .await?;
        }
        Err(Error::new(
            Code::StoreNotReady,
            "tarballs that were put into the store are gone again; does somebody delete them?",
        ))
    }

    fn now_published(&self, head: &Head) {
        let number = Some(head.number);
        self.set_status(|status| {
            status.state = State::Current;
            status.error = None;
            status.wanted = number;
            status.running = number;
        });
    }

    /// Says what cannot follow, in the log and in the editor; once as long as it stays the same.
    async fn tell_left_out(&self, left_out: &[LeftOut]) -> Result<()> {
        let notes: Vec<String> = left_out
            .iter()
            .map(|left| format!("{} {}", left.name, left.reason))
            .collect();
        let before = std::mem::replace(&mut *lock(&self.inner.admin.told), notes.clone());
        let news: Vec<&String> = notes.iter().filter(|note| !before.contains(note)).collect();
        for note in &news {
            tracing::warn!("a package does not follow to the workers: {note}");
        }
        self.set_status(|status| status.notes = notes.clone());
        if news.is_empty() {
            return Ok(());
        }
        let lines: Vec<&str> = news.iter().map(|note| note.as_str()).collect();
        let text = format!(
            "These packages do not follow to the workers:\n{}",
            lines.join("\n")
        );
        self.inner
            .jobs
            .have_done(Job::Tell { text })
            .await
            .map(|_| ())
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        let user_directory = self.inner.options.user_directory.clone();
        crate::blocking(move || snapshot::read(&user_directory)).await?
    }

    fn record(&self) -> Record {
        let text = fs::read(self.record_file()).unwrap_or_default();
        let record: Record = serde_json::from_slice(&text).unwrap_or_default();
        if record.key_prefix == self.inner.options.key_prefix {
            record
        } else {
            Record::default()
        }
    }

    fn write_record(&self, head: &Head, list: &PackageList, taken_over: bool) -> Result<()> {
        let record = Record {
            key_prefix: self.inner.options.key_prefix.clone(),
            disabled: list.disabled.clone(),
            taken_over,
            number: head.number,
            id: head.id.clone(),
            packages: list.packages.clone(),
        };
        let file = self.record_file();
        let written = || -> std::io::Result<()> {
            fs::create_dir_all(&self.inner.options.folder)?;
            let temporary = file.with_extension("new");
            fs::write(&temporary, serde_json::to_vec(&record)?)?;
            fs::rename(&temporary, &file)
        };
        written().map_err(|error| super::tree::local(&file, &error))
    }

    fn record_file(&self) -> PathBuf {
        self.inner.options.folder.join(RECORD)
    }

    /// Removes what an earlier process left half-done.
    async fn sweep(&self) {
        let folder = self.inner.options.folder.clone();
        // What cannot be removed stays until the next start.
        let _ = crate::blocking(move || super::tree::sweep(&folder)).await;
    }
}
