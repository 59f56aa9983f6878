//! Strings in JSON text: escapes, names, length, and the tags of Buffers and Dates.

use super::scan::{Damaged, Scan, string_end, whitespace};
use crate::error::Result;

/// What a string begins with that stands for another value, and one more time in front of a string of
/// a user that begins with it. A control character is always written as an escape in JSON.
const TAG: &str = "\\u0001";

/// A value of JavaScript that is kept as a tagged string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// A Buffer.
    Buffer,
    /// A Date.
    Date,
}

/// What the string stands for; `None` where it is a string to the user as well.
pub fn tag(text: &str) -> Option<Tag> {
    let rest = text.trim_start().strip_prefix('"')?.strip_prefix(TAG)?;
    if rest.starts_with("Buffer:") {
        Some(Tag::Buffer)
    } else if rest.starts_with("Date:") {
        Some(Tag::Date)
    } else {
        None
    }
}

/// Appends `text` to `json` as a JSON string, escaped as JSON.stringify does.
pub fn quote(text: &str, json: &mut String) {
    json.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x0c => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        json.push_str(&text[copied..at]);
        copied = at + 1;
        if short.is_empty() {
            json.push_str(&format!("\\u{byte:04x}"));
        } else {
            json.push_str(short);
        }
    }
    json.push_str(&text[copied..]);
    json.push('"');
}

/// One JSON string behind the other, as JavaScript's `+` of what they stand for.
///
/// # Errors
/// `ValueDamaged` where one of them is no JSON string.
pub fn concatenate(first: &str, second: &str) -> Result<String> {
    let (first, second) = (inside(first)?, inside(second)?);
    // A user's U+0001 is doubled only where it stands first.
    let second = match second.strip_prefix(TAG) {
        Some(rest) if !first.is_empty() && rest.starts_with(TAG) => rest,
        _ => second,
    };
    Ok(format!("\"{first}{second}\""))
}

/// The length of a JSON string as JavaScript counts it, in UTF-16 units.
///
/// # Errors
/// `ValueDamaged` where it is no JSON string.
pub fn utf16_length(text: &str) -> Result<usize> {
    let inside = inside(text)?;
    let bytes = inside.as_bytes();
    let mut length = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let (width, units) = match byte {
            b'\\' if bytes.get(at + 1) == Some(&b'u') => (6, 1),
            b'\\' => (2, 1),
            0x00..=0x7f => (1, 1),
            0x80..=0xdf => (2, 1),
            0xe0..=0xef => (3, 1),
            0xf0.. => (4, 2),
        };
        at += width;
        length += units;
    }
    let doubled = inside
        .strip_prefix(TAG)
        .is_some_and(|rest| rest.starts_with(TAG));
    Ok(length - usize::from(doubled))
}

/// What stands between the quotes of a text that is one JSON string.
fn inside(text: &str) -> Scan<&str> {
    let bytes = text.as_bytes();
    let start = whitespace(bytes, 0);
    if bytes.get(start) != Some(&b'"') {
        return Err(Damaged(start));
    }
    let end = string_end(bytes, start)?;
    let rest = whitespace(bytes, end);
    if rest != bytes.len() {
        return Err(Damaged(rest));
    }
    Ok(&text[start + 1..end - 1])
}

/// Whether the name as it stands between its quotes is `name`.
#[inline]
pub(super) fn is_name(raw: &[u8], name: &str) -> bool {
    // Every escape is longer than what it stands for.
    if raw.len() <= name.len() {
        return raw == name.as_bytes() && !raw.contains(&b'\\');
    }
    raw.contains(&b'\\') && unescape(raw).is_ok_and(|unescaped| unescaped == name.as_bytes())
}

/// The characters for which what stands between two quotes stands, as UTF-8, except that a lone
/// surrogate becomes the three bytes that its number would have: two texts give the same bytes exactly
/// if they are the same string to JavaScript.
pub(super) fn unescape(raw: &[u8]) -> Scan<Vec<u8>> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        if byte != b'\\' {
            bytes.push(byte);
            at += 1;
            continue;
        }
        let plain = match raw.get(at + 1) {
            Some(b'u') => {
                let (code, width) = code_point(raw, at)?;
                push_code_point(&mut bytes, code);
                at += width;
                continue;
            }
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(escaped @ (b'"' | b'\\' | b'/')) => *escaped,
            _ => return Err(Damaged(at)),
        };
        bytes.push(plain);
        at += 2;
    }
    Ok(bytes)
}

/// The code point of the `\u` escape at `at`, or of a pair of them, and how many bytes they take.
fn code_point(raw: &[u8], at: usize) -> Scan<(u32, usize)> {
    let high = hexadecimal(raw, at + 2).ok_or(Damaged(at))?;
    if (0xd800..0xdc00).contains(&high)
        && raw.get(at + 6..at + 8) == Some(b"\\u")
        && let Some(low @ 0xdc00..0xe000) = hexadecimal(raw, at + 8)
    {
        return Ok((0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12));
    }
    Ok((high, 6))
}

/// The number that the four hexadecimal digits at `at` are.
pub(super) fn hexadecimal(raw: &[u8], at: usize) -> Option<u32> {
    raw.get(at..at + 4)?.iter().try_fold(0, |number, digit| {
        Some(number * 16 + char::from(*digit).to_digit(16)?)
    })
}

fn push_code_point(bytes: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(character) => {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        // A lone surrogate, which has four hexadecimal digits: three bytes hold them.
        None => bytes.extend([
            0xe0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3f) as u8,
            0x80 | (code & 0x3f) as u8,
        ]),
    }
}
