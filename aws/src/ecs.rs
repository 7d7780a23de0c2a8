//! The engine ECS: each runner is a task of its own, on Fargate, Fargate Spot or any capacity provider.
//!
//! A task carries who it is in `startedBy` (stage, class, runner, attempt) and what it is in its tags, so the inventory is
//! what ECS lists, and this program may end at any moment. Identity and tags are apart for a reason: `StopTask` takes a
//! task's tags away, `startedBy` stays.
//!
//! | ECS shows | the machine | what is done |
//! |---|---|---|
//! | no task, never was | not launched | a launch starts it |
//! | PROVISIONING, PENDING, ACTIVATING | about to run, it counts as running | nothing; its event says RUNNING, which brings the handle if the launch's answer was lost |
//! | RUNNING | runs | nothing |
//! | RUNNING, to be STOPPED, Spot | is taken back in two minutes | told as a Spot notice |
//! | DEACTIVATING, STOPPING, DEPROVISIONING | ends, it counts as running | nothing |
//! | STOPPED, for an hour | ended | told by its event, else by the next list |
//! | nothing any more | gone | a read says so, on its second look |
//!
//! One (runner, attempt) never runs twice: it is the client token. The crash windows of a launch, and what comes after each:
//!
//! 1. before `RunTask` is sent: nothing was started. The stored effect launches again;
//! 2. after ECS took it, before the answer: the same call under the same token is answered with the first task. Within one
//!    call the task is looked for by `startedBy` first;
//! 3. the same, and the configuration has changed since: `ConflictException` names the task, which is the answer;
//! 4. after the answer, before it was stored: as 2, or the event RUNNING brings it earlier;
//! 5. after the token has died (a day after its first use, or an hour after the task's end): a launch that is still wanted
//!    then has nothing running, and gets a new task.
//!
//! What ECS refuses in `failures[]` was definitely not started: the core opens the next attempt, which is the next
//! placement (see [`placement`]): other subnets first, then the next capacity provider.
//!
//! Only a task that was stopped and has no row falls through: without tags nobody knows its pool, so it is not listed for
//! the two minutes that it takes to end.

pub mod event;
pub mod placement;

mod ending;
mod failure;
mod found;
mod names;
mod refusal;
mod request;
mod tags;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use aws_sdk_ecs::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
    operation::run_task::{RunTaskError, RunTaskOutput},
    types::{DesiredStatus, TaskField},
};
use controller::ports::{ClaimEnv, Compute, ErrorKind, PortError, PortResult};
use fleet::{
    budget::Bucket,
    effect::LaunchSpec,
    event::Task,
    ids::{ClassName, TaskId},
};

use crate::cloud::Cloud;
use found::Found;
use placement::EcsClass;

/// `RunTask` takes 20 calls at once and 20 a second (FACTS §4), and each launch is a call of its own. Fargate would take
/// 100 at once, but only from calls for ten tasks each, which could not have a token each.
pub const LAUNCHES: Bucket = Bucket::new(20, 20 * 60);

/// Lists are eventually consistent. AWS gives no bound; this is shorter than the wait for a second sweep.
pub const LIST_LAG_MS: u64 = 30_000;

/// How long one call may take: two of them, and a look, fit into the time of an effect.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Tasks of one description (`DescribeTasks`).
const DESCRIBED_AT_ONCE: usize = 100;

/// Looks at a task that ECS does not show before that is believed: reads are eventually consistent.
const LOOKS: u32 = 2;

/// Time between two such looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Pages of one list: more tasks than any quota allows.
const PAGES_MAX: usize = 1_000;

/// Characters of a reason to stop.
const REASON_MAX: usize = 255;

/// How the engine runs tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcsSettings {
    /// Whose tasks: those of other stages are invisible.
    pub stage: String,
    /// The cluster, by name or ARN.
    pub cluster: String,
    /// Subnets in different zones; a launch that finds no capacity in one tries the next.
    pub subnets: Vec<String>,
    /// Security groups of the tasks.
    pub security_groups: Vec<String>,
    /// Whether tasks on Fargate get public addresses: in public subnets they reach nothing without.
    pub assign_public_ip: bool,
    /// What tasks are grouped under in the console; the task definition's family if absent.
    pub group: Option<String>,
    /// The classes.
    pub classes: BTreeMap<ClassName, EcsClass>,
    /// See [`Compute::list_lag_ms`].
    pub list_lag_ms: u64,
    /// How long one call may take.
    pub call_timeout: Duration,
}

