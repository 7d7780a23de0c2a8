//! Effects and their leases, named leases, rate budgets, suspicions.

use std::sync::Arc;

use super::{Key, Ledger};
use crate::{
    budget::{Bucket, Grant},
    effect::{Effect, Lease, Pending},
    ids::EffectId,
};

impl Ledger {
    pub(super) fn put_effect(&mut self, effect: &Effect, due_ms: u64, _now_ms: u64) {
        let id = effect.id();
        self.remove_effect(&id);
        self.insert_effect(id, Pending { effect: effect.clone(), due_ms, tries: 0, lease: None });
    }

    pub(super) fn insert_effect(&mut self, id: EffectId, pending: Pending) {
        self.due.insert((pending.free_ms(), id.clone()));
        self.effects.insert(id.clone(), pending);
        self.touch(Key::Effect(id));
    }

    pub(super) fn remove_effect(&mut self, id: &EffectId) -> Option<Pending> {
        let pending = self.effects.remove(id)?;
        self.due.remove(&(pending.free_ms(), id.clone()));
        self.touch(Key::Effect(id.clone()));
        Some(pending)
    }

    /// Takes up to `limit` due effects for `owner`, who holds them until `until_ms`.
    pub fn lease_due(
        &mut self,
        owner: &Arc<str>,
        now_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> Vec<(EffectId, Pending)> {
        let ids: Vec<EffectId> =
            self.due.iter().take_while(|(due_ms, _)| *due_ms <= now_ms).take(limit).map(|(_, id)| id.clone()).collect();
        let mut taken = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(mut pending) = self.remove_effect(&id) {
                pending.lease = Some(Lease { owner: owner.clone(), until_ms });
                pending.tries += 1;
                self.insert_effect(id.clone(), pending.clone());
                taken.push((id, pending));
            }
        }
        taken
    }

    /// Puts an effect back, to be tried from `due_ms` on, if `owner` still holds it.
    pub fn retry_effect(&mut self, id: &EffectId, owner: &str, due_ms: u64) {
        if self.effects.get(id).and_then(|pending| pending.lease.as_ref()).is_none_or(|lease| &*lease.owner != owner) {
            return;
        }
        if let Some(mut pending) = self.remove_effect(id) {
            pending.lease = None;
            pending.due_ms = due_ms;
            self.insert_effect(id.clone(), pending);
        }
    }

    /// Takes an effect out, if `owner` still holds it. One that was stored anew meanwhile stays.
    pub fn finish_effect(&mut self, id: &EffectId, owner: &str) {
        let lease = self.effects.get(id).and_then(|pending| pending.lease.as_ref());
        if lease.is_some_and(|lease| &*lease.owner == owner) {
            self.remove_effect(id);
        }
    }

    /// Frees everything that any worker holds: for a store whose only user has just started.
    pub fn release_leases(&mut self) {
        let held: Vec<EffectId> =
            self.effects.iter().filter(|(_, pending)| pending.lease.is_some()).map(|(id, _)| id.clone()).collect();
        for id in held {
            if let Some(mut pending) = self.remove_effect(&id) {
                pending.lease = None;
                self.insert_effect(id, pending);
            }
        }
        for name in std::mem::take(&mut self.leases).into_keys() {
            self.touch(Key::Lease(name));
        }
    }

    /// When the next effect may be taken.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// The effects.
    pub fn effects(&self) -> impl Iterator<Item = (&EffectId, &Pending)> {
        self.effects.iter()
    }

    /// Takes or extends a named lease; whether `owner` has it now.
    pub fn lease(&mut self, name: &str, owner: &Arc<str>, now_ms: u64, until_ms: u64) -> bool {
        let free = self.leases.get(name).is_none_or(|lease| lease.until_ms <= now_ms || lease.owner == *owner);
        if free {
            self.leases.insert(name.to_owned(), Lease { owner: owner.clone(), until_ms });
            self.touch(Key::Lease(name.to_owned()));
        }
        free
    }

    /// Takes `points` out of a rate budget.
    pub fn take_budget(&mut self, name: &str, limits: Bucket, points: u32, now_ms: u64) -> Grant {
        let bucket = self.budgets.entry(name.to_owned()).or_insert(limits);
        bucket.resize(&limits);
        let grant = bucket.take(points, now_ms);
        self.touch(Key::Budget(name.to_owned()));
        grant
    }

    /// Closes a rate budget until a time that the other side named.
    pub fn block_budget(&mut self, name: &str, limits: Bucket, until_ms: u64) {
        self.budgets.entry(name.to_owned()).or_insert(limits).block(until_ms);
        self.touch(Key::Budget(name.to_owned()));
    }

    /// First suspicions and when they arose, milliseconds.
    pub fn suspicions(&self) -> &std::collections::BTreeMap<String, u64> {
        &self.suspicions
    }

    /// Replaces the suspicions.
    pub fn set_suspicions(&mut self, suspicions: std::collections::BTreeMap<String, u64>) {
        let old = std::mem::replace(&mut self.suspicions, suspicions);
        let changed: Vec<String> = old
            .keys()
            .filter(|key| !self.suspicions.contains_key(*key))
            .chain(self.suspicions.iter().filter(|(key, since)| old.get(*key) != Some(*since)).map(|(key, _)| key))
            .cloned()
            .collect();
        changed.into_iter().for_each(|key| self.touch(Key::Suspicion(key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspicion_that_arose_anew_is_written_again() {
        let mut ledger = Ledger::new(true);
        ledger.set_suspicions([("a".to_owned(), 1), ("b".to_owned(), 1), ("c".to_owned(), 1)].into());
        ledger.take_touched();
        ledger.set_suspicions([("b".to_owned(), 1), ("c".to_owned(), 2), ("d".to_owned(), 2)].into());
        let touched: Vec<Key> = ledger.take_touched().into_iter().collect();
        assert_eq!(touched, ["a", "c", "d"].map(|key| Key::Suspicion(key.into())));
    }
}
