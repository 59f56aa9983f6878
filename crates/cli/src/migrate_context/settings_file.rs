//! The `valkey` block of a settings.js, which only Node.js can read.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::process::Command;
use tokio::time::timeout;

use crate::environment::Environment;
use crate::failure::Failure;

/// How long the file may take to be loaded.
const LOAD_LIMIT: Duration = Duration::from_secs(30);

/// Loads the file as Node-RED does and prints its block in the last line, as what is loaded may
/// print too and may keep the process alive.
const LOADER: &str = "\
const [file, describer] = process.argv.slice(1);
const { describeBlock } = require(describer);
const block = describeBlock(require(file).valkey ?? null);
process.stdout.write('\\n' + block, () => process.exit(0));
";

/// The block as JSON; what JSON cannot say is described as for an instance.
pub(super) async fn valkey_block(
    file: &Path,
    environment: &Environment,
) -> Result<Map<String, Value>, Failure> {
    let file = environment.working_directory.join(file);
    let refused = |why: String| Failure::Refused(format!("--settings {}: {why}", file.display()));
    if !file.is_file() {
        return Err(refused("there is no such file".to_owned()));
    }
    let mut loader = Command::new(&environment.node);
    loader
        .arg("-e")
        .arg(LOADER)
        .arg(&file)
        .arg(
            environment
                .package_root
                .join("node")
                .join("settings-block.js"),
        )
        .current_dir(&environment.working_directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(LOAD_LIMIT, loader.output())
        .await
        .map_err(|_| refused(format!("it was not loaded within {LOAD_LIMIT:?}")))?
        .map_err(|error| refused(format!("Node.js did not start: {error}")))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(refused(format!(
            "it cannot be loaded:\n{}",
            words.trim_end()
        )));
    }
    let block = String::from_utf8_lossy(&output.stdout);
    let block = block.rsplit('\n').next().unwrap_or_default();
    match serde_json::from_str(block) {
        Ok(Value::Object(block)) => Ok(block),
        _ => Err(refused("it has no `valkey` block".to_owned())),
    }
}
