//! Where the stand-in's words go: the terminal, as the official program prints them, and `_diag/`.
//!
//! A terminal or a disk that is gone must not end a job, so failures to write are swallowed here and only here. No
//! secret is ever passed in.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use super::time::{file_stamp, now_ms, stamp};

/// The words of one process.
pub(super) struct Console {
    role: &'static str,
    diag: Option<Mutex<File>>,
    echo: bool,
}

impl Console {
    /// Opens `_diag/<role>_<time>.log` below the runner's folder.
    pub(super) fn open(root: &Path, role: &'static str) -> Self {
        let folder = root.join("_diag");
        let name = format!("{role}_{}.log", file_stamp(now_ms()));
        let open = || {
            std::fs::create_dir_all(&folder)?;
            OpenOptions::new().create(true).append(true).open(folder.join(name))
        };
        let echo =
            std::env::var("ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT").is_ok_and(|text| !matches!(&*text, "" | "0" | "false"));
        Self { role, diag: open().ok().map(Mutex::new), echo }
    }

    /// The terminal alone.
    pub(super) fn terminal(role: &'static str) -> Self {
        Self { role, diag: None, echo: false }
    }

    /// A line for the person at the terminal.
    pub(super) fn say(&self, line: &str) {
        // No terminal is no reason to stop: see the top of the file.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
        self.note(line);
    }

    /// The same with the time in front, as the official program does for what happens.
    pub(super) fn say_now(&self, line: &str) {
        self.say(&format!("{}: {line}", stamp(now_ms())));
    }

    /// An error for the person at the terminal.
    pub(super) fn complain(&self, line: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
        self.write("ERR ", line);
    }

    /// A line for `_diag/` only (and for the terminal with `ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT=1`).
    pub(super) fn note(&self, line: &str) {
        self.write("INFO", line);
    }

    fn write(&self, level: &str, line: &str) {
        let line = format!("[{} {level} {}] {line}", stamp(now_ms()), self.role);
        if let Some(Ok(mut diag)) = self.diag.as_ref().map(Mutex::lock) {
            let _ = writeln!(diag, "{line}");
        }
        if self.echo {
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
    }
}
