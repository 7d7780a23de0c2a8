//! The controller's ports over a simulated world: delays, failures, lost answers, and death at any call.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use controller::{
    mem::MemStore,
    ports::{
        About, ClaimEnv, Clock, Compute, ErrorKind, FailedDelivery, GitHub, JitConfig, JitRequest, Look, Notifier,
        PortError, PortResult, RegistrationToken, Scan, Secret, Store,
    },
};
use fleet::{
    budget::{Bucket, Grant},
    decide::Moment,
    effect::{LaunchSpec, Notice, NoticeKind, Pending},
    event::{Event, Registration, Task},
    ids::{EffectId, JobId, RegistrationId, Repo, RunId, Scope, TaskId},
    rota::{Cost, How, runs_to_read},
    view::{Decision, Keys, Record, View},
};

use super::{beside::same, machine, process::Life, world::World};
use crate::hub::{
    delivery::Shown,
    limits::RestError,
    model::{DEFAULT_GROUP, NewRunner},
    rest::RunnerView,
    rest_jobs::Failed,
};

/// What simulated credentials begin with; the rest is the registration's id, or the token. Nothing may print it.
pub(crate) const SECRET_PREFIX: &str = "jit-s3cr3t-";

/// Name of the one call that must not be repeated.
const JIT_CALL: &str = "jit";

/// Launches that the engine takes a minute (FACTS §4: 20 a second).
const LAUNCHES_A_MINUTE: u32 = 1_200;

/// Large enough for all runners of a scope.
const PAGE: usize = 1_000;

/// What all ports of one process share.
#[derive(Clone)]
struct Line {
    world: Arc<World>,
    life: Arc<Life>,
}

impl Line {
    /// Makes a call: it may come late, fail before it is made, take effect without an answer, or be the last thing that
    /// the process did.
    async fn call<T: Send>(
        &self,
        what: &'static str,
        most_ms: u64,
        work: impl Fn() -> PortResult<T> + Send,
    ) -> PortResult<T> {
        self.life.alive().await;
        self.world.latency(most_ms).await;
        self.life.alive().await;
        if self.world.fault("call fails", |profile| profile.call_fails) {
            return Err(PortError::retry(format!("{what}: no connection")));
        }
        // A name is registered once: the call that makes a configuration is not among what may be repeated.
        if self.world.lock().profile.twice && what != JIT_CALL {
            let _ = work();
        }
        let result = work();
        self.crash(what).await;
        self.world.latency(most_ms / 4).await;
        if self.world.fault("answer lost", |profile| profile.answer_lost) {
            return Err(PortError::retry(format!("{what}: no answer")));
        }
        self.life.alive().await;
        result
    }

    /// Dies by chance, or at the call that a story names.
    async fn crash(&self, what: &'static str) {
        let named = {
            let mut state = self.world.lock();
            state.calls += 1;
            state.crash_at_call == Some(state.calls)
        };
        if named || self.world.fault("controller dies", |profile| profile.crash) {
            self.world.trace(|| format!("dies after {what}"));
            self.life.die().await;
        }
    }
}

/// Runs that a glance shows.
const GLANCE_RUNS: usize = 30;

/// GitHub of a world.
pub(crate) struct SimGitHub {
    line: Line,
    /// What it last answered to a question that is asked again with an ETag.
    answered: Mutex<BTreeMap<(&'static str, Repo), u64>>,
    /// The run of a repository whose jobs were read last.
    read: Mutex<BTreeMap<Repo, RunId>>,
}

impl SimGitHub {
    pub(crate) fn new(world: &Arc<World>, life: &Arc<Life>) -> Self {
        let line = Line { world: world.clone(), life: life.clone() };
        Self { line, answered: Mutex::default(), read: Mutex::default() }
    }

