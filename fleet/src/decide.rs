//! The decision: a view and some events in, one conditional write out.
//!
//! Total: an impossible transition changes nothing and tells a person. Events of one call are decided together, on one
//! working copy, so a burst of webhooks costs one write; launches are decided once, at the end ([`crate::balance`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    class::Class,
    effect::{Effect, LaunchSpec, Notice, NoticeKind},
    event::{Event, Outcome, Task},
    ids::{ClassName, EffectId, JobId, PoolId, RunnerName, Scope},
    job::{self, Conclusion, Job, JobFacts, JobInput, JobState},
    ledger::KEEP_ENDED_MS,
    policy::{Placement, Policy},
    runner::{EndWhy, Outfit, Runner, RunnerInput, RunnerState, Step, TakenBack},
    view::{Decision, PoolView, Put, Record, Row, View},
    wire::EndReason,
};

/// A job that fails so long after its runner went was lost with it: GitHub waits about ten minutes for a silent runner,
/// while the `completed` of a job that ended by itself arrives with its machine's end.
const LOST_JOB_FAILS_AFTER_MS: u64 = 5 * 60_000;

/// How long a person is not told of an interrupted job: it may have ended, and only the word of it is late.
const INTERRUPTED_NOTICE_AFTER_MS: u64 = 2 * 60_000;

/// What the record of a job that began says before the runner's name.
pub const RUNS_ON: &str = "runs on ";

/// How a record begins that names the runner of a job whose beginning was not heard of: it is heard of at its end.
pub const RAN_ON: &str = "ran on ";

/// What the record of a job that ended says before how it did.
pub const ENDED: &str = "ended: ";

/// The moment of a decision: the only clock and the only randomness that the core sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
    /// A number that no other decision has: new runners are named after it.
    pub nonce: u64,
}

/// Decides on `events`, in order.
pub fn decide(policy: &Policy, view: &View, events: &[Event], moment: Moment) -> Decision {
    let mut draft = Draft::new(policy, view, moment);
    for event in events {
        let outcome = draft.event(event);
        draft.out.outcomes.push(outcome);
    }
    draft.balance(events);
    draft.finish()
}

/// Why a job was lost whose machine was announced to go: the same words when that is heard of, and when the job ends.
const TAKEN_BACK: &str = "its machine was taken back";

/// What is said of a job that was lost with its machine.
fn interruption(runner: &RunnerName, job: JobId, why: &str) -> Notice {
    let text = format!("job {job} lost its runner {runner}: {why}. GitHub fails it and does not queue it again");
    Notice { kind: NoticeKind::JobInterrupted, text: text.into() }
}

/// A decision in the making: a working copy of the view, and what has changed in it.
pub(crate) struct Draft<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) now_ms: u64,
    pub(crate) nonce: u64,
    /// The view as it was read: guards are written against it.
    pub(crate) read: &'a View,
    pub(crate) view: View,
    pub(crate) out: Decision,
    /// Runners named so far.
    pub(crate) named: u32,
    changed_jobs: BTreeSet<JobId>,
    changed_runners: BTreeSet<RunnerName>,
    pub(crate) changed_pools: BTreeSet<PoolId>,
}

impl<'a> Draft<'a> {
    fn new(policy: &'a Policy, view: &'a View, moment: Moment) -> Self {
        Self {
            policy,
            now_ms: moment.now_ms,
            nonce: moment.nonce,
            read: view,
            view: view.clone(),
            out: Decision::default(),
            named: 0,
            changed_jobs: BTreeSet::new(),
            changed_runners: BTreeSet::new(),
            changed_pools: BTreeSet::new(),
        }
    }

    fn event(&mut self, event: &Event) -> Outcome {
        match event {
            Event::Job { facts, input } => self.job(facts, input),
            Event::Rematch { job } => self.rematch(*job),
            Event::Runner { runner, input } => self.runner(runner, input),
            Event::Adopt(task) => self.adopt(task),
            Event::Drain { extent, by } => self.drain(extent, by),
            Event::EndDrain { extent, by } => self.end_drain(extent, by),
            Event::Inventory => self.inventory(),
            Event::Balance => Outcome::Accepted("looked who is next".into()),
        }
    }

    fn inventory(&mut self) -> Outcome {
        if !self.view.inventoried {
            self.view.inventoried = true;
            self.out.inventoried = true;
        }
        Outcome::Accepted("the engine's machines are known".into())
    }

