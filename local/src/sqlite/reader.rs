//! A look at the file from another process (`status`, `why`), while a daemon has it or after it has ended.
//!
//! It takes no lock, writes nothing and blocks: for commands, not for the daemon.

use std::path::{Path, PathBuf};

use controller::ports::{About, PortResult, Scan};
use fleet::{ledger::Ledger, view::Record};
use rusqlite::Connection;

use super::{file, rows, words};

/// The state file, to read only.
#[derive(Debug)]
pub struct SqliteReader {
    path: PathBuf,
    conn: Connection,
}

impl SqliteReader {
    /// Opens the file.
    ///
    /// # Errors
    /// `NotFound`: there is none. Otherwise as [`super::SqliteStore::open`].
    pub fn open(path: &Path) -> PortResult<Self> {
        Ok(Self { path: path.into(), conn: file::open_to_read(path)? })
    }

    /// What the store's scan shows, as of one moment.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn scan(&self) -> PortResult<Scan> {
        self.ledger().map(|ledger| Scan::of(&ledger))
    }

    /// All tables, as of one moment; also the rows that have ended and are still kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ledger(&self) -> PortResult<Ledger> {
        // One transaction, so that the rows fit together.
        let moment = self.conn.unchecked_transaction().map_err(|error| words::failed(&self.path, "read", &error))?;
        rows::restore(&moment, &self.path, false)
    }

    /// Entries of the log of decisions, newest first, at most `limit`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn records(&self, about: &About, limit: usize) -> PortResult<Vec<Record>> {
        rows::records(&self.conn, about, limit).map_err(|error| words::failed(&self.path, "read", &error))
    }

    /// Events that wait to be handled.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn letters(&self) -> PortResult<u64> {
        let count = self.conn.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0));
        count.map(rows::unsigned).map_err(|error| words::failed(&self.path, "read", &error))
    }
}