    async fn rest<T: Send>(
        &self,
        what: &'static str,
        work: impl Fn(&mut crate::hub::Hub, u64) -> Result<T, RestError> + Send + Sync,
    ) -> PortResult<T> {
        let world = &self.line.world;
        self.line
            .call(what, 300, || {
                let now_ms = world.now_ms();
                let mut state = world.lock();
                *state.asked.entry(what).or_default() += 1;
                let result = work(&mut state.hub, now_ms);
                drop(state);
                world.changed.notify_one();
                result.map_err(|error| port_error(what, &error, now_ms))
            })
            .await
    }
}

impl SimGitHub {
    /// Whether an answer is another one than the last to the same question. If not, its calls were answered with 304.
    fn changed(&self, what: &'static str, repo: &Repo, answer: &impl std::fmt::Debug, calls: u32) -> bool {
        let mut hasher = DefaultHasher::new();
        format!("{answer:?}").hash(&mut hasher);
        let mut known = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = known.insert((what, repo.clone()), hasher.finish()) != Some(hasher.finish());
        if !changed {
            let mut state = self.line.world.lock();
            (0..calls).for_each(|_| state.hub.not_modified());
        }
        changed
    }

    /// The newest runs: whether one is open, whether they are others than the last time.
    async fn glance(&self, repo: &Repo) -> PortResult<(bool, bool)> {
        let runs = self.rest("glance", |hub, now_ms| hub.runs(now_ms, repo, None, 1, GLANCE_RUNS)).await?;
        let open = runs.items.iter().any(|run| run.status != Shown::Completed);
        Ok((open, self.changed("glance", repo, &runs, 1)))
    }
}

/// As the real client reads an answer.
fn port_error(what: &str, error: &RestError, now_ms: u64) -> PortError {
    let kind = match error.status {
        403 | 429 => ErrorKind::RateLimited { until_ms: rate_limited_until_ms(error, now_ms) },
        401 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        409 | 422 => ErrorKind::Conflict,
        _ => ErrorKind::Retry,
    };
    PortError::new(kind, format!("{what}: {}", error.status))
}

/// `retry-after`, else the reset of an empty budget, else a minute.
fn rate_limited_until_ms(error: &RestError, now_ms: u64) -> u64 {
    let reset_s = error.ratelimit_reset_s.filter(|_| error.ratelimit_remaining == Some(0));
    match (error.retry_after_s, reset_s) {
        (Some(after_s), _) => now_ms + after_s * 1_000,
        (None, Some(reset_s)) => reset_s * 1_000,
        (None, None) => now_ms + 60_000,
    }
}

#[async_trait]
impl GitHub for SimGitHub {
    async fn jit_config(&self, request: &JitRequest) -> PortResult<JitConfig> {
        let runner = NewRunner {
            scope: request.pool.scope.clone(),
            name: request.name.as_str().into(),
            labels: request.pool.labels.clone(),
            group: DEFAULT_GROUP,
            ephemeral: true,
        };
        let made = self.rest(JIT_CALL, |hub, now_ms| hub.jit_config(now_ms, runner.clone())).await?;
        if made.answer_lost {
            return Err(PortError::retry("jit: no answer"));
        }
        Ok(JitConfig { id: made.id, encoded: Secret::new(format!("{SECRET_PREFIX}{}", made.id)) })
    }

    async fn registration_token(&self, scope: &Scope) -> PortResult<RegistrationToken> {
        let made = self.rest("make token", |hub, now_ms| hub.runner_token(now_ms, scope)).await?;
        let token = Secret::new(format!("{SECRET_PREFIX}{}", made.token));
        Ok(RegistrationToken { url: format!("https://github.test/{scope}"), token, expires_ms: made.expires_ms })
    }

    async fn runners(&self, scope: &Scope) -> PortResult<Vec<Registration>> {
        let page = self.rest("list runners", |hub, now_ms| hub.runners(now_ms, scope, None, 1, PAGE)).await?;
        Ok(page.items.iter().map(RunnerView::registration).collect())
    }

    async fn runner_by_name(&self, scope: &Scope, name: &str) -> PortResult<Option<Registration>> {
        let page = self.rest("find runner", |hub, now_ms| hub.runners(now_ms, scope, Some(name), 1, PAGE)).await?;
        Ok(page.items.first().map(RunnerView::registration))
    }

    async fn runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<Option<Registration>> {
        let seen = self.rest("read runner", |hub, now_ms| hub.runner(now_ms, scope, id)).await;
        found(seen).map(|seen| seen.map(|seen| seen.registration()))
    }

    async fn delete_runner(&self, scope: &Scope, id: RegistrationId) -> PortResult<()> {
        self.line.world.check_busy(id, "its registration was deleted");
        found(self.rest("delete runner", |hub, now_ms| hub.delete_runner(now_ms, scope, id)).await).map(drop)
    }

