//! Expression text → tokens.
//!
//! The only place that looks at characters. It must not know what a token means.

use super::ExprError;
use crate::workflow::limits::EXPRESSION_CHARS_MAX;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    /// A name: a context, a property, a function, `true`, `null` …
    Name(String),
    /// One of `( ) [ ] , . * ! == != < <= > >= && ||`.
    Sign(&'static str),
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 16] = ["==", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", ",", ".", "*", "!", "<", ">"];

/// Cuts a text into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExprError> {
    if text.chars().count() > EXPRESSION_CHARS_MAX {
        return Err(ExprError(format!("the expression is longer than {EXPRESSION_CHARS_MAX} characters; shorten it")));
    }
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        // `.5` is no number here: GitHub wants a digit first, and `a.5` would be ambiguous.
        let signed = matches!(first, '-' | '+') && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        let (token, after) = if first == '\'' {
            quoted(rest)?
        } else if first.is_ascii_digit() || signed {
            number(rest)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            name(rest)
        } else {
            sign(rest)?
        };
        out.push(token);
        rest = after.trim_start();
    }
    Ok(out)
}

/// `'it''s'`: single quotes only, a quote inside is doubled.
fn quoted(text: &str) -> Result<(Token, &str), ExprError> {
    let mut out = String::new();
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find('\'') else {
            return Err(ExprError("a text is not closed; add the missing `'`".to_owned()));
        };
        out.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(more) = rest.strip_prefix('\'') else { return Ok((Token::Text(out), rest)) };
        out.push('\'');
        rest = more;
    }
}

fn number(text: &str) -> Result<(Token, &str), ExprError> {
    let signed = usize::from(text.starts_with(['-', '+']));
    let end = text[signed..]
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
        .map_or(text.len(), |found| found + signed);
    let (word, rest) = text.split_at(end);
    let value = match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok().map(f64::from),
        None => word.parse().ok(),
    };
    let value = value.filter(|value: &f64| value.is_finite());
    value.map(|value| (Token::Number(value), rest)).ok_or_else(|| ExprError(format!("`{word}` is not a number")))
}

fn name(text: &str) -> (Token, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(text.len());
    (Token::Name(text[..end].to_owned()), &text[end..])
}

fn sign(text: &str) -> Result<(Token, &str), ExprError> {
    for sign in SIGNS {
        if let Some(rest) = text.strip_prefix(sign) {
            return Ok((Token::Sign(sign), rest));
        }
    }
    let found: String = text.chars().take(1).collect();
    let hint = if found == "\"" { "; texts stand in single quotes" } else { "" };
    Err(ExprError(format!("`{found}` is not expected in an expression{hint}")))
}
