//! Reading JSON field by field, so that an error names the field and never shows what stood in it.
//!
//! serde's own errors quote the value that they choke on, which in a payload or an answer may be a secret; and they do
//! not say where it stood. Only shapes here, no meaning.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A field that is not what it should be. Names kinds only, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}, found {found}")]
pub struct FieldError {
    /// Where, as `workflow_job.labels`.
    pub path: String,
    /// What should stand there.
    pub expected: &'static str,
    /// The kind of what stands there.
    pub found: &'static str,
}

/// An object and its place in the document.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

const TEXT: &str = "a text";
const NUMBER: &str = "a whole number";
const FLAG: &str = "true or false";
const OBJECT: &str = "an object";

impl<'a> Fields<'a> {
    /// The whole document.
    pub(crate) fn root(value: &'a Value) -> Result<Self, FieldError> {
        Self::at(String::new(), value)
    }

    fn at(path: String, value: &'a Value) -> Result<Self, FieldError> {
        match value.as_object() {
            Some(map) => Ok(Self { path, map }),
            None => Err(wrong(if path.is_empty() { "body".to_owned() } else { path }, OBJECT, Some(value))),
        }
    }

    /// The elements of a list that is the whole document, or of its field `name`.
    pub(crate) fn elements(value: &'a Value, name: Option<&str>) -> Result<Vec<Self>, FieldError> {
        let (path, list) = match name {
            Some(name) => (name, Self::root(value)?.get(name)),
            None => ("body", Some(value)),
        };
        let Some(items) = list.and_then(Value::as_array) else {
            return Err(wrong(path.to_owned(), "a list", list));
        };
        items.iter().enumerate().map(|(i, item)| Self::at(format!("{path}[{i}]"), item)).collect()
    }

    /// What stands in a field; nothing and null are the same.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The error that this field is not what it should be.
    pub(crate) fn wrong(&self, name: &str, expected: &'static str) -> FieldError {
        wrong(self.path(name), expected, self.map.get(name))
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.wrong(name, expected)),
        }
    }

    /// An object.
    pub(crate) fn object(&self, name: &str) -> Result<Self, FieldError> {
        self.optional_object(name)?.ok_or_else(|| self.wrong(name, OBJECT))
    }

    /// An object, or nothing.
    pub(crate) fn optional_object(&self, name: &str) -> Result<Option<Self>, FieldError> {
        self.get(name).map(|value| Self::at(self.path(name), value)).transpose()
    }

    /// A list of objects.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, FieldError> {
        let list = self.get(name).and_then(Value::as_array).ok_or_else(|| self.wrong(name, "a list"))?;
        let path = self.path(name);
        list.iter().enumerate().map(|(i, item)| Self::at(format!("{path}[{i}]"), item)).collect()
    }

    /// A whole number from 0, beyond 2^32 too.
    pub(crate) fn number(&self, name: &str) -> Result<u64, FieldError> {
        self.optional_number(name)?.ok_or_else(|| self.wrong(name, NUMBER))
    }

    /// A whole number, or nothing.
    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<u64>, FieldError> {
        self.read(name, NUMBER, Value::as_u64)
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<&'a str, FieldError> {
        self.optional_text(name)?.ok_or_else(|| self.wrong(name, TEXT))
    }

    /// A text, or nothing.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, FieldError> {
        self.read(name, TEXT, Value::as_str)
    }

    /// A name that "none" spells null, 0, "" or not at all (FACTS §1).
    pub(crate) fn name_or_none(&self, name: &str) -> Result<Option<&'a str>, FieldError> {
        if self.get(name).is_some_and(|value| value.as_u64() == Some(0)) {
            return Ok(None);
        }
        Ok(self.optional_text(name)?.map(str::trim).filter(|text| !text.is_empty()))
    }

    /// All fields that are texts.
    pub(crate) fn all_texts(&self) -> BTreeMap<String, String> {
        let texts = self.map.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        texts.collect()
    }

    /// True or false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, FieldError> {
        self.optional_flag(name)?.ok_or_else(|| self.wrong(name, FLAG))
    }

    /// True, false or nothing.
    pub(crate) fn optional_flag(&self, name: &str) -> Result<Option<bool>, FieldError> {
        self.read(name, FLAG, Value::as_bool)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, FieldError> {
        let all = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let expected = "a list of texts";
        self.read(name, expected, all)?.ok_or_else(|| self.wrong(name, expected))
    }
}

fn wrong(path: String, expected: &'static str, found: Option<&Value>) -> FieldError {
    FieldError { path, expected, found: kind(found) }
}

/// The kind of a value, for a person.
fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Number(_)) => "another number",
        Some(Value::String(_)) => "another text",
        Some(Value::Array(_)) => "another list",
        Some(Value::Object(_)) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_the_field_and_hide_its_value() {
        let value = json!({"a": {"b": "hunter2", "list": ["x", 1]}, "rows": [{"id": 1}, {"id": -1}]});
        let root = Fields::root(&value).unwrap();
        let a = root.object("a").unwrap();
        assert_eq!(a.number("b").unwrap_err().to_string(), "a.b: expected a whole number, found another text");
        assert_eq!(a.texts("list").unwrap_err().to_string(), "a.list: expected a list of texts, found another list");
        assert_eq!(a.text("c").unwrap_err().to_string(), "a.c: expected a text, found nothing");
        let rows = Fields::elements(&value, Some("rows")).unwrap();
        assert_eq!(rows[0].number("id"), Ok(1));
        assert_eq!(
            rows[1].number("id").unwrap_err().to_string(),
            "rows[1].id: expected a whole number, found another number"
        );
        assert_eq!(Fields::root(&json!([])).unwrap_err().to_string(), "body: expected an object, found another list");
    }

    #[test]
    fn none_has_four_spellings() {
        let value =
            json!({"null": null, "zero": 0, "empty": "", "blank": " ", "name": "GitHub Actions 5", "flag": true});
        let root = Fields::root(&value).unwrap();
        for none in ["null", "zero", "empty", "blank", "missing"] {
            assert_eq!(root.name_or_none(none), Ok(None), "{none}");
        }
        assert_eq!(root.name_or_none("name"), Ok(Some("GitHub Actions 5")));
        assert!(root.name_or_none("flag").is_err());
    }
}
