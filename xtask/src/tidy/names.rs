//! Names that say nothing: a module or type is called after what it is, not after the fact that it does something.

use super::source::words;
use super::tree::{Finding, Tree};

const EMPTY: [&str; 7] = ["manager", "managers", "helper", "helpers", "util", "utils", "misc"];
/// Names of products are not ours to choose.
const PRODUCTS: [&str; 2] = ["SecretsManager", "secrets_manager"];
const DECLARE: [&str; 6] = ["mod", "struct", "enum", "trait", "type", "union"];

/// No file, module or type of an empty name.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in &tree.sources {
        for part in source.path.trim_end_matches(".rs").split('/').filter(|part| is_empty(part)) {
            found.push(finding(&source.path, 1, part));
        }
        for (number, line) in source.numbered() {
            if let Some(name) = declared(&line.code).filter(|name| is_empty(name)) {
                found.push(finding(&source.path, number, name));
            }
        }
    }
    found
}

fn finding(path: &str, line: usize, name: &str) -> Finding {
    Finding::new(path, line, format!("the name `{name}` says nothing: call it after what it is or holds"))
}

/// The name that a line declares, visibility before it or not.
fn declared(code: &str) -> Option<&str> {
    let mut after =
        words(code).map(|(_, word)| word).skip_while(|word| matches!(*word, "pub" | "crate" | "super" | "in"));
    after.next().filter(|word| DECLARE.contains(word))?;
    after.next()
}

fn is_empty(name: &str) -> bool {
    !PRODUCTS.iter().any(|product| name.contains(product))
        && parts(name).iter().any(|part| EMPTY.contains(&part.as_str()))
}

/// `JobManager` and `job_manager` have the same parts.
fn parts(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_uppercase() || !c.is_alphanumeric() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn empty_names_are_found_in_paths_and_declarations() {
        assert_eq!(found("a/src/utils.rs", ""), 1);
        assert_eq!(found("a/src/b.rs", "pub(crate) struct JobManager;\nmod test_helpers;\n"), 2);
    }

    #[test]
    fn other_names_are_left_alone() {
        assert_eq!(found("a/src/b.rs", "pub struct SecretsManager;\nlet manager = 1;\nstruct Utility;\n"), 0);
    }
}
