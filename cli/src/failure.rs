//! What a person reads when a command fails, and the exit code that a script sees.
//!
//! One line: what happened and what to do next. Never a secret, never a debug dump.

use std::fmt;

/// Exit code: it failed, or something was lost or left over.
pub const FAILED: u8 = 1;

/// Exit code: the command line or the configuration is wrong; nothing was done.
pub const USAGE: u8 = 2;

/// A signal's number and this are the exit code where a signal ended it.
const SIGNALLED: u8 = 128;

/// Why a command ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The command line or the configuration is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// Something did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, message: message.into() }
    }

    /// A signal ended it: the exit code is the shell's for that.
    pub fn signalled(number: i32, message: impl Into<String>) -> Self {
        let code = u8::try_from(number).map_or(FAILED, |number| number.saturating_add(SIGNALLED));
        Self { code, message: message.into() }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Some libraries' messages have several lines; what is read in a log must be one.
        let mut words = self.message.split_whitespace();
        f.write_str(words.next().unwrap_or_default())?;
        words.try_for_each(|word| write!(f, " {word}"))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        assert_eq!(Failure::failed("a\n  b\tc").to_string(), "a b c");
        assert_eq!((Failure::failed("").code(), Failure::usage("").code()), (1, 2));
    }
}
