//! The cluster's secret in one process: asked of the store once, kept, put back where the store lost it.

use std::sync::{Arc, Mutex, PoisonError};

use super::agreement::establish;
use super::cipher::{Key, is_encrypted};
use super::secret::{ClusterSecret, Configured};
use crate::config::{Role, Secret};
use crate::connection::Connection;
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;

/// Knows the cluster's secret, or where to ask for it.
#[derive(Debug)]
pub struct SecretKeeper {
    connection: Connection,
    keyspace: Keyspace,
    configured: Configured,
    role: Role,
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    secret: Arc<ClusterSecret>,
    /// Whether the store said so; otherwise it is what this instance had when it last saw the store.
    confirmed: bool,
}

impl SecretKeeper {
    /// A keeper that has not asked yet.
    pub fn new(
        connection: Connection,
        keyspace: Keyspace,
        configured: Configured,
        role: Role,
    ) -> Self {
        Self {
            connection,
            keyspace,
            configured,
            role,
            known: Mutex::default(),
        }
    }

    /// Asks the store; an admin creates the secret where there is none, from the first of
    /// `candidates` (secrets that Node-RED generated earlier) if there is one.
    ///
    /// # Errors
    /// As [`establish`].
    pub async fn establish(&self, candidates: Vec<Secret>) -> Result<Option<Arc<ClusterSecret>>> {
        let secret = establish(
            &self.connection,
            &self.keyspace,
            &self.configured,
            self.role,
            candidates,
        )
        .await?
        .map(Arc::new);
        if let Some(secret) = &secret {
            self.remember(Arc::clone(secret), true);
        }
        Ok(secret)
    }

    /// Before the first revision is made of what the older package wrote: keeps of `candidates` only
    /// those that open its credentials, so that the cluster does not agree on one that does not.
    ///
    /// # Errors
    /// `SecretMismatch` where settings.js has another secret, or none of the candidates fits.
    pub fn check_first(&self, credentials: &str, candidates: &mut Vec<Secret>) -> Result<()> {
        if !is_encrypted(credentials) {
            return Ok(());
        }
        let opens = |secret: &Secret| Key::from_secret(secret).decrypt(credentials).is_ok();
        match &self.configured {
            Configured::Text(secret) if opens(secret) => return Ok(()),
            Configured::Unset => {
                candidates.retain(opens);
                if !candidates.is_empty() {
                    return Ok(());
                }
            }
            Configured::Text(_) | Configured::Disabled => {}
        }
        Err(Error::new(
            Code::SecretMismatch,
            format!(
                "{} was encrypted with another secret than this instance knows; set the credentialSecret that the flows were saved with in settings.js",
                self.keyspace.credentials()
            ),
        ))
    }

    /// For a start without the store: the secret of settings.js, else the one kept on the disk.
    ///
    /// # Errors
    /// `SecretMismatch` where neither is known.
    pub fn assume(&self, kept: Option<String>) -> Result<()> {
        let secret = match (&self.configured, kept) {
            (Configured::Unset, None) => {
                return Err(Error::new(
                    Code::SecretMismatch,
                    "the last good revision on this instance's disk has no credential secret and settings.js has none either",
                ));
            }
            (Configured::Unset, Some(kept)) => {
                ClusterSecret::propose(&Configured::Unset, vec![Secret::new(kept)])?
            }
            (configured, _) => ClusterSecret::propose(configured, Vec::new())?,
        };
        self.remember(Arc::new(secret), false);
        Ok(())
    }

    /// The secret as far as this process knows it.
    pub fn known(&self) -> Option<Arc<ClusterSecret>> {
        self.recall().map(|known| known.secret)
    }

    /// The secret, asked of the store until the store has said it.
    ///
    /// # Errors
    /// `StoreNotReady` while no admin has created it; as [`establish`].
    pub async fn secret(&self) -> Result<Arc<ClusterSecret>> {
        let known = self.recall();
        if let Some(known) = &known
            && known.confirmed
        {
            return Ok(Arc::clone(&known.secret));
        }
        let said = self.establish(Vec::new()).await?;
        said.or(known.map(|known| known.secret)).ok_or_else(|| {
            Error::new(
                Code::StoreNotReady,
                "the cluster has no credential secret yet; an admin creates it at its first start",
            )
        })
    }

    /// Puts the secret back into a store that lost it.
    ///
    /// # Errors
    /// As [`ClusterSecret::restore`].
    pub async fn restore(&self) -> Result<()> {
        match self.known() {
            Some(known) => known.restore(&self.connection, &self.keyspace).await,
            None => Ok(()),
        }
    }

    fn recall(&self) -> Option<Known> {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember(&self, secret: Arc<ClusterSecret>, confirmed: bool) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Known { secret, confirmed });
    }
}
