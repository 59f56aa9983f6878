//! A tree is built: tarballs from the store, npm, and a look at what it did.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::lock::Lock;
use super::service::Packages;
use super::store::Published;
use super::tarball::Digest;
use super::tree::{Stage, Tree};
use crate::config::{InstallScripts, PackageSource};
use crate::error::{Code, Error, Result};

impl Packages {
    /// Builds the tree of a revision aside. Whatever fails, nothing of it stays.
    pub(super) async fn build(&self, tree: &Arc<Tree>, published: &Published) -> Result<Stage> {
        let lock = self.lock_for_npm(published)?;
        let stage = {
            let (tree, published, lock) = (Arc::clone(tree), published.clone(), lock.clone());
            crate::blocking(move || tree.begin(&published, &lock)).await??
        };
        let built = async {
            self.fetch(&stage, &lock).await?;
            self.install_exactly(&stage, published, &lock).await
        };
        match built.await {
            Ok(()) => Ok(stage),
            Err(error) => {
                crate::blocking(move || stage.discard()).await?;
                Err(error)
            }
        }
    }

    /// The lock file with the places of all tarballs that come from the store.
    fn lock_for_npm(&self, published: &Published) -> Result<Lock> {
        let mut lock = published.lock.clone();
        if self.inner.options.config.source == PackageSource::Registry {
            return Ok(lock);
        }
        if !published.list.packed {
            return Err(Error::new(
                Code::PackagesFailed,
                "this worker takes packages from the store (packageSource: 'store') and the admin puts none there; set packageSource to 'store' on the admin too",
            ));
        }
        for (_, entry) in lock.iter_mut().filter(|(_, entry)| !entry.in_bundle) {
            entry.resolved = entry.digest().map(|digest| digest.as_source());
        }
        Ok(lock)
    }

    /// Brings the tarballs that the lock file names and that are not there yet.
    async fn fetch(&self, stage: &Stage, lock: &Lock) -> Result<()> {
        let named = lock
            .iter()
            .filter_map(|(_, entry)| entry.resolved.as_deref());
        let digests: BTreeSet<Digest> = named.filter_map(Digest::of_source).collect();
        for digest in digests {
            if stage.has_tarball(digest) {
                continue;
            }
            let bytes = self.inner.store.tarball(digest).await?.ok_or_else(|| {
                Error::new(
                    Code::PackagesFailed,
                    format!("the tarball {digest} is not in the store; a newer revision of the packages may have replaced it"),
                )
            })?;
            let stage = stage.clone();
            crate::blocking(move || stage.put_tarball(digest, &bytes)).await??;
        }
        Ok(())
    }

    /// Lets npm build the tree, and checks it.
    async fn install_exactly(
        &self,
        stage: &Stage,
        published: &Published,
        lock: &Lock,
    ) -> Result<()> {
        let finish = {
            let (stage, published) = (stage.clone(), published.clone());
            move || stage.finish(&published)
        };
        if lock.is_empty() {
            // Nothing is built from nothing, see `Tree::begin`.
            return crate::blocking(finish).await?;
        }
        let installed = self.npm_install(stage, &[]).await;
        // Peers that contradict each other are the admin's choice (npm's legacy-peer-deps): what is locked is
        // exact all the same, and the check below says so.
        let again = match &installed {
            Ok(()) => {
                let (stage, lock) = (stage.clone(), published.lock.clone());
                crate::blocking(move || stage.drift(&lock))
                    .await??
                    .is_some()
            }
            Err(error) => error.message().contains("ERESOLVE"),
        };
        if again {
            stage.reset(published, lock)?;
            self.npm_install(stage, &["--legacy-peer-deps"]).await?;
        } else {
            installed?;
        }
        crate::blocking(finish).await?
    }

    async fn npm_install(&self, stage: &Stage, more: &[&str]) -> Result<()> {
        let config = &self.inner.options.config;
        let mut more: Vec<String> = more.iter().map(|&word| word.to_owned()).collect();
        if config.scripts == InstallScripts::Ignore {
            more.push("--ignore-scripts".to_owned());
        }
        if config.source == PackageSource::Store {
            more.push("--offline".to_owned());
        }
        let npm = &self.inner.options.npm;
        npm.run(stage.folder(), &["install"], &more).await?;
        Ok(())
    }
}
