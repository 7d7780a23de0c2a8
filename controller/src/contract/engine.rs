//! What every engine must do: one machine for one (runner, attempt) however often it is asked, tags that tell what runs,
//! and an end that is told of.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use fleet::{
    effect::LaunchSpec,
    event::{Event, Task},
    ids::{RunnerName, TaskId},
    runner::RunnerInput,
};
use tokio::{task::JoinSet, time::Instant};

use super::{Broken, Checked, ensure, facts, run_each, same};
use crate::ports::{ClaimEnv, Compute, PortResult, Secret};

/// How long anything is waited for; a slow machine needs it, a good engine does not.
const DEADLINE: Duration = Duration::from_secs(30);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Callers at once.
const CALLERS: usize = 6;

/// An engine under test and the world around it.
#[async_trait]
pub trait Bench: Send + Sync + 'static {
    /// The engine.
    fn engine(&self) -> Arc<dyn Compute>;

    /// How many agents have really begun for a launch.
    async fn begun(&self, spec: &LaunchSpec) -> usize;

    /// Makes the agent of a launch, which has begun, end by itself.
    async fn end(&self, spec: &LaunchSpec);

    /// The next event that the engine reports, waited for at most so long. An engine that reports none answers `None`;
    /// then only [`Compute::read`] tells of the end.
    async fn event(&self, at_most: Duration) -> Option<Event>;
}

/// Runs all checks of an engine, each on a fresh one.
///
/// # Errors
/// The first promise that is not kept.
pub async fn all<B, F>(make: impl Fn() -> F) -> Checked
where
    B: Bench,
    F: Future<Output = B>,
{
    run_each!(
        make,
        a_launch_asked_for_often_is_one_machine,
        a_launch_that_was_cut_off_is_repeated,
        a_launch_repeated_with_other_credentials_is_one_machine,
        tags_tell_what_runs,
        attempts_are_machines_of_their_own,
        an_end_is_told_of,
        an_ended_launch_never_runs_again,
        stopping_is_idempotent,
        a_machine_that_was_never_there_is_gone,
    )
}

fn claim() -> ClaimEnv {
    ClaimEnv::Ask { url: "http://127.0.0.1:9".into(), token: Secret::new("claim-token-of-the-contract") }
}

async fn launch(bench: &impl Bench, spec: &LaunchSpec) -> PortResult<TaskId> {
    bench.engine().launch(spec, &claim()).await
}

/// Launches and waits until the agent has begun.
async fn launched(bench: &impl Bench, spec: &LaunchSpec) -> Result<TaskId, Broken> {
    let id = launch(bench, spec).await?;
    until("an agent begins", async || Ok(bench.begun(spec).await > 0)).await?;
    Ok(id)
}

/// Waits for a condition.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool, Broken>) -> Checked {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await? {
        ensure(Instant::now() < deadline, format_args!("waited {DEADLINE:?} for: {what}"))?;
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Waits until the engine says of a machine that it no longer runs, in its events (if it has them) and when asked.
async fn gone(bench: &impl Bench, spec: &LaunchSpec, id: &TaskId) -> Result<Option<String>, Broken> {
    let engine = bench.engine();
    let told = bench.event(DEADLINE).await;
    until("it is gone", async || Ok(engine.read(id).await?.is_none_or(|task| task.stopped.is_some()))).await?;
    let listed = engine.list().await?;
    ensure(listed.iter().all(|task| task.id != *id || task.stopped.is_some()), "it is gone and listed as running")?;
    match told {
        None => Ok(None),
        Some(Event::Runner { runner, input: RunnerInput::TaskGone { why } }) if runner == spec.runner => {
            Ok(Some(why.to_string()))
        }
        Some(other) => Err(Broken::new(format_args!("another event than its end: {other:?}"))),
    }
}

async fn a_launch_asked_for_often_is_one_machine<B: Bench>(bench: B) -> Checked {
    let bench = Arc::new(bench);
    let spec = facts::launch("sr-dev-often", 1);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (bench, spec) = (bench.clone(), spec.clone());
        callers.spawn(async move { launch(&*bench, &spec).await });
    }
    let mut ids = Vec::new();
    while let Some(id) = callers.join_next().await {
        ids.push(id??);
    }
    ids.push(launched(&*bench, &spec).await?);
    ids.push(launch(&*bench, &spec).await?);
    ensure(ids.iter().all(|id| Some(id) == ids.first()), format_args!("several handles: {ids:?}"))?;
    same("agents", &bench.begun(&spec).await, &1)?;
    let engine = bench.engine();
    until("one is listed", async || Ok(engine.list().await?.len() == 1)).await?;
    bench.end(&spec).await;
    gone(&*bench, &spec, &ids.remove(0)).await?;
    same("agents in the end", &bench.begun(&spec).await, &1)
}

