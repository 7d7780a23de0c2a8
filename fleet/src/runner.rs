//! A runner as we know it, and every step that it can take.
//!
//! Steps may be skipped forward (a webhook can say busy before any report arrives); nothing but the engine's word
//! makes a runner gone. `step` is total and changes nothing on an impossible pair.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    class::{Class, CredentialKind, Pool},
    ids::{ClassName, JobId, PoolId, RegistrationId, Repo, RunnerName, Scope, TaskId},
    labels::LabelSet,
    wire::EndReason,
};

/// Time that a runner is given to end by itself after its job completed or its agent said that it ends.
pub const END_GRACE_MS: u64 = 60_000;

/// A runner's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Its base name.
    pub name: RunnerName,
    /// The pool whose jobs it may be given.
    pub pool: PoolId,
    /// Its class.
    pub class: ClassName,
    /// What it registers with.
    pub scope: Scope,
    /// The labels that it registers with.
    pub labels: LabelSet,
    /// The repository whose job asked for it: only a tag, GitHub may give it another's.
    pub repo: Option<Repo>,
    /// The job that had waited longest when it was started. GitHub gives it whichever it likes.
    #[serde(default)]
    pub asked_by: Option<JobId>,
    /// The launch attempt, from 1. A new one only after a definite refusal.
    pub attempt: u32,
    /// How often it was given credentials: it registers as `<base>-<claims>`.
    pub claims: u32,
    /// The engine's handle, once it is known.
    pub task: Option<TaskId>,
    /// GitHub's id of its registration, once it is known.
    pub registration: Option<RegistrationId>,
    /// When it was decided on, milliseconds.
    pub created_ms: u64,
    /// Until when it must be connected, milliseconds. Counted from its launch and again from each claim.
    pub boot_deadline_ms: u64,
    /// When it ends whatever it does, milliseconds.
    pub life_deadline_ms: u64,
    /// Its agent said that its machine is being taken back.
    #[serde(default)]
    pub taken_back: Option<TakenBack>,
    /// It is told its credentials at its launch; `None`: it claims them. Stays what its class said when it was made.
    #[serde(default)]
    pub outfit: Option<Outfit>,
    /// Where it stands.
    pub state: RunnerState,
}

/// What became of the credentials of a runner that claims none: [`Runner::claims`] counts those that were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outfit {
    /// How many of them have certainly started no machine.
    pub unused: u32,
}

impl Outfit {
    /// That of a new runner of a class.
    pub fn of(class: &Class) -> Option<Self> {
        (class.credentials == CredentialKind::Env).then(Self::default)
    }
}

/// A runner's machine is being taken back. If its job fails now, it was not the job's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenBack {
    /// GitHub has not named the job yet.
    Unnamed,
    /// This job ran.
    Job(JobId),
}

/// Where a runner stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerState {
    /// Its launch is stored but not answered.
    Reserved,
    /// The engine took it.
    Starting,
    /// Its agent has asked for credentials; whether it registered is not known yet.
    Claimed,
    /// It is connected and waits for a job.
    Idle {
        /// Since when, milliseconds.
        since_ms: u64,
    },
    /// It was idle, is not needed, and its agent has been asked to end it if it still is.
    Recalled {
        /// Since when, milliseconds.
        since_ms: u64,
    },
    /// It runs a job.
    Busy {
        /// The job that GitHub named; `None` as long as only the agent said that it is at work.
        job: Option<JobId>,
        /// Since when, milliseconds.
        since_ms: u64,
    },
    /// It should be ending.
    Ending {
        /// Why.
        why: EndWhy,
        /// When it is stopped if it has not ended by then, milliseconds.
        deadline_ms: u64,
    },
    /// The engine says that it no longer runs.
    Gone {
        /// In words.
        why: Arc<str>,
        /// When we learned it, milliseconds.
        at_ms: u64,
        /// Why we were ending it, if we were.
        #[serde(default)]
        ended: Option<EndWhy>,
        /// The job that it was running when it went.
        interrupted: Option<JobId>,
    },
}

