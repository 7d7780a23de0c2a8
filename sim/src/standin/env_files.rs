//! The files that a step writes to: `GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_PATH`, `GITHUB_STEP_SUMMARY`.
//!
//! `NAME=value`, or `NAME<<MARK` … `MARK` for several lines. Bounded, because a job writes them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes of one file at most (GitHub: 1 MiB for a summary).
pub(super) const FILE_BYTES_MAX: u64 = 1_048_576;

/// The four files of one step.
pub(super) struct EnvFiles {
    folder: PathBuf,
    number: u32,
}

/// What a step wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) env: BTreeMap<String, String>,
    pub(super) outputs: BTreeMap<String, String>,
    /// Folders for `PATH`, in the order they were written.
    pub(super) path: Vec<String>,
    pub(super) summary: String,
}

/// Variable and name of each file.
const FILES: [(&str, &str); 4] = [
    ("GITHUB_ENV", "set_env"),
    ("GITHUB_OUTPUT", "set_output"),
    ("GITHUB_PATH", "add_path"),
    ("GITHUB_STEP_SUMMARY", "step_summary"),
];

impl EnvFiles {
    /// Makes them, empty.
    pub(super) fn create(folder: &Path, number: u32) -> io::Result<Self> {
        let files = Self { folder: folder.to_path_buf(), number };
        std::fs::create_dir_all(folder)?;
        FILES.iter().try_for_each(|(_, name)| File::create(files.path(name)).map(drop))?;
        Ok(files)
    }

    /// The variables that tell a step where they are.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        FILES.iter().map(|(variable, name)| ((*variable).to_owned(), self.path(name).to_string_lossy().into_owned()))
    }

    /// Reads and removes them.
    pub(super) fn take(self) -> Result<Written, String> {
        let [env, outputs, path, summary] = FILES.map(|(variable, name)| {
            let text = self.read(name).map_err(|error| format!("{variable} cannot be read: {error}"));
            // A file that stays is removed with its folder at the end of the job.
            let _ = std::fs::remove_file(self.path(name));
            text
        });
        Ok(Written {
            env: pairs(&env?).map_err(|why| format!("GITHUB_ENV: {why}"))?,
            outputs: pairs(&outputs?).map_err(|why| format!("GITHUB_OUTPUT: {why}"))?,
            path: path?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
            summary: summary?,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}_{}", self.number))
    }

    fn read(&self, name: &str) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(self.path(name))?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Reads `NAME=value` and `NAME<<MARK` lines.
fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut out = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let equals = line.find('=').unwrap_or(usize::MAX);
        let mark = line.find("<<").unwrap_or(usize::MAX);
        if equals == mark {
            return Err(format!("a line is neither `NAME=value` nor `NAME<<MARK`: `{}`", shown(line)));
        }
        if equals < mark {
            out.insert(named(&line[..equals])?, line[equals + 1..].to_owned());
            continue;
        }
        let name = named(&line[..mark])?;
        let mark = &line[mark + 2..];
        let mut value: Vec<&str> = Vec::new();
        loop {
            match lines.next() {
                Some(line) if line == mark => break,
                Some(line) => value.push(line),
                None => return Err(format!("the mark `{}` that ends `{name}` is missing", shown(mark))),
            }
        }
        out.insert(name, value.join("\n"));
    }
    Ok(out)
}

fn named(name: &str) -> Result<String, String> {
    if name.is_empty() || name.contains('\0') {
        return Err("a name is empty".to_owned());
    }
    Ok(name.to_owned())
}

fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_blocks() {
        let read = pairs("A=1\n\nB<<EOF\nx=1\n\ny\nEOF\nC=a<<b\n").unwrap();
        let expected = [("A", "1"), ("B", "x=1\n\ny"), ("C", "a<<b")];
        assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        for bad in ["nonsense\n", "=x\n", "A<<EOF\nx\n"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_made_read_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let files = EnvFiles::create(folder.path(), 1).unwrap();
        let paths: BTreeMap<String, String> = files.variables().collect();
        std::fs::write(&paths["GITHUB_PATH"], "/a\n/b\n").unwrap();
        let written = files.take().unwrap();
        assert_eq!(written.path, ["/a", "/b"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
