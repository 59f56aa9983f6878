//! Signatures: who can write to the store is not thereby able to say what instances run.
//!
//! Pure: text in, text out. An HMAC-SHA256 with a key that the instances share and the store never sees, over an
//! encoding in which no two different statements are alike. What is stated, and what is done about something
//! that nobody signed, is decided in `flows` and `packages`. `docs/security.md` says what it protects from.
//!
//! - [`statement`]: what is signed, as bytes
//! - [`keyring`]: the keys of one instance: signs, verifies
//! - [`marks`]: the newest that was ever believed, so that nothing older is believed later

pub mod keyring;
pub mod marks;
pub mod statement;

pub use keyring::Keyring;
pub use marks::Marks;
pub use statement::{Kind, Statement};
