//! `runners list` and `runners stop`. The first reads the store; the second asks the living daemon.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    control::{NotDone, wire::StopRequest},
    failure::Failure,
    picture::{Picture, RunnerLine},
    source::{SourceArgs, person},
    subject,
    table::since,
    terminal,
};

/// What `runners` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct RunnersArgs {
    #[command(subcommand)]
    command: RunnersCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RunnersCommand {
    /// Show the runners that a daemon knows
    List(ListArgs),
    /// Stop a runner; one that has, or may be getting, a job only with --force
    Stop(StopArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Also those that went in the last two hours
    #[arg(long)]
    all: bool,
    /// One JSON object instead of a table (docs/commands.md)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct StopArgs {
    /// Its name, as `runners list` or GitHub shows it
    name: String,
    #[command(flatten)]
    source: SourceArgs,
    /// At once and whatever it does: a job that it runs is lost
    #[arg(long, requires = "why")]
    force: bool,
    /// The reason, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Does it.
pub(crate) fn command(args: &RunnersArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        RunnersCommand::List(args) => list(args),
        RunnersCommand::Stop(args) => stop(args),
    }
}

fn list(args: &ListArgs) -> Result<ExitCode, Failure> {
    let picture = Picture::take(&args.source.open()?)?;
    let runners = picture.runners(args.all);
    if args.json {
        terminal::say(&terminal::json(&json!({ "now_ms": picture.now_ms, "runners": runners }).to_string()));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = runners.iter().map(|runner| row(runner, picture.now_ms)).collect();
    let more = if args.all { "" } else { "; `--all` shows those that went in the last two hours" };
    let none = format!("no runner lives{more}");
    picture.show(["RUNNER", "CLASS", "STATE", "FOR", "AGE", "JOB", "REPOSITORY", "WHY"], &rows, &none);
    Ok(ExitCode::SUCCESS)
}

fn row(runner: &RunnerLine, now_ms: u64) -> [String; 8] {
    [
        runner.name.to_string(),
        runner.class.to_string(),
        runner.state.to_owned(),
        runner.since_ms.map(|at_ms| since(at_ms, now_ms)).unwrap_or_default(),
        since(runner.created_ms, now_ms),
        runner.job.map(|job| job.to_string()).unwrap_or_default(),
        runner.repository.as_ref().map(ToString::to_string).unwrap_or_default(),
        runner.why.clone().unwrap_or_default(),
    ]
}

fn stop(args: &StopArgs) -> Result<ExitCode, Failure> {
    let runner = subject::base_name(&args.name).ok_or_else(|| {
        Failure::usage(format!("`{}` is no runner's name: `self-runners runners list` shows them (sr-…)", args.name))
    })?;
    let wish = StopRequest { runner: runner.to_string(), force: args.force, by: person(args.why.as_deref()) };
    match args.source.open()?.stop(wish) {
        Ok(said) => {
            terminal::say(&format!("{runner}: {said}"));
            Ok(ExitCode::SUCCESS)
        }
        Err(NotDone::Refused(why)) => Err(Failure::failed(format!("{runner}: {why}"))),
        Err(NotDone::Unreachable(error)) => Err(error.into()),
    }
}
