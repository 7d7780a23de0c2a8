//! The inbox: events that were durably appended and are not handled yet.
//!
//! `AUTOINCREMENT` numbers are never used twice, so "handed out since the start" is one number and not a set.

use async_trait::async_trait;
use controller::ports::{ErrorKind, Inbox, Letter, PortError, PortResult};
use fleet::event::Event;
use rusqlite::{Transaction, params};
use tokio::sync::oneshot;

use super::{
    SqliteStore,
    rows::{signed, unsigned},
    words,
    writer::{Beside, Request, State},
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
        let (answer, answered) = oneshot::channel();
        let request = Request::Read(Box::new(move |state| match state {
            Ok(state) => hand_out(state, limit, answer),
            Err(error) => drop(answer.send(Err(error))),
        }));
        self.ask(request, answered).await
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

/// This occurs when who asked was cancelled meanwhile: letters that nobody received must be handed out again.
fn hand_out(state: &mut State, limit: usize, answer: oneshot::Sender<PortResult<Vec<Letter>>>) {
    let before = state.last_taken;
    if answer.send(take(state, limit)).is_err() {
        state.last_taken = before;
    }
}

fn take(state: &mut State, limit: usize) -> PortResult<Vec<Letter>> {
    let found = select(state, limit).map_err(|error| words::failed(&state.path, "read", &error))?;
    if let Some((last, _)) = found.last() {
        state.last_taken = *last;
    }
    Ok(found.into_iter().filter_map(|(id, body)| letter(id, &body)).collect())
}

fn select(state: &State, limit: usize) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut select = state.conn.prepare("SELECT id, body FROM inbox WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    select.query_map(params![state.last_taken, limit], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
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
