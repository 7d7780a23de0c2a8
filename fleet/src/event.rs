//! What the core is told: one type for webhooks, reads, reports, the engine's words, timers and people.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    class::Pool,
    drain::Extent,
    ids::{JobId, RegistrationId, Repo, RunnerName, TaskId},
    job::{JobFacts, JobInput},
    runner::RunnerInput,
};

/// Something that happened, or that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A job's status was learned, from a webhook, a listing or a direct read.
    Job {
        /// What was told of the job.
        facts: JobFacts,
        /// Its status.
        input: JobInput,
    },
    /// A waiting job is to be matched again: the configuration has changed.
    Rematch {
        /// Which.
        job: JobId,
    },
    /// Something was learned of a runner.
    Runner {
        /// Its base name.
        runner: RunnerName,
        /// What.
        input: RunnerInput,
    },
    /// The engine shows a machine with our tags that we have no row of.
    Adopt(Task),
    /// An operator wants nothing more started.
    Drain {
        /// Of what.
        extent: Extent,
        /// Who, and why if that was said.
        by: Arc<str>,
    },
    /// An operator lifts a drain.
    EndDrain {
        /// Which.
        extent: Extent,
        /// Who.
        by: Arc<str>,
    },
    /// All that the engine runs has been adopted: launches may begin (again).
    Inventory,
    /// Capacity may have become free, or a backoff has passed: look who is next.
    Balance,
}

/// A machine as its engine shows it. Its tags alone tell what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The engine's handle.
    pub id: TaskId,
    /// Base name of the runner on it.
    pub runner: RunnerName,
    /// The launch attempt.
    pub attempt: u32,
    /// The pool of the runner.
    pub pool: Pool,
    /// The repository whose job asked for it.
    pub repo: Option<Repo>,
    /// When it was launched, milliseconds.
    pub created_ms: u64,
    /// `None` while it runs (or is about to); else why it stopped.
    pub stopped: Option<Arc<str>>,
}

/// A registered runner as GitHub shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// GitHub's id.
    pub id: RegistrationId,
    /// Its name: `<base>-<n>` if it is ours.
    pub name: Arc<str>,
    /// Whether its listener is connected.
    pub online: bool,
    /// GitHub's `busy` flag: true is to be believed, false is not.
    pub busy: bool,
}

/// What was decided on an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// Something changed, in words.
    Accepted(String),
    /// It was known already.
    Duplicate,
    /// It is not for us, in words.
    Ignored(String),
    /// Its owner or repository is not served, in words.
    Forbidden(String),
    /// A person's wish that is not carried out, in words.
    Refused(String),
    /// An agent may register as `<base>-<n>`.
    Claimed {
        /// The n.
        n: u32,
        /// What to register: pool of the runner.
        pool: Pool,
    },
    /// An agent asked for credentials: nothing is left to do for it.
    Go,
    /// An agent asked for credentials, but its runner is registered already.
    ClaimRefused,
    /// Nothing is known of this runner (yet).
    Unknown,
    /// An idle runner is not needed.
    EndIfIdle,
}
