//! Writes a runner folder that looks like the unpacked release of the official program.
//!
//! It only lays files out; nothing is started and nothing is registered.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::{LISTENER, WORKER};

pub(crate) const RUN: &str = include_str!("run.sh");
pub(crate) const CONFIG: &str = include_str!("config.sh");
/// Everybody may read and run it, only the owner may change it.
pub(super) const SCRIPT_MODE: u32 = 0o755;

/// Makes `dir` a runner folder: `run.sh`, `config.sh`, `bin/Runner.Listener`, `bin/Runner.Worker`.
///
/// The two programs are links to `exe`, which must call [`dispatch`](super::dispatch) first thing in `main`. A link
/// gives the process the name that it is known by (`/proc/PID/comm`). An existing installation is replaced, other
/// files stay.
///
/// # Errors
/// When a file cannot be written.
pub fn install(dir: &Path, exe: &Path) -> io::Result<()> {
    let exe = fs::canonicalize(exe)?;
    fs::create_dir_all(dir.join("bin"))?;
    script(&dir.join("run.sh"), RUN)?;
    script(&dir.join("config.sh"), CONFIG)?;
    link(&exe, &dir.join("bin").join(LISTENER))?;
    link(&exe, &dir.join("bin").join(WORKER))
}

fn script(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SCRIPT_MODE))
}

fn link(exe: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    symlink(exe, path)
}
