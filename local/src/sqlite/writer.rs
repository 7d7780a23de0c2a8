//! The thread that owns the tables and the file: group commit, and the way back when the disk refuses.
//!
//! A group is all that waits in the queue, at most [`GROUP_MAX`] requests:
//!
//! 1. its reads are answered, from tables that hold committed rows only;
//! 2. its changes are made in memory, one after the other, each seeing those before it;
//! 3. every row that was touched goes into **one** transaction, which is committed with one fsync;
//! 4. only then is anybody answered.
//!
//! So a read never shows what is rolled back later: between two groups memory and file are equal. Reads of a group do
//! not see its changes, which is right, because whoever asked for those has not been answered yet. A view that was
//! loaded before a failed group is stale at worst: the conditional commit compares its revisions with the tables that
//! were built again from the file, and refuses what no longer fits.

use std::path::{Path, PathBuf};

use controller::ports::{PortError, PortResult};
use fleet::{ledger::Ledger, view::Record};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{
    file::{self, Held},
    inbox, rows, words,
};

/// Most requests that share one transaction: bounds its size and how long the first of them waits.
const GROUP_MAX: usize = 256;

/// Says whether the change is durable; then its result goes to who asked.
pub(super) type Answer = Box<dyn FnOnce(PortResult<()>) + Send>;

/// Looks at committed state and answers.
pub(super) type Look = Box<dyn FnOnce(PortResult<&mut State>) + Send>;

/// Changes the tables.
pub(super) type Change = Box<dyn FnOnce(&mut Tables) -> Answer + Send>;

/// What is asked of the thread.
pub(super) enum Request {
    /// Look at committed state.
    Read(Look),
    /// Change the tables.
    Write(Change),
    /// Give the file free and end.
    Close(oneshot::Sender<()>),
}

/// What a change is made on.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) ledger: Ledger,
    /// What goes into the same transaction beside the touched rows.
    pub(super) beside: Beside,
}

/// Rows that live only on disk.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) records: Vec<Record>,
    pub(super) letters: Vec<String>,
    pub(super) acknowledged: Vec<u64>,
    /// Entries of the log older than this are taken out, milliseconds.
    pub(super) prune_before_ms: Option<u64>,
}

impl Beside {
    fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.letters.is_empty()
            && self.acknowledged.is_empty()
            && self.prune_before_ms.is_none()
    }
}

/// What a read looks at.
#[derive(Debug)]
pub(super) struct State {
    pub(super) path: PathBuf,
    pub(super) conn: Connection,
    pub(super) tables: Tables,
    pub(super) cursor: inbox::Cursor,
    /// Memory is ahead of the file: build it again before anything else.
    stale: bool,
    /// The file did not take the last group that had something for it.
    fails: bool,
}

/// What a group had for the file.
enum Written {
    Something,
    Nothing,
}

/// The thread: opens the file, says how that went, serves until everybody has hung up.
pub(super) fn run(path: &Path, mut queue: mpsc::Receiver<Request>, opened: oneshot::Sender<PortResult<()>>) {
    let (mut state, held) = match State::open(path) {
        Ok(open) => open,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    let closing = state.serve_all(&mut queue);
    drop(state);
    drop(held);
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

impl State {
    fn open(path: &Path) -> PortResult<(Self, Held)> {
        let held = file::hold(path)?;
        let conn = file::open(path)?;
        let tables = Tables { ledger: Ledger::new(true), beside: Beside::default() };
        let mut state =
            Self { path: path.into(), conn, tables, cursor: inbox::Cursor::default(), stale: true, fails: false };
        state.refresh()?;
        // This occurs when a daemon was killed while it worked on effects: the file's lock proves that it is dead, so
        // nobody has to wait for the end of its leases.
        state.tables.ledger.release_leases();
        state.commit()?;
        Ok((state, held))
    }

    fn serve_all(&mut self, queue: &mut mpsc::Receiver<Request>) -> Option<oneshot::Sender<()>> {
        while let Some(first) = queue.blocking_recv() {
            let (mut reads, mut writes, mut closing) = (Vec::new(), Vec::new(), None);
            let more = std::iter::from_fn(|| queue.try_recv().ok());
            for request in std::iter::once(first).chain(more).take(GROUP_MAX) {
                match request {
                    Request::Read(work) => reads.push(work),
                    Request::Write(work) => writes.push(work),
                    Request::Close(done) => closing = Some(done),
                }
            }
            for work in reads {
                work(self.refresh().map(|()| &mut *self));
            }
            self.change(writes);
            if closing.is_some() {
                return closing;
            }
        }
        None
    }

    /// Makes the changes of a group durable, then answers all of them.
    fn change(&mut self, writes: Vec<Change>) {
        if writes.is_empty() {
            return;
        }
        let fresh = self.refresh();
        let answers: Vec<Answer> = writes.into_iter().map(|work| work(&mut self.tables)).collect();
        let done = fresh.and_then(|()| self.commit());
        if done.is_err() {
            // This occurs when the disk is full or fails. None of the group is in the file (or, if only its fsync
            // failed, it may come back after a power cut), so memory must forget it too. "Retry" is the true word for
            // both: whether it was done is not known.
            self.stale = true;
        }
        self.tell(&done);
        let done = done.map(drop);
        for answer in answers {
            answer(done.clone());
        }
    }

    /// A disk stays full for a while, and who comes again is not to fill a log on it: the beginning and the end are told.
    fn tell(&mut self, done: &PortResult<Written>) {
        match done {
            Err(error) if self.fails => tracing::debug!(%error, "the store still cannot write"),
            Err(error) => {
                self.fails = true;
                tracing::error!("the store cannot write: {error}");
            }
            Ok(Written::Something) if self.fails => {
                self.fails = false;
                tracing::info!("the store can be written again");
            }
            Ok(Written::Something | Written::Nothing) => {}
        }
    }

    fn commit(&mut self) -> PortResult<Written> {
        let touched = self.tables.ledger.take_touched();
        let beside = std::mem::take(&mut self.tables.beside);
        if touched.is_empty() && beside.is_empty() {
            return Ok(Written::Nothing);
        }
        let failed = |error: &rusqlite::Error| words::not_written(&self.path, error);
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| failed(&e))?;
        rows::write(&tx, &self.tables.ledger, &touched).map_err(|error| match error {
            rows::WriteError::Sql(error) => failed(&error),
            rows::WriteError::Row(error) => PortError::new(controller::ports::ErrorKind::Invalid, error.to_string()),
        })?;
        inbox::write(&tx, &beside).map_err(|e| failed(&e))?;
        rows::write_records(&tx, &beside).map_err(|e| failed(&e))?;
        tx.commit().map_err(|e| failed(&e)).map(|()| Written::Something)
    }

    /// Builds memory from the file if it may differ from it.
    fn refresh(&mut self) -> PortResult<()> {
        if !self.stale {
            return Ok(());
        }
        if !self.conn.is_autocommit() {
            // This occurs when even the rollback failed, on a disk that refuses everything.
            self.conn.execute_batch("ROLLBACK").map_err(|error| words::failed(&self.path, "roll back", &error))?;
        }
        let ledger = rows::restore(&self.conn, &self.path, true)?;
        self.tables = Tables { ledger, beside: Beside::default() };
        self.stale = false;
        Ok(())
    }
}
