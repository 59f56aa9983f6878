//! Property expressions as Node-RED writes them: `a.b[0]["x.y"]`.
//!
//! What is read, refused and meant by an expression is what Node-RED's `util.normalisePropertyExpression`
//! makes of it, its oddities included: flows were written against them. Two things differ. A reference
//! into a message (`a[msg.b]`) is refused, because Node-RED resolves it before a store sees the key. And
//! a number that no JavaScript array has as an index, say a time in milliseconds, is a name from the
//! start: as an index it would create an array for a property that JSON cannot keep there.

use std::borrow::Cow;

use crate::context::json::quote;
use crate::error::{Code, Error, Result};

/// The longest name of a root in bytes: it is a part of a key, which other tools show and type.
const LONGEST_ROOT: usize = 1024;

/// One step from a value into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A property's name. On an array a name that is an index as JavaScript prints it (`"0"`, not `"00"`)
    /// stands for that element.
    Name(String),
    /// An index of an array. On an object it is the name with the same digits.
    Index(u32),
}

impl Segment {
    /// The segment as the name of an object's property.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Segment::Name(name) => Cow::Borrowed(name),
            Segment::Index(index) => Cow::Owned(index.to_string()),
        }
    }

    /// The segment as an index of an array, where it is one.
    pub fn index(&self) -> Option<u32> {
        match self {
            Segment::Index(index) => Some(*index),
            Segment::Name(name) => {
                let canonical = name.bytes().all(|byte| byte.is_ascii_digit())
                    && (name == "0" || !name.starts_with('0'));
                canonical.then(|| name.parse().ok()).flatten()
            }
        }
        .filter(|index| *index < u32::MAX)
    }
}

/// A parsed expression: the property that is stored under a key of its own, and the way from there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    root: String,
    rest: Vec<Segment>,
}

impl Path {
    /// Reads an expression.
    ///
    /// # Errors
    /// `InvalidExpression` where Node-RED refuses it or it refers to a message, `InvalidRequest` for a
    /// root whose name is too long.
    pub fn parse(expression: &str) -> Result<Self> {
        let mut segments = Reader::new(expression).read()?.into_iter();
        let root = segments
            .next()
            .ok_or_else(|| invalid("unterminated expression"))?
            .name()
            .into_owned();
        if root.len() > LONGEST_ROOT {
            return Err(Error::new(
                Code::InvalidRequest,
                format!(
                    "the name of a context property has {} bytes and {LONGEST_ROOT} are the limit; keep \
                     long names inside a value, as properties of an object",
                    root.len()
                ),
            ));
        }
        Ok(Self {
            root,
            rest: segments.collect(),
        })
    }

    /// The name of the property that is stored under a key of its own.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The way from the root's value to what the expression addresses; empty for the root itself.
    pub fn rest(&self) -> &[Segment] {
        &self.rest
    }

    /// The segments as a JSON array for JavaScript: the root as a string, then names and indexes.
    pub fn to_json(&self) -> String {
        let mut json = String::from("[");
        quote(&self.root, &mut json);
        for segment in &self.rest {
            json.push(',');
            match segment {
                Segment::Name(name) => quote(name, &mut json),
                Segment::Index(index) => json.push_str(&index.to_string()),
            }
        }
        json.push(']');
        json
    }
}

/// Where the reader is within an expression.
#[derive(Clone, Copy, PartialEq)]
enum Quoted {
    No,
    By(u8),
}

/// Reads an expression byte by byte: every character that has a meaning is ASCII.
struct Reader<'expression> {
    text: &'expression str,
    segments: Vec<Segment>,
    /// Where the segment begins that is being read.
    start: usize,
    in_box: bool,
}

impl<'expression> Reader<'expression> {
    fn new(text: &'expression str) -> Self {
        Self {
            text,
            segments: Vec::new(),
            start: 0,
            in_box: false,
        }
    }

    fn read(mut self) -> Result<Vec<Segment>> {
        if self.text.is_empty() {
            return Err(invalid("zero-length"));
        }
        let mut quoted = Quoted::No;
        for (at, byte) in self.text.bytes().enumerate() {
            quoted = match (quoted, byte) {
                (Quoted::No, b'\'' | b'"') => {
                    if at != self.start {
                        return Err(self.unexpected(at));
                    }
                    self.start = at + 1;
                    Quoted::By(byte)
                }
                (Quoted::By(quote), _) if byte == quote => {
                    self.end_of_string(at)?;
                    Quoted::No
                }
                (Quoted::No, b'.') => self.dot(at).map(|()| quoted)?,
                (Quoted::No, b'[') => self.open(at).map(|()| quoted)?,
                (Quoted::No, b']') => self.close(at).map(|()| quoted)?,
                (Quoted::No, b' ') => {
                    return Err(invalid(format!(
                        "unexpected ' ' at position {}",
                        self.position(at)
                    )));
                }
                _ => quoted,
            };
        }
        if self.in_box || quoted != Quoted::No {
            return Err(invalid("unterminated expression"));
        }
        if self.start < self.text.len() {
            // Digits at the end stay a name: this is how Node-RED reads `a.0`.
            let name = self.text[self.start..].to_owned();
            self.segments.push(Segment::Name(name));
        }
        Ok(self.segments)
    }

