//! What people and runner programs do with jobs: submit, approve, cancel, start, finish.
//!
//! Each change sends the webhook that FACTS §1 documents for it.

use std::sync::Arc;

use fleet::ids::{JobId, RegistrationId, RunId};
use fleet::job::{Conclusion, JobFacts};
use fleet::labels::LabelSet;

use super::Hub;
use super::clock::Timer;
use super::delivery::Action;
use super::faults::seen;
use super::model::{Cause, Gone, HubJob, NewJob, Note, Run, Status};

/// Most that a run's or a job's number is ahead of the one before: other people's are in between.
const GAP: u64 = 1_000;
/// After its start a job may be shown as not running for up to this long (FACTS §2).
const LIE_AT_START_MS: u64 = 60_000;
/// Latest begin of such a stretch in mid-job.
const LIE_BEGINS_MS: u64 = 600_000;

/// Why a runner's call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its registration is gone.
    Gone,
    /// Another session of that runner lives.
    Conflict,
    /// The job is not that runner's (any more).
    NotYours,
}

impl Hub {
    /// Creates a job, in a repository that is added as a private one if it is unknown.
    pub fn submit(&mut self, now_ms: u64, job: NewJob) -> JobId {
        if !self.repos.contains_key(&job.repo) {
            self.add_repo(&job.repo, false);
        }
        let run = job.run.filter(|run| self.runs.contains_key(run)).unwrap_or_else(|| self.add_run(now_ms, &job));
        self.create(now_ms, run, job)
    }

    fn add_run(&mut self, now_ms: u64, job: &NewJob) -> RunId {
        let id = RunId(self.next.run);
        self.next.run += 1 + self.rng.u64(0..GAP);
        if let Some(origin) = self.repos.get(&job.repo).cloned() {
            let (workflow, jobs) = (job.workflow.clone(), Vec::new());
            let run = Run { id, origin, workflow, attempt: 1, created_ms: now_ms, jobs, open: 0, closed_ms: None };
            self.runs.insert(id, run);
            self.repo_runs.entry(job.repo.clone()).or_default().push(id);
        }
        id
    }

    fn create(&mut self, now_ms: u64, run_id: RunId, new: NewJob) -> JobId {
        let id = JobId(self.next.job);
        self.next.job += 1 + self.rng.u64(0..GAP);
        let Some(run) = self.runs.get_mut(&run_id) else { return id };
        run.jobs.push(id);
        run.open += 1;
        run.closed_ms = None;
        let labels = LabelSet::parse(&new.labels).ok();
        let facts = JobFacts {
            id,
            run_id,
            run_attempt: run.attempt,
            repo: new.repo,
            public: Some(run.origin.public),
            name: new.name,
            labels: new.labels,
            created_ms: now_ms,
        };
        let job = HubJob {
            facts: Arc::new(facts),
            origin: run.origin.clone(),
            workflow: run.workflow.clone(),
            labels,
            environment: new.environment,
            history: Vec::with_capacity(4),
            ran_on: None,
            queued_ms: None,
            started_ms: None,
            completed_ms: None,
            cancel: false,
            assigned: 0,
            held: None,
        };
        let waits = job.environment.is_some();
        self.jobs.insert(id, job);
        self.begin(now_ms, id, waits, new.skipped);
        id
    }

    fn begin(&mut self, now_ms: u64, id: JobId, waits: bool, skipped: bool) {
        if skipped {
            self.complete(now_ms, id, Conclusion::Skipped, Cause::Skipped);
        } else if waits {
            self.set_status(now_ms, id, Status::Waiting);
            self.note(now_ms, || Note::Waiting(id));
            // An environment job sends `queued` twice; the first has the status `waiting` (FACTS §1).
            self.announce(now_ms, id, Action::Queued);
            self.announce(now_ms, id, Action::Waiting);
        } else {
            self.put_in_queue(now_ms, id);
            self.announce(now_ms, id, Action::Queued);
        }
    }

    /// Puts a job in the queue, silently.
    pub(crate) fn put_in_queue(&mut self, now_ms: u64, id: JobId) {
        self.set_status(now_ms, id, Status::Queued);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let first = job.queued_ms.is_none();
        let queued_ms = *job.queued_ms.get_or_insert(now_ms);
        self.queue.insert((queued_ms, id));
        if first {
            self.timer(queued_ms + self.times.queue_max_ms, Timer::QueuedTooLong(id));
        }
        self.note(now_ms, || Note::Queued(id));
        self.look_for_pairs(now_ms);
    }

