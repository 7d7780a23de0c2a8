//! The verbs of a [story](super::story): what people do, what goes wrong, what is to be seen.
//!
//! Whatever waits here waits in virtual time. Looking costs the world nothing: no call, no budget, no dice.

use std::sync::Arc;

use controller::{
    mem::MemStore,
    ports::{About, Store},
    sweep::Swept,
};
use fleet::{
    class::Size,
    drain::Extent,
    effect::{Notice, NoticeKind},
    event::{Event, Outcome},
    ids::{JobId, Repo, RunnerName, TaskId},
    job::Job,
    policy::Policy,
    rota::Outlook,
    runner::{Runner, RunnerInput},
};
use tokio::task::JoinSet;

use super::{check, profile::Profile, world::World};
use crate::hub::{
    Hub,
    limits::Calls,
    model::{NewJob, Status},
};

/// How often it is looked whether what a story waits for holds, milliseconds.
const LOOK_EVERY_MS: u64 = 100;

/// What has not happened by then never will, milliseconds.
const NEVER_MS: u64 = 6 * 3_600_000;

/// How long a job runs unless a story says otherwise, milliseconds.
const JOB_MS: u64 = 30_000;

/// A world while its story is told. Cheap to clone.
#[derive(Clone)]
pub struct Scene {
    world: Arc<World>,
}

/// What people do.
impl Scene {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Somebody pushes, and GitHub announces a job with these labels. It will run for half a minute.
    pub fn push(&self, repo: &str, labels: &[&str]) -> JobId {
        self.submit(repo, |repo| NewJob::new(repo, "build", labels))
    }

    /// The same, in an environment that needs an approval.
    pub fn push_guarded(&self, repo: &str, labels: &[&str]) -> JobId {
        self.submit(repo, |repo| NewJob::new(repo, "deploy", labels).in_environment("production"))
    }

    fn submit(&self, repo: &str, job: impl FnOnce(&Repo) -> NewJob) -> JobId {
        let repo = Repo::parse(repo).unwrap_or_else(|| panic!("{repo} is no repository"));
        let job = job(&repo);
        let labels = job.labels.clone();
        let id = self.github(|hub, now_ms| hub.submit(now_ms, job));
        self.lasts(id, JOB_MS);
        self.world.trace(|| format!("job {id} is pushed to {repo} for {labels:?}"));
        id
    }

    /// A job will run for so long, if it has not started.
    pub fn lasts(&self, job: JobId, ms: u64) {
        self.world.fleet.set_length(job, ms);
    }

    /// A job will fail by itself.
    pub fn fails(&self, job: JobId) {
        self.world.lock().failing.insert(job);
    }

    /// Somebody approves a job.
    pub fn approve(&self, job: JobId) {
        let approved = self.github(|hub, now_ms| hub.approve(now_ms, job));
        assert!(approved, "job {job} waits for no approval");
    }

    /// Somebody cancels a job.
    pub fn cancel(&self, job: JobId) {
        self.world.trace(|| format!("job {job} is cancelled"));
        let cancelled = self.github(|hub, now_ms| hub.cancel(now_ms, job));
        assert!(cancelled, "job {job} has ended");
    }

    /// Does anything with GitHub: its faults, its groups, its deliveries.
    pub fn github<T>(&self, work: impl FnOnce(&mut Hub, u64) -> T) -> T {
        let now_ms = self.world.now_ms();
        let result = work(&mut self.world.lock().hub, now_ms);
        self.world.changed.notify_one();
        result
    }

    /// The operator has a runner stopped, at work or not.
    pub async fn stop_runner(&self, runner: &RunnerName) {
        self.world.lock().stopped_by_hand.insert(runner.clone());
        self.handle(Event::Runner { runner: runner.clone(), input: RunnerInput::Stop { by: "operator".into() } }).await;
    }

    /// The operator has a runner stopped if that costs no job.
    pub async fn stop_idle_runner(&self, runner: &RunnerName) -> Outcome {
        let input = RunnerInput::StopIdle { by: "operator".into() };
        self.handle(Event::Runner { runner: runner.clone(), input }).await
    }

    /// The operator drains a class, or all.
    pub async fn drain(&self, extent: Extent) -> Outcome {
        self.handle(Event::Drain { extent, by: "operator".into() }).await
    }

    /// The operator lifts a drain.
    pub async fn end_drain(&self, extent: Extent) -> Outcome {
        self.handle(Event::EndDrain { extent, by: "operator".into() }).await
    }

