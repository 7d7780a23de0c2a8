//! A tree and a scope → a value.
//!
//! Recursion is bounded by the parser's depth limit. What is missing is `null`, as on GitHub.

use std::cmp::Ordering;

use serde_json::Value;

use super::compare::{equal, fold, order, text_of, truthy};
use super::parse::{Expr, Part, Sign, Tree};
use super::{ExprError, Scope};

/// Evaluates.
pub(super) fn evaluate(expr: &Expr, scope: &Scope) -> Result<Value, ExprError> {
    tree(&expr.0, scope)
}

fn tree(node: &Tree, scope: &Scope) -> Result<Value, ExprError> {
    match node {
        Tree::Literal(value) => Ok(value.clone()),
        Tree::Context(name) => Ok(scope.values.get(name).cloned().unwrap_or(Value::Null)),
        Tree::Path { base, parts } => path(base, parts, scope),
        Tree::Call { function, args } => {
            let args = args.iter().map(|arg| tree(arg, scope)).collect::<Result<Vec<_>, _>>()?;
            function.call(&args, scope)
        }
        Tree::Not(inner) => Ok((!truthy(&tree(inner, scope)?)).into()),
        Tree::And(items) => chain(items, scope, false),
        Tree::Or(items) => chain(items, scope, true),
        Tree::Compare { left, sign, right } => Ok(compare(&tree(left, scope)?, *sign, &tree(right, scope)?).into()),
    }
}

/// `&&` and `||` answer with an operand, not with a truth value.
fn chain(items: &[Tree], scope: &Scope, stop_at: bool) -> Result<Value, ExprError> {
    let mut value = Value::Null;
    for item in items {
        value = tree(item, scope)?;
        if truthy(&value) == stop_at {
            break;
        }
    }
    Ok(value)
}

fn compare(left: &Value, sign: Sign, right: &Value) -> bool {
    let ordered = || order(left, right);
    match sign {
        Sign::Equal => equal(left, right),
        Sign::NotEqual => !equal(left, right),
        Sign::Less => ordered() == Some(Ordering::Less),
        Sign::Greater => ordered() == Some(Ordering::Greater),
        Sign::LessEqual => matches!(ordered(), Some(Ordering::Less | Ordering::Equal)),
        Sign::GreaterEqual => matches!(ordered(), Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn path(base: &Tree, parts: &[Part], scope: &Scope) -> Result<Value, ExprError> {
    // Contexts can be large: walk them by reference as far as names go, and copy only what is left.
    let whole = match base {
        Tree::Context(name) => scope.values.get(name),
        Tree::Literal(value) => Some(value),
        Tree::Path { .. } | Tree::Call { .. } | Tree::Not(_) | Tree::And(_) | Tree::Or(_) | Tree::Compare { .. } => {
            return walk(tree(base, scope)?, parts, scope);
        }
    };
    let names = parts.iter().take_while(|part| matches!(part, Part::Property(_))).count();
    let mut at = whole;
    for part in &parts[..names] {
        if let Part::Property(name) = part {
            at = at.and_then(|value| property(value, name));
        }
    }
    walk(at.cloned().unwrap_or(Value::Null), &parts[names..], scope)
}

fn walk(mut value: Value, parts: &[Part], scope: &Scope) -> Result<Value, ExprError> {
    let mut each = false;
    for part in parts {
        value = match part {
            Part::Each => {
                let items = if each { members(&value).iter().flat_map(members).collect() } else { members(&value) };
                each = true;
                Value::Array(items)
            }
            Part::Property(name) => pick(&value, each, |item| property(item, name).cloned()),
            Part::Index(index) => {
                let index = tree(index, scope)?;
                pick(&value, each, |item| at_index(item, &index))
            }
        };
    }
    Ok(value)
}

/// After `.*` a name is looked up in each member.
fn pick(value: &Value, each: bool, of: impl Fn(&Value) -> Option<Value>) -> Value {
    if let (true, Value::Array(items)) = (each, value) {
        return Value::Array(items.iter().filter_map(of).collect());
    }
    of(value).unwrap_or(Value::Null)
}

fn members(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Object(map) => map.values().cloned().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Names ignore case, as on GitHub; an exact one wins.
fn property<'value>(value: &'value Value, name: &str) -> Option<&'value Value> {
    let map = value.as_object()?;
    map.get(name).or_else(|| {
        let folded = fold(name);
        map.iter().find(|(key, _)| fold(key) == folded).map(|(_, value)| value)
    })
}

fn at_index(value: &Value, index: &Value) -> Option<Value> {
    match value {
        Value::Array(items) => {
            let number = index.as_f64().or_else(|| text_of(index).parse().ok())?;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked: not negative; `as` saturates"
            )]
            let index = (number >= 0.0).then_some(number as usize)?;
            items.get(index).cloned()
        }
        Value::Object(_) => property(value, &text_of(index)).cloned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
