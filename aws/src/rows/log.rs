//! The log of decisions: what one commit said of one job or runner is one row, under the time at which it was written.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use fleet::{
    ledger::{RowError, decode_row, encode_row},
    view::Record,
};

use super::{At, Change, Found, Part};

/// Gives each commit its place in the log: later ones of one process are always behind earlier ones; between processes
/// their clocks decide.
#[derive(Debug)]
pub(crate) struct Stamp {
    last_us: AtomicU64,
    process: u32,
}

impl Stamp {
    /// A stamp of this process.
    pub(crate) fn new() -> Self {
        Self { last_us: AtomicU64::new(0), process: fastrand::u32(..) }
    }

    /// The next place, at this time in microseconds.
    pub(crate) fn next(&self, now_us: u64) -> String {
        let before = self.last_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now_us.max(last + 1)));
        // The update always takes place.
        let us = now_us.max(before.unwrap_or(0) + 1);
        format!("{}#{:08x}", Self::time(us), self.process)
    }

    /// What the places of a time begin with.
    pub(crate) fn time(us: u64) -> String {
        format!("{us:020}")
    }
}

/// Entries with their numbers in the commit: one that is about a job and a runner is stored with both.
type Numbered = Vec<(usize, Record)>;

/// The rows of a commit's entries.
pub(super) fn rows(records: &[Record], stamp: &str, keep_ms: u64) -> Result<Vec<Change>, RowError> {
    let mut parts: BTreeMap<Part, Numbered> = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        for part in parts_of(record) {
            parts.entry(part).or_default().push((number, record.clone()));
        }
    }
    let put = |(part, entries): (Part, Numbered)| {
        let row = Found { version: 0, body: encode_row(0, &entries)? };
        Ok(Change::Put { at: At::new(part, stamp), row, expect: None, lasts_ms: Some(keep_ms) })
    };
    parts.into_iter().map(put).collect()
}

fn parts_of(record: &Record) -> Vec<Part> {
    let job = record.job.map(Part::LogJob);
    let runner = record.runner.clone().map(Part::LogRunner);
    if job.is_none() && runner.is_none() {
        return vec![Part::Log];
    }
    job.into_iter().chain(runner).collect()
}

/// The entries of rows that come newest first, newest first, each once.
///
/// # Errors
/// A row is damaged.
pub(crate) fn records_of(rows: &[(String, String)], from_ms: u64) -> Result<Vec<Record>, RowError> {
    let mut all: BTreeMap<(&str, usize), Record> = BTreeMap::new();
    for (place, body) in rows {
        let entries: Numbered = decode_row(body).map_err(|error| RowError::new(format!("log {place}: {error}")))?.value;
        all.extend(entries.into_iter().map(|(number, record)| ((place.as_str(), number), record)));
    }
    Ok(all.into_values().rev().filter(|record| record.at_ms >= from_ms).collect())
}
