//! What the benches are told: one JSON object a line on the standard output, sentences on the other.

use std::fmt::Display;
use std::io::Write as _;

use serde::Serialize;

use crate::Result;

/// Something happened, or this is what was measured.
#[derive(Debug, Serialize)]
#[serde(
    tag = "event",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub(crate) enum Event<'told> {
    /// All instances are connected.
    Ready,
    /// The operations begin.
    Begun,
    /// The last operation was answered, or given up.
    Ended,
    /// What came of it.
    Report(&'told crate::load::Summary),
}

/// Tells the bench.
///
/// # Errors
/// It does not listen any more.
pub(crate) fn tell(event: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(event)?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()?;
    Ok(())
}

/// Says why a run ended. Nobody is left to be told where even that fails.
pub(crate) fn complain(failure: &impl Display) {
    let _ = writeln!(std::io::stderr(), "{failure}");
}
