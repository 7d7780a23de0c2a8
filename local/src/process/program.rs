//! A task's own copy of the runner program. The official runner writes its identity (`.runner`, `.credentials`) and its
//! logs beside its program, so two runners in one folder would take each other's place.

use std::{fs, io, path::Path};

/// Files from this size on are shared by a hard link where that can be had: a runner release is several 100 MB, most of
/// it in few large files, which nobody writes.
const LINK_FROM_BYTES: u64 = 256 * 1_024;

/// What a runner that was run in the template left there.
const LEFT_BY_RUNS: [&str; 6] = [".runner", ".credentials", ".credentials_rsaparams", ".path", "_diag", "_work"];

/// Copies the program's folder.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let entries = fs::read_dir(from).map_err(|error| explain(from, &error))?;
    fs::create_dir(to).or_else(|error| if to.is_dir() { Ok(()) } else { Err(error) })?;
    for entry in entries {
        let entry = entry?;
        if !LEFT_BY_RUNS.iter().any(|name| entry.file_name() == **name) {
            copy_entry(&entry, &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn copy_entry(entry: &fs::DirEntry, to: &Path) -> io::Result<()> {
    let kind = entry.file_type()?;
    let from = entry.path();
    // This occurs when an earlier launch was killed while it copied.
    if !kind.is_dir() && to.symlink_metadata().is_ok() {
        fs::remove_file(to)?;
    }
    if kind.is_dir() {
        copy(&from, to)
    } else if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(&from)?, to)
    } else if entry.metadata()?.len() >= LINK_FROM_BYTES && fs::hard_link(&from, to).is_ok() {
        Ok(())
    } else {
        fs::copy(&from, to).map(|_| ())
    }
}

fn explain(from: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the runner program in {}: {error}", from.display()))
}
