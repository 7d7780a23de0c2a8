//! Eight workers on one pool, each with a store of its own, the core's real decisions, and a made-up GitHub and engine that
//! do what they are told at once. What must come of it: the limits held, no job lost, nothing left over.

use std::{
    collections::{BTreeSet, VecDeque},
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use controller::{
    contract::{facts, facts::MAX, facts::START_MS},
    ports::{ErrorKind, PortResult, Store},
};
use fleet::{
    decide,
    decide::Moment,
    effect::{Effect, LaunchSpec},
    event::{Event, Outcome},
    ids::{RunnerName, TaskId},
    job::{Conclusion, JobFacts, JobInput},
    runner::RunnerInput,
    view::Keys,
};
use tokio::task::JoinSet;

const WORKERS: u32 = 8;

/// Effects that a worker takes at once.
const TAKEN: usize = 3;

/// The clock goes on by one with each call: long enough for a machine's life, short enough for one that was taken without
/// an answer.
const LEASE_MS: u64 = 3_000;

/// What all workers share beside the store.
pub(crate) struct World {
    letters: Mutex<VecDeque<u64>>,
    waiting: Mutex<VecDeque<JobFacts>>,
    ended: AtomicU64,
    jobs: u64,
    machines: Mutex<BTreeSet<RunnerName>>,
    started: Mutex<BTreeSet<RunnerName>>,
    clock_ms: AtomicU64,
    /// Calls that failed without a word on whether they were done.
    pub(crate) unknown: AtomicU64,
}

impl World {
    fn new(jobs: u64) -> Arc<Self> {
        Arc::new(Self {
            letters: Mutex::new((1..=jobs).collect()),
            waiting: Mutex::default(),
            ended: AtomicU64::new(0),
            jobs,
            machines: Mutex::default(),
            started: Mutex::default(),
            clock_ms: AtomicU64::new(START_MS),
            unknown: AtomicU64::new(0),
        })
    }

    /// Jobs that ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    fn now_ms(&self) -> u64 {
        self.clock_ms.fetch_add(1, Ordering::SeqCst)
    }

    /// Asks until there is an answer.
    async fn ask<T, F: Future<Output = PortResult<T>>>(&self, ask: impl Fn() -> F) -> T {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) if error.kind == ErrorKind::Retry => {
                    self.unknown.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What the controller does with events.
    async fn handle(&self, store: &dyn Store, events: Vec<Event>) -> Outcome {
        let policy = facts::policy();
        let keys = Keys::of(&policy, &events);
        loop {
            let now_ms = self.now_ms();
            let view = self.ask(|| store.load(&keys, now_ms)).await;
            let mut decision = decide(&policy, &view, &events, Moment { now_ms, nonce: fastrand::u64(..) });
            let outcome = decision.outcomes.pop().unwrap();
            match store.commit(&decision, now_ms).await {
                Ok(()) if decision.again => Box::pin(self.handle(store, vec![Event::Balance])).await,
                Ok(()) => return outcome,
                Err(error) if error.kind == ErrorKind::Conflict => continue,
                Err(error) if error.kind == ErrorKind::Retry => {
                    self.unknown.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            return outcome;
        }
    }

    async fn work(self: Arc<Self>, store: Arc<dyn Store>, name: u32) {
        let owner = facts::owner(&name.to_string());
        while self.ended() < self.jobs || self.ask(|| store.next_due_ms()).await.is_some() {
            let letter = self.letters.lock().unwrap().pop_front();
            if let Some(id) = letter {
                let events = facts::queued(id);
                let told = events.iter().filter_map(|event| {
                    let Event::Job { facts, .. } = event else { return None };
                    Some(facts.clone())
                });
                self.waiting.lock().unwrap().extend(told);
                self.handle(&*store, events).await;
            }
            let now_ms = self.now_ms();
            let taken = self.ask(|| store.lease_due(&owner, now_ms, now_ms + LEASE_MS, TAKEN)).await;
            for (id, pending) in taken {
                if let Effect::Launch(spec) = &pending.effect {
                    self.run(&*store, spec).await;
                }
                self.ask(|| store.finish_effect(&id, &owner)).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// A machine's life.
    async fn run(&self, store: &dyn Store, spec: &LaunchSpec) {
        self.started.lock().unwrap().insert(spec.runner.clone());
        let machines = {
            let mut machines = self.machines.lock().unwrap();
            machines.insert(spec.runner.clone());
            machines.len()
        };
        assert!(machines <= MAX as usize, "{machines} machines");
        let tell = |input| vec![Event::Runner { runner: spec.runner.clone(), input }];
        let launched = RunnerInput::Launched { attempt: spec.attempt, task: TaskId::from(spec.runner.as_str()) };
        self.handle(store, tell(launched)).await;
        let claim = self.handle(store, tell(RunnerInput::Claim { attempt: spec.attempt })).await;
        let job = if let Outcome::Claimed { .. } = claim { self.waiting.lock().unwrap().pop_front() } else { None };
        if let Some(facts) = job {
            let runner: Arc<str> = spec.runner.registered(1).into();
            let job = |input| vec![Event::Job { facts: facts.clone(), input }];
            self.handle(store, job(JobInput::InProgress { runner: runner.clone() })).await;
            self.handle(store, job(JobInput::Completed { conclusion: Conclusion::Success, runner })).await;
            self.ended.fetch_add(1, Ordering::SeqCst);
        }
        self.machines.lock().unwrap().remove(&spec.runner);
        self.handle(store, tell(RunnerInput::TaskGone { why: "ended".into() })).await;
    }
}

/// Lets eight workers do `jobs` jobs while something happens to their server, then looks.
pub(crate) async fn work<F: Future<Output = ()>>(
    jobs: u64,
    open: impl AsyncFn() -> Arc<dyn Store>,
    happens: impl FnOnce(Arc<World>) -> F,
) -> Arc<World> {
    let world = World::new(jobs);
    let store = open().await;
    world.handle(&*store, vec![Event::Inventory]).await;
    let mut workers = JoinSet::new();
    for name in 0..WORKERS {
        workers.spawn(world.clone().work(open().await, name));
    }
    happens(world.clone()).await;
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    look(&world, &*store).await;
    world
}

async fn look(world: &World, store: &dyn Store) {
    let scan = store.scan().await.unwrap();
    assert_eq!(scan.open_jobs, [], "jobs that were lost");
    assert_eq!(scan.effects, [], "effects that are left");
    let live: Vec<_> = scan.runners.iter().filter(|runner| runner.state.is_live()).collect();
    assert!(live.is_empty(), "runners that are left: {live:?}");
    assert_eq!(scan.runners.len(), world.started.lock().unwrap().len(), "runners that were not started");
    // The totals are those of the rows.
    let view = store.load(&facts::keys(&[], &[]), world.now_ms()).await.unwrap();
    let pool = &view.pools[&facts::pool().id];
    assert_eq!((view.fleet_live, view.class_live.values().sum::<u32>()), (0, 0));
    assert_eq!((pool.queued, pool.unbound, &pool.head), (0, 0, &None));
}

/// Returns when so many jobs have ended.
pub(crate) async fn until_ended(world: &World, jobs: u64) {
    while world.ended() < jobs {
        tokio::task::yield_now().await;
    }
}
