//! The store in memory: the core's own tables behind the [`Store`] and [`Inbox`] ports, and nothing on disk.
//!
//! It stands here because the simulator and the contract suites use it as the plainest adapter that is right. It must
//! not grow rules of its own: what a commit means is [`Ledger`]'s business.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use fleet::{
    budget::{Bucket, Grant},
    effect::Pending,
    event::Event,
    ids::EffectId,
    ledger::{Conflict, Ledger},
    view::{Decision, Keys, Record, View},
};

use crate::ports::{About, Inbox, Letter, PortError, PortResult, Scan, Store};

/// Decisions with their reasons are kept so long.
pub const KEEP_RECORDS_MS: u64 = 7 * 24 * 3_600_000;

/// Tables, log of decisions and inbox, all lost with the process.
#[derive(Debug, Default)]
pub struct MemStore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    ledger: Ledger,
    records: Vec<Record>,
    letters: BTreeMap<u64, Event>,
    taken: BTreeSet<u64>,
    last_receipt: u64,
}

impl MemStore {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a new process finds after the old one died: nobody holds a lease, all letters come again.
    pub fn restart(&self) {
        let mut tables = self.tables();
        tables.ledger.release_leases();
        tables.taken.clear();
    }

    /// What a queue does when nobody acknowledged in time: all letters come again.
    pub fn return_letters(&self) {
        self.tables().taken.clear();
    }

    /// Loses everything: the disk is gone.
    pub fn clear(&self) {
        *self.tables() = Tables::default();
    }

    /// Looks at the tables, for checkers and read models.
    pub fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.tables().ledger)
    }

    /// Letters that are not acknowledged yet.
    pub fn unread(&self) -> usize {
        self.tables().letters.len()
    }

    /// A panic of another thread leaves the tables as they were between two operations: they are still good.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemStore {
    async fn load(&self, keys: &Keys, now_ms: u64) -> PortResult<View> {
        Ok(self.tables().ledger.load(keys, now_ms))
    }

    async fn commit(&self, decision: &Decision, now_ms: u64) -> PortResult<()> {
        let mut tables = self.tables();
        tables.ledger.commit(decision, now_ms).map_err(conflict)?;
        tables.records.extend(decision.records.iter().cloned());
        Ok(())
    }

    async fn lease_due(
        &self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> PortResult<Vec<(EffectId, Pending)>> {
        Ok(self.tables().ledger.lease_due(owner, now_ms, until_ms, limit))
    }

    async fn retry_effect(&self, id: &EffectId, owner: &str, due_ms: u64) -> PortResult<()> {
        self.tables().ledger.retry_effect(id, owner, due_ms);
        Ok(())
    }

    async fn finish_effect(&self, id: &EffectId, owner: &str) -> PortResult<()> {
        self.tables().ledger.finish_effect(id, owner);
        Ok(())
    }

    async fn next_due_ms(&self) -> PortResult<Option<u64>> {
        Ok(self.tables().ledger.next_due_ms())
    }

    async fn lease(&self, name: &str, owner: &Arc<str>, now_ms: u64, until_ms: u64) -> PortResult<bool> {
        Ok(self.tables().ledger.lease(name, owner, now_ms, until_ms))
    }

    async fn take_budget(&self, name: &str, limits: Bucket, points: u32, now_ms: u64) -> PortResult<Grant> {
        Ok(self.tables().ledger.take_budget(name, limits, points, now_ms))
    }

    async fn block_budget(&self, name: &str, limits: Bucket, until_ms: u64) -> PortResult<()> {
        self.tables().ledger.block_budget(name, limits, until_ms);
        Ok(())
    }

    async fn scan(&self) -> PortResult<Scan> {
        Ok(Scan::of(&self.tables().ledger))
    }

    async fn set_suspicions(&self, suspicions: BTreeMap<String, u64>) -> PortResult<()> {
        self.tables().ledger.set_suspicions(suspicions);
        Ok(())
    }

    async fn expire(&self, now_ms: u64) -> PortResult<()> {
        let mut tables = self.tables();
        tables.ledger.expire(now_ms);
        let limit_ms = now_ms.saturating_sub(KEEP_RECORDS_MS);
        tables.records.retain(|record| record.at_ms >= limit_ms);
        Ok(())
    }

    async fn records(&self, about: &About, limit: usize) -> PortResult<Vec<Record>> {
        let tables = self.tables();
        Ok(tables.records.iter().rev().filter(|record| about.matches(record)).take(limit).cloned().collect())
    }
}

#[async_trait]
impl Inbox for MemStore {
    async fn append(&self, events: &[Event]) -> PortResult<()> {
        let mut tables = self.tables();
        for event in events {
            tables.last_receipt += 1;
            let receipt = tables.last_receipt;
            tables.letters.insert(receipt, event.clone());
        }
        Ok(())
    }

    async fn take(&self, limit: usize) -> PortResult<Vec<Letter>> {
        let mut tables = self.tables();
        let free = tables.letters.iter().filter(|(receipt, _)| !tables.taken.contains(*receipt)).take(limit);
        let letters: Vec<Letter> =
            free.map(|(receipt, event)| Letter { receipt: *receipt, event: event.clone() }).collect();
        tables.taken.extend(letters.iter().map(|letter| letter.receipt));
        Ok(letters)
    }

    async fn acknowledge(&self, receipts: &[u64]) -> PortResult<()> {
        let mut tables = self.tables();
        for receipt in receipts {
            tables.letters.remove(receipt);
            tables.taken.remove(receipt);
        }
        Ok(())
    }
}

impl Scan {
    /// What the core's tables show.
    pub fn of(ledger: &Ledger) -> Self {
        Self {
            open_jobs: ledger.jobs().filter(|job| job.state.is_open()).cloned().collect(),
            runners: ledger.runners().cloned().collect(),
            pools: ledger.pools().collect(),
            suspicions: ledger.suspicions().clone(),
            inventoried: ledger.is_inventoried(),
            effects: ledger.effects().map(|(id, pending)| (id.clone(), pending.clone())).collect(),
            drains: ledger.drains().clone(),
        }
    }
}

impl About {
    /// Whether an entry of the log is about it.
    pub fn matches(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Job(job) => record.job == Some(*job),
            Self::Runner(runner) => record.runner.as_ref() == Some(runner),
        }
    }
}

/// The ledger's conflict as the port's.
pub fn conflict(conflict: Conflict) -> PortError {
    PortError::conflict(conflict.0)
}
