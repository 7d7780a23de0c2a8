//! A workflow file, read: its jobs with all matrices expanded.
//!
//! This file holds what others see and the checks over the whole file (`needs`); one job is read in `jobs`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::error::{ErrorKind, Place, WorkflowError};
use super::jobs::{self, Defaults};
use super::limits::{FILE_BYTES_MAX, JOBS_MAX};
use super::scalars::Fields;
use super::spec::JobSpec;
use super::yaml;

const KEYS: [&str; 8] = ["name", "run-name", "on", "env", "defaults", "concurrency", "permissions", "jobs"];

/// A workflow file.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    pub(super) name: Option<String>,
    pub(super) jobs: Vec<JobPlan>,
}

/// One job of the run: of a matrix, one combination.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPlan {
    /// Its place in [`Workflow::jobs`], and its name in `ready`.
    pub index: usize,
    /// The job's id in the file. All jobs of one matrix share it.
    pub key: String,
    /// What GitHub shows: `build (1.95, linux)`.
    pub name: String,
    /// The labels that a runner must have.
    pub runs_on: Vec<String>,
    /// `runs-on.group`, if it names one.
    pub runner_group: Option<String>,
    /// Ids of the jobs that must end first.
    pub needs: Vec<String>,
    /// `if`, without `${{ }}`.
    pub condition: Option<String>,
    /// The environment that may want an approval.
    pub environment: Option<String>,
    /// Whether one failure ends the others of the matrix.
    pub fail_fast: bool,
    /// How many of the matrix may run at once.
    pub max_parallel: Option<usize>,
    /// Whether its failure counts as success for the run and for those that need it.
    pub continue_on_error: bool,
    /// `matrix.*`.
    pub matrix: BTreeMap<String, Value>,
    /// Milliseconds that it may take.
    pub timeout_ms: u64,
    /// What all jobs of a matrix share; a matrix of 256 jobs holds its steps once.
    pub(super) body: Arc<JobSpec>,
}

impl JobPlan {
    /// What travels to the worker.
    #[must_use]
    pub fn spec(&self) -> JobSpec {
        JobSpec {
            name: self.name.clone(),
            matrix: self.matrix.clone(),
            timeout_ms: self.timeout_ms,
            ..JobSpec::clone(&self.body)
        }
    }
}

impl Workflow {
    /// Reads a workflow from its text.
    ///
    /// # Errors
    /// When it is no valid workflow, holds what the simulation does not run, or is too large.
    pub fn parse(text: &str) -> Result<Self, WorkflowError> {
        if text.len() > FILE_BYTES_MAX {
            let message = format!("the file is larger than {FILE_BYTES_MAX} bytes; split it");
            return Err(WorkflowError::new(ErrorKind::Limit, Place::default(), message));
        }
        let root = yaml::read(text)?;
        let top = Fields::of(&root, "the workflow")?;
        top.only(&KEYS)?;
        let defaults = Defaults { env: top.texts("env")?, run: jobs::run_defaults(&top)? };
        let Some(node) = top.value("jobs") else {
            let message = "`jobs` is missing; add e.g. `jobs: {build: {runs-on: self-hosted, steps: [{run: make}]}}`";
            return Err(WorkflowError::new(ErrorKind::Missing, top.at, message));
        };
        let mut plans = Vec::new();
        for entry in Fields::of(node, "`jobs`")?.entries() {
            plans.extend(jobs::read(entry, &defaults)?);
            if plans.len() > JOBS_MAX {
                let message = format!("the workflow has more than {JOBS_MAX} jobs; split it");
                return Err(WorkflowError::new(ErrorKind::Limit, entry.at, message));
            }
        }
        if plans.is_empty() {
            return Err(WorkflowError::new(ErrorKind::Missing, node.at, "`jobs` is empty; add a job"));
        }
        plans.iter_mut().enumerate().for_each(|(index, plan)| plan.index = index);
        check_needs(&plans, node)?;
        Ok(Self { name: top.text("name")?, jobs: plans })
    }

    /// Reads a workflow from a file. The only IO in this module.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`Workflow::parse`].
    pub fn load(path: &Path) -> Result<Self, WorkflowError> {
        let failed = |error: std::io::Error| {
            let message = format!("cannot read {}: {error}", path.display());
            WorkflowError::new(ErrorKind::Read, Place::default(), message)
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut text = String::new();
        // One byte more than allowed, so that a larger file is noticed and never read whole.
        file.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text)
    }

    /// `name` of the workflow, if it has one. GitHub shows the file's path otherwise.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// All jobs, matrices expanded, in the order of the file.
    #[must_use]
    pub fn jobs(&self) -> &[JobPlan] {
        &self.jobs
    }
}

/// Each need exists, and none leads back to where it came from.
fn check_needs(plans: &[JobPlan], jobs: &yaml::Node) -> Result<(), WorkflowError> {
    let at = |key: &str| {
        Fields::of(jobs, "`jobs`").ok().and_then(|fields| fields.get(key).map(|entry| entry.at)).unwrap_or(jobs.at)
    };
    let needs: BTreeMap<&str, &[String]> =
        plans.iter().map(|plan| (plan.key.as_str(), plan.needs.as_slice())).collect();
    for (key, wanted) in &needs {
        if let Some(missing) = wanted.iter().find(|need| !needs.contains_key(need.as_str())) {
            let known: Vec<&str> = needs.keys().copied().filter(|other| other != key).collect();
            let others = if known.is_empty() {
                "it is the only job".into()
            } else {
                format!("the others are: {}", known.join(", "))
            };
            let message = format!("job `{key}` needs `{missing}`, which does not exist; {others}");
            return Err(WorkflowError::new(ErrorKind::Needs, at(key), message));
        }
    }
    // Take away what is satisfied until nothing changes; what is left goes round in a circle.
    let mut left: BTreeSet<&str> = needs.keys().copied().collect();
    loop {
        let free = |key: &&str| !needs[key].iter().any(|need| left.contains(need.as_str()));
        let done: Vec<&str> = left.iter().copied().filter(|key| free(key)).collect();
        if done.is_empty() {
            break;
        }
        left.retain(|key| !done.contains(key));
    }
    let Some(key) = left.first() else { return Ok(()) };
    let round: Vec<&str> = left.iter().copied().collect();
    let message = format!("these jobs wait for each other for ever: {}; remove one `needs`", round.join(", "));
    Err(WorkflowError::new(ErrorKind::Needs, at(key), message))
}
