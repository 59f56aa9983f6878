//! Reads how packages are published and followed.

use super::source::Source;
use super::value::Given;
use crate::config::{ConfigError, InstallScripts, PackageSource, PackagesConfig, RestartPolicy};

/// The options of packages.
pub(super) fn read_packages(source: &Source<'_>) -> Result<PackagesConfig, ConfigError> {
    let ignore_scripts = source.boolean("ignoreScripts")?.unwrap_or(false);
    Ok(PackagesConfig {
        sync: source.boolean("syncPackages")?.unwrap_or(true),
        source: match source.given("packageSource") {
            Given::Nothing | Given::Text("registry") => PackageSource::Registry,
            Given::Text("store") => PackageSource::Store,
            _ => {
                let remedy = "set it to 'registry', or to 'store' where workers reach no registry";
                return Err(source.refuse("packageSource", remedy));
            }
        },
        restart: match source.given("restartPolicy") {
            Given::Nothing | Given::Text("exit") => RestartPolicy::Exit,
            Given::Text("manual") => RestartPolicy::Manual,
            _ => {
                let remedy = "set it to 'exit' where something starts the worker again when it \
                              ends, or to 'manual' to restart it yourself";
                return Err(source.refuse("restartPolicy", remedy));
            }
        },
        scripts: if ignore_scripts {
            InstallScripts::Ignore
        } else {
            InstallScripts::Run
        },
    })
}
