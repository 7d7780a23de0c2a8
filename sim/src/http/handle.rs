//! What tests and demonstrations do with the simulated GitHub in-process: submit, approve, cancel, look, wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::ids::{JobId, Repo};
use tokio::sync::watch;

use super::flows::Flow;
use super::webhooks;
use super::world::{Hook, Paper, Shared, Work};
use crate::hub::Hub;
use crate::hub::faults::HubFaults;
use crate::hub::model::{NewJob, Note};
use crate::standin::wire::{CompleteRequest, LogLine};
use crate::workflow::Workflow;
use crate::workflow::spec::JobSpec;

/// Number of a workflow's run, as [`Handle::submit_workflow`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowId(usize);

/// Steers a running simulated GitHub. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Base URL of REST, of pages and of the broker.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Does anything with the hub, at this time. Whoever waits for a change is woken.
    pub fn with<T>(&self, work: impl FnOnce(&mut Hub, u64) -> T) -> T {
        let result = self.shared.act(|world, now_ms| work(&mut world.hub, now_ms));
        self.shared.wake();
        result
    }

    /// Looks at the hub.
    pub fn look<T>(&self, look: impl FnOnce(&Hub) -> T) -> T {
        look(&self.shared.lock().hub)
    }

    /// Replaces the faults.
    pub fn set_faults(&self, faults: HubFaults) {
        self.with(|hub, _| hub.faults = faults);
    }

    /// Submits a job that executes `spec`.
    pub fn submit(&self, job: NewJob, spec: JobSpec) -> JobId {
        self.shared.act(|world, now_ms| {
            let id = world.hub.submit(now_ms, job);
            let work = Some(Work { spec, needs: BTreeMap::new() });
            world.papers.insert(id, Paper { work, ..Paper::default() });
            id
        })
    }

    /// Starts a run of a workflow: its jobs are submitted as their needs end.
    pub fn submit_workflow(&self, repo: &Repo, workflow: Workflow) -> FlowId {
        self.shared.act(|world, _| {
            world.flows.push(Flow::new(repo.clone(), workflow));
            FlowId(world.flows.len() - 1)
        })
    }

    /// Cancels a run of a workflow.
    pub fn cancel_workflow(&self, flow: FlowId) {
        self.shared.act(|world, _| {
            if let Some(flow) = world.flows.get_mut(flow.0) {
                flow.cancel();
            }
        });
        self.shared.wake();
    }

    /// The jobs of a workflow's run that have begun.
    pub fn jobs_of(&self, flow: FlowId) -> Vec<JobId> {
        self.shared.lock().flows.get(flow.0).map(|flow| flow.jobs().collect()).unwrap_or_default()
    }

    /// How many jobs all submitted workflows have together, begun or not.
    pub fn workflow_jobs(&self) -> usize {
        self.shared.lock().flows.iter().map(Flow::size).sum()
    }

    /// Approves a job that waits.
    pub fn approve(&self, job: JobId) -> bool {
        self.with(|hub, now_ms| hub.approve(now_ms, job))
    }

    /// Cancels a job.
    pub fn cancel(&self, job: JobId) -> bool {
        self.with(|hub, now_ms| hub.cancel(now_ms, job))
    }

    /// Runs a job that has ended again.
    pub fn rerun(&self, job: JobId) -> Option<JobId> {
        self.shared.act(|world, now_ms| {
            let again = world.hub.rerun(now_ms, job)?;
            world.copy_work(job, again);
            Some(again)
        })
    }

    /// Where webhooks go from now on. A `ping` is sent there first, as GitHub does for a new hook; must be called
    /// within a Tokio runtime.
    pub fn send_webhooks_to(&self, url: &str) {
        self.shared.lock().hook = Some(Hook::of_jobs(url.to_owned()));
        tokio::spawn(webhooks::ping(self.shared.clone(), url.to_owned()));
    }

    /// Takes the App away from an owner. Its tokens there are refused at once.
    pub fn uninstall_app(&self, owner: &str) {
        self.shared.lock().app.uninstall(owner);
    }

    /// Gives the App back to an owner, as another installation.
    pub fn install_app(&self, owner: &str) {
        self.shared.lock().app.install(owner);
    }

    /// Refuses all tokens that the App has.
    pub fn revoke_app_tokens(&self) {
        self.shared.lock().app.revoke_tokens();
    }

    /// How many tokens the App has made.
    pub fn app_tokens_made(&self) -> u64 {
        self.shared.lock().app.made()
    }

    /// From now on no token may do this: `administration`, `organization_self_hosted_runners`, `actions`,
    /// `repository_hooks`, `organization_hooks`.
    pub fn forbid(&self, permission: &str) {
        self.shared.lock().forbidden.insert(permission.to_owned());
    }

    /// Puts GitHub's clock so far ahead of this machine's, or behind: what answers' `Date` says and the times of an
    /// App's word are judged by. Nothing else goes by it.
    pub fn set_clock_ahead(&self, ahead_ms: i64) {
        self.shared.lock().clock_ahead_ms = ahead_ms;
    }

    /// From now on, or no longer, runner versions are refused (426).
    pub fn refuse_versions(&self, refuse: bool) {
        self.shared.lock().deprecated = refuse;
        self.shared.wake();
    }

    /// How a job ended, in its worker's words: outputs, steps, summary.
    pub fn completed(&self, job: JobId) -> Option<CompleteRequest> {
        self.shared.lock().papers.get(&job)?.completed.clone()
    }

    /// The last lines of a job's log.
    pub fn log(&self, job: JobId) -> Vec<LogLine> {
        self.shared.lock().papers.get(&job).map(|paper| paper.log.iter().cloned().collect()).unwrap_or_default()
    }

    /// All that happened, oldest first, for a timeline.
    pub fn notes(&self) -> Vec<(u64, Note)> {
        self.shared.lock().notes.iter().cloned().collect()
    }

    /// Changes with each change of the world.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
    }

    /// Waits until something holds of the hub. Wrap it in a time-out: it may never.
    pub async fn until(&self, holds: impl Fn(&Hub) -> bool) {
        let mut changes = self.changes();
        while !self.look(&holds) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
