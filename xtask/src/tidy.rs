//! `cargo xtask tidy`: what the house rules ask and no compiler checks. Each rule is a function from the tree of files
//! to its findings; it reads text only, builds nothing and changes nothing.

mod layers;
mod links;
mod names;
mod places;
mod sizes;
mod source;
mod style;
mod tree;

use std::process::ExitCode;

use tree::{Finding, Tree};

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: &[(&str, Check)] = &[
    ("each file says what it is", style::opening),
    ("no file is too long", sizes::long_files),
    ("nothing is left undone", style::undone),
    ("no test is switched off", style::ignored),
    ("no test sleeps", style::sleeps),
    ("no test code in production", style::test_switches),
    ("no panic or print in production", style::panics),
    ("names say something", names::check),
    ("crates depend in one direction", layers::check),
    ("links lead somewhere", links::check),
    ("nothing of one machine", places::check),
];

/// Runs all checks; the exit code is 1 when one finds something, 2 when the tree cannot be read.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if !arguments.is_empty() {
        eprintln!("usage: cargo xtask tidy (it takes no arguments)");
        return ExitCode::from(2);
    }
    match Tree::read() {
        Ok(tree) => report(&tree),
        Err(error) => {
            eprintln!("tidy: {error}; run it inside a checkout, with git installed");
            ExitCode::from(2)
        }
    }
}

fn report(tree: &Tree) -> ExitCode {
    let mut findings = Vec::new();
    println!("tidy: {} files, {} of them Rust", tree.files.len(), tree.sources.len());
    for (name, check) in CHECKS {
        let found = check(tree);
        println!("  {:<4} {name}{}", if found.is_empty() { "ok" } else { "FAIL" }, count(found.len()));
        findings.extend(found);
    }
    println!("  {}", sizes::summary(tree));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} checks, {} findings", CHECKS.len(), findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn count(found: usize) -> String {
    if found == 0 { String::new() } else { format!(" ({found})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree without fault passes all checks, so that a finding is never the checks' own noise.
    #[test]
    fn every_check_reads_a_small_tree() {
        let tree = Tree::of(&[("a/src/lib.rs", "//! A.\n\nfn one() {}\n"), ("README.md", "# A\n")]);
        let found: Vec<String> =
            CHECKS.iter().flat_map(|(_, check)| check(&tree)).map(|finding| finding.to_string()).collect();
        assert_eq!(found, Vec::<String>::new());
    }
}
