//! The simulator's stories with a real store beside the world's own: the real controller, every call of the store made on
//! both, every answer compared. And the cost of a job's life, counted on the way.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, mpsc},
};

use async_trait::async_trait;
use aws::Usage;
use controller::ports::{About, PortResult, Scan, Store};
use fleet::{
    budget::{Bucket, Grant},
    effect::{NoticeKind, Pending},
    ids::{EffectId, JobId},
    view::{Decision, Keys, Record, View},
};
use sim::swarm::{beside::Beside, story::Story};
use tokio::runtime::Handle;

use crate::say;

const LINUX: &[&str] = &["self-hosted", "linux"];
const BIG: &[&str] = &["self-hosted", "linux", "big"];
const MINUTE: u64 = 60_000;

/// A store whose calls do not wait: they are made on another runtime while this thread stands still, and with it the
/// simulator's time.
pub(crate) struct Still {
    handle: Handle,
    pub(crate) store: Mutex<Arc<dyn Store>>,
    usage: Box<dyn Fn() -> Usage + Send + Sync>,
    spent: Mutex<BTreeMap<&'static str, (u64, Usage)>>,
}

impl Still {
    pub(crate) fn new(store: Arc<dyn Store>, usage: impl Fn() -> Usage + Send + Sync + 'static) -> Arc<Self> {
        let (store, spent) = (Mutex::new(store), Mutex::default());
        Arc::new(Self { handle: Handle::current(), store, usage: Box::new(usage), spent })
    }

    /// What each of so many jobs cost, by the operations of the store; for `--nocapture`.
    pub(crate) fn tell(&self, name: &str, jobs: usize) -> Usage {
        say(format_args!("{name}, each of {jobs} jobs with its share of sweeps:"));
        say(format_args!("| operation | times | requests | rows read | rows written | read units | write units |"));
        let mut all = (0, Usage::default());
        let spent = self.spent.lock().unwrap();
        for (what, (times, usage)) in &*spent {
            all = (all.0 + times, all.1.plus(usage));
            say(format_args!("{}", line(what, *times, usage, jobs)));
        }
        say(format_args!("{}", line("all", all.0, &all.1, jobs)));
        all.1
    }

    fn call<T, F>(&self, what: &'static str, work: impl FnOnce(Arc<dyn Store>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (answer, answered) = mpsc::channel();
        let before = (self.usage)();
        let work = work(self.store.lock().unwrap().clone());
        self.handle.spawn(async move {
            let _unheard = answer.send(work.await);
        });
        let result = answered.recv().unwrap();
        let mut spent = self.spent.lock().unwrap();
        let (times, usage) = spent.entry(what).or_default();
        (*times, *usage) = (*times + 1, usage.plus(&(self.usage)().since(&before)));
        result
    }
}

fn line(what: &str, times: u64, usage: &Usage, jobs: usize) -> String {
    let each = |count: u64| count as f64 / jobs as f64;
    let units = |milli: u64| each(milli) / 1_000.0;
    format!(
        "| {what} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
        each(times),
        each(usage.calls),
        each(usage.rows_read),
        each(usage.rows_written),
        units(usage.read_milliunits),
        units(usage.write_milliunits),
    )
}

#[async_trait]
impl Store for Still {
    async fn load(&self, keys: &Keys, now_ms: u64) -> PortResult<View> {
        let keys = keys.clone();
        self.call("load", |store| async move { store.load(&keys, now_ms).await })
    }

    async fn commit(&self, decision: &Decision, now_ms: u64) -> PortResult<()> {
        let decision = decision.clone();
        self.call("commit", |store| async move { store.commit(&decision, now_ms).await })
    }

