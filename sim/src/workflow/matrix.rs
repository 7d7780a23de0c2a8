//! `strategy.matrix` → the combinations, as GitHub makes them.
//!
//! Axes are multiplied in the order of the file, `exclude` removes, `include` extends or adds. A matrix that is an
//! expression is refused: its values are not known when the file is read.

use serde_json::Value;

use super::error::{ErrorKind, Place, WorkflowError};
use super::limits::MATRIX_JOBS_MAX;
use super::scalars::{Fields, shape};
use super::yaml::{Entry, Kind, Node};

type Read<T> = Result<T, WorkflowError>;

/// Combinations before `exclude` takes its share.
const PRODUCT_MAX: usize = 4_096;

/// One combination, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Combination {
    pub(super) values: Vec<(String, Value)>,
    /// How many of the values come from the axes: `include` must not change those.
    own: usize,
}

impl Combination {
    fn get(&self, key: &str) -> Option<&Value> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn set(&mut self, key: &str, value: &Value) {
        match self.values.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value.clone(),
            None => self.values.push((key.to_owned(), value.clone())),
        }
    }

    /// ` (a, b)` for display names.
    pub(super) fn suffix(&self) -> String {
        let mut shown = Vec::new();
        for (_, value) in &self.values {
            flatten(value, &mut shown);
        }
        if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
    }
}

fn flatten(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, out)),
        Value::Object(map) => map.values().for_each(|item| flatten(item, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push(super::expr::text_of(value)),
    }
}

/// Reads and expands a matrix. No matrix is one empty combination.
pub(super) fn read(strategy: Option<&Fields<'_>>, job: &str) -> Read<Vec<Combination>> {
    let Some(node) = strategy.and_then(|fields| fields.value("matrix")) else {
        return Ok(vec![Combination::default()]);
    };
    refuse_expressions(node, job)?;
    let fields = Fields::of(node, format!("`matrix` of {job}"))?;
    let mut combinations = product(&fields)?;
    for exclude in objects(&fields, "exclude")? {
        combinations.retain(|combination| !exclude.iter().all(|(key, value)| combination.get(key) == Some(value)));
    }
    include(&mut combinations, &objects(&fields, "include")?);
    match combinations.len() {
        0 => Err(limit(node.at, ErrorKind::Shape, format!("the matrix of {job} is empty; add a value or remove it"))),
        1..=MATRIX_JOBS_MAX => Ok(combinations),
        many => {
            let message = format!("the matrix of {job} makes {many} jobs, at most {MATRIX_JOBS_MAX} are allowed");
            Err(limit(node.at, ErrorKind::Limit, message))
        }
    }
}

fn limit(at: Place, kind: ErrorKind, message: String) -> WorkflowError {
    WorkflowError::new(kind, at, message)
}

fn product(fields: &Fields<'_>) -> Read<Vec<Combination>> {
    let axes: Vec<&Entry> =
        fields.entries().iter().filter(|entry| entry.key != "include" && entry.key != "exclude").collect();
    if axes.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![Combination::default()];
    for axis in axes {
        let values = list(&axis.value, &format!("`{}` of {}", axis.key, fields.what))?;
        if out.len().saturating_mul(values.len()) > PRODUCT_MAX {
            let message = format!("{} makes more than {PRODUCT_MAX} combinations; shorten its lists", fields.what);
            return Err(limit(axis.at, ErrorKind::Limit, message));
        }
        let values: Vec<Value> = values.iter().map(Node::to_json).collect();
        out = out.iter().flat_map(|old| values.iter().map(|value| extended(old, &axis.key, value))).collect();
    }
    Ok(out)
}

fn extended(old: &Combination, key: &str, value: &Value) -> Combination {
    let mut new = old.clone();
    new.values.push((key.to_owned(), value.clone()));
    new.own += 1;
    new
}

/// GitHub's rule: an entry extends each combination whose own values it does not change; if there is none, it is a new
/// combination. Combinations made that way are not extended by later entries.
fn include(combinations: &mut Vec<Combination>, entries: &[Vec<(String, Value)>]) {
    let original = combinations.len();
    for entry in entries {
        let mut used = false;
        for combination in &mut combinations[..original] {
            let own = &combination.values[..combination.own];
            let changes = own.iter().any(|(key, old)| entry.iter().any(|(name, new)| name == key && new != old));
            if !changes {
                entry.iter().for_each(|(key, value)| combination.set(key, value));
                used = true;
            }
        }
        if !used {
            combinations.push(Combination { values: entry.clone(), own: 0 });
        }
    }
}

fn objects(fields: &Fields<'_>, key: &str) -> Read<Vec<Vec<(String, Value)>>> {
    let Some(node) = fields.value(key) else { return Ok(Vec::new()) };
    let what = format!("`{key}` of {}", fields.what);
    let items = list(node, &what)?;
    if items.len() > MATRIX_JOBS_MAX {
        return Err(limit(node.at, ErrorKind::Limit, format!("{what} has more than {MATRIX_JOBS_MAX} entries")));
    }
    let read = |item: &Node| -> Read<Vec<(String, Value)>> {
        let entry = Fields::of(item, format!("an entry of {what}"))?;
        Ok(entry.entries().iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
    };
    items.iter().map(read).collect()
}

fn list<'node>(node: &'node Node, what: &str) -> Read<&'node [Node]> {
    match &node.kind {
        Kind::List(items) => Ok(items),
        Kind::Scalar { .. } | Kind::Map(_) => Err(shape(node.at, format!("{what} must be a list (`[a, b]`)"))),
    }
}

fn refuse_expressions(node: &Node, job: &str) -> Read<()> {
    match &node.kind {
        Kind::Scalar { text, .. } if text.contains("${{") => {
            let message =
                format!("the matrix of {job} holds an expression, which is not supported here; write the values");
            Err(WorkflowError::new(ErrorKind::Unsupported, node.at, message))
        }
        Kind::Scalar { .. } => Ok(()),
        Kind::List(items) => items.iter().try_for_each(|item| refuse_expressions(item, job)),
        Kind::Map(entries) => entries.iter().try_for_each(|entry| refuse_expressions(&entry.value, job)),
    }
}
