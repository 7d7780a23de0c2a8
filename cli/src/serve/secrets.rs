//! Where the daemon's secrets come from: environment before file. They are wrapped at once and never printed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use controller::ports::Secret;
use github::{App, AppKey};

use super::{
    config::GitHubSection,
    settings::{Problems, Variables},
};
use crate::failure::Failure;

/// What GitHub is shown.
pub(crate) enum Credentials {
    /// A token for all owners.
    Token(Secret),
    /// A GitHub App, which has a token for each owner.
    App(App),
}

/// The secrets that the outside world gives.
#[derive(Default)]
pub(crate) struct Secrets {
    /// What GitHub is shown.
    pub(crate) credentials: Option<Credentials>,
    /// The webhook's secrets; empty: no webhook is taken.
    pub(crate) webhook: Vec<Secret>,
}

/// A secret: what people call it, its variable, the key that names its file, that file.
pub(crate) struct Source<'a> {
    /// What people call it.
    pub(crate) name: &'static str,
    /// The variable that holds it.
    pub(crate) variable: &'static str,
    /// The key below `[github]` that names its file.
    pub(crate) key: &'static str,
    /// The file.
    pub(crate) file: Option<&'a Path>,
}

/// Where the secrets are looked for.
pub(crate) fn sources(github: &GitHubSection) -> [Source<'_>; 3] {
    let (token, webhook) = (github.token_file.as_deref(), github.webhook_secret_file.as_deref());
    let key = github.private_key_file.as_deref();
    [
        Source { name: "GitHub's token", variable: TOKEN, key: "token_file", file: token },
        Source { name: "the App's private key", variable: APP_KEY, key: "private_key_file", file: key },
        Source { name: "the webhook's secret", variable: WEBHOOK, key: "webhook_secret_file", file: webhook },
    ]
}

impl Secrets {
    /// Reads them.
    pub(crate) fn read(github: &GitHubSection, variables: &Variables, problems: &mut Problems) -> Self {
        let [token, key, webhook] = sources(github);
        let mut lines = |source: &Source<'_>| {
            let text = problems.keep(&["github", source.key], source.read(variables)).flatten().unwrap_or_default();
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(Secret::new).collect::<Vec<_>>()
        };
        let (token, secrets) = (lines(&token).into_iter().next(), lines(&webhook));
        if secrets.len() > WEBHOOK_SECRETS_MAX {
            let most = WEBHOOK_SECRETS_MAX;
            let what = format!("more than {most} secrets: keep the new one and the old one");
            problems.add(&["github", webhook.key], what);
        }
        let app = app(github.app_id, &key, variables, problems);
        if app.is_some() && token.is_some() {
            let what = format!("a GitHub App and a token are given: keep one (the token is {TOKEN}, or `token_file`)");
            problems.add(&["github", "app_id"], what);
        }
        let credentials = app.map(Credentials::App).or(token.map(Credentials::Token));
        Self { credentials, webhook: secrets }
    }
}

/// The App, if one is given. Half of it is a mistake.
fn app(id: Option<u64>, key: &Source<'_>, variables: &Variables, problems: &mut Problems) -> Option<App> {
    let at = ["github", key.key];
    let text = problems.keep(&at, key.read(variables))?;
    match (id, text) {
        (None, None) => None,
        (Some(_), None) => {
            let what = format!("missing: name the file with one of the App's private keys, or set {APP_KEY}");
            problems.add(&at, what);
            None
        }
        (None, Some(_)) => {
            problems.add(&["github", "app_id"], "missing: whose private key is it? Give the App's id, from its page");
            None
        }
        (Some(id), Some(text)) => {
            let key = problems.keep(&at, AppKey::from_pem(&text).map_err(|error| error.to_string()))?;
            Some(App { id: id.to_string(), key })
        }
    }
}

