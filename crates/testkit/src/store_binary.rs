//! Finds the server binary: `NODE_RED_CLUSTER_STORE`, then `PATH`, then what set-up brought.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Names looked for on `PATH`, the preferred one first.
const NAMES: [&str; 2] = ["valkey-server", "redis-server"];

/// Where set-up puts a server, relative to the root of the repository.
const FROM_SETUP: &str = ".cache/store/valkey-server";

/// Path of the server binary that tests run.
///
/// # Errors
/// [`Error::NotExecutable`] when the environment names a file that cannot be run,
/// [`Error::NoServerBinary`] when there is none anywhere.
pub(crate) fn find() -> Result<PathBuf> {
    find_in(
        env::var_os("NODE_RED_CLUSTER_STORE").as_deref(),
        env::var_os("PATH").as_deref(),
        Path::new(env!("CARGO_MANIFEST_DIR")),
    )
}

fn find_in(named: Option<&OsStr>, path: Option<&OsStr>, start: &Path) -> Result<PathBuf> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        // Never another server than the one asked for: the run would test the wrong version.
        return if is_executable(&named) {
            Ok(named)
        } else {
            Err(Error::NotExecutable { path: named })
        };
    }
    let folders: Vec<PathBuf> = path
        .map(|path| env::split_paths(path).collect())
        .unwrap_or_default();
    NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .chain(start.ancestors().map(|folder| folder.join(FROM_SETUP)))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| Error::NoServerBinary {
            searched_from: start.to_owned(),
        })
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn executable(path: &Path) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("create the folder");
        fs::write(path, "").expect("write the file");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("make it executable");
    }

    #[test]
    fn the_variable_wins_then_the_path_then_what_setup_brought() {
        let root = tempfile::tempdir().expect("temporary directory");
        let root = root.path();
        let start = root.join("crates/testkit");
        let from_setup = root.join(FROM_SETUP);
        let on_path = root.join("bin/redis-server");
        let preferred = root.join("sbin/valkey-server");
        let named = root.join("mine");
        let path = env::join_paths([root.join("bin"), root.join("sbin")]).expect("join paths");

        executable(&from_setup);
        assert_eq!(
            find_in(None, Some(&path), &start).expect("set-up's"),
            from_setup
        );
        executable(&on_path);
        assert_eq!(find_in(None, Some(&path), &start).expect("PATH's"), on_path);
        executable(&preferred);
        assert_eq!(
            find_in(None, Some(&path), &start).expect("valkey first"),
            preferred
        );
        executable(&named);
        assert_eq!(
            find_in(Some(named.as_os_str()), Some(&path), &start).expect("named"),
            named
        );
    }

    #[test]
    fn a_named_file_that_cannot_run_is_an_error_and_nothing_else_is_taken() {
        let root = tempfile::tempdir().expect("temporary directory");
        executable(&root.path().join(FROM_SETUP));
        let named = root.path().join("absent");
        let error = find_in(Some(named.as_os_str()), None, root.path()).expect_err("must fail");
        assert!(matches!(error, Error::NotExecutable { path } if path == named));
    }

    #[test]
    fn without_any_server_the_error_says_what_to_type() {
        let root = tempfile::tempdir().expect("temporary directory");
        let plain = root.path().join("valkey-server");
        fs::write(&plain, "not executable").expect("write the file");
        let path = env::join_paths([root.path()]).expect("join paths");
        let error = find_in(None, Some(&path), root.path()).expect_err("must fail");
        assert!(error.to_string().contains("npm run setup"), "{error}");
    }
}
