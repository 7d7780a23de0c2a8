//! The configuration in force: file, environment and flags together, checked. After this nothing is wrong any more
//! that could be known before starting.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fleet::{
    class::Class,
    ids::Repo,
    labels::LabelSet,
    policy::{Owner, Policy},
};

use super::{
    ServeArgs,
    config::{ConfigFile, EngineSection, OwnerSection},
    secrets::{self, Secrets},
};
use crate::failure::Failure;

/// What the daemon is to do.
pub(crate) struct Plan {
    /// The operator's rules.
    pub(crate) policy: Policy,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// How runners reach the daemon; `None`: where it listens.
    pub(crate) public_url: Option<String>,
    /// The data folder.
    pub(crate) data_dir: PathBuf,
    /// Folder of the runner program.
    pub(crate) runner_dir: PathBuf,
    /// Everything else of the file.
    pub(crate) file: ConfigFile,
    /// Token and webhook secrets.
    pub(crate) secrets: Secrets,
}

impl Plan {
    /// Reads and checks.
    pub(crate) fn make(args: &ServeArgs) -> Result<Self, Failure> {
        let file = match &args.config {
            Some(path) => ConfigFile::read(path)?,
            None => return Err(Failure::usage("no configuration: give one with `--config FILE`")),
        };
        let secrets =
            Secrets::read(file.github.token_file.as_deref(), file.github.webhook_secret_file.as_deref(), |name| {
                std::env::var(name).ok()
            })?;
        Self::of(args, file, secrets)
    }

    fn of(args: &ServeArgs, file: ConfigFile, secrets: Secrets) -> Result<Self, Failure> {
        let listen = args.listen.clone().unwrap_or_else(|| file.listen.clone());
        let data_dir = args.data.clone().or_else(|| file.data_dir.clone());
        let EngineSection::Process { runner_dir, .. } = &file.engine;
        Ok(Self {
            policy: policy(&file)?,
            listen: listen.parse().map_err(|_| {
                Failure::usage(format!("cannot listen on `{listen}`: give an address and a port, as 127.0.0.1:8080"))
            })?,
            public_url: file.public_url.as_deref().map(public_url).transpose()?,
            data_dir: data_dir.ok_or_else(|| {
                Failure::usage("no data folder: give one with `--data DIR` or `data_dir` in the configuration")
            })?,
            runner_dir: runner_dir_checked(runner_dir)?,
            secrets,
            file,
        })
    }

    /// The SQLite file.
    pub(crate) fn store_path(&self) -> PathBuf {
        store_path(&self.data_dir)
    }

    /// Where the engine keeps the folders of its runners.
    pub(crate) fn runners_root(&self) -> PathBuf {
        runners_root(&self.data_dir)
    }

    /// Makes the data folder.
    pub(crate) fn make_data_dir(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(self.runners_root()).map_err(|error| {
            let dir = self.data_dir.display();
            Failure::failed(format!("cannot write to the data folder {dir}: {error}; choose another with `--data DIR`"))
        })
    }

    /// The key of the claim tokens.
    pub(crate) fn claim_key(&self) -> Result<controller::ports::Secret, Failure> {
        secrets::claim_key(&self.data_dir.join("claim-key"))
    }
}

/// The SQLite file of a data folder.
pub(crate) fn store_path(data_dir: &Path) -> PathBuf {
    data_dir.join("state.db")
}

/// The runners' folders of a data folder.
pub(crate) fn runners_root(data_dir: &Path) -> PathBuf {
    data_dir.join("runners")
}

fn policy(file: &ConfigFile) -> Result<Policy, Failure> {
    let stage = &file.stage;
    let plain = stage.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if stage.is_empty() || stage.len() > STAGE_CHARS_MAX || !plain {
        return Err(Failure::usage(format!(
            "stage `{stage}`: use 1 to {STAGE_CHARS_MAX} lower-case letters and digits"
        )));
    }
    if file.owners.is_empty() {
        return Err(Failure::usage("no owner is served: add a section [owners.NAME] to the configuration"));
    }
    let owners: Result<BTreeMap<_, _>, _> = file.owners.iter().map(|(name, section)| owner(name, section)).collect();
    Ok(Policy {
        stage: stage.clone(),
        max: file.max,
        classes: classes(&file.classes)?,
        owners: owners?,
        public_allowed: file.public_allowed.clone(),
        required_label: Some(file.required_label.to_ascii_lowercase()).filter(|label| !label.is_empty()),
        rerun_interrupted: file.rerun_interrupted,
        confirm_after_ms: file.confirm_after_ms,
    })
}

fn owner(name: &str, section: &OwnerSection) -> Result<(String, Owner), Failure> {
    let name = name.to_ascii_lowercase();
    let repository = |text: &String| {
        let full = if text.contains('/') { text.clone() } else { format!("{name}/{text}") };
        Repo::parse(&full).filter(|repo| repo.owner() == name).ok_or_else(|| {
            Failure::usage(format!("`{text}` below [owners.{name}] is no repository of {name}: write `{name}/NAME`"))
        })
    };
    let repositories = section.repositories.as_ref().map(|list| list.iter().map(repository).collect());
    Ok((name.clone(), Owner { organization: section.organization, repositories: repositories.transpose()? }))
}

fn classes(classes: &[Class]) -> Result<Vec<Class>, Failure> {
    if classes.is_empty() {
        return Err(Failure::usage("no class of runners: add a section [[classes]] with `name` and `labels`"));
    }
    let mut checked: Vec<Class> = Vec::new();
    for class in classes {
        let name = &class.name;
        if checked.iter().any(|other| other.name == *name) {
            return Err(Failure::usage(format!("two classes are named `{name}`: rename one")));
        }
        // As read from the file they are neither in lower case nor checked.
        let labels =
            LabelSet::parse(class.labels.iter()).map_err(|bad| Failure::usage(format!("class `{name}`: {bad}")))?;
        if labels.is_empty() {
            return Err(Failure::usage(format!("class `{name}` has no labels: no job could ask for it")));
        }
        checked.push(Class { labels, placements: class.placements.max(1), ..class.clone() });
    }
    Ok(checked)
}

fn public_url(text: &str) -> Result<String, Failure> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(Failure::usage(format!("public_url `{text}`: begin it with http:// or https://")))
}

fn runner_dir_checked(dir: &Path) -> Result<PathBuf, Failure> {
    if dir.join("run.sh").is_file() {
        return std::path::absolute(dir).map_err(|error| Failure::usage(format!("{}: {error}", dir.display())));
    }
    Err(Failure::usage(format!(
        "no runner program in `{}`: unpack a release of actions/runner and set `runner_dir` below [engine] to its folder",
        dir.display()
    )))
}

/// Runners' names carry the stage, and GitHub takes 64 characters.
const STAGE_CHARS_MAX: usize = 20;
