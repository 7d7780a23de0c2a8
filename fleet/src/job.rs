//! A workflow job as we know it, and every step that it can take.
//!
//! Monotone, because GitHub promises no order: a late message never turns a job back. The one way back, from running
//! to queued, needs a direct read of the job 90 s or more after it began (GitHub re-queues a job that its runner did
//! not pick up within 60 s).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, PoolId, Repo, RunId};
use crate::view::Head;

/// Age of `in_progress` from which a direct read may say "queued again": GitHub's 60 s and a margin for reads that lag.
pub const REQUEUE_AFTER_MS: u64 = 90_000;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// All steps went well.
    Success,
    /// A step failed, or the runner was lost.
    Failure,
    /// A condition said no.
    Skipped,
    /// A person or a newer run cancelled it.
    Cancelled,
    /// It ran too long.
    TimedOut,
    /// Somebody has to act first.
    ActionRequired,
    /// Neither good nor bad.
    Neutral,
    /// GitHub gave up on it.
    Stale,
    /// GitHub no longer knows it, or gave a word that we do not know.
    Unknown,
}

impl Conclusion {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed out",
            Self::ActionRequired => "action required",
            Self::Neutral => "neutral",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
}

/// What a payload or a read tells about a job, apart from its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFacts {
    /// Its id.
    pub id: JobId,
    /// The run that it belongs to.
    pub run_id: RunId,
    /// Attempt of the run, from 1.
    pub run_attempt: u32,
    /// Where it comes from.
    pub repo: Repo,
    /// Whether everybody can see that repository. `None` if the source did not say.
    pub public: Option<bool>,
    /// Its display name.
    pub name: Arc<str>,
    /// The labels that it asks for, as written.
    pub labels: Vec<String>,
    /// When GitHub created it, milliseconds since 1970; 0 if unknown.
    pub created_ms: u64,
}

/// A job's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What GitHub told of it.
    pub facts: JobFacts,
    /// The pool whose runners may serve it; `None` while no open class matches.
    pub pool: Option<PoolId>,
    /// When we first heard of it, milliseconds.
    pub seen_ms: u64,
    /// Where it stands.
    pub state: JobState,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for an approval; nothing is started for it.
    Waiting,
    /// Wants a runner.
    Queued,
    /// Runs on the named runner (ours or somebody's).
    Running {
        /// The name as GitHub gave it (`<base>-<n>` if ours); empty if it gave none.
        runner: Arc<str>,
        /// When it began, milliseconds.
        since_ms: u64,
    },
    /// Has ended.
    Done {
        /// How.
        conclusion: Conclusion,
        /// When we learned it, milliseconds.
        at_ms: u64,
    },
}

/// What can be learned of a job's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobInput {
    /// It waits for an approval.
    Waiting,
    /// A webhook or a listing says that it is queued.
    Queued,
    /// A direct read says that it is queued.
    QueuedDirect,
    /// It runs.
    InProgress {
        /// The runner's name; empty if the source names none.
        runner: Arc<str>,
    },
    /// It ended.
    Completed {
        /// How.
        conclusion: Conclusion,
        /// The runner's name; empty if the source names none.
        runner: Arc<str>,
    },
    /// A direct read finds no such job.
    Missing,
}

impl JobInput {
    /// The runner that the source names, if it names one.
    pub fn runner(&self) -> Option<&str> {
        let name = match self {
            Self::InProgress { runner } | Self::Completed { runner, .. } => runner,
            Self::Waiting | Self::Queued | Self::QueuedDirect | Self::Missing => return None,
        };
        (!name.is_empty()).then_some(name)
    }

    /// Short name for tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::QueuedDirect => "queued (direct read)",
            Self::InProgress { .. } => "in progress",
            Self::Completed { .. } => "completed",
            Self::Missing => "missing (direct read)",
        }
    }
}

impl JobState {
    /// Short name for tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Queued => "Queued",
            Self::Running { .. } => "Running",
            Self::Done { .. } => "Done",
        }
    }

    /// Whether GitHub still has to do something with it.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Done { .. })
    }
}

impl Job {
    /// The pool in which it counts as demand.
    pub fn queued_in(&self) -> Option<&PoolId> {
        self.pool.as_ref().filter(|_| self.state == JobState::Queued)
    }

    /// What the order of launches looks at.
    pub fn head(&self) -> Head {
        let created_ms = if self.facts.created_ms > 0 { self.facts.created_ms } else { self.seen_ms };
        Head { job: self.facts.id, repo: self.facts.repo.clone(), created_ms }
    }
}

/// The next state, or `None` where the input changes nothing. Total: every pair has an answer.
pub fn step(state: Option<&JobState>, input: &JobInput, now_ms: u64) -> Option<JobState> {
    use JobState::{Done, Queued, Running, Waiting};
    match (state, input) {
        // Ended is ended: whatever comes now is late or doubled.
        (Some(Done { .. }), _) | (None, JobInput::Missing) => None,
        (_, JobInput::Completed { conclusion, .. }) => Some(Done { conclusion: *conclusion, at_ms: now_ms }),
        (Some(_), JobInput::Missing) => Some(Done { conclusion: Conclusion::Unknown, at_ms: now_ms }),
        // The same runner again is a duplicate; another one took it after GitHub queued it again.
        (Some(Running { runner: old, .. }), JobInput::InProgress { runner }) if old == runner || runner.is_empty() => {
            None
        }
        (_, JobInput::InProgress { runner }) => Some(Running { runner: runner.clone(), since_ms: now_ms }),
        (Some(Running { since_ms, .. }), JobInput::QueuedDirect) => {
            (now_ms >= since_ms.saturating_add(REQUEUE_AFTER_MS)).then_some(Queued)
        }
        (Some(Running { .. } | Queued), JobInput::Waiting | JobInput::Queued | JobInput::QueuedDirect)
        | (Some(Waiting), JobInput::Waiting) => None,
        (None | Some(Waiting), JobInput::Queued | JobInput::QueuedDirect) => Some(Queued),
        (None, JobInput::Waiting) => Some(Waiting),
    }
}
