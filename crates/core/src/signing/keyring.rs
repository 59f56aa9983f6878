//! The keys of one instance: one signs, one or two are accepted.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::statement::{Kind, Statement};
use crate::config::{Secret, SigningKeys};
use crate::error::{Code, Error, Result};

/// The only form of signatures so far: `v1:<key id>:<HMAC-SHA256, base64url>`.
const VERSION: &str = "v1";

/// Bytes of a key id: enough to tell keys apart, no help to guess one of 32 random characters.
const KEY_ID_BYTES: usize = 6;

/// The keys of one instance, for one cluster.
#[derive(Clone)]
pub struct Keyring {
    cluster: String,
    signs: Key,
    accepted: Option<Key>,
}

/// No key is shown, only its id.
impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Keyring({})", self.ids())
    }
}

#[derive(Clone)]
struct Key {
    secret: Secret,
    id: String,
}

impl Keyring {
    /// The configured keys, for the cluster with this key prefix.
    pub fn new(keys: &SigningKeys, key_prefix: &str) -> Self {
        Self {
            cluster: key_prefix.to_owned(),
            signs: Key::new(&keys.signs),
            accepted: keys.accepted.as_ref().map(Key::new),
        }
    }

    /// The id of the key that signs here: tells keys apart and gives nothing away of them.
    pub fn id(&self) -> &str {
        &self.signs.id
    }

    /// A statement about this cluster.
    pub fn statement(&self, kind: Kind) -> Statement {
        Statement::new(kind, &self.cluster)
    }

    /// The signature of a statement.
    pub fn sign(&self, statement: &Statement) -> String {
        let mac = self.signs.mac(statement).finalize().into_bytes();
        format!(
            "{VERSION}:{}:{}",
            self.signs.id,
            URL_SAFE_NO_PAD.encode(mac)
        )
    }

    /// Whether the key that signs here made this signature; others may be valid too.
    pub fn is_own(&self, signature: &str) -> bool {
        parts(signature).is_some_and(|(id, _)| id == self.signs.id)
    }

    /// Checks that somebody with one of the keys signed this. The error begins with `what`.
    ///
    /// # Errors
    /// `SignatureMissing` for an empty signature, `SignatureInvalid` for any other that is not right.
    pub fn verify(&self, what: &str, statement: &Statement, signature: &str) -> Result<()> {
        if signature.is_empty() {
            return Err(Error::new(
                Code::SignatureMissing,
                format!(
                    "{what} is not signed: an admin without signingKey saved it, or somebody who can write to the store"
                ),
            ));
        }
        let invalid = |why: String| Error::new(Code::SignatureInvalid, format!("{what} {why}"));
        let Some((id, mac)) = parts(signature) else {
            return Err(invalid("has a signature of an unknown form".to_owned()));
        };
        let Some(key) = self.keys().find(|key| key.id == id) else {
            return Err(invalid(format!(
                "is signed with a key that this instance does not have ({}, here: {}): give all instances the same signingKey",
                shown(id),
                self.ids()
            )));
        };
        key.mac(statement).verify_slice(&mac).map_err(|_| {
            invalid(
                "is not what was signed: something that does not have the signingKey changed it in the store"
                    .to_owned(),
            )
        })
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signs).chain(&self.accepted)
    }

    fn ids(&self) -> String {
        let ids: Vec<&str> = self.keys().map(|key| key.id.as_str()).collect();
        ids.join(", ")
    }
}

