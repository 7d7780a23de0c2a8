//! Commits and views, one caller at a time.

use std::sync::Arc;

use fleet::{
    drain::{Drain, Drains, Extent},
    ids::JobId,
    job::JobState,
    ledger::KEEP_ENDED_MS,
    runner::RunnerState,
    view::{Decision, Guard, PoolFlags, PoolRow, Put, View},
};

use super::super::{Checked, ensure, facts, facts::START_MS, same};
use super::kind;
use crate::{
    mem::KEEP_RECORDS_MS,
    ports::{About, ErrorKind, Scan, Store},
};

const CONFLICT: Option<ErrorKind> = Some(ErrorKind::Conflict);

pub(super) async fn an_empty_store_shows_nothing<S: Store>(store: Arc<S>) -> Checked {
    same("scan", &store.scan().await?, &Scan::default())?;
    same("next effect", &store.next_due_ms().await?, &None)?;
    same("log", &store.records(&About::All, 10).await?, &vec![])?;
    let view = store.load(&facts::keys(&[1], &["sr-dev-a"]), START_MS).await?;
    ensure(view.jobs.is_empty() && view.runners.is_empty(), "rows out of nothing")?;
    same("a pool asked for", &view.pools.get(&facts::pool().id).map(|pool| pool.rev), &Some(0))
}

pub(super) async fn a_commit_is_all_or_nothing<S: Store>(store: Arc<S>) -> Checked {
    store.commit(&facts::first(facts::job(1, JobState::Queued), vec![]), START_MS).await?;
    let before = store.scan().await?;
    let mut decision = Decision {
        effects: vec![(facts::stop("sr-dev-a"), START_MS)],
        records: vec![facts::record(START_MS, None, None, "never")],
        inventoried: true,
        ..facts::next(facts::job(2, JobState::Queued), vec![facts::runner("sr-dev-a", RunnerState::Reserved)])
    };
    decision.runners.iter_mut().for_each(|put| put.rev = 7);
    same("a wrong revision", &kind(store.commit(&decision, START_MS).await), &CONFLICT)?;
    same("rows after a refused commit", &store.scan().await?, &before)?;
    same("log after a refused commit", &store.records(&About::All, 10).await?, &vec![])?;
    decision.runners.iter_mut().for_each(|put| put.rev = 0);
    store.commit(&decision, START_MS).await?;
    let after = store.scan().await?;
    let found = (after.open_jobs.len(), after.runners.len(), after.effects.len(), after.inventoried);
    same("rows after a commit", &found, &(2, 1, 1, true))?;
    same("log after a commit", &store.records(&About::All, 10).await?, &decision.records)
}

pub(super) async fn a_row_that_was_changed_meanwhile_is_a_conflict<S: Store>(store: Arc<S>) -> Checked {
    store.commit(&facts::first(facts::job(1, JobState::Queued), vec![]), START_MS).await?;
    let view = store.load(&facts::keys(&[1], &[]), START_MS).await?;
    let rev = view.jobs.get(&JobId(1)).map_or(0, |row| row.rev);
    let put = |state: JobState| Decision {
        jobs: facts::job(1, state).into_iter().map(|value| Put { rev, value }).collect(),
        ..Decision::default()
    };
    store.commit(&put(facts::done(START_MS)), START_MS).await?;
    same("the second writer", &kind(store.commit(&put(JobState::Queued), START_MS).await), &CONFLICT)?;
    let pool = PoolRow { pool: facts::pool(), flags: PoolFlags { fruitless: 1, ..PoolFlags::default() } };
    let stale = Decision { pools: vec![Put { rev: 0, value: pool }], ..Decision::default() };
    same("a stale pool", &kind(store.commit(&stale, START_MS).await), &CONFLICT)
}

pub(super) async fn each_guard_is_judged<S: Store>(store: Arc<S>) -> Checked {
    let runners =
        vec![facts::runner("sr-dev-a", RunnerState::Reserved), facts::runner("sr-dev-b", RunnerState::Starting)];
    let jobs = [1, 2, 3].map(|id| facts::job(id, JobState::Queued)).concat();
    store.commit(&facts::first(jobs, runners), START_MS).await?;
    let (class, pool) = (facts::class().name, facts::pool().id);
    let none = fleet::ids::ClassName::from("none");
    for (guard, holds) in [
        (Guard::FleetAtMost(2), true),
        (Guard::FleetAtMost(1), false),
        (Guard::FleetAtLeast(2), true),
        (Guard::FleetAtLeast(3), false),
        (Guard::ClassAtMost(class.clone(), 2), true),
        (Guard::ClassAtMost(class.clone(), 1), false),
        (Guard::ClassAtLeast(class.clone(), 2), true),
        (Guard::ClassAtLeast(class, 3), false),
        (Guard::ClassAtMost(none.clone(), 0), true),
        (Guard::ClassAtLeast(none, 1), false),
        (Guard::DeficitAtMost(pool.clone(), 1), true),
        (Guard::DeficitAtMost(pool.clone(), 0), false),
        (Guard::DeficitAtLeast(pool.clone(), 1), true),
        (Guard::DeficitAtLeast(pool, 2), false),
        (Guard::NotInventoried, true),
    ] {
        let decision = Decision { guards: vec![guard.clone()], ..Decision::default() };
        let found = kind(store.commit(&decision, START_MS).await);
        same(&format!("{guard:?}"), &found, &if holds { None } else { CONFLICT })?;
    }
    Ok(())
}