impl EcsSettings {
    /// The usual ones: no classes yet.
    pub fn new(stage: impl Into<String>, cluster: impl Into<String>) -> Self {
        Self {
            stage: stage.into(),
            cluster: cluster.into(),
            subnets: Vec::new(),
            security_groups: Vec::new(),
            assign_public_ip: true,
            group: None,
            classes: BTreeMap::new(),
            list_lag_ms: LIST_LAG_MS,
            call_timeout: CALL_TIMEOUT,
        }
    }
}

/// The engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EcsEngine {
    settings: Arc<EcsSettings>,
    /// For what changes something: a call is sent once, whoever repeats it looks first.
    acts: Client,
    /// For what only reads: the SDK tries again.
    reads: Client,
}

impl EcsEngine {
    /// The engine of a stage. Talks to nobody.
    #[must_use]
    pub fn new(cloud: &Cloud, settings: EcsSettings) -> Self {
        let timeout = TimeoutConfig::builder().operation_attempt_timeout(settings.call_timeout).build();
        let config = || Builder::from(cloud.config()).timeout_config(timeout.clone());
        let acts = Client::from_conf(config().retry_config(RetryConfig::disabled()).build());
        let reads = Client::from_conf(config().build());
        Self { settings: Arc::new(settings), acts, reads }
    }

    /// What an answer of `RunTask` says; `None`: nothing.
    fn started(spec: &LaunchSpec, answer: &RunTaskOutput) -> Option<PortResult<TaskId>> {
        if let Some(arn) = answer.tasks().iter().find_map(|task| task.task_arn()) {
            return Some(Ok(arn.into()));
        }
        let failure = answer.failures().first()?;
        Some(Err(failure::told(spec, failure.reason().unwrap_or_default(), failure.detail())))
    }

    /// The task of a launch whose answer is not known; an error says that it is still not known.
    async fn find(&self, spec: &LaunchSpec, why: &str) -> PortResult<TaskId> {
        let started_by = names::started_by(&self.settings.stage, spec)?;
        for desired in [DesiredStatus::Running, DesiredStatus::Stopped] {
            let found = self.arns(Some(&started_by), &desired).await;
            // Whatever keeps us from looking: that nothing was started is not known by it.
            let found = found.map_err(|error| PortError::retry(format!("{why}; {error}")))?;
            if let Some(arn) = found.into_iter().next() {
                return Ok(arn.into());
            }
        }
        Err(PortError::retry(format!(
            "whether {} was started is not known ({why}): the same launch again",
            spec.runner
        )))
    }

    /// The task that a conflict names: an earlier call of this launch started it under other settings.
    fn conflicting(error: &RunTaskError) -> Option<&str> {
        let RunTaskError::ConflictException(conflict) = error else { return None };
        conflict.resource_ids().first().map(String::as_str)
    }

