//! What a webhook says: the compact form of a `workflow_job` payload.
//!
//! The same snapshot serves REST reads of a job. It is taken when the thing happens, not when it is sent: a late or
//! redelivered webhook tells old news, as GitHub's does.

use std::fmt;
use std::sync::Arc;

use fleet::event::Event;
use fleet::ids::RegistrationId;
use fleet::job::{Conclusion, JobFacts, JobInput};

use super::model::Origin;

/// The `action` of a `workflow_job` webhook (FACTS §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A job was created, or approved.
    Queued,
    /// It waits for an approval.
    Waiting,
    /// A runner took it.
    InProgress,
    /// It ended.
    Completed,
}

impl Action {
    /// GitHub's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

/// The `status` that GitHub shows of a job or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// Waits for an approval.
    Waiting,
    /// Wants a runner.
    Queued,
    /// Runs.
    InProgress,
    /// Has ended.
    Completed,
}

impl Shown {
    /// GitHub's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

/// GitHub's word for a conclusion.
pub fn conclusion_word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Success => "success",
        Conclusion::Failure => "failure",
        Conclusion::Skipped => "skipped",
        Conclusion::Cancelled => "cancelled",
        Conclusion::TimedOut => "timed_out",
        Conclusion::ActionRequired => "action_required",
        Conclusion::Neutral => "neutral",
        Conclusion::Stale | Conclusion::Unknown => "stale",
    }
}

/// The runner that a payload names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerRef {
    /// Its number.
    pub id: RegistrationId,
    /// Its name.
    pub name: Arc<str>,
    /// Number of its group.
    pub group: u64,
    /// Name of its group.
    pub group_name: Arc<str>,
}

/// A job as GitHub shows it at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSnapshot {
    /// What does not change.
    pub facts: Arc<JobFacts>,
    /// Its repository.
    pub origin: Arc<Origin>,
    /// Its workflow's name.
    pub workflow: Arc<str>,
    /// The environment that it deploys to.
    pub environment: Option<Arc<str>>,
    /// Its status.
    pub status: Shown,
    /// How it ended, if it did.
    pub conclusion: Option<Conclusion>,
    /// Who runs or ran it.
    pub runner: Option<RunnerRef>,
    /// When it started, milliseconds.
    pub started_ms: Option<u64>,
    /// When it ended, milliseconds.
    pub completed_ms: Option<u64>,
}

impl JobSnapshot {
    /// What it tells of the job's status; `direct` if it was read by its id.
    pub fn input(&self, direct: bool) -> JobInput {
        let runner = || self.runner.as_ref().map_or_else(|| "".into(), |runner| runner.name.clone());
        match self.status {
            Shown::Waiting => JobInput::Waiting,
            Shown::Queued if direct => JobInput::QueuedDirect,
            Shown::Queued => JobInput::Queued,
            Shown::InProgress => JobInput::InProgress { runner: runner() },
            Shown::Completed => {
                JobInput::Completed { conclusion: self.conclusion.unwrap_or(Conclusion::Unknown), runner: runner() }
            }
        }
    }

    /// How it looks to the core; `direct` if it was read by its id.
    pub fn event(&self, direct: bool) -> Event {
        Event::Job { facts: JobFacts::clone(&self.facts), input: self.input(direct) }
    }
}

/// The GUID of a delivery; a redelivery keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guid(pub u128);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// One delivery of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number; a redelivery has a new one.
    pub id: u64,
    /// What it has in common with its redeliveries.
    pub guid: Guid,
    /// What happened.
    pub action: Action,
    /// The job then.
    pub job: JobSnapshot,
    /// When it is to be sent, milliseconds.
    pub scheduled_ms: u64,
    /// From 1; above that it is a redelivery.
    pub attempt: u32,
}

impl Delivery {
    /// How the parsed webhook looks to the core. The payload's status counts: a `queued` with status `waiting` is an
    /// environment job that is not runnable yet (FACTS §1).
    pub fn event(&self) -> Event {
        self.job.event(false)
    }
}
