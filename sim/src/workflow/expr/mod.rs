//! GitHub's expression language: what stands inside `${{ }}` and in `if`.
//!
//! Three steps, one file each: [`lex`](self), parse to a tree, evaluate against a [`Scope`]. Values are JSON values;
//! comparisons follow GitHub's loose rules. It must not know jobs or steps: what a name means is the scope's matter.

mod compare;
mod eval;
mod functions;
mod lex;
mod parse;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use compare::{text_of, truthy};
pub use parse::Expr;

/// An expression that is not valid, or cannot be evaluated. The text says why and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError(pub String);

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExprError {}

/// What the status functions answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// `success()`.
    pub success: bool,
    /// `failure()`.
    pub failure: bool,
    /// `cancelled()`.
    pub cancelled: bool,
}

/// What the names in an expression mean.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Contexts: `matrix`, `env`, `needs` … Those that are absent are empty.
    pub values: BTreeMap<String, Value>,
    /// The status functions, where they are allowed.
    pub status: Option<Status>,
}

impl Scope {
    /// A scope with these contexts and no status functions.
    #[must_use]
    pub fn new<const N: usize>(values: [(&str, Value); N]) -> Self {
        Self { values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), status: None }
    }

    /// The same with status functions.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = Some(status);
        self
    }
}

/// Reads an expression (without `${{ }}`).
///
/// # Errors
/// When it is not valid, too long or too deep.
pub fn parse(text: &str) -> Result<Expr, ExprError> {
    parse::parse(text)
}

/// Evaluates an expression.
///
/// # Errors
/// When a function gets what it cannot use, or a status function stands where none is allowed.
pub fn evaluate(expr: &Expr, scope: &Scope) -> Result<Value, ExprError> {
    eval::evaluate(expr, scope)
}

/// Decides an `if`. Without a status function of its own it means `success() && (…)`; an absent one means `success()`.
///
/// # Errors
/// When it is not valid or cannot be evaluated.
pub fn condition(text: Option<&str>, scope: &Scope) -> Result<bool, ExprError> {
    let success = scope.status.is_some_and(|status| status.success);
    let Some(text) = text.map(bare).filter(|text| !text.is_empty()) else { return Ok(success) };
    let expr = parse(text)?;
    if !expr.asks_status() && !success {
        return Ok(false);
    }
    Ok(truthy(&evaluate(&expr, scope)?))
}

/// An `if` without the `${{ }}` around it.
#[must_use]
pub fn bare(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inner.filter(|inner| !inner.contains("${{")).unwrap_or(text).trim()
}
