//! Nothing of one machine in the repository: no home directories, no build places, no hosts of package registries.
//! The lock file is the package client's own and is left alone.

use super::tree::{Finding, Tree};

/// Written apart, so that this file does not find itself.
const BUILD_PLACES: [&str; 4] =
    [concat!("/work", "/main"), concat!("/work", "/shared"), concat!("/work", "/.library"), concat!("/root", "/")];
const HOMES: [&str; 2] = [concat!("/home", "/"), concat!("/Users", "/")];
/// The account of the official runner image is part of its contract.
const KNOWN_HOMES: [&str; 1] = ["runner"];
const REGISTRIES: [&str; 9] = [
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("//crates", ".io"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("registry.npm", "js.org"),
    concat!("npm", "js.com"),
    concat!("deb.", "debian.org"),
    concat!("proxy.go", "lang.org"),
];
const LOCK_FILE: &str = "Cargo.lock";

/// No path of one machine and no registry's host in any file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.name() != LOCK_FILE) {
        for (number, line) in (1..).zip(file.text.lines()) {
            found.extend(fault(line).map(|what| Finding::new(&file.path, number, what)));
        }
    }
    found
}

fn fault(line: &str) -> Option<String> {
    let place = BUILD_PLACES.iter().find(|place| starts(line, place).next().is_some());
    let home = HOMES.iter().find(|home| starts(line, home).any(is_someones));
    if let Some(path) = place.or(home) {
        return Some(format!(
            "a path of one machine (`{path}`): write it relative to the repository, or take it as an argument"
        ));
    }
    let host = REGISTRIES.iter().find(|host| line.contains(**host))?;
    Some(format!("a registry's host (`{host}`): name the package, not where it comes from"))
}

/// What follows each place where `path` begins, not where it continues a longer path.
fn starts<'a>(line: &'a str, path: &'a str) -> impl Iterator<Item = &'a str> {
    let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}'));
    line.match_indices(path).filter(move |(at, _)| begins(*at)).map(move |(at, _)| &line[at + path.len()..])
}

fn is_someones(after: &str) -> bool {
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
    !name.is_empty() && !KNOWN_HOMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_one_machine_are_found() {
        assert!(fault(&format!("cd {}anna/src", HOMES[0])).is_some());
        assert!(fault(&format!("path = \"{}\"", BUILD_PLACES[0])).is_some());
        assert!(fault(&format!("{}.cargo", BUILD_PLACES[3])).is_some());
        assert!(fault(&format!("https:{}/crates/a", REGISTRIES[2])).is_some());
    }

    #[test]
    fn contracts_and_words_are_left_alone() {
        assert!(fault(&format!("{}runner/_work", HOMES[0])).is_none());
        assert!(fault(&format!("sim{}", BUILD_PLACES[3])).is_none());
        assert!(fault("as crates.io does; $HOME/x; https://docs.example/home/a").is_none());
    }
}
