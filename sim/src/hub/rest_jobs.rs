//! REST operations on runs, jobs and hook deliveries (FACTS §1, §2).

use std::collections::BTreeSet;

use std::sync::Arc;

use fleet::ids::{JobId, Repo, RunId, Scope};

use super::Hub;
use super::delivery::{Guid, JobSnapshot, RunnerRef, Shown};
use super::faults::seen;
use super::hooks::{HookRecord, KEPT_MS};
use super::limits::{READ_POINTS, RestError, RestResult, WRITE_POINTS};
use super::model::{HubJob, Offer, Origin, Run, Status};
use super::rest::Page;

/// Items on a page, at most and in [`Hub::open_jobs`].
pub const PER_PAGE_MAX: usize = 100;
/// The states of runs that can hold an open job (FACTS §2). `pending`, the fourth, never occurs here.
const OPEN_RUNS: [Shown; 3] = [Shown::Queued, Shown::InProgress, Shown::Waiting];

/// A run as GitHub shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Its number.
    pub id: RunId,
    /// Its repository.
    pub origin: Arc<Origin>,
    /// Its workflow's name.
    pub workflow: Arc<str>,
    /// Its status.
    pub status: Shown,
    /// Its latest attempt.
    pub attempt: u32,
    /// When it was created, milliseconds.
    pub created_ms: u64,
}

/// A delivery that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// Its number.
    pub id: u64,
    /// What it shares with its redeliveries.
    pub guid: Guid,
    /// When it was tried, milliseconds.
    pub at_ms: u64,
}

impl Hub {
    /// A job as it is.
    pub fn snapshot(&self, id: JobId) -> Option<JobSnapshot> {
        let job = self.jobs.get(&id)?;
        Some(self.snapshot_of(job, job.status()))
    }

    /// A job as it was at `at_ms`; `None` before it was created.
    fn snapshot_at(&mut self, id: JobId, at_ms: u64) -> Option<JobSnapshot> {
        let job = self.jobs.get(&id)?;
        let status = job.status_at(at_ms);
        let stale = status != Some(job.status());
        let snapshot = status.map(|status| self.snapshot_of(job, status));
        if stale {
            self.saw(seen::READ_STALE);
        }
        snapshot
    }

    fn snapshot_of(&self, job: &HubJob, status: Status) -> JobSnapshot {
        let shown = shown(status);
        let (runner, conclusion) = match status {
            Status::Assigned { runner, offer: Offer::Announced, .. } | Status::Running { runner } => {
                (Some(runner), None)
            }
            Status::Assigned { .. } | Status::Waiting | Status::Queued => (None, None),
            Status::Done { conclusion, .. } => (job.ran_on, Some(conclusion)),
        };
        JobSnapshot {
            facts: job.facts.clone(),
            origin: job.origin.clone(),
            workflow: job.workflow.clone(),
            environment: job.environment.clone(),
            status: shown,
            conclusion,
            runner: runner.and_then(|id| self.runner_ref(id)),
            started_ms: job.started_ms.filter(|_| shown > Shown::Queued),
            completed_ms: job.completed_ms.filter(|_| shown == Shown::Completed),
        }
    }

    fn runner_ref(&self, id: fleet::ids::RegistrationId) -> Option<RunnerRef> {
        let runner = self.registrations.get(&id)?;
        let (name, group_name) = (runner.name.clone(), runner.group_name.clone());
        Some(RunnerRef { id, name, group: runner.group, group_name })
    }