    async fn job(&self, repo: &Repo, id: JobId) -> PortResult<Option<Event>> {
        let job = self.rest("read job", |hub, now_ms| hub.job(now_ms, repo, id)).await;
        self.line.world.trace(|| format!("job {id} is read: {:?}", job.as_ref().map(|job| job.status)));
        found(job).map(|job| job.map(|job| job.event(true)))
    }

    async fn open_jobs(&self, repo: &Repo) -> PortResult<Vec<Event>> {
        let jobs = self.rest("list jobs", |hub, now_ms| hub.open_jobs(now_ms, repo)).await?;
        Ok(jobs.iter().map(|job| job.event(false)).collect())
    }

    async fn look(&self, repo: &Repo, how: How) -> PortResult<Look> {
        let mut look = Look { jobs: None, unread: BTreeSet::new(), open: true, changed: false, cost: Cost::default() };
        if how == How::Glance {
            let (open, changed) = self.glance(repo).await?;
            look.cost += Cost::of_request(!changed);
            (look.open, look.changed) = (open, changed);
        }
        if look.open {
            let last = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(repo).copied();
            let (jobs, read, unread, requests) = self
                .rest("list jobs", |hub, now_ms| {
                    let before = hub.calls().made;
                    let (read, unread) = runs_to_read(hub.open_runs(now_ms, repo)?, last);
                    let jobs = hub.open_jobs_of(now_ms, repo, &read)?;
                    let requests = u32::try_from(hub.calls().made - before).unwrap_or(u32::MAX);
                    Ok((jobs, read.last().copied(), unread, requests))
                })
                .await?;
            if let Some(read) = read {
                self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.clone(), read);
            }
            look.unread = unread;
            let changed = self.changed("list jobs", repo, &jobs, requests);
            look.cost += Cost { requests, charged: if changed { requests } else { 0 } };
            look.open = !jobs.is_empty();
            look.jobs = Some(jobs.iter().map(|job| job.event(false)).collect());
        }
        Ok(look)
    }

    async fn repositories(&self, _owner: &str) -> PortResult<Vec<Repo>> {
        Ok(Vec::new())
    }

    async fn rerun_job(&self, repo: &Repo, id: JobId) -> PortResult<()> {
        self.rest("rerun", |hub, now_ms| hub.rerun_job(now_ms, repo, id)).await.map(drop)
    }

    async fn failed_deliveries(&self, scope: &Scope, since_ms: u64) -> PortResult<Vec<FailedDelivery>> {
        let failed = self.rest("list deliveries", |hub, now_ms| hub.failed_deliveries(now_ms, scope, since_ms)).await?;
        let delivery =
            |failed: Failed| FailedDelivery { id: failed.id, guid: failed.guid.to_string(), at_ms: failed.at_ms };
        Ok(failed.into_iter().map(delivery).collect())
    }

    async fn redeliver(&self, scope: &Scope, id: u64) -> PortResult<()> {
        self.rest("redeliver", |hub, now_ms| hub.redeliver(now_ms, Some(scope), id)).await.map(drop)
    }
}

/// A 404 is an answer.
fn found<T>(result: PortResult<T>) -> PortResult<Option<T>> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The engine of a world.
pub(crate) struct SimCompute(Line);

impl SimCompute {
    pub(crate) fn new(world: &Arc<World>, life: &Arc<Life>) -> Self {
        Self(Line { world: world.clone(), life: life.clone() })
    }

