//! The runner's output as lines, and what a line tells.
//!
//! Pure: bytes in, lines out. It must not keep more than one line's bound, whatever the runner prints.

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and calls `line` for each line that they complete (without its newline). A line beyond the
    /// bound comes in pieces.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            for part in piece.chunks(MAX_LINE_BYTES) {
                self.add(part, &mut line);
            }
        }
    }

    fn add(&mut self, part: &[u8], line: &mut impl FnMut(&[u8])) {
        if self.rest.len() + part.len() > MAX_LINE_BYTES + 1 {
            line(&self.rest);
            self.rest.clear();
        }
        self.rest.extend_from_slice(part);
        if let Some(whole) = self.rest.strip_suffix(b"\n") {
            line(whole.strip_suffix(b"\r").unwrap_or(whole));
            self.rest.clear();
        }
    }

    /// What came after the last newline.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }
}

/// What a line of the listener tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Connected to GitHub, waiting for a job.
    Listening,
    /// GitHub gave it a job; a worker comes next.
    JobReceived,
}

/// Reads a line of the listener: `2026-11-02 10:00:00Z: Listening for Jobs`, `2026-11-02 10:00:05Z: Running job: build`.
///
/// A job's name stands in such lines, so "received" is looked for first: taking a job for none would kill it, taking
/// none for a job only delays an end.
pub(crate) fn sign(line: &[u8]) -> Option<Sign> {
    let text = String::from_utf8_lossy(line);
    if text.contains("Running job:") {
        Some(Sign::JobReceived)
    } else if text.trim_end().ends_with("Listening for Jobs") {
        Some(Sign::Listening)
    } else {
        None
    }
}

/// A line longer than this is passed on in pieces.
const MAX_LINE_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(inputs: &[&[u8]]) -> (Vec<String>, Lines) {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for input in inputs {
            lines.feed(input, |line| out.push(String::from_utf8_lossy(line).into_owned()));
        }
        (out, lines)
    }

    #[test]
    fn lines_come_whole_across_reads() {
        let (out, lines) = cut(&[b"one\ntw", b"o\r\n\nleft"]);
        assert_eq!(out, ["one", "two", ""]);
        assert_eq!(lines.rest(), b"left");
    }

    #[test]
    fn an_endless_line_comes_in_pieces() {
        let long = vec![b'x'; 3 * MAX_LINE_BYTES];
        let (out, lines) = cut(&[&long, b"\n"]);
        assert_eq!(out.iter().map(String::len).sum::<usize>(), long.len());
        assert!(out.iter().all(|line| line.len() <= MAX_LINE_BYTES + 1), "bounded");
        assert!(lines.rest().is_empty());
    }

    #[test]
    fn signs_of_the_listener() {
        assert_eq!(sign(b"2026-11-02 10:00:00Z: Listening for Jobs"), Some(Sign::Listening));
        assert_eq!(sign(b"2026-11-02 10:00:05Z: Running job: build"), Some(Sign::JobReceived));
        assert_eq!(sign(b"2026-11-02 10:00:05Z: Running job: Listening for Jobs"), Some(Sign::JobReceived));
        assert_eq!(sign(b"Current runner version: '2.337.0'"), None);
    }
}
