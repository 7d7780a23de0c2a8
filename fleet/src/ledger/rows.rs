//! The tables as rows of text, for a store that keeps them on disk.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Ledger;
use crate::{
    budget::Bucket,
    drain::{Drain, Extent},
    effect::{Lease, Pending},
    ids::{EffectId, JobId, PoolId, RunnerName},
    job::Job,
    runner::Runner,
    view::{PoolRow, Row},
};

/// Version of the rows' shape. A build reads its own and the one before.
pub(super) const SCHEMA: u32 = 1;

/// A row's table and key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A job.
    Job(JobId),
    /// A runner.
    Runner(RunnerName),
    /// A pool.
    Pool(PoolId),
    /// An effect.
    Effect(EffectId),
    /// A suspicion.
    Suspicion(String),
    /// A rate budget.
    Budget(String),
    /// A named lease.
    Lease(String),
    /// What an operator drains.
    Drain(Extent),
    /// The marker that all that the engine runs has been adopted.
    Inventoried,
}

/// A stored row that cannot be read.
#[derive(Debug)]
pub struct RowError(String);

impl RowError {
    /// What is wrong with it.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RowError {}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    v: u32,
    #[serde(default)]
    rev: u64,
    row: T,
}

impl Key {
    /// The table's name and the row's key.
    pub fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Job(id) => ("job", id.to_string()),
            Self::Runner(name) => ("runner", name.to_string()),
            Self::Pool(id) => ("pool", id.to_string()),
            Self::Effect(id) => ("effect", id.to_string()),
            Self::Suspicion(key) => ("suspicion", key.clone()),
            Self::Budget(name) => ("budget", name.clone()),
            Self::Lease(name) => ("lease", name.clone()),
            Self::Drain(extent) => ("drain", extent.key()),
            Self::Inventoried => ("marker", "inventoried".into()),
        }
    }
}

impl Ledger {
    /// A row as text; `None` if it no longer exists.
    ///
    /// # Errors
    /// A row that cannot be written as JSON (none of today's can).
    pub fn encode(&self, key: &Key) -> Result<Option<String>, RowError> {
        match key {
            Key::Job(id) => self.jobs.get(id).map(|row| encode_row(row.rev, &row.value)).transpose(),
            Key::Runner(name) => self.runners.get(name).map(|row| encode_row(row.rev, &row.value)).transpose(),
            Key::Pool(id) => self.pools.get(id).map(|entry| encode_row(entry.rev, &entry.row)).transpose(),
            Key::Effect(id) => self.effects.get(id).map(|pending| encode_row(0, pending)).transpose(),
            Key::Suspicion(key) => self.suspicions.get(key).map(|since_ms| encode_row(0, since_ms)).transpose(),
            Key::Budget(name) => self.budgets.get(name).map(|bucket| encode_row(0, bucket)).transpose(),
            Key::Lease(name) => self.leases.get(name).map(|lease| encode_row(0, lease)).transpose(),
            Key::Drain(extent) => self.drains.get(extent).map(|drain| encode_row(0, drain)).transpose(),
            Key::Inventoried => self.inventoried.then(|| encode_row(0, &true)).transpose(),
        }
    }

    /// Puts a stored row back. Pools must come first: jobs and runners are counted in them.
    ///
    /// # Errors
    /// The row cannot be read: damaged, or written by a newer version.
    pub fn restore(&mut self, table: &str, key: &str, body: &str) -> Result<(), RowError> {
        match table {
            "pool" => decode_row::<PoolRow>(body).map(|row| self.put_pool(row.value, row.rev)),
            "job" => decode_row::<Job>(body).map(|row| self.put_job(row.value, row.rev)),
            "runner" => decode_row::<Runner>(body).map(|row| self.put_runner(row.value, row.rev)),
            "effect" => decode_row::<Pending>(body).map(|row| self.insert_effect(key.into(), row.value)),
            "suspicion" => decode_row::<u64>(body).map(|row| {
                self.suspicions.insert(key.into(), row.value);
            }),
            "budget" => decode_row::<Bucket>(body).map(|row| {
                self.budgets.insert(key.into(), row.value);
            }),
            "lease" => decode_row::<Lease>(body).map(|row| drop(self.leases.insert(key.into(), row.value))),
            "drain" => decode_row::<Drain>(body).and_then(|row| {
                let extent = Extent::parse(key).ok_or_else(|| RowError("no drain has this key".into()))?;
                self.drains.set(extent, Some(row.value));
                Ok(())
            }),
            "marker" => decode_row::<bool>(body).map(|row| self.inventoried |= row.value),
            other => Err(RowError(format!("table `{other}` is not known to this version"))),
        }
        .map_err(|error| RowError(format!("row {table}/{key}: {error}")))
    }

    /// The order in which tables are put back.
    pub const TABLES: [&str; 9] =
        ["pool", "job", "runner", "effect", "suspicion", "budget", "lease", "drain", "marker"];
}

/// A row as text, with its revision and the version of its shape.
///
/// # Errors
/// A row that cannot be written as JSON (none of today's can).
pub fn encode_row<T: Serialize>(rev: u64, row: &T) -> Result<String, RowError> {
    serde_json::to_string(&Stored { v: SCHEMA, rev, row }).map_err(|error| RowError(error.to_string()))
}

/// The way back from [`encode_row`].
///
/// # Errors
/// The row cannot be read: damaged, or written by a newer version.
pub fn decode_row<T: DeserializeOwned>(body: &str) -> Result<Row<T>, RowError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let version: Version = serde_json::from_str(body).map_err(|error| RowError(error.to_string()))?;
    if version.v > SCHEMA {
        return Err(RowError(format!("written by a newer version (schema {}, this one reads {SCHEMA})", version.v)));
    }
    let stored: Stored<T> = serde_json::from_str(body).map_err(|error| RowError(error.to_string()))?;
    Ok(Row { rev: stored.rev, value: stored.row })
}
