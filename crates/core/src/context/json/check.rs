//! Whether a text is JSON.

use super::scan::{Damaged, Scan, control_marks, marks, scalar_end, skip_words, whitespace};
use super::string::hexadecimal;
use crate::error::Result;

/// Whether `text` is one well-formed JSON value (RFC 8259), with whitespace around it allowed: exactly
/// what JavaScript's JSON.parse takes.
///
/// # Errors
/// `ValueDamaged` with the byte at which it is not.
pub fn check(text: &str) -> Result<()> {
    Ok(value(text.as_bytes())?)
}

fn value(bytes: &[u8]) -> Scan<()> {
    // What is open, outermost first: is it an object?
    let mut open: Vec<bool> = Vec::new();
    let mut at = whitespace(bytes, 0);
    loop {
        // A value has to begin here.
        match bytes.get(at) {
            Some(b'{') => {
                at = whitespace(bytes, at + 1);
                if bytes.get(at) != Some(&b'}') {
                    open.push(true);
                    at = name(bytes, at)?;
                    continue;
                }
                at += 1;
            }
            Some(b'[') => {
                at = whitespace(bytes, at + 1);
                if bytes.get(at) != Some(&b']') {
                    open.push(false);
                    continue;
                }
                at += 1;
            }
            Some(b'"') => at = string(bytes, at)?,
            _ => at = scalar_end(bytes, at)?,
        }
        // A value ended here: close what it was the last one of.
        loop {
            at = whitespace(bytes, at);
            match (open.last(), bytes.get(at)) {
                (None, None) => return Ok(()),
                (Some(true), Some(b',')) => {
                    at = name(bytes, whitespace(bytes, at + 1))?;
                    break;
                }
                (Some(false), Some(b',')) => {
                    at = whitespace(bytes, at + 1);
                    break;
                }
                (Some(true), Some(b'}')) | (Some(false), Some(b']')) => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(Damaged(at)),
            }
        }
    }
}

/// The name at `at` with its colon; gives where the value begins.
fn name(bytes: &[u8], at: usize) -> Scan<usize> {
    if bytes.get(at) != Some(&b'"') {
        return Err(Damaged(at));
    }
    let colon = whitespace(bytes, string(bytes, at)?);
    match bytes.get(colon) {
        Some(b':') => Ok(whitespace(bytes, colon + 1)),
        _ => Err(Damaged(colon)),
    }
}

/// The string whose opening quote is at `at`; gives where it ends.
fn string(bytes: &[u8], at: usize) -> Scan<usize> {
    let mut here = at + 1;
    loop {
        here = skip_words(bytes, here, |word| {
            marks(word, b'"') | marks(word, b'\\') | control_marks(word)
        });
        match bytes.get(here) {
            Some(b'"') => return Ok(here + 1),
            Some(b'\\') => match bytes.get(here + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => here += 2,
                Some(b'u') if hexadecimal(bytes, here + 2).is_some() => here += 6,
                _ => return Err(Damaged(here)),
            },
            Some(0x20..) => here += 1,
            _ => return Err(Damaged(here)),
        }
    }
}
