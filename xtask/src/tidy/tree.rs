//! The files of the repository as git sees them (tracked, or new and not ignored), read once for all checks.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use super::source::Source;

/// A text file: its path from the root, with `/`, and what it holds.
#[derive(Debug)]
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(crate) fn is(&self, extension: &str) -> bool {
        self.name().rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }
}

/// All text files, and the Rust ones once more, taken apart.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<TextFile>,
    pub(crate) sources: Vec<Source>,
    /// Every path, of text or not, so that a link to a picture resolves.
    pub(crate) paths: Vec<String>,
}

impl Tree {
    pub(crate) fn read() -> Result<Self, String> {
        let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"], None)?.trim());
        let listing = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"], Some(&root))?;
        let mut paths: Vec<String> = listing.split_terminator('\0').map(str::to_owned).collect();
        paths.retain(|path| root.join(path).is_file());
        let files = paths.iter().filter_map(|path| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(TextFile { path: path.clone(), text })
        });
        Ok(Self::from_files(files.collect(), paths.clone()))
    }

    fn from_files(files: Vec<TextFile>, paths: Vec<String>) -> Self {
        let rust = files.iter().filter(|file| file.is("rs"));
        let sources = rust.map(|file| Source::new(&file.path, &file.text)).collect();
        Self { files, sources, paths }
    }

    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn git(arguments: &[&str], directory: Option<&PathBuf>) -> Result<String, String> {
    let mut command = Command::new("git");
    command.args(arguments);
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    let output = command.output().map_err(|error| format!("git did not start ({error})"))?;
    if !output.status.success() {
        return Err(format!("git {} failed: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| "a path is not UTF-8".to_owned())
}

/// One place that breaks a rule: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    /// `line` counts from 1.
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tree {
        /// A tree of a few files, for the tests of the checks.
        pub(crate) fn of(files: &[(&str, &str)]) -> Self {
            let text = |&(path, text): &(&str, &str)| TextFile { path: path.to_owned(), text: text.to_owned() };
            let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
            Self::from_files(files.iter().map(text).collect(), paths)
        }
    }

    #[test]
    fn a_finding_reads_as_an_editor_expects() {
        assert_eq!(Finding::new("a/b.rs", 3, "no").to_string(), "a/b.rs:3: no");
    }

    #[test]
    fn extensions_are_of_the_name_alone() {
        let tree = Tree::of(&[("a.rs/test", ""), ("b/c.rs", "")]);
        assert_eq!(tree.sources.len(), 1);
        assert!(tree.file("a.rs/test").is_some_and(|file| !file.is("rs")));
    }
}
