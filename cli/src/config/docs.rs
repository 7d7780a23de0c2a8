//! `docs/configuration.md`: made from the definition of the file, so that it cannot say anything else than the code.
//! The words around it stand in `docs/head.md`, the examples in `docs/examples`.

use serde_json::Value as Json;

use crate::serve::settings::{Key, Shape, file_shape, variable};

/// The page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## All keys\n\nIn each section first what must be given, then by the alphabet.\n");
    if let Shape::Section(keys) = file_shape() {
        let (sections, plain): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| is_section(&key.shape));
        page.push_str("\n### Top of the file\n\n");
        plain.into_iter().for_each(|key| page.push_str(&item(key, Some(&[]))));
        sections.into_iter().for_each(|key| section(&mut page, key));
    }
    page.push_str("\n## Complete examples\n");
    for (title, text) in EXAMPLES {
        page.push_str(&format!("\n### {title}\n\n```toml\n{}\n```\n", text.trim_end()));
    }
    page
}

fn is_section(shape: &Shape) -> bool {
    match shape {
        Shape::Section(_) | Shape::Variants { .. } | Shape::Map(_) => true,
        Shape::List(inner) => matches!(**inner, Shape::Section(_)),
        Shape::Text | Shape::Choice(_) | Shape::Whole(_) | Shape::Truth | Shape::Pair(_) | Shape::Unknown => false,
    }
}

fn section(page: &mut String, key: &Key) {
    let path = [key.name.clone()];
    let (heading, keys): (String, &[Key]) = match &key.shape {
        Shape::Section(keys) => (format!("[{}]", key.name), keys),
        Shape::Map(inner) => (format!("[{}.NAME]", key.name), plain_keys(inner)),
        Shape::List(inner) => (format!("[[{}]]", key.name), plain_keys(inner)),
        Shape::Variants { tag, cases } => {
            for case in cases {
                let name = &key.name;
                page.push_str(&format!("\n### `[{name}]` with `{tag} = \"{}\"`\n\n{}\n\n", case.name, case.about));
                case.keys.iter().for_each(|key| page.push_str(&item(key, Some(&path))));
            }
            return;
        }
        Shape::Text | Shape::Choice(_) | Shape::Whole(_) | Shape::Truth | Shape::Pair(_) | Shape::Unknown => return,
    };
    page.push_str(&format!("\n### `{heading}`\n\n{}\n\n", key.about));
    // One section has one variable for each key; where there may be many, one for all of them.
    let many = matches!(key.shape, Shape::Map(_) | Shape::List(_));
    if many {
        page.push_str(&format!("All of them at once: `{}`.\n\n", variable(&path)));
    }
    keys.iter().for_each(|key| page.push_str(&item(key, (!many).then_some(&path))));
}

fn plain_keys(shape: &Shape) -> &[Key] {
    match shape {
        Shape::Section(keys) => keys,
        Shape::Text
        | Shape::Choice(_)
        | Shape::Whole(_)
        | Shape::Truth
        | Shape::List(_)
        | Shape::Pair(_)
        | Shape::Map(_)
        | Shape::Variants { .. }
        | Shape::Unknown => &[],
    }
}

/// A key; `below` is its section, if it has a variable.
fn item(key: &Key, below: Option<&[String]>) -> String {
    if let Shape::Section(keys) = &key.shape {
        let inner = keys.iter().map(|inner| {
            let name = format!("{}.{}", key.name, inner.name);
            let default = key.default.get(&inner.name).unwrap_or(&inner.default).clone();
            item(&Key { name, default, ..inner.clone() }, below)
        });
        return inner.collect();
    }
    let mut facts = vec![kind(&key.shape)];
    if key.required {
        facts.push("must be given".into());
    } else if !key.default.is_null() {
        facts.push(format!("default `{}`{}", key.default, spoken(&key.name, &key.default)));
    }
    if let Some(below) = below {
        let steps: Vec<String> = key.name.split('.').map(str::to_owned).collect();
        facts.push(format!("`{}`", variable(&[below, &steps].concat())));
    }
    format!("- **`{}`** ({})<br>\n  {}\n", key.name, facts.join(", "), key.about)
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Choice(words) => {
            let words = words.iter().flat_map(|(word, other)| std::iter::once(word).chain(other));
            words.map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
        }
        Shape::Whole(_) => "number".into(),
        Shape::Truth => "true or false".into(),
        Shape::List(_) => "list".into(),
        Shape::Pair(_) => "least and most".into(),
        Shape::Map(_) | Shape::Section(_) | Shape::Variants { .. } => "section".into(),
        Shape::Unknown => "value".into(),
    }
}

/// Milliseconds as people say them.
fn spoken(name: &str, value: &Json) -> String {
    let Some(ms) = value.as_u64().filter(|_| name.ends_with("_ms")) else { return String::new() };
    for (unit, unit_ms) in [("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms >= unit_ms && ms % unit_ms == 0 {
            return format!(" = {} {unit}", ms / unit_ms);
        }
    }
    String::new()
}

const HEAD: &str = include_str!("docs/head.md");

/// By situation.
pub(super) const EXAMPLES: [(&str, &str); 5] = [
    ("One repository, with a webhook", include_str!("../../../docs/examples/webhook.toml")),
    ("An organisation, without a webhook", include_str!("../../../docs/examples/polling.toml")),
    ("Containers", include_str!("../../../docs/examples/docker.toml")),
    ("AWS", include_str!("../../../docs/examples/aws.toml")),
    ("GitHub Enterprise Server", include_str!("../../../docs/examples/enterprise.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{
        plan::Plan,
        settings::{Settings, SettingsArgs, Variables},
    };

    #[test]
    fn the_examples_have_no_fault_of_their_own() {
        for (title, text) in EXAMPLES {
            let variables = Variables::of([]);
            let mut settings = Settings::of(text, &SettingsArgs::default(), &variables);
            let _plan = Plan::of(&mut settings, &variables);
            // What they name on the operator's machine is not here, and whoever runs this test may be root.
            let theirs = ["/opt/actions-runner", "/etc/self-runners", "you are root", "this build leaves AWS out"];
            let is_theirs = |what: &str| theirs.iter().any(|words| what.contains(words));
            let other: Vec<_> = settings.problems.iter().filter(|problem| !is_theirs(&problem.what)).collect();
            assert!(other.is_empty(), "{title}: {other:?}");
        }
    }

    #[test]
    fn times_are_said_as_people_do() {
        let said = |ms: u64| spoken("x_ms", &ms.into());
        assert_eq!([said(21_600_000), said(90_000), said(1_500)], [" = 6 h", " = 90 s", ""]);
    }
}
