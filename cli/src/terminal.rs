//! The two outputs: results on stdout, complaints on stderr. A closed output ends nothing.

use std::io::{self, Write as _};

pub(crate) use fleet::utc::utc;

/// Writes a line to stdout, at once.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A reader that went away (`| head`) is no failure of ours.
    let _unheard = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes text without a line's end to stdout, at once.
pub(crate) fn draw(text: &str) {
    let mut out = io::stdout().lock();
    let _unheard = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a failure to stderr.
pub(crate) fn complain(line: &str) {
    let _unheard = writeln!(io::stderr().lock(), "self-runners: {line}");
}
