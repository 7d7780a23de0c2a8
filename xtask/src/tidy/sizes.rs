//! How long files and functions are: a limit for files, medians for information. Functions above the limit are
//! clippy's to refuse.

use super::source::{Source, is_test_path};
use super::tree::{Finding, Tree};

const MAX_FILE_LINES: usize = 800;
const MEDIAN_FILE_AIM: usize = 200;
const MEDIAN_FUNCTION_AIM: usize = 13;

/// No file above the limit, its tests not counted.
pub(crate) fn long_files(tree: &Tree) -> Vec<Finding> {
    let long = tree.sources.iter().filter(|source| production_lines(source) > MAX_FILE_LINES);
    long.map(|source| {
        let what = format!(
            "{} lines without tests; at most {MAX_FILE_LINES}: move one part into a file of its own",
            production_lines(source)
        );
        Finding::new(&source.path, 1, what)
    })
    .collect()
}

fn production_lines(source: &Source) -> usize {
    source.production().count()
}

/// One line for a person: medians against what the house rules aim at.
pub(crate) fn summary(tree: &Tree) -> String {
    let production = || tree.sources.iter().filter(|source| !is_test_path(&source.path));
    let files = production().map(production_lines).collect();
    let functions: Vec<usize> = production().flat_map(Source::function_lengths).collect();
    let longest = functions.iter().max().copied().unwrap_or(0);
    format!(
        "median file {} lines (aim: at most {MEDIAN_FILE_AIM}), median function {} (aim: at most {MEDIAN_FUNCTION_AIM}), \
         longest function {longest}, {} functions",
        median(files),
        median(functions.clone()),
        functions.len(),
    )
}

fn median(mut values: Vec<usize>) -> usize {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count_towards_the_limit() {
        let production = "fn a() {}\n".repeat(MAX_FILE_LINES);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn b() {}\n".repeat(9));
        assert!(long_files(&Tree::of(&[("a/src/lib.rs", &format!("{production}{tests}"))])).is_empty());
        let found = long_files(&Tree::of(&[("a/src/lib.rs", &format!("{production}fn c() {{}}\n{tests}"))]));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn the_median_of_nothing_is_nothing() {
        assert_eq!(median(vec![]), 0);
        assert_eq!(median(vec![9, 1, 5]), 5);
    }
}
