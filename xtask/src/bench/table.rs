//! A table of figures: Markdown for the documents, JSON for programs, both from the same cells.

use std::fmt;

use serde_json::{Map, Value};

/// Figures of one kind.
pub(crate) struct Table {
    name: &'static str,
    about: String,
    head: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty one; `about` says what is counted.
    pub(crate) fn new(name: &'static str, about: impl Into<String>, head: &[&'static str]) -> Self {
        Self { name, about: about.into(), head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Value; N]) {
        assert_eq!(N, self.head.len(), "a row of `{}` has a cell for each column", self.name);
        self.rows.push(cells.into());
    }

    fn json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let cells = self.head.iter().map(|name| (*name).to_owned()).zip(row.iter().cloned());
            Value::Object(cells.collect())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\n", self.name, self.about)?;
        writeln!(f, "| {} |", self.head.join(" | "))?;
        writeln!(f, "|{}", "---|".repeat(self.head.len()))?;
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(shown).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

fn shown(cell: &Value) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)
}

/// All tables as one object.
pub(crate) fn json(tables: &[Table]) -> Value {
    Value::Object(tables.iter().map(|table| (table.name.to_owned(), table.json())).collect::<Map<_, _>>())
}

/// A figure without a fraction.
pub(crate) fn whole(figure: f64) -> Value {
    (figure.round() as i64).into()
}

/// A figure with so many digits behind the point.
pub(crate) fn fixed(figure: f64, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    ((figure * scale).round() / scale).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_are_given_the_same_cells() {
        let mut table = Table::new("speed", "of two", &["who", "how much"]);
        table.row(["hare".into(), fixed(1.0 / 3.0, 2)]);
        table.row(["snail".into(), whole(0.6)]);
        let text = table.to_string();
        assert!(text.ends_with("| who | how much |\n|---|---|\n| hare | 0.33 |\n| snail | 1 |\n"), "{text}");
        let json = json(&[table]);
        assert_eq!(json["speed"][0]["how much"], 0.33);
        assert_eq!(json["speed"][1]["who"], "snail");
    }
}
