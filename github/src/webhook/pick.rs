//! Building only the parts of a JSON document that are read. The rest is checked to be JSON and skipped, so memory
//! follows what is kept and not what was sent.
//!
//! What is kept has the kinds of the original, so that an error can say "found another list"; nothing that is JSON is
//! refused here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Most elements of a list that are kept. GitHub's longest list that is read has 100 (the labels of a job).
const ELEMENTS_MAX: usize = 256;

/// What to keep of a value.
#[derive(Debug)]
pub(super) enum Part {
    /// It, if it is no list and no object; of these only the kind.
    Alone,
    /// As [`Part::Alone`], and of a list its elements so.
    Plain,
    /// These fields, if it is an object; else as [`Part::Plain`].
    Fields(&'static [(&'static str, Part)]),
}

/// Reads a value and keeps a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick(pub(super) &'static Part);

impl Pick {
    fn fields(self) -> &'static [(&'static str, Part)] {
        match self.0 {
            Part::Alone | Part::Plain => &[],
            Part::Fields(fields) => fields,
        }
    }

    fn elements_max(self) -> usize {
        match self.0 {
            Part::Alone => 0,
            Part::Plain | Part::Fields(_) => ELEMENTS_MAX,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Pick {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pick {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.elements_max()
            && let Some(element) = list.next_element_seed(Pick(&Part::Alone))?
        {
            kept.push(element);
        }
        let mut more = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        if more {
            // Whoever reads it must see that this is not the whole list.
            kept.push(Value::Null);
        }
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(field) = object.next_key_seed(Name(self.fields()))? {
            match field {
                // Of a name that comes twice the last one counts, as everywhere in serde.
                Some((name, part)) => _ = kept.insert((*name).to_owned(), object.next_value_seed(Pick(part))?),
                None => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(kept.into())
    }
}

/// A name of an object's field, looked up among those that are kept.
struct Name(&'static [(&'static str, Part)]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static (&'static str, Part)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static (&'static str, Part)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|(kept, _)| *kept == name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static PART: Part = Part::Fields(&[("a", Part::Plain), ("b", Part::Fields(&[("c", Part::Plain)]))]);

    fn picked(text: &str) -> Value {
        Pick(&PART).deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap()
    }

    #[test]
    fn what_is_not_read_is_skipped_and_kinds_stay() {
        let text = r#"{"x": [{"y": "\ud83d\ude00"}], "a": ["l", 1, [2], {"m": 3}], "b": {"c": {"d": 1}, "e": 2}}"#;
        assert_eq!(picked(text), json!({"a": ["l", 1, [null], {}], "b": {"c": {}}}));
        assert_eq!(picked(r#"{"a": -1.5, "b": "text", "\u0061": true}"#), json!({"a": true, "b": "text"}));
        assert_eq!(picked("[1, null]"), json!([1, null]));
    }

    #[test]
    fn a_long_list_is_cut_and_shows_it() {
        let list = picked(&format!("{{\"a\": [{}\"last\"]}}", "\"l\",".repeat(100_000)));
        let list = list["a"].as_array().unwrap();
        assert_eq!((list.len(), list.last()), (ELEMENTS_MAX + 1, Some(&Value::Null)));
        assert_eq!(picked(&format!("{{\"a\": [{}\"l\"]}}", "\"l\",".repeat(99)))["a"].as_array().unwrap().len(), 100);
    }

    #[test]
    fn deep_nesting_is_no_recursion() {
        let deep = format!("{{\"x\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(picked(&deep), json!({}));
    }
}
