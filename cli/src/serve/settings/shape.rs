//! What a configuration file may hold: keys, kinds of values, defaults, documentation. Read off the JSON schema that is
//! derived from the definition in `serve/config.rs`, so there is one definition.

use schemars::schema_for;
use serde_json::{Map, Value as Json};

use crate::serve::config::ConfigFile;

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// One of these texts; each with its other spellings.
    Choice(Vec<(String, Vec<String>)>),
    /// A whole number from 0 to this.
    Whole(u64),
    /// `true` or `false`.
    Truth,
    /// Values of one shape.
    List(Box<Shape>),
    /// Two values of one shape: the least and the most.
    Pair(Box<Shape>),
    /// Tables of one shape, by names that are free.
    Map(Box<Shape>),
    /// A table with these keys.
    Section(Vec<Key>),
    /// A table whose key `tag` says which keys there are.
    Variants {
        /// The key.
        tag: String,
        /// Its values and what they allow.
        cases: Vec<Case>,
    },
    /// Something that this module does not know. A test sees to it that there is none.
    Unknown,
}

/// A case of [`Shape::Variants`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    /// Value of the tag.
    pub(crate) name: String,
    /// Its documentation.
    pub(crate) about: String,
    /// Keys beside the tag.
    pub(crate) keys: Vec<Key>,
}

/// A key of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    /// As it is written.
    pub(crate) name: String,
    /// Its documentation.
    pub(crate) about: String,
    /// What holds without it; null: nothing.
    pub(crate) default: Json,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// What its value may be.
    pub(crate) shape: Shape,
}

impl Shape {
    /// The keys of a table, whichever case holds.
    pub(crate) fn keys(&self) -> Vec<&Key> {
        match self {
            Self::Section(keys) => keys.iter().collect(),
            Self::Variants { cases, .. } => cases.iter().flat_map(|case| &case.keys).collect(),
            Self::Text
            | Self::Choice(_)
            | Self::Whole(_)
            | Self::Truth
            | Self::List(_)
            | Self::Pair(_)
            | Self::Map(_)
            | Self::Unknown => Vec::new(),
        }
    }
}

/// The schema of the file, for editors.
pub(crate) fn schema() -> Json {
    schema_for!(ConfigFile).to_value()
}

/// The shape of the file.
pub(crate) fn of_file() -> Shape {
    let schema = schema();
    let none = Map::new();
    Reader { definitions: schema.get("$defs").and_then(Json::as_object).unwrap_or(&none) }.shape(&schema)
}

/// Follows references while it reads.
struct Reader<'a> {
    definitions: &'a Map<String, Json>,
}

impl<'a> Reader<'a> {
    fn shape(&self, schema: &'a Json) -> Shape {
        let schema = self.resolved(schema);
        if let Some(cases) = schema.get("oneOf").and_then(Json::as_array) {
            return self.cases(cases);
        }
        match kind(schema) {
            "string" => choice(schema).unwrap_or(Shape::Text),
            "integer" => Shape::Whole(most(schema)),
            "boolean" => Shape::Truth,
            "array" => {
                let items = Box::new(schema.get("items").map_or(Shape::Unknown, |items| self.shape(items)));
                if schema.get("maxItems") == Some(&2.into()) { Shape::Pair(items) } else { Shape::List(items) }
            }
            "object" => match schema.get("additionalProperties").filter(|below| below.is_object()) {
                Some(below) => Shape::Map(Box::new(self.shape(below))),
                None => Shape::Section(self.keys(schema, None)),
            },
            _ => Shape::Unknown,
        }
    }

