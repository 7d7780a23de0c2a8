//! A task as ECS describes it, as the core's machine.

use std::sync::Arc;

use controller::ports::{PortError, PortResult};
use fleet::{
    class::Pool,
    event::Task,
    ids::{Scope, TaskId},
    labels::LabelSet,
};

use super::{
    ending::{self, Ending},
    names::{self, Named},
    tags::{self, Tagged},
};

/// What a description says of a task of ours.
pub(super) struct Found {
    id: TaskId,
    named: Named,
    tagged: Option<Tagged>,
    stopped: Option<Arc<str>>,
}

impl Found {
    /// A task of this stage; `None`: somebody else's.
    ///
    /// # Errors
    /// Tags that we do not understand, on a task that runs: the list must not pretend to be complete.
    pub(super) fn of(stage: &str, shown: &aws_sdk_ecs::types::Task) -> PortResult<Option<Self>> {
        let named = shown.started_by().and_then(|by| names::named(stage, by));
        let (Some(named), Some(arn)) = (named, shown.task_arn()) else { return Ok(None) };
        let tagged = tags::read(|key| {
            let tag = shown.tags().iter().find(|tag| tag.key() == Some(key))?;
            tag.value()
        });
        if tagged.is_none() && shown.desired_status() == Some("RUNNING") {
            return Err(PortError::retry(format!(
                "the tags of {arn} cannot be read: were they changed, or is it of a newer version? Put them back, go \
                 back to that version, or stop the task"
            )));
        }
        let stopped = (shown.last_status() == Some("STOPPED")).then(|| ending::words(&ending_of(shown)).into());
        Ok(Some(Self { id: arn.into(), named, tagged, stopped }))
    }

    /// As the core's machine. Of one without tags, which is ending or has ended, only pool, repository and time of
    /// creation are made up: who reads one by its handle has a row that knows them.
    pub(super) fn into_task(self) -> Task {
        let tagged = self.tagged.unwrap_or_else(|| {
            let pool = Pool::new(&self.named.class.as_str().into(), &Scope::Org("".into()), &LabelSet::default());
            Tagged { pool, repo: None, created_ms: 0 }
        });
        Task {
            id: self.id,
            runner: self.named.runner,
            attempt: self.named.attempt,
            pool: tagged.pool,
            repo: tagged.repo,
            created_ms: tagged.created_ms,
            stopped: self.stopped,
        }
    }

    /// As the core's machine in a list, where one that still ends and has no tags is left out: without a row it would be
    /// adopted into a pool that does not exist. With one it is only read directly, which shows it.
    pub(super) fn listed(self) -> Option<Task> {
        (self.tagged.is_some() || self.stopped.is_some()).then(|| self.into_task())
    }
}

fn ending_of(shown: &aws_sdk_ecs::types::Task) -> Ending<'_> {
    let container = shown.containers().iter().find(|one| one.exit_code().is_some()).or(shown.containers().first());
    Ending {
        code: shown.stop_code().map_or("", |code| code.as_str()),
        reason: shown.stopped_reason().unwrap_or_default(),
        exit_code: container.and_then(|one| one.exit_code()).map(i64::from),
        container: container.and_then(|one| one.reason()).unwrap_or_default(),
    }
}
