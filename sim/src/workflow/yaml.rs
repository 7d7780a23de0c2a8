//! YAML text → a tree that remembers where each value stands.
//!
//! It is built from the parser's events and not through serde, because each message about a workflow names a line and
//! serde forgets them. Anchors are followed with a budget, so that a small file cannot grow into a huge one. It knows
//! nothing about workflows.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

use super::error::{ErrorKind, Place, WorkflowError};
use super::limits::{YAML_DEPTH_MAX, YAML_NODES_MAX};

/// One value of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// The three shapes of a value.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A text; `plain` when written without quotes, so that `true`, `3` and `~` mean what they mean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) value: Node,
}

impl Node {
    /// The value as expressions see it.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar { text, plain: true } => plain_value(text),
            Kind::Scalar { text, plain: false } => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// An empty value: nothing, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true } if plain_value(text).is_null())
    }

    /// The values in it, itself included.
    fn size(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. } => 1,
            Kind::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.value.size()).sum::<usize>(),
        }
    }
}

/// YAML 1.2's core schema, as GitHub reads it: `on` and `yes` are texts.
fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => plain_number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn plain_number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(Value::from);
    }
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|_| numeric)?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// Reads the one document of a text.
pub(super) fn read(text: &str) -> Result<Node, WorkflowError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = Place { line: error.marker().line(), column: error.marker().col() + 1 };
            WorkflowError::new(ErrorKind::Yaml, at, format!("this is not valid YAML: {}", error.info()))
        })?;
        builder.take(event, &span)?;
    }
    builder.root.ok_or_else(|| {
        WorkflowError::new(ErrorKind::Yaml, Place::default(), "the file is empty; it needs at least `jobs:`")
    })
}

/// A list or a mapping that is still open.
struct Open {
    at: Place,
    anchor: usize,
    holds: Holds,
}

enum Holds {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Place)> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), WorkflowError> {
        let at = Place { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::Scalar(_, _, _, Some(tag)) if !tag.is_yaml_core_schema() => {
                let message = format!(
                    "a value that starts with `!` is a YAML tag (`!{}`); quote it, or write `${{{{ !… }}}}`",
                    tag.suffix
                );
                Err(WorkflowError::new(ErrorKind::Yaml, at, message))
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                self.finish(Node { at, kind: Kind::Scalar { text: text.into_owned(), plain } }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(at, anchor, Holds::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(at, anchor, Holds::Map { entries: Vec::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.repeat(at, anchor),
            Event::DocumentStart(_) if self.root.is_some() => Err(WorkflowError::new(
                ErrorKind::Yaml,
                at,
                "a workflow file holds one document; remove the second `---`",
            )),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, at: Place, anchor: usize, holds: Holds) -> Result<(), WorkflowError> {
        if self.open.len() >= YAML_DEPTH_MAX {
            let message = format!("values are nested deeper than {YAML_DEPTH_MAX} levels; flatten them");
            return Err(WorkflowError::new(ErrorKind::Limit, at, message));
        }
        self.open.push(Open { at, anchor, holds });
        Ok(())
    }

    fn end(&mut self) -> Result<(), WorkflowError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.holds {
            Holds::List(items) => Kind::List(items),
            Holds::Map { entries, .. } => Kind::Map(entries),
        };
        self.finish(Node { at: open.at, kind }, open.anchor)
    }

    fn repeat(&mut self, at: Place, anchor: usize) -> Result<(), WorkflowError> {
        let Some(mut node) = self.anchors.get(&anchor).cloned() else {
            return Err(WorkflowError::new(ErrorKind::Yaml, at, "an anchor may not be used inside itself"));
        };
        self.count(at, node.size())?;
        node.at = at;
        self.place(node)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), WorkflowError> {
        self.count(node.at, 1)?;
        if anchor > 0 {
            self.count(node.at, node.size())?;
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node)
    }

    fn count(&mut self, at: Place, nodes: usize) -> Result<(), WorkflowError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= YAML_NODES_MAX {
            return Ok(());
        }
        let message = format!("the file holds more than {YAML_NODES_MAX} values; split it, or use fewer anchors");
        Err(WorkflowError::new(ErrorKind::Limit, at, message))
    }

    fn place(&mut self, node: Node) -> Result<(), WorkflowError> {
        match self.open.last_mut().map(|open| &mut open.holds) {
            None => self.root = Some(node),
            Some(Holds::List(items)) => items.push(node),
            Some(Holds::Map { entries, key }) => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, value: node }),
                None => *key = Some(new_key(entries, node)?),
            },
        }
        Ok(())
    }
}

fn new_key(entries: &[Entry], node: Node) -> Result<(String, Place), WorkflowError> {
    let Kind::Scalar { text, .. } = node.kind else {
        return Err(WorkflowError::new(ErrorKind::Shape, node.at, "a key must be a text"));
    };
    if entries.iter().any(|entry| entry.key == text) {
        let message = format!("`{text}` stands here twice; remove one of them");
        return Err(WorkflowError::new(ErrorKind::Yaml, node.at, message));
    }
    Ok((text, node.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_texts_mean_what_they_mean() {
        let node = read("[1, 1.5, true, ~, on, '1', 0x10, 1.2.3, -3]").unwrap();
        let expected = serde_json::json!([1, 1.5, true, null, "on", "1", 16, "1.2.3", -3]);
        assert_eq!(node.to_json(), expected);
    }

    #[test]
    fn anchors_are_followed_within_a_budget() {
        assert_eq!(read("{a: &x [1], b: *x}").unwrap().to_json(), serde_json::json!({"a": [1], "b": [1]}));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..9 {
            let refs = vec![format!("*a{}", n - 1); 10].join(",");
            bomb.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
        }
        assert_eq!(read(&bomb).unwrap_err().kind, ErrorKind::Limit);
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(read("a: 1\na: 2\n").unwrap_err().line, Some(2));
        assert_eq!(read("a: [1\nb: ]]\n").unwrap_err().kind, ErrorKind::Yaml);
        assert_eq!(read("").unwrap_err().kind, ErrorKind::Yaml);
        assert_eq!(read(&"[".repeat(100)).unwrap_err().kind, ErrorKind::Limit);
    }
}
