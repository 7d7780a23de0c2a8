//! The store's tables in memory: rows, totals, indexes, conditional commits, outbox, leases, budgets.
//!
//! The simulator's store is this and nothing else; the SQLite store is this with a journal below it. So the totals that
//! hold the limits are computed by one piece of code. Every operation costs the logarithm of the number of rows, never
//! a scan; only [`Ledger::jobs`], [`Ledger::runners`] and the like, made for sweeps and read models, walk over all.

mod index;
mod outbox;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

pub use rows::{Key, RowError, decode_row, encode_row};

use crate::{
    budget::Bucket,
    drain::Drains,
    effect::{Lease, Pending},
    ids::{ClassName, EffectId, JobId, PoolId, RunnerName, Scope},
    job::{Job, JobState},
    runner::{Runner, RunnerState},
    view::{Decision, Guard, Keys, PoolRow, PoolView, Row, View},
};

/// How many pools whose turn is next are loaded for each class.
pub const NEXT_POOLS: usize = 8;

/// Rows of ended jobs and runners are kept so long, as the original system kept its mappings.
pub const KEEP_ENDED_MS: u64 = 2 * 3_600_000;

/// A commit whose conditions no longer hold: load and decide again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict(pub String);

/// The tables.
#[derive(Debug, Default)]
pub struct Ledger {
    jobs: BTreeMap<JobId, Row<Job>>,
    runners: BTreeMap<RunnerName, Row<Runner>>,
    pools: BTreeMap<PoolId, PoolEntry>,
    class_live: BTreeMap<ClassName, u32>,
    scope_live: BTreeMap<Scope, u32>,
    fleet_live: u32,
    scope_pools: BTreeMap<Scope, BTreeSet<PoolId>>,
    /// Pools with a deficit, by class, in the order of their turn.
    next: BTreeMap<ClassName, BTreeSet<index::Turn>>,
    /// Pools that are held back, by the end of that.
    held: BTreeSet<(u64, PoolId)>,
    /// Ended rows by the time of their end.
    ended: BTreeSet<(u64, Key)>,
    effects: BTreeMap<EffectId, Pending>,
    /// Effects by the time at which somebody may take them.
    due: BTreeSet<(u64, EffectId)>,
    suspicions: BTreeMap<String, u64>,
    budgets: BTreeMap<String, Bucket>,
    leases: BTreeMap<String, Lease>,
    drains: Drains,
    inventoried: bool,
    /// Rows written since [`Ledger::take_touched`]; `None`: nobody asks.
    touched: Option<BTreeSet<Key>>,
}

/// A pool's row with what is derived from the rows of its jobs and runners.
#[derive(Debug)]
struct PoolEntry {
    rev: u64,
    row: PoolRow,
    queued: BTreeSet<(u64, JobId)>,
    unbound: u32,
    live: u32,
    /// Where it stands in `next`.
    turn: Option<index::Turn>,
}

impl Ledger {
    /// Empty tables. With `journal`, written rows are remembered for [`Ledger::take_touched`].
    pub fn new(journal: bool) -> Self {
        Self { touched: journal.then(BTreeSet::new), ..Self::default() }
    }

    /// The part that some events need.
    pub fn load(&mut self, keys: &Keys, now_ms: u64) -> View {
        self.release_held(now_ms);
        let mut view = View {
            class_live: self.class_live.clone(),
            fleet_live: self.fleet_live,
            drains: self.drains.clone(),
            inventoried: self.inventoried,
            ..View::default()
        };
        for id in &keys.jobs {
            if let Some(row) = self.jobs.get(id) {
                row.value.pool.iter().for_each(|pool| self.load_pool(&mut view, pool));
                view.jobs.insert(*id, row.clone());
            }
        }
        for name in &keys.runners {
            if let Some(row) = self.runners.get(name) {
                self.load_pool(&mut view, &row.value.pool);
                view.runners.insert(name.clone(), row.clone());
            }
        }
        for (id, pool) in &keys.pools {
            self.load_pool(&mut view, id);
            view.pools.entry(id.clone()).or_insert_with(|| PoolView::new(pool.clone()));
            view.scope_live.entry(pool.scope.clone()).or_insert_with(|| self.scope_live(&pool.scope));
        }
        for turns in self.next.values() {
            turns.iter().take(NEXT_POOLS).for_each(|turn| self.load_pool(&mut view, &turn.pool));
        }
        view
    }