    pub(crate) fn set_status(&mut self, now_ms: u64, id: JobId, status: Status) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.history.push((now_ms, status));
        }
    }

    /// A person approves a job that waits; whether it did.
    pub fn approve(&mut self, now_ms: u64, id: JobId) -> bool {
        if self.jobs.get(&id).map(HubJob::status) != Some(Status::Waiting) {
            return false;
        }
        self.put_in_queue(now_ms, id);
        self.announce(now_ms, id, Action::Queued);
        true
    }

    /// A person refuses a job that waits; whether it did.
    pub fn reject(&mut self, now_ms: u64, id: JobId) -> bool {
        if self.jobs.get(&id).map(HubJob::status) != Some(Status::Waiting) {
            return false;
        }
        self.complete(now_ms, id, Conclusion::Failure, Cause::Rejected);
        true
    }

    /// A person cancels a job. One that runs is ended by its runner (see [`Hub::cancel_asked`]); whether it was open.
    pub fn cancel(&mut self, now_ms: u64, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        match job.status() {
            Status::Done { .. } => return false,
            Status::Running { .. } => {
                job.cancel = true;
                self.timer(now_ms + self.times.force_cancel_ms, Timer::ForceCancel(id));
            }
            Status::Waiting | Status::Queued | Status::Assigned { .. } => {
                self.complete(now_ms, id, Conclusion::Cancelled, Cause::CancelledBefore);
            }
        }
        true
    }

    /// Its repository is deleted or handed over before it began: reads no longer find it, and no webhook tells so.
    pub fn vanish(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get(&id).filter(|job| matches!(job.status(), Status::Waiting | Status::Queued))
        else {
            return false;
        };
        self.queue.remove(&(job.queued_ms.unwrap_or(0), id));
        self.jobs.remove(&id);
        true
    }

    /// Whether the runner of a job is to end it.
    pub fn cancel_asked(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.cancel)
    }

    /// Runs a job that has ended again, in a new attempt of its run, under a new number.
    pub fn rerun(&mut self, now_ms: u64, id: JobId) -> Option<JobId> {
        let job = self.jobs.get(&id).filter(|job| job.is_done())?;
        let (run_id, facts) = (job.facts.run_id, job.facts.clone());
        let (workflow, environment) = (job.workflow.clone(), job.environment.clone());
        self.runs.get_mut(&run_id)?.attempt += 1;
        let new = NewJob {
            repo: facts.repo.clone(),
            run: Some(run_id),
            workflow,
            name: facts.name.clone(),
            labels: facts.labels.clone(),
            environment,
            skipped: false,
        };
        Some(self.create(now_ms, run_id, new))
    }

    /// A runner picks up the job that was given to it.
    ///
    /// # Errors
    /// When its registration is gone, or the job is not its any more.
    pub fn start(&mut self, now_ms: u64, id: JobId, runner: RegistrationId) -> Result<(), Refused> {
        self.live(runner)?;
        let job = self.jobs.get_mut(&id).ok_or(Refused::NotYours)?;
        match job.status() {
            Status::Assigned { runner: mine, .. } if mine == runner => {}
            Status::Assigned { .. }
            | Status::Waiting
            | Status::Queued
            | Status::Running { .. }
            | Status::Done { .. } => {
                return Err(Refused::NotYours);
            }
        }
        job.ran_on = Some(runner);
        job.started_ms = Some(now_ms);
        self.set_status(now_ms, id, Status::Running { runner });
        self.begin_lie(now_ms, runner);
        self.show(now_ms, runner);
        self.watch_beats(now_ms, runner);
        self.note(now_ms, || Note::Started(id, runner));
        self.announce(now_ms, id, Action::InProgress);
        Ok(())
    }

    /// While `busy` lies of this runner: from the start, or for a stretch in mid-job (FACTS §2).
    fn begin_lie(&mut self, now_ms: u64, runner: RegistrationId) {
        if !self.roll(now_ms, self.faults.busy_lie_permille) {
            return;
        }
        let from_ms = if self.rng.bool() { now_ms } else { now_ms + self.rng.u64(0..LIE_BEGINS_MS) };
        let until_ms = from_ms + self.rng.u64(1..=LIE_AT_START_MS);
        if let Some(runner) = self.registrations.get_mut(&runner) {
            runner.lie_ms = Some((from_ms, until_ms));
        }
    }

    /// The runner of a job says how it ended. An ephemeral registration ends with it.
    ///
    /// # Errors
    /// When its registration is gone, or the job is not its (any more).
    pub fn finish(
        &mut self,
        now_ms: u64,
        id: JobId,
        runner: RegistrationId,
        conclusion: Conclusion,
    ) -> Result<(), Refused> {
        self.live(runner)?;
        let job = self.jobs.get(&id).ok_or(Refused::NotYours)?;
        if job.status() != (Status::Running { runner }) {
            return Err(Refused::NotYours);
        }
        self.complete(now_ms, id, conclusion, Cause::Finished);
        Ok(())
    }

    /// Ends a job, whatever it does, and tells so. Its runner is released, or ends with it.
    pub(crate) fn complete(&mut self, now_ms: u64, id: JobId, conclusion: Conclusion, cause: Cause) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let (was_running, runner) = (job.is_running(), job.runner());
        job.completed_ms = Some(now_ms);
        if let Some(run) = self.runs.get_mut(&job.facts.run_id) {
            run.open -= 1;
            run.closed_ms = (run.open == 0).then_some(now_ms);
        }
        if let Some(queued_ms) = job.queued_ms {
            self.queue.remove(&(queued_ms, id));
        }
        self.set_status(now_ms, id, Status::Done { conclusion, cause });
        self.note(now_ms, || Note::Done(id, conclusion, cause));
        self.announce(now_ms, id, Action::Completed);
        if let Some(runner) = runner {
            self.release(now_ms, runner);
            if was_running && self.registrations.get(&runner).is_some_and(|it| it.ephemeral) {
                self.remove(now_ms, runner, Gone::JobDone);
            }
        }
    }

    /// Queues a job again that its runner did not pick up (FACTS §1).
    pub(crate) fn requeue(&mut self, now_ms: u64, id: JobId, runner: RegistrationId) {
        self.saw(seen::REQUEUED);
        self.release(now_ms, runner);
        self.put_in_queue(now_ms, id);
    }
}