    // --- jobs -----------------------------------------------------------------------------------------------------

    fn job(&mut self, facts: &JobFacts, input: &JobInput) -> Outcome {
        let ours = input.runner().and_then(|name| RunnerName::parse_registered(&self.policy.prefix(), name));
        let known = self.view.jobs.get(&facts.id).map(|row| row.value.clone());
        // What names a runner of ours is never set aside, whatever its labels: GitHub may give our runner any job.
        if known.is_none() && ours.is_none() {
            // A direct read does not tell it, and a public repository must not slip in; webhooks and listings tell.
            if facts.public.is_none() {
                let why = "whether its repository is public is not known; the next listing tells".into();
                return self.set_aside(facts, Outcome::Ignored(why));
            }
            match self.policy.place(facts) {
                Placement::Forbidden(why) => return self.set_aside(facts, Outcome::Forbidden(why)),
                Placement::Unmatched(why) => return self.set_aside(facts, Outcome::Ignored(why)),
                Placement::Pool(_) | Placement::Closed(_) => {}
            }
        }
        if known.is_none() && *input == JobInput::Queued && self.is_old(facts) {
            return self.ask_about(facts);
        }
        let was_done = known.as_ref().is_some_and(|job| !job.state.is_open());
        let outcome = self.job_step(known, facts, input);
        if let Some((base, n)) = ours {
            self.named_runner(&base, n, facts, input);
            // This occurs also when GitHub delivers an old `completed` again, which is no word about how it ended.
            if let JobInput::Completed { conclusion, .. } = input
                && !was_done
            {
                self.settle_interruption(&base, facts, *conclusion);
            }
        }
        outcome
    }

    /// Whether its row, if it had one, may have ended and expired.
    fn is_old(&self, facts: &JobFacts) -> bool {
        facts.created_ms > 0 && self.now_ms > facts.created_ms + KEEP_ENDED_MS
    }

    /// This occurs when GitHub delivers again what failed hours ago: the job may have run meanwhile and be forgotten here.
    fn ask_about(&mut self, facts: &JobFacts) -> Outcome {
        let text = "it was created hours ago and is not known here: GitHub is asked whether it still waits".to_owned();
        self.record(Some(facts.id), None, text.clone());
        self.effect(Effect::ReadJob { job: facts.id, repo: facts.repo.clone() }, self.now_ms);
        Outcome::Accepted(text)
    }

    fn set_aside(&mut self, facts: &JobFacts, outcome: Outcome) -> Outcome {
        if let Outcome::Forbidden(why) | Outcome::Ignored(why) = &outcome {
            self.record(Some(facts.id), None, format!("{why} (it is `{}` of {})", facts.name, facts.repo));
        }
        outcome
    }

    fn job_step(&mut self, known: Option<Job>, facts: &JobFacts, input: &JobInput) -> Outcome {
        let before = known.as_ref().map(|job| &job.state);
        self.out.steps.push(("job", before.map_or("(none)", JobState::label), input.label()));
        let was_running = matches!(before, Some(JobState::Running { .. }));
        let Some(state) = job::step(before, input, self.now_ms) else {
            return Outcome::Duplicate;
        };
        let mut job = known.unwrap_or_else(|| Job {
            facts: facts.clone(),
            pool: None,
            seen_ms: self.now_ms,
            state: JobState::Waiting,
        });
        job.state = state;
        let text = match &job.state {
            JobState::Waiting => "waits for an approval at GitHub; nothing is started before that".to_owned(),
            JobState::Queued => {
                let (pool, text) = self.place(&job.facts);
                job.pool = pool;
                text
            }
            JobState::Running { runner, .. } if runner.is_empty() => {
                format!("{RUNS_ON}a runner that GitHub does not name")
            }
            JobState::Running { runner, .. } => format!("{RUNS_ON}{runner}"),
            JobState::Done { conclusion, .. } => format!("{ENDED}{}", conclusion.text()),
        };
        if let JobInput::Completed { runner, .. } = input
            && !runner.is_empty()
            && !was_running
        {
            self.record(Some(facts.id), self.our_base(runner), format!("{RAN_ON}{runner}"));
        }
        // The words for a queued job are found after the launches are decided.
        if job.pool.is_none() || job.state != JobState::Queued {
            let runner =
                matches!(job.state, JobState::Running { .. }).then(|| self.our_base(input.runner()?)).flatten();
            self.record(Some(facts.id), runner, text.clone());
        }
        self.set_job(job);
        Outcome::Accepted(text)
    }

