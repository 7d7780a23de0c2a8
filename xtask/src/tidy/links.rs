//! Links in the documents: each relative one names a file of the repository, each anchor a heading, or a function where
//! the file is Rust: so a test that is named as a proof exists. Addresses on the
//! web are not asked: a check must not fail because a site is away.

use super::tree::{Finding, TextFile, Tree};

/// How a target begins and ends in Markdown, and in the HTML that Markdown may hold.
const FORMS: [(&str, char); 3] = [("](", ')'), ("src=\"", '"'), ("href=\"", '"')];

/// Every relative link of every document leads to a file, a folder or a heading.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.is("md")) {
        for (number, line) in prose(&file.text) {
            for target in targets(&line) {
                found.extend(fault(tree, file, &target).map(|what| Finding::new(&file.path, number, what)));
            }
        }
    }
    found
}

/// The lines outside fences, without their code spans.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((number, line.split('`').step_by(2).collect::<Vec<_>>().join("`")));
        }
    }
    lines
}

fn targets(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (begin, end) in FORMS {
        let pieces = line.split(begin).skip(1);
        found.extend(pieces.filter_map(|piece| piece.split(end).next()).map(str::to_owned));
    }
    if let Some((_, target)) = line.split_once("]: ").filter(|(label, _)| label.starts_with('[')) {
        found.push(target.to_owned());
    }
    found.iter().filter_map(|target| target.split_whitespace().next()).map(str::to_owned).collect()
}

fn fault(tree: &Tree, from: &TextFile, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    if target.starts_with('/') {
        return Some(format!("the link `{target}` is absolute: write it relative to this file"));
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { from.path.clone() } else { resolve(&from.path, path) };
    if !exists(tree, &path) {
        return Some(format!("the link `{target}` leads to no file: correct it, or add `{path}`"));
    }
    let file = tree.file(&path).filter(|_| !anchor.is_empty())?;
    if file.is("rs") {
        let has = file.text.contains(&format!("fn {anchor}("));
        return (!has).then(|| format!("`{path}` has no function `{anchor}`: correct the link"));
    }
    (file.is("md") && !has_anchor(&file.text, anchor))
        .then(|| format!("`{path}` has no heading `#{anchor}`: correct the link"))
}

/// `path` as seen from the folder of `from`, without `.` and `..`.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    path.is_empty() || tree.paths.iter().any(|known| known == path || known.starts_with(&folder))
}

fn has_anchor(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    text.contains(&format!("id=\"{anchor}\"")) || headings.map(slug).any(|slug| slug == anchor)
}

/// The anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let title = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("docs/a.md", text),
            ("README.md", "# One\n\n## Two, *three*\n"),
            ("docs/b.png", ""),
            ("c.rs", "fn f() {}"),
        ]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn good_links_are_left_alone() {
        let text = "# Top\n[a](../README.md) [b](../README.md#two-three \"t\") ![c](b.png) [d](#top) [i](../c.rs#f) [j](../c.rs) [e](https://e.example)\n\
                    <img src=\"b.png\"> [f](..) [g](mailto:a@b)\n[h]: ../README.md\n";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn code_is_not_prose() {
        assert_eq!(found("`[a](gone.md)`\n```\n[a](gone.md)\n```\n"), Vec::<String>::new());
    }

    #[test]
    fn dead_links_are_found() {
        let lines = [
            "[a](gone.md)",
            "[a](/README.md)",
            "[a](../README.md#four)",
            "[a](#four)",
            "[a]: gone.md",
            "[a](../c.rs#g)",
        ];
        assert_eq!(found(&lines.join("\n")).len(), lines.len());
    }
}
