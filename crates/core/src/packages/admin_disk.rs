//! An admin's user directory is changed as Node-RED's own palette would: by npm, in place, so that the palette
//! goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::admin::{Changes, is_fresh};
use super::list::Package;
use super::lock::{Lock, PackagePath};
use super::name::PackageName;
use super::service::Packages;
use super::snapshot::dependencies;
use super::store::Published;
use super::tarball::Digest;
use super::tree::{links, local};
use crate::config::{InstallScripts, PackageSource};
use crate::error::{Code, Error, Result};

/// Tarballs that one run of npm fetches: a command line has its limits.
const CHUNK: usize = 50;

/// What Node-RED's palette tells npm.
const SAVE: &[&str] = &["--save", "--save-prefix=~"];

impl Packages {
    /// Installs and removes. A user directory that has nothing yet gets exactly what was published; one that has
    /// other packages gets the versions, and npm fits them in.
    pub(super) async fn change(&self, changes: &Changes, published: &Published) -> Result<()> {
        let user_directory = &self.inner.options.user_directory;
        let mut tarballs = BTreeMap::new();
        for (name, package) in &changes.install {
            if let Some(digest) = self.tarball_to_use(name, package, &published.lock)
                && (package.upload.is_some() || published.list.packed)
            {
                tarballs.insert(name.clone(), self.keep_upload(name, package, digest).await?);
            }
        }
        if !changes.remove.is_empty() {
            let names = changes.remove.iter().map(ToString::to_string);
            self.npm_here("uninstall", names.collect()).await?;
        }
        if changes.install.is_empty() {
            return Ok(());
        }
        if is_fresh(user_directory, &dependencies(user_directory)?) {
            let lock = self.lock_of_admin(published, &tarballs);
            links::write_fresh(user_directory, &specifications(published, &tarballs), &lock)?;
            return self.npm_here("install", Vec::new()).await;
        }
        let specifications =
            changes
                .install
                .iter()
                .map(|(name, package)| match tarballs.get(name) {
                    Some(file) => file.clone(),
                    None => format!("{name}@{}", package.version),
                });
        self.npm_here("install", specifications.collect()).await
    }

    /// The tarball of a package that comes from the store and not from the registry.
    fn tarball_to_use(&self, name: &PackageName, package: &Package, lock: &Lock) -> Option<Digest> {
        let from_store = self.inner.options.config.source == PackageSource::Store;
        package.digest().or_else(|| {
            let entry = lock.get(&PackagePath::top(name)).filter(|_| from_store)?;
            entry.digest()
        })
    }

    /// Writes a tarball where Node-RED keeps uploads; returns how npm is told.
    async fn keep_upload(
        &self,
        name: &PackageName,
        package: &Package,
        digest: Digest,
    ) -> Result<String> {
        let bytes = self.inner.store.tarball(digest).await?.ok_or_else(|| {
            Error::new(
                Code::PackagesFailed,
                format!(
                    "the tarball of {name} {} is not in the store; upload it again",
                    package.version
                ),
            )
        })?;
        // As Node-RED names it.
        let plain = name.as_str().trim_start_matches('@').replace('/', "-");
        let file = format!("{plain}-{}.tgz", package.version);
        let folder = self.inner.options.user_directory.join("nodes");
        let path = folder.join(&file);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|error| local(&path, &error))?;
        Ok(format!("file:nodes/{file}"))
    }

    /// The lock file for a fresh user directory: uploads where they were put.
    fn lock_of_admin(
        &self,
        published: &Published,
        tarballs: &BTreeMap<PackageName, String>,
    ) -> Lock {
        let mut lock = published.lock.clone();
        for (name, file) in tarballs {
            if let Some(entry) = lock.get_mut(&PackagePath::top(name)) {
                entry.resolved = Some(file.clone());
            }
        }
        lock
    }

    async fn npm_here(&self, command: &str, words: Vec<String>) -> Result<()> {
        let mut more: Vec<String> = SAVE.iter().map(|&word| word.to_owned()).collect();
        if self.inner.options.config.scripts == InstallScripts::Ignore {
            more.push("--ignore-scripts".to_owned());
        }
        if !words.is_empty() {
            more.push("--".to_owned());
            more.extend(words);
        }
        let options = &self.inner.options;
        options
            .npm
            .run(&options.user_directory, &[command], &more)
            .await
            .map(|_| ())
    }

    /// Puts the tarballs of these packages into the store, as the registry has them.
    pub(super) async fn pack(&self, lock: &Lock, mut wanted: BTreeSet<Digest>) -> Result<()> {
        let mut specifications = Vec::new();
        for (path, entry) in lock.iter() {
            if let Some(digest) = entry.digest()
                && wanted.contains(&digest)
            {
                let name = entry.name.as_deref().unwrap_or(path.name());
                specifications.push(format!("{name}@{}", entry.version));
            }
        }
        specifications.sort_unstable();
        specifications.dedup();
        for chunk in specifications.chunks(CHUNK) {
            let folder = self
                .inner
                .options
                .folder
                .join(format!("stage-{}", uuid::Uuid::new_v4()));
            let packed = self.pack_some(chunk, &folder, &mut wanted).await;
            // What stays is removed at the next start.
            let _ = fs::remove_dir_all(&folder);
            packed?;
        }
        match wanted.first() {
            None => Ok(()),
            Some(digest) => Err(Error::new(
                Code::PackagesFailed,
                format!(
                    "the registry gives no tarball with the SHA-512 {digest}, which the lock file of this admin names"
                ),
            )),
        }
    }

    async fn pack_some(
        &self,
        specifications: &[String],
        folder: &std::path::Path,
        wanted: &mut BTreeSet<Digest>,
    ) -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| local(folder, &error))?;
        let mut more = vec![
            "--prefer-offline".to_owned(),
            format!("--pack-destination={}", folder.display()),
            "--".to_owned(),
        ];
        more.extend(specifications.iter().cloned());
        let options = &self.inner.options;
        options
            .npm
            .run(&options.user_directory, &["pack"], &more)
            .await?;
        let entries = fs::read_dir(folder).map_err(|error| local(folder, &error))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let read = crate::blocking(move || {
                fs::read(&path)
                    .map(|bytes| (Digest::of(&bytes), bytes))
                    .map_err(|error| local(&path, &error))
            });
            let (digest, bytes) = read.await??;
            if wanted.remove(&digest) {
                self.inner.store.put(digest, &bytes).await?;
            }
        }
        Ok(())
    }
}

/// What a fresh package.json says: as Node-RED's palette has npm write it.
fn specifications(
    published: &Published,
    tarballs: &BTreeMap<PackageName, String>,
) -> BTreeMap<PackageName, String> {
    let specification = |(name, package): (&PackageName, &Package)| {
        let written = match tarballs.get(name) {
            Some(file) => file.clone(),
            None => format!("~{}", package.version),
        };
        (name.clone(), written)
    };
    published.list.packages.iter().map(specification).collect()
}
