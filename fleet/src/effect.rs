//! What is to be done outside. Each effect is stored together with the state that wants it, before it is done, and may
//! be done twice: it is idempotent under its stored parameters.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    class::{Arch, Class, Pool, Size},
    ids::{EffectId, JobId, PoolId, Repo, RunnerName, Scope, TaskId},
    runner::Runner,
};

/// Something to do outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Start a machine.
    Launch(Box<LaunchSpec>),
    /// Make sure that a machine is gone.
    Stop {
        /// Whose.
        runner: RunnerName,
        /// Why, for the engine's record.
        why: Arc<str>,
        /// The machine; `None` while its launch has not been answered.
        task: Option<TaskId>,
    },
    /// Delete what a dead runner may have registered: `<base>-1` to `<base>-<claims>`.
    Deregister {
        /// Whose.
        runner: RunnerName,
        /// Where.
        scope: Scope,
        /// How often it claimed.
        claims: u32,
    },
    /// Read a job from GitHub and handle what it says.
    ReadJob {
        /// Which.
        job: JobId,
        /// Where.
        repo: Repo,
    },
    /// Ask GitHub once to run an interrupted job again.
    Rerun {
        /// Which.
        job: JobId,
        /// Where.
        repo: Repo,
    },
    /// Ask GitHub to deliver a failed webhook again.
    Redeliver {
        /// The delivery's id.
        delivery: u64,
        /// Whose hook.
        scope: Scope,
    },
    /// Look who is next, when the backoff of this pool has passed.
    WakePool {
        /// Which.
        pool: PoolId,
    },
    /// Tell a person.
    Notify(Notice),
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Notice {
    /// What kind: also the name of its metric.
    pub kind: NoticeKind,
    /// What happened and what to do, in words.
    pub text: Arc<str>,
}

/// Kinds of notices; each is a metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Runners of a pool end without a job while jobs wait.
    PoolStarved,
    /// The engine refuses launches.
    NoCapacity,
    /// A runner went while it ran a job.
    JobInterrupted,
    /// A runner was stopped at its maximum lifetime.
    LifetimeOver,
    /// A runner was not connected in time.
    BootOverdue,
    /// A machine without a row was taken in.
    TaskAdopted,
    /// A registered runner asked for credentials again.
    ClaimAfterRegistration,
    /// A transition that cannot happen.
    Impossible,
    /// GitHub refuses the runner's version.
    RunnerDeprecated,
    /// An effect keeps failing.
    EffectFailing,
    /// GitHub or the engine denies us something.
    Denied,
    /// Something else than we expected runs or is registered.
    Unexpected,
}

impl NoticeKind {
    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PoolStarved => "pool_starved",
            Self::NoCapacity => "no_capacity",
            Self::JobInterrupted => "job_interrupted",
            Self::LifetimeOver => "lifetime_over",
            Self::BootOverdue => "boot_overdue",
            Self::TaskAdopted => "task_adopted",
            Self::ClaimAfterRegistration => "claim_after_registration",
            Self::Impossible => "impossible",
            Self::RunnerDeprecated => "runner_deprecated",
            Self::EffectFailing => "effect_failing",
            Self::Denied => "denied",
            Self::Unexpected => "unexpected",
        }
    }
}

/// Everything that a launch needs, fixed before the engine is called, so that a repeated call is the same call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// Base name of the runner; with the attempt it is the engine's client token.
    pub runner: RunnerName,
    /// The launch attempt, from 1.
    pub attempt: u32,
    /// Which of the class's placements to use, from 0.
    pub placement: u32,
    /// The runner's pool.
    pub pool: Pool,
    /// The repository whose job asked for it.
    pub repo: Option<Repo>,
    /// The job that had waited longest, for the engine's records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Size of the machine.
    pub size: Size,
    /// Whether spare capacity is asked for; `None`: it is left to the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<bool>,
    /// Whether the machine is told its credentials, because it cannot come back to ask for them.
    #[serde(default)]
    pub told: bool,
    /// Its image, where the engine uses images.
    pub image: Option<String>,
    /// When it was decided, milliseconds.
    pub created_ms: u64,
}

impl LaunchSpec {
    /// The launch of a runner's present attempt.
    pub fn of(runner: &Runner, class: &Class) -> Self {
        Self {
            runner: runner.name.clone(),
            attempt: runner.attempt,
            placement: runner.attempt.saturating_sub(1) % class.placements.max(1),
            pool: Pool {
                id: runner.pool.clone(),
                class: runner.class.clone(),
                scope: runner.scope.clone(),
                labels: runner.labels.clone(),
            },
            repo: runner.repo.clone(),
            job: runner.asked_by,
            size: class.size_of(&runner.labels),
            spot: class.spot_of(&runner.labels),
            told: runner.outfit.is_some(),
            image: class.image.clone(),
            created_ms: runner.created_ms,
        }
    }

    /// Architecture of the machine.
    pub fn arch(&self) -> Arch {
        self.size.arch
    }
}

impl Effect {
    /// Its name: two effects with one name are one.
    pub fn id(&self) -> EffectId {
        match self {
            Self::Launch(spec) => Self::launch_id(&spec.runner, spec.attempt),
            Self::Stop { runner, .. } => Self::stop_id(runner),
            Self::Deregister { runner, .. } => format!("deregister/{runner}").into(),
            Self::ReadJob { job, .. } => format!("read/{job}").into(),
            Self::Rerun { job, .. } => format!("rerun/{job}").into(),
            Self::Redeliver { delivery, .. } => format!("redeliver/{delivery}").into(),
            Self::WakePool { pool } => format!("wake/{pool}").into(),
            Self::Notify(notice) => format!("notify/{}/{}", notice.kind.as_str(), notice.text).into(),
        }
    }

    /// Name of a launch attempt.
    pub fn launch_id(runner: &RunnerName, attempt: u32) -> EffectId {
        format!("launch/{runner}/{attempt}").into()
    }

    /// Name of a runner's stop.
    pub fn stop_id(runner: &RunnerName) -> EffectId {
        format!("stop/{runner}").into()
    }

    /// Its kind, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Launch(_) => "launch",
            Self::Stop { .. } => "stop",
            Self::Deregister { .. } => "deregister",
            Self::ReadJob { .. } => "read_job",
            Self::Rerun { .. } => "rerun",
            Self::Redeliver { .. } => "redeliver",
            Self::WakePool { .. } => "wake",
            Self::Notify(_) => "notify",
        }
    }
}

/// An effect in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What to do.
    pub effect: Effect,
    /// Not before this time, milliseconds.
    pub due_ms: u64,
    /// How often it was tried.
    pub tries: u32,
    /// Who is at it now.
    pub lease: Option<Lease>,
}

impl Pending {
    /// When somebody may take it, milliseconds.
    pub fn free_ms(&self) -> u64 {
        self.lease.as_ref().map_or(self.due_ms, |lease| lease.until_ms.max(self.due_ms))
    }
}

/// A worker's hold on something, so that two do not do it at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The worker.
    pub owner: Arc<str>,
    /// Until when, milliseconds; then anybody may take it.
    pub until_ms: u64,
}
