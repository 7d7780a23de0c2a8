//! Jobs: read one, find the open ones, run one again; and the repositories of an owner, in which to look for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use controller::ports::{ErrorKind, Look, PortResult};
use fleet::{
    event::Event,
    ids::{JobId, Repo, RunId},
    job::JobInput,
    rota::{Cost, runs_to_read},
};

use super::{Client, found};
use crate::{
    contract,
    fields::{FieldError, Fields},
    job,
    wire::{ask::Ask, refusal::unreadable},
};

/// Statuses of runs that may hold a job that wants a runner, or will. A queued job can sit in a run that is in
/// progress, and there is no list of queued jobs (FACTS §2).
const OPEN_RUNS: [&str; 4] = ["queued", "in_progress", "waiting", "pending"];

/// GitHub gives the first 1 000 runs of a status and no more.
const RUN_PAGES_MAX: u32 = 10;

/// A run's matrices have 256 jobs each; this is forty of them.
const JOB_PAGES_MAX: u32 = 100;

/// Repositories of one owner that are looked at.
const REPO_PAGES_MAX: u32 = 100;

/// The run of each repository whose jobs were read last, where they cannot all be read at once.
#[derive(Debug, Default)]
pub(super) struct Cursors(Mutex<BTreeMap<Repo, RunId>>);

impl Cursors {
    fn choose(&self, repo: &Repo, open: impl Iterator<Item = RunId>) -> (Vec<RunId>, BTreeSet<RunId>) {
        let mut cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, unread) = runs_to_read(open, cursors.get(repo).copied());
        match read.last().filter(|_| !unread.is_empty()) {
            Some(last) => cursors.insert(repo.clone(), *last),
            None => cursors.remove(repo),
        };
        (read, unread)
    }
}

impl Client {
    /// One job, directly.
    pub(super) async fn read_job(&self, repo: &Repo, id: JobId) -> PortResult<Option<Event>> {
        let ask = Ask::repo(&contract::READ_JOB, repo).at("job_id", id);
        let Some(answer) = found(self.transport.send(&ask).await)? else { return Ok(None) };
        let event = Fields::root(&answer.body).and_then(|body| {
            // An unknown status is no "missing": that would end the job.
            event(&body, repo, None, JobInput::QueuedDirect)?.ok_or_else(|| body.wrong("status", "a known status"))
        });
        event.map(Some).map_err(|why| unreadable(ask.call, why))
    }

    /// The jobs that have not ended, of as many runs as a listing may read. One request after the other: GitHub asks for that.
    pub(super) async fn list_open_jobs(&self, repo: &Repo) -> PortResult<Look> {
        let mut runs: BTreeMap<RunId, Option<bool>> = BTreeMap::new();
        let mut cost = Cost::default();
        for status in OPEN_RUNS {
            let ask = Ask::repo(&contract::LIST_RUNS, repo).with("status", status).with("exclude_pull_requests", true);
            let listing = self.transport.list(&ask, Some("workflow_runs"), RUN_PAGES_MAX, run).await?;
            cost += listing.cost;
            runs.extend(listing.read_so_far(&ask));
        }
        let open = !runs.is_empty();
        let (read, unread) = self.cursors.choose(repo, runs.keys().copied());
        let mut jobs = BTreeMap::new();
        for run in read {
            let public = runs.get(&run).copied().flatten();
            for event in self.open_jobs_of(repo, run, public, &mut cost).await? {
                if let Event::Job { facts, .. } = &event {
                    jobs.insert(facts.id, event);
                }
            }
        }
        Ok(Look { jobs: Some(jobs.into_values().collect()), unread, open, changed: false, cost })
    }