    /// The operator changes the rules.
    pub fn set_policy(&self, change: impl FnOnce(&mut Policy)) {
        let policy = {
            let mut state = self.world.lock();
            change(&mut state.policy);
            state.policy.clone()
        };
        for process in self.world.fleet.all() {
            process.controller.set_policy(policy.clone());
        }
    }
}

/// What goes wrong, and what controllers are made to do.
impl Scene {
    /// Sets what goes wrong with the engine, the agents and the controllers from now on.
    pub fn profile(&self, change: impl FnOnce(&mut Profile)) {
        change(&mut self.world.lock().profile);
    }

    /// The machine that a job runs on is lost.
    pub fn kill_machine_of(&self, job: JobId) {
        let task = self.machine_of(job).unwrap_or_else(|| panic!("no machine runs job {job}"));
        self.world.end_machine(&task, "Spot: the host was taken back");
    }

    /// All controllers are killed. They come back by themselves, within half a minute.
    pub async fn kill_controllers(&self) {
        for process in self.world.fleet.all() {
            tokio::spawn(async move { process.life.die().await });
        }
        self.until("all controllers are dead", |scene| scene.world.fleet.all().is_empty()).await;
    }

    /// All controllers are asked to end, and do when they have done what they have in hand. They come back by
    /// themselves.
    pub async fn end_controllers(&self) {
        self.world.fleet.all().iter().for_each(|process| process.controller.end());
        let in_hand = |scene: &Self| scene.store().look(|it| it.effects().any(|(_, pending)| pending.lease.is_some()));
        self.until("nothing is in hand", |scene| !in_hand(scene)).await;
        self.kill_controllers().await;
    }

    /// The store loses all that it holds.
    pub fn empty_store(&self) {
        self.world.trace(|| "the store is emptied".into());
        self.world.fleet.empty_store();
    }

    /// The clocks of all controllers are set by so much, milliseconds.
    pub fn set_clock(&self, ms: i64) {
        self.world.trace(|| format!("the clocks are set by {ms} ms"));
        self.world.lock().clock_set_ms += ms;
    }

    /// All controllers sweep at once, now.
    pub async fn sweep(&self) -> Vec<Swept> {
        let mut sweeps = JoinSet::new();
        for process in self.world.fleet.all() {
            sweeps.spawn(async move { process.controller.sweep_once().await.unwrap_or_default() });
        }
        sweeps.join_all().await
    }

    /// A controller handles an event.
    pub async fn handle(&self, event: Event) -> Outcome {
        let process = self.world.fleet.any().unwrap_or_else(|| panic!("no controller lives"));
        let handled = process.controller.handle(&[event]).await;
        let mut outcomes = handled.unwrap_or_else(|error| panic!("{error}"));
        outcomes.pop().unwrap_or(Outcome::Unknown)
    }
}

/// Waiting.
impl Scene {
    /// Lets so much time pass.
    pub async fn pass(&self, ms: u64) {
        self.world.sleep(ms).await;
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// When it does not within hours.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let never_ms = self.world.age_ms() + NEVER_MS;
        while !holds(self) {
            assert!(self.world.age_ms() < never_ms, "never: {what}");
            self.world.sleep(LOOK_EVERY_MS).await;
        }
    }

    /// Waits until a job runs.
    pub async fn until_running(&self, job: JobId) {
        self.until(&format!("job {job} runs"), |scene| matches!(scene.status(job), Status::Running { .. })).await;
    }

    /// Waits until a job has ended at GitHub.
    pub async fn until_done(&self, job: JobId) {
        self.until(&format!("job {job} has ended"), |scene| matches!(scene.status(job), Status::Done { .. })).await;
    }

    /// Waits until the rows say so of a job.
    pub async fn until_row(&self, job: JobId, holds: impl Fn(&Job) -> bool) {
        self.until(&format!("the row of job {job}"), |scene| scene.row(job).is_some_and(|row| holds(&row))).await;
    }

    /// Waits until nothing is left to be done.
    pub async fn until_rest(&self) {
        self.until("all is at rest", |scene| check::leftovers(&scene.world).is_empty()).await;
    }

    /// Waits until no machine lives.
    pub async fn until_no_machine(&self) {
        self.until("all machines are gone", |scene| scene.machines() == 0).await;
    }
}

