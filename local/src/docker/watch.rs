//! Looks at containers, listens for their ends, reports, cleans up; and asks them to end.
//!
//! The engine's events only say where to look: what is reported is what a look shows. So an event that is lost, doubled
//! or late does no harm, and the lists that each connection and each sweep begin with find the rest.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bollard::{
    models::{
        ContainerState, ContainerStateStatusEnum as Status, ContainerSummary, ContainerSummaryStateEnum as Listing,
        EventMessage,
    },
    query_parameters::{
        EventsOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    },
};
use controller::{
    backoff::Backoff,
    ports::{PortError, PortResult},
};
use fleet::{
    event::{Event, Task},
    ids::TaskId,
    runner::RunnerInput,
};
use futures_util::TryStreamExt as _;

use super::{Inner, Watched, labels, labels::Labels, logs, refusal};
use crate::{disk, names::is_task_name, word};

/// Events are asked for from so long before the list, seconds: one that is heard twice does no harm.
const OVERLAP_S: u64 = 5;

/// A connection that held so long was a good one: the next try comes soon.
const STEADY: Duration = Duration::from_secs(10);

/// A container as the engine shows it.
pub(super) struct Found {
    task: Task,
    pub(super) phase: Phase,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started yet.
    Created,
    /// It runs, or may.
    Running,
    /// It will never run again; how it ended.
    Ended(String),
}

/// A container as the engine lists it: enough to know one that runs, not how one ended.
struct Listed {
    id: TaskId,
    labels: Labels,
    state: Listing,
}

impl Listed {
    fn of(one: ContainerSummary) -> Option<Self> {
        // A link of another container is a name with a slash in it.
        let mut names = one.names?.into_iter().map(|name| name.trim_start_matches('/').to_owned());
        let id = names.find(|name| is_task_name(name)).map(TaskId::from)?;
        Some(Self { id, labels: one.labels.unwrap_or_default(), state: one.state.unwrap_or(Listing::EMPTY) })
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, Listing::EXITED | Listing::DEAD | Listing::REMOVING)
    }

    fn has_begun(&self) -> bool {
        !self.has_ended() && self.state != Listing::CREATED
    }
}

impl Found {
    pub(super) fn into_task(self) -> Task {
        let stopped = match self.phase {
            Phase::Created | Phase::Running => None,
            Phase::Ended(how) => Some(how.into()),
        };
        Task { stopped, ..self.task }
    }
}

impl Inner {
    /// A container of ours, or `None`.
    pub(super) async fn inspect(&self, id: &TaskId) -> PortResult<Option<Found>> {
        let seen = match self.docker.inspect_container(id.as_str(), None::<InspectContainerOptions>).await {
            Ok(seen) => seen,
            Err(error) if refusal::is_missing(&error) => return Ok(None),
            Err(error) => return Err(self.told("look at", id, &error)),
        };
        let labels = seen.config.and_then(|config| config.labels).unwrap_or_default();
        if !labels::are_of(&self.settings.stage, &labels) {
            return Ok(None);
        }
        let task = labels::task(id.as_str(), &labels, None)?;
        Ok(Some(Found { task, phase: phase(&seen.state.unwrap_or_default()) }))
    }

