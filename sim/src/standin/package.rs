//! The stand-in as a release of the official program is published: one `tar.gz`.

use std::io;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

use super::install::{CONFIG, RUN, SCRIPT_MODE};
use super::{LISTENER, WORKER};

/// The package; its two programs are links to `exe`, as in [`install`](super::install()).
///
/// # Errors
/// `exe` is not there, or its name is too long for a package.
pub fn package(exe: &Path) -> io::Result<Vec<u8>> {
    let exe = std::fs::canonicalize(exe)?;
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in [("./run.sh", RUN), ("./config.sh", CONFIG)] {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(SCRIPT_MODE);
        builder.append_data(&mut header, name, text.as_bytes())?;
    }
    for name in [LISTENER, WORKER] {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        header.set_mode(SCRIPT_MODE);
        builder.append_link(&mut header, format!("./bin/{name}"), &exe)?;
    }
    builder.into_inner()?.finish()
}