pub(super) async fn a_drain_is_kept_until_it_is_lifted<S: Store>(store: Arc<S>) -> Checked {
    let (class, extent) = (facts::class().name, Extent::Class(facts::class().name));
    let put = |drain| Decision { drains: vec![(extent.clone(), drain)], ..Decision::default() };
    let guarded = |drained| Decision { guards: vec![Guard::Drained(class.clone(), drained)], ..Decision::default() };
    let drain = Drain { by: "ada".into(), since_ms: START_MS };
    store.commit(&put(Some(drain.clone())), START_MS).await?;
    let view = store.load(&facts::keys(&[], &[]), START_MS).await?;
    same("the view's drain", &view.drains.get(&extent), &Some(&drain))?;
    same("the scan's drains", &store.scan().await?.drains, &view.drains)?;
    same("a launch that knew of none", &kind(store.commit(&guarded(false), START_MS).await), &CONFLICT)?;
    same("a wait that knew of it", &kind(store.commit(&guarded(true), START_MS).await), &None)?;
    store.expire(START_MS + 10 * KEEP_ENDED_MS).await?;
    same("the drain after a day", &store.scan().await?.drains, &view.drains)?;
    store.commit(&put(None), START_MS).await?;
    same("a wait that still knows of it", &kind(store.commit(&guarded(true), START_MS).await), &CONFLICT)?;
    same("drains in the end", &store.scan().await?.drains, &Drains::default())
}

pub(super) async fn a_view_shows_totals_and_the_oldest_job<S: Store>(store: Arc<S>) -> Checked {
    let jobs = [facts::job(9, JobState::Queued), facts::job(4, JobState::Queued), facts::job(1, JobState::Waiting)];
    let runners = vec![
        facts::runner("sr-dev-a", RunnerState::Reserved),
        facts::runner("sr-dev-b", RunnerState::Busy { job: Some(JobId(7)), since_ms: START_MS }),
        facts::runner("sr-dev-c", facts::gone(START_MS)),
    ];
    store.commit(&facts::first(jobs.concat(), runners), START_MS).await?;
    let view: View = store.load(&facts::keys(&[4], &["sr-dev-b"]), START_MS).await?;
    same("rows", &(view.jobs.len(), view.runners.len()), &(1, 1))?;
    same("live in all", &view.fleet_live, &2)?;
    same("live of the class", &view.class_live.get(&facts::class().name).copied(), &Some(2))?;
    same("live of the scope", &view.scope_live.get(&facts::scope()).copied(), &Some(2))?;
    let pool = view.pools.get(&facts::pool().id);
    same("queued", &pool.map(|pool| pool.queued), &Some(2))?;
    same("unbound", &pool.map(|pool| pool.unbound), &Some(1))?;
    same("oldest", &pool.and_then(|pool| pool.head.as_ref()).map(|head| head.job), &Some(JobId(4)))?;
    // Without being asked for, a pool whose turn it is comes too.
    let view = store.load(&fleet::view::Keys::default(), START_MS).await?;
    ensure(view.pools.contains_key(&facts::pool().id), "a pool with a deficit is not loaded")
}

pub(super) async fn a_pool_that_was_taken_out_is_a_conflict<S: Store>(store: Arc<S>) -> Checked {
    let lost = facts::next(facts::job(1, JobState::Queued), vec![]);
    same("a job without its pool", &kind(store.commit(&lost, START_MS).await), &CONFLICT)?;
    store.commit(&facts::first(vec![], vec![]), START_MS).await?;
    store.expire(START_MS).await?;
    same("pools", &store.scan().await?.pools, &vec![])?;
    same("a job whose pool was taken out", &kind(store.commit(&lost, START_MS).await), &CONFLICT)
}

pub(super) async fn what_ended_long_ago_expires<S: Store>(store: Arc<S>) -> Checked {
    let jobs = [facts::job(1, JobState::Queued), facts::job(2, facts::done(START_MS))];
    let runners =
        vec![facts::runner("sr-dev-a", RunnerState::Starting), facts::runner("sr-dev-b", facts::gone(START_MS))];
    let records = vec![facts::record(START_MS, None, None, "old"), facts::record(START_MS + 100, None, None, "new")];
    store.commit(&Decision { records, ..facts::first(jobs.concat(), runners) }, START_MS).await?;
    let keys = facts::keys(&[1, 2], &["sr-dev-a", "sr-dev-b"]);
    let rows = |view: &View| (view.jobs.len(), view.runners.len());
    store.expire(START_MS + KEEP_ENDED_MS).await?;
    same("too early", &rows(&store.load(&keys, START_MS).await?), &(2, 2))?;
    store.expire(START_MS + KEEP_ENDED_MS + 1).await?;
    same("in time", &rows(&store.load(&keys, START_MS).await?), &(1, 1))?;
    same("live", &store.scan().await?.runners.len(), &1)?;
    same("log", &store.records(&About::All, 10).await?.len(), &2)?;
    store.expire(START_MS + KEEP_RECORDS_MS + 1).await?;
    let texts: Vec<String> = store.records(&About::All, 10).await?.into_iter().map(|record| record.text).collect();
    same("log after a week", &texts, &vec!["new".to_owned()])?;
    same("what is open stays", &rows(&store.load(&keys, START_MS).await?), &(1, 1))
}
