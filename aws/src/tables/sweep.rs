//! What only sweeps and read models do: look at everything, replace the suspicions, take out what ended long ago.

use std::collections::BTreeMap;

use controller::ports::{PortResult, Scan};
use fleet::{
    effect::Pending,
    job::Job,
    ledger::{Ledger, RowError, decode_row, encode_row, job_end, runner_end},
    runner::Runner,
};
use futures_util::future::try_join_all;

use super::{Backend, Tables, now_us};
use crate::rows::{
    Answer, Ask, At, Change, Expect, Found, LOG_FROM, Part, Plan, PoolItem, Stamp, Totals, TotalsChange, totals_rows,
};

/// Writes that are under way at once.
const WRITES_AT_ONCE: usize = 25;

/// The start of the log that is shown moves in steps of this: a write an hour, not one a sweep.
const LOG_STEP_MS: u64 = 3_600_000;

/// What the log is kept for longer than it is shown: the clock that stamps it and the caller's may differ.
const LOG_SLACK_US: u64 = 24 * 3_600 * 1_000_000;

impl<B: Backend> Tables<B> {
    /// All rows, put into the core's own tables: demand and supply are counted again from the rows.
    pub(super) async fn look_at_all(&self) -> PortResult<Scan> {
        let lists = vec![Part::Pool, Part::Job, Part::Runner, Part::Effect, Part::Suspicion];
        Ok(Scan::of(&self.tables(&lists).await?))
    }

    /// All rows, the rate budgets among them, for a person who looks. Rows that are written meanwhile may not fit
    /// together.
    ///
    /// # Errors
    /// `Invalid`: a row cannot be read. `Denied`, `Retry`, `NotFound`: there is no such table.
    pub async fn ledger(&self) -> PortResult<Ledger> {
        self.tables(&[Part::Pool, Part::Job, Part::Runner, Part::Effect, Part::Budget]).await
    }

    async fn tables(&self, lists: &[Part]) -> PortResult<Ledger> {
        let answer = self.read(&Ask { lists: lists.to_vec(), totals: true, ..Ask::default() }).await?;
        self.readable(ledger(lists, &answer))
    }

    /// Writes what differs. Only the sweep does this, under its lease, so it need not be all at once.
    pub(super) async fn replace_suspicions(&self, suspicions: BTreeMap<String, u64>) -> PortResult<()> {
        let stored = self.list(Part::Suspicion).await?;
        let mut changes = Vec::new();
        let mut same = BTreeMap::new();
        for (at, _, body) in stored {
            let since_ms: Option<u64> = decode_row(&body).ok().map(|row| row.value);
            match suspicions.get(&at.sort) {
                Some(_) => drop(same.insert(at.sort, since_ms)),
                None => changes.push(Change::Delete { at, expect: None }),
            }
        }
        for (key, since_ms) in suspicions.iter().filter(|(key, since)| same.get(*key) != Some(&Some(**since))) {
            let row = Found { version: 1, body: self.readable(encode_row(0, since_ms))? };
            changes.push(Change::Put { at: At::new(Part::Suspicion, key), row, expect: None, lasts_ms: None });
        }
        self.each(changes).await
    }

    /// Each change on its own; one whose row has changed meanwhile is left.
    async fn each(&self, changes: Vec<Change>) -> PortResult<()> {
        let plans: Vec<Plan> = changes.into_iter().map(Plan::one).collect();
        for some in plans.chunks(WRITES_AT_ONCE) {
            try_join_all(some.iter().map(|plan| self.backend.apply(plan))).await?;
        }
        Ok(())
    }

    pub(super) async fn take_out_old(&self, now_ms: u64) -> PortResult<()> {
        let lists = vec![Part::Pool, Part::Job, Part::Runner];
        let answer = self.read(&Ask { lists, totals: true, ..Ask::default() }).await?;
        let mut old = Vec::new();
        for (part, rows) in &answer.lists {
            for (sort, found) in rows {
                if self.readable(self.is_old(part, &found.body, now_ms))? {
                    let expect = Some(Expect::Version(found.version));
                    old.push(Change::Delete { at: At::new(part.clone(), sort), expect });
                }
            }
        }
        self.each(old).await?;
        let totals = self.readable(Totals::decode(&answer.totals))?;
        self.shorten_log(totals.log_from_ms, now_ms).await
    }

    fn is_old(&self, part: &Part, body: &str, now_ms: u64) -> Result<bool, RowError> {
        let end_ms = match part {
            Part::Pool => return Ok(PoolItem::decode(body)?.is_idle(now_ms)),
            Part::Job => job_end(&decode_row::<Job>(body)?.value),
            Part::Runner => runner_end(&decode_row::<Runner>(body)?.value),
            Part::Effect
            | Part::Suspicion
            | Part::Budget
            | Part::Lease
            | Part::Wait(_)
            | Part::LogJob(_)
            | Part::LogRunner(_)
            | Part::Log => None,
        };
        Ok(end_ms.is_some_and(|at_ms| at_ms < now_ms.saturating_sub(self.keep.ended_ms)))
    }

    async fn shorten_log(&self, shown_from_ms: u64, now_ms: u64) -> PortResult<()> {
        let from_ms = now_ms.saturating_sub(self.keep.log_ms);
        if from_ms < shown_from_ms + LOG_STEP_MS {
            return Ok(());
        }
        let set = [(LOG_FROM.to_owned(), Some(from_ms.to_string()))].into();
        let totals = TotalsChange { set, ..TotalsChange::default() };
        self.backend.apply(&Plan { totals, ..Plan::default() }).await?;
        let kept_us = self.keep.log_ms.saturating_mul(1_000).saturating_add(LOG_SLACK_US);
        self.backend.forget_log(&Stamp::time(now_us().saturating_sub(kept_us))).await
    }
}

fn ledger(lists: &[Part], answer: &Answer) -> Result<Ledger, RowError> {
    let mut ledger = Ledger::new(false);
    for part in lists {
        for (sort, found) in answer.lists.get(part).into_iter().flatten() {
            ledger.restore(&part.name(), &name(part, sort, &found.body), &found.body)?;
        }
    }
    for (table, key, body) in totals_rows(&answer.totals)? {
        ledger.restore(table, &key, &body)?;
    }
    Ok(ledger)
}

/// The row's own name: a key may be too long to be kept as it is.
fn name(part: &Part, sort: &str, body: &str) -> String {
    let effect = || decode_row::<Pending>(body).ok().map(|row| row.value.effect.id().to_string());
    if *part == Part::Effect { effect() } else { None }.unwrap_or_else(|| sort.to_owned())
}
