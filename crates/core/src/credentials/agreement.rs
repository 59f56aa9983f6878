//! Agreeing on the secret: created once in the store, compared by its fingerprint ever after.

use std::time::SystemTime;

use super::secret::{ClusterSecret, Configured, DISABLED};
use crate::config::{Role, Secret};
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;

const CLAIM: &str = include_str!("../scripts/claim_secret.lua");

/// The secret as the store has it.
#[derive(Debug)]
struct Stored {
    fingerprint: String,
    generated: Option<Secret>,
}

/// Finds out the cluster's secret; an admin creates it where there is none.
///
/// Without a secret in settings.js the first of `candidates`, secrets that Node-RED once generated,
/// becomes the cluster's, so that what they encrypted stays readable; without any a new one is made.
/// Whatever the store has already wins over both. `None`: there is none yet, and a worker creates none.
///
/// # Errors
/// `SecretMismatch` where settings.js of this instance says something else than the cluster uses,
/// `ValueDamaged` where the stored secret contradicts its fingerprint; the store's.
pub async fn establish(
    connection: &Connection,
    keyspace: &Keyspace,
    configured: &Configured,
    role: Role,
    candidates: Vec<Secret>,
) -> Result<Option<ClusterSecret>> {
    let stored = if role == Role::Admin {
        let proposal = ClusterSecret::propose(configured, candidates)?;
        proposal.claim(connection, keyspace).await?
    } else {
        match read(connection, keyspace).await? {
            Some(stored) => stored,
            None => return Ok(None),
        }
    };
    judge(configured, stored, &keyspace.secret()).map(Some)
}

impl ClusterSecret {
    /// Puts this secret back into a store that lost it; a store that has it is left alone.
    ///
    /// # Errors
    /// `SecretMismatch` where another secret took its place meanwhile; the store's.
    pub async fn restore(&self, connection: &Connection, keyspace: &Keyspace) -> Result<()> {
        let stored = self.claim(connection, keyspace).await?;
        if stored.fingerprint == self.fingerprint() {
            return Ok(());
        }
        Err(Error::new(
            Code::SecretMismatch,
            format!(
                "{} holds another credential secret than this instance uses, since the store was emptied or replaced; restart this instance with the credentialSecret of the admin that filled it",
                keyspace.secret()
            ),
        ))
    }

    async fn claim(&self, connection: &Connection, keyspace: &Keyspace) -> Result<Stored> {
        let created = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let request = Request::Script {
            script: CLAIM,
            keys: vec![keyspace.secret()],
            arguments: vec![
                self.fingerprint().as_bytes().to_vec(),
                self.generated().unwrap_or_default().as_bytes().to_vec(),
                created.into_bytes(),
            ],
        };
        // Safe to repeat: the second time finds what the first one stored.
        let (fingerprint, generated): (String, Option<String>) = connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
            .map_err(|error| error.while_doing("agreeing on the credential secret"))?;
        Ok(Stored::new(fingerprint, generated))
    }
}

impl Stored {
    fn new(fingerprint: String, generated: Option<String>) -> Self {
        Self {
            fingerprint,
            generated: generated.map(Secret::new),
        }
    }
}

async fn read(connection: &Connection, keyspace: &Keyspace) -> Result<Option<Stored>> {
    let mut command = redis::cmd("HMGET");
    command
        .arg(keyspace.secret())
        .arg("fingerprint")
        .arg("generated");
    let (fingerprint, generated): (Option<String>, Option<String>) = connection
        .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
        .await
        .map_err(|error| error.while_doing("reading the credential secret"))?;
    Ok(fingerprint.map(|fingerprint| Stored::new(fingerprint, generated)))
}