impl Key {
    fn new(secret: &Secret) -> Self {
        let mut key = Self {
            secret: secret.clone(),
            id: String::new(),
        };
        // Of no cluster: the same key has the same id everywhere.
        let mac = key
            .mac(&Statement::new(Kind::KeyId, ""))
            .finalize()
            .into_bytes();
        key.id = mac
            .iter()
            .take(KEY_ID_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        key
    }

    fn mac(&self, statement: &Statement) -> Hmac<Sha256> {
        let key = self.secret.expose().as_bytes();
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
        mac.update(statement.bytes());
        mac
    }
}

/// Key id and bytes of a signature.
fn parts(signature: &str) -> Option<(&str, Vec<u8>)> {
    let (id, mac) = signature
        .strip_prefix(VERSION)?
        .strip_prefix(':')?
        .split_once(':')?;
    Some((id, URL_SAFE_NO_PAD.decode(mac).ok()?))
}

/// An id that the store said, fit for a log line.
fn shown(id: &str) -> String {
    id.chars()
        .filter(char::is_ascii_hexdigit)
        .take(KEY_ID_BYTES * 2)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "one-0123456789abcdef0123456789abcdef";
    const TWO: &str = "two-0123456789abcdef0123456789abcdef";

    fn ring(signs: &str, accepted: Option<&str>) -> Keyring {
        let keys = SigningKeys {
            signs: Secret::new(signs),
            accepted: accepted.map(Secret::new),
        };
        Keyring::new(&keys, "nodered:")
    }

    fn statement(ring: &Keyring) -> Statement {
        ring.statement(Kind::Flows).field("number", "7")
    }

    fn code(ring: &Keyring, statement: &Statement, signature: &str) -> Option<Code> {
        let verified = ring.verify("revision 7", statement, signature);
        verified.err().map(|error| error.code())
    }

    #[test]
    fn what_was_signed_is_verified_and_what_was_not_is_told_apart() {
        let ring = ring(ONE, None);
        let statement = statement(&ring);
        let signature = ring.sign(&statement);
        assert_eq!(code(&ring, &statement, &signature), None);
        assert_eq!(code(&ring, &statement, ""), Some(Code::SignatureMissing));
        for garbage in ["x", "v1", "v1:", "v1::", "v2:a:b", "v1:a:!", "\u{0}"] {
            assert_eq!(
                code(&ring, &statement, garbage),
                Some(Code::SignatureInvalid),
                "{garbage}"
            );
        }
        let other = ring.statement(Kind::Packages).field("number", "7");
        assert_eq!(
            code(&ring, &other, &signature),
            Some(Code::SignatureInvalid)
        );
    }

    #[test]
    fn another_cluster_with_the_same_key_signs_nothing_for_this_one() {
        let here = ring(ONE, None);
        let there = Keyring {
            cluster: "other:".to_owned(),
            ..here.clone()
        };
        let signature = there.sign(&statement(&there));
        assert_eq!(
            code(&here, &statement(&here), &signature),
            Some(Code::SignatureInvalid)
        );
    }

    #[test]
    fn keys_are_changed_without_a_moment_of_refusal() {
        let steps = [
            ring(ONE, None),
            ring(ONE, Some(TWO)),
            ring(TWO, Some(ONE)),
            ring(TWO, None),
        ];
        for pair in steps.windows(2) {
            for (signer, reader) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let statement = statement(signer);
                let signature = signer.sign(&statement);
                assert_eq!(code(reader, &statement, &signature), None);
            }
        }
        let statement = statement(&steps[0]);
        let old = steps[0].sign(&statement);
        assert_eq!(
            code(&steps[3], &statement, &old),
            Some(Code::SignatureInvalid)
        );
        assert!(steps[1].is_own(&old) && !steps[2].is_own(&old));
    }

    #[test]
    fn a_key_is_shown_by_its_id_only() {
        let ring = ring(ONE, Some(TWO));
        let error = ring
            .verify("revision 7", &statement(&ring), "v1:abcdef:AAAA")
            .unwrap_err();
        for text in [format!("{ring:?}"), error.to_string()] {
            assert!(text.contains(ring.id()), "{text}");
            assert!(!text.contains(ONE) && !text.contains(TWO), "{text}");
        }
        assert_eq!(ring.id().len(), 2 * KEY_ID_BYTES);
    }

    #[test]
    fn the_signature_is_plain_hmac() {
        // Node.js: the texts, each after its length as a 64-bit number, big end first;
        // 'v1:' + id + ':' + crypto.createHmac('sha256', ONE).update(bytes).digest('base64url')
        let ring = ring(ONE, None);
        assert_eq!(
            ring.sign(&statement(&ring)),
            "v1:bae3449d8cc3:9sI2O3ZkRJqGR-dUzA6xjEj4kLQqfk-Garffy7m2SKE"
        );
    }

    proptest! {
        #[test]
        fn one_changed_byte_is_refused(at in 0_usize..10_000, bit in 0_u8..8) {
            let ring = ring(ONE, None);
            let original = statement(&ring);
            let signature = ring.sign(&original);

            let mut changed = original.bytes().to_vec();
            let index = at % changed.len();
            changed[index] ^= 1 << bit;
            let verified = ring.signs.mac(&original).verify_slice(&ring_bytes(&ring, &changed));
            prop_assert!(verified.is_err());

            let mut bytes = signature.into_bytes();
            let index = at % bytes.len();
            bytes[index] ^= 1 << bit;
            let verdict = match String::from_utf8(bytes) {
                Ok(text) => code(&ring, &original, &text),
                Err(_) => Some(Code::SignatureInvalid),
            };
            prop_assert_eq!(verdict, Some(Code::SignatureInvalid));
        }
    }

    /// The HMAC of any bytes.
    fn ring_bytes(ring: &Keyring, bytes: &[u8]) -> Vec<u8> {
        let key = ring.signs.secret.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(bytes);
        mac.finalize().into_bytes().to_vec()
    }
}
