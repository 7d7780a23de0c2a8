//! The store's port: each call is one request to the thread, and what it does there is the ledger's.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use controller::{
    mem::{KEEP_RECORDS_MS, conflict},
    ports::{About, PortResult, Scan, Store},
};
use fleet::{
    budget::{Bucket, Grant},
    effect::Pending,
    ids::EffectId,
    view::{Decision, Keys, Record, View},
};

use super::{SqliteStore, rows, words};

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, keys: &Keys, now_ms: u64) -> PortResult<View> {
        let keys = keys.clone();
        self.read(move |state| Ok(state.tables.ledger.load(&keys, now_ms))).await
    }

    async fn commit(&self, decision: &Decision, now_ms: u64) -> PortResult<()> {
        let decision = decision.clone();
        self.write(move |tables| {
            tables.ledger.commit(&decision, now_ms).map_err(conflict)?;
            tables.beside.records.extend(decision.records);
            Ok(())
        })
        .await
    }

    async fn lease_due(
        &self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> PortResult<Vec<(EffectId, Pending)>> {
        let owner = owner.clone();
        self.write(move |tables| Ok(tables.ledger.lease_due(&owner, now_ms, until_ms, limit))).await
    }

    async fn retry_effect(&self, id: &EffectId, owner: &str, due_ms: u64) -> PortResult<()> {
        let (id, owner) = (id.clone(), owner.to_owned());
        self.write(move |tables| {
            tables.ledger.retry_effect(&id, &owner, due_ms);
            Ok(())
        })
        .await
    }

    async fn finish_effect(&self, id: &EffectId, owner: &str) -> PortResult<()> {
        let (id, owner) = (id.clone(), owner.to_owned());
        self.write(move |tables| {
            tables.ledger.finish_effect(&id, &owner);
            Ok(())
        })
        .await
    }

    async fn next_due_ms(&self) -> PortResult<Option<u64>> {
        self.read(|state| Ok(state.tables.ledger.next_due_ms())).await
    }

    async fn lease(&self, name: &str, owner: &Arc<str>, now_ms: u64, until_ms: u64) -> PortResult<bool> {
        let (name, owner) = (name.to_owned(), owner.clone());
        self.write(move |tables| Ok(tables.ledger.lease(&name, &owner, now_ms, until_ms))).await
    }

    async fn take_budget(&self, name: &str, limits: Bucket, points: u32, now_ms: u64) -> PortResult<Grant> {
        let name = name.to_owned();
        self.write(move |tables| Ok(tables.ledger.take_budget(&name, limits, points, now_ms))).await
    }

    async fn block_budget(&self, name: &str, limits: Bucket, until_ms: u64) -> PortResult<()> {
        let name = name.to_owned();
        self.write(move |tables| {
            tables.ledger.block_budget(&name, limits, until_ms);
            Ok(())
        })
        .await
    }

    async fn scan(&self) -> PortResult<Scan> {
        self.read(|state| Ok(Scan::of(&state.tables.ledger))).await
    }

    async fn set_suspicions(&self, suspicions: BTreeMap<String, u64>) -> PortResult<()> {
        self.write(move |tables| {
            tables.ledger.set_suspicions(suspicions);
            Ok(())
        })
        .await
    }

    async fn expire(&self, now_ms: u64) -> PortResult<()> {
        self.write(move |tables| {
            tables.ledger.expire(now_ms);
            tables.beside.prune_before_ms = Some(now_ms.saturating_sub(KEEP_RECORDS_MS));
            Ok(())
        })
        .await
    }

    async fn records(&self, about: &About, limit: usize) -> PortResult<Vec<Record>> {
        let about = about.clone();
        self.read(move |state| {
            rows::records(&state.conn, &about, limit).map_err(|error| words::failed(&state.path, "read", &error))
        })
        .await
    }
}
