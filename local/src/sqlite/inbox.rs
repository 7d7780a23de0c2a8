//! The inbox: events that were durably appended and are not handled yet.
//!
//! `AUTOINCREMENT` numbers are never used twice, so "handed out since the start" is one number and not a set.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use controller::ports::{ErrorKind, Inbox, Letter, PortError, PortResult};
use fleet::event::Event;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    SqliteStore,
    rows::{signed, unsigned},
    words,
    writer::{Beside, State},
};

/// Writes new letters and takes out the acknowledged.
pub(super) fn write(tx: &Transaction<'_>, beside: &Beside) -> rusqlite::Result<()> {
    if !beside.letters.is_empty() {
        let mut put = tx.prepare("INSERT INTO inbox (body) VALUES (?1)")?;
        for body in &beside.letters {
            put.execute([body])?;
        }
    }
    if !beside.acknowledged.is_empty() {
        let mut take_out = tx.prepare("DELETE FROM inbox WHERE id = ?1")?;
        for receipt in &beside.acknowledged {
            take_out.execute([signed(*receipt)])?;
        }
    }
    Ok(())
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn append(&self, events: &[Event]) -> PortResult<()> {
        let bodies: Result<Vec<String>, _> = events.iter().map(serde_json::to_string).collect();
        let bodies = bodies.map_err(|error| PortError::new(ErrorKind::Invalid, format!("an event: {error}")))?;
        self.write(move |tables| {
            tables.beside.letters.extend(bodies);
            Ok(())
        })
        .await
    }

    async fn take(&self, limit: usize) -> PortResult<Vec<Letter>> {
        let taken = self.read(move |state| take(state, limit)).await?;
        // From here on nothing waits: who asked gets them.
        Ok(taken.received())
    }

    async fn acknowledge(&self, receipts: &[u64]) -> PortResult<()> {
        let receipts = receipts.to_vec();
        self.write(move |tables| {
            tables.beside.acknowledged.extend(receipts);
            Ok(())
        })
        .await
    }
}

/// Where letters have got to since the start.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Letters up to this one were handed out…
    last: i64,
    /// …except these, which came back.
    returned: Arc<Mutex<BTreeSet<i64>>>,
}

/// Letters on their way to who asked.
///
/// This occurs when who asked is cancelled: the answer is dropped unread, before or after the thread sent it. Then its
/// letters go back, or they would wait for the next start.
#[derive(Debug)]
struct Taken {
    letters: Vec<Letter>,
    returned: Arc<Mutex<BTreeSet<i64>>>,
}

impl Taken {
    fn received(mut self) -> Vec<Letter> {
        std::mem::take(&mut self.letters)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let unread = self.letters.iter().map(|letter| signed(letter.receipt));
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).extend(unread);
    }
}

fn take(state: &mut State, limit: usize) -> PortResult<Taken> {
    let found = select(state, limit).map_err(|error| words::failed(&state.path, "read", &error))?;
    let cursor = &mut state.cursor;
    for (id, _) in &found {
        cursor.last = cursor.last.max(*id);
        cursor.returned.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
    let letters = found.into_iter().filter_map(|(id, body)| letter(id, &body)).collect();
    Ok(Taken { letters, returned: cursor.returned.clone() })
}

/// Oldest first: those that came back are older than all that were never handed out.
fn select(state: &State, limit: usize) -> rusqlite::Result<Vec<(i64, String)>> {
    let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let returned = state.cursor.returned.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut found = Vec::new();
    let mut one = state.conn.prepare("SELECT id, body FROM inbox WHERE id = ?1")?;
    for id in returned.iter().take(limit) {
        found.extend(one.query_row([id], pair).optional()?);
    }
    let mut select = state.conn.prepare("SELECT id, body FROM inbox WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let left = i64::try_from(limit.saturating_sub(found.len())).unwrap_or(i64::MAX);
    for row in select.query_map(params![state.cursor.last, left], pair)? {
        found.push(row?);
    }
    Ok(found)
}

/// This occurs after a newer version was taken back: it may have stored events that this one does not know. Such a
/// letter stays in the file for the newer version and must not stop those behind it.
fn letter(id: i64, body: &str) -> Option<Letter> {
    match serde_json::from_str(body) {
        Ok(event) => Some(Letter { receipt: unsigned(id), event }),
        Err(error) => {
            tracing::error!(letter = id, "the inbox holds an event that this version cannot read; it is kept: {error}");
            None
        }
    }
}