/// Why a runner is ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndWhy {
    /// GitHub says that its job completed.
    Completed(JobId),
    /// Its agent says that the listener is dead.
    Ended(EndReason),
    /// When it claimed, no job was left for it.
    NoDemand,
    /// It was not connected by its boot deadline, and GitHub does not show it.
    BootOverdue,
    /// Its maximum lifetime is over.
    LifetimeOver,
    /// Its registration is gone although it waits for a job.
    Ghost,
    /// A person stopped it.
    Stopped(Arc<str>),
}

impl EndWhy {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Self::Completed(job) => format!("job {job} completed"),
            Self::Ended(EndReason::Exited) => "the runner program ended".into(),
            Self::Ended(EndReason::Idle) => "no job came in its idle time, or it was not needed".into(),
            Self::Ended(EndReason::NotConnected) => "it could not connect to GitHub in time".into(),
            Self::Ended(EndReason::Terminated) => "its machine was asked to end".into(),
            Self::Ended(EndReason::Deprecated) => "GitHub refuses its version: update the runner image".into(),
            Self::NoDemand => "it was not needed any more when it asked for its credentials".into(),
            Self::BootOverdue => "not connected by its boot deadline".into(),
            Self::LifetimeOver => "its maximum lifetime is over".into(),
            Self::Ghost => "its registration is gone".into(),
            Self::Stopped(by) => format!("stopped by {by}"),
        }
    }
}

/// What can be learned of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerInput {
    /// The engine took the launch.
    Launched {
        /// Which attempt.
        attempt: u32,
        /// The engine's handle.
        task: TaskId,
    },
    /// The engine definitely refused the launch: nothing was started.
    Refused {
        /// Which attempt.
        attempt: u32,
        /// The engine's words.
        why: Arc<str>,
    },
    /// It is about to be launched with credentials of its own: nothing will claim.
    Outfitted {
        /// For which attempt.
        attempt: u32,
    },
    /// GitHub gave no credentials for that, so that nothing was launched with them.
    NotOutfitted {
        /// For which attempt.
        attempt: u32,
        /// GitHub's words, if it will not give any.
        refused: Option<Arc<str>>,
    },
    /// Its agent asks for credentials.
    Claim {
        /// Which attempt's machine asks.
        attempt: u32,
    },
    /// Its agent asks for credentials, but a rate budget is empty: it has to ask again.
    ClaimWaits {
        /// Which attempt's machine asks.
        attempt: u32,
    },
    /// It claimed, but nothing is left to do for it.
    NoDemand,
    /// Its agent, or GitHub, says that the listener is connected.
    Connected {
        /// GitHub's id, if GitHub said it.
        registration: Option<RegistrationId>,
    },
    /// It is idle and not needed.
    Recall,
    /// Its agent sees a worker.
    JobStarted,
    /// GitHub says that it runs this job.
    Bound {
        /// Which.
        job: JobId,
    },
    /// GitHub says that this job, which it ran, has ended.
    Released {
        /// Which.
        job: JobId,
    },
    /// Its agent says that its machine is being taken back, and has told its job to end.
    SpotNotice,
    /// Its agent says that the listener is dead.
    Ended {
        /// Whether the agent ever saw a worker.
        ran_job: bool,
        /// Why it ends.
        reason: EndReason,
    },
    /// The engine says that its machine no longer runs.
    TaskGone {
        /// The engine's words.
        why: Arc<str>,
    },
    /// Its boot deadline has passed, and a direct read shows it neither online nor busy.
    BootOverdue,
    /// Its maximum lifetime has passed.
    LifetimeOver,
    /// Two direct reads find its registration gone while it waits for a job.
    Ghost,
    /// A person stops it, at work or not.
    Stop {
        /// Who, and why if that was said.
        by: Arc<str>,
    },
    /// A person wants it to end if that costs no job.
    StopIdle {
        /// Who, and why if that was said.
        by: Arc<str>,
    },
    /// It should have ended long ago.
    StopOverdue,
    /// The engine shows a machine of a runner that is gone.
    TaskAlive {
        /// The engine's handle.
        task: TaskId,
    },
}

