//! What exists in the simulated ECS.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::budget::Bucket;
use serde_json::Value;

/// Account and Region of everything here.
pub const REGION: &str = "eu-west-1";
/// The account's number.
pub const ACCOUNT: &str = "123456789012";

/// Where a task is in its life, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Its network interface is made.
    Provisioning,
    /// Its image is pulled.
    Pending,
    /// Its last preparations.
    Activating,
    /// Its container runs.
    Running,
    /// Its container has ended.
    Deactivating,
    /// It is being stopped.
    Stopping,
    /// Its network interface is taken away.
    Deprovisioning,
    /// It is no more.
    Stopped,
}

impl Status {
    /// AWS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Why a task ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// `stopCode`.
    pub code: &'static str,
    /// `stoppedReason`.
    pub reason: Arc<str>,
}

/// A task at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Since when, milliseconds.
    pub at_ms: u64,
    /// `lastStatus`.
    pub last: Status,
    /// Why its `desiredStatus` is STOPPED, if it is.
    pub ending: Option<Ending>,
    /// Its container's exit code.
    pub exit_code: Option<i32>,
    /// Its container's `reason`.
    pub container_reason: Option<Arc<str>>,
    /// Whether its tags are still there: they go with `StopTask`, and with the end.
    pub tagged: bool,
    /// Grows with each change.
    pub version: u64,
}

/// A task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name.
    pub arn: Arc<str>,
    /// The cluster's name.
    pub cluster: String,
    /// The request that started it.
    pub request: Arc<Value>,
    /// The task definition's ARN.
    pub definition: String,
    /// Name of its container.
    pub container: String,
    /// What it runs on: `FARGATE`, `FARGATE_SPOT`, or another capacity provider.
    pub provider: String,
    /// The subnet that it got.
    pub subnet: String,
    /// CPU units (1024 a vCPU).
    pub cpu: u32,
    /// Why it will never start, if so.
    pub never_starts: Option<Arc<str>>,
    /// What it was and is: reads that lag see an older one.
    pub states: Vec<State>,
}

impl Task {
    /// What it really is now.
    pub fn now(&self) -> Option<&State> {
        self.states.last()
    }

    /// What it was at a moment; `None`: it was not there.
    pub fn at(&self, at_ms: u64) -> Option<&State> {
        self.states.iter().rev().find(|state| state.at_ms <= at_ms)
    }

    /// When it first was in a status, milliseconds.
    pub fn since_ms(&self, status: Status) -> Option<u64> {
        self.states.iter().find(|state| state.last == status).map(|state| state.at_ms)
    }

    /// Whether it takes capacity.
    pub fn is_live(&self) -> bool {
        self.now().is_some_and(|state| state.last != Status::Stopped)
    }

    /// A text of its request, `startedBy` for one.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.request.get(key)?.as_str()
    }

    /// The environment that its overrides give its container.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let pairs = self.request.pointer("/overrides/containerOverrides/0/environment").and_then(Value::as_array);
        let text = |pair: &Value, key: &str| Some(pair.get(key)?.as_str()?.to_owned());
        pairs.into_iter().flatten().filter_map(|pair| Some((text(pair, "name")?, text(pair, "value")?))).collect()
    }
}

/// A registered task definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its family.
    pub family: String,
    /// Its only revision.
    pub revision: u32,
    /// Name of its container.
    pub container: String,
    /// CPU units (1024 a vCPU).
    pub cpu: u32,
    /// `INACTIVE` ones start nothing.
    pub active: bool,
    /// Why its tasks never start: an image that is not there, for example.
    pub broken: Option<Arc<str>>,
}

impl Definition {
    /// An active one of 4 vCPU, whose container is `runner`.
    pub fn new(family: &str) -> Self {
        let (family, container) = (family.to_owned(), "runner".to_owned());
        Self { family, revision: 1, container, cpu: 4_096, active: true, broken: None }
    }

    /// Its ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{}:{}", self.family, self.revision)
    }
}

/// What a client token stands for.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) request: Arc<Value>,
    pub(super) answer: Value,
    pub(super) tasks: Vec<Arc<str>>,
    pub(super) at_ms: u64,
}

/// An event under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub(super) due_ms: u64,
    pub(super) event: Value,
}

/// What happens to a container: who plays it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It runs.
    Started {
        /// Whose.
        arn: Arc<str>,
        /// Its environment, as overridden.
        environment: BTreeMap<String, String>,
    },
    /// SIGTERM.
    Term {
        /// Whose.
        arn: Arc<str>,
    },
    /// It has ended, by itself or killed.
    Ended {
        /// Whose.
        arn: Arc<str>,
    },
}

/// How long things take, milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// Each of the three steps before RUNNING.
    pub step_up_ms: u64,
    /// Each of the three steps after the container's end.
    pub step_down_ms: u64,
    /// From SIGTERM to SIGKILL (`stopTimeout`).
    pub stop_timeout_ms: u64,
    /// From a Spot notice to SIGKILL.
    pub spot_notice_ms: u64,
    /// A stopped task is described for so long.
    pub remember_ms: u64,
    /// A client token lives so long.
    pub token_ms: u64,
    /// A client token outlives its last task by so long.
    pub token_after_end_ms: u64,
}

impl Default for Times {
    /// As documented, and a start of half a minute.
    fn default() -> Self {
        Self {
            step_up_ms: 10_000,
            step_down_ms: 5_000,
            stop_timeout_ms: 30_000,
            spot_notice_ms: 120_000,
            remember_ms: 3_600_000,
            token_ms: 24 * 3_600_000,
            token_after_end_ms: 3_600_000,
        }
    }
}

impl Times {
    /// As fast as can be; what is documented otherwise.
    pub fn quick() -> Self {
        Self { step_up_ms: 1, step_down_ms: 1, stop_timeout_ms: 20, spot_notice_ms: 40, ..Self::default() }
    }
}

/// Quotas and rates; `None`: unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls of `RunTask`: 20 at once, 20 a second.
    pub run_task_calls: Option<Bucket>,
    /// All other calls.
    pub other_calls: Option<Bucket>,
    /// Tasks launched on Fargate, and again so many on Fargate Spot: 100 at once, 20 a second.
    pub launches: Option<Bucket>,
    /// Fargate vCPU that may run at once, and again so many of Spot.
    pub vcpus: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            run_task_calls: Some(Bucket::new(20, 20 * 60)),
            other_calls: None,
            launches: Some(Bucket::new(100, 20 * 60)),
            vcpus: None,
        }
    }
}
