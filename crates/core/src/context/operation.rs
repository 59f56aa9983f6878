//! What a flow can do to a value in one step, as a function from a text to a text.
//!
//! The caller reads the root, applies the operation, and writes what comes out if nobody else wrote in
//! between; otherwise it does so again with the newer root. Sentences of errors say what is there by its
//! kind, never by its content; the caller adds the scope and the key.

use std::fmt;

use super::json::{self, Edit, Kind, Tag, Why};
use super::path::Segment;
use crate::error::{Code, Error, Result};

/// One step on the value at a path. Texts are JSON; `None` is JavaScript's `undefined`, which as a value
/// to put removes what is there, and as an expected one means that nothing is there.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Puts a value there. No result.
    Set(String),
    /// Removes what is there. No result.
    Delete,
    /// Adds to a number; what is not there counts as 0. The result is the sum.
    Increment(f64),
    /// Adds an element to an array, or text to a string; what is not there becomes an array. The result
    /// is the length.
    Append {
        /// What is added.
        value: String,
        /// How many of the last elements of an array are kept.
        limit: Option<usize>,
    },
    /// Puts `value` there if what is there equals `expected`. The result is whether it did.
    CompareAndSet {
        /// What has to be there.
        expected: Option<String>,
        /// What comes in its place.
        value: Option<String>,
    },
    /// Puts a value there. The result is what was there.
    GetAndSet(Option<String>),
    /// Removes what is there if it equals this. The result is whether it did.
    DeleteIf(Option<String>),
}

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What is to become of the root.
    pub root: Change,
    /// What the flow gets, as JSON; `None` is `undefined`.
    pub result: Option<String>,
}

/// What is to become of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is; with the reason where something was to be set and cannot be.
    Keep(Option<Why>),
    /// It becomes this text, with no whitespace around it that was not in a value given to the operation.
    Write(String),
    /// It is removed.
    Remove,
}

/// Applies an operation to the value at `path` in a root; `None` is a root that is not there.
///
/// [`Operation::Set`] below a scalar keeps the root and says why, as Node-RED's own `set` does nothing
/// then. Every other operation that cannot put its value there fails: its result would be a lie.
///
/// # Errors
/// `ValueInvalid` where the operation does not work on what is there, `ValueDamaged` where the root
/// cannot be read, `InvalidRequest` for an index far behind the end of an array.
pub fn apply(operation: &Operation, root: Option<&str>, path: &[Segment]) -> Result<Applied> {
    let place = Place {
        root: root.map(|text| text.trim_matches([' ', '\t', '\r', '\n'])),
        path,
    };
    let (root, result) = match operation {
        Operation::Set(value) => (place.put(value)?, None),
        Operation::Delete => (place.remove()?, None),
        Operation::Increment(by) => {
            let sum = increment(place.value()?, *by)?;
            (place.put_surely(&sum)?, Some(sum))
        }
        Operation::Append { value, limit } => {
            let (appended, length) = append(place.value()?, value, *limit)?;
            (place.put_surely(&appended)?, Some(length.to_string()))
        }
        Operation::CompareAndSet { expected, value } => {
            place.if_equal(expected.as_deref(), value.as_deref())?
        }
        Operation::GetAndSet(value) => {
            let old = place.value()?.map(str::to_owned);
            (place.put_or_remove(value.as_deref())?, old)
        }
        Operation::DeleteIf(expected) => place.if_equal(expected.as_deref(), None)?,
    };
    Ok(Applied { root, result })
}

/// Where an operation works.
struct Place<'operation> {
    root: Option<&'operation str>,
    path: &'operation [Segment],
}