    async fn open_jobs_of(
        &self,
        repo: &Repo,
        run: RunId,
        public: Option<bool>,
        cost: &mut Cost,
    ) -> PortResult<Vec<Event>> {
        let ask = Ask::repo(&contract::LIST_JOBS, repo).at("run_id", run).with("filter", "latest");
        let read = |job: &Fields<'_>| event(job, repo, public, JobInput::Queued);
        // A run that was deleted after it was listed has no open jobs.
        let Some(listing) = found(self.transport.list(&ask, Some("jobs"), JOB_PAGES_MAX, read).await)? else {
            *cost += Cost::of_request(false);
            return Ok(Vec::new());
        };
        *cost += listing.cost;
        Ok(listing.read_so_far(&ask).into_iter().flatten().filter(is_open).collect())
    }

    /// Runs a job again, with those that depend on it.
    pub(super) async fn rerun(&self, repo: &Repo, id: JobId) -> PortResult<()> {
        let ask = Ask::repo(&contract::RERUN_JOB, repo).at("job_id", id);
        self.transport.send(&ask).await.map(drop)
    }

    /// The repositories of an owner: those that an App was given, or an organisation's, the token's own account's, or
    /// (only public ones) another account's.
    pub(super) async fn list_repositories(&self, owner: &str) -> PortResult<Vec<Repo>> {
        if self.transport.tokens.installation(owner).await?.is_some() {
            let ask = Ask::of(&contract::LIST_INSTALLATION_REPOS, owner);
            let listing = self.transport.list(&ask, Some("repositories"), REPO_PAGES_MAX, live_repository).await?;
            return Ok(listing.read_so_far(&ask).into_iter().flatten().collect());
        }
        let org = Ask::of(&contract::LIST_ORG_REPOS, owner).at("org", owner).with("type", "all");
        if let Some(all) = found(self.repositories_of(&org).await)? {
            return Ok(all);
        }
        let own = Ask::of(&contract::LIST_OWN_REPOS, owner).with("affiliation", "owner");
        let own = self.repositories_of(&own).await;
        // A token that is no person's, as that of a workflow, has no account of its own: 403.
        let own = if own.as_ref().is_err_and(|error| error.kind == ErrorKind::Denied) { Ok(Vec::new()) } else { own };
        let mut all = found(own)?.unwrap_or_default();
        all.retain(|repo| repo.owner().eq_ignore_ascii_case(owner));
        if !all.is_empty() {
            return Ok(all);
        }
        let user = Ask::of(&contract::LIST_USER_REPOS, owner).at("username", owner).with("type", "owner");
        self.repositories_of(&user).await
    }

    async fn repositories_of(&self, ask: &Ask<'_>) -> PortResult<Vec<Repo>> {
        let listing = self.transport.list(ask, None, REPO_PAGES_MAX, live_repository).await?;
        Ok(listing.read_so_far(ask).into_iter().flatten().collect())
    }
}

/// An archived or disabled repository runs no jobs.
fn live_repository(repository: &Fields<'_>) -> Result<Option<Repo>, FieldError> {
    let off = |name| Ok(repository.optional_flag(name)?.unwrap_or(false));
    let repo = Repo::parse(repository.text("full_name")?)
        .ok_or_else(|| repository.wrong("full_name", "a text of the form owner/name"))?;
    Ok((!off("archived")? && !off("disabled")?).then_some(repo))
}

/// A run's id, and whether everybody can see its repository.
fn run(run: &Fields<'_>) -> Result<(RunId, Option<bool>), FieldError> {
    let public = run.optional_object("repository")?.map(|repository| job::public(&repository)).transpose()?;
    Ok((RunId(run.number("id")?), public.flatten()))
}

/// A job as an event; `None` (and a line in the log) for a status that we do not know.
fn event(job: &Fields<'_>, repo: &Repo, public: Option<bool>, queued: JobInput) -> Result<Option<Event>, FieldError> {
    let facts = job::facts(job, repo, public)?;
    let input = job::input(job, queued)?;
    if input.is_none() {
        tracing::warn!(job.id = facts.id.0, repo = %repo, "GitHub gives a job a status that is not known here");
    }
    Ok(input.map(|input| Event::Job { facts, input }))
}

fn is_open(event: &Event) -> bool {
    !matches!(event, Event::Job { input: JobInput::Completed { .. }, .. })
}
