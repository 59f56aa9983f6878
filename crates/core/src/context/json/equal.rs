//! Whether two texts are the same value to JavaScript.

use std::borrow::Cow;

use super::Kind;
use super::scan::{Damaged, Members, Scan, Step, kind, scalar_end, string_end, whitespace};
use super::string::unescape;
use crate::error::Result;

/// Whether two texts are the same value after JSON.parse: numbers by value, strings by what they stand
/// for, objects whatever the order of their names, of several equal names the last one.
///
/// # Errors
/// `ValueDamaged` where one of the texts cannot be read; texts that are the same are not looked into.
pub fn equal(one: &str, other: &str) -> Result<bool> {
    if one == other {
        return Ok(true);
    }
    Ok(same(&values(one)?, &values(other)?))
}

/// A value of a text; what it holds is named by its place in the list of all values.
#[derive(Debug, PartialEq)]
enum Value<'text> {
    Null,
    Boolean(bool),
    Number(f64),
    String(Cow<'text, [u8]>),
    Array(Vec<usize>),
    /// Sorted by name.
    Object(Vec<(Cow<'text, [u8]>, usize)>),
}

/// Compares the first values of two lists.
fn same(one: &[Value<'_>], other: &[Value<'_>]) -> bool {
    let mut pairs = vec![(0, 0)];
    while let Some((left, right)) = pairs.pop() {
        match (&one[left], &other[right]) {
            (Value::Array(left), Value::Array(right)) => {
                if left.len() != right.len() {
                    return false;
                }
                pairs.extend(left.iter().copied().zip(right.iter().copied()));
            }
            (Value::Object(left), Value::Object(right)) => {
                if left.len() != right.len() {
                    return false;
                }
                for ((left_name, left), (right_name, right)) in left.iter().zip(right) {
                    if left_name != right_name {
                        return false;
                    }
                    pairs.push((*left, *right));
                }
            }
            (left, right) => {
                if left != right {
                    return false;
                }
            }
        }
    }
    true
}

/// An array or object that is being read.
struct Open<'text> {
    members: Members<'text>,
    /// Its place in the list.
    place: usize,
    /// The name of the member that is being read.
    name: Cow<'text, [u8]>,
}

/// Every value of a text, the outermost first.
fn values(text: &str) -> Scan<Vec<Value<'_>>> {
    let bytes = text.as_bytes();
    let mut values = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = whitespace(bytes, 0);
    loop {
        let place = values.len();
        if let Some(parent) = open.last_mut() {
            match &mut values[parent.place] {
                Value::Array(elements) => elements.push(place),
                Value::Object(properties) => {
                    properties.push((std::mem::take(&mut parent.name), place));
                }
                _ => return Err(Damaged(at)),
            }
        }
        let kind = kind(bytes, at)?;
        if matches!(kind, Kind::Array | Kind::Object) {
            values.push(match kind {
                Kind::Array => Value::Array(Vec::new()),
                _ => Value::Object(Vec::new()),
            });
            open.push(Open {
                members: Members::of(bytes, at),
                place,
                name: Cow::default(),
            });
        } else {
            let (value, end) = scalar(text, at, kind)?;
            values.push(value);
            at = end;
            if let Some(parent) = open.last_mut() {
                parent.members.passed(end);
            }
        }
        // Go on to the next value, or out of everything.
        loop {
            let Some(innermost) = open.last_mut() else {
                let end = whitespace(bytes, at);
                return if end == bytes.len() {
                    Ok(values)
                } else {
                    Err(Damaged(end))
                };
            };
            match innermost.members.step()? {
                Step::Member(member) if innermost.members.is_object() => {
                    let (raw, value) = innermost.members.name_at(member)?;
                    innermost.name = characters(&bytes[raw])?;
                    at = value;
                    break;
                }
                Step::Member(member) => {
                    at = member;
                    break;
                }
                Step::End(end) => {
                    if let Value::Object(properties) = &mut values[innermost.place] {
                        sort(properties);
                    }
                    at = end;
                    open.pop();
                    if let Some(parent) = open.last_mut() {
                        parent.members.passed(end);
                    }
                }
            }
        }
    }
}

/// Sorts by name; of equal names the last one stays.
fn sort(properties: &mut Vec<(Cow<'_, [u8]>, usize)>) {
    // Backwards and stable: `dedup_by` keeps the first of equals.
    properties.reverse();
    properties.sort_by(|(one, _), (other, _)| one.cmp(other));
    properties.dedup_by(|(one, _), (other, _)| one == other);
}

/// The value at `at` that holds no others, and where it ends.
fn scalar(text: &str, at: usize, kind: Kind) -> Scan<(Value<'_>, usize)> {
    let bytes = text.as_bytes();
    let (value, end) = match kind {
        Kind::String => {
            let end = string_end(bytes, at)?;
            (Value::String(characters(&bytes[at + 1..end - 1])?), end)
        }
        _ => {
            let end = scalar_end(bytes, at)?;
            let value = match kind {
                Kind::Boolean => Value::Boolean(bytes[at] == b't'),
                Kind::Number => Value::Number(text[at..end].parse().map_err(|_| Damaged(at))?),
                _ => Value::Null,
            };
            (value, end)
        }
    };
    Ok((value, end))
}

/// The characters for which what stands between two quotes stands.
fn characters(raw: &[u8]) -> Scan<Cow<'_, [u8]>> {
    Ok(if raw.contains(&b'\\') {
        Cow::Owned(unescape(raw)?)
    } else {
        Cow::Borrowed(raw)
    })
}
