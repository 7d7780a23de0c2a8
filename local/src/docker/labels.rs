//! A machine's tags, as labels of its container: the inventory is rebuilt from the engine alone.
//!
//! The stage is among them, so that another installation's containers, and everybody else's, are invisible.

use std::{collections::HashMap, sync::Arc};

use controller::ports::{PortError, PortResult};
use fleet::{
    class::Pool,
    effect::LaunchSpec,
    event::Task,
    ids::{Repo, Scope, TaskId},
    labels::LabelSet,
};

/// Whose container it is.
pub(super) const STAGE: &str = "self-runners.stage";
const RUNNER: &str = "self-runners.runner";
const ATTEMPT: &str = "self-runners.attempt";
const CLASS: &str = "self-runners.class";
const POOL: &str = "self-runners.pool";
const SCOPE: &str = "self-runners.scope";
const LABELS: &str = "self-runners.labels";
const REPO: &str = "self-runners.repo";
const JOB: &str = "self-runners.job";
const CREATED: &str = "self-runners.created-ms";

/// What the engine calls a set of labels.
pub(super) type Labels = HashMap<String, String>;

/// The labels of a launch.
pub(super) fn of(stage: &str, spec: &LaunchSpec) -> Labels {
    let mut labels = Labels::from([
        (STAGE.to_owned(), stage.to_owned()),
        (RUNNER.to_owned(), spec.runner.to_string()),
        (ATTEMPT.to_owned(), spec.attempt.to_string()),
        (CLASS.to_owned(), spec.pool.class.to_string()),
        (POOL.to_owned(), spec.pool.id.to_string()),
        (SCOPE.to_owned(), spec.pool.scope.to_string()),
        (LABELS.to_owned(), spec.pool.labels.to_string()),
        (CREATED.to_owned(), spec.created_ms.to_string()),
    ]);
    labels.extend(spec.repo.as_ref().map(|repo| (REPO.to_owned(), repo.to_string())));
    // For people: which job it is given is GitHub's to say.
    labels.extend(spec.job.map(|job| (JOB.to_owned(), job.to_string())));
    labels
}

/// The filter that shows a stage's containers only.
pub(super) fn filter(stage: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{STAGE}={stage}")])])
}

/// Whether they are of this stage.
pub(super) fn are_of(stage: &str, labels: &Labels) -> bool {
    labels.get(STAGE).is_some_and(|of| of == stage)
}

/// The machine that they tell of.
///
/// # Errors
/// Labels of our stage that we do not understand: the listing must not pretend to be complete.
pub(super) fn task(name: &str, labels: &Labels, stopped: Option<Arc<str>>) -> PortResult<Task> {
    read(name, labels, stopped).ok_or_else(|| {
        PortError::retry(format!(
            "the labels of container {name} cannot be read: was it started by a newer version? Go back to that one, or \
             remove the container"
        ))
    })
}

fn read(name: &str, labels: &Labels, stopped: Option<Arc<str>>) -> Option<Task> {
    let text = |key: &str| labels.get(key).map(String::as_str);
    let list = text(LABELS)?;
    let pool = Pool {
        id: text(POOL)?.into(),
        class: text(CLASS)?.into(),
        scope: Scope::try_from(text(SCOPE)?.to_owned()).ok()?,
        labels: LabelSet::parse(list.split(',').filter(|label| !label.is_empty())).ok()?,
    };
    let repo = match text(REPO) {
        Some(repo) => Some(Repo::parse(repo)?),
        None => None,
    };
    Some(Task {
        id: TaskId::from(name),
        runner: text(RUNNER)?.into(),
        attempt: text(ATTEMPT)?.parse().ok()?,
        pool,
        repo,
        created_ms: text(CREATED)?.parse().ok()?,
        stopped,
    })
}

#[cfg(test)]
mod tests {
    use controller::contract::facts;

    use super::*;

    #[test]
    fn a_launch_is_read_back_from_its_labels() {
        let spec = facts::launch("sr-dev-0abc", 3);
        let labels = of("dev", &spec);
        assert_eq!(labels[JOB], "70");
        let task = task("sr-dev-0abc.3", &labels, None).unwrap();
        assert_eq!((task.runner, task.attempt, task.pool), (spec.runner, 3, spec.pool));
        assert_eq!((task.repo, task.created_ms), (spec.repo, spec.created_ms));
        assert!(are_of("dev", &labels) && !are_of("prod", &labels));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let mut labels = of("dev", &facts::launch("sr-dev-0abc", 1));
        labels.insert(ATTEMPT.to_owned(), "first".to_owned());
        assert!(task("sr-dev-0abc.1", &labels, None).unwrap_err().message.contains("newer version"));
    }
}
