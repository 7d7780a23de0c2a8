//! The configuration in force, before anybody judges it: the file, environment variables over it, flags over those, each
//! value with its origin. What is wrong with it is collected, never told one by one.
//!
//! | module | what it holds |
//! |---|---|
//! | `tree` | values with their origins |
//! | `text` | from TOML to such a tree |
//! | `shape` | what the file may hold, read off its definition in `super::config` |
//! | `variables` | the environment's values |
//! | `verify` | a tree against the shape |
//! | `problems` | what is wrong, where, and what to write instead |

mod problems;
mod shape;
mod text;
mod tree;
mod variables;
mod verify;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use fleet::ids::Repo;
use serde::Deserialize as _;

pub(crate) use self::{
    problems::Problems,
    shape::{Key, Shape, of_file as file_shape, schema},
    tree::{Item, Node, Origin},
    variables::{Variables, variable},
};
use super::config::ConfigFile;
use crate::failure::Failure;

/// What the command line says of the configuration. It goes over the environment, and that over the file.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SettingsArgs {
    /// Configuration file (TOML); `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Folder for everything that must survive a restart
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Serve this repository; may be given several times. With it no file is needed
    #[arg(long, value_name = "OWNER/NAME", value_parser = repository)]
    pub(crate) repo: Vec<Repo>,
    /// Serve all repositories of this organisation, and register runners with it
    #[arg(long, value_name = "NAME")]
    pub(crate) org: Vec<String>,
    /// The stage, for commands that have a flag for it.
    #[arg(skip)]
    pub(crate) stage: Option<String>,
}

fn repository(text: &str) -> Result<Repo, String> {
    Repo::parse(text).ok_or_else(|| "write it as owner/name".to_owned())
}

impl SettingsArgs {
    /// The configuration file, if there is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| Path::new(USUAL_FILE).is_file().then(|| USUAL_FILE.into()))
    }

    /// The values that flags give: the flag, the key it sets, the value.
    fn given(&self) -> Vec<(&'static str, Vec<String>, toml::Value)> {
        let mut given = Vec::new();
        if let Some(stage) = &self.stage {
            given.push(("--stage", vec!["stage".into()], stage.as_str().into()));
        }
        if let Some(listen) = &self.listen {
            given.push(("--listen", vec!["listen".into()], listen.as_str().into()));
        }
        if let Some(data) = &self.data {
            given.push(("--data", vec!["data_dir".into()], data.to_string_lossy().as_ref().into()));
        }
        if !self.repo.is_empty() || !self.org.is_empty() {
            given.push((if self.org.is_empty() { "--repo" } else { "--org" }, vec!["owners".into()], self.owners()));
        }
        given
    }

    /// The owners that flags name, as a section of the file.
    fn owners(&self) -> toml::Value {
        let mut owners = toml::Table::new();
        for repo in &self.repo {
            let owner = owners.entry(repo.owner()).or_insert_with(|| toml::Table::new().into());
            if let Some(owner) = owner.as_table_mut()
                && let Some(list) =
                    owner.entry("repositories").or_insert_with(|| toml::Value::Array(Vec::new())).as_array_mut()
            {
                list.push(repo.name().into());
            }
        }
        for org in &self.org {
            let owner = owners.entry(org.as_str()).or_insert_with(|| toml::Table::new().into());
            if let Some(owner) = owner.as_table_mut() {
                owner.insert("organization".into(), true.into());
            }
        }
        owners.into()
    }
}

/// What was read.
pub(crate) struct Settings {
    /// The file, if there was one.
    pub(crate) path: Option<PathBuf>,
    /// All values that somebody gave, with their origins.
    pub(crate) tree: Node,
    /// The same, typed; `None` if a problem stands against it.
    pub(crate) file: Option<ConfigFile>,
    /// The stage before flags had their say.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only a deployment lends its domain"))]
    pub(crate) file_stage: Option<String>,
    /// What is wrong so far.
    pub(crate) problems: Problems,
}

