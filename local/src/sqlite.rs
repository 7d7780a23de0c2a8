//! The store of one machine: [`fleet::ledger::Ledger`] in memory, a SQLite file below it.
//!
//! One thread owns both. It takes what is asked from a bounded queue and answers in groups (`writer`), so a burst of
//! commits costs few fsyncs. Every rule (revisions, guards, leases, budgets) is the ledger's; here is only durability.
//!
//! | file | what it holds |
//! |---|---|
//! | `state.db` | the rows, the inbox, the log of decisions. Mode 0600 |
//! | `state.db-wal`, `state.db-shm` | SQLite's own; they belong to it |
//! | `state.db.lock` | locked for as long as a daemon has the file; holds its process number |
//!
//! It must not invent rows: everything in the file can be lost, and the sweep builds it again from the engine and GitHub.

mod file;
mod inbox;
mod reader;
mod rows;
mod store;
mod words;
mod writer;

use std::path::{Path, PathBuf};

use controller::ports::{PortError, PortResult};
use tokio::sync::{mpsc, oneshot};

pub use reader::SqliteReader;
use writer::{Request, State, Tables};

/// Requests that wait for the thread; who comes then waits too.
const QUEUE_MAX: usize = 1_024;

/// The store in a SQLite file. Dropping it lets the thread finish what it has taken and end; [`SqliteStore::close`]
/// also waits for that.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    requests: mpsc::Sender<Request>,
}

impl SqliteStore {
    /// Opens the file, creates it if there is none, and takes it for this process. Leases of a dead owner are released.
    ///
    /// # Errors
    /// `Conflict`: another process has it. `Invalid`: it is damaged, foreign, or written by a newer version; nothing
    /// was changed. `Denied`: a permission is missing. `Retry`: the disk is full or fails.
    pub async fn open(path: impl Into<PathBuf>) -> PortResult<Self> {
        let path: PathBuf = path.into();
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let (opened, is_open) = oneshot::channel();
        let at = path.clone();
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer::run(&at, queue, opened))
            .map_err(|error| PortError::retry(format!("cannot start the store's thread: {error}")))?;
        is_open.await.unwrap_or_else(|_| Err(words::ended(&path)))?;
        Ok(Self { path, requests })
    }

    /// Finishes what was taken and gives the file free. Whoever asks later is told that the store has ended.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(Request::Close(done)).await.is_ok() {
            // An error means that the thread has ended already.
            let _ = closed.await;
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks for a change; answered when it is durable.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Write(Box::new(move |tables| {
            let result = work(tables);
            Box::new(move |durable| {
                // Who no longer waits for the answer learns it from the rows.
                let _ = answer.send(durable.and(result));
            })
        }));
        self.ask(request, answered).await
    }

    /// Asks for something that changes no row; costs no fsync.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Read(Box::new(move |state| {
            let _ = answer.send(state.and_then(work));
        }));
        self.ask(request, answered).await
    }

    async fn ask<T>(&self, request: Request, answered: oneshot::Receiver<PortResult<T>>) -> PortResult<T> {
        if self.requests.send(request).await.is_err() {
            return Err(words::ended(&self.path));
        }
        answered.await.unwrap_or_else(|_| Err(words::ended(&self.path)))
    }
}
