//! Lists, descriptions and stops. Reads lag: they show what was a moment ago.

use serde_json::{Value, json};

use super::Ecs;
use super::model::Status;
use super::shape::{self, Refusal};

/// Tasks of one page, and of one description.
const PAGE_MAX: usize = 100;

impl Ecs {
    pub(super) fn list_tasks(&mut self, now_ms: u64, body: &Value) -> Result<Value, Refusal> {
        let cluster = self.cluster(body)?;
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let started_by = text("startedBy");
        if started_by.is_some() && ["family", "serviceName", "containerInstance"].iter().any(|key| text(key).is_some())
        {
            return Err(Refusal::invalid("startedBy must be the only filter."));
        }
        let stopped = match text("desiredStatus") {
            None | Some("RUNNING") => false,
            Some("STOPPED") => true,
            Some(_) => return Ok(json!({"taskArns": []})),
        };
        let size = body.get("maxResults").and_then(Value::as_u64).map_or(Some(PAGE_MAX), |size| size.try_into().ok());
        let Some(size) = size.filter(|size| (1..=PAGE_MAX).contains(size)) else {
            return Err(Refusal::invalid("maxResults must be between 1 and 100."));
        };
        let after = text("nextToken").unwrap_or_default();
        let seen_ms = now_ms - self.lag(self.faults.list_lag_ms).min(now_ms);
        let shown = self.tasks.values().filter(|task| {
            task.cluster == cluster
                && started_by.is_none_or(|by| task.text("startedBy") == Some(by))
                && task.at(seen_ms).is_some_and(|state| state.ending.is_some() == stopped)
        });
        let mut page: Vec<&str> = shown.map(|task| &*task.arn).filter(|arn| *arn > after).take(size + 1).collect();
        let more = page.len() > size;
        page.truncate(size);
        let mut answer = json!({"taskArns": page});
        if let Some(last) = page.last().filter(|_| more) {
            answer["nextToken"] = json!(last);
        }
        Ok(answer)
    }

    pub(super) fn describe_tasks(&mut self, now_ms: u64, body: &Value) -> Result<Value, Refusal> {
        let cluster = self.cluster(body)?;
        let asked = body.get("tasks").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
        if asked.is_empty() {
            return Err(Refusal::invalid("Tasks cannot be empty."));
        }
        if asked.len() > PAGE_MAX {
            return Err(Refusal::invalid("Tasks cannot have more than 100 items."));
        }
        let tags = body.get("include").and_then(Value::as_array).is_some_and(|all| all.contains(&json!("TAGS")));
        let seen_ms = now_ms - self.lag(self.faults.describe_lag_ms).min(now_ms);
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for arn in asked.iter().filter_map(Value::as_str) {
            self.in_cluster(&cluster, arn)?;
            let seen = self.tasks.get(arn).and_then(|task| Some(shape::task(task, task.at(seen_ms)?, tags)));
            match seen {
                Some(task) => tasks.push(task),
                None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
            }
        }
        Ok(json!({"tasks": tasks, "failures": failures}))
    }

    pub(super) fn stop_task(&mut self, now_ms: u64, body: &Value) -> Result<Value, Refusal> {
        let cluster = self.cluster(body)?;
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let arn = text("task");
        self.in_cluster(&cluster, arn)?;
        if !self.tasks.contains_key(arn) {
            return Err(Refusal::invalid("The referenced task was not found."));
        }
        let reason = Some(text("reason")).filter(|reason| !reason.is_empty()).unwrap_or("Task stopped by user");
        self.stop(now_ms, arn, reason);
        let task = self.tasks.get(arn).and_then(|task| Some(shape::task(task, task.now()?, false)));
        Ok(json!({"task": task}))
    }

    fn in_cluster(&self, cluster: &str, arn: &str) -> Result<(), Refusal> {
        match arn.rsplit('/').nth(1) {
            Some(of) if of == cluster => Ok(()),
            Some(of) => Err(Refusal::invalid(&format!(
                "Invalid identifier: Identifier is for cluster {of}. Your cluster is {cluster}"
            ))),
            None => Err(Refusal::invalid("Invalid identifier: Unexpected number of separators")),
        }
    }

    /// How many tasks have not stopped.
    pub fn live(&self) -> usize {
        self.tasks.values().filter(|task| task.is_live()).count()
    }

    /// The tasks that run now.
    pub fn running_now(&self) -> impl Iterator<Item = &super::model::Task> {
        self.tasks.values().filter(|task| task.now().is_some_and(|state| state.last == Status::Running))
    }
}
