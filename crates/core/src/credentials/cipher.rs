//! Node-RED's scheme: AES-256-CTR under the SHA-256 of the secret, `{"$":"<IV, 32 hex digits><base64>"}`.
//!
//! CTR has no authentication: a wrong key gives noise rather than an error. What comes out is therefore
//! checked to be a JSON object, which noise is not.

use std::fmt;

use aes::Aes256;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use crate::config::Secret;
use crate::error::{Code, Error, Result};

const IV_SIZE: usize = 16;
const IV_DIGITS: usize = 2 * IV_SIZE;

/// What the fingerprint and the digest are made of besides the key, so that neither can stand for the other.
const FINGERPRINT_CONTEXT: &[u8] = b"node-red-cluster/credential-secret/1";
const DIGEST_CONTEXT: &[u8] = b"node-red-cluster/credentials/1\0";

/// Node.js reads base64 with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key that Node-RED makes of a credential secret. No output shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// Encrypted credentials as Node-RED writes them: this one property and no other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encrypted {
    #[serde(rename = "$")]
    content: String,
}

impl Key {
    /// The key of a secret's text.
    pub fn from_secret(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.expose()).into())
    }

    /// Encrypts credentials, a JSON object as text, into the JSON object that Node-RED stores.
    ///
    /// # Errors
    /// `Internal` where the operating system gives no random numbers.
    pub fn encrypt(&self, plain: &str) -> Result<String> {
        let mut iv = [0; IV_SIZE];
        fill_with_random(&mut iv)?;
        Ok(self.encrypt_from(iv, plain))
    }

    fn encrypt_from(&self, iv: [u8; IV_SIZE], plain: &str) -> String {
        let mut bytes = plain.as_bytes().to_vec();
        self.apply(iv, &mut bytes);
        format!(
            "{{\"$\":\"{}{}\"}}",
            hexadecimal(&iv),
            STANDARD.encode(&bytes)
        )
    }

    /// Decrypts what Node-RED stores into credentials, a JSON object as text.
    ///
    /// # Errors
    /// `ValueDamaged` where it is not in Node-RED's form, `SecretMismatch` where the key does not fit.
    pub fn decrypt(&self, encrypted: &str) -> Result<String> {
        let Encrypted { content } = serde_json::from_str(encrypted)
            .map_err(|_| damaged("they are not an object with the one property \"$\""))?;
        let (iv, encoded) = content
            .split_at_checked(IV_DIGITS)
            .ok_or_else(|| damaged("they are cut off"))?;
        let iv =
            bytes_of(iv).ok_or_else(|| damaged("they do not begin with hexadecimal digits"))?;
        let mut bytes = LENIENT
            .decode(encoded)
            .map_err(|error| damaged(&format!("their base64 cannot be read: {error}")))?;
        self.apply(iv, &mut bytes);
        String::from_utf8(bytes)
            .ok()
            .filter(|plain| is_json_object(plain))
            .ok_or_else(|| {
                Error::new(
                    Code::SecretMismatch,
                    "the stored credentials cannot be decrypted with this credential secret; set the credentialSecret that they were saved with in settings.js",
                )
            })
    }

    /// What tells two keys apart without revealing either, 64 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hexadecimal(&self.authenticate(&[FINGERPRINT_CONTEXT]))
    }

    /// What tells a change of a text without revealing anything else to those who have no key, 64
    /// hexadecimal digits.
    pub fn digest(&self, plain: &str) -> String {
        hexadecimal(&self.authenticate(&[DIGEST_CONTEXT, plain.as_bytes()]))
    }

    fn authenticate(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn apply(&self, iv: [u8; IV_SIZE], bytes: &mut [u8]) {
        Ctr128BE::<Aes256>::new(&self.0.into(), &iv.into()).apply_keystream(bytes);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(***)")
    }
}

/// Whether a JSON text is credentials in Node-RED's encrypted form.
pub fn is_encrypted(json: &str) -> bool {
    serde_json::from_str::<Encrypted>(json).is_ok()
}