    /// Our runner that GitHub means by this name.
    fn our_base(&self, registered: &str) -> Option<RunnerName> {
        RunnerName::parse_registered(&self.policy.prefix(), registered).map(|(base, _)| base)
    }

    /// The pool of a queued job, and words about it.
    fn place(&mut self, facts: &JobFacts) -> (Option<PoolId>, String) {
        match self.policy.place(facts) {
            Placement::Pool(pool) => {
                let id = pool.id.clone();
                self.view.pools.entry(id.clone()).or_insert_with(|| PoolView::new(pool));
                (Some(id), "queued".into())
            }
            Placement::Closed(class) => (None, format!("waits: class `{class}` is closed (max = 0)")),
            Placement::Unmatched(why) | Placement::Forbidden(why) => (None, format!("waits, {why}")),
        }
    }

    fn rematch(&mut self, id: JobId) -> Outcome {
        let Some(row) = self.view.jobs.get(&id) else { return Outcome::Unknown };
        let mut job = row.value.clone();
        if job.state != JobState::Queued {
            return Outcome::Duplicate;
        }
        let (pool, text) = self.place(&job.facts);
        if pool == job.pool {
            return Outcome::Duplicate;
        }
        job.pool = pool;
        if job.pool.is_none() {
            self.record(Some(id), None, text.clone());
        }
        self.set_job(job);
        Outcome::Accepted(text)
    }

    /// GitHub names a runner of ours: only that binds or releases it.
    fn named_runner(&mut self, base: &RunnerName, n: u32, facts: &JobFacts, ending: &JobInput) {
        let done = self.view.jobs.get(&facts.id).is_some_and(|job| !job.value.state.is_open());
        let input = match ending {
            // An `in_progress` that comes after `completed` must not make its runner busy for ever.
            JobInput::InProgress { .. } if done => return,
            JobInput::InProgress { .. } => RunnerInput::Bound { job: facts.id },
            JobInput::Completed { .. } => RunnerInput::Released { job: facts.id },
            JobInput::Waiting | JobInput::Queued | JobInput::QueuedDirect | JobInput::Missing => return,
        };
        let Some(runner) = self.view.runners.get(base).map(|row| row.value.clone()) else { return };
        self.runner_step(&runner, &input);
        if let Some(row) = self.view.runners.get(base) {
            let mut runner = row.value.clone();
            runner.repo = Some(facts.repo.clone());
            runner.claims = runner.claims.max(n);
            self.set_runner(runner);
        }
        self.clear_fruitless(base);
    }

    /// GitHub gave the pool's runner a job: whatever held the pool back is over.
    fn clear_fruitless(&mut self, base: &RunnerName) {
        let Some(id) = self.view.runners.get(base).map(|row| row.value.pool.clone()) else { return };
        if let Some(pool) = self.view.pools.get_mut(&id).filter(|pool| pool.flags.fruitless > 0) {
            pool.flags = crate::view::PoolFlags::default();
            self.changed_pools.insert(id);
        }
    }

    /// A job has ended whose machine was gone before: was it lost with it, or had it ended by itself?
    fn settle_interruption(&mut self, base: &RunnerName, facts: &JobFacts, conclusion: Conclusion) {
        let Some(mut runner) = self.view.runners.get(base).map(|row| row.value.clone()) else { return };
        if let Some(taken_back) = runner.taken_back {
            return self.settle_taken_back(runner, taken_back, facts, conclusion);
        }
        let RunnerState::Gone { why, at_ms, ended, interrupted } = &mut runner.state else { return };
        let late = self.now_ms > *at_ms + LOST_JOB_FAILS_AFTER_MS;
        let lost = late && conclusion == Conclusion::Failure && ended.as_ref().is_none_or(EndWhy::may_lose_its_job);
        let notice = interruption(base, facts.id, why);
        match *interrupted {
            // This occurs when the machine's end is heard of before the job's: all went well.
            Some(job) if job == facts.id && !lost => {
                *interrupted = None;
                self.settle(Effect::Notify(notice).id());
            }
            // This occurs when a machine dies before the webhook that names its job.
            None if lost => {
                *interrupted = Some(facts.id);
                self.record(Some(facts.id), Some(base.clone()), notice.text.to_string());
                self.effect(Effect::Notify(notice), self.now_ms);
            }
            Some(_) | None => {}
        }
        self.set_runner(runner);
        if lost {
            self.rerun(facts);
        }
    }

