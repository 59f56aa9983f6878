//! The cluster's credential secret, and what is done with it.
//!
//! A secret from settings.js never leaves the instance; only its fingerprint is stored. A secret that was
//! generated, because settings.js has none, is stored with it, so that every instance has it.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::cipher::{Key, fill_with_random, hexadecimal, is_encrypted, is_json_object};
use crate::config::Secret;
use crate::error::{Code, Error, Result};

/// The fingerprint of credentials that are not encrypted.
pub(super) const DISABLED: &str = "disabled";

/// A generated secret has this many random bytes, written as twice as many hexadecimal digits.
const GENERATED_SIZE: usize = 32;

/// What settings.js says about the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configured {
    /// `credentialSecret` is a text.
    Text(Secret),
    /// `credentialSecret: false`: credentials are stored in clear.
    Disabled,
    /// There is none: the cluster generates one.
    Unset,
}

/// The secret that all instances of the cluster use.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret {
    encryption: Encryption,
}

#[derive(Clone, PartialEq, Eq)]
enum Encryption {
    Disabled,
    Enabled {
        key: Key,
        fingerprint: String,
        generated: Option<Secret>,
    },
}

impl ClusterSecret {
    /// Credentials are not encrypted.
    pub(super) const DISABLED: Self = Self {
        encryption: Encryption::Disabled,
    };

    /// The key; none where credentials are not encrypted.
    pub fn key(&self) -> Option<&Key> {
        match &self.encryption {
            Encryption::Enabled { key, .. } => Some(key),
            Encryption::Disabled => None,
        }
    }

    /// The text that Node-RED is to find as `_credentialSecret` in its stored settings; none where
    /// settings.js has a secret, or where credentials are not encrypted.
    pub fn generated(&self) -> Option<&str> {
        match &self.encryption {
            Encryption::Enabled { generated, .. } => generated.as_ref().map(Secret::expose),
            Encryption::Disabled => None,
        }
    }

    /// What tells this secret from others without revealing it; `disabled` where there is none.
    pub fn fingerprint(&self) -> &str {
        match &self.encryption {
            Encryption::Enabled { fingerprint, .. } => fingerprint,
            Encryption::Disabled => DISABLED,
        }
    }

    /// Credentials as they are stored: encrypted, or as they are where encryption is disabled.
    ///
    /// # Errors
    /// As [`Key::encrypt`].
    pub fn encrypt(&self, plain: &str) -> Result<String> {
        match self.key() {
            Some(key) => key.encrypt(plain),
            None => Ok(plain.to_owned()),
        }
    }

    /// Stored credentials in clear, a JSON object as text. What is not encrypted is passed on: Node-RED
    /// reads such credentials too, and encrypts them at the next save.
    ///
    /// # Errors
    /// As [`Key::decrypt`]; `SecretMismatch` where they are encrypted and encryption is disabled.
    pub fn decrypt(&self, stored: &str) -> Result<String> {
        match (is_encrypted(stored), self.key()) {
            (true, Some(key)) => key.decrypt(stored),
            (true, None) => Err(Error::new(
                Code::SecretMismatch,
                "the stored credentials are encrypted but settings.js says credentialSecret: false; set the credentialSecret that they were saved with",
            )),
            (false, _) if is_json_object(stored) => Ok(stored.to_owned()),
            (false, _) => Err(Error::new(
                Code::ValueDamaged,
                "the stored credentials are damaged: they are not a JSON object",
            )),
        }
    }

    /// What tells a change of credentials in clear. Where encryption is disabled nothing has to be hidden
    /// and no key is used.
    pub fn digest(&self, plain: &str) -> String {
        match self.key() {
            Some(key) => key.digest(plain),
            None => hexadecimal(&Sha256::digest(plain)),
        }
    }

    /// The secret of an instance that asks nobody: that of settings.js, else the first candidate with a
    /// text, else a new one.
    pub(super) fn propose(configured: &Configured, candidates: Vec<Secret>) -> Result<Self> {
        Ok(match configured {
            Configured::Text(secret) => Self::enabled(secret, None),
            Configured::Disabled => Self::DISABLED,
            Configured::Unset => {
                let mut candidates = candidates.into_iter();
                let generated = match candidates.find(|text| !text.expose().is_empty()) {
                    Some(found) => found,
                    None => generate()?,
                };
                Self::enabled(&generated.clone(), Some(generated))
            }
        })
    }

    pub(super) fn enabled(secret: &Secret, generated: Option<Secret>) -> Self {
        let key = Key::from_secret(secret);
        Self {
            encryption: Encryption::Enabled {
                fingerprint: key.fingerprint(),
                key,
                generated,
            },
        }
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClusterSecret({})", self.fingerprint())
    }
}

fn generate() -> Result<Secret> {
    let mut bytes = [0; GENERATED_SIZE];
    fill_with_random(&mut bytes)?;
    Ok(Secret::new(hexadecimal(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(configured: &Configured) -> ClusterSecret {
        ClusterSecret::propose(configured, Vec::new()).unwrap()
    }

    #[test]
    fn a_generated_secret_is_long_and_never_the_same() {
        let first = generate().unwrap();
        assert_eq!(first.expose().len(), 64);
        assert_ne!(first, generate().unwrap());
    }

    #[test]
    fn the_first_candidate_with_a_text_is_adopted() {
        let candidates = ["", "old", "older"].map(Secret::new).to_vec();
        let secret = ClusterSecret::propose(&Configured::Unset, candidates).unwrap();
        assert_eq!(secret.generated(), Some("old"));
    }

    #[test]
    fn disabled_encryption_passes_clear_text_through_and_refuses_the_rest() {
        let disabled = proposed(&Configured::Disabled);
        let plain = r#"{"n":{"user":"ada"}}"#;
        assert_eq!(disabled.encrypt(plain).unwrap(), plain);
        assert_eq!(disabled.decrypt(plain).unwrap(), plain);
        assert_ne!(disabled.digest(plain), disabled.digest("{}"));
        let encrypted = Key::from_secret(&Secret::new("k")).encrypt(plain).unwrap();
        let error = disabled.decrypt(&encrypted).expect_err("must fail");
        assert_eq!(error.code(), Code::SecretMismatch);
    }

    #[test]
    fn enabled_encryption_reads_what_is_in_clear() {
        let secret = proposed(&Configured::Text(Secret::new("a")));
        assert_eq!(secret.decrypt("{}").unwrap(), "{}");
        let error = secret.decrypt("[]").expect_err("must fail");
        assert_eq!(error.code(), Code::ValueDamaged);
        let stored = secret.encrypt("{}").unwrap();
        assert!(is_encrypted(&stored));
        assert_eq!(secret.decrypt(&stored).unwrap(), "{}");
    }
}