    fn load_pool(&self, view: &mut View, id: &PoolId) {
        let Some(entry) = self.pools.get(id) else { return };
        if view.pools.contains_key(id) {
            return;
        }
        let scope = &entry.row.pool.scope;
        view.scope_live.insert(scope.clone(), self.scope_live(scope));
        let head = entry.queued.first().and_then(|(_, job)| self.jobs.get(job)).map(|row| row.value.head());
        let pool = PoolView {
            pool: entry.row.pool.clone(),
            rev: entry.rev,
            flags: entry.row.flags.clone(),
            queued: u32::try_from(entry.queued.len()).unwrap_or(u32::MAX),
            unbound: entry.unbound,
            head,
        };
        view.pools.insert(id.clone(), pool);
    }

    fn scope_live(&self, scope: &Scope) -> u32 {
        self.scope_live.get(scope).copied().unwrap_or(0)
    }

    /// Writes all of a decision or nothing.
    ///
    /// # Errors
    /// [`Conflict`] if a row has another revision than was read, or a guard does not hold.
    pub fn commit(&mut self, decision: &Decision, now_ms: u64) -> Result<(), Conflict> {
        self.check(decision)?;
        for put in &decision.pools {
            self.put_pool(put.value.clone(), put.rev + 1);
        }
        for put in &decision.jobs {
            self.put_job(put.value.clone(), put.rev + 1);
        }
        for put in &decision.runners {
            self.put_runner(put.value.clone(), put.rev + 1);
        }
        for id in &decision.settled {
            self.remove_effect(id);
        }
        for (effect, due_ms) in &decision.effects {
            self.put_effect(effect, *due_ms, now_ms);
        }
        for (extent, drain) in &decision.drains {
            self.drains.set(extent.clone(), drain.clone());
            self.touch(Key::Drain(extent.clone()));
        }
        if decision.inventoried {
            self.inventoried = true;
            self.touch(Key::Inventoried);
        }
        Ok(())
    }

