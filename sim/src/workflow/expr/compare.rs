//! GitHub's loose rules: what is true, what is equal, what comes before what, and how a value reads as text.
//!
//! Source: GitHub's "Evaluate expressions in workflows and actions", section on operators. Pure rules only.

use std::cmp::Ordering;

use serde_json::Value;

/// Whether a value counts as true: all but `false`, `0`, `''`, `null` and what is no number.
#[must_use]
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0 && !number.is_nan()),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// How a value reads inside a text.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number_text(number),
        Value::String(text) => text.clone(),
        Value::Array(_) => "Array".to_owned(),
        Value::Object(_) => "Object".to_owned(),
    }
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 && number.is_f64() => super::parse::number_value(float).to_string(),
        Some(_) | None => number.to_string(),
    }
}

/// `==`. Texts ignore case; of two kinds, both become numbers; lists and objects equal nothing.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => false,
        (Value::String(a), Value::String(b)) => fold(a) == fold(b),
        (a, b) => number_of(a) == number_of(b),
    }
}

/// `<` and its kin. None when the two cannot be ordered.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(a), Value::String(b)) => Some(fold(a).cmp(&fold(b))),
        (a, b) => number_of(a).partial_cmp(&number_of(b)),
    }
}

/// A text without regard to case, as GitHub compares texts.
pub(super) fn fold(text: &str) -> String {
    text.to_uppercase()
}

fn number_of(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::String(text) if text.trim().is_empty() => 0.0,
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        Value::Array(_) | Value::Object(_) => f64::NAN,
    }
}
