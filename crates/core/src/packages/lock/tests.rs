use super::*;
use crate::packages::tarball::Digest;

fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

fn path(text: &str) -> PackagePath {
    PackagePath::parse(text).unwrap()
}

fn lock(packages: &serde_json::Value) -> Lock {
    let file = json!({ "lockfileVersion": 3, "packages": packages });
    Lock::from_file(file.to_string().as_bytes()).unwrap()
}

fn paths<'a>(found: impl IntoIterator<Item = &'a PackagePath>) -> Vec<&'a str> {
    found.into_iter().map(PackagePath::as_str).collect()
}

#[test]
fn only_paths_through_node_modules_are_paths() {
    for text in [
        "",
        "a",
        "node_modules",
        "node_modules/",
        "node_modules/../a",
        "/node_modules/a",
        "node_modules/a/b",
        "node_modules/a/node_modules/",
        "node_modules//a",
        "../node_modules/a",
        "node_modules/@a",
        "node_modules/.bin",
    ] {
        assert!(PackagePath::parse(text).is_err(), "{text}");
    }
    assert!(PackagePath::parse(&vec!["node_modules/a"; 40].join("/")).is_err());
    let deep = path("node_modules/a/node_modules/@b/c/node_modules/d");
    assert_eq!(deep.name(), "d");
    assert_eq!(path("node_modules/@b/c").name(), "@b/c");
    let above: Vec<_> = deep.ancestors().collect();
    assert_eq!(
        above,
        [
            path("node_modules/a/node_modules/@b/c"),
            path("node_modules/a")
        ]
    );
}

#[test]
fn what_a_package_needs_is_found_as_node_finds_it() {
    let lock = lock(&json!({
        "": {"dependencies": {"a": "^1"}},
        "node_modules/a": {"version": "1.0.0", "dependencies": {"b": "1", "p": "*"}},
        "node_modules/a/node_modules/b": {"version": "1.0.0", "optionalDependencies": {"c": "1"}},
        "node_modules/b": {"version": "2.0.0"},
        "node_modules/c": {"version": "1.0.0", "peerDependencies": {"d": "1", "absent": "1"}},
        "node_modules/d": {"version": "1.0.0"},
        "node_modules/p": {"version": "1.0.0"},
        "node_modules/p/node_modules/inside": {"version": "1.0.0", "inBundle": true},
        "node_modules/other": {"version": "1.0.0"},
    }));
    assert_eq!(
        paths(lock.needed_by([&name("a")])),
        [
            "node_modules/a",
            "node_modules/a/node_modules/b",
            "node_modules/c",
            "node_modules/d",
            "node_modules/p",
            "node_modules/p/node_modules/inside",
        ]
    );
    assert_eq!(paths(lock.needed_by([&name("absent")])), Vec::<&str>::new());
}

#[test]
fn fields_of_odd_shapes_are_passed_over_and_addresses_never_published() {
    let lock = lock(&json!({
        "node_modules/a": {
            "version": "1.0.0", "engines": ["node >= 0.2"], "bin": "cli.js", "os": "linux",
            "license": "MIT", "integrity": "sha1-AAAA",
        },
    }));
    assert_eq!(
        lock.to_text().unwrap(),
        r#"{"packages":{"node_modules/a":{"version":"1.0.0","integrity":"sha1-AAAA"}}}"#
    );
}

#[test]
fn a_lock_file_of_old_or_no_lock_file_is_refused_with_a_reason() {
    let error = Lock::from_file(br#"{"lockfileVersion":1,"dependencies":{}}"#).unwrap_err();
    assert!(error.message().contains("npm 6"), "{error}");
    assert!(Lock::from_file(b"[]").is_err());
}

#[test]
fn adding_is_told_from_changing() {
    let before = lock(&json!({"node_modules/a": {"version": "1.0.0", "integrity": "sha512-x"}}));
    let added = lock(&json!({
        "node_modules/a": {"version": "1.0.0", "integrity": "sha512-x"},
        "node_modules/b": {"version": "1.0.0"},
        "node_modules/b/node_modules/c": {"version": "1.0.0"},
        "node_modules/a/node_modules/c": {"version": "1.0.0"},
    }));
    assert!(before.is_part_of(&added));
    assert!(!added.is_part_of(&before));
    assert_eq!(
        paths(before.added_by(&added)),
        ["node_modules/a/node_modules/c", "node_modules/b"]
    );
    let other = lock(&json!({"node_modules/a": {"version": "1.0.0", "integrity": "sha512-y"}}));
    assert!(
        !before.is_part_of(&other),
        "other bytes under the same version"
    );
}

#[test]
fn what_npm_installed_must_be_exactly_what_was_locked() {
    let wanted = lock(&json!({
        "node_modules/a": {"version": "1.0.0"},
        "node_modules/o": {"version": "1.0.0", "optional": true},
    }));
    let installed = |packages| lock(&packages);
    assert_eq!(wanted.drift(&wanted), None);
    assert_eq!(
        wanted.drift(&installed(json!({"node_modules/a": {"version": "1.0.0"}}))),
        None
    );
    for (packages, what) in [
        (json!({}), "missing"),
        (
            json!({"node_modules/a": {"version": "1.0.1"}}),
            "1.0.1 instead of 1.0.0",
        ),
        (
            json!({"node_modules/a": {"version": "1.0.0"}, "node_modules/x": {"version": "1.0.0"}}),
            "node_modules/x is there",
        ),
    ] {
        let drift = wanted.drift(&installed(packages)).unwrap();
        assert!(drift.contains(what), "{drift}");
    }
}

/// One entry of a published lock file with this in it.
fn published(more: serde_json::Value) -> Result<Lock> {
    let mut entry = json!({"version": "1.0.0"});
    for (key, value) in more.as_object().unwrap() {
        entry[key] = value.clone();
    }
    Lock::from_store(&json!({"packages": {"node_modules/a": entry}}).to_string())
}

#[test]
fn what_the_store_says_is_untrusted() {
    assert!(published(json!({})).is_ok());
    let hash = Digest::of(b"upload");
    for hostile in [
        json!({"version": "latest"}),
        json!({"version": "1.0.0 --prefix=/"}),
        json!({"link": true}),
        json!({"name": "../x"}),
        json!({"resolved": "http://evil/x.tgz"}),
        json!({"resolved": "file:../../x.tgz"}),
        json!({"resolved": "git+ssh://git@evil/x.git#abc"}),
        json!({"resolved": hash.as_source()}),
        json!({"integrity": "sha512-$(touch x)"}),
        json!({"dependencies": {"b": "git+https://evil/x.git"}}),
        json!({"dependencies": {"b": "file:/etc"}}),
        json!({"optionalDependencies": {"../b": "1"}}),
        json!({"peerDependencies": {"b": "http://evil/x.tgz"}}),
        json!({"bundleDependencies": ["../x"]}),
        json!({"bin": {"a": "../../../bin/sh"}}),
        json!({"bin": {"../../a": "cli.js"}}),
    ] {
        let error = published(hostile.clone()).expect_err(&hostile.to_string());
        assert_eq!(error.code(), Code::ValueDamaged);
        assert!(error.message().contains("node_modules/a"), "{error}");
    }
    for path in ["../x", "node_modules/../../x", "node_modules/-x", "x", ""] {
        let text = json!({"packages": {path: {"version": "1.0.0"}}}).to_string();
        assert!(Lock::from_store(&text).is_err(), "{path:?}");
    }
}