    /// A job has ended whose machine was being taken back. Told to end, GitHub's runner program lets its job fail
    /// (actions/runner#1792); if it is killed, the job is shown as cancelled (runs-on/runs-on#249).
    fn settle_taken_back(&mut self, mut runner: Runner, before: TakenBack, facts: &JobFacts, conclusion: Conclusion) {
        let notice = interruption(&runner.name, facts.id, TAKEN_BACK);
        let lost = matches!(conclusion, Conclusion::Failure | Conclusion::Cancelled);
        match before {
            TakenBack::Job(job) if job != facts.id => return,
            // It ended in the time that was left.
            TakenBack::Job(_) if !lost => self.settle(Effect::Notify(notice).id()),
            TakenBack::Unnamed if lost => {
                runner.taken_back = Some(TakenBack::Job(facts.id));
                self.record(Some(facts.id), Some(runner.name.clone()), notice.text.to_string());
                self.effect(Effect::Notify(notice), self.now_ms);
                self.set_runner(runner);
            }
            TakenBack::Job(_) | TakenBack::Unnamed => {}
        }
        if lost {
            self.rerun(facts);
        }
    }

    fn rerun(&mut self, facts: &JobFacts) {
        // The first attempt only: asked once, not for ever.
        if self.policy.rerun_interrupted && facts.run_attempt <= 1 {
            self.effect(Effect::Rerun { job: facts.id, repo: facts.repo.clone() }, self.now_ms);
            self.record(Some(facts.id), None, "its runner was lost: GitHub is asked once to run it again".into());
        }
    }

    // --- runners --------------------------------------------------------------------------------------------------

    fn runner(&mut self, name: &RunnerName, input: &RunnerInput) -> Outcome {
        let Some(runner) = self.view.runners.get(name).map(|row| row.value.clone()) else {
            return Outcome::Unknown;
        };
        match input {
            RunnerInput::Claim { attempt } | RunnerInput::ClaimWaits { attempt } => {
                self.claim(&runner, *attempt, input)
            }
            RunnerInput::Outfitted { .. } => self.outfitted(&runner, input),
            RunnerInput::NotOutfitted { .. } => self.not_outfitted(&runner, input),
            RunnerInput::Connected { .. } => self.connected(&runner, input),
            RunnerInput::Stop { by } | RunnerInput::StopIdle { by } => self.stop_by_hand(&runner, input, by),
            RunnerInput::Launched { .. }
            | RunnerInput::Refused { .. }
            | RunnerInput::NoDemand
            | RunnerInput::Recall
            | RunnerInput::JobStarted
            | RunnerInput::Bound { .. }
            | RunnerInput::Released { .. }
            | RunnerInput::SpotNotice
            | RunnerInput::Ended { .. }
            | RunnerInput::TaskGone { .. }
            | RunnerInput::BootOverdue
            | RunnerInput::LifetimeOver
            | RunnerInput::Ghost
            | RunnerInput::StopOverdue
            | RunnerInput::TaskAlive { .. } => {
                if self.runner_step(&runner, input) {
                    Outcome::Accepted(input.label().into())
                } else {
                    Outcome::Duplicate
                }
            }
        }
    }

    fn claim(&mut self, runner: &Runner, attempt: u32, input: &RunnerInput) -> Outcome {
        if !runner.may_claim() || attempt != runner.attempt {
            self.out.steps.push(("runner", runner.state.label(), input.label()));
            return match runner.state {
                RunnerState::Idle { .. } | RunnerState::Recalled { .. } | RunnerState::Busy { .. } => {
                    let text =
                        format!("{} is registered and asked for credentials again: was its token stolen?", runner.name);
                    self.notify(NoticeKind::ClaimAfterRegistration, text);
                    Outcome::ClaimRefused
                }
                RunnerState::Reserved
                | RunnerState::Starting
                | RunnerState::Claimed
                | RunnerState::Ending { .. }
                | RunnerState::Gone { .. } => Outcome::Go,
            };
        }
        let drained = self.view.drains.words(&runner.class);
        if drained.is_some() || self.has_surplus(&runner.pool) {
            if let Some(why) = drained {
                self.record(None, Some(runner.name.clone()), format!("{} is sent away: {why}", runner.name));
            }
            self.runner_step(runner, &RunnerInput::NoDemand);
            return Outcome::Go;
        }
        self.runner_step(runner, input);
        if let RunnerInput::ClaimWaits { .. } = input {
            return Outcome::Accepted("waits for a rate budget".into());
        }
        Outcome::Claimed { n: runner.claims + 1, pool: runner.pool() }
    }

