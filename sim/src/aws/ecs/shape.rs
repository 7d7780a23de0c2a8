//! Tasks, events and refusals as AWS writes them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::model::{ACCOUNT, REGION, State, Status, Task};
use crate::hub::payload::rfc3339;

/// An error as AWS JSON 1.1 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Name of the exception.
    pub code: String,
    /// Its message.
    pub message: String,
    /// The tasks that a conflict names.
    pub resource_ids: Vec<Arc<str>>,
}

impl Refusal {
    /// An exception of status 400.
    pub fn new(code: &str, message: &str) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.to_owned(), resource_ids: Vec::new() }
    }

    /// A parameter is wrong.
    pub fn invalid(message: &str) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// Something is not there, or not to be used so.
    pub fn client(message: &str) -> Self {
        Self::new("ClientException", message)
    }

    /// Too many calls.
    pub fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    /// AWS's own trouble.
    pub fn server() -> Self {
        Self { status: 500, ..Self::new("ServerException", "Service Unavailable. Please try again later.") }
    }

    /// A permission is missing.
    pub fn denied(action: &str) -> Self {
        let message = format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/scaler/x is not authorized to perform: {action} on resource: \
             arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/runner:1 because no identity-based policy allows the \
             {action} action"
        );
        Self::new("AccessDeniedException", &message)
    }

    /// Its body.
    pub fn body(&self) -> Value {
        let mut body = json!({"__type": self.code, "message": self.message});
        if !self.resource_ids.is_empty() {
            body["resourceIds"] = json!(self.resource_ids);
        }
        body
    }
}

pub(super) fn cluster_arn(name: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}")
}

/// A task as an answer shows it: times are seconds.
pub(super) fn task(task: &Task, state: &State, tags: bool) -> Value {
    let mut shown = describe(task, state, |at_ms| json!(at_ms as f64 / 1_000.0));
    // Without being asked for, tags are an empty list.
    shown["tags"] = task.request.get("tags").filter(|_| tags && state.tagged).cloned().unwrap_or_else(|| json!([]));
    shown
}

/// A task state change as EventBridge delivers it: times are texts, and there are no tags.
pub(super) fn event(task: &Task, state: &State, id: u64) -> Value {
    json!({
        "version": "0",
        "id": format!("{id:032x}"),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": ACCOUNT,
        "time": rfc3339(state.at_ms),
        "region": REGION,
        "resources": [&*task.arn],
        "detail": describe(task, state, |at_ms| json!(rfc3339(at_ms))),
    })
}

fn describe(task: &Task, state: &State, time: impl Fn(u64) -> Value) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(key.to_owned(), value);
        }
    };
    let when = |status| task.since_ms(status).filter(|at_ms| *at_ms <= state.at_ms).map(&time);
    put("taskArn", Some(json!(task.arn)));
    put("clusterArn", Some(json!(cluster_arn(&task.cluster))));
    put("taskDefinitionArn", Some(json!(task.definition)));
    put("lastStatus", Some(json!(state.last.word())));
    put("desiredStatus", Some(json!(if state.ending.is_some() { "STOPPED" } else { "RUNNING" })));
    put("startedBy", task.request.get("startedBy").cloned());
    put("group", Some(json!(format!("family:{}", family(&task.definition)))));
    put("overrides", Some(task.request.get("overrides").cloned().unwrap_or_else(|| json!({"containerOverrides": []}))));
    put("containers", Some(json!([container(task, state)])));
    put("cpu", Some(json!(task.cpu.to_string())));
    put("launchType", task.provider.starts_with("FARGATE").then(|| json!("FARGATE")));
    put("capacityProviderName", task.request.get("capacityProviderStrategy").map(|_| json!(task.provider)));
    put("version", Some(json!(state.version)));
    put("createdAt", when(Status::Provisioning));
    put("startedAt", when(Status::Running));
    put("stoppedAt", when(Status::Stopped));
    put("stopCode", state.ending.as_ref().map(|ending| json!(ending.code)));
    put("stoppedReason", state.ending.as_ref().map(|ending| json!(ending.reason)));
    Value::Object(shown)
}

fn container(task: &Task, state: &State) -> Value {
    let last = match state.last {
        Status::Provisioning | Status::Pending | Status::Activating => "PENDING",
        Status::Running => "RUNNING",
        Status::Deactivating | Status::Stopping | Status::Deprovisioning | Status::Stopped => "STOPPED",
    };
    let mut shown = json!({"name": task.container, "taskArn": task.arn, "lastStatus": last});
    if let Some(code) = state.exit_code {
        shown["exitCode"] = json!(code);
    }
    if let Some(reason) = &state.container_reason {
        shown["reason"] = json!(reason);
    }
    shown
}

fn family(definition: &str) -> &str {
    let name = definition.rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default()
}
