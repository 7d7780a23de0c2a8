//! Sending webhooks: when each goes out, what became of it, and sending it again.
//!
//! One logical hook covers all owners. There is no automatic redelivery, and what failed can be listed and sent again
//! for three days (FACTS §1).

use fleet::ids::JobId;

use super::Hub;
use super::delivery::{Action, Delivery, Guid};
use super::faults::seen;
use super::model::Note;

/// How long deliveries are kept (FACTS §1: 3 days).
pub const KEPT_MS: u64 = 3 * 86_400_000;
/// How long a delivery waits for the one that is to overtake it, at most.
const OVERTAKE_WITHIN_MS: u64 = 300_000;
/// How far the overtaken one comes behind, at most.
const OVERTAKEN_BY_MS: u64 = 1_000;
/// Time between a delivery and its double, at most.
const DOUBLE_WITHIN_MS: u64 = 30_000;
/// Status that is recorded of a delivery that failed on GitHub's side of the world.
const FAILED_STATUS: u16 = 502;

/// What GitHub keeps of a delivery.
#[derive(Debug, Clone)]
pub struct HookRecord {
    /// The delivery.
    pub delivery: Delivery,
    /// When its answer (or its failure) was recorded, milliseconds.
    pub delivered_ms: Option<u64>,
    /// HTTP status of the answer; 5xx or 0 = failed.
    pub status: Option<u16>,
    /// It arrives, but its record says 5xx.
    lie: bool,
}

impl HookRecord {
    /// Whether it failed.
    pub fn is_failed(&self) -> bool {
        self.status.is_some_and(|status| !(200..300).contains(&status))
    }
}

impl Hub {
    /// Something happened to a job: its webhook is made, and its fate decided.
    pub(crate) fn announce(&mut self, now_ms: u64, job: JobId, action: Action) {
        let Some(snapshot) = self.snapshot(job) else { return };
        if self.is_lost(now_ms) {
            self.saw(seen::WEBHOOK_LOST);
            return;
        }
        let guid = Guid(self.rng.u128(..));
        let mut due_ms = now_ms + self.rng.u64(self.times.webhook_min_ms..=self.webhook_max_ms());
        if self.strikes(now_ms, self.faults.late_permille, seen::WEBHOOK_LATE) {
            due_ms += self.rng.u64(0..=self.faults.late_max_ms);
        }
        let doubled = self.strikes(now_ms, self.faults.double_permille, seen::WEBHOOK_DOUBLED);
        let delivery = Delivery { id: 0, guid, action, job: snapshot, scheduled_ms: due_ms, attempt: 1 };
        if doubled {
            let again_ms = due_ms + self.rng.u64(0..=DOUBLE_WITHIN_MS);
            self.enqueue(delivery.clone(), again_ms);
        }
        let held_ms = self.overtake(now_ms, job, due_ms);
        let id = self.enqueue(delivery, held_ms.unwrap_or(due_ms));
        if let Some(job) = self.jobs.get_mut(&job).filter(|_| held_ms.is_some()) {
            job.held = Some(id);
        }
    }

    fn is_lost(&mut self, now_ms: u64) -> bool {
        (self.faults.all_lost && self.faulty(now_ms)) || self.roll(now_ms, self.faults.lose_permille)
    }

    fn webhook_max_ms(&self) -> u64 {
        self.times.webhook_max_ms.max(self.times.webhook_min_ms)
    }

    /// Sends the delivery that was held back behind the new one, or holds the new one back: until when.
    fn overtake(&mut self, now_ms: u64, job: JobId, due_ms: u64) -> Option<u64> {
        let held = self.jobs.get_mut(&job).and_then(|job| job.held.take());
        if let Some(held) = held {
            let behind_ms = due_ms + 1 + self.rng.u64(0..OVERTAKEN_BY_MS);
            if self.reschedule(held, behind_ms) {
                self.saw(seen::WEBHOOK_REORDERED);
            }
            return None;
        }
        self.roll(now_ms, self.faults.reorder_permille).then_some(due_ms + OVERTAKE_WITHIN_MS)
    }

    fn reschedule(&mut self, id: u64, due_ms: u64) -> bool {
        let Some(record) = self.records.get_mut(&id) else { return false };
        if !self.outgoing.remove(&(record.delivery.scheduled_ms, id)) {
            return false;
        }
        record.delivery.scheduled_ms = due_ms;
        self.outgoing.insert((due_ms, id));
        true
    }

    fn enqueue(&mut self, mut delivery: Delivery, due_ms: u64) -> u64 {
        let id = self.next.delivery;
        self.next.delivery += 1 + self.rng.u64(0..4);
        delivery.id = id;
        delivery.scheduled_ms = due_ms;
        self.records.insert(id, HookRecord { delivery, delivered_ms: None, status: None, lie: false });
        self.outgoing.insert((due_ms, id));
        id
    }

    /// The deliveries that arrive now. Each is to be answered by [`Hub::delivered`].
    pub fn due(&mut self, now_ms: u64) -> Vec<Delivery> {
        let mut due = Vec::new();
        while let Some(&(at_ms, id)) = self.outgoing.first().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.outgoing.remove(&(at_ms, id));
            if self.roll(now_ms, self.faults.fail_permille) && !self.arrives_anyway(id) {
                self.record(id, FAILED_STATUS, now_ms);
                continue;
            }
            due.extend(self.records.get(&id).map(|record| record.delivery.clone()));
        }
        due
    }

    /// The receiver did its work, but GitHub saw a time-out.
    fn arrives_anyway(&mut self, id: u64) -> bool {
        let lie = self.rng.bool();
        self.saw(if lie { seen::WEBHOOK_FAILED_BUT_SEEN } else { seen::WEBHOOK_FAILED });
        if let Some(record) = self.records.get_mut(&id) {
            record.lie = lie;
        }
        lie
    }

    /// The receiver took a delivery, or did not.
    pub fn delivered(&mut self, id: u64, ok: bool, now_ms: u64) {
        self.answered(id, if ok { 200 } else { FAILED_STATUS }, now_ms);
    }

    /// The receiver answered a delivery with this HTTP status; 0 if it did not answer within 10 s.
    pub fn answered(&mut self, id: u64, status: u16, now_ms: u64) {
        let lie = self.records.get(&id).is_some_and(|record| record.lie);
        self.record(id, if lie { FAILED_STATUS } else { status }, now_ms);
    }

    fn record(&mut self, id: u64, status: u16, now_ms: u64) {
        if let Some(record) = self.records.get_mut(&id) {
            record.status = Some(status);
            record.delivered_ms = Some(now_ms);
            self.note(now_ms, || Note::Delivered(id, status));
        }
        self.forget_old_deliveries(now_ms);
    }

    fn forget_old_deliveries(&mut self, now_ms: u64) {
        while let Some((&id, record)) = self.records.first_key_value() {
            if record.delivered_ms.is_none_or(|at_ms| at_ms + KEPT_MS > now_ms) {
                return;
            }
            self.records.remove(&id);
        }
    }

    /// Sends a kept delivery again, with the same GUID and the old payload; its new number.
    pub(crate) fn send_again(&mut self, now_ms: u64, id: u64) -> Option<u64> {
        let mut delivery = self.records.get(&id)?.delivery.clone();
        delivery.attempt += 1;
        Some(self.enqueue(delivery, now_ms))
    }
}