impl RunnerInput {
    /// Short name for tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Launched { .. } => "launched",
            Self::Refused { .. } => "refused",
            Self::Outfitted { .. } => "outfitted",
            Self::NotOutfitted { .. } => "not outfitted",
            Self::Claim { .. } => "claim",
            Self::ClaimWaits { .. } => "claim waits",
            Self::NoDemand => "no demand",
            Self::Connected { .. } => "connected",
            Self::Recall => "recall",
            Self::JobStarted => "job started (report)",
            Self::Bound { .. } => "bound",
            Self::Released { .. } => "released",
            Self::SpotNotice => "spot notice (report)",
            Self::Ended { .. } => "ended (report)",
            Self::TaskGone { .. } => "task gone",
            Self::BootOverdue => "boot overdue",
            Self::LifetimeOver => "lifetime over",
            Self::Ghost => "ghost",
            Self::Stop { .. } => "stop",
            Self::StopIdle { .. } => "stop if idle",
            Self::StopOverdue => "stop overdue",
            Self::TaskAlive { .. } => "task alive",
        }
    }
}

impl RunnerState {
    /// Short name for tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Reserved => "Reserved",
            Self::Starting => "Starting",
            Self::Claimed => "Claimed",
            Self::Idle { .. } => "Idle",
            Self::Recalled { .. } => "Recalled",
            Self::Busy { job: None, .. } => "Busy (unnamed)",
            Self::Busy { job: Some(_), .. } => "Busy",
            Self::Ending { .. } => "Ending",
            Self::Gone { .. } => "Gone",
        }
    }

    /// Whether it counts against the limits: until the engine says that it is gone.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Gone { .. })
    }

    /// Whether it stands for one queued job of its pool. One that its agent calls busy still does, until GitHub names
    /// the job: the job that it took is still counted as queued.
    pub fn is_unbound(&self) -> bool {
        matches!(
            self,
            Self::Reserved | Self::Starting | Self::Claimed | Self::Idle { .. } | Self::Busy { job: None, .. }
        )
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "the large variant is the usual one and lives for one statement")]
pub enum Step {
    /// Nothing.
    Stay,
    /// The runner is now so.
    Change(Runner),
    /// This cannot happen; nothing changes and a person is told.
    Impossible,
}

impl Runner {
    /// The step that `input` makes. Total; reads no clock.
    pub fn step(&self, input: &RunnerInput, class: &Class, now_ms: u64) -> Step {
        match input {
            RunnerInput::Launched { attempt, task } => self.launched(*attempt, task, class, now_ms),
            RunnerInput::Refused { attempt, why } => self.refused(*attempt, why, class, now_ms),
            RunnerInput::Outfitted { attempt } => self.outfitted(*attempt),
            RunnerInput::NotOutfitted { attempt, refused } => self.not_outfitted(*attempt, refused.as_ref(), now_ms),
            RunnerInput::Claim { attempt } => self.claim(*attempt, class, now_ms),
            RunnerInput::ClaimWaits { attempt } => self.claim_waits(*attempt, class, now_ms),
            // One that has claimed may have its credentials, and be at work: its agent ends it if it heeds the answer.
            RunnerInput::NoDemand => self.end_if(self.may_claim() && self.claims == 0, EndWhy::NoDemand, now_ms),
            RunnerInput::Connected { registration } => self.connected(*registration, now_ms),
            RunnerInput::Recall => self.recall(now_ms),
            RunnerInput::JobStarted => self.job_started(now_ms),
            RunnerInput::Bound { job } => self.bound(*job, now_ms),
            RunnerInput::Released { job } => self.released(*job, now_ms),
            RunnerInput::SpotNotice => self.noticed(),
            RunnerInput::Ended { reason, .. } => self.end_if(self.is_not_ending(), EndWhy::Ended(*reason), now_ms),
            RunnerInput::TaskGone { why } => self.gone(why, now_ms),
            RunnerInput::BootOverdue => {
                let booting = matches!(self.state, RunnerState::Starting | RunnerState::Claimed);
                self.end_if(booting && now_ms >= self.boot_deadline_ms, EndWhy::BootOverdue, now_ms)
            }
            RunnerInput::LifetimeOver => {
                // One that GitHub named before its launch was answered has no deadline yet.
                let known = self.life_deadline_ms > 0 && self.state != RunnerState::Reserved;
                let over = known && now_ms >= self.life_deadline_ms;
                self.end_if(over && self.is_not_ending(), EndWhy::LifetimeOver, now_ms)
            }
            RunnerInput::Ghost => {
                let waits = matches!(self.state, RunnerState::Idle { .. } | RunnerState::Recalled { .. });
                self.end_if(waits, EndWhy::Ghost, now_ms)
            }
            RunnerInput::Stop { by } => self.end_if(self.is_not_ending(), EndWhy::Stopped(by.clone()), now_ms),
            RunnerInput::StopIdle { by } => self.stop_idle(by, now_ms),
            // Both only make the stop be sent again; the state already says that it must end.
            RunnerInput::StopOverdue | RunnerInput::TaskAlive { .. } => Step::Stay,
        }
    }

