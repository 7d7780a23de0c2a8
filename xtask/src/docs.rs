//! `cargo xtask docs`: writes the documents that are made from the code. The tests that compare them with the code do
//! the writing, so there is one way to make each.

use std::process::{Command, ExitCode};

/// Package, its test, and the document that the test writes.
const MADE: &[(&str, &str, &str)] = &[
    ("fleet", "the_tables_in_docs_are_those_of_the_code", "docs/state-tables.md"),
    ("self-runners", "the_page_in_docs_is_that_of_the_code", "docs/configuration.md"),
];

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if !arguments.is_empty() {
        eprintln!("usage: cargo xtask docs (it takes no arguments)");
        return ExitCode::from(2);
    }
    let failed = MADE.iter().any(|(package, test, document)| {
        let written = write(package, test);
        println!("{} {document}", if written { "wrote" } else { "could not write" });
        !written
    });
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn write(package: &str, test: &str) -> bool {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--package", package, "--test", "it", test]).env("UPDATE_DOCS", "1");
    match cargo.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("docs: cannot run cargo: {error}");
            false
        }
    }
}
