//! Values with their origins: what became of a TOML file after variables and flags were put over it.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value as Json, json};
use toml::Value;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody gave it.
    Default,
    /// Line of the file, from 1.
    Line(usize),
    /// Environment variable.
    Variable(String),
    /// Flag of the command line.
    Flag(&'static str),
    /// A file that holds the value alone.
    File(String),
}

impl Origin {
    /// For people: `self-runners.toml:4`, `SELF_RUNNERS_MAX`, `--listen`, `default`.
    pub(crate) fn place(&self, path: Option<&Path>) -> String {
        match self {
            Self::Default => "default".into(),
            Self::Line(line) => format!("{}:{line}", path.unwrap_or(Path::new("line")).display()),
            Self::Variable(name) => name.clone(),
            Self::Flag(flag) => (*flag).to_owned(),
            Self::File(file) => file.clone(),
        }
    }

    /// For programs.
    pub(crate) fn object(&self, path: Option<&Path>) -> Json {
        match self {
            Self::Default => json!({ "from": "default" }),
            Self::Line(line) => {
                json!({ "from": "file", "file": path.map(|path| path.to_string_lossy()), "line": line })
            }
            Self::Variable(name) => json!({ "from": "environment", "variable": name }),
            Self::Flag(flag) => json!({ "from": "flag", "flag": flag }),
            Self::File(file) => json!({ "from": "file", "file": file }),
        }
    }
}

/// A value with its origin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it came from; of a table or list: where that began.
    pub(crate) origin: Origin,
    /// What it holds.
    pub(crate) item: Item,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    /// Nodes by key.
    Table(BTreeMap<String, Node>),
    /// Nodes in order.
    List(Vec<Node>),
    /// Anything else.
    Leaf(Value),
}

impl Node {
    /// A table without keys.
    pub(crate) fn table(origin: Origin) -> Self {
        Self { origin, item: Item::Table(BTreeMap::new()) }
    }

    /// A value that came as a whole.
    pub(crate) fn from_value(value: Value, origin: &Origin) -> Self {
        let item = match value {
            Value::Table(table) => {
                Item::Table(table.into_iter().map(|(key, value)| (key, Self::from_value(value, origin))).collect())
            }
            Value::Array(list) => Item::List(list.into_iter().map(|value| Self::from_value(value, origin)).collect()),
            leaf
            @ (Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_)) => {
                Item::Leaf(leaf)
            }
        };
        Self { origin: origin.clone(), item }
    }

    /// Without origins.
    pub(crate) fn value(&self) -> Value {
        match &self.item {
            Item::Table(table) => Value::Table(table.iter().map(|(key, node)| (key.clone(), node.value())).collect()),
            Item::List(list) => Value::Array(list.iter().map(Self::value).collect()),
            Item::Leaf(leaf) => leaf.clone(),
        }
    }

    /// The node below a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.item {
            Item::Table(table) => table.get(key),
            Item::List(list) => list.get(key.parse::<usize>().ok()?),
            Item::Leaf(_) => None,
        }
    }

    /// Where the value of a key came from, or what is nearest above it.
    pub(crate) fn origin_of(&self, key: &[String]) -> &Origin {
        match key.split_first().and_then(|(first, rest)| Some((self.get(first)?, rest))) {
            Some((node, rest)) => node.origin_of(rest),
            None => &self.origin,
        }
    }

    /// Puts a node at a key, over what was there. Tables on the way are made.
    pub(crate) fn put(&mut self, key: &[String], node: Self) {
        let Some((first, rest)) = key.split_first() else {
            *self = node;
            return;
        };
        if !matches!(self.item, Item::Table(_)) {
            self.item = Item::Table(BTreeMap::new());
        }
        if let Item::Table(table) = &mut self.item {
            let below = table.entry(first.clone()).or_insert_with(|| Self::table(node.origin.clone()));
            below.put(rest, node);
        }
    }

    /// Whether it is a table or a list of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.item {
            Item::Table(table) => table.is_empty(),
            Item::List(list) => list.is_empty(),
            Item::Leaf(_) => false,
        }
    }

    /// What it is, in a word for people.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.item {
            Item::Table(_) => "a table",
            Item::List(_) => "a list",
            Item::Leaf(Value::String(_)) => "a text",
            Item::Leaf(Value::Integer(_)) => "a number",
            Item::Leaf(Value::Float(_)) => "a fraction",
            Item::Leaf(Value::Boolean(_)) => "true or false",
            Item::Leaf(Value::Datetime(_) | Value::Array(_) | Value::Table(_)) => "a time",
        }
    }
}
