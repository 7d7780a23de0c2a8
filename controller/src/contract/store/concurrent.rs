//! Many writers at once: the limits are conditions of the write, so no interleaving gets over them.

use std::sync::Arc;

use fleet::{
    decide,
    decide::Moment,
    event::Event,
    job::JobState,
    runner::RunnerState,
    view::{Decision, Guard, Keys, Put},
};
use tokio::task::JoinSet;

use super::super::{Broken, Checked, ensure, facts, facts::MAX, facts::START_MS, same};
use crate::ports::{ErrorKind, PortResult, Store};

const WRITERS: u32 = 12;

/// Jobs of the check with real decisions, several times the limit.
const JOBS: u64 = 24;

/// A conflict more often than this is a livelock.
const TRIES_MAX: usize = 2_000;

pub(super) async fn one_of_many_writers_wins<S: Store + 'static>(store: Arc<S>) -> Checked {
    store.commit(&facts::first(facts::job(1, JobState::Queued), vec![]), START_MS).await?;
    let view = store.load(&facts::keys(&[1], &[]), START_MS).await?;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, rows) = (store.clone(), view.jobs.clone());
        writers.spawn(async move {
            let jobs = rows.into_values().map(|row| Put { rev: row.rev, value: row.value }).collect();
            store.commit(&Decision { jobs, ..Decision::default() }, START_MS).await
        });
    }
    let mut won = 0;
    while let Some(result) = writers.join_next().await {
        match result? {
            Ok(()) => won += 1,
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    same("winners", &won, &1)
}

pub(super) async fn many_handlers_never_exceed_the_limits<S: Store + 'static>(store: Arc<S>) -> Checked {
    store.commit(&facts::first(vec![], vec![]), START_MS).await?;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let runner = facts::runner(&format!("sr-dev-{writer}"), RunnerState::Reserved);
            // Each believes that there is room, as a stale view would make it.
            let guards = vec![Guard::FleetAtMost(MAX - 1), Guard::ClassAtMost(facts::class().name, MAX - 1)];
            store.commit(&Decision { guards, ..facts::next(vec![], vec![runner]) }, START_MS).await
        });
    }
    let mut won = 0;
    while let Some(result) = writers.join_next().await {
        won += u32::from(result?.is_ok());
    }
    same("runners that got in", &won, &MAX)?;
    same("live", &store.load(&Keys::default(), START_MS).await?.fleet_live, &MAX)
}

pub(super) async fn many_decisions_keep_the_limits<S: Store + 'static>(store: Arc<S>) -> Checked {
    handle(&*store, vec![Event::Inventory], 0).await?;
    let mut handlers = JoinSet::new();
    for id in 1..=JOBS {
        let store = store.clone();
        handlers.spawn(async move { handle(&*store, facts::queued(id), id).await });
    }
    while let Some(result) = handlers.join_next().await {
        result??;
        let live = store.load(&Keys::default(), START_MS).await?.fleet_live;
        ensure(live <= MAX, format_args!("{live} live runners, {MAX} are allowed"))?;
    }
    let scan = store.scan().await?;
    same("jobs", &scan.open_jobs.len(), &usize::try_from(JOBS).unwrap_or(usize::MAX))?;
    same("runners", &u32::try_from(scan.runners.len()).unwrap_or(u32::MAX), &MAX)
}

/// What a handler does: load, decide, commit; after a conflict once more.
async fn handle<S: Store>(store: &S, events: Vec<Event>, nonce: u64) -> Result<(), Broken> {
    let policy = facts::policy();
    let keys = Keys::of(&policy, &events);
    for attempt in 0..TRIES_MAX {
        let view = store.load(&keys, START_MS).await?;
        let decision = decide(&policy, &view, &events, Moment { now_ms: START_MS, nonce });
        let done: PortResult<()> = store.commit(&decision, START_MS).await;
        match done {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == ErrorKind::Conflict => {
                // Others run first, so that even a store that answers at once shows every interleaving.
                for _ in 0..attempt.min(8) {
                    tokio::task::yield_now().await;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Broken::new(format_args!("{TRIES_MAX} conflicts in a row")))
}
