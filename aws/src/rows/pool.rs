//! A pool's row with its demand, its supply and its oldest waiting job.
//!
//! The text is the ledger's, with further fields beside the row: what a sweep reads is the same either way.

use fleet::{
    ids::{JobId, Repo},
    ledger::{RowError, decode_row, encode_row},
    view::{Head, PoolFlags, PoolRow, PoolView},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A pool as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolItem {
    /// Revision of the operator's part: what decisions write.
    pub(crate) rev: u64,
    /// The row.
    pub(crate) row: PoolRow,
    /// What follows from the rows of its jobs and runners.
    pub(crate) counts: Counts,
}

/// What follows from the rows of a pool's jobs and runners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Demand: its queued jobs.
    pub(crate) queued: u32,
    /// Supply: its runners that stand for one queued job each.
    pub(crate) unbound: u32,
    /// Its live runners.
    pub(crate) live: u32,
    /// Its oldest queued job.
    pub(crate) head: Option<Waiting>,
}

/// A waiting job, as the order of launches needs it. Sorts in that order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// When GitHub created it, milliseconds.
    pub(crate) created_ms: u64,
    /// Which.
    pub(crate) job: JobId,
    /// Where it comes from.
    pub(crate) repo: Repo,
}

impl Waiting {
    /// The key under which it waits: its order as text.
    pub(crate) fn sort(&self) -> String {
        format!("{:020}#{:020}", self.created_ms, self.job.0)
    }

    /// As text.
    pub(crate) fn encode(&self) -> Result<String, RowError> {
        encode_row(0, self)
    }

    /// The way back from [`Waiting::encode`].
    pub(crate) fn decode(body: &str) -> Result<Self, RowError> {
        decode_row(body).map(|row| row.value)
    }
}

impl From<Head> for Waiting {
    fn from(head: Head) -> Self {
        Self { created_ms: head.created_ms, job: head.job, repo: head.repo }
    }
}

impl From<Waiting> for Head {
    fn from(waiting: Waiting) -> Self {
        Self { job: waiting.job, repo: waiting.repo, created_ms: waiting.created_ms }
    }
}

impl Counts {
    /// Demand less supply.
    pub(crate) fn deficit(&self) -> i64 {
        i64::from(self.queued) - i64::from(self.unbound)
    }
}

impl PoolItem {
    /// As text.
    ///
    /// # Errors
    /// It cannot be written as JSON (today's can).
    pub(crate) fn encode(&self) -> Result<String, RowError> {
        let text = encode_row(self.rev, &self.row)?;
        let mut row: Value = serde_json::from_str(&text).map_err(RowError::new)?;
        let counts = serde_json::to_value(&self.counts).map_err(RowError::new)?;
        if let (Value::Object(row), Value::Object(counts)) = (&mut row, counts) {
            row.extend(counts);
        }
        Ok(row.to_string())
    }

    /// The way back from [`PoolItem::encode`].
    ///
    /// # Errors
    /// The text is damaged, or written by a newer version.
    pub(crate) fn decode(body: &str) -> Result<Self, RowError> {
        let row = decode_row::<PoolRow>(body)?;
        let counts = serde_json::from_str(body).map_err(RowError::new)?;
        Ok(Self { rev: row.rev, row: row.value, counts })
    }

    /// As decisions see it.
    pub(crate) fn view(&self) -> PoolView {
        PoolView {
            pool: self.row.pool.clone(),
            rev: self.rev,
            flags: self.row.flags.clone(),
            queued: self.counts.queued,
            unbound: self.counts.unbound,
            head: self.counts.head.clone().map(Head::from),
        }
    }

    /// Whether nothing belongs to it and nothing is to be remembered of it.
    pub(crate) fn is_idle(&self, now_ms: u64) -> bool {
        let PoolFlags { held_until_ms, .. } = self.row.flags;
        self.counts.queued == 0 && self.counts.live == 0 && held_until_ms <= now_ms
    }
}
