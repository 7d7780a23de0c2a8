//! Effects: due times, leases, take-over.

use std::{collections::BTreeSet, sync::Arc};

use fleet::{ids::EffectId, view::Decision};
use tokio::task::JoinSet;

use super::super::{Checked, ensure, facts, facts::START_MS, same};
use crate::ports::{PortResult, Store};

/// How many effects and workers the concurrent check uses.
const EFFECTS: usize = 60;
const WORKERS: usize = 6;

const LEASE_MS: u64 = 1_000;

async fn store_effects<S: Store>(store: &S, due: &[(&str, u64)]) -> PortResult<()> {
    let effects = due.iter().map(|(name, due_ms)| (facts::stop(name), *due_ms)).collect();
    store.commit(&Decision { effects, ..Decision::default() }, START_MS).await
}

async fn lease<S: Store>(store: &S, owner: &str, now_ms: u64) -> PortResult<Vec<EffectId>> {
    let taken = store.lease_due(&facts::owner(owner), now_ms, now_ms + LEASE_MS, EFFECTS).await?;
    Ok(taken.into_iter().map(|(id, _)| id).collect())
}

pub(super) async fn effects_are_taken_when_due<S: Store>(store: Arc<S>) -> Checked {
    store_effects(&*store, &[("b", START_MS + 50), ("a", START_MS)]).await?;
    same("next", &store.next_due_ms().await?, &Some(START_MS))?;
    same("before", &lease(&*store, "x", START_MS - 1).await?, &vec![])?;
    same("first", &lease(&*store, "x", START_MS).await?, &vec!["stop/a".into()])?;
    same("next then", &store.next_due_ms().await?, &Some(START_MS + 50))?;
    same("second", &lease(&*store, "x", START_MS + 50).await?, &vec!["stop/b".into()])?;
    // Stored anew it is a new effect: due, and nobody's.
    store_effects(&*store, &[("a", START_MS + 60)]).await?;
    let taken = store.lease_due(&facts::owner("y"), START_MS + 60, START_MS + 70, 9).await?;
    same("anew", &taken.first().map(|(id, pending)| (id.clone(), pending.tries)), &Some(("stop/a".into(), 1)))
}

pub(super) async fn two_owners_never_hold_one_effect<S: Store + 'static>(store: Arc<S>) -> Checked {
    let names: Vec<String> = (0..EFFECTS).map(|n| n.to_string()).collect();
    let due: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), START_MS)).collect();
    store_effects(&*store, &due).await?;
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let store = store.clone();
        workers.spawn(async move {
            let owner = facts::owner(&worker.to_string());
            let mut mine = Vec::new();
            loop {
                let taken = store.lease_due(&owner, START_MS, START_MS + LEASE_MS, 3).await?;
                if taken.is_empty() {
                    return PortResult::Ok(mine);
                }
                mine.extend(taken.into_iter().map(|(id, _)| id));
            }
        });
    }
    let mut all = Vec::new();
    while let Some(mine) = workers.join_next().await {
        all.extend(mine??);
    }
    let distinct: BTreeSet<_> = all.iter().collect();
    same("taken by anybody", &distinct.len(), &EFFECTS)?;
    same("taken in all", &all.len(), &EFFECTS)
}

pub(super) async fn a_lease_that_ran_out_is_taken_over<S: Store>(store: Arc<S>) -> Checked {
    store_effects(&*store, &[("a", START_MS)]).await?;
    same("taken", &lease(&*store, "dead", START_MS).await?.len(), &1)?;
    same("next", &store.next_due_ms().await?, &Some(START_MS + LEASE_MS))?;
    same("held", &lease(&*store, "x", START_MS + LEASE_MS - 1).await?.len(), &0)?;
    let taken = store.lease_due(&facts::owner("x"), START_MS + LEASE_MS, START_MS + 2 * LEASE_MS, 9).await?;
    same("tries", &taken.first().map(|(_, pending)| pending.tries), &Some(2))
}

pub(super) async fn only_the_holder_finishes_or_retries<S: Store>(store: Arc<S>) -> Checked {
    let id = EffectId::from("stop/a");
    store_effects(&*store, &[("a", START_MS)]).await?;
    store.finish_effect(&id, "x").await?;
    same("finished by nobody", &store.scan().await?.effects.len(), &1)?;
    lease(&*store, "x", START_MS).await?;
    store.finish_effect(&id, "y").await?;
    store.retry_effect(&id, "y", START_MS + 5).await?;
    let held = store.scan().await?.effects.pop().and_then(|(_, pending)| pending.lease);
    same("held by", &held.map(|lease| lease.owner), &Some(facts::owner("x")))?;
    store.retry_effect(&id, "x", START_MS + 500).await?;
    same("next", &store.next_due_ms().await?, &Some(START_MS + 500))?;
    same("again", &lease(&*store, "y", START_MS + 500).await?.len(), &1)?;
    store.finish_effect(&id, "x").await?;
    same("finished by who held it once", &store.scan().await?.effects.len(), &1)?;
    store.finish_effect(&id, "y").await?;
    same("finished", &store.scan().await?.effects.len(), &0)?;
    store.finish_effect(&id, "y").await?;
    same("next of none", &store.next_due_ms().await?, &None)
}

pub(super) async fn a_settled_effect_is_gone<S: Store>(store: Arc<S>) -> Checked {
    store_effects(&*store, &[("a", START_MS), ("b", START_MS)]).await?;
    lease(&*store, "x", START_MS).await?;
    let decision = Decision { settled: vec!["stop/a".into(), "stop/none".into()], ..Decision::default() };
    store.commit(&decision, START_MS).await?;
    let left: Vec<EffectId> = store.scan().await?.effects.into_iter().map(|(id, _)| id).collect();
    ensure(left == vec![EffectId::from("stop/b")], format_args!("left over: {left:?}"))
}
