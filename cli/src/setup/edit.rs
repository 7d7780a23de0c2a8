//! Keys below `[github]` of a configuration file, put in line by line, so that comments and order stay. What comes out
//! is read again: if it says anything else than the old file with these keys, nothing comes out.

use toml::{Table, Value};

const SECTION: &str = "[github]";

/// The text with these keys; `None` if that cannot be done line by line.
pub(super) fn put(text: &str, keys: &[(&str, Value)]) -> Option<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let (from, mut to) = match lines.iter().position(|line| is_header(line)) {
        Some(at) => (at + 1, next_header(&lines, at + 1)),
        None => {
            lines.extend(["", SECTION]);
            (lines.len(), lines.len())
        }
    };
    let mut at = from;
    while at < to {
        if keys.iter().any(|(name, _)| sets(lines[at], name)) {
            lines.remove(at);
            to -= 1;
        } else {
            at += 1;
        }
    }
    let new = self::lines(keys);
    let (before, after) = lines.split_at(from);
    let whole: Vec<&str> = before.iter().copied().chain(new.lines()).chain(after.iter().copied()).collect();
    let edited = whole.join("\n") + "\n";
    (wanted(text, keys)? == edited.parse().ok()?).then_some(edited)
}

/// The keys as lines of the file.
pub(super) fn lines(keys: &[(&str, Value)]) -> String {
    // A number, and a text as JSON writes it, are TOML.
    let value = |value: &Value| serde_json::json!(value).to_string();
    let lines: Vec<_> = keys.iter().map(|(name, one)| format!("{name} = {}", value(one))).collect();
    lines.join("\n")
}

/// What the edited file must say.
fn wanted(text: &str, keys: &[(&str, Value)]) -> Option<Table> {
    let mut table: Table = text.parse().ok()?;
    let github = table.entry("github").or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
    github.extend(keys.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Some(table)
}

fn is_header(line: &str) -> bool {
    line.split('#').next().unwrap_or_default().trim() == SECTION
}

fn next_header(lines: &[&str], from: usize) -> usize {
    lines.iter().skip(from).position(|line| line.trim_start().starts_with('[')).map_or(lines.len(), |at| from + at)
}

fn sets(line: &str, name: &str) -> bool {
    line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<(&'static str, Value)> {
        vec![("app_id", Value::Integer(7)), ("private_key_file", Value::String("/a \"b\"".into()))]
    }

    const NEW: &str = "app_id = 7\nprivate_key_file = \"/a \\\"b\\\"\"\n";

    #[test]
    fn keys_come_below_the_section_and_the_rest_stays() {
        for (old, new) in [
            ("", format!("\n[github]\n{NEW}")),
            ("a = 1 # one\n", format!("a = 1 # one\n\n[github]\n{NEW}")),
            ("[github] # ours\nx = 1\n\n[b]\n", format!("[github] # ours\n{NEW}x = 1\n\n[b]\n")),
            (
                "[github]\n# app_id = 3\n app_id= 4\napp_id_x = 5\n[b]\napp_id = 6",
                format!("[github]\n{NEW}# app_id = 3\napp_id_x = 5\n[b]\napp_id = 6\n"),
            ),
        ] {
            assert_eq!(put(old, &keys()).as_deref(), Some(new.as_str()), "{old}");
        }
    }

    #[test]
    fn what_cannot_be_edited_by_lines_is_left_alone() {
        for old in [
            "github = { x = 1 }\n",
            "github.app_id = 3\n",
            "[github]\nx = \"\"\"\n[b]\n\"\"\"\napp_id = 3\n",
            "text = \"\"\"\n[github]\n\"\"\"\n",
            "= broken",
        ] {
            assert_eq!(put(old, &keys()), None, "{old}");
        }
    }
}