/// Whether a text is one JSON object; its content is not looked at.
pub(super) fn is_json_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Fills with random numbers that nobody can guess.
pub(super) fn fill_with_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| {
        Error::new(
            Code::Internal,
            format!("the operating system gives no random numbers: {error}"),
        )
    })
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(digits: &str) -> Option<[u8; IV_SIZE]> {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

fn damaged(why: &str) -> Error {
    Error::new(
        Code::ValueDamaged,
        format!("the stored credentials are damaged: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COUNTING_IV: [u8; IV_SIZE] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn key(secret: &str) -> Key {
        Key::from_secret(&Secret::new(secret))
    }

    /// Secret, IV, plain text and what Node.js 22's `crypto` makes of them in Node-RED's way.
    fn made_by_node() -> [(&'static str, [u8; IV_SIZE], String, &'static str); 4] {
        let mut last_but_one = [0xff; IV_SIZE];
        last_but_one[IV_SIZE - 1] = 0xfe;
        [
            (
                "a-secret",
                COUNTING_IV,
                r#"{"n1":{"user":"ada","password":"pâss wörd ✓"}}"#.to_owned(),
                r#"{"$":"000102030405060708090a0b0c0d0e0flbfC/TKRMTpEZgiGAwO8/NMJlPK7EHfdayx5NZbEbfVJhPWNtQ6qvj2nchJwZjbb5jo="}"#,
            ),
            (
                "clé secrète",
                [0xff; IV_SIZE],
                "{}".to_owned(),
                r#"{"$":"ffffffffffffffffffffffffffffffffra4="}"#,
            ),
            // The counter overflows all of its 128 bits.
            (
                "counter",
                last_but_one,
                format!(r#"{{"n":{{"text":"{}"}}}}"#, "x".repeat(60)),
                r#"{"$":"fffffffffffffffffffffffffffffffeEUB8PsbVJkqm+k8DJN7GLCTNcGJAK9F3yAIjr5gGoZGzSDeTZaKGb21iaIb1NZP/eClmRbMGo8Gu30AMWG5eVUh6fVqqQv7VoBNxOnc="}"#,
            ),
            // Half a character, as JSON.stringify writes it.
            (
                "s",
                COUNTING_IV,
                r#"{"a":{"b":"\ud800"}}"#.to_owned(),
                r#"{"$":"000102030405060708090a0b0c0d0e0fKeYPa8qnYbzhcb1JgVysDrL8Ae4="}"#,
            ),
        ]
    }

    #[test]
    fn both_directions_agree_with_node() {
        for (secret, iv, plain, encrypted) in made_by_node() {
            assert_eq!(key(secret).encrypt_from(iv, &plain), encrypted);
            assert_eq!(key(secret).decrypt(encrypted).unwrap(), plain);
        }
    }

    #[test]
    fn fingerprint_and_digest_are_plain_hmac() {
        // crypto.createHmac('sha256', key).update(context).digest('hex')
        assert_eq!(
            key("a-secret").fingerprint(),
            "9960cd9d09d489a956a96d228c899ce44981f5b3884286db8e880bc152c57a7e"
        );
        assert_eq!(
            key("a-secret").digest(r#"{"a":{"b":"c"}}"#),
            "986833421239ca735046427d96ec707a6c7265542a84b905041d5fa7e79f40b0"
        );
    }

    #[test]
    fn base64_without_padding_is_read() {
        let unpadded = r#"{"$":"ffffffffffffffffffffffffffffffffra4"}"#;
        assert_eq!(key("clé secrète").decrypt(unpadded).unwrap(), "{}");
    }

    #[test]
    fn a_wrong_key_is_told_with_a_remedy() {
        let encrypted = key("right")
            .encrypt(r#"{"n":{"password":"hidden"}}"#)
            .unwrap();
        let error = key("wrong").decrypt(&encrypted).expect_err("must fail");
        assert_eq!(error.code(), Code::SecretMismatch);
        assert!(error.message().contains("credentialSecret"), "{error}");
        assert!(!error.message().contains("wrong"), "{error}");
    }

    #[test]
    fn plain_text_that_is_not_an_object_does_not_pass() {
        for plain in ["", "[]", "null", "{", "{} {}", "\"{}\""] {
            let encrypted = key("k").encrypt(plain).unwrap();
            let error = key("k").decrypt(&encrypted).expect_err(plain);
            assert_eq!(error.code(), Code::SecretMismatch, "{plain}");
        }
    }

    #[test]
    fn what_is_not_in_the_encrypted_form_is_damage() {
        let long = "+0".repeat(16);
        for stored in [
            "",
            "{}",
            r#"{"$":1}"#,
            r#"{"$":"00"}"#,
            r#"{"$":"zz0102030405060708090a0b0c0d0e0fra4="}"#,
            r#"{"$":"ffffffffffffffffffffffffffffffff***"}"#,
            &format!(r#"{{"$":"{long}"}}"#),
            &format!(r#"{{"$":"{}"}}"#, "é".repeat(40)),
        ] {
            let error = key("k").decrypt(stored).expect_err(stored);
            assert_eq!(error.code(), Code::ValueDamaged, "{stored}");
        }
    }

    #[test]
    fn only_the_one_property_makes_the_encrypted_form() {
        assert!(is_encrypted(r#"{ "$" : "00" }"#));
        assert!(!is_encrypted(r#"{"$":"00","n":{}}"#));
        assert!(!is_encrypted(r#"{"n":{"$":"00"}}"#));
        assert!(!is_encrypted("{}"));
        assert!(!is_encrypted("no JSON"));
    }

    #[test]
    fn no_debug_output_shows_a_key() {
        assert_eq!(format!("{:?}", key("k")), "Key(***)");
    }

    proptest! {
        #[test]
        fn what_was_encrypted_comes_back_and_no_two_look_alike(id in "[a-z0-9]{1,16}", password in any::<String>()) {
            let mut node = serde_json::Map::new();
            node.insert(id, serde_json::json!({ "password": password }));
            let plain = serde_json::Value::Object(node).to_string();
            let key = key("k");
            let encrypted = key.encrypt(&plain).unwrap();
            prop_assert!(is_encrypted(&encrypted));
            prop_assert_eq!(key.decrypt(&encrypted).unwrap(), plain.clone());
            prop_assert_ne!(key.encrypt(&plain).unwrap(), encrypted);
        }
    }
}
