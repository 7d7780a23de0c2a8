//! Commits: read, plan, write; where another writer was quicker, once more.

use controller::{
    mem::conflict,
    ports::{PortError, PortResult},
};
use fleet::{ledger::Conflict, view::Decision};

use super::{Applied, Backend, ROUNDS, Tables, now_us, wait};
use crate::rows::{NoPlan, Plan, Reading, plan};

impl<B: Backend> Tables<B> {
    pub(super) async fn write_decision(&self, decision: &Decision, now_ms: u64) -> PortResult<()> {
        for round in 0..ROUNDS {
            let plan = self.plan(decision, now_ms).await?;
            match self.backend.apply(&plan).await? {
                Applied::Done => return Ok(()),
                Applied::Refused(what) => return Err(conflict(Conflict(what))),
                // It is read again; if the decision no longer holds, the plan says so.
                Applied::Changed => wait(round).await,
            }
        }
        Err(PortError::conflict(format!("{ROUNDS} writes in a row met another writer")))
    }

    async fn plan(&self, decision: &Decision, now_ms: u64) -> PortResult<Plan> {
        let mut reading = Reading::default();
        let ask = reading.first(decision);
        let answer = self.read(&ask).await?;
        self.readable(reading.add(&answer, self.keep, now_ms))?;
        let ask = reading.then(decision);
        let answer = self.read(&ask).await?;
        self.readable(reading.add(&answer, self.keep, now_ms))?;
        let stamp = self.stamp.next(now_us());
        match plan(decision, &reading, &stamp, self.keep, now_ms) {
            Ok(plan) => Ok(plan),
            Err(NoPlan::Conflict(met)) => Err(conflict(met)),
            Err(NoPlan::Row(error)) => Err(self.backend.unreadable(&error)),
        }
    }
}
