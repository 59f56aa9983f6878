//! Deleting whole scopes.

use std::collections::HashSet;

use super::Context;
use crate::connection::{Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Scope;

const DELETE: &str = include_str!("../scripts/context_delete.lua");

/// Properties deleted in one step, so that the store is never busy with it for long.
const AT_ONCE: usize = 500;

/// What became of a scope that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deleted {
    Whole,
    /// A newer revision of the flows may need it.
    Kept,
}

impl Context {
    /// Deletes everything in a scope. Writes that were issued before are gone too; what others write
    /// meanwhile may stay.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete(&self, scope: Scope) -> Result<()> {
        self.inner.settled().await;
        self.delete_scope(&scope, "", None).await?;
        Ok(())
    }

    /// Deletes the scopes of nodes and flows that are gone: those whose id is not among `active`. Only a
    /// process that applies or runs the newest revision does, because another one does not know all nodes;
    /// the store compares again at every step. What cannot be done now is left to the next deploy, with a
    /// line in the log: Node-RED would stop the flows over an error.
    pub async fn clean(&self, active: Vec<String>) {
        let Some(revision) = (self.inner.revision)() else {
            return;
        };
        if let Err(error) = self.delete_inactive(active, &revision).await {
            tracing::warn!(
                "the context of what the deploy removed is kept until the next deploy: {error}"
            );
        }
    }

    async fn delete_inactive(&self, active: Vec<String>, revision: &str) -> Result<()> {
        let active: HashSet<String> = active.into_iter().collect();
        if let Some(error) = self.inner.connection.known_down() {
            return Err(error);
        }
        let limit = self.inner.settings.timeout;
        if tokio::time::timeout(limit, self.inner.settled())
            .await
            .is_err()
        {
            return Err(Error::new(
                Code::StoreUnreachable,
                "earlier writes still wait for the store",
            ));
        }
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.inner.keyspace.context_scopes());
        let scopes: Vec<String> = self
            .inner
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        for scope in scopes.into_iter().map(Scope::new) {
            if scope.owner().is_none_or(|owner| active.contains(owner)) {
                continue;
            }
            let forget = scope.as_str().to_owned();
            match self.delete_scope(&scope, &forget, Some(revision)).await? {
                Deleted::Whole => tracing::debug!("the context of {scope} is deleted"),
                Deleted::Kept => {
                    tracing::debug!("the context is not cleaned: there is a newer revision");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn delete_scope(
        &self,
        scope: &Scope,
        forget: &str,
        revision: Option<&str>,
    ) -> Result<Deleted> {
        let keyspace = &self.inner.keyspace;
        let request = Request::Script {
            script: DELETE,
            keys: vec![keyspace.context_names(scope), keyspace.context_scopes()],
            arguments: vec![
                keyspace.context_value(scope, "").into_bytes(),
                AT_ONCE.to_string().into_bytes(),
                forget.as_bytes().to_vec(),
                revision.unwrap_or_default().as_bytes().to_vec(),
                keyspace.revision().into_bytes(),
            ],
        };
        let deleted = loop {
            let left: i64 = self
                .inner
                .connection
                .run(Lane::Commands, &request, Repeat::Safe)
                .await?;
            match left {
                ..0 => break Deleted::Kept,
                0 => break Deleted::Whole,
                _ => {}
            }
        };
        // The store tells of these changes too, but perhaps after this has returned.
        self.inner.near.forget_all();
        Ok(deleted)
    }
}
