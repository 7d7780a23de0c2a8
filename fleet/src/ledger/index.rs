//! Writes of rows, and the totals and indexes that follow from each.

use super::{Key, Ledger, PoolEntry, job_end, runner_end};
use crate::{
    ids::{JobId, PoolId, RunnerName},
    job::Job,
    runner::Runner,
    view::{PoolRow, Row},
};

/// A pool's place in the order of launches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) scope_live: u32,
    pub(super) head_ms: u64,
    pub(super) pool: PoolId,
}

impl PoolEntry {
    pub(super) fn deficit(&self) -> i64 {
        self.queued.len() as i64 - i64::from(self.unbound)
    }
}

impl Ledger {
    pub(super) fn put_pool(&mut self, row: PoolRow, rev: u64) {
        let id = row.pool.id.clone();
        self.scope_pools.entry(row.pool.scope.clone()).or_default().insert(id.clone());
        match self.pools.get_mut(&id) {
            Some(entry) => {
                self.held.remove(&(entry.row.flags.held_until_ms, id.clone()));
                (entry.rev, entry.row) = (rev, row);
            }
            None => {
                let entry = PoolEntry { rev, row, queued: Default::default(), unbound: 0, live: 0, turn: None };
                self.pools.insert(id.clone(), entry);
            }
        }
        if let Some(until_ms) = self.pools.get(&id).map(|entry| entry.row.flags.held_until_ms).filter(|ms| *ms > 0) {
            self.held.insert((until_ms, id.clone()));
        }
        self.turn(&id);
        self.touch(Key::Pool(id));
    }

    /// Pools whose backoff has passed take their turn again.
    pub(super) fn release_held(&mut self, now_ms: u64) {
        while let Some((until_ms, id)) = self.held.first().cloned() {
            if until_ms > now_ms {
                break;
            }
            self.held.pop_first();
            self.turn(&id);
        }
    }

    pub(super) fn put_job(&mut self, job: Job, rev: u64) {
        let id = job.facts.id;
        if let Some(old) = self.jobs.remove(&id) {
            self.count_job(&old.value, false);
        }
        self.count_job(&job, true);
        self.jobs.insert(id, Row { rev, value: job });
        self.touch(Key::Job(id));
    }

    fn count_job(&mut self, job: &Job, add: bool) {
        let id: JobId = job.facts.id;
        if let Some(at_ms) = job_end(job) {
            set(&mut self.ended, (at_ms, Key::Job(id)), add);
        }
        let Some(pool) = job.queued_in() else { return };
        if let Some(entry) = self.pools.get_mut(pool) {
            set(&mut entry.queued, (job.head().created_ms, id), add);
        }
        self.turn(pool);
    }

    pub(super) fn put_runner(&mut self, runner: Runner, rev: u64) {
        let name: RunnerName = runner.name.clone();
        if let Some(old) = self.runners.remove(&name) {
            self.count_runner(&old.value, false);
        }
        self.count_runner(&runner, true);
        self.runners.insert(name.clone(), Row { rev, value: runner });
        self.touch(Key::Runner(name));
    }

    fn count_runner(&mut self, runner: &Runner, add: bool) {
        if let Some(at_ms) = runner_end(runner) {
            set(&mut self.ended, (at_ms, Key::Runner(runner.name.clone())), add);
        }
        if let Some(entry) = self.pools.get_mut(&runner.pool) {
            count(&mut entry.unbound, runner.state.is_unbound(), add);
            count(&mut entry.live, runner.state.is_live(), add);
        }
        if runner.state.is_live() {
            count(&mut self.fleet_live, true, add);
            count(self.class_live.entry(runner.class.clone()).or_default(), true, add);
            count(self.scope_live.entry(runner.scope.clone()).or_default(), true, add);
            // The order of all pools of the scope depends on its live runners; a scope has few pools.
            for pool in self.scope_pools.get(&runner.scope).cloned().unwrap_or_default() {
                self.turn(&pool);
            }
        }
        self.turn(&runner.pool);
    }

    /// Puts a pool where it belongs in the order of launches.
    fn turn(&mut self, id: &PoolId) {
        let Some(entry) = self.pools.get(id) else { return };
        let flags = &entry.row.flags;
        let held = flags.held_until_ms > 0 && self.held.contains(&(flags.held_until_ms, id.clone()));
        let turn = (entry.deficit() > 0 && !held).then(|| Turn {
            scope_live: self.scope_live(&entry.row.pool.scope),
            head_ms: entry.queued.first().map_or(u64::MAX, |(created_ms, _)| *created_ms),
            pool: id.clone(),
        });
        if entry.turn == turn {
            return;
        }
        let class = entry.row.pool.class.clone();
        let turns = self.next.entry(class).or_default();
        let Some(entry) = self.pools.get_mut(id) else { return };
        if let Some(old) = entry.turn.take() {
            turns.remove(&old);
        }
        turns.extend(turn.clone());
        entry.turn = turn;
    }

    pub(super) fn drop_idle_pools(&mut self, now_ms: u64) {
        let idle: Vec<PoolId> = self
            .pools
            .iter()
            .filter(|(_, entry)| entry.queued.is_empty() && entry.live == 0)
            .filter(|(_, entry)| entry.row.flags.held_until_ms <= now_ms)
            .map(|(id, _)| id.clone())
            .collect();
        for id in idle {
            if let Some(entry) = self.pools.remove(&id) {
                self.held.remove(&(entry.row.flags.held_until_ms, id.clone()));
                if let Some(pools) = self.scope_pools.get_mut(&entry.row.pool.scope) {
                    pools.remove(&id);
                }
            }
            self.touch(Key::Pool(id));
        }
        self.scope_live.retain(|_, live| *live > 0);
        self.scope_pools.retain(|_, pools| !pools.is_empty());
    }
}

fn count(total: &mut u32, counts: bool, add: bool) {
    if counts {
        *total = if add { *total + 1 } else { total.saturating_sub(1) };
    }
}

fn set<T: Ord>(set: &mut std::collections::BTreeSet<T>, item: T, add: bool) {
    if add {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}
