//! `serve`: the daemon. From the command line to a checked plan; what runs is in `daemon`.

mod clock;
mod config;
mod daemon;
mod engine_words;

mod front;
mod notices;
mod parts;
mod plan;
mod secrets;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

pub(crate) use self::{
    clock::now_ms,
    plan::{runners_root, store_path},
    secrets::{TOKEN, WEBHOOK},
};
use crate::{failure::Failure, log};

/// What `serve` can be told on the command line. It goes over the environment, and that over the file.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", env = "SELF_RUNNERS_LISTEN")]
    pub(crate) listen: Option<String>,
    /// Folder for everything that must survive a restart
    #[arg(long, value_name = "DIR", env = "SELF_RUNNERS_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// How the log on stderr looks
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(crate) log: log::LogFormat,
}

/// Runs the daemon until it is asked to end.
pub(crate) fn command(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let plan = plan::Plan::make(args)?;
    log::begin(args.log)?;
    hide_environment();
    plan.make_data_dir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    runtime.block_on(daemon::run(plan))?;
    Ok(ExitCode::SUCCESS)
}

/// Jobs run as the same user as the daemon: they must not read its environment, where the token may be.
fn hide_environment() {
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "jobs of the same user can read this daemon's environment: give the token in a file");
    }
}

/// The data folder that a configuration names.
pub(crate) fn data_dir_of(config: &Path) -> Result<PathBuf, Failure> {
    let named = config::ConfigFile::read(config)?.data_dir;
    named.ok_or_else(|| Failure::usage(format!("{} names no data folder: give it with `--data DIR`", config.display())))
}

/// Threads of the daemon: it waits for others most of the time.
const WORKERS: usize = 2;