    /// Our containers, whatever their state.
    async fn listed(&self) -> PortResult<Vec<Listed>> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(&labels::filter(&self.settings.stage));
        let listed = self.docker.list_containers(Some(options.build())).await;
        let listed =
            listed.map_err(|error| refusal::told(&self.settings.host, "list the runners' containers", &error))?;
        Ok(listed.into_iter().filter_map(Listed::of).collect())
    }

    /// All machines. One that has ended is looked after, in case its event was missed.
    pub(super) async fn list(self: Arc<Self>) -> PortResult<Vec<Task>> {
        let mut tasks = Vec::new();
        for one in self.listed().await? {
            if !one.has_ended() {
                tasks.push(labels::task(one.id.as_str(), &one.labels, None)?);
                continue;
            }
            tasks.extend(self.inspect(&one.id).await?.map(Found::into_task));
            tokio::spawn(self.clone().look(one.id));
        }
        Ok(tasks)
    }

    /// Looks at everything: what runs is watched from now on, what ended or vanished is reported.
    pub(super) async fn census(self: Arc<Self>) -> PortResult<()> {
        let (begun, others): (Vec<_>, Vec<_>) = self.listed().await?.into_iter().partition(Listed::has_begun);
        let watched = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect::<Vec<_>>();
        let mut unclear: BTreeSet<TaskId> = others.into_iter().map(|one| one.id).chain(watched).collect();
        // No look at each: there may be thousands. What becomes of them from here on, the engine's events tell.
        for Listed { id, .. } in begun {
            self.watched(&id).begun.store(true, Ordering::Relaxed);
            unclear.remove(&id);
        }
        for id in unclear {
            tokio::spawn(self.clone().look(id));
        }
        Ok(())
    }

    /// Looks at a task and does what its state asks for.
    async fn look(self: Arc<Self>, id: TaskId) {
        let watched = self.watched(&id);
        let gate = watched.gate.lock().await;
        let done = match self.inspect(&id).await {
            Ok(found) => self.see_to(&id, &watched, found).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            // The next connection or the next sweep looks again.
            tracing::warn!("{id} is looked at again later: {error}");
        }
        if !watched.begun.load(Ordering::Relaxed) {
            self.forget(&id, &watched);
        }
        drop(gate);
    }

    async fn see_to(&self, id: &TaskId, watched: &Arc<Watched>, found: Option<Found>) -> PortResult<()> {
        if self.ended.contains(id) {
            // This occurs when we were killed, or the engine failed, between report and removal.
            watched.begun.store(false, Ordering::Relaxed);
            return if found.is_some() { self.remove(id).await } else { Ok(()) };
        }
        match found {
            Some(Found { phase: Phase::Created, .. }) => Ok(()),
            Some(Found { phase: Phase::Running, .. }) => {
                watched.begun.store(true, Ordering::Relaxed);
                Ok(())
            }
            Some(Found { phase: Phase::Ended(how), .. }) => self.finish(id, watched, &how).await,
            None if watched.begun.load(Ordering::Relaxed) => {
                self.finish(id, watched, "somebody removed its container").await
            }
            None => Ok(()),
        }
    }

    /// Reports an end, and when that is stored takes the container away. Under the task's gate.
    async fn finish(&self, id: &TaskId, watched: &Watched, how: &str) -> PortResult<()> {
        let why = match watched.stopping() {
            Some(why) => format!("stopped: {why} ({how})"),
            None => how.to_owned(),
        };
        let Some((runner, _attempt)) = id.as_str().rsplit_once('.') else { return Ok(()) };
        let input = RunnerInput::TaskGone { why: why.as_str().into() };
        if !word::say(&self.words, Event::Runner { runner: runner.into(), input }).await {
            // This occurs when the daemon is ending. The next life reports it.
            return Ok(());
        }
        tracing::debug!("{id} is gone: {why}");
        if self.settings.keep_logs {
            logs::keep(&self.docker, &self.settings.data.join("logs"), id).await;
        }
        // The name first: between the two a repeated launch must not find a free place.
        let dir = self.settings.data.join("ended");
        self.ended.remember(id).map_err(|error| disk::failed("note an end in", &dir, &error))?;
        watched.begun.store(false, Ordering::Relaxed);
        self.remove(id).await
    }

    /// Sends a signal; whether it arrived does not matter to who asks.
    async fn signal(&self, id: &TaskId, signal: &str) -> PortResult<()> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self.docker.kill_container(id.as_str(), Some(options)).await {
            // It ended by itself just now, or is gone.
            Err(error) if matches!(refusal::status(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(self.told("signal", id, &error)),
            Ok(()) => Ok(()),
        }
    }
}

/// Listens to the engine until the daemon ends, from `since` (seconds) on. Each connection begins with a look at
/// everything, because what happened while there was none is told by nobody.
pub(super) async fn listen(inner: Arc<Inner>, mut since_s: u64) {
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let why = tokio::select! {
            heard = hear(&inner, since_s) => heard.map_or_else(|error| error.message, |()| "it hung up".to_owned()),
            () = inner.words.closed() => return,
        };
        if began.elapsed() > STEADY {
            backoff = Backoff::default();
        }
        tracing::warn!("the Docker engine is not heard: {why}; runners are left alone, launches wait");
        loop {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(backoff.next_ms())) => {}
                () = inner.words.closed() => return,
            }
            since_s = now_s();
            match inner.clone().census().await {
                Ok(()) => break,
                Err(error) => tracing::debug!("{error}"),
            }
        }
        tracing::info!("the Docker engine is heard again");
    }
}

async fn hear(inner: &Arc<Inner>, since_s: u64) -> PortResult<()> {
    let mut filter = labels::filter(&inner.settings.stage);
    filter.insert("type".to_owned(), vec!["container".to_owned()]);
    filter.insert("event".to_owned(), ["start", "die", "destroy"].map(str::to_owned).to_vec());
    let since = since_s.saturating_sub(OVERLAP_S).to_string();
    let options = EventsOptionsBuilder::default().since(&since).filters(&filter).build();
    let mut events = std::pin::pin!(inner.docker.events(Some(options)));
    while let Some(event) = events.try_next().await.map_err(|error| lost(inner, &error))? {
        if let Some(id) = named(&event) {
            tokio::spawn(inner.clone().look(id));
        }
    }
    Ok(())
}

