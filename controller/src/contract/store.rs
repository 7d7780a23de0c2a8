//! What every store must do: atomic conditional commits under concurrency, totals that hold the limits, leases that two
//! never hold at once, and that what was acknowledged is still there after the process died.

mod commits;
mod concurrent;
mod outbox;
mod shared;

use std::{future::Future, sync::Arc};

use fleet::{
    budget::Bucket,
    effect::Pending,
    ids::EffectId,
    job::JobState,
    runner::RunnerState,
    view::{Decision, View},
};

use super::{Checked, facts, facts::START_MS, run_each, same};
use crate::ports::{About, ErrorKind, PortResult, Scan, Store};

/// Runs all checks of a store, each on a fresh, empty one.
///
/// # Errors
/// The first promise that is not kept.
pub async fn all<S, F>(make: impl Fn() -> F) -> Checked
where
    S: Store + 'static,
    F: Future<Output = Arc<S>>,
{
    check_commits(&make).await?;
    check_sharing(&make).await
}

async fn check_commits<S: Store + 'static, F: Future<Output = Arc<S>>>(make: &impl Fn() -> F) -> Checked {
    run_each!(
        make,
        commits::an_empty_store_shows_nothing,
        commits::a_commit_is_all_or_nothing,
        commits::a_row_that_was_changed_meanwhile_is_a_conflict,
        commits::each_guard_is_judged,
        commits::a_drain_is_kept_until_it_is_lifted,
        commits::a_view_shows_totals_and_the_oldest_job,
        commits::a_pool_that_was_taken_out_is_a_conflict,
        commits::what_ended_long_ago_expires,
        concurrent::one_of_many_writers_wins,
        concurrent::many_handlers_never_exceed_the_limits,
        concurrent::many_decisions_keep_the_limits,
    )
}

async fn check_sharing<S: Store + 'static, F: Future<Output = Arc<S>>>(make: &impl Fn() -> F) -> Checked {
    run_each!(
        make,
        outbox::effects_are_taken_when_due,
        outbox::two_owners_never_hold_one_effect,
        outbox::a_lease_that_ran_out_is_taken_over,
        outbox::only_the_holder_finishes_or_retries,
        outbox::a_settled_effect_is_gone,
        shared::one_owner_has_a_named_lease,
        shared::a_budget_is_shared,
        shared::suspicions_are_replaced,
        shared::the_log_is_newest_first,
    )
}

/// Checks that a store that is opened again is as it was committed. `reopen` ends the store's process, as far as that
/// can be had, and opens the same one again.
///
/// # Errors
/// What is not as it was.
pub async fn durable<S, F, G>(make: impl Fn() -> F, reopen: impl Fn(Arc<S>) -> G) -> Checked
where
    S: Store + 'static,
    F: Future<Output = Arc<S>>,
    G: Future<Output = Arc<S>>,
{
    let store = make().await;
    fill(&*store).await?;
    let (scan, view) = (Box::pin(store.scan()).await?, look(&*store).await?);
    let records = store.records(&About::All, 10).await?;
    let store = reopen(store).await;
    same("scan", &without_leases(store.scan().await?), &without_leases(scan))?;
    same("view", &look(&*store).await?, &view)?;
    same("records", &store.records(&About::All, 10).await?, &records)?;
    let limits = Bucket::new(10, 1);
    let grant = store.take_budget("github", limits, 6, START_MS).await?;
    same("a budget is still debited", &(grant == fleet::budget::Grant::Granted), &false)?;
    // Rows that are written after are judged by the revisions from before.
    let stale = store.commit(&facts::next(facts::job(1, JobState::Queued), vec![]), START_MS).await;
    same("an old revision", &kind(stale), &Some(ErrorKind::Conflict))
}

/// Some of everything.
async fn fill(store: &impl Store) -> Checked {
    let jobs =
        [facts::job(1, JobState::Queued), facts::job(2, JobState::Waiting), facts::job(3, facts::done(START_MS))];
    let runners =
        vec![facts::runner("sr-dev-a", RunnerState::Reserved), facts::runner("sr-dev-b", facts::gone(START_MS))];
    let decision = Decision {
        effects: vec![(facts::stop("sr-dev-a"), START_MS), (facts::stop("sr-dev-b"), START_MS + 10)],
        records: vec![
            facts::record(START_MS, Some(1), None, "first"),
            facts::record(START_MS, None, Some("sr-dev-a"), "second"),
        ],
        inventoried: true,
        ..facts::first(jobs.concat(), runners)
    };
    store.commit(&decision, START_MS).await?;
    store.lease_due(&facts::owner("dead"), START_MS, START_MS + 60_000, 1).await?;
    store.set_suspicions([("old".to_owned(), 1), ("both".to_owned(), 1)].into()).await?;
    store.set_suspicions([("both".to_owned(), 2), ("new".to_owned(), 2)].into()).await?;
    store.take_budget("github", Bucket::new(10, 1), 5, START_MS).await?;
    Ok(())
}

async fn look(store: &impl Store) -> PortResult<View> {
    store.load(&facts::keys(&[1, 2, 3], &["sr-dev-a", "sr-dev-b"]), START_MS).await
}

/// An adapter may free what a dead owner held.
fn without_leases(scan: Scan) -> Scan {
    let free = |(id, pending): (EffectId, Pending)| (id, Pending { lease: None, ..pending });
    Scan { effects: scan.effects.into_iter().map(free).collect(), ..scan }
}

/// What kind of failure it is, if it is one.
fn kind<T>(result: PortResult<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}
