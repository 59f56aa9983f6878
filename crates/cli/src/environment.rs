//! What the JavaScript side tells the command line about the machine that it runs on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The surroundings of one command, as JSON in camelCase:
///
/// ```json
/// {"node": "/usr/bin/node", "packageRoot": "/app/node_modules/node-red-cluster",
///  "workingDirectory": "/app", "nodeRed": "/app/node_modules/node-red/red.js",
///  "standardOutput": {"terminal": true, "width": 120},
///  "variables": {"PATH": "/usr/bin"}}
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// The Node.js executable that runs the instances.
    pub node: PathBuf,
    /// The directory of the npm package, with its `node/storage.js`.
    pub package_root: PathBuf,
    /// The directory that relative paths in the arguments start from.
    pub working_directory: PathBuf,
    /// Node-RED's `red.js`; `None` when no Node-RED was found.
    pub node_red: Option<PathBuf>,
    /// What standard output is connected to.
    pub standard_output: StandardOutput,
    /// Environment variables of the process; those used are `PATH`, `NO_COLOR`, `FORCE_COLOR`,
    /// `TERM` and `NODE_RED_CLUSTER_STORE`.
    pub variables: BTreeMap<String, String>,
}

impl Environment {
    /// The value of an environment variable; one set to nothing counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// What standard output is connected to.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StandardOutput {
    /// Whether it is a terminal and not a file or a pipe.
    pub terminal: bool,
    /// Columns of the terminal, where known.
    pub width: Option<usize>,
}
