//! The files of a registration in the runner's folder.
//!
//! The credentials are readable by the owner only, but the runner's own job can read them, as with the official
//! program.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::wire::{CREDENTIALS_FILE, Credentials, RSA_FILE, RegisterAnswer, SETTINGS_FILE, Settings};

/// Only the owner may read and write.
const SECRET_MODE: u32 = 0o600;

/// The registration that a folder holds.
pub(super) struct Registration {
    pub(super) settings: Settings,
    pub(super) credentials: Credentials,
}

/// Whether the folder holds one.
pub(super) fn configured(root: &Path) -> bool {
    root.join(SETTINGS_FILE).exists()
}

/// Reads it. The error says which file, never what it holds.
pub(super) fn load(root: &Path) -> Result<Registration, String> {
    Ok(Registration { settings: read(root, SETTINGS_FILE)?, credentials: read(root, CREDENTIALS_FILE)? })
}

fn read<T: serde::de::DeserializeOwned>(root: &Path, name: &str) -> Result<T, String> {
    let bytes = fs::read(root.join(name)).map_err(|error| format!("cannot read {name}: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{name} is not valid (line {})", error.line()))
}

/// Writes the files of a JIT configuration.
pub(super) fn store(root: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    files.iter().try_for_each(|(name, content)| write(root, name, content))
}

/// Writes the files of an answered registration.
pub(super) fn store_answer(root: &Path, answer: &RegisterAnswer) -> io::Result<()> {
    write(root, CREDENTIALS_FILE, serde_json::json!(answer.credentials).to_string().as_bytes())?;
    write(root, RSA_FILE, b"{}")?;
    // Last, because it is what says that the folder is configured.
    write(root, SETTINGS_FILE, serde_json::json!(answer.settings).to_string().as_bytes())
}

/// Forgets the registration: an ephemeral runner does so after its job.
pub(super) fn forget(root: &Path) {
    for name in [SETTINGS_FILE, CREDENTIALS_FILE, RSA_FILE] {
        // A file that was never written needs no removal.
        let _ = fs::remove_file(root.join(name));
    }
}

fn write(root: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = root.join(name);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(SECRET_MODE).open(path)?;
    file.write_all(content)
}
