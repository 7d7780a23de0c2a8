//! What really is, for checkers and timelines: no lag, no lies, no rate limits, no dice.

use fleet::ids::{JobId, RegistrationId, Repo, RunId, Scope};

use super::Hub;
use super::hooks::HookRecord;
use super::model::{HubJob, Origin, Owner, Registered, Run};

impl Hub {
    /// All jobs, oldest first.
    pub fn true_jobs(&self) -> impl Iterator<Item = (JobId, &HubJob)> {
        self.jobs.iter().map(|(id, job)| (*id, job))
    }

    /// One job.
    pub fn true_job(&self, id: JobId) -> Option<&HubJob> {
        self.jobs.get(&id)
    }

    /// All registrations that exist.
    pub fn true_runners(&self) -> impl Iterator<Item = &Registered> {
        self.registrations.values().filter(|runner| runner.is_live())
    }

    /// One registration, also one that is gone.
    pub fn true_runner(&self, id: RegistrationId) -> Option<&Registered> {
        self.registrations.get(&id)
    }

    /// The registration of that name, if it exists.
    pub fn true_runner_named(&self, scope: &Scope, name: &str) -> Option<&Registered> {
        self.registries.get(scope)?.names.get(name).and_then(|id| self.registrations.get(id))
    }

    /// The job that runs on a runner, also if its registration is gone.
    pub fn runs_on(&self, id: RegistrationId) -> Option<JobId> {
        self.registrations.get(&id)?.job.filter(|job| self.jobs.get(job).is_some_and(HubJob::is_running))
    }

    /// The jobs that no runner has been given, oldest first.
    pub fn queued(&self) -> impl Iterator<Item = JobId> {
        self.queue.iter().map(|(_, job)| *job)
    }

    /// How many jobs have not ended.
    pub fn open_count(&self) -> usize {
        self.jobs.values().filter(|job| !job.is_done()).count()
    }

    /// Whether no webhook is on its way.
    pub fn is_silent(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// A run.
    pub fn true_run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    /// A repository.
    pub fn origin(&self, repo: &Repo) -> Option<&Origin> {
        self.repos.get(repo).map(AsRef::as_ref)
    }

    /// All owners.
    pub fn true_owners(&self) -> impl Iterator<Item = &Owner> {
        self.owners.values()
    }

    /// What is kept of a delivery.
    pub fn record_of(&self, id: u64) -> Option<&HookRecord> {
        self.records.get(&id)
    }

    /// What is kept of all deliveries, oldest first.
    pub fn kept_deliveries(&self) -> impl Iterator<Item = &HookRecord> {
        self.records.values()
    }
}