    fn dot(&mut self, at: usize) -> Result<()> {
        if at == 0 {
            return Err(self.unexpected(at));
        }
        if self.start != at {
            let text = &self.text[self.start..at];
            self.segments
                .push(number(text).unwrap_or_else(|| Segment::Name(text.to_owned())));
        }
        match self.byte(at + 1) {
            None => Err(invalid("unterminated expression")),
            Some(byte) if byte.is_ascii_alphanumeric() || byte == b'$' || byte == b'_' => {
                self.start = at + 1;
                Ok(())
            }
            Some(_) => Err(self.unexpected(at + 1)),
        }
    }

    fn open(&mut self, at: usize) -> Result<()> {
        if at == 0 {
            return Err(self.unexpected(at));
        }
        if self.start != at {
            // Digits before a bracket stay a name, as at the end.
            let name = self.text[self.start..at].to_owned();
            self.segments.push(Segment::Name(name));
        }
        let inside = &self.text[at + 1..];
        if inside.starts_with("msg.") || inside.starts_with("msg[") {
            return Err(invalid(format!(
                "a reference to a message at position {}, where none is at hand",
                self.position(at + 1)
            )));
        }
        match self.byte(at + 1) {
            None => Err(invalid("unterminated expression")),
            Some(byte) if byte.is_ascii_digit() || byte == b'"' || byte == b'\'' => {
                self.start = at + 1;
                self.in_box = true;
                Ok(())
            }
            Some(_) => Err(self.unexpected(at + 1)),
        }
    }

    fn close(&mut self, at: usize) -> Result<()> {
        if !self.in_box {
            return Err(self.unexpected(at));
        }
        if self.start != at {
            let index = number(&self.text[self.start..at])
                .ok_or_else(|| self.unexpected_array_expression())?;
            self.segments.push(index);
        }
        self.start = at + 1;
        self.in_box = false;
        Ok(())
    }

    /// The quote at `at` closes the string that is being read.
    fn end_of_string(&mut self, at: usize) -> Result<()> {
        if at == self.start {
            return Err(invalid(format!(
                "zero-length string at position {}",
                self.position(self.start)
            )));
        }
        let name = self.text[self.start..at].to_owned();
        self.segments.push(Segment::Name(name));
        match self.byte(at + 1) {
            Some(b']') if self.in_box => {}
            _ if self.in_box => return Err(self.unexpected_array_expression()),
            None | Some(b'[' | b'.') => {}
            Some(_) => {
                return Err(invalid(format!(
                    "unexpected {} expression at position {}",
                    self.character(at + 1),
                    self.position(at + 1)
                )));
            }
        }
        self.start = at + 1;
        Ok(())
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn character(&self, at: usize) -> &str {
        let rest = &self.text[at..];
        let length = rest.chars().next().map_or(0, char::len_utf8);
        &rest[..length]
    }

    /// A position as Node-RED's messages count: in UTF-16 units.
    fn position(&self, at: usize) -> usize {
        self.text[..at].encode_utf16().count()
    }

    fn unexpected(&self, at: usize) -> Error {
        invalid(format!(
            "unexpected {} at position {}",
            self.character(at),
            self.position(at)
        ))
    }

    fn unexpected_array_expression(&self) -> Error {
        invalid(format!(
            "unexpected array expression at position {}",
            self.position(self.start)
        ))
    }
}

/// The segment that a run of digits is; `None` where there is anything else.
fn number(text: &str) -> Option<Segment> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match text.parse::<u32>() {
        Ok(index) if index < u32::MAX => Some(Segment::Index(index)),
        _ => {
            // The name is what JavaScript prints for the number that Node-RED reads here.
            let number: f64 = text.parse().ok()?;
            Some(Segment::Name(
                ryu_js::Buffer::new().format(number).to_owned(),
            ))
        }
    }
}

