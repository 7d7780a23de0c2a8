//! Workflows: after each change, submit the jobs that may start now.
//!
//! Which those are is decided by [`crate::workflow::ready`] alone; here its word becomes jobs of the hub.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::ids::{JobId, Repo, RunId};
use fleet::job::Conclusion;
use serde_json::json;

use super::world::{Paper, Work, World};
use crate::hub::model::{NewJob, Status};
use crate::workflow::spec::{self, NeedResult};
use crate::workflow::{Decision, JobOutcome, JobPlan, JobProgress, Workflow, ready};

/// A run of a workflow.
#[derive(Debug)]
pub(super) struct Flow {
    repo: Repo,
    workflow: Arc<Workflow>,
    run: Option<RunId>,
    /// The job of each plan, by its index. A job that was run again is followed by its newest number.
    jobs: BTreeMap<usize, JobId>,
    cancelled: bool,
}

impl Flow {
    pub(super) fn new(repo: Repo, workflow: Workflow) -> Self {
        Self { repo, workflow: Arc::new(workflow), run: None, jobs: BTreeMap::new(), cancelled: false }
    }

    pub(super) fn cancel(&mut self) {
        self.cancelled = true;
    }

    /// How many jobs it has, begun or not.
    pub(super) fn size(&self) -> usize {
        self.workflow.jobs().len()
    }

    /// The jobs that have begun, in the order of the workflow's file.
    pub(super) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.jobs.values().copied()
    }
}

impl World {
    /// Submits what may start now; whether there was something.
    pub(super) fn advance_flows(&mut self, now_ms: u64) -> bool {
        let mut flows = std::mem::take(&mut self.flows);
        let mut began = false;
        for flow in &mut flows {
            // One change may allow the next: a skipped job is over at once.
            while self.advance(flow, now_ms) {
                began = true;
            }
        }
        self.flows = flows;
        began
    }

    fn advance(&mut self, flow: &mut Flow, now_ms: u64) -> bool {
        let progress = self.progress(flow);
        if progress.len() == flow.size() && progress.values().all(|it| matches!(it, JobProgress::Done(_))) {
            return false;
        }
        let workflow = flow.workflow.clone();
        let context = json!({ "repository": flow.repo.as_str(), "ref_name": "main", "event_name": "push" });
        let mut changed = false;
        for (plan, decision) in workflow.jobs().iter().zip(ready(&workflow, &progress, flow.cancelled, &context)) {
            changed |= self.carry_out(flow, plan, decision, now_ms);
        }
        changed
    }

    fn progress(&self, flow: &Flow) -> BTreeMap<usize, JobProgress> {
        let of = |id: &JobId| match self.hub.true_job(*id)?.status() {
            Status::Done { conclusion, .. } => {
                Some(JobProgress::Done(JobOutcome { conclusion: shown(conclusion), outputs: self.outputs(*id) }))
            }
            Status::Waiting | Status::Queued | Status::Assigned { .. } | Status::Running { .. } => {
                Some(JobProgress::Started)
            }
        };
        flow.jobs.iter().filter_map(|(index, id)| Some((*index, of(id)?))).collect()
    }

    fn outputs(&self, id: JobId) -> BTreeMap<String, String> {
        let completed = self.papers.get(&id).and_then(|paper| paper.completed.as_ref());
        completed.map(|completed| completed.outputs.clone()).unwrap_or_default()
    }

    fn carry_out(&mut self, flow: &mut Flow, plan: &JobPlan, decision: Decision, now_ms: u64) -> bool {
        let begun = flow.jobs.get(&plan.index).copied();
        match (decision, begun) {
            (Decision::NotYet | Decision::Settled, _) => false,
            (Decision::Run { needs }, _) => {
                self.begin(flow, plan, needs, false, now_ms);
                true
            }
            (Decision::Skip, _) => {
                self.begin(flow, plan, BTreeMap::new(), true, now_ms);
                true
            }
            // Asked once; its worker ends it.
            (Decision::Cancel, Some(id)) => !self.hub.cancel_asked(id) && self.hub.cancel(now_ms, id),
            (Decision::Cancel, None) => {
                let id = self.begin(flow, plan, BTreeMap::new(), false, now_ms);
                self.hub.cancel(now_ms, id)
            }
            (Decision::Fail { reason }, _) => {
                tracing::warn!(job = %plan.name, reason, "a job's condition cannot be evaluated");
                self.begin(flow, plan, BTreeMap::new(), true, now_ms);
                true
            }
        }
    }

    fn begin(
        &mut self,
        flow: &mut Flow,
        plan: &JobPlan,
        needs: BTreeMap<String, NeedResult>,
        skipped: bool,
        now_ms: u64,
    ) -> JobId {
        let new = NewJob {
            repo: flow.repo.clone(),
            run: flow.run,
            workflow: flow.workflow.name().unwrap_or("CI").into(),
            name: plan.name.as_str().into(),
            labels: plan.runs_on.clone(),
            environment: plan.environment.as_deref().map(Into::into),
            skipped,
        };
        let id = self.hub.submit(now_ms, new);
        flow.run = self.hub.true_job(id).map(|job| job.facts.run_id);
        flow.jobs.insert(plan.index, id);
        self.papers.insert(id, Paper { work: Some(Work { spec: plan.spec(), needs }), ..Paper::default() });
        id
    }

    /// A job that is run again does the same; its workflow follows the new one.
    pub(super) fn copy_work(&mut self, old: JobId, new: JobId) {
        let work = self.papers.get(&old).and_then(|paper| paper.work.clone());
        self.papers.insert(new, Paper { work, ..Paper::default() });
        for id in self.flows.iter_mut().flat_map(|flow| flow.jobs.values_mut()).filter(|id| **id == old) {
            *id = new;
        }
    }
}

/// How a workflow sees a conclusion of GitHub's.
fn shown(conclusion: Conclusion) -> spec::Conclusion {
    match conclusion {
        Conclusion::Success | Conclusion::Neutral => spec::Conclusion::Success,
        Conclusion::Skipped => spec::Conclusion::Skipped,
        Conclusion::Cancelled => spec::Conclusion::Cancelled,
        Conclusion::Failure
        | Conclusion::TimedOut
        | Conclusion::ActionRequired
        | Conclusion::Stale
        | Conclusion::Unknown => spec::Conclusion::Failure,
    }
}
