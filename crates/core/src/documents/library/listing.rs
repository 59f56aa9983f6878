//! A folder's listing, made of the index.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Item;
use super::path::{Kind, Path};
use super::value;

/// A name as JavaScript sorts names: by its UTF-16 code units.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SortKey(Vec<u16>);

impl SortKey {
    fn new(name: &str) -> Self {
        Self(name.encode_utf16().collect())
    }
}

/// What a folder holds; none where there is no such folder. Names that begin with a dot are hidden.
pub(super) fn folder(
    index: &HashMap<String, String>,
    kind: &Kind,
    path: &Path,
) -> Option<Vec<Item>> {
    let mut prefix = path.index_field(kind);
    if !path.as_str().is_empty() {
        prefix.push('/');
    }
    let mut exists = false;
    let mut folders = BTreeSet::new();
    let mut files = BTreeMap::new();
    for (field, meta) in index {
        let Some(below) = field.strip_prefix(&prefix) else {
            continue;
        };
        exists = true;
        if below.starts_with('.') {
            continue;
        }
        match below.split_once('/') {
            Some((folder, _)) => {
                folders.insert((SortKey::new(folder), folder));
            }
            None => {
                files.insert(SortKey::new(below), (below, meta));
            }
        }
    }
    let folders = folders
        .into_iter()
        .map(|(_, name)| Item::Folder(name.to_owned()));
    let files = files.into_values().map(|(name, meta)| Item::File {
        name: name.to_owned(),
        meta: value::meta_or_none(meta),
    });
    exists.then(|| folders.chain(files).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(fields: &[&str], path: &str) -> Option<Vec<String>> {
        let index = fields
            .iter()
            .map(|field| ((*field).to_owned(), "{}".to_owned()))
            .collect();
        let kind = Kind::new("functions").unwrap();
        let items = folder(&index, &kind, &Path::new(path).unwrap())?;
        let name = |item| match item {
            Item::Folder(name) => format!("{name}/"),
            Item::File { name, .. } => name,
        };
        Some(items.into_iter().map(name).collect())
    }

    #[test]
    fn folders_come_first_each_once_and_dotfiles_never() {
        let fields = [
            "functions:b.js",
            "functions:z/1",
            "functions:z/y/2",
            "functions:a/3",
            "functions:.hidden",
            "functions:.git/x",
            "functions:a.js",
            "flows:other.json",
            "functionsx:no",
        ];
        assert_eq!(listed(&fields, "").unwrap(), ["a/", "z/", "a.js", "b.js"]);
        assert_eq!(listed(&fields, "z").unwrap(), ["y/", "1"]);
        assert_eq!(listed(&fields, "z/y/").unwrap(), ["2"]);
        assert_eq!(listed(&fields, ".git").unwrap(), ["x"]);
        assert_eq!(listed(&fields, "none"), None);
        assert_eq!(listed(&fields, "a.js"), None);
    }

    #[test]
    fn a_folder_with_hidden_names_alone_exists_and_is_empty() {
        assert_eq!(listed(&["functions:a/.keep"], "a").unwrap(), [""; 0]);
    }

    #[test]
    fn names_are_sorted_as_javascript_does() {
        // ['\u{ff5e}', '\u{1f600}', 'Z', 'a', 'é'].sort() puts the surrogates of U+1F600 before U+FF5E.
        let fields = [
            "functions:\u{ff5e}",
            "functions:\u{1f600}",
            "functions:é",
            "functions:a",
            "functions:Z",
        ];
        assert_eq!(
            listed(&fields, "").unwrap(),
            ["Z", "a", "é", "\u{1f600}", "\u{ff5e}"]
        );
    }
}
