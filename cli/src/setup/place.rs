//! Where the App's id, key and secret go. All of it is made sure of before GitHub is asked: the key is given once.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf, absolute},
};

use controller::ports::Secret;
use github::manifest::Registered;
use tempfile::NamedTempFile;
use toml::{Table, Value};

use super::edit;
use crate::{failure::Failure, serve::settings::USUAL_FILE};

/// Names of the files if the configuration names none.
const KEY_FILE: &str = "github-app.pem";
const SECRET_FILE: &str = "webhook-secret";

/// The configuration, if there is one, and the files.
pub(super) struct Place {
    config: Option<(PathBuf, String)>,
    github: Table,
    key: PathBuf,
    secret: PathBuf,
    force: bool,
}

/// Two files that wait for their contents, readable by their owner only.
pub(super) struct Ready {
    place: Place,
    key: NamedTempFile,
    secret: NamedTempFile,
}

impl Place {
    /// Finds it. What is there already is refused, unless it may be overwritten.
    pub(super) fn find(config: Option<&Path>, force: bool) -> Result<Self, Failure> {
        let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|path| path.is_file());
        let config = config.map(Path::to_owned).or_else(usual).map(read).transpose()?;
        let file = config.as_ref().map(|(path, text)| parse(path, text)).transpose()?.unwrap_or_default();
        let github = file.get("github").and_then(Value::as_table).cloned().unwrap_or_default();
        let folder = config.as_ref().and_then(|(path, _)| path.parent()).unwrap_or(Path::new(""));
        let named = |name: &str, usual: &str| {
            let path = github.get(name).and_then(Value::as_str).map_or_else(|| folder.join(usual), PathBuf::from);
            absolute(&path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
        };
        let (key, secret) = (named("private_key_file", KEY_FILE)?, named("webhook_secret_file", SECRET_FILE)?);
        let place = Self { config, github, key, secret, force };
        if force { Ok(place) } else { place.refuse_what_is_there() }
    }

    fn refuse_what_is_there(self) -> Result<Self, Failure> {
        let other = "move it away, or overwrite it with `--force`";
        for path in [&self.key, &self.secret] {
            if path.symlink_metadata().is_ok() {
                return Err(Failure::usage(format!("{} is there already: {other}", path.display())));
            }
        }
        let refuse =
            |what: &str| Err(Failure::usage(format!("the configuration has {what} below [github] already: {other}")));
        match () {
            () if self.github.contains_key("app_id") => refuse("an `app_id`"),
            () if self.github.contains_key("token_file") => Err(Failure::usage(
                "the configuration has a `token_file` below [github]: take that line out, an App and a token do not go \
                 together",
            )),
            () => Ok(self),
        }
    }

    /// The configuration's `api_url`.
    pub(super) fn api_url(&self) -> Option<String> {
        self.github.get("api_url").and_then(Value::as_str).map(str::to_owned)
    }

    /// Makes the files, beside where they will be.
    pub(super) fn prepare(self) -> Result<Ready, Failure> {
        let (key, secret) = (beside(&self.key)?, beside(&self.secret)?);
        Ok(Ready { key, secret, place: self })
    }
}

impl Ready {
    /// Writes all of it; what was written, for a person.
    pub(super) fn write(self, app: &Registered, hook: Option<&str>, api_url: Option<&str>) -> Result<String, Failure> {
        let Self { place, key, secret } = self;
        let path = |path: &Path| Value::String(path.display().to_string());
        let id = i64::try_from(app.id).map_err(|_| Failure::failed(format!("the App's id {} is too large", app.id)))?;
        let mut keys = vec![("app_id", Value::Integer(id)), ("private_key_file", path(&place.key))];
        let mut written = vec![place.key.display().to_string()];
        fill(key, &app.key_pem, &place.key, place.force).map_err(|error| lost(&place.key, &error, app))?;
        if let Some(text) = &app.webhook_secret {
            fill(secret, text, &place.secret, place.force).map_err(|error| lost(&place.secret, &error, app))?;
            keys.push(("webhook_secret_file", path(&place.secret)));
            written.push(place.secret.display().to_string());
        }
        let further = [("webhook_url", hook), ("api_url", api_url)];
        keys.extend(further.into_iter().filter_map(|(name, text)| Some((name, Value::String(text?.to_owned())))));
        let files = format!("Wrote {} (for you alone, mode 0600).", written.join(" and "));
        Ok(format!("{files}\n{}", place.configure(&keys)))
    }
}

impl Place {
    /// Puts the keys into the configuration; if that cannot be done, they are told.
    fn configure(&self, keys: &[(&str, Value)]) -> String {
        let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
        let edited = self.config.as_ref().and_then(|(path, text)| Some((path, edit::put(text, keys)?)));
        match edited {
            Some((path, text)) => match fs::write(path, text) {
                Ok(()) => format!("Put {} below [github] in {}.", names.join(", "), path.display()),
                Err(error) => {
                    format!("Cannot write {}: {error}. Put this into it:\n{}", path.display(), edit::lines(keys))
                }
            },
            None => format!(
                "Put this into your configuration (`self-runners config init` writes one):\n\n[github]\n{}",
                edit::lines(keys)
            ),
        }
    }
}

fn read(path: PathBuf) -> Result<(PathBuf, String), Failure> {
    let text = fs::read_to_string(&path);
    let text =
        text.map_err(|error| Failure::usage(format!("cannot read the configuration {}: {error}", path.display())))?;
    Ok((path, text))
}

fn parse(path: &Path, text: &str) -> Result<Table, Failure> {
    text.parse().map_err(|_| {
        let path = path.display();
        Failure::usage(format!("{path} is no TOML: `self-runners config check --config {path}` tells where"))
    })
}

/// A file that only its owner may read, where the final one will be, so that it can take its name at once.
fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    NamedTempFile::new_in(folder).map_err(|error| {
        Failure::failed(format!(
            "cannot write to {}: {error}; name another place in the configuration",
            folder.display()
        ))
    })
}

/// Never takes the place of a file that came meanwhile, unless that may be.
fn fill(mut file: NamedTempFile, secret: &Secret, path: &Path, force: bool) -> io::Result<()> {
    writeln!(file, "{}", secret.expose().trim_end())?;
    file.as_file().sync_all()?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|error| error.error)
}

fn lost(path: &Path, error: &io::Error, app: &Registered) -> Failure {
    Failure::failed(format!(
        "cannot write {}: {error}; the App {} is registered: make a new private key and secret on its page, {}",
        path.display(),
        app.slug,
        app.page
    ))
}
