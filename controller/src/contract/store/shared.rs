//! What workers share beside rows: named leases, rate budgets, suspicions, the log of decisions.

use std::sync::Arc;

use fleet::{
    budget::{Bucket, Grant},
    ids::JobId,
    view::{Decision, Record},
};
use tokio::task::JoinSet;

use super::super::{Checked, ensure, facts, facts::START_MS, same};
use crate::ports::{About, Store};

const WORKERS: u32 = 8;

pub(super) async fn one_owner_has_a_named_lease<S: Store + 'static>(store: Arc<S>) -> Checked {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let store = store.clone();
        workers.spawn(async move {
            store.lease("sweep", &facts::owner(&worker.to_string()), START_MS, START_MS + 100).await
        });
    }
    let mut winners = 0;
    while let Some(won) = workers.join_next().await {
        winners += u32::from(won??);
    }
    same("winners", &winners, &1)?;
    let (x, y) = (facts::owner("x"), facts::owner("y"));
    ensure(store.lease("other", &x, START_MS, START_MS + 10).await?, "another lease is not free")?;
    ensure(store.lease("other", &x, START_MS + 5, START_MS + 20).await?, "its owner cannot extend it")?;
    ensure(!store.lease("other", &y, START_MS + 19, START_MS + 30).await?, "two have it")?;
    ensure(store.lease("other", &y, START_MS + 20, START_MS + 30).await?, "one that ran out is not free")
}

pub(super) async fn a_budget_is_shared<S: Store + 'static>(store: Arc<S>) -> Checked {
    let limits = Bucket::new(5, 60);
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let store = store.clone();
        workers.spawn(async move { store.take_budget("github", limits, 1, START_MS).await });
    }
    let mut granted = 0;
    while let Some(grant) = workers.join_next().await {
        granted += u32::from(grant?? == Grant::Granted);
    }
    same("granted", &granted, &5)?;
    same("later", &store.take_budget("github", limits, 1, START_MS + 1_000).await?, &Grant::Granted)?;
    store.block_budget("github", limits, START_MS + 90_000).await?;
    let closed = store.take_budget("github", limits, 1, START_MS + 60_000).await?;
    same("closed", &closed, &Grant::Until(START_MS + 90_000))?;
    same("another", &store.take_budget("engine", limits, 1, START_MS).await?, &Grant::Granted)
}

pub(super) async fn suspicions_are_replaced<S: Store>(store: Arc<S>) -> Checked {
    let first = [("a".to_owned(), 1), ("b".to_owned(), 1)].into();
    let second = [("b".to_owned(), 2), ("c".to_owned(), 3)].into();
    store.set_suspicions(first).await?;
    store.set_suspicions(Clone::clone(&second)).await?;
    same("suspicions", &store.scan().await?.suspicions, &second)
}

pub(super) async fn the_log_is_newest_first<S: Store>(store: Arc<S>) -> Checked {
    let entries = [
        facts::record(START_MS, Some(1), None, "one"),
        facts::record(START_MS, None, Some("sr-dev-a"), "two"),
        facts::record(START_MS - 5, Some(1), Some("sr-dev-a"), "three"),
    ];
    for entry in entries {
        store.commit(&Decision { records: vec![entry], ..Decision::default() }, START_MS).await?;
    }
    let texts = |records: Vec<Record>| records.into_iter().map(|record| record.text).collect::<Vec<_>>().join(" ");
    for (about, limit, expected) in [
        (About::All, 9, "three two one"),
        (About::All, 2, "three two"),
        (About::Job(JobId(1)), 9, "three one"),
        (About::Runner("sr-dev-a".into()), 1, "three"),
        (About::Job(JobId(2)), 9, ""),
    ] {
        let found = texts(store.records(&about, limit).await?);
        same(&format!("{about:?}"), &found.as_str(), &expected)?;
    }
    Ok(())
}