/// Compares what settings.js of this instance says with what the cluster uses.
fn judge(configured: &Configured, stored: Stored, key_name: &str) -> Result<ClusterSecret> {
    let Stored {
        fingerprint,
        generated,
    } = stored;
    let cluster_is_disabled = fingerprint == DISABLED;
    match configured {
        Configured::Disabled if cluster_is_disabled => Ok(ClusterSecret::DISABLED),
        Configured::Disabled => Err(mismatch(
            "settings.js of this instance says credentialSecret: false, but the cluster's credentials are encrypted",
            if generated.is_some() {
                "remove credentialSecret from settings.js of this instance"
            } else {
                "set the same credentialSecret as on the admin"
            },
        )),
        Configured::Text(_) if cluster_is_disabled => Err(mismatch(
            "settings.js of this instance has a credentialSecret, but the cluster's credentials are not encrypted",
            "set credentialSecret: false on this instance as on the admin",
        )),
        Configured::Text(secret) => {
            let own = ClusterSecret::enabled(secret, None);
            match generated {
                _ if own.fingerprint() == fingerprint => Ok(own),
                Some(_) => Err(mismatch(
                    "settings.js of this instance has a credentialSecret, but the cluster uses one that it generated itself",
                    "remove credentialSecret from settings.js of this instance",
                )),
                None => Err(mismatch(
                    "the credentialSecret in settings.js of this instance is not the cluster's",
                    "set the same credentialSecret as on the admin",
                )),
            }
        }
        Configured::Unset if cluster_is_disabled => Err(mismatch(
            "settings.js of this instance has no credentialSecret, but the cluster's credentials are not encrypted",
            "set credentialSecret: false on this instance as on the admin",
        )),
        Configured::Unset => {
            let Some(generated) = generated else {
                return Err(mismatch(
                    "settings.js of this instance has no credentialSecret, but the cluster uses a configured one",
                    "set the same credentialSecret as on the admin",
                ));
            };
            let secret = ClusterSecret::enabled(&generated.clone(), Some(generated));
            if secret.fingerprint() == fingerprint {
                Ok(secret)
            } else {
                Err(Error::new(
                    Code::ValueDamaged,
                    format!(
                        "{key_name} contradicts itself: `generated` is not the secret that `fingerprint` was made of; restore the key from a backup"
                    ),
                ))
            }
        }
    }
}

fn mismatch(difference: &str, remedy: &str) -> Error {
    Error::new(Code::SecretMismatch, format!("{difference}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::super::cipher::Key;
    use super::*;

    fn text(secret: &str) -> Configured {
        Configured::Text(Secret::new(secret))
    }

    fn stored_configured(secret: &str) -> Stored {
        Stored::new(Key::from_secret(&Secret::new(secret)).fingerprint(), None)
    }

    fn stored_generated(secret: &str) -> Stored {
        Stored {
            generated: Some(Secret::new(secret)),
            ..stored_configured(secret)
        }
    }

    fn stored_disabled() -> Stored {
        Stored::new(DISABLED.to_owned(), None)
    }

    fn judged(configured: &Configured, stored: Stored) -> Result<ClusterSecret> {
        judge(configured, stored, "nodered:secret")
    }

    #[test]
    fn an_instance_that_agrees_gets_the_secret() {
        let configured = judged(&text("a"), stored_configured("a")).unwrap();
        assert_eq!(configured.generated(), None);
        assert!(configured.key().is_some());

        let generated = judged(&Configured::Unset, stored_generated("g")).unwrap();
        assert_eq!(generated.generated(), Some("g"));

        let disabled = judged(&Configured::Disabled, stored_disabled()).unwrap();
        assert_eq!((disabled.key(), disabled.fingerprint()), (None, "disabled"));
    }

    #[test]
    fn a_generated_secret_written_into_settings_is_the_same_secret() {
        let secret = judged(&text("g"), stored_generated("g")).unwrap();
        assert_eq!(secret.generated(), None);
    }

    #[test]
    fn every_disagreement_says_which_side_says_what_and_the_remedy() {
        let same = "set the same credentialSecret as on the admin";
        let remove = "remove credentialSecret";
        let disable = "set credentialSecret: false on this instance";
        for (configured, stored, side, remedy) in [
            (
                text("a"),
                stored_configured("b"),
                "is not the cluster's",
                same,
            ),
            (
                text("a"),
                stored_generated("g"),
                "it generated itself",
                remove,
            ),
            (text("a"), stored_disabled(), "are not encrypted", disable),
            (
                Configured::Unset,
                stored_configured("b"),
                "a configured one",
                same,
            ),
            (
                Configured::Unset,
                stored_disabled(),
                "are not encrypted",
                disable,
            ),
            (
                Configured::Disabled,
                stored_configured("b"),
                "are encrypted",
                same,
            ),
            (
                Configured::Disabled,
                stored_generated("g"),
                "are encrypted",
                remove,
            ),
        ] {
            let error = judged(&configured, stored).expect_err(side);
            assert_eq!(error.code(), Code::SecretMismatch, "{error}");
            assert!(error.message().contains(side), "{error}");
            assert!(error.message().contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_generated_secret_that_contradicts_its_fingerprint_is_damage() {
        let stored = Stored {
            generated: Some(Secret::new("other")),
            ..stored_configured("g")
        };
        let error = judged(&Configured::Unset, stored).expect_err("must fail");
        assert_eq!(error.code(), Code::ValueDamaged);
        assert!(!error.message().contains("other"), "{error}");
    }
}