    /// Names of tasks: all pages.
    async fn arns(&self, started_by: Option<&str>, desired: &DesiredStatus) -> PortResult<Vec<String>> {
        let (mut arns, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let ask = self.reads.list_tasks().cluster(&self.settings.cluster).desired_status(desired.clone());
            let page = ask.set_started_by(started_by.map(str::to_owned)).set_next_token(token.take()).send().await;
            let page = page.map_err(|error| refusal::told("list tasks", "ecs:ListTasks", &refusal::hear(&error)))?;
            arns.extend_from_slice(page.task_arns());
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(arns),
            }
        }
        Err(PortError::retry(format!("ECS lists tasks without end: more than {PAGES_MAX} pages")))
    }

    /// What up to [`DESCRIBED_AT_ONCE`] tasks are; those that ECS does not show (any more, or yet) are left out.
    async fn describe(&self, arns: &[String]) -> PortResult<Vec<aws_sdk_ecs::types::Task>> {
        let ask = self.reads.describe_tasks().cluster(&self.settings.cluster).include(TaskField::Tags);
        let shown = ask.set_tasks(Some(arns.to_vec())).send().await;
        let shown =
            shown.map_err(|error| refusal::told("describe tasks", "ecs:DescribeTasks", &refusal::hear(&error)))?;
        Ok(shown.tasks.unwrap_or_default())
    }

    /// One task, looked at again if ECS does not show it.
    async fn look(&self, id: &TaskId) -> PortResult<Option<aws_sdk_ecs::types::Task>> {
        let arns = [id.to_string()];
        for look in 1..=LOOKS {
            if let Some(task) = self.describe(&arns).await?.pop() {
                return Ok(Some(task));
            }
            // This occurs right after a launch. A machine that is taken for gone frees its place, so once is not enough.
            if look < LOOKS {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        Ok(None)
    }
}

/// Now, milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[async_trait]
impl Compute for EcsEngine {
    async fn launch(&self, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<TaskId> {
        let ask = request::of(&self.settings, &self.acts, spec, claim)?;
        let unknown = match ask.send().await {
            Ok(answer) => match Self::started(spec, &answer) {
                Some(result) => return result,
                None => "an empty answer".to_owned(),
            },
            Err(error) => {
                if let Some(arn) = error.as_service_error().and_then(Self::conflicting) {
                    return Ok(arn.into());
                }
                let heard = refusal::hear(&error);
                match refusal::unknown(&heard) {
                    Some(why) => why.to_owned(),
                    None => return Err(refusal::of_launch(spec, &heard)),
                }
            }
        };
        self.find(spec, &unknown).await
    }

    async fn stop(&self, task: &TaskId, why: &str) -> PortResult<()> {
        if !names::is_task_of(&self.settings.cluster, task) {
            return Ok(());
        }
        let reason: String = why.chars().take(REASON_MAX).collect();
        let ask = self.acts.stop_task().cluster(&self.settings.cluster).task(task.as_str()).reason(reason);
        let Err(error) = ask.send().await else { return Ok(()) };
        let heard = refusal::hear(&error);
        // It ended more than an hour ago. One that ECS does not show yet is stopped when its end is overdue.
        if refusal::is_missing_task(&heard) {
            return Ok(());
        }
        Err(refusal::told(&format!("stop {task}"), "ecs:StopTask", &heard))
    }

    async fn read(&self, task: &TaskId) -> PortResult<Option<Task>> {
        if !names::is_task_of(&self.settings.cluster, task) {
            return Ok(None);
        }
        let Some(shown) = self.look(task).await? else { return Ok(None) };
        Ok(Found::of(&self.settings.stage, &shown)?.map(Found::into_task))
    }

    async fn list(&self) -> PortResult<Vec<Task>> {
        // In this order: a task that begins to end in between is in both lists, not in neither.
        let mut arns = self.arns(None, &DesiredStatus::Running).await?;
        arns.extend(self.arns(None, &DesiredStatus::Stopped).await?);
        arns.sort_unstable();
        arns.dedup();
        let mut found = Vec::new();
        for some in arns.chunks(DESCRIBED_AT_ONCE) {
            for shown in self.describe(some).await? {
                found.extend(Found::of(&self.settings.stage, &shown)?.and_then(Found::listed));
            }
        }
        // Of a runner's tasks the one that lives is the last: who keeps one of each keeps that.
        found.sort_by_key(|task: &Task| (task.stopped.is_none(), task.attempt));
        Ok(found)
    }

    fn list_lag_ms(&self) -> u64 {
        self.settings.list_lag_ms
    }

    fn launch_rate(&self) -> Option<Bucket> {
        Some(LAUNCHES)
    }
}

/// A kind's error about a launch.
fn refused(kind: ErrorKind, spec: &LaunchSpec, why: &str) -> PortError {
    PortError::new(kind, format!("ECS did not start {} (class {}): {why}", spec.runner, spec.pool.class))
}
