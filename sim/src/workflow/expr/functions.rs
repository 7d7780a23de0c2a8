//! The functions of expressions.
//!
//! Each is a pure function of its arguments; the status functions ask the scope. A new one is a variant, a row of
//! [`TABLE`] and an arm.

use serde_json::Value;

use super::compare::{equal, fold, text_of};
use super::{ExprError, Scope};

/// Bytes that `format` and `join` may make at most: they can repeat their arguments.
const RESULT_BYTES_MAX: usize = 1_048_576;

/// A known function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Always,
    Success,
    Failure,
    Cancelled,
    Contains,
    StartsWith,
    EndsWith,
    Format,
    Join,
    ToJson,
    FromJson,
}

/// Name, function, fewest and most arguments. GitHub ignores the case of names.
const TABLE: [(&str, Function, usize, usize); 11] = [
    ("always", Function::Always, 0, 0),
    ("success", Function::Success, 0, 0),
    ("failure", Function::Failure, 0, 0),
    ("cancelled", Function::Cancelled, 0, 0),
    ("contains", Function::Contains, 2, 2),
    ("startsWith", Function::StartsWith, 2, 2),
    ("endsWith", Function::EndsWith, 2, 2),
    ("format", Function::Format, 1, 255),
    ("join", Function::Join, 1, 2),
    ("toJSON", Function::ToJson, 1, 1),
    ("fromJSON", Function::FromJson, 1, 1),
];

impl Function {
    pub(super) fn named(name: &str) -> Result<Self, ExprError> {
        let row = TABLE.iter().find(|row| row.0.eq_ignore_ascii_case(name));
        row.map(|row| row.1).ok_or_else(|| {
            let known: Vec<&str> = TABLE.iter().map(|row| row.0).collect();
            ExprError(format!("the function `{name}` is not known here; there are {}", known.join(", ")))
        })
    }

    pub(super) fn check_count(self, count: usize) -> Result<(), ExprError> {
        let Some((name, _, least, most)) = TABLE.iter().find(|row| row.1 == self) else { return Ok(()) };
        if (*least..=*most).contains(&count) {
            return Ok(());
        }
        Err(ExprError(format!("`{name}` takes {least} to {most} arguments, not {count}")))
    }

    pub(super) const fn is_status(self) -> bool {
        matches!(self, Self::Always | Self::Success | Self::Failure | Self::Cancelled)
    }

    pub(super) fn call(self, args: &[Value], scope: &Scope) -> Result<Value, ExprError> {
        let arg = |n: usize| args.get(n).unwrap_or(&Value::Null);
        match self {
            Self::Always | Self::Success | Self::Failure | Self::Cancelled => self.status(scope),
            Self::Contains => Ok(contains(arg(0), arg(1)).into()),
            Self::StartsWith => Ok(fold(&text_of(arg(0))).starts_with(&fold(&text_of(arg(1)))).into()),
            Self::EndsWith => Ok(fold(&text_of(arg(0))).ends_with(&fold(&text_of(arg(1)))).into()),
            Self::Format => format(&text_of(arg(0)), args.get(1..).unwrap_or_default()).map(Value::String),
            Self::Join => join(arg(0), args.get(1)).map(Value::String),
            Self::ToJson => serde_json::to_string_pretty(arg(0))
                .map(Value::String)
                .map_err(|error| ExprError(format!("toJSON: {error}"))),
            Self::FromJson => serde_json::from_str(&text_of(arg(0)))
                .map_err(|error| ExprError(format!("fromJSON: the text is not JSON: {error}"))),
        }
    }

    fn status(self, scope: &Scope) -> Result<Value, ExprError> {
        let Some(status) = scope.status else {
            return Err(ExprError("status functions are allowed in `if` only".to_owned()));
        };
        let answer = match self {
            Self::Success => status.success,
            Self::Failure => status.failure,
            Self::Cancelled => status.cancelled,
            Self::Always
            | Self::Contains
            | Self::StartsWith
            | Self::EndsWith
            | Self::Format
            | Self::Join
            | Self::ToJson
            | Self::FromJson => true,
        };
        Ok(answer.into())
    }
}

fn contains(whole: &Value, part: &Value) -> bool {
    match whole {
        Value::Array(items) => items.iter().any(|item| equal(item, part)),
        Value::Object(_) => false,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            fold(&text_of(whole)).contains(&fold(&text_of(part)))
        }
    }
}

/// `{0}` is the first value, `{{` and `}}` are braces.
fn format(pattern: &str, values: &[Value]) -> Result<String, ExprError> {
    let bad = |why: &str| ExprError(format!("format: {why} in `{}`", pattern.chars().take(80).collect::<String>()));
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let end = after.find('}').filter(|_| brace == "{").ok_or_else(|| bad("a brace stands alone (double it)"))?;
        let number: usize = after[..end].parse().map_err(|_| bad("braces hold a number"))?;
        out.push_str(&text_of(values.get(number).ok_or_else(|| bad("a number has no value"))?));
        rest = &after[end + 1..];
        bounded(&out)?;
    }
    out.push_str(rest);
    Ok(out)
}

fn join(list: &Value, separator: Option<&Value>) -> Result<String, ExprError> {
    let separator = separator.map_or_else(|| ",".to_owned(), text_of);
    let Value::Array(items) = list else { return Ok(text_of(list)) };
    let mut out = String::new();
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push_str(&separator);
        }
        out.push_str(&text_of(item));
        bounded(&out)?;
    }
    Ok(out)
}

fn bounded(text: &str) -> Result<(), ExprError> {
    if text.len() <= RESULT_BYTES_MAX {
        return Ok(());
    }
    Err(ExprError(format!("the result is longer than {RESULT_BYTES_MAX} bytes")))
}
