//! Setting and deleting the value at a path, with the semantics of Node-RED's `util.setObjectProperty`.

use std::ops::Range;

use super::locate::{Gap, Place, locate};
use super::scan::{Members, Scan, Step, kind, value_end};
use super::string::{is_name, quote};
use super::{Edit, Kind, Why};
use crate::context::path::Segment;
use crate::error::{Code, Error, Result};

/// How many elements one change may fill with `null` before the one that it sets: JavaScript's arrays
/// may have holes, a JSON text spells each of them out.
const MOST_HOLES: u64 = 1_000_000;

/// Puts `value`, a JSON text, where `path` leads; `None` is a root that is not there yet.
///
/// What is missing on the way is created: an array before an index, an object before a name. An array
/// that is too short is filled with `null`. Below a scalar, and as a property of an array that is no
/// element, nothing is set.
///
/// # Errors
/// `ValueDamaged` where the text cannot be read, `InvalidRequest` for an index that is so far behind
/// the end of an array that filling it would be a mistake.
pub fn set(text: Option<&str>, path: &[Segment], value: &str) -> Result<Edit> {
    let Some(text) = text else {
        limit_holes(0, path)?;
        let mut created = String::with_capacity(value.len() + 64);
        create(path, value, &mut created);
        return Ok(Edit::Text(created));
    };
    let location = locate(text, path)?;
    let missing = &path[location.resolved..];
    let changed = match (location.place, missing) {
        (Place::NoProperty(gap), [name, rest @ ..]) => {
            limit_holes(0, rest)?;
            put_in(text, gap, value.len(), |json| {
                quote(&name.name(), json);
                json.push(':');
                create(rest, value, json);
            })
        }
        (Place::NoElement(gap, holes), [_, rest @ ..]) => {
            limit_holes(holes, rest)?;
            put_in(text, gap, value.len(), |json| {
                fill(holes, json);
                create(rest, value, json);
            })
        }
        (Place::NamedPropertyOfArray, _) => return Ok(Edit::Unchanged(Why::NamedPropertyOfArray)),
        (Place::Scalar(kind), _) => return Ok(Edit::Unchanged(Why::BelowScalar(kind))),
        (Place::Value(span), _) => replace(text, span, value),
        // A path that leads no further leads to a value.
        (Place::NoProperty(_) | Place::NoElement(..), []) => {
            return Ok(Edit::Unchanged(Why::Missing));
        }
    };
    Ok(Edit::Text(changed))
}

/// Removes what `path` leads to. An index removes the element, so that those behind it move up; a name
/// that stands for an element leaves `null`, as JavaScript's `delete` leaves a hole. A path without
/// segments removes nothing: only the caller can remove a root.
///
/// # Errors
/// `ValueDamaged` where the text cannot be read.
pub fn delete(text: &str, path: &[Segment]) -> Result<Edit> {
    let Some((last, parents)) = path.split_last() else {
        return Ok(Edit::Unchanged(Why::Missing));
    };
    let parent = match locate(text, parents)?.place {
        Place::Value(span) => span,
        Place::NoProperty(_) | Place::NoElement(..) => return Ok(Edit::Unchanged(Why::Missing)),
        Place::NamedPropertyOfArray => return Ok(Edit::Unchanged(Why::NamedPropertyOfArray)),
        Place::Scalar(kind) => return Ok(Edit::Unchanged(Why::BelowScalar(kind))),
    };
    let bytes = text.as_bytes();
    let parent_kind = kind(bytes, parent.start)?;
    match (parent_kind, last, last.index()) {
        (Kind::Object, _, _) => {
            let name = last.name();
            let cuts = cuts(bytes, parent.start, |members, _, at| {
                let (raw, value) = members.name_at(at)?;
                Ok((is_name(&bytes[raw], &name), value))
            })?;
            Ok(without(text, &cuts))
        }
        (Kind::Array, Segment::Index(_), Some(index)) => {
            let cuts = cuts(bytes, parent.start, |_, position, at| {
                Ok((position == index as usize, at))
            })?;
            Ok(without(text, &cuts))
        }
        (Kind::Array, Segment::Name(_), Some(_)) => {
            let element = locate(&text[parent.clone()], std::slice::from_ref(last))?;
            match element.place {
                Place::Value(span) => {
                    let span = parent.start + span.start..parent.start + span.end;
                    Ok(if &text[span.clone()] == "null" {
                        Edit::Unchanged(Why::Missing)
                    } else {
                        Edit::Text(replace(text, span, "null"))
                    })
                }
                _ => Ok(Edit::Unchanged(Why::Missing)),
            }
        }
        (Kind::Array, _, None) => Ok(Edit::Unchanged(Why::NamedPropertyOfArray)),
        (scalar, _, _) => Ok(Edit::Unchanged(Why::BelowScalar(scalar))),
    }
}

