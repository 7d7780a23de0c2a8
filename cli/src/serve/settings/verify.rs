//! A tree against the shape of the file: unknown keys, values of the wrong kind, what is missing. What is refused is
//! taken out of the tree, so that the rest can be looked at too.

use toml::Value;

use crate::table::count;

use super::{
    problems::Problems,
    shape::{Case, Key, Shape},
    tree::{Item, Node, Origin},
};

/// Looks at all of it.
pub(super) fn verify(tree: &mut Node, file: &Shape, problems: &mut Problems) {
    let mut look = Look { file, problems };
    look.node(&[], tree, file);
}

struct Look<'a> {
    file: &'a Shape,
    problems: &'a mut Problems,
}

impl Look<'_> {
    /// Whether the node may stay.
    fn node(&mut self, at: &[String], node: &mut Node, shape: &Shape) -> bool {
        let origin = node.origin.clone();
        match (shape, &mut node.item) {
            (Shape::Section(keys), Item::Table(_)) => self.section(at, node, keys),
            (Shape::Variants { tag, cases }, Item::Table(_)) => self.variants(at, node, tag, cases),
            (Shape::Map(inner), Item::Table(table)) => {
                table.retain(|key, node| self.node(&[at, std::slice::from_ref(key)].concat(), node, inner));
            }
            (Shape::List(inner), Item::List(list)) => {
                let mut n = 0;
                list.retain_mut(|node| {
                    n += 1;
                    self.node(&[at, &[(n - 1).to_string()]].concat(), node, inner)
                });
            }
            (Shape::Pair(inner), Item::List(list)) if list.len() == 2 => {
                // Both are looked at; one without the other says nothing.
                let fits = |(n, node): (usize, &mut Node)| self.node(&[at, &[n.to_string()]].concat(), node, inner);
                return !list.iter_mut().enumerate().map(fits).collect::<Vec<_>>().contains(&false);
            }
            (Shape::Text, Item::Leaf(Value::String(_))) | (Shape::Truth, Item::Leaf(Value::Boolean(_))) => {}
            (Shape::Choice(words), Item::Leaf(Value::String(word)))
                if words.iter().any(|(one, other)| one == word || other.contains(word)) => {}
            (Shape::Whole(most), Item::Leaf(Value::Integer(number)))
                if u64::try_from(*number).is_ok_and(|number| number <= *most) => {}
            _ => {
                let what = unfit(node, shape);
                self.refuse(origin, at, what);
                return false;
            }
        }
        true
    }

    fn section(&mut self, at: &[String], node: &mut Node, keys: &[Key]) {
        let origin = node.origin.clone();
        let Item::Table(table) = &mut node.item else { return };
        table.retain(|name, node| {
            let path = [at, std::slice::from_ref(name)].concat();
            match keys.iter().find(|key| key.name == *name) {
                Some(key) => {
                    fill_tag(node, key);
                    self.node(&path, node, &key.shape)
                }
                None => {
                    let what = self.unknown(at, name, keys);
                    self.refuse(node.origin.clone(), &path, what);
                    false
                }
            }
        });
        for key in keys.iter().filter(|key| key.required && !table.contains_key(&key.name)) {
            let what = format!("`{}` is missing: {}", key.name, key.about);
            self.refuse(origin.clone(), at, what);
        }
    }

    fn variants(&mut self, at: &[String], node: &mut Node, tag: &str, cases: &[Case]) {
        let origin = node.origin.clone();
        let names = || list(cases.iter().map(|case| case.name.as_str()));
        let Some(said) = node.get(tag).map(Node::value) else {
            self.refuse(origin, at, format!("`{tag}` is missing: write one of {}", names()));
            return;
        };
        let Some(case) = cases.iter().find(|case| said.as_str() == Some(&case.name)) else {
            let path = [at, &[tag.to_owned()]].concat();
            let origin = node.origin_of(&[tag.to_owned()]).clone();
            let what = format!("there is no such {tag}; write one of {}", names());
            self.refuse(origin, &path, what);
            return;
        };
        let about = format!("Which of {} it is.", names());
        let shape = Shape::Choice(vec![(case.name.clone(), Vec::new())]);
        let tag = Key { name: tag.into(), about, default: serde_json::Value::Null, required: true, shape };
        let keys: Vec<Key> = std::iter::once(tag).chain(case.keys.iter().cloned()).collect();
        self.section(at, node, &keys);
    }

    /// An unknown key: what was meant most likely.
    fn unknown(&self, at: &[String], name: &str, keys: &[Key]) -> String {
        let likeness = |key: &&Key| strsim::jaro_winkler(&key.name, name);
        let closest =
            keys.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|key| likeness(key) > ALIKE);
        let elsewhere = homes(self.file, name).into_iter().find(|home| home != at);
        match (closest, elsewhere) {
            (Some(key), _) => format!("there is no such key; did you mean `{}`?", key.name),
            (None, Some(home)) if home.is_empty() => {
                "this key belongs at the top of the file, before the first [section]".to_owned()
            }
            (None, Some(home)) => format!("this key belongs below [{}]", home.join(".")),
            (None, None) => {
                format!("there is no such key; here can stand {}", list(keys.iter().map(|key| key.name.as_str())))
            }
        }
    }

    fn refuse(&mut self, origin: Origin, at: &[String], what: String) {
        let key: Vec<&str> = at.iter().map(String::as_str).collect();
        self.problems.add_at(origin, &key, what);
    }
}

