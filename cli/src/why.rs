//! `why`: what was decided about a job or a runner and why, oldest first, and how it stands now. Reads the store of a daemon or
//! a stage; //! changes nothing.

mod durations;
mod now;

use std::{collections::HashSet, process::ExitCode};

use controller::ports::About;
use fleet::{
    decide::{RAN_ON, RUNS_ON},
    ids::{JobId, Repo, RunId, RunnerName},
    job::Job,
    view::Record,
};

use crate::{
    failure::Failure,
    picture::Picture,
    source::{Source, SourceArgs},
    subject::{Subject, base_name},
    table::span,
    terminal,
};

/// What `why` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// Id of a job, the URL of its page (or of its run's), or the name of a runner
    #[arg(value_name = "JOB|URL|RUNNER")]
    about: String,
    #[command(flatten)]
    source: SourceArgs,
}

/// Answers.
pub(crate) fn command(args: &WhyArgs) -> Result<ExitCode, Failure> {
    let subject = Subject::parse(&args.about).ok_or_else(|| {
        Failure::usage(format!(
            "`{}` is neither a job's id (a number), nor a job's or run's page at GitHub, nor a runner's name (sr-…)",
            args.about
        ))
    })?;
    let source = args.source.open()?;
    let mut picture = Picture::take(&source)?;
    let text = match &subject {
        Subject::Job(id, repo) => {
            let told = job(&source, &mut picture, *id, repo.as_ref())?;
            told.ok_or_else(|| now::unknown(&picture, &format!("job {id}"), repo.as_ref()))?
        }
        Subject::Run(id, repo) => run(&source, &mut picture, *id, repo.as_ref())?,
        Subject::Runner(name) => {
            let told = runner(&source, &picture, name)?;
            told.ok_or_else(|| now::unknown(&picture, &format!("runner {name}"), None))?
        }
    };
    if let Some(caveat) = picture.caveat() {
        terminal::complain(&caveat);
    }
    terminal::say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// A job's story; `None` if nothing is known of it.
fn job(source: &Source, picture: &mut Picture, id: JobId, repo: Option<&Repo>) -> Result<Option<String>, Failure> {
    let mut entries = records(source, &About::Job(id))?;
    let row = picture.ledger.job(id).cloned();
    entries.splice(0..0, heard_late(&entries, row.as_ref()));
    if entries.is_empty() && row.is_none() {
        return Ok(None);
    }
    let durations = durations::told(&entries);
    if let Some(runner) = runner_in(&entries) {
        entries.extend(records(source, &About::Runner(runner))?);
        entries.sort_by_key(|entry| entry.at_ms);
        // What is about both is found twice, with others of the same moment between.
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert((entry.at_ms, entry.text.clone())));
    }
    let head = match &row {
        Some(row) => {
            let facts = &row.facts;
            let (name, labels) = (terminal::word(&facts.name), facts.labels.join(", "));
            format!("job {id} `{name}` of {}, which asks for {}", facts.repo, terminal::word(&labels))
        }
        None => repo.map_or_else(|| format!("job {id}"), |repo| format!("job {id} of {repo}")),
    };
    let now = match &row {
        Some(row) => now::job(picture, row),
        None => now::no_row(picture, &entries),
    };
    Ok(Some(format!("{head}\n{}{now}{durations}", timeline(&entries))))
}

/// All jobs of a run that have rows.
fn run(source: &Source, picture: &mut Picture, id: RunId, repo: Option<&Repo>) -> Result<String, Failure> {
    let jobs = picture.ledger.jobs().filter(|job| job.facts.run_id == id).map(|job| job.facts.id);
    let jobs: Vec<JobId> = jobs.collect();
    if jobs.is_empty() {
        let what = format!(
            "a job of run {id} (jobs that ended are found by their run for two hours, by their own page for 7 days)"
        );
        return Err(now::unknown(picture, &what, repo));
    }
    let mut told = Vec::new();
    for id in jobs {
        told.extend(job(source, picture, id, None)?);
    }
    Ok(told.join("\n"))
}

/// A runner's story; `None` if nothing is known of it.
fn runner(source: &Source, picture: &Picture, name: &RunnerName) -> Result<Option<String>, Failure> {
    let mut entries = records(source, &About::Runner(name.clone()))?;
    for entry in &mut entries {
        // Said of a job; here the reader asks about the runner.
        if let Some(job) = entry.job.filter(|_| entry.text.starts_with(RUNS_ON) || entry.text.starts_with(RAN_ON)) {
            entry.text = format!("job {job} {}", entry.text);
        }
    }
    let line = picture.runners(true).into_iter().find(|line| line.name == *name);
    if entries.is_empty() && line.is_none() {
        return Ok(None);
    }
    let now = line.map_or_else(|| "now: gone\n".to_owned(), |line| now::runner(&line, picture.now_ms));
    Ok(Some(format!("runner {name}\n{}{now}", timeline(&entries))))
}

/// Oldest first.
fn records(source: &Source, about: &About) -> Result<Vec<Record>, Failure> {
    let mut records = source.records(about, RECORDS_MAX)?;
    records.reverse();
    Ok(records)
}

/// Our runner that a job's entries name.
pub(crate) fn runner_in(entries: &[Record]) -> Option<RunnerName> {
    let named = |entry: &Record| {
        entry.text.strip_prefix(RUNS_ON).or_else(|| entry.text.strip_prefix(RAN_ON)).and_then(base_name)
    };
    entries.iter().rev().find_map(named)
}

/// GitHub's own word of when a job was created, where it was heard of later than that. It has whole seconds only.
fn heard_late(entries: &[Record], row: Option<&Job>) -> Option<Record> {
    let created_ms = row?.head().created_ms;
    let first_ms = entries.first()?.at_ms;
    let late = created_ms > 0 && created_ms + 1_000 <= first_ms;
    late.then(|| Record { at_ms: created_ms, job: row.map(|row| row.facts.id), runner: None, text: CREATED.into() })
}

/// One line an entry, with the time since the first. What was decided again and again, as for a job that is not for us
/// each time that it is heard of, is one line.
fn timeline(entries: &[Record]) -> String {
    let first_ms = entries.first().map_or(0, |entry| entry.at_ms);
    let line = |same: &[Record]| {
        let (Some(entry), Some(last)) = (same.first(), same.last()) else { return String::new() };
        let later_ms = entry.at_ms.saturating_sub(first_ms);
        let later = if later_ms == 0 { String::new() } else { format!("+{}", span(later_ms)) };
        let times = match same.len() {
            1 => String::new(),
            times => format!(" ({times} times in {})", span(last.at_ms.saturating_sub(entry.at_ms))),
        };
        format!("  {}  {later:>14}  {}{times}\n", terminal::utc(entry.at_ms), terminal::word(&entry.text))
    };
    entries.chunk_by(|one, next| one.text == next.text).map(line).collect()
}

/// Of a job that was heard of late.
const CREATED: &str = "created at GitHub";

/// More than any job or runner has.
pub(crate) const RECORDS_MAX: usize = 200;
