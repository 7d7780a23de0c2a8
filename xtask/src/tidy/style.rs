//! The rules about single lines of Rust: what may stand where.

use super::source::{Source, is_test_path, is_tests_module, words};
use super::tree::{Finding, Tree};

/// Written apart, so that this file does not find itself.
const UNDONE_WORDS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const UNDONE_MACROS: [&str; 2] = ["todo", "unimplemented"];
const PRINTS: [&str; 5] = ["println", "print", "eprintln", "eprint", "dbg"];
const DEADLINE: &str = "// deadline";

/// Each file begins with `//!`: what it is, why here, what it must not do.
pub(crate) fn opening(tree: &Tree) -> Vec<Finding> {
    let silent =
        tree.sources.iter().filter(|source| !source.lines.first().is_some_and(|line| line.raw.starts_with("//!")));
    silent
        .map(|source| Finding::new(&source.path, 1, "no opening comment: begin with `//!` and what this file is"))
        .collect()
}

/// No promise of later work, in any file; what is missing is an issue.
pub(crate) fn undone(tree: &Tree) -> Vec<Finding> {
    let mut found = lines_with(
        tree,
        |_, line| {
            let mut macros = words(&line.code).filter(|(_, word)| UNDONE_MACROS.contains(word));
            macros.any(|(at, word)| line.code[at + word.len()..].starts_with('!'))
        },
        "unfinished code: finish it, or return an error that says so",
    );
    for file in tree.files.iter().filter(|file| !file.is("json")) {
        for (number, line) in (1..).zip(file.text.lines()) {
            if let Some((_, word)) = words(line).find(|(_, word)| UNDONE_WORDS.contains(word)) {
                found.push(Finding::new(&file.path, number, format!("{word}: do it now, or open an issue")));
            }
        }
    }
    found
}

/// No test is switched off.
pub(crate) fn ignored(tree: &Tree) -> Vec<Finding> {
    lines_with(tree, |_, line| line.code.contains("#[ignore"), "an ignored test: make it run, or remove it")
}

/// Tests wait for an event, never for a time. A bounded wait for something real says so on its line.
pub(crate) fn sleeps(tree: &Tree) -> Vec<Finding> {
    lines_with(
        tree,
        |_, line| {
            let sleeping = words(&line.code).any(|(at, word)| word == "sleep" && line.code[at + 5..].starts_with('('));
            line.test && sleeping && !line.raw.contains(DEADLINE)
        },
        "a test that sleeps: wait for the event, or mark the line `// deadline` where it bounds a wait",
    )
}

/// Production code is the same under test: the condition stands on `mod tests` alone.
pub(crate) fn test_switches(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(|source| !is_test_path(&source.path)) {
        let code: Vec<&str> = source.lines.iter().map(|line| line.code.as_str()).collect();
        let switches = (0..code.len()).filter(|&at| is_switch(code[at]) && !is_tests_module(&code, at));
        found.extend(switches.map(|at| {
            let what =
                "a test switch in production code: only `mod tests` may depend on `cfg(test)`; pass a fake instead";
            Finding::new(&source.path, at + 1, what)
        }));
    }
    found
}

fn is_switch(code: &str) -> bool {
    let dense: String = code.split_whitespace().collect();
    ["cfg(test", "cfg(not(test", "cfg(any(test", "cfg(all(test", "cfg!(test"].iter().any(|form| dense.contains(form))
}

/// Neither a panic nor a print outside tests, unless the file or its crate's root allows the lint and says why.
pub(crate) fn panics(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let panics = !allows(tree, source, "clippy::unwrap_used");
        let prints = !allows(tree, source, "clippy::print_std");
        for (number, line) in source.production() {
            if panics && line.code.contains(".unwrap()") {
                found.push(Finding::new(&source.path, number, "unwrap: return an error, or `expect` with the reason"));
            }
            if prints && is_print(&line.code) {
                found.push(Finding::new(&source.path, number, "a print: use `tracing`, or write to a given writer"));
            }
        }
    }
    found
}

fn is_print(code: &str) -> bool {
    words(code).any(|(at, word)| PRINTS.contains(&word) && code[at + word.len()..].starts_with("!("))
}

fn allows(tree: &Tree, source: &Source, lint: &str) -> bool {
    let home = source.path.split("/src/").next().unwrap_or_default();
    let roots = [source.path.clone(), format!("{home}/src/lib.rs"), format!("{home}/src/main.rs")];
    roots.iter().filter_map(|path| tree.file(path)).any(|file| file.text.contains(lint))
}

fn lines_with(tree: &Tree, breaks: impl Fn(&Source, &super::source::Line) -> bool, what: &str) -> Vec<Finding> {
    let lines =
        tree.sources.iter().flat_map(|source| source.numbered().map(move |(number, line)| (source, number, line)));
    lines
        .filter(|(source, _, line)| breaks(source, line))
        .map(|(source, number, _)| Finding::new(&source.path, number, what))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_file_without_opening_is_found() {
        assert_eq!(found(opening, "a/src/lib.rs", "//! A.\n"), 0);
        assert_eq!(found(opening, "a/src/lib.rs", "// A.\n"), 1);
        assert_eq!(found(opening, "a/src/lib.rs", ""), 1);
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_prose() {
        assert_eq!(found(undone, "a/src/lib.rs", "fn a() { todo!() }\n"), 1);
        assert_eq!(found(undone, "a/src/lib.rs", "fn todo() { \"todo!()\" }\n"), 0);
        assert_eq!(found(undone, "test", &format!("mktemp a.{}\n", "X".repeat(6))), 0);
        assert_eq!(found(undone, "b.md", &format!("{}: later\n", UNDONE_WORDS[0])), 1);
    }

    #[test]
    fn ignored_tests_are_found() {
        assert_eq!(found(ignored, "a/src/lib.rs", "#[ignore = \"slow\"]\n"), 1);
        assert_eq!(found(ignored, "a/src/lib.rs", "// #[ignore]\n"), 0);
    }

    #[test]
    fn sleeps_are_found_in_tests_only() {
        assert_eq!(found(sleeps, "a/tests/it.rs", "sleep(SECOND).await;\n"), 1);
        assert_eq!(found(sleeps, "a/tests/it.rs", "sleep(SECOND).await; // deadline\n"), 0);
        assert_eq!(found(sleeps, "a/src/lib.rs", "sleep(SECOND).await;\n"), 0);
        assert_eq!(found(sleeps, "a/tests/it.rs", "fn no_sleeps() {}\n"), 0);
    }

    #[test]
    fn test_switches_are_found_outside_the_tests_module() {
        assert_eq!(found(test_switches, "a/src/lib.rs", "#[cfg(test)]\nmod tests {}\n"), 0);
        assert_eq!(found(test_switches, "a/src/lib.rs", "#[cfg(test)]\nfn a() {}\n"), 1);
        assert_eq!(found(test_switches, "a/src/lib.rs", "if cfg!(test) {}\n"), 1);
        assert_eq!(found(test_switches, "a/src/lib.rs", "#![cfg_attr(test, allow(x))]\n"), 0);
    }

    #[test]
    fn panics_and_prints_are_found_unless_allowed() {
        assert_eq!(found(panics, "a/src/lib.rs", "a.unwrap();\nprintln!(\"{a}\");\n"), 2);
        assert_eq!(found(panics, "a/tests/it.rs", "a.unwrap();\n"), 0);
        let root = ("a/src/main.rs", "#![allow(clippy::print_stdout, reason = \"\")]\n");
        assert_eq!(panics(&Tree::of(&[root, ("a/src/b.rs", "println!(\"\");\n")])).len(), 0);
    }
}
