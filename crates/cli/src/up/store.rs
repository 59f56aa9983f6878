//! The store that `up` runs itself: which program, on which port, how.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use crate::failure::Failure;

use super::child::ChildPlan;
use super::directory::Directory;
use super::readiness::Readiness;
use super::store_url::StoreUrl;

/// The name of the store among the children.
pub(super) const NAME: &str = "store";

/// Where `redis-cli` and its like look for a store when told nothing.
const USUAL_PORT: u16 = 6379;
/// Ports after the usual one that are tried before any free one is taken.
const PORTS_TRIED: u16 = 20;
/// How long the store may take to save what it has.
const PATIENCE: Duration = Duration::from_secs(60);

/// Finds the server program: named by an environment variable, on PATH, or brought by the set-up
/// of this package's repository.
pub(super) fn program(environment: &Environment) -> Result<PathBuf, Failure> {
    if let Some(named) = environment.variable("NODE_RED_CLUSTER_STORE") {
        let path = environment.working_directory.join(named);
        return if is_program(&path) {
            Ok(path)
        } else {
            Err(Failure::Refused(format!(
                "NODE_RED_CLUSTER_STORE names {}, which is no program. Let it name a \
                 valkey-server or redis-server, or unset it.",
                path.display(),
            )))
        };
    }
    let suffix = std::env::consts::EXE_SUFFIX;
    let folders: Vec<PathBuf> = environment
        .variable("PATH")
        .map(|path| std::env::split_paths(path).collect())
        .unwrap_or_default();
    let brought = environment.package_root.join(".cache").join("store");
    ["valkey-server", "redis-server"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .chain([brought.join("valkey-server")])
        .map(|path| {
            let mut name = path.into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        })
        .find(|path| is_program(path))
        .ok_or_else(|| {
            Failure::Refused(
                "No Valkey or Redis server was found on PATH. Install one (Debian and Ubuntu: \
                 apt install valkey-server, or redis-server; macOS: brew install valkey), name \
                 the program in NODE_RED_CLUSTER_STORE, or give the URL of a running store with \
                 --url."
                    .to_owned(),
            )
        })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| {
        #[cfg(unix)]
        let executable =
            std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
        #[cfg(not(unix))]
        let executable = true;
        metadata.is_file() && executable
    })
}

/// Chooses a port and remembers it: the one of the last run if it is free, else the usual one,
/// else one near it. A port in use is left to whoever uses it. `reserved` are the ports that the
/// instances will take.
pub(super) fn choose_port(directory: &Directory, reserved: &[u16]) -> Result<u16, Failure> {
    let file = directory.store_port();
    let last = fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.trim().parse::<u16>().ok());
    let port = last
        .into_iter()
        .chain(USUAL_PORT..USUAL_PORT + PORTS_TRIED)
        .filter(|port| !reserved.contains(port))
        .find_map(free_port)
        .or_else(|| {
            (0..PORTS_TRIED).find_map(|_| free_port(0).filter(|port| !reserved.contains(port)))
        })
        .ok_or_else(|| {
            Failure::Refused(
                "No free port was found for the store on 127.0.0.1. Free one, or give the URL of \
                 a running store with --url."
                    .to_owned(),
            )
        })?;
    directory.write(&file, &port.to_string())?;
    Ok(port)
}

/// The port if it is free; any free one for 0.
fn free_port(port: u16) -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    listener.local_addr().ok().map(|address| address.port())
}

/// How to run the store: reachable from this machine only, every write in its append-only file.
pub(super) fn child(
    program: PathBuf,
    port: u16,
    directory: &Directory,
    label: String,
) -> ChildPlan {
    let port_text = port.to_string();
    let arguments = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port_text,
        "--daemonize",
        "no",
        // The data directory is the working directory.
        "--appendonly",
        "yes",
        "--save",
        "",
        "--loglevel",
        "warning",
    ];
    ChildPlan {
        name: NAME.to_owned(),
        label,
        program,
        arguments: arguments.iter().map(OsString::from).collect(),
        working_directory: directory.store(),
        pid_file: directory.pid_file(NAME),
        readiness: Readiness::Store(StoreUrl::of_own(port)),
        attempts: 1,
        patience: PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(place: &Path) -> Environment {
        Environment {
            node: "node".into(),
            package_root: place.join("package"),
            working_directory: place.to_owned(),
            node_red: None,
            standard_output: Default::default(),
            variables: [("PATH".to_owned(), place.join("bin").display().to_string())].into(),
        }
    }

    #[cfg(unix)]
    fn install(path: &Path) {
        fs::create_dir_all(path.parent().expect("not the root")).expect("writable");
        fs::write(path, "#!/bin/sh\n").expect("writable");
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, permissions).expect("own file");
    }

    #[cfg(unix)]
    #[test]
    fn the_variable_wins_over_path_and_path_over_what_set_up_brought() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let mut environment = environment(place.path());
        let refusal = program(&environment)
            .expect_err("nothing there")
            .to_string();
        assert!(refusal.contains("--url"), "{refusal}");

        let brought = place.path().join("package/.cache/store/valkey-server");
        let redis = place.path().join("bin/redis-server");
        let valkey = place.path().join("bin/valkey-server");
        let named = place.path().join("named");
        for program_path in [brought, redis, valkey] {
            install(&program_path);
            assert_eq!(program(&environment).expect("found"), program_path);
        }
        environment
            .variables
            .insert("NODE_RED_CLUSTER_STORE".to_owned(), "named".to_owned());
        let refusal = program(&environment).expect_err("not there").to_string();
        assert!(refusal.contains("which is no program"), "{refusal}");
        install(&named);
        assert_eq!(program(&environment).expect("found"), named);
    }

    #[test]
    fn the_port_of_the_last_run_is_kept_unless_somebody_has_it() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::at(place.path().to_owned());
        let _hold = directory.hold().expect("free");
        let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let last = stranger.local_addr().expect("bound").port();
        fs::write(directory.store_port(), last.to_string()).expect("writable");

        let other = choose_port(&directory, &[]).expect("others are free");
        assert_ne!(other, last);
        assert_ne!(choose_port(&directory, &[other]).expect("free"), other);

        drop(stranger);
        fs::write(directory.store_port(), last.to_string()).expect("writable");
        assert_eq!(choose_port(&directory, &[]).expect("free"), last);
    }
}
