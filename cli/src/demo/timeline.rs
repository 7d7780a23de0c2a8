//! What happened to each job and when: the readable timeline. Pure: facts in, text out.

use fleet::job::Conclusion;
use serde::Serialize;

use crate::table::shortened;

/// The life of one job. Times are milliseconds since the demo began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JobLife {
    /// GitHub's id.
    pub id: u64,
    /// Its display name.
    pub name: String,
    /// The runner that ran it, as registered.
    pub runner: Option<String>,
    /// GitHub queued it.
    pub announced_ms: Option<u64>,
    /// The daemon decided on its runner.
    pub launched_ms: Option<u64>,
    /// The runner was given its configuration.
    pub claimed_ms: Option<u64>,
    /// The job began.
    pub running_ms: Option<u64>,
    /// The job ended.
    pub completed_ms: Option<u64>,
    /// The runner's machine was gone.
    pub gone_ms: Option<u64>,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Whether its runner died under it.
    pub interrupted: bool,
}

impl JobLife {
    /// Milliseconds from its announcement to its begin.
    pub fn wait_ms(&self) -> Option<u64> {
        Some(self.running_ms?.saturating_sub(self.announced_ms?))
    }

    /// The last thing that happened, in a word.
    pub fn stage(&self) -> &'static str {
        if self.gone_ms.is_some() && self.completed_ms.is_some() {
            "gone"
        } else if self.completed_ms.is_some() {
            "completed"
        } else if self.running_ms.is_some() {
            "running"
        } else if self.claimed_ms.is_some() {
            "claimed"
        } else if self.launched_ms.is_some() {
            "launched"
        } else {
            "announced"
        }
    }

    /// How it ended, in a word.
    pub fn result(&self) -> &'static str {
        match (self.interrupted, self.conclusion) {
            (true, Some(_)) => "interrupted",
            (_, conclusion) => conclusion.map_or("-", Conclusion::text),
        }
    }

    fn times(&self) -> [Option<u64>; 6] {
        [self.announced_ms, self.launched_ms, self.claimed_ms, self.running_ms, self.completed_ms, self.gone_ms]
    }
}

/// The table: a line a job, a column an event, in milliseconds since the demo began.
pub(crate) fn table(lives: &[JobLife]) -> String {
    let width = lives.iter().map(|life| life.name.chars().count()).max().unwrap_or(0).clamp(3, NAME_CHARS_MAX);
    let mut text = format!("{:width$}", "job");
    for column in COLUMNS {
        text.push_str(&format!("  {column:>9}"));
    }
    text.push_str("  result\n");
    for life in lives {
        text.push_str(&format!("{:width$}", shortened(&life.name, width)));
        for time in life.times() {
            text.push_str(&format!("  {:>9}", time.map_or_else(|| "-".to_owned(), |ms| ms.to_string())));
        }
        text.push_str(&format!("  {}\n", life.result()));
    }
    text
}

/// The events of a job's life.
const COLUMNS: [&str; 6] = ["announced", "launched", "claimed", "running", "completed", "gone"];

/// Longest job name that is shown whole.
const NAME_CHARS_MAX: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_a_job() {
        let life = JobLife {
            id: 1,
            name: "build (1)".into(),
            announced_ms: Some(0),
            launched_ms: Some(12),
            running_ms: Some(300),
            completed_ms: Some(900),
            conclusion: Some(Conclusion::Success),
            ..JobLife::default()
        };
        assert_eq!((life.wait_ms(), life.stage(), life.result()), (Some(300), "completed", "success"));
        let expected = "\
job        announced   launched    claimed    running  completed       gone  result
build (1)          0         12          -        300        900          -  success
";
        assert_eq!(table(&[life]), expected);
    }

    #[test]
    fn a_job_whose_runner_died_says_so() {
        let life = JobLife { interrupted: true, conclusion: Some(Conclusion::Failure), ..JobLife::default() };
        assert_eq!(life.result(), "interrupted");
    }
}
