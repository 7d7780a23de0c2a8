//! Unpacking a package into a fresh folder. Nothing of it may come to lie outside.

use std::{
    fs::{self, File},
    path::Path,
};

use controller::ports::{ErrorKind, PortError, PortResult};
use flate2::read::GzDecoder;
use tar::Archive;

use crate::disk::failed;

/// Most files of a program. Today's has about 8 000.
const FILES_MAX: usize = 200_000;

/// Most bytes of a program when unpacked. Today's has about 700 MB.
const UNPACKED_MAX_BYTES: u64 = 4 * 1_024 * 1_024 * 1_024;

/// Unpacks `package` into `to`, which must not be there yet.
pub(super) fn unpack(package: &Path, to: &Path) -> PortResult<()> {
    let file = File::open(package).map_err(|error| failed("read", package, &error))?;
    fs::create_dir(to).map_err(|error| failed("make", to, &error))?;
    let mut archive = Archive::new(GzDecoder::new(file));
    archive.set_preserve_permissions(true);
    let (mut files, mut bytes) = (0_usize, 0_u64);
    for entry in archive.entries().map_err(|error| failed("read", package, &error))? {
        let mut entry = entry.map_err(|error| failed("read", package, &error))?;
        files += 1;
        bytes = bytes.saturating_add(entry.size());
        if files > FILES_MAX || bytes > UNPACKED_MAX_BYTES {
            return Err(strange("it has far more in it than a runner program"));
        }
        if !entry.unpack_in(to).map_err(|error| failed("write", to, &error))? {
            return Err(strange("it wants to write outside of its folder"));
        }
    }
    if !to.join("run.sh").is_file() {
        return Err(strange("there is no run.sh in it"));
    }
    Ok(())
}

fn strange(why: &str) -> PortError {
    PortError::new(ErrorKind::Invalid, format!("the package of the runner program is not unpacked: {why}"))
}
