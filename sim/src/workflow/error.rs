//! What is wrong with a workflow file, where, and what to do about it.
//!
//! Callers branch on [`ErrorKind`]; people read the message. It must not hold more of the file than the word at fault.

use std::fmt;

/// A place in the file. Both count from 1; 0 means unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The kind of a [`WorkflowError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file cannot be read.
    Read,
    /// It is not YAML.
    Yaml,
    /// A value has the wrong shape: a list where a text is expected.
    Shape,
    /// A key that must be there is missing.
    Missing,
    /// A key that GitHub does not know either.
    UnknownKey,
    /// GitHub knows it, the simulation does not.
    Unsupported,
    /// A `${{ }}` or an `if` is not valid.
    Expression,
    /// `needs` names a job that does not exist, or jobs need each other in a circle.
    Needs,
    /// One of the [`limits`](super::limits) is exceeded.
    Limit,
}

/// A workflow file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowError {
    /// Line from 1, where known.
    pub line: Option<usize>,
    /// Column from 1, where known.
    pub column: Option<usize>,
    /// What a caller branches on.
    pub kind: ErrorKind,
    /// What is wrong and what to do, without the line.
    pub message: String,
}

impl WorkflowError {
    pub(super) fn new(kind: ErrorKind, at: Place, message: impl Into<String>) -> Self {
        let known = |n: usize| (n > 0).then_some(n);
        Self { line: known(at.line), column: known(at.column), kind, message: message.into() }
    }
}

impl fmt::Display for WorkflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for WorkflowError {}
