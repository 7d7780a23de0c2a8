//! What is wrong with a configuration: collected, so that a person mends all of it at once.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::tree::{Node, Origin};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key, step by step.
    pub(crate) key: Vec<String>,
    /// Where it stands, if that is known already.
    pub(crate) origin: Option<Origin>,
    /// What is wrong and what to write instead.
    pub(crate) what: String,
    /// Whether the daemon does not start with it.
    pub(crate) serious: bool,
}

/// All that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// A value cannot be used.
    pub(crate) fn add(&mut self, key: &[&str], what: impl Into<String>) {
        self.push(None, key, what.into(), true);
    }

    /// The same, at a place that is known.
    pub(crate) fn add_at(&mut self, origin: Origin, key: &[&str], what: impl Into<String>) {
        self.push(Some(origin), key, what.into(), true);
    }

    /// A value works, but most likely not as meant.
    pub(crate) fn warn(&mut self, key: &[&str], what: impl Into<String>) {
        self.push(None, key, what.into(), false);
    }

    /// The same, at a place that is known.
    pub(crate) fn warn_at(&mut self, origin: Origin, what: impl Into<String>) {
        self.push(Some(origin), &[], what.into(), false);
    }

    /// What a check yields; its error is a problem of that key.
    pub(crate) fn keep<T>(&mut self, key: &[&str], checked: Result<T, String>) -> Option<T> {
        checked.map_err(|what| self.add(key, what)).ok()
    }

    fn push(&mut self, origin: Option<Origin>, key: &[&str], what: String, serious: bool) {
        let key = key.iter().map(ToString::to_string).collect();
        self.0.push(Problem { key, origin, what, serious });
    }

    /// The keys of those so far.
    #[cfg(feature = "aws")]
    pub(crate) fn keys(&self) -> Vec<Vec<String>> {
        self.0.iter().map(|problem| problem.key.clone()).collect()
    }

    /// Takes others over, as far as somebody must hear of them.
    #[cfg(feature = "aws")]
    pub(crate) fn append(&mut self, others: Self, is_news: impl Fn(&[String]) -> bool) {
        self.0.extend(others.0.into_iter().filter(|problem| is_news(&problem.key)));
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the daemon does not start with it.
    pub(crate) fn are_serious(&self) -> bool {
        self.0.iter().any(|problem| problem.serious)
    }

    /// In the order of the file; what has no line stands last.
    pub(crate) fn sort(&mut self, tree: &Node) {
        self.0.sort_by_key(|problem| match problem.origin(tree) {
            Origin::Line(line) => *line,
            Origin::Default | Origin::Variable(_) | Origin::Flag(_) | Origin::File(_) => usize::MAX,
        });
    }
}

impl Problem {
    fn origin<'a>(&'a self, tree: &'a Node) -> &'a Origin {
        self.origin.as_ref().unwrap_or_else(|| tree.origin_of(&self.key))
    }

    /// A line for people: place, key, what and what to do.
    pub(crate) fn line(&self, tree: &Node, path: Option<&Path>) -> String {
        let origin = self.origin(tree);
        // What is missing has no line of its own: then the file as a whole is the place.
        let nowhere = *origin == Origin::Default || (self.origin.is_none() && self.is_missing(tree));
        let place = match path {
            Some(path) if nowhere => path.display().to_string(),
            None if nowhere => "configuration".to_owned(),
            _ => origin.place(path),
        };
        format!("{place}: {}", self.words(tree))
    }

    /// Without its place.
    pub(crate) fn words(&self, tree: &Node) -> String {
        let key = spoken(&self.key, tree);
        if key.is_empty() { self.what.clone() } else { format!("{key}: {}", self.what) }
    }

    /// For programs.
    pub(crate) fn object(&self, tree: &Node, path: Option<&Path>) -> Json {
        json!({
            "key": spoken(&self.key, tree),
            "origin": self.origin(tree).object(path),
            "what": self.what,
            "severity": if self.serious { "error" } else { "warning" },
        })
    }

    fn is_missing(&self, tree: &Node) -> bool {
        self.key.first().is_none_or(|first| tree.get(first).is_none())
    }
}

/// A key as people say it: an element of a list by its `name` where it has one.
pub(crate) fn spoken(key: &[String], tree: &Node) -> String {
    let mut node = Some(tree);
    let mut words = Vec::new();
    for step in key {
        node = node.and_then(|node| node.get(step));
        let name = node.filter(|_| step.parse::<usize>().is_ok()).and_then(|node| node.get("name"));
        let name = name.and_then(|name| name.value().as_str().map(str::to_owned)).filter(|name| !name.is_empty());
        words.push(name.unwrap_or_else(|| step.clone()));
    }
    words.join(".")
}