    fn to(&self, state: RunnerState) -> Step {
        Step::Change(Self { state, ..self.clone() })
    }

    fn end_if(&self, condition: bool, why: EndWhy, now_ms: u64) -> Step {
        if !condition {
            return Step::Stay;
        }
        let deadline_ms = now_ms + why.grace_ms();
        self.to(RunnerState::Ending { why, deadline_ms })
    }

    fn recall(&self, now_ms: u64) -> Step {
        if matches!(self.state, RunnerState::Idle { .. }) {
            return self.to(RunnerState::Recalled { since_ms: now_ms });
        }
        Step::Stay
    }

    /// What has never claimed has no job. Only the agent of an idle one sees whether it is being given one. Whoever boots
    /// may be at work already (after a loss of the store even without a claim that we know of).
    fn stop_idle(&self, by: &Arc<str>, now_ms: u64) -> Step {
        if self.state == RunnerState::Reserved {
            return self.end_if(true, EndWhy::Stopped(by.clone()), now_ms);
        }
        self.recall(now_ms)
    }

    fn is_not_ending(&self) -> bool {
        !matches!(self.state, RunnerState::Ending { .. } | RunnerState::Gone { .. })
    }

    /// Whether its agent may still be given credentials.
    pub fn may_claim(&self) -> bool {
        matches!(self.state, RunnerState::Reserved | RunnerState::Starting | RunnerState::Claimed)
    }

    /// The pool whose jobs it may be given.
    pub fn pool(&self) -> Pool {
        Pool {
            id: self.pool.clone(),
            class: self.class.clone(),
            scope: self.scope.clone(),
            labels: self.labels.clone(),
        }
    }

    /// The job that GitHub says it runs.
    pub fn busy_job(&self) -> Option<JobId> {
        if let RunnerState::Busy { job, .. } = self.state {
            return job;
        }
        if let RunnerState::Ending { why: EndWhy::Completed(job), .. } = self.state {
            return Some(job);
        }
        None
    }

    fn launched(&self, attempt: u32, task: &TaskId, class: &Class, now_ms: u64) -> Step {
        // An answer that was overtaken by a claim or a webhook still brings the handle, without which nothing stops it.
        let known = self.task.as_ref() == Some(task) || !self.state.is_live();
        if known || attempt != self.attempt {
            return Step::Stay;
        }
        let mut next = self.clone();
        next.task = Some(task.clone());
        if next.state == RunnerState::Reserved {
            next.state = RunnerState::Starting;
            next.set_deadlines(class, now_ms);
        } else if next.life_deadline_ms == 0 {
            next.life_deadline_ms = now_ms + class.lifetime_ms(&self.labels);
        }
        Step::Change(next)
    }

