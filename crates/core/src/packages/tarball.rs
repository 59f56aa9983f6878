//! Tarballs by the hash of their bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha512};

/// The largest tarball that is published or read, in bytes. The store holds it whole, and so do we.
pub const TARBALL_LIMIT: usize = 64 * 1024 * 1024;

/// The folder of a tree that its tarballs lie in.
pub const FOLDER: &str = "tarballs";

/// SHA-512 of a tarball.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 64]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha512::digest(bytes).into())
    }

    /// The SHA-512 in a text such as `sha512-<base64>`; the first where there are several.
    pub fn of_integrity(text: &str) -> Option<Self> {
        let base64 = text
            .split_ascii_whitespace()
            .find_map(|hash| hash.strip_prefix("sha512-"))?;
        let bytes = STANDARD.decode(base64).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// From hexadecimal digits, as in names of files and fields of the store.
    pub fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 128 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 64];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[index * 2..index * 2 + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// What npm calls the tarball with this hash in the folder [`FOLDER`] of a tree.
    pub fn as_source(&self) -> String {
        format!("file:{FOLDER}/{}", self.file_name())
    }

    /// The hash in what [`Digest::as_source`] gave.
    pub fn of_source(source: &str) -> Option<Self> {
        let name = source.strip_prefix("file:")?.strip_prefix(FOLDER)?;
        Self::parse(name.strip_prefix('/')?.strip_suffix(".tgz")?)
    }

    /// Its name in the folder [`FOLDER`].
    pub fn file_name(&self) -> String {
        format!("{self}.tgz")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_in_each_of_its_forms() {
        let digest = Digest::of(b"bytes");
        let integrity = format!("sha1-AAAA sha512-{}", STANDARD.encode(digest.0));
        assert_eq!(Digest::of_integrity(&integrity), Some(digest));
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::of_source(&digest.as_source()), Some(digest));
    }

    #[test]
    fn what_is_no_hash_is_none() {
        let hex = Digest::of(b"").to_string();
        for source in [
            "file:tarballs/../x.tgz".to_owned(),
            format!("file:{hex}.tgz"),
            format!("file:tarballs/{hex}"),
            format!("file:tarballs/{}.tgz", &hex[1..]),
            format!("https://host/{hex}.tgz"),
        ] {
            assert_eq!(Digest::of_source(&source), None, "{source}");
        }
        assert_eq!(Digest::of_integrity("sha512-AAAA"), None);
        assert_eq!(Digest::of_integrity("sha1-AAAA"), None);
    }
}
