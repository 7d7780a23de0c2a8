//! The two outputs: results on stdout, complaints on stderr. A closed output ends nothing.

use std::io::{self, Write as _};

pub(crate) use fleet::utc::utc;

/// Writes a line to stdout, at once.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A reader that went away (`| head`) is no failure of ours.
    let _unheard = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes text without a line's end to stdout, at once; whether somebody still reads it.
pub(crate) fn draw(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Columns and rows of the terminal.
pub(crate) fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        Ok(_) | Err(_) => (80, 24),
    }
}

/// Writes a failure to stderr.
pub(crate) fn complain(line: &str) {
    let _unheard = writeln!(io::stderr().lock(), "self-runners: {line}");
}
