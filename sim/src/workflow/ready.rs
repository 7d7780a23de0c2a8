//! Which jobs of a run may start now: `needs`, `if`, matrices, cancellation.
//!
//! A total function of the workflow and of what happened so far. The simulated GitHub calls it after each change and
//! acts on what it says; it must not remember anything itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::expr::{self, Scope, Status};
use super::plan::{JobPlan, Workflow};
use super::spec::{Conclusion, NeedResult};

/// What happened to a job so far. One that is absent has not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobProgress {
    /// Queued, waiting for an approval, or running.
    Started,
    /// It ended.
    Done(JobOutcome),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// Its conclusion.
    pub conclusion: Conclusion,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

/// What to do with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Queue it; `needs` goes to the worker.
    Run {
        /// `needs.*` of this job.
        needs: BTreeMap<String, NeedResult>,
    },
    /// Its condition is not met: conclude it as skipped.
    Skip,
    /// The run was cancelled, or a job of its matrix failed: conclude it as cancelled, or tell its worker to end.
    Cancel,
    /// Its `if` cannot be evaluated: conclude it as failed.
    Fail {
        /// Why.
        reason: String,
    },
    /// It waits for others.
    NotYet,
    /// It runs or is over: nothing to do.
    Settled,
}

/// Decides each job of the workflow, in the order of [`Workflow::jobs`].
///
/// `progress` is keyed by [`JobPlan::index`]; `github` is the `github` context for conditions.
#[must_use]
pub fn ready(
    workflow: &Workflow,
    progress: &BTreeMap<usize, JobProgress>,
    cancelled: bool,
    github: &Value,
) -> Vec<Decision> {
    let run = Run { workflow, progress, cancelled, github, groups: groups(workflow) };
    let mut starting: BTreeMap<&str, usize> = BTreeMap::new();
    workflow.jobs().iter().map(|plan| run.decide(plan, &mut starting)).collect()
}

/// `needs.*` of a job, of those needs that are over: for a worker that asks again.
#[must_use]
pub fn needs_of(
    workflow: &Workflow,
    plan: &JobPlan,
    progress: &BTreeMap<usize, JobProgress>,
) -> BTreeMap<String, NeedResult> {
    let run = Run { workflow, progress, cancelled: false, github: &Value::Null, groups: groups(workflow) };
    plan.needs.iter().filter_map(|key| Some((key.clone(), run.result(key)?))).collect()
}

type Groups<'run> = BTreeMap<&'run str, Vec<&'run JobPlan>>;

fn groups(workflow: &Workflow) -> Groups<'_> {
    let mut groups = Groups::new();
    for plan in workflow.jobs() {
        groups.entry(plan.key.as_str()).or_default().push(plan);
    }
    groups
}

struct Run<'run> {
    workflow: &'run Workflow,
    progress: &'run BTreeMap<usize, JobProgress>,
    cancelled: bool,
    github: &'run Value,
    groups: Groups<'run>,
}

impl<'run> Run<'run> {
    fn decide(&self, plan: &'run JobPlan, starting: &mut BTreeMap<&'run str, usize>) -> Decision {
        match self.progress.get(&plan.index) {
            Some(JobProgress::Done(_)) => Decision::Settled,
            Some(JobProgress::Started) if self.failed_fast(plan) => Decision::Cancel,
            // GitHub asks a running job's condition again when the run is cancelled: `always()` goes on.
            Some(JobProgress::Started) if self.cancelled => match self.condition(plan) {
                Some(Ok(true)) => Decision::Settled,
                Some(Ok(false) | Err(_)) | None => Decision::Cancel,
            },
            Some(JobProgress::Started) => Decision::Settled,
            None if self.failed_fast(plan) => Decision::Cancel,
            None => self.begin(plan, starting),
        }
    }