impl<'operation> Place<'operation> {
    /// What is there.
    fn value(&self) -> Result<Option<&'operation str>> {
        match self.root {
            Some(root) => json::get(root, self.path),
            None => Ok(None),
        }
    }

    fn put(&self, value: &str) -> Result<Change> {
        if self.path.is_empty() {
            return Ok(Change::Write(value.to_owned()));
        }
        Ok(match json::set(self.root, self.path, value)? {
            Edit::Text(text) => Change::Write(text),
            Edit::Unchanged(why) => Change::Keep(Some(why)),
        })
    }

    fn put_surely(&self, value: &str) -> Result<Change> {
        match self.put(value)? {
            Change::Keep(Some(why)) => Err(Error::new(
                Code::ValueInvalid,
                format!("the value cannot be set: {why}"),
            )),
            change => Ok(change),
        }
    }

    fn remove(&self) -> Result<Change> {
        match (self.root, self.path) {
            (None, _) => Ok(Change::Keep(None)),
            (Some(_), []) => Ok(Change::Remove),
            (Some(root), path) => Ok(match json::delete(root, path)? {
                Edit::Text(text) => Change::Write(text),
                // Whatever the reason: nothing is there, as was asked for.
                Edit::Unchanged(_) => Change::Keep(None),
            }),
        }
    }

    fn put_or_remove(&self, value: Option<&str>) -> Result<Change> {
        match value {
            Some(value) => self.put_surely(value),
            None => self.remove(),
        }
    }

    fn if_equal(
        &self,
        expected: Option<&str>,
        value: Option<&str>,
    ) -> Result<(Change, Option<String>)> {
        let equal = match (self.value()?, expected) {
            (Some(there), Some(expected)) => json::equal(there, expected)?,
            (there, expected) => there.is_none() && expected.is_none(),
        };
        let change = if equal {
            self.put_or_remove(value)?
        } else {
            Change::Keep(None)
        };
        Ok((change, Some(equal.to_string())))
    }
}

/// The sum as JavaScript prints it.
fn increment(value: Option<&str>, by: f64) -> Result<String> {
    let number = match value {
        None => 0.0,
        Some(text) if json::kind(text)? == Kind::Number => {
            text.parse::<f64>().map_err(|error| {
                Error::new(
                    Code::ValueDamaged,
                    format!("a number cannot be read: {error}"),
                )
            })?
        }
        Some(text) => return Err(unsuitable("increment", "a number", text)),
    };
    let sum = number + by;
    if !sum.is_finite() {
        return Err(Error::new(
            Code::ValueInvalid,
            "the sum is not a finite number, which JSON cannot say",
        ));
    }
    Ok(ryu_js::Buffer::new().format_finite(sum).to_owned())
}

/// What becomes of the value, and its length.
fn append(value: Option<&str>, added: &str, limit: Option<usize>) -> Result<(String, usize)> {
    let Some(text) = value else {
        return json::array_push("[]", added, limit);
    };
    match json::kind(text)? {
        Kind::Array => json::array_push(text, added, limit),
        Kind::String if json::tag(text).is_none() => {
            if json::kind(added)? != Kind::String || json::tag(added).is_some() {
                return Err(Error::new(
                    Code::ValueInvalid,
                    format!(
                        "append to a string needs a string, and {} was given",
                        described(added)?
                    ),
                ));
            }
            let text = json::concatenate(text, added)?;
            let length = json::utf16_length(&text)?;
            Ok((text, length))
        }
        _ => Err(unsuitable("append", "an array or a string", text)),
    }
}

fn unsuitable(operation: &str, needed: &str, there: &str) -> Error {
    match described(there) {
        Ok(there) => Error::new(
            Code::ValueInvalid,
            format!("{operation} needs {needed}, and {there} is there"),
        ),
        Err(error) => error,
    }
}

/// What a value is to the user, with an article.
fn described(text: &str) -> Result<impl fmt::Display> {
    Ok(match json::tag(text) {
        Some(Tag::Buffer) => "a Buffer".to_owned(),
        Some(Tag::Date) => "a Date".to_owned(),
        None => json::kind(text)?.to_string(),
    })
}

#[cfg(test)]
mod tests;
