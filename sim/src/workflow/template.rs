//! Texts with `${{ }}` in them.
//!
//! A text that is one expression and nothing else keeps the expression's value; else all parts become one text.

use serde_json::Value;

use super::expr::{self, Expr, ExprError, Scope, text_of};

/// One piece of a text.
enum Piece<'text> {
    Plain(&'text str),
    Code(Expr),
}

/// Checks all expressions of a text without evaluating them.
///
/// # Errors
/// When one is not valid or not closed.
pub fn check(text: &str) -> Result<(), ExprError> {
    pieces(text).map(drop)
}

/// The text with its expressions replaced.
///
/// # Errors
/// When an expression is not valid or cannot be evaluated.
pub fn render(text: &str, scope: &Scope) -> Result<String, ExprError> {
    let mut out = String::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Code(code) => out.push_str(&text_of(&expr::evaluate(&code, scope)?)),
        }
    }
    Ok(out)
}

/// The value of a text: that of its expression when it is nothing else.
///
/// # Errors
/// As [`render`].
pub fn value(text: &str, scope: &Scope) -> Result<Value, ExprError> {
    match pieces(text)?.as_slice() {
        [Piece::Code(code)] => expr::evaluate(code, scope),
        _ => render(text, scope).map(Value::String),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, ExprError> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${{") {
        if start > 0 {
            out.push(Piece::Plain(&rest[..start]));
        }
        let inner = &rest[start + 3..];
        let end = end_of(inner).ok_or_else(|| ExprError("`${{` is not closed; add `}}`".to_owned()))?;
        out.push(Piece::Code(expr::parse(&inner[..end])?));
        rest = &inner[end + 2..];
    }
    if !rest.is_empty() {
        out.push(Piece::Plain(rest));
    }
    Ok(out)
}

/// Where `}}` stands, texts in quotes left out.
fn end_of(inner: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'}' if !quoted && inner.as_bytes().get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_and_values() {
        let scope = Scope::new([("matrix", json!({"n": 1, "l": ["a"]}))]);
        assert_eq!(render("n=${{ matrix.n }}, ${{ '}}' }}!", &scope).unwrap(), "n=1, }}!");
        assert_eq!(value("${{ matrix.l }}", &scope).unwrap(), json!(["a"]));
        assert_eq!(value("x${{ matrix.n }}", &scope).unwrap(), json!("x1"));
        assert_eq!(render("plain $HOME", &scope).unwrap(), "plain $HOME");
        assert!(check("${{ matrix.n").is_err());
        assert!(check("${{ nope }}").is_err());
    }
}
