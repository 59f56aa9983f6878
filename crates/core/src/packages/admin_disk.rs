//! An admin's user directory is changed as Node-RED's own palette would: by npm, in place, so that the palette
//! goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::list::Package;
use super::lock::{Lock, PackagePath};
use super::merge::Changes;
use super::name::PackageName;
use super::restore;
use super::service::Packages;
use super::store::Published;
use super::tarball::Digest;
use super::tree::local;
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
        if restore::is_fresh(&self.inner.options.user_directory)? {
            return self.restore(published, &tarballs).await;
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

    /// Gives a user directory that has nothing what was published.
    async fn restore(
        &self,
        published: &Published,
        tarballs: &BTreeMap<PackageName, String>,
    ) -> Result<()> {
        let options = &self.inner.options;
        let (stage, user_directory) = (self.stage_folder(), options.user_directory.clone());
        let lock = self.lock_of_admin(published, tarballs);
        let dependencies = specifications(published, tarballs);
        let overrides = published.list.overrides.clone();
        let built = async {
            let (from, to) = (user_directory.clone(), stage.clone());
            crate::blocking(move || restore::prepare(&from, &to, &dependencies, &overrides, &lock))
                .await??;
            self.npm_in(&stage, "install", Vec::new()).await?;
            let (from, to) = (stage.clone(), user_directory);
            crate::blocking(move || restore::finish(&from, &to)).await?
        };
        let built: Result<()> = built.await;
        remove_stage(stage).await;
        built
    }

    fn stage_folder(&self) -> PathBuf {
        let name = format!("stage-{}", uuid::Uuid::new_v4().simple());
        self.inner.options.folder.join(name)
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
        crate::blocking(move || {
            fs::create_dir_all(&folder)
                .and_then(|()| fs::write(&path, bytes))
                .map_err(|error| local(&path, &error))
        })
        .await??;
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
        let user_directory = self.inner.options.user_directory.clone();
        self.npm_in(&user_directory, command, words).await
    }

    async fn npm_in(&self, folder: &Path, command: &str, words: Vec<String>) -> Result<()> {
        let mut more: Vec<String> = SAVE.iter().map(|&word| word.to_owned()).collect();
        if self.inner.options.config.scripts == InstallScripts::Ignore {
            more.push("--ignore-scripts".to_owned());
        }
        if !words.is_empty() {
            more.push("--".to_owned());
            more.extend(words);
        }
        self.inner.options.npm.run(folder, &[command], &more).await
    }

    /// Puts the tarballs of these packages into the store, as the registry has them.
    pub(super) async fn pack(&self, lock: &Lock, mut wanted: BTreeSet<Digest>) -> Result<()> {
        let mut rest = BTreeSet::new();
        for (path, entry) in lock.iter() {
            if entry
                .digest()
                .is_some_and(|digest| wanted.contains(&digest))
            {
                let name = entry.name.as_deref().unwrap_or(path.name());
                rest.insert(format!("{name}@{}", entry.version));
            }
        }
        while !rest.is_empty() {
            let chunk = take_chunk(&mut rest);
            let folder = self.stage_folder();
            let packed = self.pack_some(&chunk, &folder, &mut wanted).await;
            remove_stage(folder).await;
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
        folder: &Path,
        wanted: &mut BTreeSet<Digest>,
    ) -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| local(folder, &error))?;
        let mut more = vec![
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

/// Removes a folder that npm worked in; what stays of it is removed at the next start.
async fn remove_stage(folder: PathBuf) {
    let _ = crate::blocking(move || fs::remove_dir_all(folder)).await;
}

/// The next specifications for one run of npm, of which no two make a file of the same name.
fn take_chunk(rest: &mut BTreeSet<String>) -> Vec<String> {
    let mut files = BTreeSet::new();
    let file = |specification: &str| specification.trim_start_matches('@').replace('/', "-");
    let chunk: Vec<String> = rest
        .iter()
        .filter(|specification| files.insert(file(specification)))
        .take(CHUNK)
        .cloned()
        .collect();
    for specification in &chunk {
        rest.remove(specification);
    }
    chunk
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_npm_gives_the_same_file_are_packed_apart() {
        let mut rest = BTreeSet::from(["@a/b@1.0.0", "a-b@1.0.0", "c@1.0.0"].map(str::to_owned));
        assert_eq!(take_chunk(&mut rest), ["@a/b@1.0.0", "c@1.0.0"]);
        assert_eq!(take_chunk(&mut rest), ["a-b@1.0.0"]);
        assert!(rest.is_empty());
    }
}
