//! `jobs`: the jobs that a daemon or a stage knows. Reads its store; changes nothing.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    failure::Failure,
    picture::{JobLine, Picture},
    source::SourceArgs,
    table::{shortened, since},
    terminal,
};

/// What `jobs` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Also those that ended in the last two hours
    #[arg(long)]
    all: bool,
    /// One JSON object instead of a table (docs/commands.md)
    #[arg(long)]
    json: bool,
}

/// Shows them.
pub(crate) fn command(args: &JobsArgs) -> Result<ExitCode, Failure> {
    let mut picture = Picture::take(&args.source.open()?)?;
    let jobs = picture.jobs(args.all);
    if args.json {
        terminal::say(&terminal::json(&json!({ "now_ms": picture.now_ms, "jobs": jobs }).to_string()));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = jobs.iter().map(|job| row(job, picture.now_ms)).collect();
    let more = if args.all { "" } else { "; `--all` shows those that ended in the last two hours" };
    let none = format!("no job is open{more}");
    picture.show(["JOB", "REPOSITORY", "NAME", "STATE", "SINCE", "CLASS", "RUNNER OR WHY"], &rows, &none);
    Ok(ExitCode::SUCCESS)
}

fn row(job: &JobLine, now_ms: u64) -> [String; 7] {
    [
        job.id.to_string(),
        job.repository.to_string(),
        shortened(&job.name, NAME_CHARS_MAX),
        job.conclusion.map_or_else(|| job.state.clone(), |conclusion| conclusion.text().into()),
        since(job.since_ms, now_ms),
        job.class.as_ref().map(ToString::to_string).unwrap_or_default(),
        job.runner.clone().or_else(|| job.why.clone()).unwrap_or_default(),
    ]
}

/// Longest job name that is shown whole.
const NAME_CHARS_MAX: usize = 40;
