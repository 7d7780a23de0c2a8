//! The functions' code as `cargo xtask dist` made it.

use std::{fs, path::Path};

use sha2::{Digest as _, Sha256};

use crate::stack::functions::FUNCTIONS;

/// Characters of a version: the beginning of a SHA-256.
const VERSION_CHARS: usize = 16;

/// The file with the sums, as `sha256sum` writes it.
const SUMS: &str = "SHA256SUMS";

/// All functions' code, checked against its sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefacts {
    files: Vec<(&'static str, Vec<u8>)>,
    version: String,
}

impl Artefacts {
    /// Reads them from a folder.
    ///
    /// # Errors
    /// One is missing or is not what the sums say, in words.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let place = dir.display();
        if !dir.join(SUMS).is_file() {
            return Err(format!(
                "{place} has no {SUMS}: name a folder that `cargo xtask dist` made, or dist/arm64 or dist/x86_64 of a published \
                 archive"
            ));
        }
        let sums = read(&dir.join(SUMS))?;
        let sums = String::from_utf8_lossy(&sums).into_owned();
        let mut whole = Sha256::new();
        let mut files = Vec::new();
        for function in FUNCTIONS {
            let name = function.artefact();
            let code = read(&dir.join(name))?;
            let sum = hex(&Sha256::digest(&code));
            let told = sums.lines().filter_map(|line| line.split_once("  ")).find(|(_, listed)| *listed == name);
            match told {
                Some((told, _)) if told == sum => {}
                Some(_) => {
                    return Err(format!("{place}/{name} is not what {place}/{SUMS} says: make or fetch them again"));
                }
                None => return Err(format!("{place}/{SUMS} does not list {name}: make or fetch them again")),
            }
            whole.update(format!("{sum}  {name}\n"));
            files.push((name, code));
        }
        let mut version = hex(&whole.finalize());
        version.truncate(VERSION_CHARS);
        Ok(Self { files, version })
    }

    /// What this code is called: other code has another name.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What each one's place in the bucket begins with.
    pub(super) fn prefix(&self) -> String {
        format!("{}/", self.version)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.files.iter().map(|(name, code)| (*name, code.as_slice()))
    }
}

/// Where a template lies: the same one at the same place.
pub(super) fn template_key(template: &str) -> String {
    format!("templates/{}.json", hex(&Sha256::digest(template.as_bytes())))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, code: &str) {
        let mut sums = String::new();
        for function in FUNCTIONS {
            let name = function.artefact();
            fs::write(dir.join(name), code).unwrap();
            sums += &format!("{}  {name}\n", hex(&Sha256::digest(code)));
        }
        fs::write(dir.join("SHA256SUMS"), sums).unwrap();
    }

    #[test]
    fn code_is_what_its_sums_say_and_has_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Artefacts::read(dir.path()).unwrap_err().contains("SHA256SUMS"));
        put(dir.path(), "one");
        let one = Artefacts::read(dir.path()).unwrap();
        assert_eq!((one.version().len(), one.files().count()), (VERSION_CHARS, 5));
        assert_eq!(one, Artefacts::read(dir.path()).unwrap());
        put(dir.path(), "two");
        assert_ne!(one.version(), Artefacts::read(dir.path()).unwrap().version());
        fs::write(dir.path().join("AgentHandler.zip"), "three").unwrap();
        assert!(Artefacts::read(dir.path()).unwrap_err().contains("AgentHandler.zip is not what"));
        fs::write(dir.path().join(SUMS), "").unwrap();
        assert!(Artefacts::read(dir.path()).unwrap_err().contains("SHA256SUMS does not list WebhookHandlerGHA.zip"));
    }
}
