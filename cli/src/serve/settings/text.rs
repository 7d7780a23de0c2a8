//! From a TOML text to a tree whose origins are lines. All syntax errors are told, not only the first.

use serde::Deserialize as _;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    problems::Problems,
    tree::{Item, Node, Origin},
};

/// Reads a file's text.
pub(super) fn parse(text: &str, problems: &mut Problems) -> Node {
    let lines = Lines(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut told = 0;
    for error in errors {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        // The first error of a line is what a person can understand; others follow from it.
        if line > told {
            problems.add_at(Origin::Line(line), &[], format!("this is no TOML: {}", error.message()));
            told = line;
        }
    }
    Node { origin: Origin::Line(1), item: lines.table(table.into_inner(), problems) }
}

/// Reads a value that stands alone, as in an environment variable.
pub(super) fn value(text: &str) -> Result<Value, String> {
    let read = ValueDeserializer::parse(text).and_then(Value::deserialize);
    read.map_err(|error| error.message().to_owned())
}

/// The text, to find lines in it.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    /// Line of a byte, from 1.
    fn at(&self, byte: usize) -> usize {
        let before = &self.0.as_bytes()[..byte.min(self.0.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn table(&self, table: DeTable<'_>, problems: &mut Problems) -> Item {
        let node = |(key, value): (Spanned<_>, Spanned<_>), problems: &mut Problems| {
            let origin = Origin::Line(self.at(key.span().start));
            let key: std::borrow::Cow<'_, str> = key.into_inner();
            (key.into_owned(), self.node(value, origin, problems))
        };
        Item::Table(table.into_iter().map(|entry| node(entry, problems)).collect())
    }

    fn node(&self, value: Spanned<DeValue<'_>>, origin: Origin, problems: &mut Problems) -> Node {
        let item = match value.into_inner() {
            DeValue::Table(table) => self.table(table, problems),
            DeValue::Array(array) => {
                let element = |value: Spanned<DeValue<'_>>, problems: &mut Problems| {
                    let origin = Origin::Line(self.at(value.span().start));
                    self.node(value, origin, problems)
                };
                Item::List(array.into_iter().map(|value| element(value, problems)).collect())
            }
            leaf @ (DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)) => Item::Leaf(leaf_value(leaf, &origin, problems)),
        };
        Node { origin, item }
    }
}

fn leaf_value(leaf: DeValue<'_>, origin: &Origin, problems: &mut Problems) -> Value {
    let is_number = matches!(leaf, DeValue::Integer(_));
    let read = Value::deserialize(ValueDeserializer::from(Spanned::new(0..0, leaf)));
    read.unwrap_or_else(|error| {
        let what = if is_number { "this number is larger than any that is meant here" } else { error.message() };
        problems.add_at(origin.clone(), &[], what.to_owned());
        Value::Boolean(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_knows_its_line() {
        let text = "a = 1\nb = [\n  2,\n]\n[x.y]\nz = true\n[[l]]\nm = 'n'\n[[l]]\n";
        let mut problems = Problems::default();
        let tree = parse(text, &mut problems);
        assert!(problems.is_empty());
        for (key, line) in [("a", 1), ("b", 2), ("b.0", 3), ("x.y", 5), ("x.y.z", 6), ("l.0.m", 8), ("l.1", 9)] {
            let key: Vec<String> = key.split('.').map(str::to_owned).collect();
            assert_eq!(tree.origin_of(&key), &Origin::Line(line), "{key:?}");
        }
        assert_eq!(tree.value(), Value::Table(toml::from_str(text).unwrap()));
    }

    #[test]
    fn every_syntax_error_is_told() {
        let mut problems = Problems::default();
        parse("a = = 1\nb = 2\n[c\n", &mut problems);
        let lines: Vec<&Origin> = problems.iter().filter_map(|problem| problem.origin.as_ref()).collect();
        assert_eq!(lines, [&Origin::Line(1), &Origin::Line(3)]);
    }

    #[test]
    fn a_number_that_no_program_could_hold_is_refused() {
        let mut problems = Problems::default();
        parse("\nd = 99999999999999999999\n", &mut problems);
        let lines: Vec<&Origin> = problems.iter().filter_map(|problem| problem.origin.as_ref()).collect();
        assert_eq!(lines, [&Origin::Line(2)], "{problems:?}");
    }
}
