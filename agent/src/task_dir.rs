//! The task folder of the process engine: the proof that an agent lives, and that a launch token never runs twice.
//!
//! | file | meaning |
//! |---|---|
//! | `lock` | locked exclusively for as long as the agent lives. The kernel unlocks it however the agent ends |
//! | `started` | `<pid> <start time>\n`: an agent has begun here, once and for ever. The start time (field 22 of `/proc/PID/stat`) tells the process from a later one with its number |
//!
//! It only takes and marks; what the engine concludes from the files is the engine's business.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::code;
use crate::proc_fs;

/// The lock, held until this is dropped. The descriptor is close-on-exec, so the runner and its job do not hold it.
pub(crate) struct Held {
    _lock: File,
}

/// Why the task folder is not ours.
#[derive(Debug)]
pub(crate) enum HoldError {
    /// Another agent lives here.
    Running(PathBuf),
    /// Another agent began here before.
    Started(PathBuf),
    /// The folder cannot be used.
    Io(PathBuf, io::Error),
}

impl fmt::Display for HoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(dir) => write!(f, "another agent runs in {}; doing nothing", dir.display()),
            Self::Started(dir) => write!(f, "an agent has run in {} before; doing nothing", dir.display()),
            Self::Io(dir, error) => write!(f, "cannot take the task folder {}: {error}; doing nothing", dir.display()),
        }
    }
}

impl HoldError {
    /// The agent's exit code for it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Running(_) | Self::Started(_) => code::ALREADY_STARTED,
            Self::Io(..) => code::SYSTEM,
        }
    }
}

/// Takes the task folder, or says why it is not ours.
pub(crate) fn hold(dir: &Path) -> Result<Held, HoldError> {
    let broken = |error| HoldError::Io(dir.to_owned(), error);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(broken)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => HoldError::Running(dir.to_owned()),
        TryLockError::Error(error) => broken(error),
    })?;
    match mark_started(dir) {
        Ok(()) => Ok(Held { _lock: lock }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(HoldError::Started(dir.to_owned())),
        Err(error) => Err(broken(error)),
    }
}

/// Creates `started`, complete or not at all: an agent killed in between must not leave an empty file, from which the
/// engine could not tell who began. A hard link is that: exclusive like `O_EXCL`, with its content in place.
///
/// Nothing is synced to the disk: the file matters among living processes, and a power cut ends those.
fn mark_started(dir: &Path) -> io::Result<()> {
    let pid = std::process::id();
    let start = proc_fs::start_time(pid.cast_signed()).ok_or_else(|| io::Error::other("/proc is not mounted"))?;
    let draft = dir.join(format!("started.{pid}"));
    fs::write(&draft, format!("{pid} {start}\n"))?;
    let linked = fs::hard_link(&draft, dir.join("started"));
    fs::remove_file(&draft)?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let held = hold(dir.path()).unwrap();
        assert!(matches!(hold(dir.path()), Err(HoldError::Running(_))));
        drop(held);
        assert!(matches!(hold(dir.path()), Err(HoldError::Started(_))));
    }

    #[test]
    fn started_names_this_process() {
        let dir = tempfile::tempdir().unwrap();
        let _held = hold(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("started")).unwrap();
        let start = proc_fs::start_time(std::process::id().cast_signed()).unwrap();
        assert_eq!(text, format!("{} {start}\n", std::process::id()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the draft is gone");
    }

    #[test]
    fn a_missing_folder_is_said() {
        assert!(matches!(hold(Path::new("/does/not/exist")), Err(HoldError::Io(..))));
    }
}
