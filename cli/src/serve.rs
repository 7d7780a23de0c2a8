//! `serve`: the daemon. From the command line to a checked plan; what runs is in `daemon`.

mod bridge;
pub(crate) mod checks;
mod clock;
pub(crate) mod config;
mod credentials;
mod daemon;
mod engine_words;
mod front;
mod notices;
mod parts;
pub(crate) mod plain;
pub(crate) mod plan;
mod programs;
pub(crate) mod secrets;
pub(crate) mod settings;
mod vitals;
mod writable;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use fleet::policy::Policy;

use self::settings::{Settings, SettingsArgs, Variables};
pub(crate) use self::{
    clock::{WallClock, now_ms},
    plan::{runners_root, store_path},
    secrets::{TOKEN, WEBHOOK},
    vitals::Vitals,
    writable::Writable,
};
use crate::{failure::Failure, log};

/// What `serve` can be told on the command line.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// How the log on stderr looks
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(crate) log: log::LogFormat,
}

/// Runs the daemon until it is asked to end.
pub(crate) fn command(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let plan = plan::Plan::make(&args.settings)?;
    log::begin(args.log)?;
    plan.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    hide_environment();
    plan.make_data_dir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(daemon::run(plan));
    // Whatever still copies files is not waited for.
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

/// Jobs run as the same user as the daemon: they must not read its environment, where the token may be.
fn hide_environment() {
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "jobs of the same user can read this daemon's environment: give the token in a file");
    }
}

/// The data folder of a daemon whose configuration is this, or that of this folder.
pub(crate) fn data_dir_of(config: Option<&Path>) -> Result<PathBuf, Failure> {
    let args = SettingsArgs { config: config.map(Path::to_owned), ..SettingsArgs::default() };
    let settings = Settings::read(&args, &Variables::of_process())?;
    // Other problems of the file are the daemon's.
    let named = settings.tree.get("data_dir").and_then(|node| node.value().as_str().map(PathBuf::from));
    let usual = plain::data_dir().filter(|dir| store_path(dir).is_file());
    named.or(usual).ok_or_else(|| {
        let stage = settings.file.as_ref().filter(|file| file.aws.is_some()).map(|file| file.stage.clone());
        let stage = stage.map(|stage| format!("; or ask the stage on AWS: `--stage {stage}`")).unwrap_or_default();
        Failure::usage(format!(
            "which daemon? Give its `--config FILE`, with `data_dir` in it, or its `--data DIR`{stage}"
        ))
    })
}

/// The rules that a configuration sets, where there is a good one.
pub(crate) fn policy_of(config: Option<&Path>) -> Option<Policy> {
    let args = SettingsArgs { config: config.map(Path::to_owned), ..SettingsArgs::default() };
    let mut settings = Settings::read(&args, &Variables::of_process()).ok()?;
    let file = settings.file.clone()?;
    checks::policy(&file, &mut settings.problems).filter(|_| !settings.problems.are_serious())
}

/// Threads of the daemon: it waits for others most of the time.
const WORKERS: usize = 2;
