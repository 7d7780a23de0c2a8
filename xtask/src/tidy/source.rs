//! A Rust file taken apart as far as the checks need: its code without comments and literals, and which lines are
//! tests. It is a scanner, not a parser: it knows strings, comments and braces, and nothing of the grammar.

/// One line: as written, and with comments and the inside of literals blanked.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) raw: String,
    pub(crate) code: String,
    pub(crate) test: bool,
}

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) lines: Vec<Line>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = code_only(text);
        let code_lines: Vec<&str> = code.lines().collect();
        let tests = test_lines(path, &code_lines);
        let lines = text.lines().zip(&code_lines).zip(tests);
        let lines = lines.map(|((raw, code), test)| Line { raw: raw.to_owned(), code: (*code).to_owned(), test });
        Self { path: path.to_owned(), lines: lines.collect() }
    }

    /// The lines with their numbers from 1.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        (1..).zip(&self.lines)
    }

    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.numbered().filter(|(_, line)| !line.test)
    }

    /// How many lines each function takes, from its `fn` to its closing brace.
    pub(crate) fn function_lengths(&self) -> Vec<usize> {
        let code: Vec<&str> = self.lines.iter().map(|line| line.code.as_str()).collect();
        let starts = (0..code.len()).filter(|&at| words(code[at]).any(|(_, word)| word == "fn"));
        starts.filter_map(|at| Some(block_end(&code, at)? - at + 1)).collect()
    }
}

/// The identifiers and keywords of a line, each with its position.
pub(crate) fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.split(move |c| !part(c))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
}

/// Whether a file holds tests only, by its place: an integration test, a benchmark, or a `tests.rs` beside its module.
pub(crate) fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples"))
}

fn test_lines(path: &str, code: &[&str]) -> Vec<bool> {
    if is_test_path(path) {
        return vec![true; code.len()];
    }
    let mut tests = vec![false; code.len()];
    for at in 0..code.len() {
        if code[at].trim() == "#[cfg(test)]" && is_tests_module(code, at) {
            let end = block_end(code, at).unwrap_or(at + 1);
            tests[at..=end.min(code.len() - 1)].fill(true);
        }
    }
    tests
}

/// Whether the item under the attribute at `at` is `mod tests`; other attributes may stand between.
pub(crate) fn is_tests_module(code: &[&str], at: usize) -> bool {
    let item = code[at + 1..].iter().map(|line| line.trim()).find(|line| !line.is_empty() && !line.starts_with("#["));
    item.is_some_and(|line| words(line).map(|(_, word)| word).take(2).eq(["mod", "tests"]))
}

/// The line on which the first block after `start` closes; none where the item ends in `;` before any brace.
fn block_end(code: &[&str], start: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, line) in code.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                ';' if braces == 0 && brackets == 0 => return None,
                '{' => braces += 1,
                '}' if braces <= 1 => return (braces == 1).then_some(at),
                '}' => braces -= 1,
                _ => {}
            }
        }
    }
    None
}

/// Comments and the inside of literals become spaces, lines stay lines: what remains can be searched as code.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let blank = comment_length(rest).or_else(|| literal_length(rest, code.chars().next_back()));
        let length = blank.unwrap_or(first.len_utf8());
        let (piece, after) = rest.split_at(length);
        match blank {
            Some(_) => code.extend(piece.chars().map(|c| if c == '\n' { c } else { ' ' })),
            None => code.push_str(piece),
        }
        rest = after;
    }
    code
}

fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0_usize);
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        let step = if tail.starts_with(b"/*") {
            depth += 1;
            2
        } else if tail.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            return Some(at);
        }
    }
    Some(rest.len())
}

fn literal_length(rest: &str, before: Option<char>) -> Option<usize> {
    match rest.as_bytes()[0] {
        b'"' => Some(quoted_length(rest, b'"')),
        b'\'' => char_length(rest),
        b'r' | b'b' if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') => raw_length(rest),
        _ => None,
    }
}

/// The length of what starts with a quote, the closing one included; a backslash takes the next character with it.
fn quoted_length(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    let mut end = (at + 1).min(bytes.len());
    while !rest.is_char_boundary(end) {
        end += 1;
    }
    end
}

/// A quote begins a character, or a lifetime, which is code.
fn char_length(rest: &str) -> Option<usize> {
    let mut after = rest[1..].chars();
    match (after.next(), after.next()) {
        (Some('\\'), _) => Some(quoted_length(rest, b'\'')),
        (Some(c), Some('\'')) => Some(c.len_utf8() + 2),
        _ => None,
    }
}

fn raw_length(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let body = after.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(after.len() - body.len()));
    let inside = body.strip_prefix('"')?;
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(rest.len() - inside.len() + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests_of(path: &str, text: &str) -> Vec<bool> {
        Source::new(path, text).lines.iter().map(|line| line.test).collect()
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        assert_eq!(code_only("a // b\nc"), "a     \nc");
        assert_eq!(code_only("a /* b /* c\n */ */ d").trim_end(), "a          \n       d");
        assert_eq!(code_only(r#"f("a\"b{") + 1"#).replace(' ', ""), "f()+1");
        assert_eq!(code_only("r#\"a\"b{\"#;r\"\\\";x").replace(' ', ""), ";;x");
        assert_eq!(code_only("'{' '\\'' 'é' <'a>").replace(' ', ""), "<'a>");
        assert_eq!(code_only("r#type = b\"{\"").replace(' ', ""), "r#type=b");
        assert_eq!(code_only("\"never closed é").trim(), "");
    }

    #[test]
    fn a_tests_module_is_known_to_its_last_brace() {
        let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        assert_eq!(tests_of("a/src/lib.rs", text), [false, true, true, true, true, true, false]);
        assert_eq!(tests_of("a/src/lib.rs", "#[cfg(test)]\nmod tests;\nfn c() {}\n"), [true, true, false]);
        assert_eq!(tests_of("a/src/lib.rs", "#[cfg(test)]\nfn b() {}\n"), [false, false]);
        assert_eq!(tests_of("a/tests/it/main.rs", "fn b() {}\n"), [true]);
    }

    #[test]
    fn functions_are_measured_and_declarations_are_not() {
        let text =
            "trait T {\n    fn a(x: [u8; 2]);\n}\nfn b(x: [u8; 2]) -> u8\nwhere\n    u8: Copy,\n{\n    if x { 1 }\n}\n";
        assert_eq!(Source::new("a/src/lib.rs", text).function_lengths(), [6]);
    }

    #[test]
    fn words_know_their_places() {
        assert_eq!(words("pub mod a_b;").collect::<Vec<_>>(), [(0, "pub"), (4, "mod"), (8, "a_b")]);
    }
}