fn invalid(what: impl AsRef<str>) -> Error {
    Error::new(
        Code::InvalidExpression,
        format!("Invalid property expression: {}", what.as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(expression: &str) -> String {
        Path::parse(expression)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
            .to_json()
    }

    fn refusal(expression: &str) -> String {
        let error = Path::parse(expression).expect_err(expression);
        assert_eq!(error.code(), Code::InvalidExpression, "{expression}");
        error.message().to_owned()
    }

    #[test]
    fn an_expression_is_read_as_node_red_reads_it() {
        for (expression, expected) in [
            ("a", r#"["a"]"#),
            ("a.b.c", r#"["a","b","c"]"#),
            (r#"a.b[0]["x.y"]"#, r#"["a","b",0,"x.y"]"#),
            ("a['x\"y'].z", r#"["a","x\"y","z"]"#),
            ("'a b'.c", r#"["a b","c"]"#),
            ("a-b", r#"["a-b"]"#),
            ("größe.a", r#"["größe","a"]"#),
            ("a.bä😀", r#"["a","bä😀"]"#),
            ("a.__proto__.b", r#"["a","__proto__","b"]"#),
        ] {
            assert_eq!(json(expression), expected, "{expression}");
        }
    }

    #[test]
    fn the_oddities_of_node_red_are_kept() {
        for (expression, expected) in [
            ("a.0", r#"["a","0"]"#),
            ("a.0.b", r#"["a",0,"b"]"#),
            ("a.007.b", r#"["a",7,"b"]"#),
            ("a.0[1]", r#"["a","0",1]"#),
            ("0.a", r#"["0","a"]"#),
            ("007.a", r#"["7","a"]"#),
            ("007", r#"["007"]"#),
            ("a[0]b", r#"["a",0,"b"]"#),
            ("a[0]\"b\"", r#"["a",0,"b"]"#),
            ("a[0.1]", r#"["a",0,1]"#),
            ("a[0[1]", r#"["a","0",1]"#),
        ] {
            assert_eq!(json(expression), expected, "{expression}");
        }
    }

    #[test]
    fn a_number_that_is_no_index_is_a_name() {
        assert_eq!(json("a.4294967294.b"), r#"["a",4294967294,"b"]"#);
        assert_eq!(json("a.4294967295.b"), r#"["a","4294967295","b"]"#);
        assert_eq!(json("a[1763845200000].b"), r#"["a","1763845200000","b"]"#);
        assert_eq!(json(&format!("a[1{}]", "0".repeat(21))), r#"["a","1e+21"]"#);
    }

    #[test]
    fn what_node_red_refuses_is_refused_in_its_words() {
        for (expression, expected) in [
            ("", "zero-length"),
            (".a", "unexpected . at position 0"),
            ("a.", "unterminated expression"),
            ("a..b", "unexpected . at position 2"),
            ("[0]", "unexpected [ at position 0"),
            ("a[", "unterminated expression"),
            ("a[0", "unterminated expression"),
            ("a[]", "unexpected ] at position 2"),
            ("a]", "unexpected ] at position 1"),
            ("a[b]", "unexpected b at position 2"),
            ("a[0x]", "unexpected array expression at position 2"),
            ("a b", "unexpected ' ' at position 1"),
            ("ä😀 b", "unexpected ' ' at position 3"),
            ("a\"b\"", "unexpected \" at position 1"),
            ("a[\"\"]", "zero-length string at position 3"),
            ("a[\"b\"", "unexpected array expression at position 3"),
            ("'a'b", "unexpected b expression at position 3"),
            ("a.😀", "unexpected 😀 at position 2"),
            ("a.ä", "unexpected ä at position 2"),
        ] {
            assert_eq!(
                refusal(expression),
                format!("Invalid property expression: {expected}"),
                "{expression}"
            );
        }
    }

    #[test]
    fn a_reference_to_a_message_is_refused() {
        for expression in ["a[msg.b]", "a[msg[0]]", "a[msg.b", "a[0][msg.b].c"] {
            refusal(expression);
        }
        assert_eq!(json("a[\"msg.b\"]"), r#"["a","msg.b"]"#);
    }

    #[test]
    fn the_name_of_a_root_is_bounded_and_no_other() {
        assert!(Path::parse(&"a".repeat(1024)).is_ok());
        assert!(Path::parse(&format!("a.{}", "b".repeat(5000))).is_ok());
        let error = Path::parse(&"ä".repeat(513)).unwrap_err();
        assert_eq!(error.code(), Code::InvalidRequest);
        assert!(
            error.message().contains("1026 bytes"),
            "{}",
            error.message()
        );
    }

    #[test]
    fn only_an_index_as_javascript_prints_it_stands_for_an_element() {
        let index = |name: &str| Segment::Name(name.to_owned()).index();
        assert_eq!(index("0"), Some(0));
        assert_eq!(index("10"), Some(10));
        assert_eq!(index("4294967294"), Some(4_294_967_294));
        for name in [
            "",
            "00",
            "01",
            "-1",
            "+1",
            "1.0",
            "1e3",
            "x",
            "length",
            "4294967295",
        ] {
            assert_eq!(index(name), None, "{name}");
        }
    }
}
