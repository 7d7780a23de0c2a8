//! What workers share beside the rows: named leases, rate budgets, the log.

use std::sync::Arc;

use controller::ports::{About, PortError, PortResult};
use fleet::{
    budget::Bucket,
    effect::Lease,
    ledger::{decode_row, encode_row},
    view::Record,
};

use super::{Applied, Backend, ROUNDS, Tables, wait};
use crate::rows::{Ask, At, Change, Expect, Found, Part, Plan, Totals, records_of};

impl<B: Backend> Tables<B> {
    pub(super) fn busy(what: &str) -> PortError {
        PortError::retry(format!("{what} was changed by others {ROUNDS} times in a row; try again"))
    }

    pub(super) async fn take_lease(
        &self,
        name: &str,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
    ) -> PortResult<bool> {
        let at = At::new(Part::Lease, name);
        for round in 0..ROUNDS {
            let (expect, body) = self.one(&at).await?;
            if let Some(body) = body {
                let held: Lease = self.readable(decode_row(&body))?.value;
                if held.until_ms > now_ms && held.owner != *owner {
                    return Ok(false);
                }
            }
            let lease = Lease { owner: owner.clone(), until_ms };
            let body = self.readable(encode_row(0, &lease))?;
            if self.put_one(at.clone(), expect, body, now_ms).await? == Applied::Done {
                return Ok(true);
            }
            wait(round).await;
        }
        Err(Self::busy("a lease"))
    }

    pub(super) async fn change_budget<T>(
        &self,
        name: &str,
        limits: Bucket,
        now_ms: u64,
        change: impl Fn(&mut Bucket) -> T + Send,
    ) -> PortResult<T> {
        let at = At::new(Part::Budget, name);
        for round in 0..ROUNDS {
            let (expect, body) = self.one(&at).await?;
            let mut bucket: Bucket = match body {
                Some(body) => self.readable(decode_row(&body))?.value,
                None => limits,
            };
            let before = bucket;
            let result = change(&mut bucket);
            if bucket == before && expect != Expect::Absent {
                return Ok(result);
            }
            let body = self.readable(encode_row(0, &bucket))?;
            if self.put_one(at.clone(), expect, body, now_ms).await? == Applied::Done {
                return Ok(result);
            }
            wait(round).await;
        }
        Err(Self::busy("a rate budget"))
    }

    async fn put_one(&self, at: At, expect: Expect, body: String, now_ms: u64) -> PortResult<Applied> {
        let row = Found { version: expect.next(now_ms), body };
        self.backend.apply(&Plan::one(Change::Put { at, row, expect: Some(expect), lasts_ms: None })).await
    }

    pub(super) async fn read_log(&self, about: &About, limit: usize) -> PortResult<Vec<Record>> {
        let part = match about {
            About::All => None,
            About::Job(id) => Some(Part::LogJob(*id)),
            About::Runner(name) => Some(Part::LogRunner(name.clone())),
        };
        let fields = self.read(&Ask { totals: true, ..Ask::default() }).await?.totals;
        let from_ms = self.readable(Totals::decode(&fields))?.log_from_ms;
        let rows = self.backend.log(part.as_ref(), limit).await?;
        let mut records = self.readable(records_of(&rows, from_ms))?;
        records.truncate(limit);
        Ok(records)
    }
}
