//! Reading and changing JSON text without building values: what is not addressed keeps every byte, so
//! numbers, the order of names, odd spellings and lone surrogates survive, and a change costs one pass.
//!
//! - [`check`]: is this JSON at all
//! - [`get`], [`set`], [`delete`]: the value at a path, with the semantics of Node-RED's `util`
//! - [`equal`]: are two texts the same value
//! - [`array_push`], [`concatenate`]: adding to an array, to a string
//!
//! The texts come from a store that others write to. Damage that stands in the way is an error; what
//! is only skipped on the way is not examined, [`check`] does that. Nothing here recurses: the depth of
//! a value costs memory for the part that a path walks through, never stack.

mod array;
mod check;
mod edit;
mod equal;
mod locate;
mod scan;
mod string;
#[cfg(test)]
mod tests;

use std::fmt;

pub use array::array_push;
pub use check::check;
pub use edit::{delete, set};
pub use equal::equal;
pub use string::{Tag, concatenate, quote, tag, utf16_length};

use super::path::Segment;
use crate::error::{Code, Error, Result};
use locate::{Place, locate};
use scan::Damaged;

/// What a change of a text came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The text afterwards.
    Text(String),
    /// There is nothing to write.
    Unchanged(Why),
}

/// Why there is nothing to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// What was to be deleted is not there.
    Missing,
    /// The place is below a value of this kind, which holds no others.
    BelowScalar(Kind),
    /// The place is a property of an array that is no element of it, which JSON cannot say.
    NamedPropertyOfArray,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Missing => formatter.write_str("there is nothing at that place"),
            Why::BelowScalar(kind) => {
                write!(
                    formatter,
                    "the place is below {kind}, which holds no properties"
                )
            }
            Why::NamedPropertyOfArray => {
                formatter.write_str("the place is below an array, where only elements are kept")
            }
        }
    }
}

/// The kind of a JSON value; its display form has an article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        })
    }
}

/// The kind of the value that `text` is, judged by its first character.
///
/// # Errors
/// `ValueDamaged` where no JSON value begins.
pub fn kind(text: &str) -> Result<Kind> {
    let bytes = text.as_bytes();
    Ok(scan::kind(bytes, scan::whitespace(bytes, 0))?)
}

/// The text of the value at `path`, without the whitespace around it; `None` where there is none.
///
/// Of a name that stands several times in an object the last one counts, as in JavaScript.
///
/// # Errors
/// `ValueDamaged` where the text cannot be read up to there.
pub fn get<'text>(text: &'text str, path: &[Segment]) -> Result<Option<&'text str>> {
    Ok(match locate(text, path)?.place {
        Place::Value(span) => Some(&text[span]),
        _ => None,
    })
}

impl From<Damaged> for Error {
    fn from(Damaged(at): Damaged) -> Self {
        Error::new(
            Code::ValueDamaged,
            format!("the text is not well-formed JSON at byte {at}"),
        )
    }
}
