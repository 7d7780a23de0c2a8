//! Facts for the suites: small jobs, runners and decisions of one made-up organisation.

use std::sync::Arc;

use fleet::{
    class::{Class, Pool, Size},
    effect::{Effect, LaunchSpec},
    event::Event,
    ids::{ClassName, JobId, Repo, RunId, RunnerName, Scope, TaskId},
    job::{Conclusion, Job, JobFacts, JobInput, JobState},
    labels::LabelSet,
    policy::{Owner, Policy},
    runner::{Runner, RunnerState},
    view::{Decision, Keys, PoolFlags, PoolRow, Put, Record},
};

/// The moment at which the suites begin, milliseconds.
pub const START_MS: u64 = 1_700_000_000_000;

/// Most live runners of the suites' class and fleet.
pub const MAX: u32 = 4;

/// The suites' pool.
pub fn pool() -> Pool {
    Pool::new(&class().name, &scope(), &labels())
}

/// Its scope.
pub fn scope() -> Scope {
    Scope::Org("acme".into())
}

fn labels() -> LabelSet {
    LabelSet::parse(["self-hosted", "linux"]).unwrap_or_default()
}

fn repo() -> Option<Repo> {
    Repo::parse("acme/web")
}

/// Its class.
pub fn class() -> Class {
    Class { name: ClassName::from("linux"), labels: labels(), max: MAX, ..Class::default() }
}

/// Rules under which the suites' jobs get runners.
pub fn policy() -> Policy {
    let owner = Owner { organization: true, repositories: None };
    Policy { max: MAX, classes: vec![class()], owners: [("acme".into(), owner)].into(), ..Policy::default() }
}

/// What GitHub tells of a job; `None` never occurs (the repository's name is good).
fn facts(id: u64) -> Option<JobFacts> {
    Some(JobFacts {
        id: JobId(id),
        run_id: RunId(1),
        run_attempt: 1,
        repo: repo()?,
        public: Some(false),
        name: "build".into(),
        labels: vec!["self-hosted".into(), "linux".into()],
        created_ms: START_MS + id,
    })
}

/// A job in a state.
pub fn job(id: u64, state: JobState) -> Vec<Job> {
    facts(id).map(|facts| Job { facts, pool: Some(pool().id), seen_ms: START_MS, state }).into_iter().collect()
}

/// A webhook: the job is queued.
pub fn queued(id: u64) -> Vec<Event> {
    facts(id).map(|facts| Event::Job { facts, input: JobInput::Queued }).into_iter().collect()
}

/// A job's end.
pub fn done(at_ms: u64) -> JobState {
    JobState::Done { conclusion: Conclusion::Success, at_ms }
}

/// A runner in a state.
pub fn runner(name: &str, state: RunnerState) -> Runner {
    let pool = pool();
    Runner {
        name: RunnerName::from(name),
        pool: pool.id,
        class: pool.class,
        scope: pool.scope,
        labels: pool.labels,
        repo: repo(),
        asked_by: None,
        attempt: 1,
        claims: 0,
        task: None,
        registration: None,
        created_ms: START_MS,
        boot_deadline_ms: START_MS + 300_000,
        life_deadline_ms: START_MS + 3_600_000,
        taken_back: None,
        outfit: None,
        state,
    }
}

/// A runner's end.
pub fn gone(at_ms: u64) -> RunnerState {
    RunnerState::Gone { why: "ended".into(), at_ms, ended: None, interrupted: None }
}

/// A launch of a runner of the suites' pool.
pub fn launch(name: &str, attempt: u32) -> LaunchSpec {
    LaunchSpec {
        runner: RunnerName::from(name),
        attempt,
        placement: 0,
        pool: pool(),
        repo: repo(),
        job: Some(JobId(70)),
        size: Size::default(),
        spot: None,
        told: false,
        image: None,
        created_ms: START_MS,
    }
}

/// An effect of its own name.
pub fn stop(name: &str) -> Effect {
    Effect::Stop { runner: name.into(), why: "test".into(), task: Some(TaskId::from(name)) }
}

/// An entry of the log.
pub fn record(at_ms: u64, job: Option<u64>, runner: Option<&str>, text: &str) -> Record {
    Record { at_ms, job: job.map(JobId), runner: runner.map(RunnerName::from), text: text.into() }
}

/// Writes rows that must not exist yet; the pool with them.
pub fn first(jobs: Vec<Job>, runners: Vec<Runner>) -> Decision {
    let row = PoolRow { pool: pool(), flags: PoolFlags::default() };
    Decision { pools: vec![Put { rev: 0, value: row }], ..next(jobs, runners) }
}

/// The same where the pool exists.
pub fn next(jobs: Vec<Job>, runners: Vec<Runner>) -> Decision {
    let jobs = jobs.into_iter().map(|value| Put { rev: 0, value }).collect();
    let runners = runners.into_iter().map(|value| Put { rev: 0, value }).collect();
    Decision { jobs, runners, ..Decision::default() }
}

/// Everything that the suites' rows are found by.
pub fn keys(jobs: &[u64], runners: &[&str]) -> Keys {
    Keys {
        jobs: jobs.iter().map(|id| JobId(*id)).collect(),
        runners: runners.iter().map(|name| RunnerName::from(*name)).collect(),
        pools: [(pool().id, pool())].into(),
    }
}

/// A worker's name.
pub fn owner(name: &str) -> Arc<str> {
    name.into()
}
