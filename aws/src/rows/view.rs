//! The part of the store that some events need, out of the rows that were read for it.

use std::collections::BTreeMap;

use fleet::{
    class::Pool,
    ids::{PoolId, Scope},
    job::Job,
    ledger::{NEXT_POOLS, RowError, decode_row, job_end, runner_end},
    runner::Runner,
    view::{Keys, PoolView, View},
};

use super::{
    Answer, Keep, Part, PoolItem, Totals,
    reading::{damaged, is_over},
};

/// Puts a view together. The answer must hold the rows of the keys, all pools and the totals.
///
/// # Errors
/// A row is damaged.
pub(crate) fn view(keys: &Keys, answer: &Answer, keep: Keep, now_ms: u64) -> Result<View, RowError> {
    let totals = Totals::decode(&answer.totals)?;
    let pools = Pools::read(answer)?;
    let mut view = View {
        class_live: totals.classes,
        fleet_live: totals.live,
        drains: totals.drains,
        inventoried: totals.inventoried,
        ..View::default()
    };
    for (at, found) in &answer.rows {
        if at.part == Part::Job {
            let row = decode_row::<Job>(&found.body).map_err(|error| damaged(at, &error))?;
            if !is_over(job_end(&row.value), keep, now_ms) {
                row.value.pool.iter().for_each(|id| pools.show(id, &mut view));
                view.jobs.insert(row.value.facts.id, row);
            }
        } else if at.part == Part::Runner {
            let row = decode_row::<Runner>(&found.body).map_err(|error| damaged(at, &error))?;
            if !is_over(runner_end(&row.value), keep, now_ms) {
                pools.show(&row.value.pool, &mut view);
                view.runners.insert(row.value.name.clone(), row);
            }
        }
    }
    for (id, pool) in &keys.pools {
        pools.show_or_new(id, pool, &mut view);
    }
    pools.show_next(&mut view, now_ms);
    Ok(view)
}

/// All pools, with the live runners of their scopes.
struct Pools {
    all: BTreeMap<PoolId, PoolItem>,
    scope_live: BTreeMap<Scope, u32>,
}

impl Pools {
    fn read(answer: &Answer) -> Result<Self, RowError> {
        let mut pools = Self { all: BTreeMap::new(), scope_live: BTreeMap::new() };
        for (id, found) in answer.lists.get(&Part::Pool).into_iter().flatten() {
            let item =
                PoolItem::decode(&found.body).map_err(|error| RowError::new(format!("row pool/{id}: {error}")))?;
            *pools.scope_live.entry(item.row.pool.scope.clone()).or_default() += item.counts.live;
            pools.all.insert(item.row.pool.id.clone(), item);
        }
        Ok(pools)
    }

    fn live(&self, scope: &Scope) -> u32 {
        self.scope_live.get(scope).copied().unwrap_or(0)
    }

    fn show(&self, id: &PoolId, view: &mut View) {
        let Some(item) = self.all.get(id) else { return };
        let scope = &item.row.pool.scope;
        view.scope_live.insert(scope.clone(), self.live(scope));
        view.pools.entry(id.clone()).or_insert_with(|| item.view());
    }

    fn show_or_new(&self, id: &PoolId, pool: &Pool, view: &mut View) {
        self.show(id, view);
        view.pools.entry(id.clone()).or_insert_with(|| PoolView::new(pool.clone()));
        view.scope_live.entry(pool.scope.clone()).or_insert_with(|| self.live(&pool.scope));
    }

    /// The pools of each class whose turn is next: the scope with the fewest live runners, then the oldest job.
    fn show_next(&self, view: &mut View, now_ms: u64) {
        let mut turns: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, item) in &self.all {
            let pool = &item.row;
            if item.counts.deficit() > 0 && pool.flags.held_until_ms <= now_ms {
                let head_ms = item.counts.head.as_ref().map_or(u64::MAX, |head| head.created_ms);
                turns.entry(&pool.pool.class).or_default().push((self.live(&pool.pool.scope), head_ms, id));
            }
        }
        for (_, mut turns) in turns {
            turns.sort_unstable();
            turns.iter().take(NEXT_POOLS).for_each(|(_, _, id)| self.show(id, view));
        }
    }
}