    fn start(&self, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<TaskId> {
        let world = &self.0.world;
        let now_ms = world.now_ms();
        let drought = world.lock().profile.drought && world.age_ms() < 8 * 60_000;
        let known = world.lock().cloud.get(&super::cloud::Cloud::handle(spec)).is_some();
        if world.lock().profile.engine_rates && !world.lock().cloud.admit(now_ms) {
            *world.lock().faults.entry("engine throttles").or_default() += 1;
            // ECS does not say when to come back; its client does (`aws::ecs`).
            let until_ms = now_ms + world.dice(1_000..=3_000);
            return Err(PortError::new(ErrorKind::RateLimited { until_ms }, "Rate exceeded"));
        }
        if !known && (drought || world.fault("engine refuses", |profile| profile.refuse)) {
            if drought {
                *world.lock().faults.entry("no capacity").or_default() += 1;
            }
            return Err(PortError::new(ErrorKind::Capacity, "Capacity is unavailable at this time"));
        }
        let lag_ms = world.lock().profile.list_lag_ms;
        let lag_ms = world.dice(0..=lag_ms);
        let (task, new) = world.lock().cloud.launch(spec, now_ms, lag_ms);
        if new {
            world.trace(|| format!("{task} starts"));
            world.check_caps();
            machine::start(world, spec, &task, claim.clone());
        }
        Ok(task)
    }

    fn end(&self, task: &TaskId, why: &str) -> PortResult<()> {
        let world = &self.0.world;
        let registration = world
            .lock()
            .cloud
            .get(task)
            .filter(|machine| machine.stopped.is_none())
            .map(|machine| machine.registration);
        let Some(registration) = registration else { return Ok(()) };
        if let Some(id) = registration {
            world.check_busy(id, "its machine was stopped");
        }
        if world.fault("stop lost", |profile| profile.stop_lost) {
            return Ok(());
        }
        world.end_machine(task, &format!("stopped: {why}"));
        Ok(())
    }
}

#[async_trait]
impl Compute for SimCompute {
    async fn launch(&self, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<TaskId> {
        self.0.call("launch", 500, || self.start(spec, claim)).await
    }

    async fn stop(&self, task: &TaskId, why: &str) -> PortResult<()> {
        self.0.call("stop", 300, || self.end(task, why)).await
    }

    async fn read(&self, task: &TaskId) -> PortResult<Option<Task>> {
        let world = &self.0.world;
        self.0
            .call("read machine", 200, || {
                let now_ms = world.now_ms();
                Ok(world.lock().cloud.seen(task, now_ms, 0))
            })
            .await
    }

    async fn list(&self) -> PortResult<Vec<Task>> {
        let world = &self.0.world;
        self.0
            .call("list machines", 400, || {
                let now_ms = world.now_ms();
                let mut state = world.lock();
                let lag_ms = state.profile.list_lag_ms;
                let lag_ms = state.rng.u64(0..=lag_ms);
                Ok(state.cloud.list(now_ms, lag_ms))
            })
            .await
    }

    fn list_lag_ms(&self) -> u64 {
        self.0.world.lock().profile.list_lag_ms
    }

    fn launch_rate(&self) -> Option<Bucket> {
        Some(Bucket::new(self.0.world.lock().profile.launches_at_once, LAUNCHES_A_MINUTE))
    }
}

/// The store of a world, shared by all controllers.
pub(crate) struct SimStore {
    line: Line,
    store: Arc<MemStore>,
}

impl SimStore {
    pub(crate) fn new(world: &Arc<World>, life: &Arc<Life>) -> Self {
        Self { line: Line { world: world.clone(), life: life.clone() }, store: world.fleet.store.clone() }
    }

    /// A call of the store: as any other, but its work is a future that never waits.
    async fn call<T: Send>(
        &self,
        what: &'static str,
        work: impl Future<Output = PortResult<T>> + Send,
    ) -> PortResult<T> {
        self.line.life.alive().await;
        self.line.world.latency(20).await;
        if self.line.world.fault("store fails", |profile| profile.call_fails / 4) {
            return Err(PortError::retry(format!("{what}: the store does not answer")));
        }
        self.line.life.alive().await;
        let result = work.await;
        self.line.crash(what).await;
        result
    }

