//! The map of the crates, checked against each `Cargo.toml`: dependencies point one way, adapters do not know each
//! other, the core stays pure. Tests may reach across where the table says so.

use super::tree::{Finding, TextFile, Tree};

/// A crate's directory, the own crates that its production code may name, and those that its tests may name as well.
struct Rule {
    home: &'static str,
    may: &'static [&'static str],
    in_tests: &'static [&'static str],
}

const OWN: [&str; 10] =
    ["fleet", "controller", "github", "aws", "local", "sim", "lambdas", "agent", "self-runners", "xtask"];
const ADAPTERS: &[&str] = &["github", "aws", "local", "sim"];
const CORE: &[&str] = &["fleet", "controller"];

const RULES: &[Rule] = &[
    Rule { home: "fleet", may: &[], in_tests: &[] },
    Rule { home: "controller", may: &["fleet"], in_tests: &[] },
    Rule { home: "github", may: CORE, in_tests: ADAPTERS },
    Rule { home: "aws", may: CORE, in_tests: ADAPTERS },
    Rule { home: "local", may: CORE, in_tests: ADAPTERS },
    Rule { home: "sim", may: CORE, in_tests: ADAPTERS },
    Rule { home: "agent", may: &["fleet"], in_tests: &["sim"] },
    Rule { home: "lambdas", may: &OWN, in_tests: &[] },
    Rule { home: "cli", may: &OWN, in_tests: &[] },
    Rule { home: "fuzz", may: &["github", "sim"], in_tests: &[] },
    Rule { home: "xtask", may: &["fleet", "github", "sim"], in_tests: &[] },
];

/// What the pure crate must do without, in production: async, IO, clock, randomness, logs.
const IMPURE: [&str; 14] = [
    "async-trait",
    "axum",
    "chrono",
    "fastrand",
    "futures",
    "getrandom",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "tempfile",
    "time",
    "tokio",
    "tracing",
];

/// A dependency line: where it stands, for whom, and on what.
#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    line: usize,
    test: bool,
    name: String,
}

/// Each crate depends only on what the map lets it name.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files.iter().filter(|file| file.name() == "Cargo.toml" && file.path != "Cargo.toml");
    manifests.flat_map(check_manifest).collect()
}

fn check_manifest(file: &TextFile) -> Vec<Finding> {
    let home = file.path.trim_end_matches("/Cargo.toml");
    let Some(rule) = RULES.iter().find(|rule| rule.home == home) else {
        let what =
            format!("`{home}` has no place on the map: give it one in xtask/src/tidy/layers.rs and ARCHITECTURE.md");
        return vec![Finding::new(&file.path, 1, what)];
    };
    let refused = dependencies(&file.text).into_iter().filter_map(|dependency| {
        let what = refusal(rule, &dependency)?;
        Some(Finding::new(&file.path, dependency.line, what))
    });
    refused.collect()
}

fn refusal(rule: &Rule, dependency: &Dependency) -> Option<String> {
    let (home, name) = (rule.home, dependency.name.as_str());
    let allowed = rule.may.contains(&name) || (dependency.test && rule.in_tests.contains(&name));
    if OWN.contains(&name) && !allowed {
        return Some(format!("`{home}` must not depend on `{name}`: put what both need into a crate below, or a port"));
    }
    if home == "fleet" && !dependency.test && IMPURE.contains(&name) {
        return Some(format!("`fleet` is pure and must not depend on `{name}`: take what you need as an argument"));
    }
    None
}

fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut section = "";
    let mut found = Vec::new();
    for (line, text) in (1..).zip(manifest.lines().map(str::trim)) {
        if let Some(header) = text.strip_prefix('[') {
            section = header.trim_end_matches(']');
            found.extend(named_by_header(section, line));
        } else if section.ends_with("dependencies") && !text.starts_with('#') {
            let name = text.split(['.', '=', ' ']).next().unwrap_or_default().trim_matches('"');
            found.extend((!name.is_empty()).then(|| dependency(section, line, name)));
        }
    }
    found
}

/// `[dependencies.tokio]` names a dependency as well.
fn named_by_header(section: &str, line: usize) -> Option<Dependency> {
    let (kind, name) = section.rsplit_once('.')?;
    kind.ends_with("dependencies").then(|| dependency(kind, line, name))
}

fn dependency(section: &str, line: usize, name: &str) -> Dependency {
    Dependency { line, test: section.ends_with("dev-dependencies"), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn every_form_of_a_dependency_is_read() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\n# b\nc.workspace = true\nd = \"1\"\n\
                        [target.'cfg(unix)'.dev-dependencies]\n\"e\" = { version = \"1\" }\n[dependencies.f]\nversion = \"1\"\n";
        let names: Vec<_> = dependencies(manifest).into_iter().map(|d| (d.line, d.test, d.name)).collect();
        let expected = [(5, false, "c"), (6, false, "d"), (8, true, "e"), (9, false, "f")];
        assert_eq!(names, expected.map(|(line, test, name)| (line, test, name.to_owned())));
    }

    #[test]
    fn adapters_meet_in_tests_only() {
        assert_eq!(found("github/Cargo.toml", "[dev-dependencies]\nsim.workspace = true\n").len(), 0);
        assert_eq!(found("github/Cargo.toml", "[dependencies]\nsim.workspace = true\n").len(), 1);
        assert_eq!(found("cli/Cargo.toml", "[dependencies]\nsim.workspace = true\n").len(), 0);
    }

    #[test]
    fn the_core_is_pure_and_knows_nobody() {
        assert_eq!(found("fleet/Cargo.toml", "[dependencies]\ntokio.workspace = true\n").len(), 1);
        assert_eq!(found("fleet/Cargo.toml", "[dev-dependencies]\nfastrand.workspace = true\n").len(), 0);
        assert_eq!(found("fleet/Cargo.toml", "[dev-dependencies]\nsim.workspace = true\n").len(), 1);
        assert_eq!(found("controller/Cargo.toml", "[dependencies]\ngithub.workspace = true\n").len(), 1);
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        assert!(found("shared/Cargo.toml", "")[0].starts_with("shared/Cargo.toml:1: `shared` has no place"));
    }
}
