//! The simulated GitHub of a demo, behind its HTTP face, and what the observer may see of it.

use std::net::IpAddr;

use fleet::{
    ids::{JobId, Repo},
    job::Conclusion,
};
use sim::{
    http::{Options, Server, serve},
    hub::{
        Hub,
        faults::HubFaults,
        model::{Cause, HubJob, Status, Times},
    },
    workflow::Workflow,
};

use super::site::{OWNER, REPO};
use crate::failure::Failure;

/// What GitHub really holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// The jobs that were created, oldest first.
    pub jobs: Vec<JobSight>,
    /// Jobs that have not ended, those included that wait for others.
    pub open: usize,
    /// Names of the registered runners.
    pub registrations: Vec<String>,
    /// Base names of runners that have, or are being given, a job.
    pub busy: Vec<String>,
}

/// One job. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct JobSight {
    /// GitHub's id.
    pub id: u64,
    /// Its display name.
    pub name: String,
    /// When it was queued.
    pub queued_ms: Option<u64>,
    /// When it began.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub completed_ms: Option<u64>,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Whether its runner died under it.
    pub interrupted: bool,
    /// The runner that ran it, as registered.
    pub runner: Option<String>,
    /// When that was registered.
    pub registered_ms: Option<u64>,
}

/// The running simulation. It ends when this is dropped.
pub struct SimulatedGitHub {
    server: Server,
    repo: Repo,
    token: String,
    webhook_secret: String,
}

impl SimulatedGitHub {
    /// Opens it on a free port of an address of this machine.
    ///
    /// # Errors
    /// No port can be listened on.
    pub async fn open(seed: u64, address: IpAddr) -> Result<Self, Failure> {
        let repo = Repo::parse(&format!("{OWNER}/{REPO}")).ok_or_else(|| Failure::failed("no repository"))?;
        let mut hub = Hub::new(seed);
        hub.times = times();
        hub.add_repo(&repo, false);
        let secret = || format!("{:032x}", fastrand::u128(..));
        let (token, webhook_secret) = (secret(), secret());
        let server = serve(hub, Options { address, ..Options::new(&token, &webhook_secret) })
            .await
            .map_err(|error| Failure::failed(format!("the simulated GitHub cannot listen on {address}: {error}")))?;
        Ok(Self { server, repo, token, webhook_secret })
    }

    /// Base URL of its REST interface.
    pub fn url(&self) -> String {
        self.server.url().to_owned()
    }

    /// The token that REST wants.
    pub fn token(&self) -> String {
        self.token.clone()
    }

    /// What webhooks are signed with.
    pub fn webhook_secret(&self) -> String {
        self.webhook_secret.clone()
    }

    /// Where webhooks go.
    pub fn send_webhooks_to(&self, url: &str) {
        self.server.handle().send_webhooks_to(url);
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: HubFaults) {
        self.server.handle().set_faults(faults);
    }

    /// Starts a run of a workflow.
    pub fn submit(&self, workflow: Workflow) {
        self.server.handle().submit_workflow(&self.repo, workflow);
    }

    /// Cancels a job, as a person does on its page.
    pub fn cancel(&self, job: u64) {
        self.server.handle().cancel(JobId(job));
    }

    /// How many jobs all workflows have together, begun or not.
    pub fn expected(&self) -> usize {
        self.server.handle().workflow_jobs()
    }

    /// Approves every job that waits for that: nobody else is there to do it.
    pub fn approve_all(&self) {
        let handle = self.server.handle();
        let waits = |(id, job): (JobId, &HubJob)| (job.status() == Status::Waiting).then_some(id);
        for job in handle.look(|hub| hub.true_jobs().filter_map(waits).collect::<Vec<_>>()) {
            handle.approve(job);
        }
    }

    /// What is there now.
    pub fn sight(&self) -> Sight {
        let expected = self.expected();
        self.server.handle().look(|hub| sight(hub, expected))
    }
}

/// GitHub's own times are for people who wait for hours: a dead runner is noticed sooner here.
fn times() -> Times {
    Times { requeue_after_ms: 5_000, lost_after_ms: 6_000, ..Times::default() }
}

fn sight(hub: &Hub, expected: usize) -> Sight {
    let jobs: Vec<JobSight> = hub.true_jobs().map(|(id, job)| job_sight(hub, id.0, job)).collect();
    let done = jobs.iter().filter(|job| job.conclusion.is_some()).count();
    let busy = hub.true_runners().filter(|runner| runner.job.is_some());
    Sight {
        open: expected.max(jobs.len()).saturating_sub(done),
        registrations: hub.true_runners().map(|runner| runner.name.to_string()).collect(),
        busy: busy.filter_map(|runner| Some(runner.name.rsplit_once('-')?.0.to_owned())).collect(),
        jobs,
    }
}

fn job_sight(hub: &Hub, id: u64, job: &HubJob) -> JobSight {
    let runner = job.ran_on.and_then(|id| hub.true_runner(id));
    let (conclusion, cause) = match job.status() {
        Status::Done { conclusion, cause } => (Some(conclusion), Some(cause)),
        Status::Waiting | Status::Queued | Status::Assigned { .. } | Status::Running { .. } => (None, None),
    };
    JobSight {
        id,
        name: job.facts.name.to_string(),
        queued_ms: job.queued_ms,
        started_ms: job.started_ms,
        completed_ms: job.completed_ms,
        conclusion,
        interrupted: matches!(cause, Some(Cause::RunnerLost | Cause::RunnerDeleted)),
        runner: runner.map(|runner| runner.name.to_string()),
        registered_ms: runner.map(|runner| runner.created_ms),
    }
}