    /// Before each try to launch a runner that nobody can ask whether it is still needed once it runs.
    fn outfitted(&mut self, runner: &Runner, input: &RunnerInput) -> Outcome {
        let drained = self.view.drains.words(&runner.class).is_some();
        if runner.is_never_launched() && (drained || self.has_surplus(&runner.pool)) {
            let why = "it was not needed any more before it was started";
            self.runner_step(runner, &RunnerInput::TaskGone { why: why.into() });
            return Outcome::Go;
        }
        if self.runner_step(runner, input) {
            return Outcome::Claimed { n: runner.claims + 1, pool: runner.pool() };
        }
        Outcome::Duplicate
    }

    fn not_outfitted(&mut self, runner: &Runner, input: &RunnerInput) -> Outcome {
        if !self.runner_step(runner, input) {
            return Outcome::Duplicate;
        }
        match self.view.runners.get(&runner.name) {
            Some(row) if !row.value.state.is_live() => Outcome::Go,
            // A try whose end is not known keeps it from being given up; its pool waits, with the reason, all the same.
            Some(_) | None => {
                if let RunnerInput::NotOutfitted { refused: Some(why), .. } = input {
                    self.hold(&runner.pool, NoticeKind::Denied, &format!("GitHub refuses to register runners: {why}"));
                }
                Outcome::Accepted(input.label().into())
            }
        }
    }

    fn connected(&mut self, runner: &Runner, input: &RunnerInput) -> Outcome {
        let changed = self.runner_step(runner, input);
        let Some(runner) = self.view.runners.get(&runner.name).map(|row| row.value.clone()) else {
            return Outcome::Unknown;
        };
        let is_idle = matches!(runner.state, RunnerState::Idle { .. });
        if let Some(why) = is_idle.then(|| self.is_unwanted(&runner)).flatten() {
            self.recall(&runner, &RunnerInput::Recall, &why);
            return Outcome::EndIfIdle;
        }
        match runner.state {
            RunnerState::Recalled { .. } | RunnerState::Ending { .. } => Outcome::EndIfIdle,
            RunnerState::Reserved
            | RunnerState::Starting
            | RunnerState::Claimed
            | RunnerState::Idle { .. }
            | RunnerState::Busy { .. }
            | RunnerState::Gone { .. } => {
                if changed {
                    Outcome::Accepted("connected".into())
                } else {
                    Outcome::Duplicate
                }
            }
        }
    }

    /// Why an idle runner is to end.
    fn is_unwanted(&self, runner: &Runner) -> Option<String> {
        let surplus = || self.has_surplus(&runner.pool) && self.somebody_is_held_back(runner);
        let needless = "no job is left for it, and its place is needed";
        self.view.drains.words(&runner.class).or_else(|| surplus().then(|| needless.to_owned()))
    }

    pub(crate) fn recall(&mut self, runner: &Runner, input: &RunnerInput, why: &str) {
        let text = format!("{} is asked to end if it has no job: {why}", runner.name);
        self.record(None, Some(runner.name.clone()), text);
        self.runner_step(runner, input);
    }

    fn has_surplus(&self, pool: &PoolId) -> bool {
        self.view.pools.get(pool).is_some_and(|pool| pool.deficit() < 0)
    }

    /// Makes the step and all that follows from it; whether anything changed.
    pub(crate) fn runner_step(&mut self, runner: &Runner, input: &RunnerInput) -> bool {
        self.out.steps.push(("runner", runner.state.label(), input.label()));
        let class = self.class(&runner.class);
        let next = match runner.step(input, &class, self.now_ms) {
            Step::Stay => {
                self.again_stop(runner, input);
                return false;
            }
            Step::Impossible => {
                let text = format!("{}: `{}` in state {} cannot be", runner.name, input.label(), runner.state.label());
                self.notify(NoticeKind::Impossible, text);
                return false;
            }
            Step::Change(next) => next,
        };
        self.follow(runner, &next, input, &class);
        self.set_runner(next);
        true
    }

