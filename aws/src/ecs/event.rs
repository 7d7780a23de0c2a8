//! "ECS Task State Change" events, as what the core is told. Pure: an event in, words out.
//!
//! EventBridge delivers at least once and in no order. What several events of one task say is put in the order of their
//! `version`; an event that comes after a later one was handled changes nothing, because the core takes every step only
//! forward.

use std::collections::BTreeMap;

use fleet::{event::Event, ids::TaskId, runner::RunnerInput};
use serde_json::Value;

use super::{
    ending::{self, Ending},
    names,
};

/// What one event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskWord {
    /// Whose.
    pub task: TaskId,
    /// ECS's counter of the task's changes.
    pub version: u64,
    /// What the core is told.
    pub event: Event,
}

/// What the `detail` of an event says to this stage; `None`: nothing, or it is somebody else's task.
///
/// RUNNING brings the handle, in case the launch's answer was lost. STOPPED is the engine's word that the machine is gone.
/// A Spot notice is RUNNING with the wish that it be STOPPED.
#[must_use]
pub fn told(stage: &str, detail: &Value) -> Option<TaskWord> {
    let text = |key: &str| detail.get(key).and_then(Value::as_str).unwrap_or_default();
    let named = names::named(stage, text("startedBy"))?;
    let arn = detail.get("taskArn")?.as_str()?;
    let taken_back = matches!(text("stopCode"), "SpotInterruption" | "TerminationNotice");
    let input = match (text("lastStatus"), text("desiredStatus")) {
        ("STOPPED", _) => RunnerInput::TaskGone { why: ending::words(&ending(detail)).into() },
        ("RUNNING", "RUNNING") => RunnerInput::Launched { attempt: named.attempt, task: arn.into() },
        ("RUNNING", "STOPPED") if taken_back => RunnerInput::SpotNotice,
        _ => return None,
    };
    let version = detail.get("version").and_then(Value::as_u64).unwrap_or_default();
    Some(TaskWord { task: arn.into(), version, event: Event::Runner { runner: named.runner, input } })
}

/// The events of a batch in the order in which they happened to each task, each once.
#[must_use]
pub fn in_order(words: impl IntoIterator<Item = TaskWord>) -> Vec<Event> {
    let keyed = words.into_iter().map(|word| ((word.task, word.version), word.event));
    keyed.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn ending(detail: &Value) -> Ending<'_> {
    let containers = detail.get("containers").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let container = containers.iter().find(|one| one.get("exitCode").is_some()).or(containers.first());
    Ending {
        code: detail.get("stopCode").and_then(Value::as_str).unwrap_or_default(),
        reason: detail.get("stoppedReason").and_then(Value::as_str).unwrap_or_default(),
        exit_code: container.and_then(|one| one.get("exitCode")?.as_i64()),
        container: container.and_then(|one| one.get("reason")?.as_str()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:ecs:eu-west-1:1:task/dev/0123";

    fn detail(last: &str, desired: &str, version: u64) -> Value {
        json!({
            "taskArn": ARN, "lastStatus": last, "desiredStatus": desired, "version": version,
            "startedBy": "self-runners/dev/linux/sr-dev-a/2",
        })
    }

    fn input(detail: &Value) -> Option<RunnerInput> {
        let Event::Runner { runner, input } = told("dev", detail)?.event else { panic!("another event") };
        assert_eq!(runner.as_str(), "sr-dev-a");
        Some(input)
    }

    #[test]
    fn running_brings_the_handle_and_stopped_the_end() {
        let launched = RunnerInput::Launched { attempt: 2, task: ARN.into() };
        assert_eq!(input(&detail("RUNNING", "RUNNING", 4)), Some(launched));
        let mut stopped = detail("STOPPED", "STOPPED", 8);
        stopped["stopCode"] = json!("EssentialContainerExited");
        stopped["containers"] = json!([{"name": "init"}, {"name": "runner", "exitCode": 0}]);
        assert_eq!(input(&stopped), Some(RunnerInput::TaskGone { why: "the agent exited with 0".into() }));
    }

    #[test]
    fn a_spot_notice_is_told_and_a_stop_of_our_own_is_not() {
        let mut ending = detail("RUNNING", "STOPPED", 5);
        ending["stopCode"] = json!("UserInitiated");
        assert_eq!(input(&ending), None);
        ending["stopCode"] = json!("SpotInterruption");
        assert_eq!(input(&ending), Some(RunnerInput::SpotNotice));
    }

    #[test]
    fn what_is_on_its_way_or_not_ours_says_nothing() {
        for last in ["PROVISIONING", "PENDING", "ACTIVATING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "NEW"] {
            assert_eq!(told("dev", &detail(last, "RUNNING", 1)), None, "{last}");
        }
        assert_eq!(told("qa", &detail("STOPPED", "STOPPED", 1)), None);
        for bent in [json!(null), json!([]), json!({"startedBy": "ecs-svc/1", "taskArn": ARN, "lastStatus": "STOPPED"})]
        {
            assert_eq!(told("dev", &bent), None);
        }
    }

    #[test]
    fn a_batch_is_put_in_order_and_each_is_told_once() {
        let mut notice = detail("RUNNING", "STOPPED", 5);
        notice["stopCode"] = json!("SpotInterruption");
        let details = [detail("STOPPED", "STOPPED", 8), notice.clone(), detail("RUNNING", "RUNNING", 4), notice];
        let events = in_order(details.iter().filter_map(|detail| told("dev", detail)));
        let kinds = events.iter().map(|event| {
            let Event::Runner { input, .. } = event else { panic!("another event: {event:?}") };
            input.label()
        });
        let kinds: Vec<_> = kinds.collect();
        assert_eq!(kinds, ["launched", "spot notice (report)", "task gone"]);
    }
}
