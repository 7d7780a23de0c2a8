//! The store's port over any server that keeps rows by key: what DynamoDB and Valkey have in common.
//!
//! Nothing is remembered between calls. A commit reads the rows that it replaces, plans ([`crate::rows`]) and writes
//! under the condition that each is still as it was read; what a decision rests on beyond that is judged on what was
//! read, or by the server. A [`Backend`] has five operations and no rule of its own.

mod commit;
mod outbox;
mod shared;
mod sweep;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use controller::ports::{About, PortError, PortResult, Scan, Store};
use fleet::{
    budget::{Bucket, Grant},
    effect::Pending,
    ids::EffectId,
    ledger::RowError,
    view::{Decision, Keys, Record, View},
};

use crate::rows::{Answer, Ask, At, Expect, Keep, Part, Plan, Stamp, view};

/// How often what met another writer is read and written again before the caller is told to decide again.
const ROUNDS: u32 = 12;

/// Longest of the first waits between two rounds; it doubles with each.
const FIRST_WAIT_MS: u64 = 10;

/// Longest wait between two rounds.
const LONGEST_WAIT_MS: u64 = 320;

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// All of it is written.
    Done,
    /// A row was not as it was read. Nothing is written.
    Changed,
    /// The totals do not fulfil a condition. Nothing is written.
    Refused(String),
}

/// A server that keeps rows.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Reads rows, as they are after the last write that was answered.
    async fn read(&self, ask: &Ask) -> PortResult<Answer>;

    /// Writes all of a plan or nothing.
    async fn apply(&self, plan: &Plan) -> PortResult<Applied>;

    /// Rows of the log, newest first: their places and texts. `None`: of all its parts.
    async fn log(&self, part: Option<&Part>, limit: usize) -> PortResult<Vec<(String, String)>>;

    /// Takes out what is in the log from before this place, unless that happens by itself.
    async fn forget_log(&self, before: &str) -> PortResult<()>;

    /// What a person is told of a row that cannot be read.
    fn unreadable(&self, error: &RowError) -> PortError;

    /// What was read and written so far.
    fn tally(&self) -> &Tally;
}

/// Counts what is read and written.
#[derive(Debug, Default)]
pub struct Tally {
    calls: AtomicU64,
    rows_read: AtomicU64,
    rows_written: AtomicU64,
    read_milliunits: AtomicU64,
    write_milliunits: AtomicU64,
}

/// What was read and written until a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests to the server.
    pub calls: u64,
    /// Rows that it answered with.
    pub rows_read: u64,
    /// Rows that it was asked to write, take out or look at in a write.
    pub rows_written: u64,
    /// Read units that it charged, in thousandths; 0 where it charges none.
    pub read_milliunits: u64,
    /// Write units that it charged, in thousandths; 0 where it charges none.
    pub write_milliunits: u64,
}

impl Usage {
    /// What came to it since an earlier moment.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            rows_read: self.rows_read - before.rows_read,
            rows_written: self.rows_written - before.rows_written,
            read_milliunits: self.read_milliunits - before.read_milliunits,
            write_milliunits: self.write_milliunits - before.write_milliunits,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            rows_read: self.rows_read + other.rows_read,
            rows_written: self.rows_written + other.rows_written,
            read_milliunits: self.read_milliunits + other.read_milliunits,
            write_milliunits: self.write_milliunits + other.write_milliunits,
        }
    }
}

impl Tally {
    pub(crate) fn read(&self, rows: usize) {
        self.add(&self.rows_read, rows as u64);
    }

    pub(crate) fn written(&self, rows: usize) {
        self.add(&self.rows_written, rows as u64);
    }

    pub(crate) fn called(&self, read_units: f64, write_units: f64) {
        self.add(&self.calls, 1);
        self.add(&self.read_milliunits, (read_units * 1_000.0) as u64);
        self.add(&self.write_milliunits, (write_units * 1_000.0) as u64);
    }

    fn add(&self, counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    fn usage(&self) -> Usage {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            calls: get(&self.calls),
            rows_read: get(&self.rows_read),
            rows_written: get(&self.rows_written),
            read_milliunits: get(&self.read_milliunits),
            write_milliunits: get(&self.write_milliunits),
        }
    }
}

/// The store over a server.
#[derive(Debug)]
pub struct Tables<B> {
    backend: B,
    keep: Keep,
    stamp: Stamp,
}

impl<B: Backend> Tables<B> {
    pub(crate) fn over(backend: B) -> Self {
        Self { backend, keep: Keep::default(), stamp: Stamp::new() }
    }