    /// Inputs that change no row but make the stop be sent again.
    fn again_stop(&mut self, runner: &Runner, input: &RunnerInput) {
        match (input, &runner.state) {
            (RunnerInput::StopOverdue, RunnerState::Ending { why, .. }) => {
                self.stop(runner, runner.task.clone(), &why.text(), self.now_ms);
            }
            // This occurs when a create that was delayed in the engine is carried out after we took it for gone.
            (RunnerInput::TaskAlive { task } | RunnerInput::Launched { task, .. }, RunnerState::Gone { .. }) => {
                self.stop(runner, Some(task.clone()), "its runner was already written off", self.now_ms);
                self.notify(
                    NoticeKind::Unexpected,
                    format!("{}: the engine still shows {task}; it is stopped", runner.name),
                );
            }
            (_, _) => {}
        }
    }

    pub(crate) fn stop(&mut self, runner: &Runner, task: Option<crate::ids::TaskId>, why: &str, due_ms: u64) {
        self.effect(Effect::Stop { runner: runner.name.clone(), why: why.into(), task }, due_ms);
    }

    /// Effects and records of a change of state.
    fn follow(&mut self, old: &Runner, new: &Runner, input: &RunnerInput, class: &Class) {
        if let Some(TakenBack::Job(job)) = new.taken_back.filter(|_| new.taken_back != old.taken_back) {
            self.interrupted(new, job, TAKEN_BACK);
        }
        match &new.state {
            RunnerState::Ending { why, deadline_ms } => {
                let learned_task = old.task != new.task;
                if old.state != new.state || learned_task {
                    self.stop(new, new.task.clone(), &why.text(), *deadline_ms);
                }
                if old.state != new.state {
                    self.ending(old, new, why, input);
                }
            }
            RunnerState::Gone { why, .. } => self.gone(old, new, why, input),
            // Refused, and another placement is left.
            RunnerState::Reserved if new.attempt != old.attempt => {
                self.effect(Effect::Launch(Box::new(LaunchSpec::of(new, class))), self.now_ms);
            }
            RunnerState::Busy { .. } => {
                // Saved from a stop that rested on a guess.
                self.settle(Effect::stop_id(&new.name));
            }
            RunnerState::Reserved
            | RunnerState::Starting
            | RunnerState::Claimed
            | RunnerState::Idle { .. }
            | RunnerState::Recalled { .. } => {}
        }
    }

    fn ending(&mut self, old: &Runner, new: &Runner, why: &EndWhy, input: &RunnerInput) {
        let text = why.text();
        self.record(old.busy_job(), Some(new.name.clone()), format!("{} ends: {text}", new.name));
        match why {
            EndWhy::Ended(reason) => {
                // Only now, because the agent says that the listener is dead: deleting a live one can kill a job.
                self.deregister(new);
                if *reason == EndReason::Deprecated {
                    self.notify(NoticeKind::RunnerDeprecated, format!("pool {}: {text}", new.pool));
                }
                if !matches!(input, RunnerInput::Ended { ran_job: true, .. }) {
                    self.fruitless(old, &text);
                } else if old.busy_job().is_none() {
                    self.ask_for_served(new);
                }
            }
            EndWhy::LifetimeOver => self.notify(NoticeKind::LifetimeOver, format!("{} is stopped: {text}", new.name)),
            EndWhy::BootOverdue => {
                self.notify(NoticeKind::BootOverdue, format!("{} is stopped: {text}", new.name));
                self.fruitless(old, &text);
            }
            EndWhy::Completed(_) | EndWhy::NoDemand | EndWhy::Ghost | EndWhy::Stopped(_) => {}
        }
    }

