//! Bytes of a child's output cut into lines of bounded length.

/// Bytes of a line that are kept; a flow that logs a large payload must not flood the terminal or
/// the memory.
const LONGEST_LINE: usize = 16 * 1024;

/// Collects bytes and gives out whole lines.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Bytes of the present line beyond those kept.
    cut: usize,
}

impl Lines {
    /// Takes bytes as they come, and returns the lines that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ends) = match piece.split_last() {
                Some((b'\n', content)) => (content, true),
                _ => (piece, false),
            };
            let kept = content.len().min(LONGEST_LINE - self.line.len());
            self.line.extend_from_slice(&content[..kept]);
            self.cut += content.len() - kept;
            if ends {
                complete.push(self.take());
            }
        }
        complete
    }

    /// The line that the end of the output left unfinished, if there is one.
    pub(super) fn finish(mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        if self.cut == 0 && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        let mut text = String::from_utf8_lossy(&self.line).into_owned();
        if self.cut > 0 {
            text.push_str(&format!(" ... ({} more bytes)", self.cut));
        }
        self.line.clear();
        self.cut = 0;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_come_in_pieces_and_several_in_one() {
        let mut lines = Lines::default();
        assert!(lines.push("caf\u{e9}".as_bytes().split_at(4).0).is_empty());
        assert_eq!(
            lines.push(b"\xa9 au lait\r\n\nthird\nrest"),
            ["caf\u{e9} au lait", "", "third"]
        );
        assert_eq!(lines.finish().as_deref(), Some("rest"));
    }

    #[test]
    fn a_finished_output_leaves_nothing() {
        let mut lines = Lines::default();
        lines.push(b"whole\n");
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let mut lines = Lines::default();
        let long = vec![b'x'; LONGEST_LINE];
        assert!(lines.push(&long).is_empty());
        assert!(lines.push(b"12345").is_empty());
        let complete = lines.push(b"6\nnext\n");
        assert!(complete[0].ends_with("x ... (6 more bytes)"));
        assert_eq!(
            complete[0].len(),
            LONGEST_LINE + " ... (6 more bytes)".len()
        );
        assert_eq!(complete[1], "next");
    }
}
