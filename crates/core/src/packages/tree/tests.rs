//! Trees on a real disk; what npm builds is put there by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::links::{Links, lacking, link};
use super::*;
use crate::packages::list::PackageList;
use crate::packages::store::Head;

struct User {
    directory: tempfile::TempDir,
}

fn user() -> User {
    let directory = tempfile::tempdir().unwrap();
    User { directory }
}

impl User {
    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn tree(&self) -> Tree {
        Tree::open(
            self.directory.path(),
            &self.path("own/packages"),
            Opening::AtStart,
        )
        .unwrap()
        .0
    }

    fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The version of a package as Node.js finds it from the user directory.
    fn version(&self, name: &str) -> Option<String> {
        let text = fs::read(self.path(&format!("node_modules/{name}/package.json"))).ok()?;
        let manifest: Value = serde_json::from_slice(&text).unwrap();
        Some(manifest["version"].as_str().unwrap().to_owned())
    }

    fn dependencies(&self) -> BTreeMap<String, String> {
        crate::packages::snapshot::dependencies(self.directory.path()).unwrap()
    }
}

fn published(number: u64, packages: &[(&str, &str)]) -> Published {
    let list: serde_json::Map<String, Value> = packages
        .iter()
        .map(|(name, version)| ((*name).to_owned(), json!({ "version": version })))
        .collect();
    let lock: serde_json::Map<String, Value> = packages
        .iter()
        .map(|(name, version)| {
            (
                format!("node_modules/{name}"),
                json!({ "version": version }),
            )
        })
        .collect();
    Published {
        head: Head {
            number,
            id: format!("id {number}"),
            hash: String::new(),
            time: String::new(),
            instance: String::new(),
        },
        list: PackageList::from_store(&json!({ "packages": list }).to_string()).unwrap(),
        lock: Lock::from_store(&json!({ "packages": lock }).to_string()).unwrap(),
    }
}

/// A stage, built as npm builds it.
fn built(tree: &Tree, published: &Published) -> Stage {
    let stage = tree.begin(published, &published.lock).unwrap();
    let mut record = serde_json::Map::new();
    for (path, entry) in published.lock.iter() {
        let folder = path.below(stage.folder());
        let file = folder.join("package.json");
        let text =
            json!({"name": path.name(), "version": entry.version, "node-red": {}}).to_string();
        if fs::read_to_string(&file).ok().as_ref() != Some(&text) {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(file, text).unwrap();
        }
        record.insert(
            path.as_str().to_owned(),
            json!({ "version": entry.version }),
        );
    }
    let record = json!({"lockfileVersion": 3, "packages": record}).to_string();
    fs::create_dir_all(stage.folder().join(MODULES)).unwrap();
    fs::write(stage.folder().join(MODULES).join(HIDDEN_LOCK), record).unwrap();
    stage.finish(published).unwrap();
    stage
}

fn link_all(tree: &Tree) -> Links {
    link(tree, &tree.installed().unwrap().list).unwrap()
}