    fn set_deadlines(&mut self, class: &Class, now_ms: u64) {
        self.boot_deadline_ms = now_ms + class.boot_timeout_ms;
        if self.life_deadline_ms == 0 {
            self.life_deadline_ms = now_ms + class.lifetime_ms(&self.labels);
        }
    }

    fn refused(&self, attempt: u32, why: &Arc<str>, class: &Class, now_ms: u64) -> Step {
        if attempt != self.attempt || !self.state.is_live() {
            return Step::Stay;
        }
        let reserved = self.state == RunnerState::Reserved;
        if reserved && attempt < class.placements {
            // Whatever was told to the engine has started nothing.
            let outfit = self.outfit.map(|_| Outfit { unused: self.claims });
            return Step::Change(Self { attempt: attempt + 1, outfit, ..self.clone() });
        }
        // One that has claimed: this occurs when the answer to its launch was lost, and somebody took the machine away
        // before the launch was repeated. Without its handle no later look would ever find it gone.
        if self.task.is_none() && (self.may_claim() || matches!(self.state, RunnerState::Ending { .. })) {
            return self.gone(why, now_ms);
        }
        Step::Impossible
    }

    /// Each try to launch has a name of its own: whether the one before started something may not be known.
    fn outfitted(&self, attempt: u32) -> Step {
        if self.state != RunnerState::Reserved || attempt != self.attempt || self.outfit.is_none() {
            return Step::Stay;
        }
        Step::Change(Self { claims: self.claims + 1, ..self.clone() })
    }

    /// Where GitHub refuses for good and no earlier try can have started anything, it is given up, and its place is free.
    fn not_outfitted(&self, attempt: u32, refused: Option<&Arc<str>>, now_ms: u64) -> Step {
        let Some(outfit) = self.outfit.filter(|_| self.state == RunnerState::Reserved && attempt == self.attempt)
        else {
            return Step::Stay;
        };
        let unused = (outfit.unused + 1).min(self.claims);
        let next = Self { outfit: Some(Outfit { unused }), ..self.clone() };
        match refused.filter(|_| next.is_never_launched()) {
            Some(why) => next.gone(why, now_ms),
            None if next == *self => Step::Stay,
            None => Step::Change(next),
        }
    }

    /// Whether it is told its credentials, and no machine of it can run: no launch with its credentials was sent, or all were definitely refused.
    pub fn is_never_launched(&self) -> bool {
        let all_unused = self.outfit.is_some_and(|outfit| outfit.unused == self.claims);
        self.state == RunnerState::Reserved && self.task.is_none() && all_unused
    }

    fn claim(&self, attempt: u32, class: &Class, now_ms: u64) -> Step {
        if !self.may_claim() || attempt != self.attempt {
            return Step::Stay;
        }
        let mut next = self.clone();
        next.claims += 1;
        next.set_deadlines(class, now_ms);
        next.state = RunnerState::Claimed;
        Step::Change(next)
    }

    /// Waiting for a budget does not count against the boot deadline, and uses up no name.
    fn claim_waits(&self, attempt: u32, class: &Class, now_ms: u64) -> Step {
        if !self.may_claim() || attempt != self.attempt {
            return Step::Stay;
        }
        let mut next = self.clone();
        next.set_deadlines(class, now_ms);
        Step::Change(next)
    }

    fn connected(&self, registration: Option<RegistrationId>, now_ms: u64) -> Step {
        if !self.state.is_live() {
            return Step::Stay;
        }
        let mut next = self.clone();
        next.registration = registration.or(self.registration);
        if next.may_claim() {
            next.state = RunnerState::Idle { since_ms: now_ms };
        }
        if next == *self { Step::Stay } else { Step::Change(next) }
    }

