//! What a person reads when the file cannot be used: what happened, and what to do about it.

use std::{io, path::Path};

use controller::ports::{ErrorKind, PortError};
use rusqlite::ErrorCode;

/// A group that the file did not take. Always `Retry`: whether it was done is not known until it is asked again.
pub(super) fn not_written(path: &Path, error: &rusqlite::Error) -> PortError {
    let inner = failed(path, "write", error);
    PortError::retry(format!("{}; nothing that was acknowledged is lost", inner.message))
}

/// An operation on the file that failed.
pub(super) fn failed(path: &Path, doing: &str, error: &rusqlite::Error) -> PortError {
    let (kind, advice) = if is_garbage(error) { (ErrorKind::Invalid, move_aside()) } else { judge(path, error) };
    PortError::new(kind, format!("cannot {doing} the state file {}: {error}: {advice}", path.display()))
}

/// Whether SQLite took it for whole, but what it gave cannot be what was written.
fn is_garbage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
    )
}

fn judge(path: &Path, error: &rusqlite::Error) -> (ErrorKind, String) {
    let is = |codes: &[ErrorCode]| error.sqlite_error_code().is_some_and(|code| codes.contains(&code));
    let dir = path.parent().unwrap_or(path).display();
    if is(&[ErrorCode::DiskFull]) {
        return (ErrorKind::Retry, format!("free space under {dir}"));
    }
    if is(&[ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase]) {
        return (ErrorKind::Invalid, move_aside());
    }
    if is(&[ErrorCode::CannotOpen, ErrorCode::ReadOnly, ErrorCode::PermissionDenied]) {
        return (ErrorKind::Denied, "the user that runs this must be able to write the file and its folder".into());
    }
    if is(&[ErrorCode::SystemIoFailure]) {
        // This occurs when there is no room for the log's index beside the file, too: SQLite has no word for that.
        return (ErrorKind::Retry, format!("the disk is full or fails: free space under {dir}, or look at the disk"));
    }
    (ErrorKind::Retry, format!("try again; if it goes on, look at the disk under {dir}"))
}

/// A file that holds something other than it should.
pub(super) fn damaged(path: &Path, what: &str) -> PortError {
    let text = format!("the state file {} is damaged: {what}: {}", path.display(), move_aside());
    PortError::new(ErrorKind::Invalid, text)
}

/// A row that cannot be read.
pub(super) fn unreadable(path: &Path, what: &str) -> PortError {
    let text = format!(
        "the state file {} holds what this version cannot read: {what}: start the version that wrote it, or {}",
        path.display(),
        move_aside()
    );
    PortError::new(ErrorKind::Invalid, text)
}

/// A file of a newer version.
pub(super) fn newer(path: &Path, found: i64, known: usize) -> PortError {
    let text = format!(
        "the state file {} has layout {found}, this version knows layouts up to {known}: start the newer version, or {}",
        path.display(),
        move_aside()
    );
    PortError::new(ErrorKind::Invalid, text)
}

/// A database of another program.
pub(super) fn foreign(path: &Path) -> PortError {
    let text = format!(
        "{} is the database of another program; nothing was changed in it: give another path for the state file",
        path.display()
    );
    PortError::new(ErrorKind::Invalid, text)
}

/// Another daemon has the file.
pub(super) fn taken(path: &Path, pid: &str) -> PortError {
    let who = if pid.is_empty() { "another process".into() } else { format!("process {pid}") };
    let text = format!("{who} has the state file {}: stop it first, or give another path", path.display());
    PortError::new(ErrorKind::Conflict, text)
}

/// A file or folder that cannot be made.
pub(super) fn io(path: &Path, doing: &str, error: &io::Error) -> PortError {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    let kind = if is(&[io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem]) {
        ErrorKind::Denied
    } else if is(&[io::ErrorKind::NotFound, io::ErrorKind::NotADirectory, io::ErrorKind::IsADirectory]) {
        ErrorKind::Invalid
    } else {
        ErrorKind::Retry
    };
    let dir = path.parent().unwrap_or(path).display();
    let advice = if is(&[io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]) {
        format!("free space under {dir}")
    } else if is(&[io::ErrorKind::IsADirectory]) {
        "move what is there aside".into()
    } else {
        format!("the user that runs this must be able to write under {dir}; or give another data folder")
    };
    PortError::new(kind, format!("cannot {doing} {}: {error}; {advice}", path.display()))
}

/// The thread is gone.
pub(super) fn ended(path: &Path) -> PortError {
    PortError::retry(format!("the store of {} has ended: start again", path.display()))
}

fn move_aside() -> String {
    "move it and the -wal and -shm beside it aside and start again: runners that live are adopted from the engine, \
     nothing stops them, and GitHub is asked for the queued jobs"
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        let error = not_written(Path::new("/var/lib/self-runners/state.db"), &error);
        assert_eq!(error.kind, ErrorKind::Retry);
        assert!(error.message.contains("is full: free space under /var/lib/self-runners"), "{error}");
        assert!(error.message.contains("nothing that was acknowledged is lost"), "{error}");
    }
}