    fn begin(&self, plan: &'run JobPlan, starting: &mut BTreeMap<&'run str, usize>) -> Decision {
        match self.condition(plan) {
            None => Decision::NotYet,
            Some(Err(error)) => Decision::Fail { reason: format!("the `if` of job `{}`: {error}", plan.key) },
            Some(Ok(false)) if self.cancelled => Decision::Cancel,
            Some(Ok(false)) => Decision::Skip,
            Some(Ok(true)) => {
                let begun = starting.entry(plan.key.as_str()).or_insert_with(|| self.running(&plan.key));
                if plan.max_parallel.is_some_and(|most| *begun >= most) {
                    return Decision::NotYet;
                }
                *begun += 1;
                Decision::Run { needs: needs_of(self.workflow, plan, self.progress) }
            }
        }
    }

    /// The answer of the job's `if`; None while a need is not over.
    fn condition(&self, plan: &JobPlan) -> Option<Result<bool, expr::ExprError>> {
        let mut needs = BTreeMap::new();
        for key in &plan.needs {
            match self.result(key) {
                Some(result) => drop(needs.insert(key.as_str(), result)),
                // A cancelled run does not wait for needs that will be cancelled in the same breath.
                None => return (self.cancelled && !asks_status(plan)).then_some(Ok(false)),
            }
        }
        let scope = Scope::new([("needs", json!(needs)), ("github", self.github.clone())]);
        Some(expr::condition(plan.condition.as_deref(), &scope.with_status(self.status(plan))))
    }

    /// The status functions of a job look at all that came before it, not only at its own needs.
    fn status(&self, plan: &JobPlan) -> Status {
        let mut open: Vec<&str> = plan.needs.iter().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        let mut status = Status { success: !self.cancelled, failure: false, cancelled: self.cancelled };
        while let Some(key) = open.pop() {
            if !seen.insert(key) {
                continue;
            }
            let result = self.result(key).map(|result| result.result);
            status.success &= result == Some(Conclusion::Success);
            status.failure |= result == Some(Conclusion::Failure);
            let first = self.groups.get(key).and_then(|group| group.first());
            open.extend(first.iter().flat_map(|plan| plan.needs.iter().map(String::as_str)));
        }
        status
    }

    /// How a whole job (all of its matrix) ended; None while one of it is not over.
    fn result(&self, key: &str) -> Option<NeedResult> {
        let mut worst = None;
        let mut outputs = BTreeMap::new();
        for plan in self.groups.get(key)? {
            let Some(JobProgress::Done(outcome)) = self.progress.get(&plan.index) else { return None };
            let forgiven = plan.continue_on_error && outcome.conclusion == Conclusion::Failure;
            let conclusion = if forgiven { Conclusion::Success } else { outcome.conclusion };
            worst = worst.max(Some((rank(conclusion), conclusion)));
            // As on GitHub: of a matrix the last one that has a value wins.
            let set = outcome.outputs.iter().filter(|(_, value)| !value.is_empty());
            outputs.extend(set.map(|(key, value)| (key.clone(), value.clone())));
        }
        worst.map(|(_, result)| NeedResult { result, outputs })
    }

    fn failed_fast(&self, plan: &JobPlan) -> bool {
        let failed = |other: &&JobPlan| {
            let done = self.progress.get(&other.index);
            matches!(done, Some(JobProgress::Done(outcome)) if outcome.conclusion == Conclusion::Failure)
                && !other.continue_on_error
        };
        plan.fail_fast && self.groups.get(plan.key.as_str()).is_some_and(|group| group.iter().any(failed))
    }

    fn running(&self, key: &str) -> usize {
        let group = self.groups.get(key).map(Vec::as_slice).unwrap_or_default();
        group.iter().filter(|plan| self.progress.get(&plan.index) == Some(&JobProgress::Started)).count()
    }
}

fn asks_status(plan: &JobPlan) -> bool {
    plan.condition.as_deref().and_then(|text| expr::parse(text).ok()).is_some_and(|expr| expr.asks_status())
}

/// Of a matrix: a failure outweighs a cancellation, that a success, that a skip.
const fn rank(conclusion: Conclusion) -> u8 {
    match conclusion {
        Conclusion::Skipped => 0,
        Conclusion::Success => 1,
        Conclusion::Cancelled => 2,
        Conclusion::Failure => 3,
    }
}
