//! The ledger's rows and the log of decisions in SQL.
//!
//! One generic table: the shape of a row, its schema version and its revision are in its text, which the ledger alone
//! writes and reads.

use std::{collections::BTreeSet, path::Path};

use controller::ports::{About, PortResult};
use fleet::{
    ids::JobId,
    ledger::{Key, Ledger, RowError},
    view::Record,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{words, writer::Beside};

/// Why rows could not be written.
pub(super) enum WriteError {
    /// The file.
    Sql(rusqlite::Error),
    /// The row.
    Row(RowError),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Writes the touched rows; takes out those that no longer exist.
pub(super) fn write(tx: &Transaction<'_>, ledger: &Ledger, touched: &BTreeSet<Key>) -> Result<(), WriteError> {
    let mut put = tx.prepare(
        "INSERT INTO rows (kind, key, body) VALUES (?1, ?2, ?3) ON CONFLICT (kind, key) DO UPDATE SET body = ?3",
    )?;
    let mut take_out = tx.prepare("DELETE FROM rows WHERE kind = ?1 AND key = ?2")?;
    for key in touched {
        let (kind, name) = key.parts();
        match ledger.encode(key).map_err(WriteError::Row)? {
            Some(body) => put.execute(params![kind, name, body])?,
            None => take_out.execute(params![kind, name])?,
        };
    }
    Ok(())
}

/// Appends to the log of decisions and takes out what is too old.
pub(super) fn write_records(tx: &Transaction<'_>, beside: &Beside) -> rusqlite::Result<()> {
    if !beside.records.is_empty() {
        let mut put = tx.prepare("INSERT INTO records (at_ms, job, runner, text) VALUES (?1, ?2, ?3, ?4)")?;
        for record in &beside.records {
            let runner = record.runner.as_ref().map(|name| name.as_str());
            put.execute(params![signed(record.at_ms), record.job.map(|job| signed(job.0)), runner, record.text])?;
        }
    }
    if let Some(before_ms) = beside.prune_before_ms {
        tx.execute("DELETE FROM records WHERE at_ms < ?1", [signed(before_ms)])?;
    }
    Ok(())
}

/// All rows of the file as a ledger.
pub(super) fn restore(conn: &Connection, path: &Path, journal: bool) -> PortResult<Ledger> {
    let failed = |error: rusqlite::Error| words::failed(path, "read", &error);
    let known = Ledger::TABLES.map(|table| format!("'{table}'")).join(", ");
    let unknown: Option<String> = conn
        .query_row(&format!("SELECT kind FROM rows WHERE kind NOT IN ({known}) LIMIT 1"), [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    if let Some(kind) = unknown {
        return Err(words::unreadable(path, &format!("table `{kind}` is not known to this version")));
    }
    let mut ledger = Ledger::new(journal);
    let mut select = conn.prepare("SELECT key, body FROM rows WHERE kind = ?1").map_err(failed)?;
    for table in Ledger::TABLES {
        let mut found = select.query([table]).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            let (key, body): (String, String) = pair(row).map_err(failed)?;
            ledger.restore(table, &key, &body).map_err(|error| words::unreadable(path, &error.to_string()))?;
        }
    }
    ledger.take_touched();
    Ok(ledger)
}

fn pair(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Entries of the log, newest first.
pub(super) fn records(conn: &Connection, about: &About, limit: usize) -> rusqlite::Result<Vec<Record>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let select = |which: &str| {
        conn.prepare(&format!("SELECT at_ms, job, runner, text FROM records {which} ORDER BY id DESC LIMIT ?1"))
    };
    match about {
        About::All => select("")?.query_map([limit], record)?.collect(),
        About::Job(job) => select("WHERE job = ?2")?.query_map(params![limit, signed(job.0)], record)?.collect(),
        About::Runner(name) => select("WHERE runner = ?2")?.query_map(params![limit, name.as_str()], record)?.collect(),
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        at_ms: unsigned(row.get(0)?),
        job: row.get::<_, Option<i64>>(1)?.map(|id| JobId(unsigned(id))),
        runner: row.get::<_, Option<String>>(2)?.map(Into::into),
        text: row.get(3)?,
    })
}

/// SQLite's integers have a sign; the bits are kept, so every number comes back as it was.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// The way back from [`signed`].
pub(super) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}
