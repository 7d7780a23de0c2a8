//! Names of a task: its client token, its `startedBy`, its ARN. What is not ours is told apart here.

use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::{
    effect::LaunchSpec,
    ids::{RunnerName, TaskId},
};

/// What `startedBy` of every task of ours begins with.
const OURS: &str = "self-runners";

/// Characters of `startedBy`, which may be letters, digits, `-`, `/` and `_` (FACTS §4).
const STARTED_BY_MAX: usize = 128;

/// Characters of a client token (FACTS §4).
const TOKEN_MAX: usize = 64;

/// Whose task it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) runner: RunnerName,
    pub(super) attempt: u32,
    pub(super) class: String,
}

/// `self-runners/<stage>/<class>/<runner>/<attempt>`.
pub(super) fn started_by(stage: &str, spec: &LaunchSpec) -> PortResult<String> {
    let text = format!("{OURS}/{stage}/{}/{}/{}", spec.pool.class, spec.runner, spec.attempt);
    let fine = |c: char| c.is_ascii_alphanumeric() || "-/_".contains(c);
    if text.len() <= STARTED_BY_MAX && text.chars().all(fine) && named(stage, &text).is_some() {
        return Ok(text);
    }
    let why = format!("`{text}` cannot name a task: shorten the names of stage and class, to letters, digits, - and _");
    Err(PortError::new(ErrorKind::Invalid, why))
}

/// What a `startedBy` says, if it is one of this stage.
pub(super) fn named(stage: &str, started_by: &str) -> Option<Named> {
    let mut parts =
        started_by.strip_prefix(OURS)?.strip_prefix('/')?.strip_prefix(stage)?.strip_prefix('/')?.split('/');
    let (class, runner, attempt) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && !class.is_empty() && !runner.is_empty();
    whole.then_some(Named { runner: runner.into(), attempt: attempt.parse().ok()?, class: class.to_owned() })
}

/// `<runner>.<attempt>`: one launch has one token, however often it is asked for.
pub(super) fn client_token(spec: &LaunchSpec) -> PortResult<String> {
    let token = format!("{}.{}", spec.runner, spec.attempt);
    if token.len() <= TOKEN_MAX && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token);
    }
    let why = format!("`{token}` cannot be a client token of ECS: shorten the name of the stage");
    Err(PortError::new(ErrorKind::Invalid, why))
}

/// Whether a handle can be a task of this cluster: `arn:…:ecs:…:task/<cluster>/<id>`.
pub(super) fn is_task_of(cluster: &str, task: &TaskId) -> bool {
    let name = cluster.rsplit('/').next().unwrap_or_default();
    let mut parts = task.as_str().splitn(6, ':');
    let (arn, _partition, service) = (parts.next(), parts.next(), parts.next());
    let mut path = parts.nth(2).unwrap_or_default().split('/');
    let place = path.next() == Some("task") && path.next() == Some(name);
    let id = path.next().is_some_and(|id| !id.is_empty()) && path.next().is_none();
    (arn, service) == (Some("arn"), Some("ecs")) && place && id
}

#[cfg(test)]
mod tests {
    use controller::contract::facts;

    use super::*;

    #[test]
    fn a_task_tells_whose_it_is_and_only_to_its_stage() {
        let spec = facts::launch("sr-dev-0abc", 3);
        let text = started_by("dev", &spec).unwrap();
        assert_eq!(text, "self-runners/dev/linux/sr-dev-0abc/3");
        let expected = Named { runner: spec.runner, attempt: 3, class: "linux".into() };
        assert_eq!(named("dev", &text), Some(expected));
        for (stage, text) in [
            ("qa", text.as_str()),
            ("de", text.as_str()),
            ("dev", "ecs-svc/123"),
            ("dev", "self-runners/dev/linux/sr-dev-0abc"),
            ("dev", "self-runners/dev/linux/sr-dev-0abc/first"),
            ("dev", "self-runners/dev/linux/sr-dev-0abc/1/2"),
            ("dev", ""),
        ] {
            assert_eq!(named(stage, text), None, "{stage} {text}");
        }
    }

    #[test]
    fn the_longest_names_of_a_configuration_fit() {
        let (stage, class) = ("s".repeat(20), "c".repeat(40));
        let mut spec = facts::launch(&format!("sr-{stage}-{}", "x".repeat(15)), u32::MAX);
        spec.pool.class = class.as_str().into();
        assert!(started_by(&stage, &spec).unwrap().len() <= STARTED_BY_MAX);
        assert!(client_token(&spec).unwrap().len() <= TOKEN_MAX);
    }

    #[test]
    fn names_that_ecs_refuses_are_told_before_it_is_asked() {
        let spec = facts::launch(&"x".repeat(120), 1);
        assert!(started_by("dev", &spec).unwrap_err().message.contains("shorten"));
        assert!(client_token(&spec).unwrap_err().message.contains("shorten"));
        assert!(started_by("dev", &facts::launch("sr.dev", 1)).is_err());
    }

    #[test]
    fn only_tasks_of_the_cluster_are_asked_for() {
        let task = |text: &str| TaskId::from(text);
        let ours = "arn:aws:ecs:eu-west-1:123456789012:task/dev/0123abcd";
        assert!(is_task_of("dev", &task(ours)));
        assert!(is_task_of("arn:aws:ecs:eu-west-1:123456789012:cluster/dev", &task(ours)));
        assert!(is_task_of("dev", &task("arn:aws-cn:ecs:cn-north-1:123456789012:task/dev/0123abcd")));
        for other in [
            "",
            "../../etc",
            "arn:aws:ecs:eu-west-1:1:task/x",
            "arn:aws:ecs:eu-west-1:1:task/qa/0123",
            "arn:aws:ecs:eu-west-1:1:task/dev/",
            "arn:aws:ecs:eu-west-1:1:task/dev/0/1",
            "arn:aws:ec2:eu-west-1:1:task/dev/0123",
        ] {
            assert!(!is_task_of("dev", &task(other)), "{other}");
        }
    }
}
