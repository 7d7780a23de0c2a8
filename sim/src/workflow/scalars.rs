//! Reading a mapping key by key, with messages that say where and what to do.
//!
//! All shape errors of workflow files are made here, so that they read alike. It must not know which keys exist.

use std::collections::BTreeMap;

use super::error::{ErrorKind, Place, WorkflowError};
use super::expr;
use super::template;
use super::yaml::{Entry, Kind, Node};

type Read<T> = Result<T, WorkflowError>;

/// A mapping and what it is called in messages: "job `build`".
pub(super) struct Fields<'node> {
    pub(super) at: Place,
    pub(super) what: String,
    entries: &'node [Entry],
}

impl<'node> Fields<'node> {
    pub(super) fn of(node: &'node Node, what: impl Into<String>) -> Read<Self> {
        let what = what.into();
        match &node.kind {
            Kind::Map(entries) => Ok(Self { at: node.at, what, entries }),
            Kind::Scalar { .. } | Kind::List(_) => {
                Err(shape(node.at, format!("{what} must be a mapping (`key: value` lines)")))
            }
        }
    }

    pub(super) fn entries(&self) -> &'node [Entry] {
        self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&'node Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key, unless it is empty.
    pub(super) fn value(&self, key: &str) -> Option<&'node Node> {
        self.get(key).map(|entry| &entry.value).filter(|value| !value.is_null())
    }

    /// Refuses keys that are not in the list.
    pub(super) fn only(&self, known: &[&str]) -> Read<()> {
        let Some(entry) = self.entries.iter().find(|entry| !known.contains(&entry.key.as_str())) else {
            return Ok(());
        };
        let wanted = simple(&entry.key);
        let near = known.iter().find(|key| simple(key) == wanted);
        let advice = near.map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("write `{near}`"));
        let message = format!("`{}` is not a key of {}; {advice}", entry.key, self.what);
        Err(WorkflowError::new(ErrorKind::UnknownKey, entry.at, message))
    }

    /// Refuses a key that GitHub knows and the simulation does not.
    pub(super) fn refuse(&self, key: &str, advice: &str) -> Read<()> {
        let Some(entry) = self.get(key) else { return Ok(()) };
        let message = format!("`{key}` in {} is not supported here; {advice}", self.what);
        Err(WorkflowError::new(ErrorKind::Unsupported, entry.at, message))
    }

    /// A text, its `${{ }}` checked.
    pub(super) fn text(&self, key: &str) -> Read<Option<String>> {
        self.value(key).map(|node| text(node, &format!("`{key}` in {}", self.what))).transpose()
    }

    /// An `if`, checked.
    pub(super) fn condition(&self) -> Read<Option<String>> {
        let Some(node) = self.value("if") else { return Ok(None) };
        let text = raw(node, &format!("`if` in {}", self.what))?;
        let bare = expr::bare(text);
        if bare.contains("${{") {
            let message = format!("`if` in {} mixes text and `${{{{ }}}}`; write it as one expression", self.what);
            return Err(WorkflowError::new(ErrorKind::Expression, node.at, message));
        }
        expr::parse(bare).map_err(|error| bad_expression(node.at, &format!("`if` in {}", self.what), &error))?;
        Ok(Some(bare.to_owned()))
    }

    /// A mapping of texts: `env`, `outputs`.
    pub(super) fn texts(&self, key: &str) -> Read<BTreeMap<String, String>> {
        let Some(node) = self.value(key) else { return Ok(BTreeMap::new()) };
        let what = format!("`{key}` in {}", self.what);
        let fields = Fields::of(node, what.clone())?;
        let read = |entry: &Entry| Ok((entry.key.clone(), text(&entry.value, &format!("`{}` of {what}", entry.key))?));
        fields.entries.iter().map(read).collect()
    }

    /// A positive number, as a text or an expression for later.
    pub(super) fn number_text(&self, key: &str) -> Read<Option<String>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let later = text.contains("${{");
        if later || text.parse::<f64>().is_ok_and(|number| number > 0.0 && number.is_finite()) {
            return Ok(Some(text));
        }
        let at = self.value(key).map_or(self.at, |node| node.at);
        Err(shape(at, format!("`{key}` in {} must be a number above 0, not `{}`", self.what, short(&text))))
    }

    /// `true`, `false` or an expression for later.
    pub(super) fn flag_text(&self, key: &str) -> Read<Option<String>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if text.contains("${{") || text == "true" || text == "false" {
            return Ok(Some(text));
        }
        let at = self.value(key).map_or(self.at, |node| node.at);
        Err(shape(at, format!("`{key}` in {} must be true or false, not `{}`", self.what, short(&text))))
    }
}

/// The text of a scalar, its `${{ }}` checked.
pub(super) fn text(node: &Node, what: &str) -> Read<String> {
    let text = raw(node, what)?;
    template::check(text).map_err(|error| bad_expression(node.at, what, &error))?;
    Ok(text.to_owned())
}

/// The text of a scalar as it stands.
pub(super) fn raw<'node>(node: &'node Node, what: &str) -> Read<&'node str> {
    match &node.kind {
        Kind::Scalar { text, plain: true } if text == "~" || text.eq_ignore_ascii_case("null") => Ok(""),
        Kind::Scalar { text, .. } => Ok(text),
        Kind::List(_) | Kind::Map(_) => Err(shape(node.at, format!("{what} must be a text, not a list or a mapping"))),
    }
}

/// A text, or a list of texts.
pub(super) fn text_or_list(node: &Node, what: &str) -> Read<Vec<(Place, String)>> {
    match &node.kind {
        Kind::List(items) => items.iter().map(|item| Ok((item.at, text(item, what)?))).collect(),
        Kind::Scalar { .. } => Ok(vec![(node.at, text(node, what)?)]),
        Kind::Map(_) => Err(shape(node.at, format!("{what} must be a text or a list of texts"))),
    }
}

pub(super) fn shape(at: Place, message: impl Into<String>) -> WorkflowError {
    WorkflowError::new(ErrorKind::Shape, at, message)
}

pub(super) fn bad_expression(at: Place, what: &str, error: &expr::ExprError) -> WorkflowError {
    WorkflowError::new(ErrorKind::Expression, at, format!("the expression of {what} is not valid: {error}"))
}

/// The part of a foreign text that a message may hold.
pub(super) fn short(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    text.chars().take(SHOWN_CHARS).collect()
}

fn simple(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
