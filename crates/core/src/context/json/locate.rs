//! Finding the place in a text that a path addresses, in one pass.

use std::borrow::Cow;
use std::ops::Range;

use super::Kind;
use super::scan::{Damaged, Members, Scan, Step, kind, value_end, whitespace};
use super::string::is_name;
use crate::context::path::Segment;

/// How far a path leads in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// How many segments lead to values that are there.
    pub(super) resolved: usize,
    /// What is where the next segment leads.
    pub(super) place: Place,
}

/// What is where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The addressed value.
    Value(Range<usize>),
    /// An object without that name.
    NoProperty(Gap),
    /// An array that ends before that index, and how many more elements are missing before it.
    NoElement(Gap, usize),
    /// An array, and the segment is no index.
    NamedPropertyOfArray,
    /// A value without properties.
    Scalar(Kind),
}

/// Where another member can be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The byte before which it goes.
    pub(super) at: usize,
    /// Whether it is the first member, so that no comma goes before it.
    pub(super) first: bool,
}

/// An array or object that the path leads through.
struct Level<'path, 'text> {
    members: Members<'text>,
    sought: Sought<'path>,
    found: bool,
}

enum Sought<'path> {
    Property(Cow<'path, str>),
    Element {
        index: usize,
        /// How many elements were passed.
        passed: usize,
    },
}

/// Follows `path` in `text`.
///
/// The pass goes through everything that the path leads through to its end, because a name may stand
/// once more further on and the last one counts; what lies beside the path is skipped.
pub(super) fn locate(text: &str, path: &[Segment]) -> Scan<Location> {
    let bytes = text.as_bytes();
    let mut levels: Vec<Level<'_, '_>> = Vec::new();
    let mut newest;
    let mut at = whitespace(bytes, 0);
    loop {
        // A value to which the path leads begins here.
        let resolved = levels.len();
        let segment = path.get(resolved);
        let kind = kind(bytes, at)?;
        if let Some(sought) = segment.and_then(|segment| Sought::in_value(segment, kind)) {
            levels.push(Level {
                members: Members::of(bytes, at),
                sought,
                found: false,
            });
            newest = None;
        } else {
            let end = value_end(bytes, at)?;
            let place = match (segment, kind) {
                (None, _) => Place::Value(at..end),
                (Some(_), Kind::Array) => Place::NamedPropertyOfArray,
                (Some(_), scalar) => Place::Scalar(scalar),
            };
            newest = Some(Location { resolved, place });
            at = end;
            if let Some(level) = levels.last_mut() {
                level.members.passed(end);
            }
        }
        // Go on in what is open: to the next value that the path leads to, or out of everything.
        loop {
            let Some(level) = levels.last_mut() else {
                let end = whitespace(bytes, at);
                return match newest {
                    Some(location) if end == bytes.len() => Ok(location),
                    _ => Err(Damaged(end)),
                };
            };
            match level.next(bytes)? {
                Step::Member(value) => {
                    at = value;
                    break;
                }
                Step::End(end) => {
                    if let Some(place) = level.missing() {
                        newest = Some(Location {
                            resolved: levels.len() - 1,
                            place,
                        });
                    }
                    at = end;
                    levels.pop();
                    if let Some(level) = levels.last_mut() {
                        level.members.passed(end);
                    }
                }
            }
        }
    }
}

impl<'path> Sought<'path> {
    /// What `segment` leads to in a value of this kind, where it can lead to anything.
    fn in_value(segment: &'path Segment, kind: Kind) -> Option<Self> {
        match kind {
            Kind::Object => Some(Sought::Property(segment.name())),
            Kind::Array => Some(Sought::Element {
                index: segment.index()? as usize,
                passed: 0,
            }),
            _ => None,
        }
    }
}

impl Level<'_, '_> {
    /// Skips to the next value that is sought here.
    fn next(&mut self, bytes: &[u8]) -> Scan<Step> {
        loop {
            let member = match self.members.step()? {
                Step::End(end) => return Ok(Step::End(end)),
                Step::Member(member) => member,
            };
            let (value, sought) = match &mut self.sought {
                Sought::Property(name) => {
                    let (raw, value) = self.members.name_at(member)?;
                    (value, is_name(&bytes[raw], name))
                }
                Sought::Element { index, passed } => {
                    *passed += 1;
                    (member, *passed - 1 == *index)
                }
            };
            if sought {
                self.found = true;
                return Ok(Step::Member(value));
            }
            self.members.passed(value_end(bytes, value)?);
        }
    }

    /// At the end of the members: where the sought one would go, if there was none.
    fn missing(&self) -> Option<Place> {
        if self.found {
            return None;
        }
        let gap = Gap {
            at: self.members.end_of_last(),
            first: self.members.is_empty(),
        };
        Some(match self.sought {
            Sought::Property(_) => Place::NoProperty(gap),
            Sought::Element { index, passed } => Place::NoElement(gap, index - passed),
        })
    }
}
