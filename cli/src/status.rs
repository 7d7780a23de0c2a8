//! `status`: the jobs and runners that a daemon knows. Reads its store; changes nothing.

use std::process::ExitCode;

use controller::ports::Scan;
use fleet::{job::JobState, runner::RunnerState};
use serde_json::{Value, json};

use crate::{failure::Failure, serve::now_ms, terminal, why::StoreArgs};

/// What `status` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub(crate) fn command(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let reader = args.store.open()?;
    let failed = |error: controller::ports::PortError| Failure::failed(error.message);
    let scan = reader.scan().map_err(failed)?;
    let letters = reader.letters().map_err(failed)?;
    let text = if args.json { object(&scan, letters).to_string() } else { table(&scan, letters, now_ms()) };
    terminal::say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn object(scan: &Scan, letters: u64) -> Value {
    let live = scan.runners.iter().filter(|runner| runner.state.is_live());
    json!({
        "jobs": scan.open_jobs,
        "runners": live.collect::<Vec<_>>(),
        "effects": scan.effects.len(),
        "unhandled_webhooks": letters,
        "inventoried": scan.inventoried,
    })
}

fn table(scan: &Scan, letters: u64, now_ms: u64) -> String {
    let live: Vec<_> = scan.runners.iter().filter(|runner| runner.state.is_live()).collect();
    let count = |test: fn(&JobState) -> bool| scan.open_jobs.iter().filter(|job| test(&job.state)).count();
    let mut text = format!(
        "{} jobs queued, {} running; {} runners live; {} effects to do, {letters} webhooks to handle\n",
        count(|state| *state == JobState::Queued),
        count(|state| matches!(state, JobState::Running { .. })),
        live.len(),
        scan.effects.len(),
    );
    if !scan.inventoried {
        text.push_str("launches wait until the engine's machines are known (first sweep)\n");
    }
    for pool in scan.pools.iter().filter(|pool| pool.flags.held_until_ms > now_ms) {
        text.push_str(&format!("pool {} is held back: {}\n", pool.pool.id, pool.flags.held_why));
    }
    for job in &scan.open_jobs {
        let (id, name, repo) = (job.facts.id, &job.facts.name, &job.facts.repo);
        text.push_str(&format!("job {id}  {:10}  {repo}  {name}\n", job.state.label()));
    }
    for runner in live {
        let job = match &runner.state {
            RunnerState::Busy { job: Some(job), .. } => format!("  job {job}"),
            RunnerState::Ending { why, .. } => format!("  {}", why.text()),
            RunnerState::Reserved
            | RunnerState::Starting
            | RunnerState::Claimed
            | RunnerState::Idle { .. }
            | RunnerState::Recalled { .. }
            | RunnerState::Busy { job: None, .. }
            | RunnerState::Gone { .. } => String::new(),
        };
        let age_s = now_ms.saturating_sub(runner.created_ms) / 1_000;
        text.push_str(&format!("runner {}  {:10}  {age_s} s old{job}\n", runner.name, runner.state.label()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_store_is_told_as_such() {
        let text = table(&Scan { inventoried: true, ..Scan::default() }, 0, 0);
        assert_eq!(text, "0 jobs queued, 0 running; 0 runners live; 0 effects to do, 0 webhooks to handle\n");
    }
}