impl Settings {
    /// Reads all layers.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub(crate) fn read(args: &SettingsArgs, variables: &Variables) -> Result<Self, Failure> {
        let path = args.path();
        let text = match &path {
            None => String::new(),
            Some(path) => text_of(path)?,
        };
        let mut settings = Self::of(&text, args, variables);
        settings.path = path;
        Ok(settings)
    }

    /// Puts the layers together.
    pub(crate) fn of(text: &str, args: &SettingsArgs, variables: &Variables) -> Self {
        let mut problems = Problems::default();
        let mut tree = text::parse(text, &mut problems);
        if !problems.is_empty() {
            // What follows a syntax error may be read wrongly: nothing of it is judged.
            return Self { path: None, tree, file: None, file_stage: None, problems };
        }
        let shape = shape::of_file();
        variables.put_over(&mut tree, &shape, &mut problems);
        let file_stage = tree.get("stage").and_then(|stage| stage.value().as_str().map(str::to_owned));
        for (flag, key, value) in args.given() {
            tree.put(&key, Node::from_value(value, &Origin::Flag(flag)));
        }
        verify::verify(&mut tree, &shape, &mut problems);
        let file = typed(&tree, &mut problems);
        Self { path: None, tree, file, file_stage, problems }
    }

    /// Where a value comes from.
    #[cfg(feature = "aws")]
    pub(crate) fn origin(&self, key: &str) -> &Origin {
        let key: Vec<String> = key.split('.').map(str::to_owned).collect();
        self.tree.origin_of(&key)
    }

    /// Whether it is a deployment to AWS and nothing of a daemon.
    pub(crate) fn is_for_aws_alone(&self) -> bool {
        self.tree.get("aws").is_some() && self.tree.get("engine").is_none()
    }

    /// Whether nobody gave anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.path.is_none() && self.tree.is_empty()
    }
}

/// No configuration is larger, bytes.
const FILE_BYTES_MAX: u64 = 1_000_000;

fn text_of(path: &Path) -> Result<String, Failure> {
    let refused = |why: String| Failure::usage(format!("cannot read the configuration {}: {why}", path.display()));
    let unreadable = |error: io::Error| {
        let advice = [
            (
                io::ErrorKind::NotFound,
                "write one with `self-runners config init`, or name another with `--config FILE`",
            ),
            (io::ErrorKind::PermissionDenied, "let the user that runs this read it"),
            (io::ErrorKind::IsADirectory, "name the file in it with `--config FILE`"),
        ];
        let next = advice.iter().find(|(kind, _)| *kind == error.kind()).map(|(_, next)| *next);
        refused(format!("{error}; {}", next.unwrap_or("name another with `--config FILE`")))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(refused(format!("it has more than {FILE_BYTES_MAX} bytes: is this the file that was meant?")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        refused(format!("line {line} is no UTF-8 text: write it with an editor that saves UTF-8"))
    })
}

fn typed(tree: &Node, problems: &mut Problems) -> Option<ConfigFile> {
    let mut track = serde_path_to_error::Track::new();
    let value = serde_path_to_error::Deserializer::new(tree.value(), &mut track);
    match ConfigFile::deserialize(value) {
        Ok(file) => Some(file),
        // A value that was refused is missing now: only what was not told before is news.
        Err(error) if problems.are_serious() => {
            tracing::debug!(%error, "the configuration has no typed form");
            None
        }
        Err(error) => {
            let path = track.path();
            let key: Vec<String> =
                path.iter().map(|step| step.to_string().trim_matches(['[', ']']).to_owned()).collect();
            let words: Vec<&str> = key.iter().map(String::as_str).collect();
            problems.add(&words, error.message().to_owned());
            None
        }
    }
}

/// The file that is taken when none is named.
pub(crate) const USUAL_FILE: &str = "self-runners.toml";