/// Looking.
impl Scene {
    pub(crate) fn store(&self) -> &MemStore {
        &self.world.fleet.store
    }

    /// Milliseconds since the world began.
    pub fn age_ms(&self) -> u64 {
        self.world.age_ms()
    }

    /// Where a job really stands.
    pub fn status(&self, job: JobId) -> Status {
        let state = self.world.lock();
        state.hub.true_job(job).map_or_else(|| panic!("there is no job {job}"), crate::hub::model::HubJob::status)
    }

    /// Our row of a job.
    pub fn row(&self, job: JobId) -> Option<Job> {
        self.store().look(|ledger| ledger.job(job).cloned())
    }

    /// How many rows of jobs, runners and pools there are, and effects.
    pub fn rows(&self) -> usize {
        self.store().look(|it| it.jobs().count() + it.runners().count() + it.pools().count() + it.effects().count())
    }

    /// What is still to be done outside.
    pub fn effects(&self) -> usize {
        self.store().look(|ledger| ledger.effects().count())
    }

    /// All jobs of GitHub, oldest first.
    pub fn jobs(&self) -> Vec<JobId> {
        self.world.lock().hub.true_jobs().map(|(id, _)| id).collect()
    }

    /// Our rows of runners, those that are gone too.
    pub fn runners(&self) -> Vec<Runner> {
        self.store().look(|ledger| ledger.runners().cloned().collect())
    }

    /// The runner that a job runs or ran on.
    pub fn runner_of(&self, job: JobId) -> Option<RunnerName> {
        let state = self.world.lock();
        let registration = state.hub.true_job(job)?.ran_on?;
        state.cloud.by_registration(registration).map(|machine| machine.spec.runner.clone())
    }

    /// How large the machine is that a job runs or ran on.
    pub fn size_of(&self, job: JobId) -> Option<Size> {
        let state = self.world.lock();
        let registration = state.hub.true_job(job)?.ran_on?;
        state.cloud.by_registration(registration).map(|machine| machine.spec.size)
    }

    fn machine_of(&self, job: JobId) -> Option<TaskId> {
        let state = self.world.lock();
        let registration = state.hub.true_job(job)?.runner()?;
        let mut live = state.cloud.live();
        live.find(|(_, machine)| machine.registration == Some(registration)).map(|(task, _)| task.clone())
    }

    /// Why a job stands where it stands: what was decided about it, in order.
    pub async fn why(&self, job: JobId) -> Vec<String> {
        let records = self.store().records(&About::Job(job), usize::MAX).await.unwrap_or_default();
        records.into_iter().rev().map(|record| record.text).collect()
    }

    /// The same of a runner.
    pub async fn why_runner(&self, runner: &RunnerName) -> Vec<String> {
        let records = self.store().records(&About::Runner(runner.clone()), usize::MAX).await.unwrap_or_default();
        records.into_iter().rev().map(|record| record.text).collect()
    }

    /// What a person was told, in order.
    pub fn notices(&self) -> Vec<Notice> {
        self.world.lock().told.clone()
    }

    /// What a person was told of this kind.
    pub fn told(&self, kind: NoticeKind) -> Vec<String> {
        let notices = self.notices().into_iter().filter(|notice| notice.kind == kind);
        notices.map(|notice| notice.text.to_string()).collect()
    }

    /// How often a fault of the engine, the agents or the controllers has occurred.
    pub fn faults(&self, name: &str) -> u64 {
        self.world.lock().faults.get(name).copied().unwrap_or(0)
    }

    /// What a controller promises about its looks for jobs.
    pub fn outlook(&self) -> Outlook {
        self.world.fleet.any().map(|process| process.controller.outlook()).unwrap_or_default()
    }

    /// Calls of GitHub so far, by what they ask.
    pub fn asked(&self, what: &str) -> u64 {
        self.world.lock().asked.get(what).copied().unwrap_or(0)
    }

    /// Calls of GitHub so far, as GitHub counts them.
    pub fn calls(&self) -> Calls {
        self.world.lock().hub.calls()
    }

    /// Machines that live.
    pub fn machines(&self) -> usize {
        self.world.lock().cloud.live().count()
    }

    /// Machines that were ever started.
    pub fn started(&self) -> u64 {
        self.world.lock().cloud.started
    }

    /// Names of all that is registered with GitHub.
    pub fn registrations(&self) -> Vec<String> {
        self.world.lock().hub.true_runners().map(|runner| runner.name.to_string()).collect()
    }
}