    /// The schema behind a reference, and the one that is not null of two.
    fn resolved(&self, schema: &'a Json) -> &'a Json {
        let named = schema.get("$ref").and_then(Json::as_str).and_then(|name| name.rsplit('/').next());
        if let Some(definition) = named.and_then(|name| self.definitions.get(name)) {
            return self.resolved(definition);
        }
        let either = schema.get("anyOf").and_then(Json::as_array);
        match either.and_then(|either| either.iter().find(|one| kind(one) != "null")) {
            Some(one) => self.resolved(one),
            None => schema,
        }
    }

    fn cases(&self, cases: &'a [Json]) -> Shape {
        if cases.iter().all(|case| case.get("const").is_some_and(Json::is_string)) {
            return Shape::Choice(cases.iter().map(|case| (text(case, "const"), spellings(case))).collect());
        }
        let tag = cases.iter().find_map(|case| properties(case).find(|(_, below)| below.get("const").is_some()));
        let Some((tag, _)) = tag else { return Shape::Unknown };
        let case = |case| Case {
            name: properties(case)
                .find(|(name, _)| *name == tag)
                .map(|(_, below)| text(below, "const"))
                .unwrap_or_default(),
            about: about(case),
            keys: self.keys(case, Some(tag)),
        };
        Shape::Variants { tag: tag.clone(), cases: cases.iter().map(case).collect() }
    }

    /// What must be given comes first, then the alphabet decides.
    fn keys(&self, schema: &'a Json, without: Option<&String>) -> Vec<Key> {
        let required = schema.get("required").and_then(Json::as_array);
        let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let key = |(name, below): (&String, &'a Json)| Key {
            name: name.clone(),
            about: Some(about(below)).filter(|text| !text.is_empty()).unwrap_or_else(|| about(self.resolved(below))),
            default: below.get("default").cloned().unwrap_or_default(),
            required: is_required(name),
            shape: self.shape(below),
        };
        let mut keys: Vec<Key> = properties(schema).filter(|(name, _)| Some(*name) != without).map(key).collect();
        keys.sort_by_key(|key| !key.required);
        keys
    }
}

fn properties(schema: &Json) -> impl Iterator<Item = (&String, &Json)> {
    schema.get("properties").and_then(Json::as_object).into_iter().flatten()
}

/// The type, apart from null.
fn kind(schema: &Json) -> &str {
    match schema.get("type") {
        Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).find(|kind| *kind != "null").unwrap_or(""),
        Some(kind) => kind.as_str().unwrap_or(""),
        None => "",
    }
}

fn choice(schema: &Json) -> Option<Shape> {
    let words = schema.get("enum")?.as_array()?;
    Some(Shape::Choice(words.iter().filter_map(|word| Some((word.as_str()?.to_owned(), Vec::new()))).collect()))
}

/// Other spellings that are accepted too.
fn spellings(schema: &Json) -> Vec<String> {
    let other = schema.get("aliases").and_then(Json::as_array).into_iter().flatten();
    other.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

fn most(schema: &Json) -> u64 {
    let by_format = match schema.get("format").and_then(Json::as_str) {
        Some("uint8") => u8::MAX.into(),
        Some("uint16") => u16::MAX.into(),
        Some("uint32") => u32::MAX.into(),
        // TOML's numbers are signed.
        _ => i64::MAX.unsigned_abs(),
    };
    schema.get("maximum").and_then(Json::as_u64).unwrap_or(by_format)
}

fn text(schema: &Json, key: &str) -> String {
    schema.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// The documentation as one line.
fn about(schema: &Json) -> String {
    text(schema, "description").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: &str, keys: &[Key], seen: &mut Vec<String>) {
        for key in keys {
            let name = format!("{at}{}", key.name);
            assert!(!key.about.is_empty(), "{name} has no documentation");
            below(&name, &key.shape, seen);
            seen.push(name);
        }
    }

    fn below(name: &str, shape: &Shape, seen: &mut Vec<String>) {
        match shape {
            Shape::Unknown => panic!("{name} has a shape that is not known here"),
            Shape::List(inner) | Shape::Pair(inner) | Shape::Map(inner) => below(&format!("{name}.*"), inner, seen),
            Shape::Section(keys) => look(&format!("{name}."), keys, seen),
            Shape::Variants { cases, .. } => {
                cases.iter().for_each(|case| look(&format!("{name}.{}.", case.name), &case.keys, seen));
            }
            Shape::Text | Shape::Choice(_) | Shape::Whole(_) | Shape::Truth => {}
        }
    }

    #[test]
    fn every_key_is_documented_and_of_a_known_shape() {
        let Shape::Section(keys) = of_file() else { panic!("the file is a table") };
        let mut seen = Vec::new();
        look("", &keys, &mut seen);
        for name in
            ["stage", "github.api_url", "engine.process.runner_dir", "owners.*.organization", "classes.*.size.arch"]
        {
            assert!(seen.iter().any(|one| one == name), "{name} is missing in {seen:?}");
        }
    }
}
