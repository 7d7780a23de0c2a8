//! What it costs to look at one waiting job beside so many other pools that wait or run, for `--nocapture`.

use std::time::Instant;

use aws::Usage;
use controller::{
    contract::{facts, facts::START_MS},
    ports::Store,
};
use fleet::{
    class::Pool,
    ids::{JobId, Scope},
    job::{Job, JobState},
    view::{Decision, Keys, PoolFlags, PoolRow, Put},
};

use crate::say;

/// Pools that are made at once.
const AT_ONCE: usize = 20;

/// Views whose mean is told.
const VIEWS: u32 = 20;

/// A job with a pool of its own.
fn waiting(number: u64) -> (Put<PoolRow>, Put<Job>) {
    let like = facts::pool();
    let pool = Pool::new(&like.class, &Scope::Org(format!("owner-{number}").into()), &like.labels);
    let job = facts::job(number, JobState::Queued).pop().unwrap();
    let job = Job { pool: Some(pool.id.clone()), ..job };
    (Put { rev: 0, value: PoolRow { pool, flags: PoolFlags::default() } }, Put { rev: 0, value: job })
}

pub(crate) async fn tell(name: &str, store: &dyn Store, usage: impl Fn() -> Usage) {
    let mut made = 0;
    for pools in [1_u64, 100, 1_000] {
        let numbers: Vec<u64> = (made..pools).collect();
        for some in numbers.chunks(AT_ONCE) {
            let (pools, jobs) = some.iter().map(|number| waiting(*number)).unzip();
            store.commit(&Decision { pools, jobs, ..Decision::default() }, START_MS).await.unwrap();
        }
        made = pools;
        let keys = Keys { jobs: [JobId(0)].into(), ..Keys::default() };
        let (before, began) = (usage(), Instant::now());
        for _ in 0..VIEWS {
            store.load(&keys, START_MS).await.unwrap();
        }
        let after = usage();
        say(format_args!(
            "{name}, a view beside {pools} pools: {} rows, {:.1} read units, {:.2} ms",
            (after.rows_read - before.rows_read) / u64::from(VIEWS),
            (after.read_milliunits - before.read_milliunits) as f64 / 1_000.0 / f64::from(VIEWS),
            began.elapsed().as_secs_f64() * 1_000.0 / f64::from(VIEWS),
        ));
    }
}
