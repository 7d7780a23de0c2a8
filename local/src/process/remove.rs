//! Takes a folder away whatever a job made of it: write-protected folders (Go's module cache), folders nested deeper
//! than open files reach.
//!
//! It never follows a link, and changes the mode of folders only: a large file may be one with the runner program's.

use std::{
    ffi::{CStr, CString},
    fs, io,
    path::Path,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat},
    io::Errno,
};

/// What a folder must allow its owner before it can be emptied.
const MODE: Mode = Mode::RWXU;

/// Names that are tried for a folder that is moved up.
const NAME_TRIES: u32 = 1_000;

/// Takes a folder and all below it away. One that is not there is no error.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    match gone(fs::remove_dir_all(path)) {
        Ok(()) => Ok(()),
        Err(first) => {
            // A path that is no folder has nothing to be emptied.
            if fs::symlink_metadata(path).is_ok_and(|data| data.is_dir()) {
                empty(&open(CWD, path)?)?;
                gone(fs::remove_dir(path))
            } else {
                Err(first)
            }
        }
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn open<P: rustix::path::Arg + Copy>(dir: impl std::os::fd::AsFd, name: P) -> io::Result<OwnedFd> {
    chmodat(&dir, name, MODE, AtFlags::empty())?;
    Ok(openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Empties a folder. Folders in it are moved up into it level by level, so neither the stack nor the number of open
/// files grows with their depth.
fn empty(root: &OwnedFd) -> io::Result<()> {
    let mut next = 0;
    loop {
        let names = names(root)?;
        let (mut moved, mut failed) = (false, None);
        for (name, kind) in &names {
            match take(root, name, *kind, &mut next) {
                Ok(()) => moved = true,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if !moved => return Err(error),
            None if names.is_empty() => return Ok(()),
            Some(_) | None => {}
        }
    }
}

/// Takes a file away, or a folder after what is in it was taken away or moved up.
fn take(root: &OwnedFd, name: &CStr, kind: FileType, next: &mut u32) -> io::Result<()> {
    if kind != FileType::Directory {
        return Ok(unlinkat(root, name, AtFlags::empty())?);
    }
    let dir = open(root, name)?;
    for (child, kind) in names(&dir)? {
        if kind == FileType::Directory {
            move_up(&dir, &child, root, next)?;
        } else {
            unlinkat(&dir, &child, AtFlags::empty())?;
        }
    }
    Ok(unlinkat(root, name, AtFlags::REMOVEDIR)?)
}

fn move_up(from: &OwnedFd, name: &CStr, root: &OwnedFd, next: &mut u32) -> io::Result<()> {
    // A folder that may not be written in cannot change its parent either.
    chmodat(from, name, MODE, AtFlags::empty())?;
    for _ in 0..NAME_TRIES {
        *next += 1;
        match renameat(from, name, root, format!(".removed-{next}")) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::EXIST.into())
}

fn names(dir: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            // Some file systems do not tell.
            kind = FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        }
        found.push((name.to_owned(), kind));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// `empty` is called by itself: to root no folder is write-protected, and a machine may allow many open files.
    fn emptied(path: &Path) {
        empty(&open(CWD, path).unwrap()).unwrap();
        assert_eq!(fs::read_dir(path).unwrap().count(), 0);
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn write_protected_folders_go() {
        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("go/pkg/mod");
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("file"), "").unwrap();
        fs::create_dir(root.path().join("closed")).unwrap();
        mode(&root.path().join("closed"), 0);
        for dir in [&cache, &root.path().join("go/pkg"), &root.path().join("go")] {
            mode(dir, 0o555);
        }
        emptied(root.path());
        tree(root.path()).unwrap();
        assert!(!root.path().exists());
        tree(root.path()).unwrap();
    }

    #[test]
    fn folders_of_any_depth_go() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(".removed-2")).unwrap();
        fs::write(root.path().join(".removed-3"), "").unwrap();
        let mut dir = open(CWD, root.path()).unwrap();
        for _ in 0..300 {
            for name in ["deep", "beside"] {
                rustix::fs::mkdirat(&dir, name, MODE).unwrap();
            }
            dir = open(&dir, "deep").unwrap();
        }
        drop(dir);
        emptied(root.path());
    }

    #[test]
    fn links_are_taken_away_and_what_they_lead_to_is_not() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = other.path().join("file");
        fs::write(&file, "precious").unwrap();
        mode(&file, 0o444);
        symlink(other.path(), root.path().join("folder")).unwrap();
        symlink(&file, root.path().join("file")).unwrap();
        fs::hard_link(&file, root.path().join("same")).unwrap();
        emptied(root.path());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o444);
        symlink(other.path(), root.path().join("itself")).unwrap();
        tree(&root.path().join("itself")).unwrap();
        assert!(file.exists());
    }
}
