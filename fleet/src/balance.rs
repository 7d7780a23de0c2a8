//! Demand against supply: which runners to launch, in which order, under which limits, and what a waiting job is told.
//!
//! Order: the scope (at repository scope: the repository) with the fewest live runners, then the oldest job. At
//! organisation scope GitHub assigns as it likes, so there only the launches are ordered.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    decide::Draft,
    effect::{Effect, LaunchSpec, NoticeKind},
    event::{Event, Outcome},
    ids::{ClassName, JobId, PoolId, RunnerName},
    job::JobState,
    runner::{Outfit, Runner, RunnerState},
    standing::{Obstacle, Standing},
    view::{Guard, PoolView},
};

/// Most launches in one decision: a store's transaction is bounded (DynamoDB takes 100 items).
pub const LAUNCHES_PER_DECISION: u32 = 25;

/// Fruitless runners in a row from which a pool is held back: GitHub does not let its runners have the jobs, or its
/// machines do not come up.
pub const FRUITLESS_LIMIT: u32 = 3;

/// First backoff of a pool; it doubles up to [`HOLD_MAX_MS`].
pub const HOLD_FIRST_MS: u64 = 15_000;

/// Longest backoff of a pool.
pub const HOLD_MAX_MS: u64 = 3_600_000;

impl Draft<'_> {
    /// Launches what is missing and allowed, then tells each queued job of these events how it stands.
    pub(crate) fn balance(&mut self, events: &[Event]) {
        let live_before = self.read.fleet_live;
        let mut launched = 0;
        while let Some(pool) = self.next_pool() {
            if launched == LAUNCHES_PER_DECISION {
                self.out.again = true;
                break;
            }
            self.launch(&pool);
            launched += 1;
        }
        // Somebody may have begun to wait since the view was read: look again once this is written.
        self.out.again |= self.view.fleet_live < live_before;
        self.tell(events);
    }

    fn next_pool(&self) -> Option<PoolId> {
        self.view
            .pools
            .values()
            .filter(|pool| pool.deficit() > 0 && self.obstacle(pool).is_none())
            .min_by_key(|pool| {
                let created_ms = pool.head.as_ref().map_or(u64::MAX, |head| head.created_ms);
                (self.scope_live(&pool.pool.scope), created_ms, &pool.pool.id)
            })
            .map(|pool| pool.pool.id.clone())
    }

    fn obstacle(&self, pool: &PoolView) -> Option<Obstacle> {
        self.standing().obstacle(pool)
    }

    fn standing(&self) -> Standing<'_> {
        Standing { policy: self.policy, view: &self.view, now_ms: self.now_ms }
    }

    fn class_max(&self, class: &ClassName) -> u32 {
        self.policy.class(class).map_or(0, |class| class.max)
    }

    fn launch(&mut self, id: &PoolId) {
        let Some(pool) = self.view.pools.get(id).map(|pool| pool.pool.clone()) else { return };
        let head = self.view.pools.get(id).and_then(|pool| pool.head.clone());
        let (repo, asked_by) = head.map(|head| (head.repo, head.job)).unzip();
        let class = self.class(&pool.class);
        let runner = Runner {
            name: self.new_name(),
            pool: pool.id.clone(),
            class: pool.class.clone(),
            scope: pool.scope,
            labels: pool.labels,
            repo,
            asked_by,
            attempt: 1,
            claims: 0,
            task: None,
            registration: None,
            created_ms: self.now_ms,
            boot_deadline_ms: 0,
            life_deadline_ms: 0,
            taken_back: None,
            outfit: Outfit::of(&class),
            state: RunnerState::Reserved,
        };
        let spec = LaunchSpec::of(&runner, &class);
        self.effect(Effect::Launch(Box::new(spec)), self.now_ms);
        self.record(None, Some(runner.name.clone()), format!("{} is started for pool {id}", runner.name));
        self.set_runner(runner);
    }

    fn new_name(&mut self) -> RunnerName {
        self.named += 1;
        let name = format!("{}{}{}", self.policy.prefix(), base32(self.nonce, 13), base32(u64::from(self.named), 2));
        name.into()
    }

    /// The words for the jobs of these events that are queued after all this. Several may wait for one pool: those that
    /// came first are told of its runners, the others why they wait.
    fn tell(&mut self, events: &[Event]) {
        let queued: Vec<(usize, JobId, PoolId)> =
            events.iter().enumerate().filter_map(|(i, event)| self.queued_now(i, event)).collect();
        let mut told: BTreeMap<&PoolId, i64> = BTreeMap::new();
        for (i, job, id) in &queued {
            let Some(pool) = self.view.pools.get(id) else { continue };
            let asked = i64::try_from(queued.iter().filter(|(_, _, other)| other == id).count()).unwrap_or(i64::MAX);
            let before = told.entry(id).or_default();
            *before += 1;
            let text = if *before <= asked - pool.deficit() { self.served(pool) } else { self.waits(pool) };
            self.record(Some(*job), None, text.clone());
            if let Some(outcome) = self.out.outcomes.get_mut(*i) {
                *outcome = Outcome::Accepted(text);
            }
        }
    }

    /// The job of an event and its pool, if the event has put it into the queue.
    fn queued_now(&self, index: usize, event: &Event) -> Option<(usize, JobId, PoolId)> {
        let job = match event {
            Event::Job { facts, .. } => facts.id,
            Event::Rematch { job } => *job,
            Event::Runner { .. }
            | Event::Adopt(_)
            | Event::Drain { .. }
            | Event::EndDrain { .. }
            | Event::Inventory
            | Event::Balance => return None,
        };
        if !matches!(self.out.outcomes.get(index), Some(Outcome::Accepted(_))) {
            return None;
        }
        let row = &self.view.jobs.get(&job)?.value;
        let pool = row.queued_in()?;
        debug_assert_eq!(row.state, JobState::Queued);
        Some((index, job, pool.clone()))
    }

    fn served(&self, pool: &PoolView) -> String {
        let id = &pool.pool.id;
        let read = self.read.pools.get(id).map_or(0, |pool| pool.unbound);
        match pool.unbound.saturating_sub(read) {
            0 => format!("a runner of pool {id} is already there for it"),
            1 => format!("a runner is started for it in pool {id}"),
            n => format!("{n} runners are started in pool {id}"),
        }
    }

    fn waits(&self, pool: &PoolView) -> String {
        let why = self.standing().words(pool).unwrap_or_else(|| "more launches follow at once".into());
        format!("waits: {why}{}", self.first_in_line(pool))
    }

    /// Whose turn is next, where a limit keeps others from a runner.
    fn first_in_line(&self, pool: &PoolView) -> String {
        match self.obstacle(pool) {
            Some(Obstacle::NotInventoried | Obstacle::Drained | Obstacle::Held) => String::new(),
            Some(Obstacle::Fleet | Obstacle::Class) | None => pool
                .head
                .as_ref()
                .map_or_else(String::new, |head| format!("; first in line: job {} of {}", head.job, head.repo)),
        }
    }

    /// Whether a limit that this idle runner counts against keeps another pool from a runner.
    pub(crate) fn somebody_is_held_back(&self, runner: &Runner) -> bool {
        self.view.pools.values().filter(|pool| pool.deficit() > 0 && pool.pool.id != runner.pool).any(|pool| match self
            .obstacle(pool)
        {
            Some(Obstacle::Fleet) => true,
            Some(Obstacle::Class) => pool.pool.class == runner.class,
            Some(Obstacle::Held | Obstacle::Drained | Obstacle::NotInventoried) | None => false,
        })
    }

    /// A runner ended without a job. If jobs wait all the same, three in a row hold the pool back.
    pub(crate) fn fruitless(&mut self, runner: &Runner, why: &str) {
        // One that was asked to end says nothing about its pool.
        let asked = self.view.drains.holds(&runner.class) || matches!(runner.state, RunnerState::Recalled { .. });
        let Some(pool) = self.view.pools.get_mut(&runner.pool).filter(|_| !asked) else { return };
        // Those that were already under way when the pool was held say nothing new.
        if pool.queued == 0 || pool.flags.held_until_ms > self.now_ms {
            return;
        }
        pool.flags.fruitless += 1;
        self.changed_pools.insert(runner.pool.clone());
        if pool.flags.fruitless < FRUITLESS_LIMIT {
            return;
        }
        let group = self.class(&runner.class).group.unwrap_or_else(|| "the default one".into());
        let text = format!(
            "runners of pool {} keep ending without a job while jobs wait (last: {why}); does runner group {group} allow the repository, and does the image start?",
            runner.pool
        );
        self.hold_for(&runner.pool, NoticeKind::PoolStarved, &text);
    }

    /// The engine refuses: wait, and let other pools use the room.
    pub(crate) fn hold(&mut self, id: &PoolId, kind: NoticeKind, why: &str) {
        let Some(pool) = self.view.pools.get_mut(id) else { return };
        if pool.flags.held_until_ms > self.now_ms {
            return;
        }
        pool.flags.fruitless = (pool.flags.fruitless + 1).max(FRUITLESS_LIMIT);
        self.hold_for(id, kind, why);
    }

    fn hold_for(&mut self, id: &PoolId, kind: NoticeKind, why: &str) {
        let Some(pool) = self.view.pools.get_mut(id) else { return };
        let doublings = pool.flags.fruitless.saturating_sub(FRUITLESS_LIMIT).min(16);
        let hold_ms = (HOLD_FIRST_MS << doublings).min(HOLD_MAX_MS);
        pool.flags.held_until_ms = self.now_ms + hold_ms;
        pool.flags.held_why = format!("{why}. Tried again in {} s", hold_ms / 1_000);
        let due_ms = pool.flags.held_until_ms;
        self.changed_pools.insert(id.clone());
        self.effect(Effect::WakePool { pool: id.clone() }, due_ms);
        self.notify(kind, why.to_owned());
    }

    /// The conditions under which this decision still holds when it is written.
    pub(crate) fn guard(&mut self) {
        let mut guards = Vec::new();
        let launched = self.launched_classes();
        if !launched.is_empty() {
            let grown = i64::from(self.view.fleet_live) - i64::from(self.read.fleet_live);
            guards.push(Guard::FleetAtMost(limit(self.policy.max, grown)));
        }
        for class in launched {
            guards.push(self.guard_drain(&class));
            let read = self.read.class_live.get(&class).copied().unwrap_or(0);
            let grown = i64::from(self.class_live(&class)) - i64::from(read);
            guards.push(Guard::ClassAtMost(class.clone(), limit(self.class_max(&class), grown)));
        }
        for pool in self.view.pools.values() {
            self.guard_pool(pool, &mut guards);
        }
        guards.dedup();
        self.out.guards = guards;
    }

    fn launched_classes(&self) -> Vec<ClassName> {
        let mut classes: Vec<ClassName> = self
            .out
            .effects
            .iter()
            .filter_map(|(effect, _)| {
                let Effect::Launch(spec) = effect else { return None };
                (spec.attempt == 1).then(|| spec.pool.class.clone())
            })
            .collect();
        classes.sort();
        classes.dedup();
        classes
    }

    fn guard_pool(&self, pool: &PoolView, guards: &mut Vec<Guard>) {
        let id = &pool.pool.id;
        let before = self.read.pools.get(id).map_or(0, PoolView::deficit);
        let after = pool.deficit();
        let touched =
            self.read.pools.get(id).is_none_or(|read| read.queued != pool.queued || read.unbound != pool.unbound);
        if !touched {
            return;
        }
        if self.has_launched(id) && after >= 0 {
            guards.push(Guard::DeficitAtLeast(id.clone(), before - after));
        }
        if after <= 0 {
            guards.push(Guard::DeficitAtMost(id.clone(), before - after));
            return;
        }
        match self.obstacle(pool) {
            Some(Obstacle::Fleet) => {
                let grown = i64::from(self.view.fleet_live) - i64::from(self.read.fleet_live);
                guards.push(Guard::FleetAtLeast(limit(self.policy.max, grown)));
            }
            Some(Obstacle::Class) => {
                let class = &pool.pool.class;
                let read = self.read.class_live.get(class).copied().unwrap_or(0);
                let grown = i64::from(self.class_live(class)) - i64::from(read);
                guards.push(Guard::ClassAtLeast(class.clone(), limit(self.class_max(class), grown)));
            }
            Some(Obstacle::Drained) => guards.push(self.guard_drain(&pool.pool.class)),
            // Else a job that comes in the moment of the inventory would wait for the next sweep.
            Some(Obstacle::NotInventoried) => guards.push(Guard::NotInventoried),
            Some(Obstacle::Held) | None => {}
        }
    }

    /// The class is drained, or not, as it was read.
    fn guard_drain(&self, class: &ClassName) -> Guard {
        Guard::Drained(class.clone(), self.read.drains.holds(class))
    }

    fn has_launched(&self, id: &PoolId) -> bool {
        let launches =
            |effect: &Effect| matches!(effect, Effect::Launch(spec) if spec.attempt == 1 && spec.pool.id == *id);
        self.out.effects.iter().any(|(effect, _)| launches(effect))
    }
}

/// `max - grown`, in the range of totals.
fn limit(max: u32, grown: i64) -> u32 {
    u32::try_from((i64::from(max) - grown).clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX)
}

/// Digits for names: lower case, none that is read as another.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn base32(mut number: u64, width: usize) -> Arc<str> {
    let mut text = vec![b'0'; width];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[(number % 32) as usize];
        number /= 32;
    }
    String::from_utf8_lossy(&text).into()
}