#[test]
fn packages_that_are_added_are_there_at_once_and_the_others_untouched() {
    let user = user();
    let tree = user.tree();
    let first = published(1, &[("a", "1.0.0")]);
    tree.add(built(&tree, &first), &first).unwrap();
    link_all(&tree);
    assert_eq!(user.version("a").as_deref(), Some("1.0.0"));
    user.write(
        "own/packages/tree/node_modules/a/kept",
        "by the running process",
    );
    let second = published(2, &[("a", "1.0.0"), ("@s/b", "2.0.0")]);
    tree.add(built(&tree, &second), &second).unwrap();
    assert_eq!(link_all(&tree), Links::default());
    assert_eq!(user.version("@s/b").as_deref(), Some("2.0.0"));
    assert!(user.path("node_modules/a/kept").exists());
    assert_eq!(tree.installed(), Some(second));
    let names: Vec<_> = fs::read_dir(user.path("own/packages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(STAGE) || name.starts_with(OLD))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_change_waits_for_the_next_start_and_runs_then() {
    let user = user();
    let tree = user.tree();
    let first = published(1, &[("a", "1.0.0"), ("gone", "1.0.0")]);
    tree.add(built(&tree, &first), &first).unwrap();
    link_all(&tree);
    let second = published(2, &[("a", "2.0.0")]);
    tree.leave_for_next(built(&tree, &second)).unwrap();
    assert_eq!(
        user.version("a").as_deref(),
        Some("1.0.0"),
        "what runs stays"
    );
    assert_eq!(tree.next(), Some(second.clone()));
    drop(tree);
    let tree = user.tree();
    assert_eq!((tree.installed(), tree.next()), (Some(second), None));
    link_all(&tree);
    assert_eq!(user.version("a").as_deref(), Some("2.0.0"));
    assert_eq!(user.version("gone"), None);
    assert_eq!(
        user.dependencies(),
        BTreeMap::from([("a".into(), "2.0.0".into())])
    );
}

#[test]
fn whatever_a_process_left_half_done_is_of_no_consequence() {
    let user = user();
    let tree = user.tree();
    let first = published(1, &[("a", "1.0.0")]);
    tree.add(built(&tree, &first), &first).unwrap();
    let second = published(2, &[("a", "2.0.0")]);
    let stage = tree.begin(&second, &second.lock).unwrap();
    assert!(stage.finish(&second).is_err(), "npm did nothing");
    drop(tree);
    // Killed between the two renames of a swap.
    let tree = user.tree();
    tree.leave_for_next(built(&tree, &second)).unwrap();
    fs::rename(
        user.path("own/packages/tree"),
        user.path("own/packages/old-x"),
    )
    .unwrap();
    drop(tree);
    let tree = user.tree();
    assert_eq!(tree.installed(), Some(second));
    assert!(!user.path("own/packages/old-x").exists());
    // A tree that was never finished is no next one.
    user.write("own/packages/next/package.json", "{}");
    drop(tree);
    assert_eq!(user.tree().installed().unwrap().head.number, 2);
}

#[test]
fn files_of_the_running_tree_do_not_change_with_its_copy() {
    let user = user();
    let tree = user.tree();
    let first = published(1, &[("a", "1.0.0"), ("b", "1.0.0")]);
    tree.add(built(&tree, &first), &first).unwrap();
    let before = fs::read(user.path("own/packages/tree/node_modules/.package-lock.json")).unwrap();
    let second = published(2, &[("a", "2.0.0"), ("b", "1.0.0")]);
    let stage = built(&tree, &second);
    assert_eq!(
        fs::read(user.path("own/packages/tree/node_modules/.package-lock.json")).unwrap(),
        before
    );
    assert!(stage.folder().join("node_modules/b/package.json").exists());
    let file = user.path("own/packages/tree/node_modules/a/package.json");
    assert!(fs::read_to_string(file).unwrap().contains("1.0.0"));
}

#[test]
fn what_belongs_to_the_owner_stays_as_it_is() {
    let user = user();
    let text = "{\n  \"name\": \"mine\",\n  \"scripts\": {\"x\": \"y\"},\n  \"dependencies\": {\"own\": \"^1.0.0\", \"same\": \"1.0.0\"}\n}";
    user.write("package.json", text);
    user.write("node_modules/own/package.json", r#"{"version":"1.5.0"}"#);
    user.write("node_modules/same/package.json", r#"{"version":"1.0.0"}"#);
    user.write("node_modules/nested/package.json", r#"{"version":"3.0.0"}"#);
    let tree = user.tree();
    let list = [
        ("own", "2.0.0"),
        ("same", "1.0.0"),
        ("nested", "1.0.0"),
        ("new", "1.0.0"),
    ];
    let first = published(1, &list);
    tree.add(built(&tree, &first), &first).unwrap();
    let links = link_all(&tree);
    let conflicts: Vec<_> = links.conflicts.keys().map(PackageName::as_str).collect();
    assert_eq!(conflicts, ["nested", "own"]);
    assert!(
        links
            .conflicts
            .values()
            .all(|why| why.contains("left alone"))
    );
    assert_eq!(user.version("own").as_deref(), Some("1.5.0"));
    assert_eq!(user.version("nested").as_deref(), Some("3.0.0"));
    assert_eq!(user.version("new").as_deref(), Some("1.0.0"));
    let manifest = fs::read_to_string(user.path("package.json")).unwrap();
    assert!(manifest.contains(r#""scripts": {"x": "y"}"#), "{manifest}");
    let expected = [("own", "^1.0.0"), ("same", "1.0.0"), ("new", "1.0.0")];
    let expected = expected.map(|(name, version)| (name.to_owned(), version.to_owned()));
    assert_eq!(user.dependencies(), BTreeMap::from(expected));
    // Everything of the cluster goes, and nothing else.
    let nothing = published(2, &[]);
    tree.leave_for_next(built(&tree, &nothing)).unwrap();
    drop(tree);
    link_all(&user.tree());
    assert_eq!(user.version("new"), None);
    assert_eq!(user.version("same").as_deref(), Some("1.0.0"));
    assert_eq!(user.dependencies().len(), 2);
    assert_eq!(
        lacking(user.directory.path(), vec!["new".into(), "own".into()]).unwrap(),
        ["new"]
    );
}

#[test]
fn a_copy_that_npm_put_in_the_place_of_a_link_is_a_link_again() {
    let user = user();
    let tree = user.tree();
    let first = published(1, &[("a", "1.0.0")]);
    tree.add(built(&tree, &first), &first).unwrap();
    link_all(&tree);
    assert!(
        user.path("package-lock.json").exists(),
        "npm by hand must not work inside the tree"
    );
    fs::remove_file(user.path("node_modules/a")).unwrap();
    user.write(
        "node_modules/a/package.json",
        r#"{"version":"1.0.0","copy":true}"#,
    );
    let second = published(2, &[("a", "2.0.0")]);
    tree.leave_for_next(built(&tree, &second)).unwrap();
    drop(tree);
    assert_eq!(link_all(&user.tree()), Links::default());
    assert_eq!(user.version("a").as_deref(), Some("2.0.0"));
}

#[test]
fn two_processes_never_work_in_one_folder() {
    let user = user();
    let _first = user.tree();
    let error = Tree::open(
        user.directory.path(),
        &user.path("own/packages"),
        Opening::AtStart,
    )
    .unwrap_err();
    assert!(
        error.message().contains("user directory of its own"),
        "{error}"
    );
}

#[test]
fn only_modules_of_node_red_are_loaded_by_it() {
    let user = user();
    let tree = user.tree();
    let first = published(1, &[("nodes", "1.0.0"), ("plain", "1.0.0")]);
    tree.add(built(&tree, &first), &first).unwrap();
    user.write(
        "own/packages/tree/node_modules/plain/package.json",
        r#"{"version":"1.0.0"}"#,
    );
    let modules = tree.node_red_modules(first.list.packages.keys());
    assert_eq!(
        modules.iter().map(PackageName::as_str).collect::<Vec<_>>(),
        ["nodes"]
    );
}
