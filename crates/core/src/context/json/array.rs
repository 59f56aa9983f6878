//! Adding to an array.

use super::Kind;
use super::scan::{Damaged, Members, Scan, Step, kind, value_end, whitespace};
use crate::error::Result;

/// The array with `value` behind its last element, and its length. Of more than `limit` elements only the
/// last ones are kept.
///
/// # Errors
/// `ValueDamaged` where `text` is no array.
pub fn array_push(text: &str, value: &str, limit: Option<usize>) -> Result<(String, usize)> {
    let bytes = text.as_bytes();
    let start = whitespace(bytes, 0);
    if kind(bytes, start)? != Kind::Array {
        return Err(Damaged(start).into());
    }
    let (elements, last_end, end) = count(bytes, start)?;
    let rest = whitespace(bytes, end);
    if rest != bytes.len() {
        return Err(Damaged(rest).into());
    }
    let length = (elements + 1).min(limit.unwrap_or(usize::MAX));
    if length == 0 {
        return Ok((format!("{}[]{}", &text[..start], &text[end..]), 0));
    }
    let dropped = elements + 1 - length;
    let mut pushed = String::with_capacity(text.len() + value.len() + 1);
    pushed.push_str(&text[..=start]);
    if length > 1 {
        let kept = if dropped == 0 {
            start + 1
        } else {
            element(bytes, start, dropped)?
        };
        pushed.push_str(&text[kept..last_end]);
        pushed.push(',');
    }
    pushed.push_str(value);
    pushed.push_str(&text[last_end..]);
    Ok((pushed, length))
}

/// How many elements the array at `at` has, where the last one ends, and where the array does.
fn count(bytes: &[u8], at: usize) -> Scan<(usize, usize, usize)> {
    let mut members = Members::of(bytes, at);
    let mut elements = 0;
    loop {
        match members.step()? {
            Step::Member(element) => members.passed(value_end(bytes, element)?),
            Step::End(end) => return Ok((elements, members.end_of_last(), end)),
        }
        elements += 1;
    }
}

/// Where the element at `index` of the array at `at` begins.
fn element(bytes: &[u8], at: usize, index: usize) -> Scan<usize> {
    let mut members = Members::of(bytes, at);
    let mut passed = 0;
    loop {
        match members.step()? {
            Step::Member(element) if passed == index => return Ok(element),
            Step::Member(element) => members.passed(value_end(bytes, element)?),
            Step::End(end) => return Err(Damaged(end)),
        }
        passed += 1;
    }
}
