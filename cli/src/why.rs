//! `why JOB`: what was decided about a job, and why, oldest first. Reads the daemon's store; changes nothing.

use std::{path::PathBuf, process::ExitCode};

use controller::ports::About;
use fleet::{
    ids::{JobId, RunnerName},
    view::Record,
};
use local::sqlite::SqliteReader;

use crate::{failure::Failure, serve, terminal};

/// What `why` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// Id of a job, the URL of its page, or the name of a runner
    #[arg(value_name = "JOB|URL|RUNNER")]
    about: String,
    #[command(flatten)]
    store: StoreArgs,
}

/// Which store is read.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The daemon's configuration file; `self-runners.toml` of this folder if there is one
    #[arg(long, value_name = "FILE", env = "SELF_RUNNERS_CONFIG")]
    config: Option<PathBuf>,
    /// The daemon's data folder
    #[arg(long, value_name = "DIR", env = "SELF_RUNNERS_DATA")]
    data: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store to read.
    pub(crate) fn open(&self) -> Result<SqliteReader, Failure> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => serve::data_dir_of(self.config.as_deref())?,
        };
        SqliteReader::open(&serve::store_path(&data)).map_err(|error| Failure::failed(error.message))
    }
}

/// Answers.
pub(crate) fn command(args: &WhyArgs) -> Result<ExitCode, Failure> {
    let about = about(&args.about)?;
    let reader = args.store.open()?;
    let mut records = reader.records(&about, RECORDS_MAX).map_err(|error| Failure::failed(error.message))?;
    if records.is_empty() {
        return Err(Failure::failed(format!(
            "nothing is recorded about {} in the last 7 days: is its webhook set up, and is this the right daemon?",
            args.about
        )));
    }
    records.reverse();
    let runners = runners_of(&about, &reader, &mut records)?;
    for record in &records {
        terminal::say(&line(record));
    }
    for runner in runners {
        terminal::say(&runner);
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of the runners that are named in a job's records.
fn runners_of(about: &About, reader: &SqliteReader, records: &mut [Record]) -> Result<Vec<String>, Failure> {
    let About::Job(job) = about else { return Ok(Vec::new()) };
    records.sort_by_key(|record| record.at_ms);
    let scan = reader.scan().map_err(|error| Failure::failed(error.message))?;
    let open = scan.open_jobs.iter().find(|row| row.facts.id == *job);
    Ok(open.map(|row| format!("now: {} of {}", row.state.label().to_lowercase(), row.facts.repo)).into_iter().collect())
}

/// A number, the number in `…/job/123`, or a runner's name.
fn about(text: &str) -> Result<About, Failure> {
    let number = text.rsplit_once("/job/").map_or(text, |(_, rest)| rest);
    let number = number.split(['?', '#', '/']).next().unwrap_or_default();
    if let Ok(id) = number.parse() {
        return Ok(About::Job(JobId(id)));
    }
    if text.starts_with("sr-") {
        // The registered name is the base name with a number behind it.
        let base = text.rsplit_once('-').filter(|(base, n)| base.matches('-').count() == 2 && n.parse::<u32>().is_ok());
        return Ok(About::Runner(RunnerName::from(base.map_or(text, |(base, _)| base))));
    }
    Err(Failure::usage(format!("`{text}` is neither a job's id or URL nor a runner's name (sr-…)")))
}

fn line(record: &Record) -> String {
    format!("{}  {}", terminal::utc(record.at_ms), record.text)
}

/// More than any job has.
const RECORDS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_runners_are_told_apart() {
        assert_eq!(about("43000000001").unwrap(), About::Job(JobId(43_000_000_001)));
        let url = "https://github.com/acme/web/actions/runs/1/job/43000000001?pr=2";
        assert_eq!(about(url).unwrap(), About::Job(JobId(43_000_000_001)));
        assert_eq!(about("sr-dev-0abc").unwrap(), About::Runner("sr-dev-0abc".into()));
        assert_eq!(about("sr-dev-0abc-2").unwrap(), About::Runner("sr-dev-0abc".into()));
        assert_eq!(about("sr-dev-0123").unwrap(), About::Runner("sr-dev-0123".into()));
        assert_eq!(about("web").unwrap_err().code(), 2);
    }
}
