//! The engines' own folders: made for their owner alone; failures with what to do.

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt as _, path::Path};

use controller::ports::{ErrorKind, PortError};

/// Makes a folder that only its owner may look into.
pub(crate) fn make_dirs(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A failure of the disk, with what to do.
pub(crate) fn failed(doing: &str, path: &Path, error: &io::Error) -> PortError {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    let (kind, advice) = if is(&[io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]) {
        (ErrorKind::Capacity, ": the disk is full: free space")
    } else if is(&[io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem]) {
        (ErrorKind::Denied, ": the user that runs this must be able to write there")
    } else if is(&[io::ErrorKind::NotFound, io::ErrorKind::NotADirectory]) {
        (ErrorKind::Invalid, ": check the folders in the configuration")
    } else {
        (ErrorKind::Retry, "")
    };
    PortError::new(kind, format!("cannot {doing} {}: {error}{advice}", path.display()))
}
