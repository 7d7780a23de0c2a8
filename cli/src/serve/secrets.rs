//! Where the daemon's secrets come from: environment before file. They are wrapped at once and never printed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use controller::ports::Secret;

use crate::failure::Failure;

/// The secrets that the outside world gives.
pub(crate) struct Secrets {
    /// GitHub's token.
    pub(crate) github_token: Secret,
    /// The webhook's secrets; empty: no webhook is taken.
    pub(crate) webhook: Vec<Secret>,
}

impl Secrets {
    /// Reads them: `env` gives a variable's value.
    pub(crate) fn read(
        token_file: Option<&Path>,
        webhook_file: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let token = one(TOKEN, token_file, &env)?.into_iter().next();
        let github_token = token.ok_or_else(|| {
            Failure::usage(format!("no GitHub token: set {TOKEN} in the environment, or `token_file` below [github]"))
        })?;
        let webhook = one(WEBHOOK, webhook_file, &env)?;
        if webhook.len() > WEBHOOK_SECRETS_MAX {
            let most = WEBHOOK_SECRETS_MAX;
            return Err(Failure::usage(format!("more than {most} webhook secrets: keep the new one and the old one")));
        }
        Ok(Self { github_token, webhook })
    }
}

/// The lines of the variable, or else of the file.
fn one(name: &str, file: Option<&Path>, env: &impl Fn(&str) -> Option<String>) -> Result<Vec<Secret>, Failure> {
    let text = match (env(name).filter(|text| !text.trim().is_empty()), file) {
        (Some(text), _) => text,
        (None, Some(path)) => fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}; or set {name} in the environment", path.display()))
        })?,
        (None, None) => return Ok(Vec::new()),
    };
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect())
}

/// The key of the claim tokens: made once, kept in the data folder.
pub(crate) fn claim_key(path: &Path) -> Result<Secret, Failure> {
    match OpenOptions::new().write(true).create_new(true).mode(PRIVATE_MODE).open(path) {
        Ok(mut file) => {
            let key = new_key().map_err(|error| Failure::failed(format!("no random numbers: {error}")))?;
            // Synced, because runners that were started with a key that is lost could never claim.
            let kept = file.write_all(key.as_bytes()).and_then(|()| file.sync_all());
            kept.map_err(|error| cannot("write", path, &error))?;
            Ok(Secret::new(key))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => existing_key(path),
        Err(error) => Err(cannot("create", path, &error)),
    }
}

fn existing_key(path: &Path) -> Result<Secret, Failure> {
    let mode = fs::metadata(path).map_err(|error| cannot("read", path, &error))?.mode();
    if mode & OTHERS_MODE != 0 {
        let path = path.display();
        return Err(Failure::failed(format!("others may read {path}: `chmod 600 {path}`, or remove it for a new key")));
    }
    let text = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
    // This occurs when we crash between making the file and writing it: nothing was started with that key.
    if text.trim().len() < KEY_BYTES * 2 {
        fs::remove_file(path).map_err(|error| cannot("replace", path, &error))?;
        return claim_key(path);
    }
    Ok(Secret::new(text.trim()))
}

fn new_key() -> io::Result<String> {
    let mut bytes = [0; KEY_BYTES];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    let dir = path.parent().unwrap_or(path).display();
    let advice = if error.kind() == io::ErrorKind::StorageFull {
        format!("free space under {dir}")
    } else {
        format!("the user that runs this must be able to write under {dir}")
    };
    Failure::failed(format!("cannot {what} the claim key {}: {error}; {advice}", path.display()))
}

/// Variable with GitHub's token.
pub(crate) const TOKEN: &str = "GITHUB_TOKEN";

/// Variable with the webhook's secrets, one a line.
pub(crate) const WEBHOOK: &str = "GITHUB_WEBHOOK_SECRET";

/// The new secret and the one that it replaces.
const WEBHOOK_SECRETS_MAX: usize = 2;

/// Only the owner reads and writes.
const PRIVATE_MODE: u32 = 0o600;

/// What nobody else may.
const OTHERS_MODE: u32 = 0o077;

/// Bytes of a claim key, before they are written as hex.
const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_goes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "from-file\n").unwrap();
        let read = |value: Option<&str>| {
            let value = value.map(str::to_owned);
            Secrets::read(Some(&file), None, |name| value.clone().filter(|_| name == TOKEN)).unwrap()
        };
        assert_eq!(read(None).github_token.expose(), "from-file");
        assert_eq!(read(Some("from-env")).github_token.expose(), "from-env");
        let missing = Secrets::read(None, None, |_| None).err().unwrap();
        assert!(missing.to_string().contains("GITHUB_TOKEN"));
    }

    #[test]
    fn a_claim_key_is_made_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("claim-key");
        let key = claim_key(&path).unwrap();
        assert_eq!(key, claim_key(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE_MODE);
        fs::write(&path, "").unwrap();
        assert_ne!(key, claim_key(&path).unwrap());
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(claim_key(&path).unwrap_err().to_string().contains("chmod 600"));
    }
}