    fn check(&self, decision: &Decision) -> Result<(), Conflict> {
        let conflict = |what: String| Err(Conflict(what));
        for put in &decision.jobs {
            if self.jobs.get(&put.value.facts.id).map_or(0, |row| row.rev) != put.rev {
                return conflict(format!("job {} has changed", put.value.facts.id));
            }
        }
        for put in &decision.runners {
            if self.runners.get(&put.value.name).map_or(0, |row| row.rev) != put.rev {
                return conflict(format!("runner {} has changed", put.value.name));
            }
        }
        for put in &decision.pools {
            if self.pools.get(&put.value.pool.id).map_or(0, |entry| entry.rev) != put.rev {
                return conflict(format!("pool {} has changed", put.value.pool.id));
            }
        }
        // A pool that was empty may have been taken out since it was read; without it nothing would be counted.
        // Jobs that do not wait and runners that are gone are not: theirs may long be out when GitHub ends a lost job.
        let waiting = decision.jobs.iter().filter(|put| put.value.state == JobState::Queued);
        let live = decision.runners.iter().filter(|put| put.value.state.is_live());
        for id in waiting.filter_map(|put| put.value.pool.as_ref()).chain(live.map(|put| &put.value.pool)) {
            if !self.pools.contains_key(id) && !decision.pools.iter().any(|put| put.value.pool.id == *id) {
                return conflict(format!("pool {id} was taken out"));
            }
        }
        match decision.guards.iter().find(|guard| !self.holds(guard)) {
            Some(guard) => conflict(format!("{guard:?} does not hold")),
            None => Ok(()),
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        let class = |name| self.class_live.get(name).copied().unwrap_or(0);
        let deficit = |id| self.pools.get(id).map_or(0, PoolEntry::deficit);
        match guard {
            Guard::FleetAtMost(n) => self.fleet_live <= *n,
            Guard::FleetAtLeast(n) => self.fleet_live >= *n,
            Guard::ClassAtMost(name, n) => class(name) <= *n,
            Guard::ClassAtLeast(name, n) => class(name) >= *n,
            Guard::DeficitAtMost(id, n) => deficit(id) <= *n,
            Guard::DeficitAtLeast(id, n) => deficit(id) >= *n,
            Guard::Drained(name, drained) => self.drains.holds(name) == *drained,
            Guard::NotInventoried => !self.inventoried,
        }
    }

    /// Takes out rows of jobs and runners that ended [`KEEP_ENDED_MS`] ago, and pools that nothing belongs to.
    pub fn expire(&mut self, now_ms: u64) {
        let limit_ms = now_ms.saturating_sub(KEEP_ENDED_MS);
        while let Some((at_ms, key)) = self.ended.first().cloned() {
            if at_ms >= limit_ms {
                break;
            }
            self.ended.pop_first();
            match &key {
                Key::Job(id) => drop(self.jobs.remove(id)),
                Key::Runner(name) => drop(self.runners.remove(name)),
                Key::Pool(_)
                | Key::Effect(_)
                | Key::Suspicion(_)
                | Key::Budget(_)
                | Key::Lease(_)
                | Key::Drain(_)
                | Key::Inventoried => {}
            }
            self.touch(key);
        }
        self.drop_idle_pools(now_ms);
    }

    /// All jobs.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().map(|row| &row.value)
    }

    /// All runners.
    pub fn runners(&self) -> impl Iterator<Item = &Runner> {
        self.runners.values().map(|row| &row.value)
    }

    /// One job.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id).map(|row| &row.value)
    }

    /// One runner.
    pub fn runner(&self, name: &RunnerName) -> Option<&Runner> {
        self.runners.get(name).map(|row| &row.value)
    }

    /// All pools.
    pub fn pools(&self) -> impl Iterator<Item = PoolView> {
        self.pools.values().map(|entry| PoolView {
            pool: entry.row.pool.clone(),
            rev: entry.rev,
            flags: entry.row.flags.clone(),
            queued: u32::try_from(entry.queued.len()).unwrap_or(u32::MAX),
            unbound: entry.unbound,
            head: entry.queued.first().and_then(|(_, job)| self.jobs.get(job)).map(|row| row.value.head()),
        })
    }

    /// What operators drain.
    pub fn drains(&self) -> &Drains {
        &self.drains
    }

    /// The rate budgets by name.
    pub fn budgets(&self) -> &BTreeMap<String, Bucket> {
        &self.budgets
    }

    /// Live runners in all.
    pub fn live(&self) -> u32 {
        self.fleet_live
    }

    /// Whether all that the engine runs has been adopted since the tables began.
    pub fn is_inventoried(&self) -> bool {
        self.inventoried
    }

    fn touch(&mut self, key: Key) {
        if let Some(touched) = &mut self.touched {
            touched.insert(key);
        }
    }

    /// The rows written since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<Key> {
        self.touched.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// When a job's row ended, milliseconds.
pub fn job_end(job: &Job) -> Option<u64> {
    match job.state {
        JobState::Done { at_ms, .. } => Some(at_ms),
        JobState::Waiting | JobState::Queued | JobState::Running { .. } => None,
    }
}

/// When a runner's row ended, milliseconds.
pub fn runner_end(runner: &Runner) -> Option<u64> {
    match runner.state {
        RunnerState::Gone { at_ms, .. } => Some(at_ms),
        RunnerState::Reserved
        | RunnerState::Starting
        | RunnerState::Claimed
        | RunnerState::Idle { .. }
        | RunnerState::Recalled { .. }
        | RunnerState::Busy { .. }
        | RunnerState::Ending { .. } => None,
    }
}