    fn job_started(&self, now_ms: u64) -> Step {
        match &self.state {
            RunnerState::Busy { .. } | RunnerState::Gone { .. } => Step::Stay,
            RunnerState::Ending { why, .. } if !why.is_doubtful() => Step::Stay,
            RunnerState::Reserved
            | RunnerState::Starting
            | RunnerState::Claimed
            | RunnerState::Idle { .. }
            | RunnerState::Recalled { .. }
            | RunnerState::Ending { .. } => self.to(RunnerState::Busy { job: None, since_ms: now_ms }),
        }
    }

    fn bound(&self, job: JobId, now_ms: u64) -> Step {
        match &self.state {
            RunnerState::Busy { job: Some(other), .. } if *other == job => Step::Stay,
            // An ephemeral runner is given one job in its life.
            RunnerState::Busy { job: Some(_), .. } => Step::Impossible,
            RunnerState::Busy { job: None, since_ms } => self.busy_with(job, *since_ms),
            RunnerState::Gone { .. } => Step::Stay,
            RunnerState::Ending { why, .. } if !why.is_doubtful() => Step::Stay,
            RunnerState::Reserved
            | RunnerState::Starting
            | RunnerState::Claimed
            | RunnerState::Idle { .. }
            | RunnerState::Recalled { .. }
            | RunnerState::Ending { .. } => self.busy_with(job, now_ms),
        }
    }

    fn busy_with(&self, job: JobId, since_ms: u64) -> Step {
        let taken_back = self.taken_back.map(|_| TakenBack::Job(job));
        Step::Change(Self { taken_back, state: RunnerState::Busy { job: Some(job), since_ms }, ..self.clone() })
    }

    fn released(&self, job: JobId, now_ms: u64) -> Step {
        match self.state {
            RunnerState::Busy { job: Some(other), .. } if other != job => Step::Impossible,
            RunnerState::Ending { .. } | RunnerState::Gone { .. } => Step::Stay,
            RunnerState::Reserved
            | RunnerState::Starting
            | RunnerState::Claimed
            | RunnerState::Idle { .. }
            | RunnerState::Recalled { .. }
            | RunnerState::Busy { .. } => self.end_if(true, EndWhy::Completed(job), now_ms),
        }
    }

    /// One that we are ending ourselves is told to end by us.
    fn noticed(&self) -> Step {
        if !self.is_not_ending() || self.taken_back.is_some() {
            return Step::Stay;
        }
        let taken_back = self.busy_job().map_or(TakenBack::Unnamed, TakenBack::Job);
        Step::Change(Self { taken_back: Some(taken_back), ..self.clone() })
    }

    fn gone(&self, why: &Arc<str>, now_ms: u64) -> Step {
        if !self.state.is_live() {
            return Step::Stay;
        }
        let interrupted = if let RunnerState::Busy { job, .. } = self.state { job } else { None };
        let ended = if let RunnerState::Ending { why, .. } = &self.state { Some(why.clone()) } else { None };
        self.to(RunnerState::Gone { why: why.clone(), at_ms: now_ms, ended, interrupted })
    }
}

impl EndWhy {
    /// How long the runner may take to end by itself.
    fn grace_ms(&self) -> u64 {
        match self {
            Self::Completed(_) | Self::Ended(_) | Self::NoDemand => END_GRACE_MS,
            Self::BootOverdue | Self::LifetimeOver | Self::Ghost | Self::Stopped(_) => 0,
        }
    }

    /// Whether a job that failed after it may have been lost with its machine: we did not stop that at work.
    pub(crate) fn may_lose_its_job(&self) -> bool {
        match self {
            Self::Ended(_) => true,
            Self::Completed(_)
            | Self::NoDemand
            | Self::BootOverdue
            | Self::LifetimeOver
            | Self::Ghost
            | Self::Stopped(_) => false,
        }
    }

    /// Whether it is only our guess that the runner does nothing: GitHub's word that it runs a job saves it.
    fn is_doubtful(&self) -> bool {
        match self {
            Self::BootOverdue | Self::Ghost => true,
            Self::Completed(_) | Self::Ended(_) | Self::NoDemand | Self::LifetimeOver | Self::Stopped(_) => false,
        }
    }
}