    /// The same with other times for which rows are kept.
    #[must_use]
    pub fn keeping(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// What was read and written by this value so far.
    pub fn usage(&self) -> Usage {
        self.backend.tally().usage()
    }

    /// Reads, unless there is nothing to read.
    async fn read(&self, ask: &Ask) -> PortResult<Answer> {
        if ask.is_empty() { Ok(Answer::default()) } else { self.backend.read(ask).await }
    }

    /// A row as text, and what to expect when it is written again.
    async fn one(&self, at: &At) -> PortResult<(Expect, Option<String>)> {
        let answer = self.read(&Ask { keys: vec![at.clone()], ..Ask::default() }).await?;
        let found = answer.rows.get(at);
        Ok((Expect::as_read(found), found.map(|found| found.body.clone())))
    }

    /// All rows of a part, by their sort keys.
    async fn list(&self, part: Part) -> PortResult<Vec<(At, Expect, String)>> {
        let answer = self.read(&Ask { lists: vec![part.clone()], ..Ask::default() }).await?;
        let rows = answer.lists.into_values().flatten();
        let row = |(sort, found): (String, crate::rows::Found)| {
            (At { part: part.clone(), sort }, Expect::Version(found.version), found.body)
        };
        Ok(rows.map(row).collect())
    }

    /// The value, or what a person is told of the row.
    fn readable<T>(&self, read: Result<T, RowError>) -> PortResult<T> {
        read.map_err(|error| self.backend.unreadable(&error))
    }
}

/// Between two rounds: growing, and random, so that those who met do not meet again.
pub(crate) async fn wait(round: u32) {
    let most_ms = (FIRST_WAIT_MS << round.min(8)).min(LONGEST_WAIT_MS);
    tokio::time::sleep(Duration::from_micros(fastrand::u64(0..most_ms * 1_000))).await;
}

/// This process's clock. Only the order of the log rests on it.
fn now_us() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_micros()).unwrap_or(u64::MAX)
}

#[async_trait]
impl<B: Backend> Store for Tables<B> {
    async fn load(&self, keys: &Keys, now_ms: u64) -> PortResult<View> {
        let rows = keys.jobs.iter().map(|id| At::job(*id)).chain(keys.runners.iter().map(At::runner));
        let ask = Ask { keys: rows.collect(), lists: vec![Part::Pool], totals: true, ..Ask::default() };
        let answer = self.read(&ask).await?;
        self.readable(view(keys, &answer, self.keep, now_ms))
    }

    async fn commit(&self, decision: &Decision, now_ms: u64) -> PortResult<()> {
        self.write_decision(decision, now_ms).await
    }

    async fn lease_due(
        &self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> PortResult<Vec<(EffectId, Pending)>> {
        self.lease_effects(owner, now_ms, until_ms, limit).await
    }

    async fn retry_effect(&self, id: &EffectId, owner: &str, due_ms: u64) -> PortResult<()> {
        self.release_effect(id, owner, Some(due_ms)).await
    }

    async fn finish_effect(&self, id: &EffectId, owner: &str) -> PortResult<()> {
        self.release_effect(id, owner, None).await
    }

    async fn next_due_ms(&self) -> PortResult<Option<u64>> {
        let pending = self.outbox().await?;
        Ok(pending.iter().map(|(_, _, pending)| pending.free_ms()).min())
    }

    async fn lease(&self, name: &str, owner: &Arc<str>, now_ms: u64, until_ms: u64) -> PortResult<bool> {
        self.take_lease(name, owner, now_ms, until_ms).await
    }

    async fn take_budget(&self, name: &str, limits: Bucket, points: u32, now_ms: u64) -> PortResult<Grant> {
        let take = move |bucket: &mut Bucket| {
            bucket.resize(&limits);
            bucket.take(points, now_ms)
        };
        self.change_budget(name, limits, now_ms, take).await
    }

    async fn block_budget(&self, name: &str, limits: Bucket, until_ms: u64) -> PortResult<()> {
        self.change_budget(name, limits, until_ms, move |bucket| bucket.block(until_ms)).await
    }

    async fn scan(&self) -> PortResult<Scan> {
        self.look_at_all().await
    }

    async fn set_suspicions(&self, suspicions: BTreeMap<String, u64>) -> PortResult<()> {
        self.replace_suspicions(suspicions).await
    }

    async fn expire(&self, now_ms: u64) -> PortResult<()> {
        self.take_out_old(now_ms).await
    }

    async fn records(&self, about: &About, limit: usize) -> PortResult<Vec<Record>> {
        self.read_log(about, limit).await
    }
}