    /// `GET /repos/{o}/{r}/actions/jobs/{id}`.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn job(&mut self, now_ms: u64, repo: &Repo, id: JobId) -> RestResult<JobSnapshot> {
        self.call(now_ms, READ_POINTS)?;
        let at_ms = self.read_at(now_ms);
        self.jobs.get(&id).filter(|job| job.facts.repo == *repo).ok_or(RestError::not_found())?;
        self.snapshot_at(id, at_ms).ok_or(RestError::not_found())
    }

    /// `POST /repos/{o}/{r}/actions/jobs/{id}/rerun`: 403 while it has not ended.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn rerun_job(&mut self, now_ms: u64, repo: &Repo, id: JobId) -> RestResult<JobId> {
        self.call(now_ms, WRITE_POINTS)?;
        self.jobs.get(&id).filter(|job| job.facts.repo == *repo).ok_or(RestError::not_found())?;
        self.rerun(now_ms, id).ok_or(RestError::new(403, "This workflow is already running"))
    }

    /// `GET /repos/{o}/{r}/actions/runs?status=`, newest first.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn runs(
        &mut self,
        now_ms: u64,
        repo: &Repo,
        status: Option<Shown>,
        page: usize,
        per_page: usize,
    ) -> RestResult<Page<RunView>> {
        self.call(now_ms, READ_POINTS)?;
        if !self.repos.contains_key(repo) {
            return Err(RestError::not_found());
        }
        let at_ms = self.read_at(now_ms);
        let ids = self.repo_runs.get(repo).map_or(&[][..], Vec::as_slice);
        let runs = ids.iter().rev().filter_map(|id| self.run_view(self.runs.get(id)?, at_ms));
        Ok(Page::cut(runs.filter(|run| status.is_none_or(|status| status == run.status)), page, per_page))
    }

    fn run_view(&self, run: &Run, at_ms: u64) -> Option<RunView> {
        Some(RunView {
            id: run.id,
            origin: run.origin.clone(),
            workflow: run.workflow.clone(),
            status: self.run_status(run, at_ms)?,
            attempt: run.attempt,
            created_ms: run.created_ms,
        })
    }

    /// A run's status follows from its jobs: a queued job can sit in a run that is in progress (FACTS §2).
    fn run_status(&self, run: &Run, at_ms: u64) -> Option<Shown> {
        if run.closed_ms.is_some_and(|closed_ms| closed_ms <= at_ms) {
            return Some(Shown::Completed);
        }
        let (mut waiting, mut queued, mut done, mut any) = (false, false, false, false);
        for job in run.jobs.iter().filter_map(|id| self.jobs.get(id)) {
            let Some(status) = job.status_at(at_ms) else { continue };
            any = true;
            match shown(status) {
                Shown::InProgress => return Some(Shown::InProgress),
                Shown::Queued => queued = true,
                Shown::Waiting => waiting = true,
                Shown::Completed => done = true,
            }
        }
        any.then_some(match (queued, waiting) {
            (true, _) if done => Shown::InProgress,
            (true, _) => Shown::Queued,
            (false, true) => Shown::Waiting,
            (false, false) => Shown::Completed,
        })
    }

    /// `GET /repos/{o}/{r}/actions/runs/{id}/jobs?filter=latest`: the latest execution of each job.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn run_jobs(
        &mut self,
        now_ms: u64,
        repo: &Repo,
        run: RunId,
        page: usize,
        per_page: usize,
    ) -> RestResult<Page<JobSnapshot>> {
        self.call(now_ms, READ_POINTS)?;
        let at_ms = self.read_at(now_ms);
        let run = self.runs.get(&run).filter(|run| run.origin.repo == *repo).ok_or(RestError::not_found())?;
        let latest: Vec<JobId> = run.jobs.iter().copied().filter(|id| !self.is_superseded(run, *id)).collect();
        let mut jobs = Vec::with_capacity(latest.len());
        for id in latest {
            jobs.extend(self.snapshot_at(id, at_ms));
        }
        Ok(Page::cut(jobs.into_iter(), page, per_page))
    }

    fn is_superseded(&self, run: &Run, id: JobId) -> bool {
        let Some(job) = self.jobs.get(&id) else { return true };
        let newer =
            |other: &HubJob| other.facts.run_attempt > job.facts.run_attempt && other.facts.name == job.facts.name;
        run.attempt > job.facts.run_attempt && run.jobs.iter().filter_map(|id| self.jobs.get(id)).any(newer)
    }

    /// The open jobs of a repository, by as many calls as GitHub needs: runs of each open state, then their jobs.
    ///
    /// # Errors
    /// As GitHub refuses one of the calls.
    pub fn open_jobs(&mut self, now_ms: u64, repo: &Repo) -> RestResult<Vec<JobSnapshot>> {
        let runs: Vec<RunId> = self.open_runs(now_ms, repo)?.into_iter().collect();
        self.open_jobs_of(now_ms, repo, &runs)
    }

    /// The runs of a repository that are in one of the open states.
    ///
    /// # Errors
    /// As GitHub refuses one of the calls.
    pub fn open_runs(&mut self, now_ms: u64, repo: &Repo) -> RestResult<BTreeSet<RunId>> {
        let mut open = BTreeSet::new();
        for status in OPEN_RUNS {
            open.extend(self.all_runs(now_ms, repo, status)?.into_iter().map(|run| run.id));
        }
        Ok(open)
    }

    /// The open jobs of these runs.
    ///
    /// # Errors
    /// As GitHub refuses one of the calls.
    pub fn open_jobs_of(&mut self, now_ms: u64, repo: &Repo, runs: &[RunId]) -> RestResult<Vec<JobSnapshot>> {
        let mut open = Vec::new();
        for run in runs {
            for page in 1.. {
                let jobs = self.run_jobs(now_ms, repo, *run, page, PER_PAGE_MAX)?;
                let last = page * PER_PAGE_MAX >= jobs.total;
                open.extend(jobs.items.into_iter().filter(|job| job.status != Shown::Completed));
                if last {
                    break;
                }
            }
        }
        Ok(open)
    }

    fn all_runs(&mut self, now_ms: u64, repo: &Repo, status: Shown) -> RestResult<Vec<RunView>> {
        let mut runs = Vec::new();
        for page in 1.. {
            let found = self.runs(now_ms, repo, Some(status), page, PER_PAGE_MAX)?;
            runs.extend(found.items);
            if page * PER_PAGE_MAX >= found.total {
                break;
            }
        }
        Ok(runs)
    }

    /// `GET …/hook/deliveries?cursor=&per_page=&status=`, newest first, for three days; of all scopes if none is given
    /// (the App's hook). Also the cursor of the next page.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn deliveries(
        &mut self,
        now_ms: u64,
        scope: Option<&Scope>,
        cursor: Option<u64>,
        per_page: usize,
        failed_only: bool,
    ) -> RestResult<(Vec<HookRecord>, Option<u64>)> {
        self.call(now_ms, READ_POINTS)?;
        let wanted = |record: &&HookRecord| {
            record.delivered_ms.is_some_and(|at_ms| at_ms + KEPT_MS > now_ms)
                && (record.is_failed() || !failed_only)
                && scope.is_none_or(|scope| covers(scope, &record.delivery.job.facts.repo))
        };
        let newest_first = self.records.range(..cursor.unwrap_or(u64::MAX)).rev().map(|(_, record)| record);
        let records: Vec<HookRecord> = newest_first.filter(wanted).take(per_page).cloned().collect();
        let next = records.last().filter(|_| records.len() == per_page).map(|record| record.delivery.id);
        Ok((records, next))
    }

    /// Deliveries that failed since `since_ms` and whose GUID has not succeeded since, by one listing.
    ///
    /// # Errors
    /// As GitHub refuses.
    pub fn failed_deliveries(&mut self, now_ms: u64, scope: &Scope, since_ms: u64) -> RestResult<Vec<Failed>> {
        let (records, _) = self.deliveries(now_ms, Some(scope), None, usize::MAX, false)?;
        let (mut failed, mut settled) = (Vec::new(), BTreeSet::new());
        for record in records {
            // Newest first: what was tried again later, with success or not, speaks for the older ones.
            let at_ms = record.delivered_ms.unwrap_or(0);
            if settled.insert(record.delivery.guid) && record.is_failed() && at_ms >= since_ms {
                failed.push(Failed { id: record.delivery.id, guid: record.delivery.guid, at_ms });
            }
        }
        Ok(failed)
    }

    /// `POST …/hook/deliveries/{id}/attempts`: the same GUID and payload again.
    ///
    /// # Errors
    /// As GitHub refuses; 404 after three days.
    pub fn redeliver(&mut self, now_ms: u64, scope: Option<&Scope>, id: u64) -> RestResult<u64> {
        self.call(now_ms, WRITE_POINTS)?;
        let good = |record: &&HookRecord| {
            scope.is_none_or(|scope| covers(scope, &record.delivery.job.facts.repo))
                && record.delivered_ms.is_some_and(|at_ms| at_ms + KEPT_MS > now_ms)
        };
        self.records.get(&id).filter(good).ok_or(RestError::not_found())?;
        self.send_again(now_ms, id).ok_or(RestError::not_found())
    }
}

/// Whether a repository belongs to a scope.
fn covers(scope: &Scope, repo: &Repo) -> bool {
    match scope {
        Scope::Org(org) => org.as_ref() == repo.owner(),
        Scope::Repo(mine) => mine == repo,
    }
}

/// What GitHub calls a status.
fn shown(status: Status) -> Shown {
    match status {
        Status::Waiting => Shown::Waiting,
        Status::Assigned { offer: Offer::Announced, .. } | Status::Running { .. } => Shown::InProgress,
        Status::Queued | Status::Assigned { .. } => Shown::Queued,
        Status::Done { .. } => Shown::Completed,
    }
}