    /// A call of the world's store, and of the one beside it.
    async fn both<T, F>(&self, what: &'static str, ask: impl Fn(Arc<dyn Store>) -> F + Send + Sync) -> PortResult<T>
    where
        T: PartialEq + fmt::Debug + Send + Sync,
        F: Future<Output = PortResult<T>> + Send,
    {
        self.call(what, self.ask(what, ask)).await
    }

    async fn ask<T, F>(&self, what: &'static str, ask: impl Fn(Arc<dyn Store>) -> F + Send + Sync) -> PortResult<T>
    where
        T: PartialEq + fmt::Debug + Send + Sync,
        F: Future<Output = PortResult<T>> + Send,
    {
        let own = ask(self.store.clone()).await;
        same(&self.line.world, what, &own, ask).await;
        own
    }
}

#[async_trait]
impl Store for SimStore {
    async fn load(&self, keys: &Keys, now_ms: u64) -> PortResult<View> {
        self.both("load", |store| async move { store.load(keys, now_ms).await }).await
    }

    async fn commit(&self, decision: &Decision, now_ms: u64) -> PortResult<()> {
        let result = self.both("commit", |store| async move { store.commit(decision, now_ms).await }).await;
        if let Err(error) = &result {
            self.line.world.trace(|| format!("commit: {error}"));
        }
        if result.is_ok() {
            for record in &decision.records {
                self.line.world.trace(|| {
                    format!("{} {}", record.job.map_or(String::new(), |job| format!("job {job}:")), record.text)
                });
            }
        }
        result
    }

    async fn lease_due(
        &self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> PortResult<Vec<(EffectId, Pending)>> {
        let lease = |store: Arc<dyn Store>| async move { store.lease_due(owner, now_ms, until_ms, limit).await };
        self.both("lease effects", lease).await
    }

    async fn retry_effect(&self, id: &EffectId, owner: &str, due_ms: u64) -> PortResult<()> {
        self.both("retry effect", |store| async move { store.retry_effect(id, owner, due_ms).await }).await
    }

    async fn finish_effect(&self, id: &EffectId, owner: &str) -> PortResult<()> {
        self.both("finish effect", |store| async move { store.finish_effect(id, owner).await }).await
    }

    async fn next_due_ms(&self) -> PortResult<Option<u64>> {
        self.line.life.alive().await;
        self.ask("next due", |store| async move { store.next_due_ms().await }).await
    }

    async fn lease(&self, name: &str, owner: &Arc<str>, now_ms: u64, until_ms: u64) -> PortResult<bool> {
        self.both("lease", |store| async move { store.lease(name, owner, now_ms, until_ms).await }).await
    }

    async fn take_budget(&self, name: &str, limits: Bucket, points: u32, now_ms: u64) -> PortResult<Grant> {
        let take = |store: Arc<dyn Store>| async move { store.take_budget(name, limits, points, now_ms).await };
        self.both("take budget", take).await
    }

    async fn block_budget(&self, name: &str, limits: Bucket, until_ms: u64) -> PortResult<()> {
        self.both("block budget", |store| async move { store.block_budget(name, limits, until_ms).await }).await
    }

    async fn scan(&self) -> PortResult<Scan> {
        self.both("scan", |store| async move { store.scan().await }).await
    }

    async fn set_suspicions(&self, suspicions: BTreeMap<String, u64>) -> PortResult<()> {
        let (suspicions, what) = (&suspicions, "set suspicions");
        self.both(what, |store| async move { store.set_suspicions(suspicions.clone()).await }).await
    }

    async fn expire(&self, now_ms: u64) -> PortResult<()> {
        self.both("expire", |store| async move { store.expire(now_ms).await }).await
    }

    async fn records(&self, about: &About, limit: usize) -> PortResult<Vec<Record>> {
        self.both("records", |store| async move { store.records(about, limit).await }).await
    }
}

/// Counts notices.
pub(crate) struct SimNotifier(Arc<World>);

impl SimNotifier {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self(world.clone())
    }
}

#[async_trait]
impl Notifier for SimNotifier {
    async fn notify(&self, notice: &Notice) -> PortResult<()> {
        self.0.trace(|| format!("NOTICE {}: {}", notice.kind.as_str(), notice.text));
        let mut state = self.0.lock();
        *state.notices.entry(notice.kind).or_default() += 1;
        state.told.push(notice.clone());
        if notice.kind == NoticeKind::JobInterrupted {
            let job = notice.text.split(' ').nth(1).and_then(|id| id.parse().ok());
            state.told_interrupted.extend(job.map(JobId));
        }
        Ok(())
    }
}

/// The clock of one controller: off by its skew.
pub(crate) struct SimClock {
    world: Arc<World>,
    skew_ms: u64,
}

impl SimClock {
    pub(crate) fn new(world: &Arc<World>, skew_ms: u64) -> Self {
        Self { world: world.clone(), skew_ms }
    }
}

impl Clock for SimClock {
    fn moment(&self) -> Moment {
        let (nonce, clock_set_ms) = {
            let mut state = self.world.lock();
            (state.rng.u64(..), state.clock_set_ms)
        };
        Moment { now_ms: (self.world.now_ms() + self.skew_ms).saturating_add_signed(clock_set_ms), nonce }
    }
}
