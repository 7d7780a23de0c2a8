//! The two outputs: results on stdout, complaints on stderr. A closed output ends nothing; one that cannot be written, as on
//! a full disk, is told in the end ([`unwritten`]).
//!
//! Names of jobs, labels and repositories are anybody's, and what a terminal is told it does: nothing goes out that is
//! not to be read.

use std::{
    borrow::Cow,
    io::{self, Write as _},
    sync::OnceLock,
};

pub(crate) use fleet::utc::utc;

/// Why stdout could not be written when it first could not.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Why something that was to be on stdout is not there.
pub(crate) fn unwritten() -> Option<&'static str> {
    UNWRITTEN.get().map(String::as_str)
}

/// Whether it was written. A reader that went away (`| head`) is no failure of ours.
fn noted(written: io::Result<()>) -> bool {
    if let Err(error) = &written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        UNWRITTEN.get_or_init(|| error.to_string());
    }
    written.is_ok()
}

/// Writes a line to stdout, at once.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    noted(writeln!(out, "{}", lines(line)).and_then(|()| out.flush()));
}

/// Writes text without a line's end to stdout, at once, as it is: what is not ours in it goes through [`lines`] before.
/// Whether somebody still reads it.
pub(crate) fn draw(text: &str) -> bool {
    let mut out = io::stdout().lock();
    noted(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
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
    let _unheard = writeln!(io::stderr().lock(), "self-runners: {}", lines(line));
}

/// JSON on a line of its own: what would steer the terminal is escaped as JSON does it, so programs read what was there.
pub(crate) fn json(json: &str) -> String {
    let escape = |character: char| {
        let units = character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
        if character != '\n' && steers(character) { units } else { character.to_string() }
    };
    json.chars().map(escape).collect()
}

/// A text of lines, in which nothing steers the terminal.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    readable(text, |character| character != '\n' && steers(character))
}

/// A text of one line, in which nothing steers the terminal: for a name from outside within a line of ours.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    readable(text, steers)
}

/// Writes what is not to be seen as `\u{1b}`.
fn readable(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return text.into();
    }
    let show = |character: char| {
        if hidden(character) { character.escape_unicode().to_string() } else { character.to_string() }
    };
    text.chars().map(show).collect::<String>().into()
}

/// Control characters, those that turn the direction of writing (<https://trojansource.codes>), and those without a width.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        let name = "a\x1b[2J\r\nb\u{9b}\u{202e}c\u{200b}";
        assert_eq!(word(name), "a\\u{1b}[2J\\u{d}\\u{a}b\\u{9b}\\u{202e}c\\u{200b}");
        assert_eq!(lines("a\nb\x1bc"), "a\nb\\u{1b}c");
        let name = "a\u{202e}b\u{e0041}c\x1b";
        let said = json(&serde_json::json!([name]).to_string());
        assert_eq!(said, r#"["a\u202eb\udb40\udc41c\u001b"]"#);
        assert_eq!(serde_json::from_str::<[String; 1]>(&said).unwrap(), [name]);
        assert_eq!(word("Grüße, 日本語 ✓"), "Grüße, 日本語 ✓");
    }
}