    fn gone(&mut self, old: &Runner, new: &Runner, why: &str, input: &RunnerInput) {
        // A launch whose answer is still open must not be repeated now: it would start a second machine.
        self.settle(Effect::launch_id(&new.name, new.attempt));
        self.settle(Effect::stop_id(&new.name));
        self.record(old.busy_job(), Some(new.name.clone()), format!("{} is gone: {why}", new.name));
        if let RunnerInput::Refused { .. } = input {
            self.hold(&new.pool, NoticeKind::NoCapacity, &format!("the engine refuses to start a runner: {why}"));
        }
        if let RunnerInput::NotOutfitted { .. } = input {
            self.hold(&new.pool, NoticeKind::Denied, &format!("GitHub refuses to register runners: {why}"));
        }
        // A registration whose job ended is taken away by GitHub itself; one that the agent ended is deleted already.
        let cleaned = matches!(&old.state, RunnerState::Ending { why: EndWhy::Completed(_) | EndWhy::Ended(_), .. });
        if !cleaned {
            self.deregister(new);
        }
        match &old.state {
            RunnerState::Busy { job: Some(job), .. } if old.taken_back.is_none() => self.interrupted(old, *job, why),
            RunnerState::Starting | RunnerState::Claimed | RunnerState::Idle { .. } => {
                self.fruitless(old, why);
                // It could not tell whether it ran a job.
                if old.outfit.is_some() {
                    self.ask_for_served(old);
                }
            }
            RunnerState::Reserved
            | RunnerState::Recalled { .. }
            | RunnerState::Busy { .. }
            | RunnerState::Ending { .. }
            | RunnerState::Gone { .. } => {}
        }
    }

    /// Its machine went while it ran, as far as we know. GitHub is asked at once; a person is told if it has not ended.
    fn interrupted(&mut self, runner: &Runner, job: JobId, why: &str) {
        let notice = interruption(&runner.name, job, why);
        self.record(Some(job), Some(runner.name.clone()), notice.text.to_string());
        self.effect(Effect::Notify(notice), self.now_ms + INTERRUPTED_NOTICE_AFTER_MS);
        if let Some(repo) = &runner.repo {
            self.effect(Effect::ReadJob { job, repo: repo.clone() }, self.now_ms);
        }
    }

    /// This occurs when a job was over before GitHub told us who took it. It still counts as queued, and a runner is
    /// started for it: the sooner the truth is known, the likelier that one is sent away at its claim.
    fn ask_for_served(&mut self, runner: &Runner) {
        let head = self.view.pools.get(&runner.pool).and_then(|pool| pool.head.clone());
        if let Some(head) = head {
            self.effect(Effect::ReadJob { job: head.job, repo: head.repo }, self.now_ms);
        }
    }

    fn deregister(&mut self, runner: &Runner) {
        if runner.claims > 0 {
            let effect =
                Effect::Deregister { runner: runner.name.clone(), scope: runner.scope.clone(), claims: runner.claims };
            self.effect(effect, self.now_ms);
        }
    }

    fn adopt(&mut self, task: &Task) -> Outcome {
        self.out.steps.push((
            "runner",
            self.view.runners.get(&task.runner).map_or("(none)", |r| r.value.state.label()),
            "adopt",
        ));
        if self.view.runners.contains_key(&task.runner) || task.stopped.is_some() {
            return Outcome::Duplicate;
        }
        let class = self.class(&task.pool.class);
        self.view.pools.entry(task.pool.id.clone()).or_insert_with(|| PoolView::new(task.pool.clone()));
        self.set_runner(Runner {
            name: task.runner.clone(),
            pool: task.pool.id.clone(),
            class: task.pool.class.clone(),
            scope: task.pool.scope.clone(),
            labels: task.pool.labels.clone(),
            repo: task.repo.clone(),
            asked_by: None,
            attempt: task.attempt,
            claims: 0,
            task: Some(task.id.clone()),
            registration: None,
            created_ms: task.created_ms,
            boot_deadline_ms: self.now_ms + class.boot_timeout_ms,
            // Its first deadline, which began with the answer to its launch, is not known: none is stopped before that.
            life_deadline_ms: self.now_ms + class.lifetime_ms(&task.pool.labels),
            taken_back: None,
            outfit: Outfit::of(&class),
            state: RunnerState::Starting,
        });
        let text = format!("{} runs but had no row: taken in, not stopped", task.runner);
        self.record(None, Some(task.runner.clone()), text.clone());
        self.notify(NoticeKind::TaskAdopted, text.clone());
        Outcome::Accepted(text)
    }

    // --- the working copy -----------------------------------------------------------------------------------------

    /// The class of that name; one that was taken out of the configuration keeps its runners but starts none.
    pub(crate) fn class(&self, name: &ClassName) -> Class {
        self.policy.class(name).cloned().unwrap_or_else(|| Class { name: name.clone(), max: 0, ..Class::default() })
    }

