//! The outbox. It holds what is not done yet and no more, so all of it is read to see what is due.

use std::sync::Arc;

use controller::ports::PortResult;
use fleet::{
    effect::{Lease, Pending},
    ids::EffectId,
    ledger::{RowError, decode_row, encode_row},
};
use futures_util::future::try_join_all;

use super::{Applied, Backend, ROUNDS, Tables, wait};
use crate::rows::{At, Change, Expect, Found, Part, Plan};

/// An effect with its place and version.
type Stored = (At, Expect, Pending);

impl<B: Backend> Tables<B> {
    pub(super) async fn outbox(&self) -> PortResult<Vec<Stored>> {
        let rows = self.list(Part::Effect).await?;
        let decode = |(at, expect, body): (At, Expect, String)| {
            let row = decode_row::<Pending>(&body)
                .map_err(|error| RowError::new(format!("row effect/{}: {error}", at.sort)))?;
            Ok((at, expect, row.value))
        };
        self.readable(rows.into_iter().map(decode).collect())
    }

    /// Takes what is due, oldest first. What others took meanwhile is passed over.
    pub(super) async fn lease_effects(
        &self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> PortResult<Vec<(EffectId, Pending)>> {
        let mut due = self.outbox().await?;
        due.retain(|(_, _, pending)| pending.free_ms() <= now_ms);
        due.sort_by_key(|(_, _, pending)| pending.free_ms());
        let mut taken = Vec::new();
        let mut due = due.into_iter();
        while taken.len() < limit {
            let next: Vec<Stored> = due.by_ref().take(limit - taken.len()).collect();
            if next.is_empty() {
                break;
            }
            let lease = Lease { owner: owner.clone(), until_ms };
            let tries = next.into_iter().map(|stored| self.lease_effect(stored, lease.clone()));
            taken.extend(try_join_all(tries).await?.into_iter().flatten());
        }
        Ok(taken)
    }

    async fn lease_effect(&self, stored: Stored, lease: Lease) -> PortResult<Option<(EffectId, Pending)>> {
        let (at, expect, pending) = stored;
        let id = pending.effect.id();
        let pending = Pending { lease: Some(lease), tries: pending.tries + 1, ..pending };
        let done = self.put_effect(at, expect, &pending).await?;
        Ok((done == Applied::Done).then_some((id, pending)))
    }

    async fn put_effect(&self, at: At, expect: Expect, pending: &Pending) -> PortResult<Applied> {
        let body = self.readable(encode_row(0, pending))?;
        let row = Found { version: expect.next(0), body };
        self.backend.apply(&Plan::one(Change::Put { at, row, expect: Some(expect), lasts_ms: None })).await
    }

    /// Puts an effect back, or takes it out, if `owner` holds it.
    pub(super) async fn release_effect(&self, id: &EffectId, owner: &str, due_ms: Option<u64>) -> PortResult<()> {
        for round in 0..ROUNDS {
            let at = At::effect(id);
            let (expect, Some(body)) = self.one(&at).await? else { return Ok(()) };
            let pending: Pending = self.readable(decode_row(&body))?.value;
            if pending.lease.as_ref().is_none_or(|lease| &*lease.owner != owner) {
                return Ok(());
            }
            let done = match due_ms {
                Some(due_ms) => self.put_effect(at, expect, &Pending { lease: None, due_ms, ..pending }).await?,
                None => self.backend.apply(&Plan::one(Change::Delete { at, expect: Some(expect) })).await?,
            };
            if done == Applied::Done {
                return Ok(());
            }
            wait(round).await;
        }
        Err(Self::busy("an effect"))
    }
}