impl Source<'_> {
    /// The text of the variable, or else of the file.
    fn read(&self, variables: &Variables) -> Result<Option<String>, String> {
        match (variables.get(self.variable), self.file) {
            (Some(text), _) => Ok(Some(text.to_owned())),
            (None, Some(path)) => self.read_file(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn read_file(&self, path: &Path) -> Result<String, String> {
        let cannot =
            |error| format!("cannot read {}: {error}; name another file, or set {}", path.display(), self.variable);
        let text = fs::read_to_string(path).map_err(cannot)?;
        let mode = fs::metadata(path).map_err(cannot)?.mode();
        let path = path.display();
        if mode & EVERYBODY_MODE != 0 {
            return Err(format!("everybody on this machine may read {path}: `chmod 600 {path}`"));
        }
        if text.trim().is_empty() {
            return Err(format!("{path} is empty: write {} into it, or set {}", self.name, self.variable));
        }
        Ok(text)
    }
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

/// Random hexadecimal digits that nobody can guess.
pub(crate) fn new_key() -> io::Result<String> {
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

/// Variable with an App's private key.
const APP_KEY: &str = "GITHUB_APP_PRIVATE_KEY";

/// All variables that hold secrets.
pub(crate) const VARIABLES: [&str; 3] = [TOKEN, WEBHOOK, APP_KEY];

/// The new secret and the one that it replaces.
const WEBHOOK_SECRETS_MAX: usize = 2;

/// Only the owner reads and writes.
const PRIVATE_MODE: u32 = 0o600;

/// What nobody else may.
const OTHERS_MODE: u32 = 0o077;

/// What may be done by users that are neither the file's owner nor in its group; the group may be a service's.
const EVERYBODY_MODE: u32 = 0o007;

/// Bytes of a claim key, before they are written as hex.
const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &Path, token: Option<&str>) -> (Secrets, Problems) {
        let github = GitHubSection { token_file: Some(file.to_owned()), ..GitHubSection::default() };
        let mut problems = Problems::default();
        let variables = Variables::of(token.map(|token| (TOKEN.to_owned(), token.to_owned())));
        (Secrets::read(&github, &variables, &mut problems), problems)
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        write(&file, "from-file\n", PRIVATE_MODE);
        let token = |value| match read(&file, value).0.credentials {
            Some(Credentials::Token(token)) => token.expose().to_owned(),
            Some(Credentials::App(_)) | None => panic!("no token"),
        };
        assert_eq!(token(None), "from-file");
        assert_eq!(token(Some("from-env")), "from-env");
    }

    #[test]
    fn a_secret_file_that_is_no_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        for (text, mode, words) in [("t", 0o644, "chmod 600"), ("\n", 0o640, "is empty")] {
            write(&file, text, mode);
            let (secrets, problems) = read(&file, None);
            assert!(secrets.credentials.is_none());
            assert!(problems.iter().any(|problem| problem.what.contains(words)), "{problems:?}");
        }
    }

    #[test]
    fn an_app_is_whole_and_alone_or_refused() {
        let pem = sim::http::APP_KEY_PEM;
        let read = |id: Option<u64>, pairs: &[(&str, &str)]| {
            let github = GitHubSection { app_id: id, ..GitHubSection::default() };
            let variables = Variables::of(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())));
            let mut problems = Problems::default();
            let secrets = Secrets::read(&github, &variables, &mut problems);
            let told: Vec<String> = problems.iter().map(|one| format!("{}: {}", one.key.join("."), one.what)).collect();
            (secrets.credentials, told.join("; "))
        };
        let (app, told) = read(Some(7), &[(APP_KEY, pem)]);
        assert!(told.is_empty() && matches!(app, Some(Credentials::App(app)) if app.id == "7"), "{told}");
        for (id, pairs, words) in [
            (Some(7), &[][..], "github.private_key_file: missing"),
            (None, &[(APP_KEY, pem)], "github.app_id: missing"),
            (Some(7), &[(APP_KEY, "ghp_x")], "github.private_key_file: it holds no private key"),
            (Some(7), &[(APP_KEY, pem), (TOKEN, "t")], "github.app_id: a GitHub App and a token are given"),
        ] {
            let told = read(id, pairs).1;
            assert!(told.contains(words) && !told.contains("ghp_x"), "{told}");
        }
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
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
