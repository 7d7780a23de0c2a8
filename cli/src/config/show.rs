//! `config show`: each value in force and where it came from. Secrets are shown as `***`.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::LookArgs;
use crate::{
    failure::Failure,
    serve::{
        config::{ConfigFile, GitHubSection},
        plain, secrets,
        settings::{Item, Key, Node, Origin, Settings, Shape, Variables, file_shape},
    },
    terminal,
};

/// A value in force.
struct Row {
    key: String,
    /// Null: nothing is set.
    value: Json,
    origin: Origin,
}

/// Shows them.
pub(super) fn command(args: &LookArgs) -> Result<ExitCode, Failure> {
    let variables = Variables::of_process();
    let settings = args.read(&variables)?;
    let rows = rows(&settings, &variables);
    let path = settings.path.as_deref();
    if args.json {
        let object = |row: &Row| json!({ "key": row.key, "value": row.value, "origin": row.origin.object(path) });
        let values: Vec<Json> = rows.iter().map(object).collect();
        terminal::say(&terminal::json(&json!({ "values": values }).to_string()));
    } else {
        let lines: Vec<[String; 3]> =
            rows.iter().map(|row| [row.key.clone(), shown(&row.value), row.origin.place(path)]).collect();
        terminal::draw(&table(&lines));
    }
    if settings.problems.are_serious() {
        return Err(Failure::usage(
            "some values cannot be used and are left out: `self-runners config check` tells all",
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(settings: &Settings, variables: &Variables) -> Vec<Row> {
    let mut rows = Vec::new();
    add(&mut rows, "", Some(&settings.tree), &file_shape(), &Json::Null);
    // Such a URL is refused; what stands in it is a secret all the same.
    rows.iter_mut()
        .filter(|row| row.key == "aws.valkey.url" && row.value.as_str().is_some_and(|url| url.contains('@')))
        .for_each(|row| row.value = "***".into());
    let on_aws = settings.tree.get("aws").is_some();
    rows.retain(|row| on_aws || !row.key.starts_with("aws."));
    rows.retain(|row| !(row.key == "classes" || row.key == "data_dir" && row.value.is_null()));
    // What holds without a word is this machine's.
    if settings.tree.get("classes").is_none_or(Node::is_empty) {
        usual_class(&mut rows);
    }
    if settings.tree.get("data_dir").is_none() {
        rows.push(Row { key: "data_dir".into(), value: json!(plain::data_dir()), origin: Origin::Default });
    }
    // The top of the file first, as in the file.
    rows.sort_by_key(|row| row.key.contains('.'));
    let usual = GitHubSection::default();
    let github = settings.file.as_ref().map_or(&usual, |ConfigFile { github, .. }| github);
    for source in secrets::sources(github) {
        let key = format!("github.{}", source.key.trim_end_matches("_file"));
        let origin = match (variables.get(source.variable), source.file) {
            (Some(_), _) => Origin::Variable(source.variable.to_owned()),
            (None, Some(file)) => Origin::File(file.display().to_string()),
            (None, None) => Origin::Default,
        };
        let value = if origin == Origin::Default { Json::Null } else { "***".into() };
        rows.push(Row { key, value, origin });
    }
    rows
}

fn usual_class(rows: &mut Vec<Row>) {
    let file = file_shape();
    let keys = file.keys();
    if let Some(Shape::List(shape)) = keys.iter().find(|key| key.name == "classes").map(|key| &key.shape) {
        let class = plain::class();
        add(rows, &format!("classes.{}", class.name), None, shape, &json!(class));
    }
}

fn add(rows: &mut Vec<Row>, at: &str, node: Option<&Node>, shape: &Shape, default: &Json) {
    let name = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match (shape, node.map(|node| &node.item)) {
        (Shape::Section(keys), _) => add_keys(rows, at, node, keys, default),
        (Shape::Variants { tag, cases }, _) => {
            let said = node.and_then(|node| node.get(tag));
            let value = said.map_or_else(|| default.get(tag).cloned().unwrap_or_default(), |node| json!(node.value()));
            let case = cases.iter().find(|case| value == case.name.as_str());
            rows.push(Row { key: name(tag), value, origin: origin(said) });
            add_keys(rows, at, node, case.map_or(&[][..], |case| &case.keys), default);
        }
        (Shape::Map(inner), Some(Item::Table(table))) => {
            table.iter().for_each(|(key, node)| add(rows, &name(key), Some(node), inner, &Json::Null));
        }
        (Shape::List(inner), Some(Item::List(list))) if matches!(**inner, Shape::Section(_)) => {
            for (n, node) in list.iter().enumerate() {
                let called = node.get("name").and_then(|name| name.value().as_str().map(str::to_owned));
                add(rows, &name(&called.unwrap_or_else(|| n.to_string())), Some(node), inner, &Json::Null);
            }
        }
        (_, found) => {
            let value = found.and(node).map_or_else(|| default.clone(), |node| json!(node.value()));
            rows.push(Row { key: at.to_owned(), value, origin: origin(node) });
        }
    }
}

fn add_keys(rows: &mut Vec<Row>, at: &str, node: Option<&Node>, keys: &[Key], default: &Json) {
    for key in keys {
        let name = if at.is_empty() { key.name.clone() } else { format!("{at}.{}", key.name) };
        let default = default.get(&key.name).unwrap_or(&key.default);
        add(rows, &name, node.and_then(|node| node.get(&key.name)), &key.shape, default);
    }
}

fn origin(node: Option<&Node>) -> Origin {
    node.map_or(Origin::Default, |node| node.origin.clone())
}

/// As it is written in the file; JSON's texts, numbers and lists are TOML's.
fn shown(value: &Json) -> String {
    if value.is_null() { "-".to_owned() } else { value.to_string() }
}

fn table(lines: &[[String; 3]]) -> String {
    let width =
        |column: usize, most: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).min(most);
    let (keys, values) = (width(0, KEY_CHARS_MAX), width(1, VALUE_CHARS_MAX));
    lines.iter().map(|[key, value, origin]| format!("{key:keys$}  {value:values$}  {origin}\n")).collect()
}

/// Longer keys push their line to the right.
const KEY_CHARS_MAX: usize = 40;

/// Longer values push their line to the right.
const VALUE_CHARS_MAX: usize = 44;
