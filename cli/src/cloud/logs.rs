//! `logs`: what a machine or a function of a stage wrote.

use std::{collections::BTreeSet, process::ExitCode, thread, time::Duration};

use aws::{
    logs::{Line, Logs},
    stack::{
        CONTAINER,
        functions::{FUNCTIONS, Function, function_logs},
        runner_logs,
    },
};
use controller::ports::About;
use fleet::{
    ids::{JobId, RunnerName},
    job::JobState,
    ledger::Ledger,
};

use super::stage::Stage;
use crate::{
    cloud_args::LogsArgs,
    failure::Failure,
    serve::now_ms,
    subject::{Subject, base_name},
    terminal, why,
};

/// Between two looks with `--follow`.
const LOOK_EACH: Duration = Duration::from_secs(2);

/// A line may come so much later than others of its time.
const LATE_MS: u64 = 60_000;

/// Where the lines are.
struct Place {
    group: String,
    stream: Option<String>,
    since_ms: u64,
}

/// Shows them.
pub(crate) fn command(args: &LogsArgs) -> Result<ExitCode, Failure> {
    let about = Asked::parse(&args.about)?;
    let stage = Stage::open(&args.stage)?;
    let place = place(&stage, about, args.minutes)?;
    let logs = Logs::new(stage.cloud());
    let mut since_ms = place.since_ms;
    // What was read last: what is not read again does not come again.
    let mut shown = BTreeSet::new();
    loop {
        let lines = stage.run(logs.lines(&place.group, place.stream.as_deref(), since_ms))?;
        let text: String = lines.iter().filter(|line| !shown.contains(&line.id)).map(told).collect();
        let is_read = terminal::draw(&text);
        if !args.follow && lines.is_empty() {
            terminal::complain(&format!("nothing is written yet in {}", place.words()));
        }
        if !args.follow || !is_read {
            return Ok(ExitCode::SUCCESS);
        }
        since_ms = lines.last().map_or(since_ms, |line| line.at_ms.saturating_sub(LATE_MS)).max(since_ms);
        shown = lines.into_iter().map(|line| line.id).collect();
        thread::sleep(LOOK_EACH);
    }
}

fn told(line: &Line) -> String {
    // Lambda's own lines have tabs between their parts.
    format!("{}  {}\n", terminal::utc(line.at_ms), terminal::word(&line.text.replace('\t', "  ")))
}

impl Place {
    fn words(&self) -> String {
        self.stream.as_ref().map_or_else(|| self.group.clone(), |stream| format!("{} ({stream})", self.group))
    }
}

/// Whose lines.
enum Asked {
    Function(Function),
    Runner(RunnerName),
    Job(JobId),
}

impl Asked {
    fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(function) = FUNCTIONS.iter().find(|function| function.name().eq_ignore_ascii_case(text)) {
            return Ok(Self::Function(*function));
        }
        match Subject::parse(text) {
            Some(Subject::Runner(runner)) => Ok(Self::Runner(runner)),
            Some(Subject::Job(job, _)) => Ok(Self::Job(job)),
            Some(Subject::Run(run, _)) => {
                Err(Failure::usage(format!("run {run} may have many jobs: give the page of one of them")))
            }
            None => Err(Failure::usage(format!(
                "`{text}` is neither a job's id or page, nor a runner's name (sr-…), nor a function: {}",
                FUNCTIONS.map(|function| function.name()).join(", ")
            ))),
        }
    }
}

fn place(stage: &Stage, about: Asked, minutes: u64) -> Result<Place, Failure> {
    let name = stage.name();
    let (ledger, runner) = match about {
        Asked::Function(function) => {
            let since_ms = now_ms().saturating_sub(minutes.saturating_mul(60_000));
            return Ok(Place { group: function_logs(name, function), stream: None, since_ms });
        }
        Asked::Runner(runner) => (stage.ledger()?, runner),
        Asked::Job(job) => {
            let ledger = stage.ledger()?;
            let runner = runner_of(stage, &ledger, job)?;
            (ledger, runner)
        }
    };
    let group = runner_logs(name);
    let row = ledger.runner(&runner).ok_or_else(|| {
        Failure::failed(format!(
            "{runner} is not known any more, or never was: rows go two hours after the end; its lines are in the log group \
             {group}"
        ))
    })?;
    let Some(task) = &row.task else {
        return Err(Failure::failed(format!(
            "{runner} has no task: `self-runners why {runner} --stage {name}` tells why"
        )));
    };
    let id = task.as_str().rsplit('/').next().unwrap_or_default();
    let stream = format!("{}/{CONTAINER}/{id}", row.class);
    Ok(Place { group, stream: Some(stream), since_ms: row.created_ms })
}

/// The runner that runs or ran a job.
fn runner_of(stage: &Stage, ledger: &Ledger, job: JobId) -> Result<RunnerName, Failure> {
    let mut records = stage.records(&About::Job(job), why::RECORDS_MAX)?;
    records.reverse();
    if let Some(runner) = why::runner_in(&records) {
        return Ok(runner);
    }
    let row = ledger.job(job).and_then(|row| match &row.state {
        JobState::Running { runner, .. } => base_name(runner),
        JobState::Waiting | JobState::Queued | JobState::Done { .. } => None,
    });
    row.ok_or_else(|| {
        let name = stage.name();
        Failure::failed(format!(
            "job {job} ran on no runner of ours yet: `self-runners why {job} --stage {name}` tells more"
        ))
    })
}