    async fn lease_due(
        &self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> PortResult<Vec<(EffectId, Pending)>> {
        let owner = owner.clone();
        self.call("lease effects", |store| async move { store.lease_due(&owner, now_ms, until_ms, limit).await })
    }

    async fn retry_effect(&self, id: &EffectId, owner: &str, due_ms: u64) -> PortResult<()> {
        let (id, owner) = (id.clone(), owner.to_owned());
        self.call("put an effect back", |store| async move { store.retry_effect(&id, &owner, due_ms).await })
    }

    async fn finish_effect(&self, id: &EffectId, owner: &str) -> PortResult<()> {
        let (id, owner) = (id.clone(), owner.to_owned());
        self.call("finish an effect", |store| async move { store.finish_effect(&id, &owner).await })
    }

    async fn next_due_ms(&self) -> PortResult<Option<u64>> {
        self.call("next due", |store| async move { store.next_due_ms().await })
    }

    async fn lease(&self, name: &str, owner: &Arc<str>, now_ms: u64, until_ms: u64) -> PortResult<bool> {
        let (name, owner) = (name.to_owned(), owner.clone());
        self.call("sweep: lease", |store| async move { store.lease(&name, &owner, now_ms, until_ms).await })
    }

    async fn take_budget(&self, name: &str, limits: Bucket, points: u32, now_ms: u64) -> PortResult<Grant> {
        let name = name.to_owned();
        self.call("rate budget", |store| async move { store.take_budget(&name, limits, points, now_ms).await })
    }

    async fn block_budget(&self, name: &str, limits: Bucket, until_ms: u64) -> PortResult<()> {
        let name = name.to_owned();
        self.call("rate budget", |store| async move { store.block_budget(&name, limits, until_ms).await })
    }

    async fn scan(&self) -> PortResult<Scan> {
        self.call("sweep: scan", |store| async move { store.scan().await })
    }

    async fn set_suspicions(&self, suspicions: BTreeMap<String, u64>) -> PortResult<()> {
        self.call("sweep: suspicions", |store| async move { store.set_suspicions(suspicions).await })
    }

    async fn expire(&self, now_ms: u64) -> PortResult<()> {
        self.call("sweep: expire", |store| async move { store.expire(now_ms).await })
    }

    async fn records(&self, about: &About, limit: usize) -> PortResult<Vec<Record>> {
        let about = about.clone();
        self.call("log", |store| async move { store.records(&about, limit).await })
    }
}

/// Two classes, three repositories, more jobs than runners, some that fail.
pub(crate) fn play_mixed(beside: Beside) {
    let two = |profile: &mut sim::swarm::profile::Profile| profile.controllers = 2;
    Story::rough().profile(two).beside(beside).run(|world| async move {
        let jobs: Vec<JobId> = (0..24)
            .map(|i| world.push(["acme/web", "globex/one", "acme/api"][i % 3], if i % 4 == 0 { BIG } else { LINUX }))
            .collect();
        for job in &jobs {
            world.lasts(*job, MINUTE / 2);
        }
        for job in &jobs {
            world.until_done(*job).await;
        }
    });
}

/// The store is emptied while four runners are at work: they are taken in, and nobody is killed.
pub(crate) fn play_loss(beside: Beside) {
    let told = Story::rough().tells(NoticeKind::TaskAdopted).beside(beside).run(|world| async move {
        let jobs: Vec<JobId> = (0..4).map(|i| world.push(["acme/web", "globex/one"][i % 2], LINUX)).collect();
        jobs.iter().for_each(|job| world.lasts(*job, 15 * MINUTE));
        for job in &jobs {
            world.until_running(*job).await;
        }
        let before: Vec<_> = jobs.iter().map(|job| world.runner_of(*job)).collect();
        world.empty_store();
        world.until("all were taken in", |world| world.runners().len() == 4).await;
        for job in &jobs {
            world.until_done(*job).await;
        }
        assert_eq!(before, jobs.iter().map(|job| world.runner_of(*job)).collect::<Vec<_>>());
    });
    assert_eq!((told.started, told.peak), (4, 4));
}

/// So many jobs one after the other in a calm world.
pub(crate) fn play_lives(beside: Beside, jobs: usize) {
    Story::calm().beside(beside).run(|world| async move {
        for _ in 0..jobs {
            let job = world.push("acme/web", LINUX);
            world.lasts(job, MINUTE / 2);
            world.until_done(job).await;
        }
    });
}
