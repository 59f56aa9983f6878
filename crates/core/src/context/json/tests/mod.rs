//! Text in, text out; the properties compare with a model that works on values.

mod editing;
mod properties;
mod reading;

use super::*;
use crate::context::path::Path;

/// The way into a root that stands for the expression's first segment.
fn path(expression: &str) -> Vec<Segment> {
    Path::parse(&format!("root{expression}"))
        .unwrap_or_else(|error| panic!("{expression}: {error}"))
        .rest()
        .to_vec()
}

fn after(edit: Result<Edit>) -> String {
    match edit {
        Ok(Edit::Text(text)) => text,
        other => panic!("no text: {other:?}"),
    }
}

fn reason(edit: Result<Edit>) -> Why {
    match edit {
        Ok(Edit::Unchanged(why)) => why,
        other => panic!("no reason: {other:?}"),
    }
}