    pub(crate) fn set_job(&mut self, job: Job) {
        let id = job.facts.id;
        let old = self.view.jobs.get(&id);
        let rev = old.map_or(0, |row| row.rev);
        let before = old.and_then(|row| row.value.queued_in().cloned());
        let after = job.queued_in().cloned();
        if before != after {
            for (pool, less) in [(before, true), (after, false)] {
                if let Some(pool) = pool.and_then(|id| self.view.pools.get_mut(&id)) {
                    pool.queued = if less { pool.queued.saturating_sub(1) } else { pool.queued + 1 };
                    if !less && pool.head.is_none() {
                        pool.head = Some(job.head());
                    }
                }
            }
        }
        self.view.jobs.insert(id, Row { rev, value: job });
        self.changed_jobs.insert(id);
    }

    pub(crate) fn set_runner(&mut self, runner: Runner) {
        let name = runner.name.clone();
        let old = self.view.runners.get(&name);
        if old.is_some_and(|row| row.value == runner) {
            return;
        }
        let rev = old.map_or(0, |row| row.rev);
        let was = old.map_or((false, false), |row| (row.value.state.is_live(), row.value.state.is_unbound()));
        let is = (runner.state.is_live(), runner.state.is_unbound());
        shift(&mut self.view.fleet_live, was.0, is.0);
        shift(self.view.class_live.entry(runner.class.clone()).or_default(), was.0, is.0);
        shift(self.view.scope_live.entry(runner.scope.clone()).or_default(), was.0, is.0);
        if let Some(pool) = self.view.pools.get_mut(&runner.pool) {
            shift(&mut pool.unbound, was.1, is.1);
        }
        self.view.runners.insert(name.clone(), Row { rev, value: runner });
        self.changed_runners.insert(name);
    }

    pub(crate) fn effect(&mut self, effect: Effect, due_ms: u64) {
        let id = effect.id();
        self.out.effects.retain(|(other, _)| other.id() != id);
        self.out.effects.push((effect, due_ms));
    }

    /// Takes an effect out that is no longer wanted.
    fn settle(&mut self, id: EffectId) {
        self.out.effects.retain(|(effect, _)| effect.id() != id);
        self.out.settled.push(id);
    }

    pub(crate) fn notify(&mut self, kind: NoticeKind, text: String) {
        self.effect(Effect::Notify(Notice { kind, text: text.into() }), self.now_ms);
    }

    pub(crate) fn record(&mut self, job: Option<JobId>, runner: Option<RunnerName>, text: String) {
        self.out.records.push(Record { at_ms: self.now_ms, job, runner, text });
    }

    pub(crate) fn scope_live(&self, scope: &Scope) -> u32 {
        self.view.scope_live.get(scope).copied().unwrap_or(0)
    }

    pub(crate) fn class_live(&self, class: &ClassName) -> u32 {
        self.view.class_live.get(class).copied().unwrap_or(0)
    }

    fn finish(mut self) -> Decision {
        self.guard();
        for id in &self.changed_jobs {
            if let Some(row) = self.view.jobs.get(id) {
                self.out.jobs.push(Put { rev: row.rev, value: row.value.clone() });
            }
        }
        for name in &self.changed_runners {
            if let Some(row) = self.view.runners.get(name) {
                self.out.runners.push(Put { rev: row.rev, value: row.value.clone() });
            }
        }
        self.put_pools();
        self.out
    }

    /// Pools that are new, or whose flags changed.
    fn put_pools(&mut self) {
        let mut used: BTreeMap<&PoolId, bool> = self.changed_pools.iter().map(|id| (id, true)).collect();
        let jobs = self.out.jobs.iter().filter_map(|put| put.value.pool.as_ref());
        for id in jobs.chain(self.out.runners.iter().map(|put| &put.value.pool)) {
            used.entry(id).or_insert(false);
        }
        for (id, changed) in used {
            if let Some(pool) = self.view.pools.get(id).filter(|pool| changed || pool.rev == 0) {
                let value = crate::view::PoolRow { pool: pool.pool.clone(), flags: pool.flags.clone() };
                self.out.pools.push(Put { rev: pool.rev, value });
            }
        }
    }
}

fn shift(total: &mut u32, was: bool, is: bool) {
    match (was, is) {
        (false, true) => *total += 1,
        (true, false) => *total = total.saturating_sub(1),
        (true, true) | (false, false) => {}
    }
}
