//! Moving over JSON text: where a value ends, and from one member of an array or object to the next.

use std::ops::Range;

use super::Kind;

/// The text is no JSON at this byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged(pub(super) usize);

pub(super) type Scan<T> = Result<T, Damaged>;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of `word` that are `byte`. Marks above the lowest one may be wrong: a borrow runs upwards.
#[inline]
pub(super) fn marks(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(byte));
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

/// Marks exactly the bytes of `word` that are `byte`.
#[inline]
fn exact_marks(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(byte));
    let low = !HIGHS;
    !(((difference & low) + low) | difference) & HIGHS
}

/// Marks the bytes of `word` that are control characters, with the same caveat.
#[inline]
pub(super) fn control_marks(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGHS
}

/// The first place from `at` on at which `marks_of` marks a byte in a word of eight, or one of the last
/// seven places of the text: the caller looks at the byte there itself.
#[inline]
pub(super) fn skip_words(bytes: &[u8], mut at: usize, marks_of: impl Fn(u64) -> u64) -> usize {
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let marked = marks_of(u64::from_le_bytes(*word));
        if marked != 0 {
            return at + (marked.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// The first place from `at` on that is no whitespace.
#[inline]
pub(super) fn whitespace(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The kind of the value that begins at `at`.
#[inline]
pub(super) fn kind(bytes: &[u8], at: usize) -> Scan<Kind> {
    match bytes.get(at) {
        Some(b'{') => Ok(Kind::Object),
        Some(b'[') => Ok(Kind::Array),
        Some(b'"') => Ok(Kind::String),
        Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
        Some(b't' | b'f') => Ok(Kind::Boolean),
        Some(b'n') => Ok(Kind::Null),
        _ => Err(Damaged(at)),
    }
}

/// Where the value ends that begins at `at`. What is inside an array or object is not examined.
#[inline]
pub(super) fn value_end(bytes: &[u8], at: usize) -> Scan<usize> {
    match kind(bytes, at)? {
        Kind::Object | Kind::Array => container_end(bytes, at),
        Kind::String => string_end(bytes, at),
        _ => scalar_end(bytes, at),
    }
}

/// Where the number or literal ends that begins at `at`.
pub(super) fn scalar_end(bytes: &[u8], at: usize) -> Scan<usize> {
    let literal: &[u8] = match bytes.get(at) {
        Some(b't') => b"true",
        Some(b'f') => b"false",
        Some(b'n') => b"null",
        _ => return number_end(bytes, at),
    };
    if bytes[at..].starts_with(literal) {
        Ok(at + literal.len())
    } else {
        Err(Damaged(at))
    }
}

fn number_end(bytes: &[u8], mut at: usize) -> Scan<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while let Some(b'0'..=b'9') = bytes.get(at) {
            at += 1;
        }
        if at == start {
            Err(Damaged(at))
        } else {
            Ok(at)
        }
    };
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if bytes.get(at) == Some(&b'0') {
        at + 1
    } else {
        digits(at)?
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(at)?;
    }
    Ok(at)
}

/// Where the string ends whose opening quote is at `at`.
#[inline]
pub(super) fn string_end(bytes: &[u8], at: usize) -> Scan<usize> {
    let mut here = at + 1;
    loop {
        here = skip_words(bytes, here, |word| marks(word, b'"') | marks(word, b'\\'));
        match bytes.get(here) {
            Some(b'"') => return Ok(here + 1),
            Some(b'\\') => here += 2,
            Some(_) => here += 1,
            None => return Err(Damaged(here.min(bytes.len()))),
        }
    }
}

/// Where the array or object ends that begins at `at`, found by counting brackets outside strings.
///
/// Eight bytes at a time, because a branch for every short string costs more than the work: a quote
/// turns the state of all bytes behind it over, which shifts and exclusive ors do for eight at once.
fn container_end(bytes: &[u8], at: usize) -> Scan<usize> {
    let mut depth = 0_usize;
    let mut here = at;
    // All ones where the next byte is inside a string.
    let mut inside = 0_u64;
    while let Some(word) = bytes.get(here..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        if marks(word, b'\\') != 0 {
            // An escape, which may reach over the end of the word.
            let end = here + 8;
            let mut in_string = inside != 0;
            while here < end {
                match step(bytes, here, &mut in_string, &mut depth)? {
                    Passed::Through(next) => here = next,
                    Passed::End(end) => return Ok(end),
                }
            }
            inside = if in_string { u64::MAX } else { 0 };
            continue;
        }
        let mut in_string = exact_marks(word, b'"');
        in_string ^= in_string << 8;
        in_string ^= in_string << 16;
        in_string ^= in_string << 32;
        in_string ^= inside;
        // The highest bit belongs to the last byte.
        inside = 0_u64.wrapping_sub(in_string >> 63);
        // `[`, `]`, `{` and `}` differ in these bits only; no other byte outside strings has the rest.
        let mut brackets = exact_marks(word & (ONES * 0xd9), 0x59) & !in_string;
        while brackets != 0 {
            let lane = (brackets.trailing_zeros() / 8) as usize;
            // Closing brackets have this bit, opening ones do not.
            if word >> (lane * 8) & 0x04 == 0 {
                depth += 1;
            } else {
                depth = depth.checked_sub(1).ok_or(Damaged(here + lane))?;
                if depth == 0 {
                    return Ok(here + lane + 1);
                }
            }
            brackets &= brackets - 1;
        }
        here += 8;
    }
    let mut in_string = inside != 0;
    loop {
        match step(bytes, here, &mut in_string, &mut depth)? {
            Passed::Through(next) => here = next,
            Passed::End(end) => return Ok(end),
        }
    }
}

/// What one byte did to the count of brackets.
enum Passed {
    /// The next byte to look at is here.
    Through(usize),
    /// The outermost bracket is closed, and what follows it is here.
    End(usize),
}

/// Counts one byte.
#[inline]
fn step(bytes: &[u8], at: usize, in_string: &mut bool, depth: &mut usize) -> Scan<Passed> {
    match (bytes.get(at).ok_or(Damaged(bytes.len()))?, *in_string) {
        (b'"', _) => *in_string = !*in_string,
        (b'\\', true) => return Ok(Passed::Through(at + 2)),
        (b'{' | b'[', false) => *depth += 1,
        (b'}' | b']', false) => {
            *depth = depth.checked_sub(1).ok_or(Damaged(at))?;
            if *depth == 0 {
                return Ok(Passed::End(at + 1));
            }
        }
        _ => {}
    }
    Ok(Passed::Through(at + 1))
}

/// Goes through the members of one array or object. The walker says after each where its value ended,
/// so that it can look inside on the way.
#[derive(Debug, Clone)]
pub(super) struct Members<'text> {
    bytes: &'text [u8],
    object: bool,
    first: bool,
    /// Where the last value ended; right after the opening bracket where there was none yet.
    end_of_last: usize,
}

/// A step through an array or object.
pub(super) enum Step {
    /// There is another member, which begins here: the name of a property, or an element.
    Member(usize),
    /// There is none, and the array or object ends here.
    End(usize),
}

impl<'text> Members<'text> {
    /// The members of the array or object that begins at `at`.
    pub(super) fn of(bytes: &'text [u8], at: usize) -> Self {
        Self {
            bytes,
            object: bytes.get(at) == Some(&b'{'),
            first: true,
            end_of_last: at + 1,
        }
    }

    /// Whether names stand before the values.
    pub(super) fn is_object(&self) -> bool {
        self.object
    }

    /// Whether no member was passed.
    pub(super) fn is_empty(&self) -> bool {
        self.first
    }

    /// Where another member would be put in.
    pub(super) fn end_of_last(&self) -> usize {
        self.end_of_last
    }

    /// The next member, or the end.
    #[inline]
    pub(super) fn step(&mut self) -> Scan<Step> {
        let at = whitespace(self.bytes, self.end_of_last);
        let close = if self.object { b'}' } else { b']' };
        match self.bytes.get(at) {
            Some(byte) if *byte == close => Ok(Step::End(at + 1)),
            Some(b',') if !self.first => Ok(Step::Member(whitespace(self.bytes, at + 1))),
            Some(_) if self.first => Ok(Step::Member(at)),
            _ => Err(Damaged(at.min(self.bytes.len()))),
        }
    }

    /// The value of the member ended here.
    #[inline]
    pub(super) fn passed(&mut self, end: usize) {
        self.first = false;
        self.end_of_last = end;
    }

    /// The name that begins at `at`, without its quotes, and where its value begins.
    #[inline]
    pub(super) fn name_at(&self, at: usize) -> Scan<(Range<usize>, usize)> {
        if self.bytes.get(at) != Some(&b'"') {
            return Err(Damaged(at));
        }
        let end = string_end(self.bytes, at)?;
        let colon = whitespace(self.bytes, end);
        if self.bytes.get(colon) != Some(&b':') {
            return Err(Damaged(colon));
        }
        Ok((at + 1..end - 1, whitespace(self.bytes, colon + 1)))
    }
}