/// The text with another value in place of the one at `span`.
pub(super) fn replace(text: &str, span: Range<usize>, value: &str) -> String {
    let mut changed = String::with_capacity(text.len() - span.len() + value.len());
    changed.push_str(&text[..span.start]);
    changed.push_str(value);
    changed.push_str(&text[span.end..]);
    changed
}

/// The text with a new member in an array or object, of about `size` bytes.
fn put_in(text: &str, gap: Gap, size: usize, write: impl FnOnce(&mut String)) -> String {
    let mut changed = String::with_capacity(text.len() + size + 64);
    changed.push_str(&text[..gap.at]);
    if !gap.first {
        changed.push(',');
    }
    write(&mut changed);
    changed.push_str(&text[gap.at..]);
    changed
}

/// Appends the arrays and objects in which `path` leads to `value`.
fn create(path: &[Segment], value: &str, json: &mut String) {
    for segment in path {
        match segment {
            Segment::Name(name) => {
                json.push('{');
                quote(name, json);
                json.push(':');
            }
            Segment::Index(index) => {
                json.push('[');
                fill(*index as usize, json);
            }
        }
    }
    json.push_str(value);
    for segment in path.iter().rev() {
        json.push(match segment {
            Segment::Name(_) => '}',
            Segment::Index(_) => ']',
        });
    }
}

/// Appends the elements that become `null` before another one.
fn fill(holes: usize, json: &mut String) {
    for _ in 0..holes {
        json.push_str("null,");
    }
}

/// Refuses to fill more elements than anybody can want: `holes`, and those before the indexes in the
/// path that is created.
fn limit_holes(holes: usize, created: &[Segment]) -> Result<()> {
    let all = created.iter().fold(holes as u64, |sum, segment| {
        sum + match segment {
            Segment::Index(index) => u64::from(*index),
            Segment::Name(_) => 0,
        }
    });
    if all <= MOST_HOLES {
        return Ok(());
    }
    Err(Error::new(
        Code::InvalidRequest,
        format!(
            "the index is too far behind the end of the array: {all} elements before it would become \
             null and {MOST_HOLES} are the limit; use an object for numbers with gaps"
        ),
    ))
}

/// The parts of a text to leave out so that the members of the array or object at `at` are gone that
/// `judge` finds. It is given each member's position and where it begins, and says whether it goes and
/// where its value begins.
fn cuts(
    bytes: &[u8],
    at: usize,
    judge: impl Fn(&Members<'_>, usize, usize) -> Scan<(bool, usize)>,
) -> Scan<Vec<Range<usize>>> {
    let mut members = Members::of(bytes, at);
    let mut cuts: Vec<Range<usize>> = Vec::new();
    let mut kept = false;
    let mut position = 0;
    // The comma that goes is the one before a member; the one behind it, where none before it stays.
    while let Step::Member(member) = members.step()? {
        let (goes, value) = judge(&members, position, member)?;
        let end = value_end(bytes, value)?;
        if let (Some(cut), false) = (cuts.last_mut(), kept) {
            cut.end = member;
        }
        match (goes, kept) {
            (true, true) => cuts.push(members.end_of_last()..end),
            (true, false) => cuts.push(member..end),
            (false, _) => kept = true,
        }
        members.passed(end);
        position += 1;
    }
    Ok(cuts)
}

/// The text without those parts.
fn without(text: &str, cuts: &[Range<usize>]) -> Edit {
    if cuts.is_empty() {
        return Edit::Unchanged(Why::Missing);
    }
    let mut changed = String::with_capacity(text.len());
    let mut copied = 0;
    for cut in cuts {
        changed.push_str(&text[copied..cut.start]);
        copied = cut.end;
    }
    changed.push_str(&text[copied..]);
    Edit::Text(changed)
}