/// A section without its tag is of the kind that holds by default.
fn fill_tag(node: &mut Node, key: &Key) {
    let Shape::Variants { tag, .. } = &key.shape else { return };
    let default = key.default.get(tag).and_then(serde_json::Value::as_str);
    if let (Item::Table(table), Some(default)) = (&mut node.item, default) {
        let origin = Origin::Default;
        table.entry(tag.clone()).or_insert_with(|| Node { origin, item: Item::Leaf(default.into()) });
    }
}

/// Sections that have a key of this name.
fn homes(shape: &Shape, name: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for key in shape.keys() {
        if key.name == name {
            found.push(Vec::new());
        }
        let below = homes(&key.shape, name).into_iter();
        found.extend(below.map(|home| [std::slice::from_ref(&key.name), &home].concat()));
    }
    found
}

/// What is wrong with a value. One of a few words is not that of a kind.
fn unfit(node: &Node, shape: &Shape) -> String {
    match (shape, &node.item) {
        (Shape::Choice(_), Item::Leaf(Value::String(word))) => {
            format!("`{}` is none of those that there are: write {}", word.escape_debug(), wanted(shape))
        }
        (Shape::Pair(_), Item::List(list)) => {
            format!("this has {}: write {}", count(list.len(), "value"), wanted(shape))
        }
        (Shape::Whole(_), Item::Leaf(Value::Integer(number))) => {
            let how = if *number < 0 { "below 0" } else { "too large" };
            format!("{number} is {how}: write {}", wanted(shape))
        }
        _ => format!("this is {}; write {}", node.kind(), wanted(shape)),
    }
}

/// What is to be written, with an example.
fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Text => "a text in quotes, as \"text\"".into(),
        Shape::Choice(words) => format!("one of {}", list(words.iter().map(|(word, _)| word.as_str()))),
        // Nobody would write the largest that a program can hold.
        Shape::Whole(most) if *most >= u64::from(u32::MAX) => "a whole number from 0 on".into(),
        Shape::Whole(most) => format!("a whole number from 0 to {most}"),
        Shape::Truth => "true or false, without quotes".into(),
        Shape::List(inner) if matches!(**inner, Shape::Section(_)) => {
            "a section in double brackets for each, as [[classes]]".into()
        }
        Shape::Pair(_) => "the least and the most, as [1, 8]".into(),
        Shape::List(_) => "a list in brackets, as [\"one\", \"two\"]".into(),
        Shape::Map(inner) if **inner == Shape::Text => "a section with a text for each name".into(),
        Shape::Map(_) => "a section for each name, as [owners.acme]".into(),
        Shape::Section(_) | Shape::Variants { .. } => "a section in brackets, with its keys below it".into(),
        Shape::Unknown => "something else".into(),
    }
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// From so much on, of 1, two names are taken for one that was misspelt; clap does the same.
const ALIKE: f64 = 0.7;
