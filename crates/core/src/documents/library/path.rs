//! Kinds and paths of the library, checked and normalised as a file system would.

use std::fmt;

use crate::error::{Code, Error, Result};

/// Longer kinds and paths are refused, in bytes: they become part of a key.
const LONGEST: usize = 1024;

/// The kind whose entries end with [`FLOW_EXTENSION`].
const FLOWS: &str = "flows";
const FLOW_EXTENSION: &str = ".json";

/// What kind of thing an entry is: `flows`, `functions`, `templates`, or what a node registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kind(String);

/// A path below a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    as_given: String,
    /// Without empty parts and without `.`; the empty text is the root.
    normalised: String,
}

impl Kind {
    pub(super) fn new(kind: &str) -> Result<Self> {
        check_size("kind", kind)?;
        let forbidden = [':', '/', '\\'];
        if kind.is_empty() || kind == "." || kind == ".." || kind.contains(forbidden) {
            return Err(invalid(format!(
                "{kind:?} is no kind of library entry: a name without ':', '/' and '\\' is needed"
            )));
        }
        Ok(Self(kind.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Path {
    pub(super) fn new(path: &str) -> Result<Self> {
        check_size("path", path)?;
        if path.split(['/', '\\']).any(|part| part == "..") {
            return Err(invalid(format!(
                "the library path {path:?} leads upwards; remove the '..'"
            )));
        }
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        Ok(Self {
            as_given: path.to_owned(),
            normalised: parts.join("/"),
        })
    }

    /// The normalised path; the empty text is the root.
    pub(super) fn as_str(&self) -> &str {
        &self.normalised
    }

    /// Whether the path can only be a folder: Node-RED answers an unknown one with an empty folder.
    pub(super) fn names_folder(&self) -> bool {
        self.as_given.is_empty() || self.as_given.ends_with('/')
    }

    /// The path with the extension that flows have; none where it is there, or where the kind has none.
    pub(super) fn with_flow_extension(&self, kind: &Kind) -> Option<Self> {
        if kind.as_str() != FLOWS || self.as_given.ends_with(FLOW_EXTENSION) {
            return None;
        }
        // Behind the path as it was given, as Node-RED does: "a/" becomes "a/.json".
        let slash = if !self.normalised.is_empty() && self.as_given.ends_with('/') {
            "/"
        } else {
            ""
        };
        Some(Self {
            as_given: format!("{}{FLOW_EXTENSION}", self.as_given),
            normalised: format!("{}{slash}{FLOW_EXTENSION}", self.normalised),
        })
    }

    /// The entry's field in the index.
    pub(super) fn index_field(&self, kind: &Kind) -> String {
        format!("{}:{}", kind.as_str(), self.normalised)
    }

    /// The index fields that the folders above the entry would have if they were entries.
    pub(super) fn folders_above(&self, kind: &Kind) -> impl Iterator<Item = String> {
        self.normalised
            .match_indices('/')
            .map(|(end, _)| format!("{}:{}", kind.as_str(), &self.normalised[..end]))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.as_given)
    }
}

fn check_size(what: &str, text: &str) -> Result<()> {
    if text.len() > LONGEST {
        return Err(invalid(format!(
            "the {what} of a library entry has {} bytes, the limit is {LONGEST}",
            text.len()
        )));
    }
    if text.contains('\0') {
        return Err(invalid(format!(
            "the {what} of a library entry has a NUL character in it"
        )));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flows() -> Kind {
        Kind::new("flows").unwrap()
    }

    #[test]
    fn paths_are_normalised_as_a_file_system_does() {
        for (given, normalised) in [
            ("", ""),
            ("/", ""),
            (".", ""),
            ("a", "a"),
            ("/a//b/./c", "a/b/c"),
            ("a/b/", "a/b"),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(Path::new(given).unwrap().as_str(), normalised, "{given}");
        }
    }

    #[test]
    fn what_could_reach_other_keys_is_refused() {
        for path in [
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a\\..\\b",
            "a\0",
            &"x".repeat(1025),
        ] {
            let error = Path::new(path).expect_err(path);
            assert_eq!(error.code(), Code::InvalidRequest, "{path}");
        }
        for kind in [
            "",
            ".",
            "..",
            "a:b",
            "a/b",
            "a\\b",
            "a\0",
            &"x".repeat(1025),
        ] {
            let error = Kind::new(kind).expect_err(kind);
            assert_eq!(error.code(), Code::InvalidRequest, "{kind}");
        }
    }

    #[test]
    fn only_flows_get_the_extension_and_only_once() {
        let with_extension = |path: &str, kind: &Kind| {
            Path::new(path)
                .unwrap()
                .with_flow_extension(kind)
                .map(|path| path.as_str().to_owned())
        };
        assert_eq!(with_extension("a/b", &flows()).as_deref(), Some("a/b.json"));
        assert_eq!(with_extension("a/", &flows()).as_deref(), Some("a/.json"));
        assert_eq!(with_extension("", &flows()).as_deref(), Some(".json"));
        assert_eq!(with_extension("/", &flows()).as_deref(), Some(".json"));
        assert_eq!(with_extension("a.json", &flows()), None);
        assert_eq!(with_extension("a", &Kind::new("functions").unwrap()), None);
    }

    #[test]
    fn the_folders_above_are_all_but_the_last_part() {
        let path = Path::new("a/b/c").unwrap();
        let above: Vec<String> = path.folders_above(&flows()).collect();
        assert_eq!(above, ["flows:a", "flows:a/b"]);
        assert_eq!(Path::new("a").unwrap().folders_above(&flows()).count(), 0);
    }
}
