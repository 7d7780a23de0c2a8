//! Whom a command asks: a daemon of this machine, by its store's file and its control socket; or a stage on AWS, by its
//! store and its queue.

use std::path::PathBuf;

use controller::ports::{About, PortError};
use fleet::{drain::Extent, event::Event, ledger::Ledger, policy::Policy, runner::RunnerInput, view::Record};
use local::sqlite::SqliteReader;

use crate::{
    cloud::Stage,
    cloud_args::{PlanArgs, StageArgs},
    control::{
        Client, NotDone,
        wire::{DrainRequest, StopRequest},
    },
    failure::Failure,
    picture::Origin,
    serve,
};

/// Whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SourceArgs {
    /// Configuration file (TOML); `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    config: Option<PathBuf>,
    /// The daemon's data folder
    #[arg(long, value_name = "DIR", env = "SELF_RUNNERS_DATA")]
    data: Option<PathBuf>,
    /// Ask a stage on AWS, not a daemon of this machine: `production`, `qa`, `dev`
    #[arg(long, value_name = "STAGE", conflicts_with = "data")]
    stage: Option<String>,
    /// Another endpoint for all services of AWS, as of a local AWS
    #[arg(long, value_name = "URL", requires = "stage")]
    endpoint_url: Option<String>,
}

/// What is asked.
pub(crate) enum Source {
    /// A daemon, living or not.
    Daemon(Daemon),
    /// A stage.
    Stage(Box<Stage>),
}

/// A daemon of this machine.
pub(crate) struct Daemon {
    data_dir: PathBuf,
    /// What its configuration says; `None` where it is not known.
    policy: Option<Policy>,
}

impl SourceArgs {
    /// Finds it. A daemon is not asked yet; a stage's outputs are.
    pub(crate) fn open(&self) -> Result<Source, Failure> {
        if self.stage.is_some() {
            let plan = PlanArgs { config: self.config.clone(), stage: self.stage.clone() };
            let args = StageArgs { plan, endpoint_url: self.endpoint_url.clone() };
            return Ok(Source::Stage(Box::new(Stage::open(&args)?)));
        }
        let data_dir = match &self.data {
            Some(data) => data.clone(),
            None => serve::data_dir_of(self.config.as_deref())?,
        };
        // With `--data` alone it is not known what its configuration says.
        let is_known = self.data.is_none() || self.config.is_some();
        let policy = if is_known { serve::policy_of(self.config.as_deref()) } else { None };
        Ok(Source::Daemon(Daemon { data_dir, policy }))
    }
}

impl Daemon {
    fn reader(&self) -> Result<SqliteReader, Failure> {
        SqliteReader::open(&serve::store_path(&self.data_dir)).map_err(failed)
    }

    fn client(&self) -> Client {
        Client::new(&self.data_dir)
    }
}

impl Source {
    /// All tables.
    pub(crate) fn ledger(&self) -> Result<Ledger, Failure> {
        match self {
            Self::Daemon(daemon) => daemon.reader()?.ledger().map_err(failed),
            Self::Stage(stage) => stage.ledger(),
        }
    }

    /// Entries of the log of decisions, newest first, at most `limit`.
    pub(crate) fn records(&self, about: &About, limit: usize) -> Result<Vec<Record>, Failure> {
        match self {
            Self::Daemon(daemon) => daemon.reader()?.records(about, limit).map_err(failed),
            Self::Stage(stage) => stage.records(about, limit),
        }
    }

    /// Events that wait to be handled.
    pub(crate) fn letters(&self) -> Result<u64, Failure> {
        match self {
            Self::Daemon(daemon) => daemon.reader()?.letters().map_err(failed),
            Self::Stage(stage) => stage.letters(),
        }
    }

    /// What it says of itself.
    pub(crate) fn origin(&self) -> Result<Origin, Failure> {
        Ok(match self {
            Self::Daemon(daemon) => {
                Origin::Daemon { data_dir: daemon.data_dir.clone(), live: daemon.client().live().map(Box::new) }
            }
            Self::Stage(stage) => Origin::Stage(stage.facts()?),
        })
    }

    /// The rules that its configuration sets, if that is known and good.
    pub(crate) fn policy(&self) -> Option<Policy> {
        match self {
            Self::Daemon(daemon) => daemon.policy.clone(),
            Self::Stage(stage) => Some(stage.policy().clone()),
        }
    }

    /// Has a runner stopped; what was done, in words.
    pub(crate) fn stop(&self, wish: StopRequest) -> Result<String, NotDone> {
        match self {
            Self::Daemon(daemon) => daemon.client().stop(&wish),
            Self::Stage(stage) => {
                let by = wish.by.into();
                let input = if wish.force { RunnerInput::Stop { by } } else { RunnerInput::StopIdle { by } };
                stage.wish(Event::Runner { runner: wish.runner.into(), input })
            }
        }
    }

    /// Begins a drain, or ends it.
    pub(crate) fn drain(&self, wish: DrainRequest, end: bool) -> Result<String, NotDone> {
        match self {
            Self::Daemon(daemon) if end => daemon.client().end_drain(&wish),
            Self::Daemon(daemon) => daemon.client().drain(&wish),
            Self::Stage(stage) => {
                let extent = wish.class.map_or(Extent::Fleet, |name| Extent::Class(name.into()));
                let by = wish.by.into();
                stage.wish(if end { Event::EndDrain { extent, by } } else { Event::Drain { extent, by } })
            }
        }
    }
}

fn failed(error: PortError) -> Failure {
    Failure::failed(error.message)
}

/// Who types: for the log and records of what is asked. A word, no proof; who may ask is the file system's business, or AWS's.
pub(crate) fn person(why: Option<&str>) -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
    let name = named.into_iter().find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()));
    match why.map(str::trim).filter(|why| !why.is_empty()) {
        Some(why) => format!("{name} ({why})"),
        None => name,
    }
}