fn lost(inner: &Inner, error: &bollard::errors::Error) -> PortError {
    refusal::told(&inner.settings.host, "listen to it", error)
}

/// Whose event it is.
fn named(event: &EventMessage) -> Option<TaskId> {
    let name = event.actor.as_ref()?.attributes.as_ref()?.get("name")?;
    is_task_name(name).then(|| TaskId::from(name))
}

/// Asks a task to end, and sees to it when the grace is over. Returns once it is asked.
pub(super) async fn stop(inner: Arc<Inner>, id: &TaskId, why: &str) -> PortResult<()> {
    let Some(found) = inner.inspect(id).await? else { return Ok(()) };
    let watched = inner.watched(id);
    match found.phase {
        Phase::Ended(_) => {
            tokio::spawn(inner.look(id.clone()));
            Ok(())
        }
        Phase::Created => stop_unborn(inner, id, &watched, why).await,
        Phase::Running => {
            watched.begin_stopping(why);
            inner.signal(id, "SIGTERM").await?;
            if !watched.graced.swap(true, Ordering::Relaxed) {
                tokio::spawn(end_of_grace(inner, id.clone(), watched));
            }
            Ok(())
        }
    }
}

/// This occurs when a launch was cut off between creation and start, and is not wanted any more: there is nobody to ask,
/// and nobody may begin any more.
async fn stop_unborn(inner: Arc<Inner>, id: &TaskId, watched: &Arc<Watched>, why: &str) -> PortResult<()> {
    let gate = watched.gate.lock().await;
    match inner.inspect(id).await? {
        Some(Found { phase: Phase::Created, .. }) => {
            watched.begin_stopping(why);
            inner.finish(id, watched, "it never began").await?;
            inner.forget(id, watched);
            Ok(())
        }
        Some(_) | None => {
            drop(gate);
            Err(PortError::retry(format!("{id} began just now; it is stopped the next time")))
        }
    }
}

async fn end_of_grace(inner: Arc<Inner>, id: TaskId, watched: Arc<Watched>) {
    tokio::time::sleep(inner.settings.stop_grace).await;
    match inner.inspect(&id).await {
        Ok(Some(Found { phase: Phase::Running, .. })) => {
            tracing::warn!("{id} did not end in its grace; it is killed");
            if let Err(error) = inner.signal(&id, "SIGKILL").await {
                tracing::error!("{id} cannot be killed: {error}");
            }
        }
        Ok(_) => {}
        // The deadline of an ending runner passes, and it is stopped again.
        Err(error) => tracing::warn!("{id} may live longer than its grace: {error}"),
    }
    watched.graced.store(false, Ordering::Relaxed);
}

fn phase(state: &ContainerState) -> Phase {
    match state.status {
        Some(Status::CREATED) => Phase::Created,
        Some(Status::EXITED | Status::DEAD | Status::REMOVING) => Phase::Ended(how(state)),
        Some(Status::EMPTY | Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) | None => {
            Phase::Running
        }
    }
}

/// An end in words.
fn how(state: &ContainerState) -> String {
    let code = state.exit_code.unwrap_or(-1);
    let mut words = match code {
        129..=192 => format!("the agent exited with {code} (signal {})", code - 128),
        _plain => format!("the agent exited with {code}"),
    };
    if state.oom_killed == Some(true) {
        words.push_str("; memory was short in its container");
    }
    if let Some(error) = state.error.as_deref().filter(|error| !error.is_empty()) {
        words.push_str(&format!("; {error}"));
    }
    words
}

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: Status, exit_code: i64) -> ContainerState {
        ContainerState { status: Some(status), exit_code: Some(exit_code), ..ContainerState::default() }
    }

    #[test]
    fn a_state_is_one_of_three_phases() {
        assert_eq!(phase(&state(Status::CREATED, 0)), Phase::Created);
        assert_eq!(phase(&state(Status::PAUSED, 0)), Phase::Running);
        assert_eq!(phase(&state(Status::EXITED, 72)), Phase::Ended("the agent exited with 72".into()));
    }

    #[test]
    fn an_end_is_told_in_words() {
        assert_eq!(how(&state(Status::EXITED, 137)), "the agent exited with 137 (signal 9)");
        let oom = ContainerState { oom_killed: Some(true), ..state(Status::EXITED, 0) };
        assert!(how(&oom).contains("memory was short"));
    }
}
