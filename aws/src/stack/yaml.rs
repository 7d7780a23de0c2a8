//! A template as YAML for people: short forms of the functions, a comment above each resource, quotes where needed.
//!
//! It writes the few shapes that a template has, and reads nothing.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::template::Template;

/// The order of the parts of a template; what is not named comes by the alphabet.
const FIRST: [&str; 5] = ["AWSTemplateFormatVersion", "Description", "Parameters", "Resources", "Outputs"];

/// What a resource and a statement begin with.
const LEADING: [&str; 10] =
    ["Type", "DependsOn", "Key", "PolicyName", "Version", "Sid", "Effect", "Principal", "Action", "Resource"];

impl Template {
    /// As YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let object = self.object(false);
        let mut out = String::new();
        for part in FIRST {
            match (part, object.get(part)) {
                ("Resources", Some(Value::Object(resources))) => self.resources(&mut out, resources),
                (_, Some(Value::Object(map))) if map.is_empty() => {}
                (_, Some(value)) => entry(&mut out, 0, part, value),
                (_, None) => {}
            }
        }
        out
    }

    fn resources(&self, out: &mut String, resources: &Map<String, Value>) {
        out.push_str("Resources:\n");
        for (n, (name, about)) in self.abouts().enumerate() {
            let gap = if n == 0 { "" } else { "\n" };
            let _fits = writeln!(out, "{gap}  # {about}");
            if let Some(value) = resources.get(name) {
                entry(out, 1, name, value);
            }
        }
    }
}

fn entry(out: &mut String, depth: usize, key: &str, value: &Value) {
    let _fits = write!(out, "{}{}:", "  ".repeat(depth), text(key));
    after_key(out, depth, value);
}

/// What stands after a key or a dash.
fn after_key(out: &mut String, depth: usize, value: &Value) {
    if let Some(short) = short(value) {
        let _fits = writeln!(out, " {short}");
        return;
    }
    match value {
        Value::Object(map) => match function(map) {
            Some((tag, inner)) => {
                let _fits = write!(out, " {tag}");
                after_key(out, depth, inner);
            }
            None => {
                out.push('\n');
                keys(map).for_each(|(key, value)| entry(out, depth + 1, key, value));
            }
        },
        Value::Array(list) => {
            out.push('\n');
            list.iter().for_each(|value| element(out, depth + 1, value));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An element of a list: its first key stands beside the dash.
fn element(out: &mut String, depth: usize, value: &Value) {
    let _fits = write!(out, "{}-", "  ".repeat(depth));
    match value {
        Value::Object(map) if short(value).is_none() && function(map).is_none() => {
            let mut inner = String::new();
            keys(map).for_each(|(key, value)| entry(&mut inner, depth + 1, key, value));
            out.push(' ');
            out.push_str(inner.trim_start());
        }
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            after_key(out, depth, value);
        }
    }
}

fn keys(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut keys: Vec<_> = map.iter().collect();
    keys.sort_by_key(|(key, _)| LEADING.iter().position(|one| one == key).unwrap_or(LEADING.len()));
    keys.into_iter()
}

/// What fits behind a key on one line.
fn short(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::String(words) => Some(text(words)),
        Value::Array(list) if list.is_empty() => Some("[]".into()),
        Value::Array(list) => {
            let plain: Option<Vec<String>> =
                list.iter().map(|one| one.is_string().then(|| short(one)).flatten()).collect();
            let line = format!("[{}]", plain?.join(", "));
            let separate = line.matches(',').count() == list.len() - 1;
            (line.len() <= LINE_CHARS_MAX && separate && !line.contains(['"', '\''])).then_some(line)
        }
        Value::Object(map) if map.is_empty() => Some("{}".into()),
        Value::Object(map) => match function(map)? {
            ("!GetAtt", Value::Array(path)) => {
                let path: Vec<&str> = path.iter().filter_map(Value::as_str).collect();
                Some(format!("!GetAtt {}", path.join(".")))
            }
            (tag, Value::String(words)) => Some(format!("{tag} {}", text(words))),
            _ => None,
        },
    }
}

/// The short form of a function and what it is applied to.
fn function(map: &Map<String, Value>) -> Option<(&'static str, &Value)> {
    let (name, inner) = map.iter().next().filter(|_| map.len() == 1)?;
    let tag = match name.as_str() {
        "Ref" => "!Ref",
        "Fn::GetAtt" => "!GetAtt",
        "Fn::Sub" => "!Sub",
        "Fn::Join" => "!Join",
        "Fn::Select" => "!Select",
        "Fn::GetAZs" => "!GetAZs",
        _ => return None,
    };
    Some((tag, inner))
}

/// A text: in quotes unless every reader of YAML takes it for the same text without.
fn text(words: &str) -> String {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b" _./:()$,=+-';".contains(&byte);
    let starts = words.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    let ends = words.bytes().last().is_some_and(|byte| byte != b' ' && byte != b':');
    let reserved = RESERVED.contains(&words.to_ascii_lowercase().as_str());
    if starts && ends && !words.contains(": ") && !reserved && words.bytes().all(letters) {
        return words.to_owned();
    }
    if words.contains('"') && !words.contains('\'') && !words.contains(char::is_control) {
        return format!("'{words}'");
    }
    // A JSON text is a YAML text.
    Value::from(words).to_string()
}

/// Words that some readers take for something else than a text.
const RESERVED: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// Longer lists stand one element a line.
const LINE_CHARS_MAX: usize = 90;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        let mut out = String::new();
        entry(&mut out, 0, "K", value);
        out
    }

    #[test]
    fn functions_have_their_short_forms() {
        assert_eq!(written(&json!({ "Fn::GetAtt": ["A", "B.C"] })), "K: !GetAtt A.B.C\n");
        assert_eq!(written(&json!({ "Fn::Sub": "${A}-b" })), "K: !Sub \"${A}-b\"\n");
        assert_eq!(
            written(&json!({ "Fn::Join": [",", [{ "Ref": "A" }, "b"]] })),
            "K: !Join\n  - \",\"\n  -\n    - !Ref A\n    - b\n"
        );
        assert_eq!(written(&json!([{ "Ref": "A" }])), "K:\n  - !Ref A\n");
    }

    #[test]
    fn texts_stay_texts() {
        for words in ["on", "12", "1.5", "a: b", "a #b", "", "*", "{x}", "2010-09-09", "!x", "'", "ends:"] {
            assert!(text(words).starts_with('"'), "{words}");
        }
        assert_eq!(text("rate(1 minute)"), "rate(1 minute)");
        assert_eq!(text("arn:aws:x, it's"), "arn:aws:x, it's");
        assert_eq!(text("{\"a\":1}"), "'{\"a\":1}'");
        assert_eq!(written(&json!(["a, b", "c"])), "K:\n  - a, b\n  - c\n");
    }

    #[test]
    fn lists_of_maps_begin_beside_the_dash() {
        let list = json!([{ "Effect": "Allow", "Sid": "A", "Action": ["a:B"] }]);
        assert_eq!(written(&list), "K:\n  - Sid: A\n    Effect: Allow\n    Action: [a:B]\n");
    }
}