/// Credentials are not stored: a repeated launch brings others.
async fn a_launch_repeated_with_other_credentials_is_one_machine<B: Bench>(bench: B) -> Checked {
    let spec = facts::launch("sr-dev-given", 1);
    let given = |text: &str| ClaimEnv::Given(Secret::new(text));
    let id = bench.engine().launch(&spec, &given("one")).await?;
    until("an agent begins", async || Ok(bench.begun(&spec).await > 0)).await?;
    same("handle", &bench.engine().launch(&spec, &given("another")).await?, &id)?;
    same("agents", &bench.begun(&spec).await, &1)?;
    bench.end(&spec).await;
    gone(&bench, &spec, &id).await.map(drop)
}

async fn a_launch_that_was_cut_off_is_repeated<B: Bench>(bench: B) -> Checked {
    let spec = facts::launch("sr-dev-cut", 1);
    let engine = bench.engine();
    let claim = claim();
    {
        // Cut off after the request went out, before its answer came.
        let call = engine.launch(&spec, &claim);
        let cut = tokio::time::timeout(Duration::ZERO, call).await;
        drop(cut);
    }
    let id = launched(&bench, &spec).await?;
    same("agents", &bench.begun(&spec).await, &1)?;
    bench.end(&spec).await;
    gone(&bench, &spec, &id).await?;
    same("agents in the end", &bench.begun(&spec).await, &1)
}

async fn tags_tell_what_runs<B: Bench>(bench: B) -> Checked {
    let spec = facts::launch("sr-dev-tags", 3);
    let id = launched(&bench, &spec).await?;
    let expected = Task {
        id: id.clone(),
        runner: spec.runner.clone(),
        attempt: 3,
        pool: spec.pool.clone(),
        repo: spec.repo.clone(),
        created_ms: spec.created_ms,
        stopped: None,
    };
    let engine = bench.engine();
    same("read", &engine.read(&id).await?, &Some(expected.clone()))?;
    until("it is listed", async || Ok(engine.list().await? == vec![expected.clone()])).await?;
    bench.end(&spec).await;
    gone(&bench, &spec, &id).await.map(drop)
}

async fn attempts_are_machines_of_their_own<B: Bench>(bench: B) -> Checked {
    let (one, two) = (facts::launch("sr-dev-again", 1), facts::launch("sr-dev-again", 2));
    let first = launched(&bench, &one).await?;
    let second = launched(&bench, &two).await?;
    ensure(first != second, "two attempts share a handle")?;
    bench.end(&one).await;
    gone(&bench, &one, &first).await?;
    let left = bench.engine().read(&second).await?;
    ensure(left.is_some_and(|task| task.stopped.is_none()), "the other attempt ended too")?;
    bench.end(&two).await;
    gone(&bench, &two, &second).await.map(drop)
}

async fn an_end_is_told_of<B: Bench>(bench: B) -> Checked {
    let spec = facts::launch("sr-dev-end", 1);
    let id = launched(&bench, &spec).await?;
    bench.end(&spec).await;
    let why = gone(&bench, &spec, &id).await?;
    ensure(why.is_none_or(|why| !why.is_empty()), "no word on why it ended")
}

async fn an_ended_launch_never_runs_again<B: Bench>(bench: B) -> Checked {
    let spec = facts::launch("sr-dev-once", 1);
    let id = launched(&bench, &spec).await?;
    bench.end(&spec).await;
    gone(&bench, &spec, &id).await?;
    // This occurs when the machine was faster than the answer to its launch.
    same("handle", &launch(&bench, &spec).await?, &id)?;
    let task = bench.engine().read(&id).await?;
    ensure(task.is_none_or(|task| task.stopped.is_some()), "it runs again")?;
    same("agents", &bench.begun(&spec).await, &1)
}

async fn stopping_is_idempotent<B: Bench>(bench: B) -> Checked {
    let spec = facts::launch("sr-dev-stop", 1);
    let id = launched(&bench, &spec).await?;
    let engine = bench.engine();
    engine.stop(&id, "the contract says so").await?;
    engine.stop(&id, "the contract says so").await?;
    let why = gone(&bench, &spec, &id).await?;
    ensure(why.as_deref().is_none_or(|why| why.contains("the contract says so")), format_args!("why: {why:?}"))?;
    engine.stop(&id, "again, after its end").await.map_err(Broken::from)
}

async fn a_machine_that_was_never_there_is_gone<B: Bench>(bench: B) -> Checked {
    let engine = bench.engine();
    for name in ["sr-dev-none.1", "../../etc", "", "arn:aws:ecs:eu-west-1:1:task/x"] {
        engine.stop(&TaskId::from(name), "it is not there").await?;
        same(&format!("`{name}`"), &engine.read(&TaskId::from(name)).await?, &None)?;
    }
    same("listed", &engine.list().await?, &vec![])?;
    let nobody = RunnerName::from("sr-dev-none");
    same("begun", &bench.begun(&facts::launch(nobody.as_str(), 1)).await, &0)
}
