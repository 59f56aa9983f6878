//! A worker restarts when it has the permit, and gives it back when its flows run again.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::jobs::Job;
use super::service::{Packages, State, lock};
use crate::config::RestartPolicy;
use crate::error::Result;

impl Packages {
    /// The flows run here: if this is the end of a restart, the next worker may.
    pub async fn came_back(&self) {
        let worker = &self.inner.worker;
        if !self.inner.options.config.sync || worker.came_back.swap(true, Ordering::AcqRel) {
            return;
        }
        let token = self.token();
        let place = &self.inner.options.place;
        match self.inner.permit.give_back(place, token.as_deref()).await {
            Ok(true) => tracing::info!("restarted with new packages; the next worker may restart"),
            Ok(false) => {}
            Err(error) => tracing::warn!("the permit to restart is left to expire: {error}"),
        }
        // Of no use any more, and another one is written in its place.
        let _ = fs::remove_file(self.permit_file());
    }

    /// Takes the permit, if this worker is to restart by itself, and restarts.
    pub(super) async fn restart_if_due(&self) -> Result<()> {
        let Some(reason) = lock(&self.inner.worker.restart).clone() else {
            return Ok(());
        };
        if self.inner.options.config.restart == RestartPolicy::Manual {
            return Ok(());
        }
        // For people: who it is that restarts.
        let id = self.inner.id.borrow().clone().unwrap_or_default();
        let token = self.token().unwrap_or_else(|| {
            let token = uuid::Uuid::new_v4().to_string();
            // Without it the place serves.
            let temporary = self.permit_file().with_extension("new");
            let _ = fs::write(&temporary, &token)
                .and_then(|()| fs::rename(&temporary, self.permit_file()));
            token
        });
        let place = &self.inner.options.place;
        if !self.inner.permit.take(&id, place, &token).await? {
            return Ok(());
        }
        tracing::info!("{reason}: this worker has the permit to restart and ends");
        self.set_status(|status| status.state = State::Restarting);
        let restarted = self.inner.jobs.have_done(Job::Restart { reason });
        restarted.await.map(|_| ())
    }

    /// The token of the grant, as an earlier process or this one wrote it down.
    fn token(&self) -> Option<String> {
        let token = fs::read_to_string(self.permit_file()).ok()?;
        let token = token.trim();
        (!token.is_empty()).then(|| token.to_owned())
    }

    fn permit_file(&self) -> PathBuf {
        self.inner.options.folder.join("permit")
    }
}
